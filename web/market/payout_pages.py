"""What the pages of payouts show: the seller's, one payout's, the operator's."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Unavailable
from common.money import CREDIT, EXPONENTS, Money
from market import payable, payout_queries
from market.services.payout_accounts import describe, destination_of, hold_on
from market.services.payout_transfers import can_transfer
from market.states import PayoutMethod, PayoutState
from web.links import order_url, payout_url, with_query
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Payout

METHODS = {
    PayoutMethod.WALLET.value: "The wallet on this site",
    PayoutMethod.OUTSIDE.value: "An account elsewhere, paid by the operator",
    PayoutMethod.PROVIDER.value: "An account at the payment provider",
}


class PayoutAccountForm(forms.Form):
    currency = forms.ChoiceField(choices=[(code, code) for code in sorted(EXPONENTS)], initial=CREDIT, label="Currency")
    method = forms.ChoiceField(label="Where to", widget=forms.RadioSelect)
    destination = forms.CharField(
        max_length=300,
        required=False,
        label="Account",
        help_text="A name and an IBAN, or your account at the payment provider; kept encrypted. Empty for the wallet.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        offered = [(key, label) for key, label in METHODS.items() if key != PayoutMethod.PROVIDER or can_transfer()]
        self.fields["method"].choices = offered  # type: ignore[attr-defined]
        self.fields["method"].initial = offered[0][0]


class PaidForm(forms.Form):
    reference = forms.CharField(max_length=120, label="Reference", help_text="What your bank calls the transfer.")


class FailedForm(forms.Form):
    reason = forms.CharField(max_length=300, label="Why", help_text="The seller reads it.")


class HoldForm(forms.Form):
    namespace = forms.CharField(
        max_length=96, label="Seller", widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )
    reason = forms.CharField(max_length=300, label="Why", help_text="The seller reads it.")


@dataclass(frozen=True)
class PayoutRow:
    uuid: str
    href: str
    seller: str
    amount: Money
    where: str
    state: str
    reference: str
    failure: str
    created_at: datetime
    paid_at: datetime | None
    failed_at: datetime | None

    @classmethod
    def of(cls, payout: "Payout") -> "PayoutRow":
        return cls(
            uuid=str(payout.uuid),
            href=payout_url(payout.uuid),
            seller=payout.namespace.name,
            amount=Money(payout.amount_minor, payout.currency),
            where=describe(payout.account),
            state=payout.state,
            reference=payout.reference,
            failure=payout.failure,
            created_at=payout.created_at,
            paid_at=payout.paid_at,
            failed_at=payout.failed_at,
        )


@dataclass(frozen=True)
class HeldRow:
    title: str
    href: str
    amount: Money
    until: datetime


@dataclass(frozen=True)
class PayableView:
    """`word` says what the next run will do."""

    balance: Money
    held: Money
    ready: Money
    minimum: Money
    word: str


@dataclass(frozen=True)
class AccountView:
    currency: str
    where: str
    since: datetime
    removal_href: str


@dataclass(frozen=True)
class PayoutsPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    payables: list[PayableView]
    next_run_at: datetime
    hold_reason: str
    held: list[HeldRow]
    accounts: list[AccountView]
    form: forms.Form
    payouts: list[PayoutRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", cursor: str, form: forms.Form | None = None) -> "PayoutsPage":
        found = payout_queries.payouts_of(owner, cursor=cursor or None)
        accounts = list(payout_queries.accounts_of(owner))
        known = {each.currency for each in accounts}
        hold = hold_on(owner.pk)
        owed = payable.payables(owner)
        held = [row for each in owed if each.held_minor for row in payable.held_amounts(owner, each.currency)]
        return cls(
            title="Payouts",
            owner=owner.name,
            owners=owner_choices(actor, Action.NAMESPACE_SELL, "/payouts", owner.name),
            payables=[_payable(each, has_account=each.currency in known, is_held=hold is not None) for each in owed],
            next_run_at=payable.next_run_at(),
            hold_reason=hold.reason if hold else "",
            held=[HeldRow(row.order.listing.title, order_url(row.order.uuid), row.amount, row.until) for row in held],
            accounts=[
                AccountView(each.currency, describe(each), each.created_at, f"/payouts/accounts/{each.uuid}/removal")
                for each in accounts
            ],
            form=form or PayoutAccountForm(),
            payouts=[PayoutRow.of(each) for each in found.items],
            next_href=with_query("/payouts", owner=owner.name, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=with_query("/payouts", owner=owner.name) if cursor else "",
        )


@dataclass(frozen=True)
class PayoutPage:
    """The deeds are staff's; `destination` is empty for everybody else."""

    title: str
    payout: PayoutRow
    statement_href: str
    destination: str
    paid_form: forms.Form | None
    failed_form: forms.Form | None

    @classmethod
    def of(
        cls, actor: Actor, payout: "Payout", *, paid: forms.Form | None = None, failed: forms.Form | None = None
    ) -> "PayoutPage":
        method, state = payout.account.method, payout.state
        may_pay = actor.is_staff and method == PayoutMethod.OUTSIDE and state == PayoutState.WAITING
        may_fail = (
            actor.is_staff
            and method != PayoutMethod.WALLET
            and state in {PayoutState.WAITING.value, PayoutState.PAID.value}
        )
        return cls(
            title="Payout",
            payout=PayoutRow.of(payout),
            statement_href=with_query(
                "/statements", owner=payout.namespace.name, account="earnings", currency=payout.currency
            )
            if actor.may(Action.NAMESPACE_SELL, payout.namespace_id)
            else "",
            destination=_destination(payout) if actor.is_staff else "",
            paid_form=(paid or PaidForm()) if may_pay else None,
            failed_form=(failed or FailedForm()) if may_fail else None,
        )


