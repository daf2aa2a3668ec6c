"""Forms of endpoints. Fields have the names of the services' arguments."""

from typing import Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from compute.endpoint_states import EndpointVisibility
from web.namespaces import namespace_choices
from web.work.job_forms import version_choices

VISIBILITIES = [
    (EndpointVisibility.PRIVATE.value, "Private: those with a role or a grant"),
    (EndpointVisibility.ORGANIZATION.value, "Organisation: every member may call it"),
    (EndpointVisibility.PUBLIC.value, "Public: everybody finds it; calling takes a grant or a purchase"),
]


class DeployForm(forms.Form):
    namespace = forms.ChoiceField(label="Owner")
    name = forms.CharField(
        max_length=96, label="Name", help_text="Letters, digits, dot, dash, underscore; it stands in the address."
    )
    version_uuid = forms.ChoiceField(label="Model version")
    visibility = forms.ChoiceField(
        choices=VISIBILITIES, initial="private", label="Who finds it", widget=forms.RadioSelect
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace"].choices = namespace_choices(actor, Action.NAMESPACE_RUN)  # type: ignore[attr-defined]
        self.fields["version_uuid"].choices = version_choices(actor, "model")  # type: ignore[attr-defined]


class UpdateForm(forms.Form):
    version_uuid = forms.ChoiceField(label="Move to version")

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version_uuid"].choices = version_choices(actor, "model")  # type: ignore[attr-defined]


class VisibilityForm(forms.Form):
    visibility = forms.ChoiceField(choices=VISIBILITIES, label="Who finds it", widget=forms.RadioSelect)
