"""Forms of recalls. Fields have the names of the services' arguments."""

from typing import TYPE_CHECKING, Any

from django import forms

from market.recalls import NOTE_LIMIT, TEXT_LIMIT, Category, Severity

if TYPE_CHECKING:
    from registry.models import Version

CATEGORIES = {
    Category.SAFETY.value: "Safety",
    Category.LICENCE.value: "Law or licence",
    Category.DATA_RIGHTS.value: "Rights in the data",
    Category.QUALITY.value: "Quality",
    Category.SECURITY.value: "Security",
}
SEVERITIES = {
    Severity.WARN.value: "Warn: pages, programs and downloads say it",
    Severity.STOP.value: "Stop: nobody but those who may write to it can download it",
}
CHOICES_LIMIT = 50


def _area(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows})


class RecallForm(forms.Form):
    version_uuid = forms.UUIDField(widget=forms.HiddenInput)
    category = forms.ChoiceField(choices=list(CATEGORIES.items()), label="What it is about")
    severity = forms.ChoiceField(choices=list(SEVERITIES.items()), label="How severe", widget=forms.RadioSelect)
    reason = forms.CharField(
        max_length=TEXT_LIMIT,
        label="Why",
        widget=_area(4),
        help_text="Everybody reads this who sees the version, has bought it or has made something from it.",
    )
    advice = forms.CharField(
        max_length=TEXT_LIMIT, required=False, label="What to do", widget=_area(3), help_text="For the same people."
    )
    replacement = forms.ChoiceField(
        required=False,
        label="What to take instead",
        help_text="What was trained on it can be made anew from this version.",
    )
    private_note = forms.CharField(
        max_length=TEXT_LIMIT,
        required=False,
        label="Private note",
        widget=_area(3),
        help_text="Only those who manage this recall read it.",
    )

    def __init__(self, others: "list[Version]", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "Nothing"), *((str(each.uuid), each.name) for each in others[:CHOICES_LIMIT])]
        self.fields["replacement"].choices = choices  # type: ignore[attr-defined]


class ChangeForm(forms.Form):
    """What those who decide about a recall say of it."""

    reason = forms.CharField(max_length=TEXT_LIMIT, label="Why", widget=_area(4))
    advice = forms.CharField(max_length=TEXT_LIMIT, label="What to do", widget=_area(3))
    replacement = forms.ChoiceField(required=False, label="What to take instead")
    private_note = forms.CharField(max_length=TEXT_LIMIT, required=False, label="Private note", widget=_area(3))

    def __init__(self, others: "list[Version]", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "Nothing"), *((str(each.uuid), each.name) for each in others[:CHOICES_LIMIT])]
        self.fields["replacement"].choices = choices  # type: ignore[attr-defined]


class LiftForm(forms.Form):
    reason = forms.CharField(
        max_length=TEXT_LIMIT,
        label="Why it was a mistake",
        widget=_area(3),
        help_text="Everybody who was told reads it.",
    )


class NoteForm(forms.Form):
    note = forms.CharField(max_length=NOTE_LIMIT, label="What was done, or why not", required=False)


class SellerForm(forms.Form):
    seller = forms.ChoiceField(label="Whose sales", required=False)

    def __init__(self, sellers: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seller"].choices = [(each, each) for each in sellers]  # type: ignore[attr-defined]
