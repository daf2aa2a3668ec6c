"""What is filled in to bring an export in."""

from typing import Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from web.namespaces import namespace_choices


class ImportForm(forms.Form):
    """Without script the browser sends the file with the form, and it is received into a file; with script it is streamed."""

    namespace_name = forms.ChoiceField(label="Owner", help_text="Whose the repositories will be.")
    name = forms.CharField(
        max_length=96, required=False, label="New name", help_text="For an archive of one repository. Empty: as it was."
    )
    archive = forms.FileField(
        label="Archive", help_text="A .tar that a site like this one has exported.",
        widget=forms.ClearableFileInput(attrs={"accept": ".tar,application/x-tar"}),
    )  # fmt: skip

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace_name"].choices = namespace_choices(actor, Action.NAMESPACE_PUBLISH)  # type: ignore[attr-defined]
