"""Forms of giving money back and of asking for it. Fields have the names of the services' arguments; money is typed without `_minor`."""

from typing import TYPE_CHECKING, Any

from django import forms

from common.ids import new_uuid
from common.money import Money, format_money

if TYPE_CHECKING:
    from market.models import Order, ReturnRequest

TEXT_LIMIT = 5000


class AmountField(forms.CharField):
    def __init__(self, label: str = "Amount", help_text: str = "") -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(max_length=30, label=label, help_text=help_text, widget=widget)


class _KeyForm(forms.Form):
    """`key` is made when the page is shown, so that a form sent twice does it once."""

    key = forms.CharField(max_length=80, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        self.initial.setdefault("key", str(new_uuid()))


class RefundPartForm(_KeyForm):
    amount = AmountField("Give back")
    reason = forms.CharField(max_length=300, required=False, label="Why", help_text="The buyer reads it.")
    ends_access = forms.BooleanField(required=False, label="End access with it")

    def __init__(self, order: "Order", left_minor: int, data: Any = None) -> None:
        super().__init__(data)
        left = format_money(Money(left_minor, order.currency))
        self.fields["amount"].help_text = f"In {order.currency}. {left} is left of this order; all of it ends access."


class AskForm(_KeyForm):
    amount = AmountField("How much")
    text = forms.CharField(
        max_length=TEXT_LIMIT,
        label="Why",
        help_text="The seller reads it, and the operator when it comes to that. Markdown.",
        widget=forms.Textarea(attrs={"rows": 5}),
    )

    def __init__(self, order: "Order", left_minor: int, data: Any = None) -> None:
        super().__init__(data)
        left = Money(left_minor, order.currency)
        self.fields["amount"].help_text = f"In {order.currency}, up to {format_money(left)}."
        self.initial.setdefault("amount", plain(left))


class DecisionForm(forms.Form):
    amount = AmountField("Give back")
    ends_access = forms.BooleanField(required=False, label="End access with it")
    text = forms.CharField(
        max_length=TEXT_LIMIT,
        required=False,
        label="What you say to it",
        help_text="Needed when you decline. Markdown.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    def __init__(self, request: "ReturnRequest", data: Any = None) -> None:
        super().__init__(data, auto_id="decision-%s")
        asked = Money(request.asked_minor, request.order.currency)
        self.fields["amount"].help_text = f"In {asked.currency}, up to {format_money(asked)}, which is what was asked."
        self.initial.setdefault("amount", plain(asked))


class MessageForm(forms.Form):
    text = forms.CharField(max_length=TEXT_LIMIT, label="Write to the others", widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="message-%s")


class EscalationForm(forms.Form):
    text = forms.CharField(
        max_length=TEXT_LIMIT,
        label="Why the operator should look at it",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="escalation-%s")


def plain(money: Money) -> str:
    """`1250.00`, as it is typed."""
    return format_money(money).rpartition(" ")[0].replace(",", "")
