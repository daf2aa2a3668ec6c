"""Forms of licences and waivers. Fields have the names of the services' arguments."""

from typing import Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from market.licences import WAIVABLE
from registry.licence_terms import Term, Terms
from registry.services.licences import LICENCE_LIMIT, TITLE_LIMIT
from web.market.licence_pages import RULE_TITLES, TERM_TITLES
from web.namespaces import namespace_choices


class LicenceChoiceForm(forms.Form):
    licence = forms.CharField(
        max_length=80,
        label="Licence",
        help_text="An SPDX expression such as Apache-2.0 or MIT OR CC-BY-4.0, or a custom licence. It is written into README.md.",
        widget=forms.TextInput(attrs={"list": "licence-choices", "autocomplete": "off", "spellcheck": "false"}),
    )


class LicenceForm(forms.Form):
    """Gives `terms` as one value."""

    namespace = forms.ChoiceField(label="Owner")
    name = forms.CharField(
        max_length=60, label="Name", help_text="Letters, digits, dots and dashes; the identifier is made of it."
    )
    title = forms.CharField(max_length=TITLE_LIMIT, label="Title")
    text = forms.CharField(
        max_length=LICENCE_LIMIT,
        label="Text",
        widget=forms.Textarea(attrs={"rows": 12}),
        help_text="The whole wording. It cannot be changed afterwards; another wording gets a number of its own.",
    )
    terms = forms.MultipleChoiceField(
        label="What it allows and asks",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[(term.value, yes) for term, (yes, _) in TERM_TITLES.items()],
        help_text="What is not ticked is not allowed, or not asked.",
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace"].choices = namespace_choices(actor, Action.NAMESPACE_PUBLISH)  # type: ignore[attr-defined]

    def clean_terms(self) -> Terms:
        ticked = set(self.cleaned_data["terms"])
        return Terms(**{term.value: term.value in ticked for term in Term})


class WaiverForm(forms.Form):
    upstream = forms.UUIDField(widget=forms.HiddenInput)
    downstream = forms.UUIDField(widget=forms.HiddenInput)
    rules = forms.MultipleChoiceField(
        label="What it permits in spite of the licence",
        widget=forms.CheckboxSelectMultiple,
        choices=[(rule.value, RULE_TITLES[rule].capitalize()) for rule in WAIVABLE],
    )
    text = forms.CharField(
        max_length=20_000,
        label="In writing",
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="To whom you permit what, and why. Both owners read it; it is dated and stays on record.",
    )


class RevocationForm(forms.Form):
    reason = forms.CharField(max_length=2000, required=False, label="Why", widget=forms.Textarea(attrs={"rows": 2}))
