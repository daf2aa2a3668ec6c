"""What is filled in about storage."""

from decimal import Decimal

from django import forms

GIGABYTE = 1000**3


class QuotaForm(forms.Form):
    """Empty: the default of the site."""

    namespace = forms.CharField(
        max_length=96,
        label="Of",
        help_text="The name of a person or of an organisation.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    gigabytes = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(10**9),
        decimal_places=3,
        max_digits=13,
        label="Quota in GB",
        help_text="Such as 50 or 0.5. Empty: the default of this site.",
    )
