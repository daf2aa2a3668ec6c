"""Forms of endpoints. Fields have the names of the services' arguments."""

from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from compute.endpoint_states import EndpointVisibility
from metering.units import Unit
from registry.build_queries import graph_builds_of
from web.namespaces import namespace_choices
from web.work.job_forms import title_of, versions_offered

if TYPE_CHECKING:
    from compute.models import Endpoint

VISIBILITIES = [
    (EndpointVisibility.PRIVATE.value, "Private: those with a role or a grant"),
    (EndpointVisibility.ORGANIZATION.value, "Organisation: every member may call it"),
    (EndpointVisibility.PUBLIC.value, "Public: everybody finds it; calling takes a grant or a purchase"),
]

UNITS = [
    (Unit.CALLS.value, "Calls alone"),
    (Unit.ROWS.value, "Rows: what a call sends along the first axis of its first input"),
    (Unit.SECONDS.value, "Seconds: what the model computes for a call, by the millisecond"),
    (Unit.TOKENS.value, "Tokens: the elements of one input"),
]


class ModelField(forms.ChoiceField):
    """A version, or an ONNX build of one: `<version>` or `<version>/<build>`, by their uuids."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            help_text="A build answers as its version does; it is there for versions in other formats.", **kwargs
        )

    def offer(self, actor: Actor) -> None:
        """Fill in the newest versions that the actor may read, each followed by its builds."""
        versions = versions_offered(actor, "model")
        builds = graph_builds_of(versions)
        self.choices = [
            choice
            for version in versions
            for choice in (
                (str(version.uuid), title_of(version)),
                *(
                    (
                        model_value(version.uuid, build.uuid),
                        f"{title_of(version)}, ONNX build of {build.created_at:%-d %b %Y}",
                    )
                    for build in builds.get(version.pk, ())
                ),
            )
        ]


def model_value(version: object, build: object) -> str:
    """The value of a ModelField; of `version` alone when there is no build."""
    return f"{version}/{build}" if build else str(version or "")


class ModelForm(forms.Form):
    """A form with a ModelField `version_uuid`; `build_uuid` is among its values."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        version, _, build = given.get("version_uuid", "").partition("/")
        return given | {"version_uuid": version, "build_uuid": build or None}


class DeployForm(ModelForm):
    namespace = forms.ChoiceField(label="Owner")
    name = forms.CharField(
        max_length=96, label="Name", help_text="Letters, digits, dot, dash, underscore; it stands in the address."
    )
    version_uuid = ModelField(label="Model version")
    visibility = forms.ChoiceField(
        choices=VISIBILITIES, initial="private", label="Who finds it", widget=forms.RadioSelect
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace"].choices = namespace_choices(actor, Action.NAMESPACE_RUN)  # type: ignore[attr-defined]
        self.fields["version_uuid"].offer(actor)  # type: ignore[attr-defined]


class UpdateForm(ModelForm):
    version_uuid = ModelField(label="Move to version")

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version_uuid"].offer(actor)  # type: ignore[attr-defined]


class UnitForm(forms.Form):
    """`unit` and, for tokens, `token_input`."""

    unit = forms.ChoiceField(choices=UNITS, label="Plans may be priced by", widget=forms.RadioSelect)
    token_input = forms.ChoiceField(required=False, label="Input whose elements are the tokens")

    def __init__(self, endpoint: "Endpoint", *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"unit": endpoint.unit, "token_input": endpoint.token_input})
        super().__init__(*args, **kwargs)
        inputs = (endpoint.signature or endpoint.next_signature).get("inputs", [])
        names = [(each["name"], each["name"]) for each in inputs]
        self.fields["token_input"].choices = [("", "for tokens only"), *names]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        unit = Unit(given.get("unit", Unit.CALLS))
        return given | {"unit": unit, "token_input": given.get("token_input", "") if unit == Unit.TOKENS else ""}


class VisibilityForm(forms.Form):
    visibility = forms.ChoiceField(choices=VISIBILITIES, label="Who finds it", widget=forms.RadioSelect)