@dataclass(frozen=True)
class StateChoice:
    label: str
    href: str
    is_on: bool


@dataclass(frozen=True)
class HoldRow:
    seller: str
    reason: str
    since: datetime


@dataclass(frozen=True)
class PayoutDeskPage:
    title: str
    states: list[StateChoice]
    payouts: list[PayoutRow]
    holds: list[HoldRow]
    form: forms.Form
    next_href: str
    first_href: str
    next_run_at: datetime

    @classmethod
    def of(cls, state: str, cursor: str, form: forms.Form | None = None) -> "PayoutDeskPage":
        found = payout_queries.payouts_in(state, cursor=cursor or None)
        labels = {"": "All", **{each.value: each.value.capitalize() for each in PayoutState}}
        return cls(
            title="Payouts of all sellers",
            states=[
                StateChoice(label, with_query("/-/payouts", state=value or "all"), value == state)
                for value, label in labels.items()
            ],
            payouts=[PayoutRow.of(each) for each in found.items],
            holds=[HoldRow(each.namespace.name, each.reason, each.created_at) for each in payout_queries.holds()],
            form=form or HoldForm(),
            next_href=with_query("/-/payouts", state=state or "all", cursor=found.next_cursor)
            if found.next_cursor
            else "",
            first_href=with_query("/-/payouts", state=state or "all") if cursor else "",
            next_run_at=payable.next_run_at(),
        )


def _destination(payout: "Payout") -> str:
    try:
        return destination_of(payout.account)
    except Unavailable as error:
        return error.message


def _payable(each: payable.Payable, *, has_account: bool, is_held: bool) -> PayableView:
    currency = each.currency
    if each.balance_minor < 0:
        word = "below zero: carried over until sales have made up for it"
    elif is_held:
        word = "held by the operator"
    elif not has_account:
        word = "say below where it should go"
    elif each.due_minor:
        word = "will be paid by the next run"
    elif each.ready_minor:
        word = f"below the minimum of {payable.minimum(currency)}: carried over"
    else:
        word = "nothing to pay yet"
    return PayableView(
        Money(each.balance_minor, currency),
        Money(each.held_minor, currency),
        Money(each.ready_minor, currency),
        payable.minimum(currency),
        word,
    )
