"""The form of a coupon. Fields have the names of the service's arguments; amounts are typed without `_minor`."""

from typing import Any

from django import forms

from common.errors import Invalid
from common.money import CREDIT, EXPONENTS, parse_amount
from web.market.fields import LocalDateTimeField


class CouponForm(forms.Form):
    code = forms.CharField(
        max_length=80,
        label="Code",
        help_text="3 to 40 letters, digits, dashes or underscores; small letters are the same as capitals.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    percent_bp = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=100,
        decimal_places=2,
        label="Per cent off",
        help_text="Such as 25; or an amount below.",
    )
    amount = forms.CharField(
        max_length=30, required=False, label="Amount off", widget=forms.TextInput(attrs={"inputmode": "decimal"})
    )
    currency = forms.ChoiceField(
        choices=[(code, code) for code in sorted(EXPONENTS)],
        initial=CREDIT,
        label="Currency of the amount",
        help_text="A coupon with an amount is taken by plans in this currency.",
    )
    limit_total = forms.IntegerField(min_value=1, required=False, label="Orders, all buyers together")
    limit_per_buyer = forms.IntegerField(min_value=1, required=False, label="Orders of one buyer")
    starts_at = LocalDateTimeField(required=False, label="Valid from")
    ends_at = LocalDateTimeField(required=False, label="Valid until")
    listings = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Only for these listings",
        help_text="None ticked: all.",
    )
    plans = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Only for these plans", help_text="None ticked: all."
    )

    def __init__(
        self, *args: Any, zone: str, listings: list[tuple[str, str]], plans: list[tuple[str, str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        for name in ("starts_at", "ends_at"):
            self.fields[name].zone = zone  # type: ignore[attr-defined]
            self.fields[name].help_text = f"In the time zone of your account, {zone.replace('_', ' ')}."
        for name, choices in (("listings", listings), ("plans", plans)):
            self.fields[name].choices = choices  # type: ignore[attr-defined]
            if not choices:
                del self.fields[name]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        percent, text = cleaned.get("percent_bp"), cleaned.pop("amount", "")
        cleaned["percent_bp"] = None if percent is None else int(percent * 100)
        cleaned["amount_minor"] = None
        if text:
            try:
                cleaned["amount_minor"] = parse_amount(text, cleaned.get("currency", CREDIT)).amount_minor
            except Invalid as error:
                self.add_error("amount", error.message)
        else:
            cleaned["currency"] = ""
        return cleaned
