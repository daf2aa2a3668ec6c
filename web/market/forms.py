"""Forms of buying and selling. Fields have the names of the services' arguments."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Invalid
from common.ids import new_uuid
from common.money import CREDIT, EXPONENTS, Money, format_money, parse_amount
from market.approval_policies import asking_limits
from market.queries import wallets
from market.showing import channel_choices
from market.states import REVIEW_CHECKS, PlanKind, Visibility
from metering.units import SCALE, SIZES, Unit, per, singular
from web.market.fields import LocalDateTimeField, tiers_from
from web.namespaces import acting_namespaces

if TYPE_CHECKING:
    from market.models import Listing, Plan

TASKS = ("image-classification", "tabular-classification", "tabular-regression", "text-classification", "forecasting")


class CheckoutForm(forms.Form):
    """`key` is made when the page is shown, so that a form sent twice orders once."""

    buyer_namespace = forms.ChoiceField(
        label="For", widget=forms.RadioSelect, help_text="Whose wallet pays, and who gets access."
    )
    quantity = forms.IntegerField(min_value=1, max_value=1_000_000, initial=1, label="How many")
    coupon = forms.CharField(
        max_length=80,
        required=False,
        label="Coupon",
        help_text="A code that the seller gave you.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        max_length=500,
        required=False,
        label="What it is for",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    accept = forms.BooleanField(label="I agree to these terms and to this price")
    accept_terms = forms.CharField(max_length=64, widget=forms.HiddenInput)
    key = forms.CharField(max_length=80, widget=forms.HiddenInput)
    asks = forms.BooleanField(required=False, widget=forms.HiddenInput)
    """The page that was sent has said that the order waits for an approval."""

    def __init__(self, actor: Actor, plan: "Plan", data: Any = None, initial: dict[str, Any] | None = None) -> None:
        is_by_call = plan.kind == PlanKind.PAY_PER_USE and plan.unit_size == 1
        usual = {"key": str(new_uuid()), "quantity": 100 if is_by_call else 1}
        super().__init__(data, initial=usual | (initial or {}))
        buyers = [
            each
            for each in acting_namespaces(actor, Action.NAMESPACE_BUY)
            if each.pk != plan.listing.namespace_id and plan.offered_to_id in {None, each.pk}
        ]
        held = wallets(buyers, plan.currency)
        self.fields["buyer_namespace"].choices = [  # type: ignore[attr-defined]
            (each.name, f"{each.name}: {format_money(held[each.pk])} in the wallet") for each in buyers
        ]
        able = [each for each in buyers if held[each.pk].amount_minor >= plan.price_minor]
        if buyers:
            self.initial.setdefault("buyer_namespace", (able or buyers)[0].name)
        limits = asking_limits(actor, [each.pk for each in buyers], plan.currency)
        if limits and plan.kind != PlanKind.FREE:
            above = [
                f"{each.name} above {format_money(Money(limits[each.pk], plan.currency))}"
                for each in buyers
                if each.pk in limits
            ]
            self.fields["reason"].help_text = f"Read by those who approve what is bought for {', '.join(above)}."
        else:
            del self.fields["reason"]
        if plan.kind == PlanKind.FREE:
            del self.fields["coupon"]
        if plan.kind == PlanKind.PAY_PER_USE:
            is_one = plan.unit_size == SCALE[Unit(plan.unit)]
            packs = plan.unit if is_one else f"packs of {per(plan.unit, plan.unit_size)}"
            self.fields["quantity"].label = f"How many {packs}"
            self.fields["quantity"].help_text = "Prepaid; what is not used can be returned."
        elif plan.per_seat:
            self.fields["quantity"].label = "How many seats"
            self.fields["quantity"].help_text = "An organisation gives them to its members and teams; a person has one."
        else:
            self.fields["quantity"].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in ("accept", "asks"):
            cleaned.pop(name, None)
        return cleaned


class PlanSwitchForm(forms.Form):
    """`key` is made when the page is shown, so that a form sent twice changes once."""

    reason = forms.CharField(
        max_length=500,
        required=False,
        label="What it is for",
        help_text="Read by those who approve it.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    accept = forms.BooleanField(label="I agree to these terms and to this price")
    accept_terms = forms.CharField(max_length=64, widget=forms.HiddenInput)
    key = forms.CharField(max_length=80, widget=forms.HiddenInput)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, initial={"key": str(new_uuid())})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned.pop("accept", None)
        return cleaned


def put_shown(form: forms.Form, **shown: str) -> None:
    """What the page shows now is what its form agrees to when it is sent next."""
    if form.is_bound:
        form.data = {**form.data.dict(), **shown}  # type: ignore[attr-defined]  # of a request
    else:
        form.initial.update(shown)


class RefundForm(forms.Form):
    reason = forms.CharField(max_length=300, required=False, label="Why", help_text="The seller reads it.")
    key = forms.CharField(max_length=80, widget=forms.HiddenInput)


class CreditsForm(forms.Form):
    """`key` is made when the page is shown, so that a form sent twice adds once."""

    namespace = forms.CharField(
        max_length=96,
        label="To",
        help_text="The name of a person or of an organisation.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    amount = forms.CharField(
        max_length=30,
        label="Amount",
        help_text="Such as 100 or 12.50.",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )
    currency = forms.ChoiceField(choices=[(code, code) for code in sorted(EXPONENTS)], initial=CREDIT, label="Currency")
    key = forms.CharField(max_length=80, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("key", f"page:{new_uuid()}")


class NewListingForm(forms.Form):
    subject = forms.ChoiceField(
        label="What", help_text="A model, dataset or algorithm with a version, or an endpoint, that you administer."
    )
    title = forms.CharField(max_length=120, label="Title")
    summary = forms.CharField(
        max_length=300, required=False, label="Summary", help_text="Two lines; it stands on the card."
    )

    def __init__(self, subjects: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["subject"].choices = subjects  # type: ignore[attr-defined]


class ListingForm(forms.Form):
    title = forms.CharField(max_length=120, label="Title")
    summary = forms.CharField(
        max_length=300, required=False, label="Summary", help_text="Two lines; it stands on the card."
    )
    description = forms.CharField(
        max_length=50_000,
        required=False,
        label="Description",
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text="Markdown.",
    )
    category = forms.CharField(max_length=60, required=False, label="Category")
    task = forms.CharField(
        max_length=80, required=False, label="Task", help_text=f"For example {', '.join(TASKS[:3])}."
    )
    licence = forms.CharField(
        max_length=80, required=False, label="Licence", help_text="An SPDX name such as cc-by-4.0."
    )
    tags = forms.CharField(max_length=800, required=False, label="Tags", help_text="Separated by commas.")
    visibility = forms.ChoiceField(
        label="Who finds it",
        widget=forms.RadioSelect,
        choices=[
            (Visibility.PUBLIC.value, "Everybody"),
            (Visibility.UNLISTED.value, "Whoever has its address"),
            (Visibility.ORGANIZATION.value, "Members of the organisation: its private catalogue"),
            (Visibility.PRIVATE.value, "Only those who manage it"),
        ],
    )
    channel = forms.ChoiceField(
        label="What is offered", help_text="The version that buyers are led to; the page says which one that is now."
    )
    example_input = forms.CharField(
        max_length=20_000,
        required=False,
        label="Example input",
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text="JSON, as a call would send it. An endpoint needs one.",
    )
    support_contact = forms.CharField(
        max_length=200, required=False, label="Support", help_text="A mail address or an https address."
    )
    return_terms = forms.CharField(
        max_length=2_000,
        required=False,
        label="Terms of return",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What you promise beyond the days of return, which stand in each plan. Shown at checkout.",
    )

    @classmethod
    def of(cls, listing: "Listing", data: Any = None) -> "ListingForm":
        names = (
            "title", "summary", "description", "category", "task", "licence", "visibility", "channel", "example_input",
            "support_contact", "return_terms",
        )  # fmt: skip
        form = cls(data, initial={name: getattr(listing, name) for name in names} | {"tags": ", ".join(listing.tags)})
        form.fields["channel"].choices = channel_choices(listing)  # type: ignore[attr-defined]
        if not listing.namespace.is_organization:
            shown = form.fields["visibility"].choices  # type: ignore[attr-defined]
            form.fields["visibility"].choices = [each for each in shown if each[0] != Visibility.ORGANIZATION]  # type: ignore[attr-defined]
        return form

    def clean_tags(self) -> list[str]:
        return [tag.strip().lower() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]


class ImageForm(forms.Form):
    image = forms.FileField(
        label="Picture",
        help_text="PNG, JPEG or WebP, at most 5 MB. The first one stands on the card.",
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
    )
    alt = forms.CharField(max_length=200, label="What it shows", help_text="In words, for those who do not see it.")


class CommentForm(forms.Form):
    text = forms.CharField(max_length=5_000, label="Comment", widget=forms.Textarea(attrs={"rows": 3}))


class DecisionForm(forms.Form):
    """`submission` is what the reviewer has seen submitted."""

    checks = forms.MultipleChoiceField(
        choices=list(REVIEW_CHECKS.items()),
        required=False,
        label="To approve, confirm each point",
        widget=forms.CheckboxSelectMultiple,
    )
    text = forms.CharField(
        max_length=5_000,
        required=False,
        label="What to say",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Needed to return it: what has to be changed.",
    )
    submission = forms.UUIDField(widget=forms.HiddenInput)


_PLAN_GROUPS = (
    ("Prices by volume", ("tiers",)),
    ("A subscription", ("interval", "trial_days", "overage", "overage_units")),
    ("Seats", ("per_seat",)),
    ("A private offer", ("offered_to", "offer_ends_at", "offer_note")),
)
_UNTOUCHED = (None, "", False, "month")


@dataclass(frozen=True)
class FieldGroup:
    """Some fields of a form under a title; `is_open` where something stands in them, or is wrong."""

    title: str
    fields: list[forms.BoundField]
    is_open: bool


class PlanForm(forms.Form):
    """Gives `kind` apart from the values that `add_plan` takes by name."""

    kind = forms.ChoiceField(label="Kind")
    price = forms.CharField(max_length=30, required=False, label="Price", help_text="Leave empty for a free plan.")
    currency = forms.ChoiceField(choices=[(code, code) for code in sorted(EXPONENTS)], initial=CREDIT, label="Currency")
    name = forms.CharField(max_length=80, required=False, label="Name of the plan")
    priced_by = forms.ChoiceField(label="The price is for", required=False)
    tiers = forms.CharField(
        max_length=600,
        required=False,
        label="Prices by volume",
        help_text="In place of the price: up to how many, a colon, the price; a step a line. 1000: 0.20, then rest: 0.10.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "code"}),
    )
    included_units = forms.IntegerField(
        min_value=0,
        required=False,
        label="Included",
        help_text="Calls, rows, seconds or tokens, as the price is for. Of a subscription: in each period. Empty: without limit.",
    )
    interval = forms.ChoiceField(
        choices=[("month", "each month"), ("year", "each year")], required=False, label="A subscription is paid"
    )
    trial_days = forms.IntegerField(
        min_value=0,
        max_value=365,
        required=False,
        label="Days of trial",
        help_text="Of a subscription: so many first days cost a new buyer nothing. Empty: none.",
    )
    overage = forms.CharField(
        max_length=30,
        required=False,
        label="Price beyond what is included",
        help_text="Of a subscription. Empty: when it is used up, the next call is refused.",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )
    overage_units = forms.IntegerField(
        min_value=1,
        required=False,
        label="Beyond at most",
        help_text="In one period, so that no bill is without end.",
    )
    per_seat = forms.BooleanField(
        required=False,
        label="The price is for one seat",
        help_text="An organisation orders some seats and gives them to members and teams. Not for free plans and prepaid use.",
    )
    refund_window_days = forms.IntegerField(min_value=0, max_value=365, initial=14, label="Days to return it")
    offered_to = forms.CharField(
        max_length=96,
        required=False,
        label="Private offer to",
        help_text="A person or an organisation: nobody else sees or buys this plan.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    offer_ends_at = LocalDateTimeField(required=False, label="The offer ends")
    offer_note = forms.CharField(max_length=500, required=False, label="Note to the buyer")

    def __init__(self, *args: Any, unit: str | None, zone: str = "UTC", **kwargs: Any) -> None:
        """`unit`: what the endpoint declares; None for files."""
        super().__init__(*args, **kwargs)
        self.fields["offer_ends_at"].zone = zone  # type: ignore[attr-defined]
        self.fields["offer_ends_at"].help_text = f"In the time zone of your account, {zone.replace('_', ' ')}."
        kinds = [
            (PlanKind.FREE.value, "Free"),
            (PlanKind.ONE_TIME.value, "One-time purchase"),
            (PlanKind.SUBSCRIPTION.value, "Subscription"),
        ]
        if unit is not None:
            kinds.append((PlanKind.PAY_PER_USE.value, "Pay per use"))
            self.fields["priced_by"].choices = [  # type: ignore[attr-defined]
                (f"{each}:{size}", f"each {singular(each)}" if size == SCALE[each] else per(each, size))
                for each in dict.fromkeys((Unit.CALLS, Unit(unit)))
                for size in SIZES[each]
            ]
        else:
            for name in ("priced_by", "included_units", "tiers", "overage", "overage_units"):
                del self.fields[name]
        self.fields["kind"].choices = kinds  # type: ignore[attr-defined]

    @property
    def main_fields(self) -> list[forms.BoundField]:
        """What every plan is asked."""
        grouped = {name for _, names in _PLAN_GROUPS for name in names}
        return [field for field in self if field.name not in grouped]

    @property
    def groups(self) -> list[FieldGroup]:
        """What some plans have."""
        found = []
        for title, names in _PLAN_GROUPS:
            fields = [self[name] for name in names if name in self.fields]
            is_open = any(field.errors or (self.is_bound and field.value() not in _UNTOUCHED) for field in fields)
            if fields:
                found.append(FieldGroup(title, fields, is_open))
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        text = cleaned.pop("price", "")
        try:
            amount = parse_amount(text, cleaned.get("currency", CREDIT)) if text else Money(0, CREDIT)
            cleaned["price_minor"] = amount.amount_minor
        except Invalid as error:
            self.add_error("price", error.message)
        try:
            cleaned["tiers"] = tiers_from(cleaned.get("tiers", ""), cleaned.get("currency", CREDIT))
        except Invalid as error:
            self.add_error("tiers", error.message)
        self._clean_subscription(cleaned)
        self._clean_units(cleaned)
        return cleaned

    def _clean_units(self, cleaned: dict[str, Any]) -> None:
        """People speak of seconds; what is counted are milliseconds."""
        unit, _, size = cleaned.pop("priced_by", "").partition(":")
        if not unit:
            return
        is_by_use = cleaned.get("kind") == PlanKind.PAY_PER_USE or cleaned.get("overage_minor") is not None
        cleaned |= {"unit": unit, "unit_size": int(size) if is_by_use or cleaned.get("tiers") else 1}
        scale = SCALE[Unit(unit)]
        for name in ("included_units", "overage_units"):
            if cleaned.get(name) is not None:
                cleaned[name] *= scale
        if cleaned.get("tiers"):
            cleaned["tiers"] = [(up_to and up_to * scale, price) for up_to, price in cleaned["tiers"]]

    def _clean_subscription(self, cleaned: dict[str, Any]) -> None:
        text = cleaned.pop("overage", "")
        try:
            beyond = parse_amount(text, cleaned.get("currency", CREDIT)).amount_minor if text else None
            cleaned["overage_minor"] = beyond
        except Invalid as error:
            self.add_error("overage", error.message)
        cleaned["trial_days"] = cleaned.get("trial_days") or 0
        if cleaned.get("kind") != PlanKind.SUBSCRIPTION:
            cleaned["interval"] = ""
