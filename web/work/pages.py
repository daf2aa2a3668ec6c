"""What the page for a new endpoint shows."""

from dataclasses import dataclass

from django import forms


@dataclass(frozen=True)
class DeployPage:
    title: str
    form: forms.Form
    has_versions: bool

    @classmethod
    def of(cls, form: forms.Form) -> "DeployPage":
        return cls("Deploy a model", form, bool(form.fields["version_uuid"].choices))  # type: ignore[attr-defined]
