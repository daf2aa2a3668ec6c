"""What those see who ask for an approval, and those who decide; and what an organisation lets be spent."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import DomainError
from common.money import CREDIT, EXPONENTS, Money, parse_amount
from common.pagination import keyset_page
from market import approval_policies as policies
from market.prices import price_of
from market.services.plan_switches import change_of
from market.states import ApprovalOutcome
from market.subscriptions import price_of_period
from web.account.pages import OrganizationHead
from web.links import listing_url, order_url, subscription_url, with_query
from web.market.money_pages import OrderRow

if TYPE_CHECKING:
    from accounts.models import Organization
    from market.models import Approval, PlanSwitch

PAGE_ROWS = 30


class DecideForm(forms.Form):
    comment = forms.CharField(
        max_length=500,
        required=False,
        label="Comment",
        help_text="Read by whoever asked.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class LimitForm(forms.Form):
    """An empty amount lifts the limit."""

    currency = forms.ChoiceField(choices=[(code, code) for code in sorted(EXPONENTS)], initial=CREDIT, label="Currency")
    limit = forms.CharField(
        max_length=30,
        required=False,
        label="Above",
        help_text="Such as 250. Leave it empty to lift the limit.",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        typed, currency = cleaned.pop("limit", ""), cleaned.get("currency")
        if currency:
            cleaned["limit_minor"] = parse_amount(typed, currency).amount_minor if typed.strip() else None
        return cleaned


@dataclass(frozen=True)
class ApprovalRow:
    """`total` is what the order costs, or a period of the plan that is wanted. `former` is the plan until now, where another is wanted."""

    href: str
    title: str
    listing_href: str
    about_href: str
    former: str
    plan: str
    quantity: int
    total: Money
    buyer: str
    seller: str
    asked_by: str
    created_at: datetime
    expires_at: datetime
    outcome: str
    is_own: bool

    @classmethod
    def of(cls, approval: "Approval", actor: Actor) -> "ApprovalRow":
        by, listing, switch, order = approval.placed_by, approval.listing, approval.switch, approval.order
        if switch is not None:
            about, former, plan = subscription_url(switch.subscription.uuid), switch.former.name, switch.plan
            quantity = switch.subscription.quantity
            total = price_of_period(plan.price_minor, quantity)
        else:
            assert order is not None, "the database lets it be of one thing"
            about, former, plan, quantity, total = (
                order_url(order.uuid),
                "",
                order.plan,
                order.quantity,
                order.total_minor,
            )
        return cls(
            href=f"/approvals/{approval.uuid}",
            title=listing.title,
            listing_href=listing_url(listing.namespace.name, listing.slug),
            about_href=about,
            former=former,
            plan=plan.name,
            quantity=quantity,
            total=Money(total, approval.currency),
            buyer=approval.buyer.name,
            seller=listing.namespace.name,
            asked_by=by.username if by else "somebody who left",
            created_at=approval.created_at,
            expires_at=approval.expires_at,
            outcome=approval.outcome,
            is_own=by is not None and by.pk == actor.user_id,
        )


@dataclass(frozen=True)
class ApprovalsPage:
    title: str
    rows: list[ApprovalRow]
    is_waiting: bool
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, cursor: str, *, is_waiting: bool) -> "ApprovalsPage":
        found = policies.visible_approvals(actor)
        waiting = {"outcome": ApprovalOutcome.WAITING}
        found = found.filter(**waiting) if is_waiting else found.exclude(**waiting)
        page = keyset_page(found, order=("-created_at", "-pk"), cursor=cursor or None, limit=PAGE_ROWS)
        base = "/approvals" if is_waiting else "/approvals?decided=1"
        decided = "" if is_waiting else "1"
        following = with_query("/approvals", decided=decided, cursor=page.next_cursor) if page.next_cursor else ""
        rows = [ApprovalRow.of(each, actor) for each in page.items]
        return cls("Approvals", rows, is_waiting, following, base if cursor else "")


@dataclass(frozen=True)
class SwitchView:
    """A change of plan that is wanted. `due` is what is paid at once if it is approved now; None when that can't be: `problem` says why."""

    former_price: str
    plan_price: str
    when: str
    due: Money | None
    credit: Money | None
    problem: str
    takes_back: bool

    @classmethod
    def of(cls, switch: "PlanSwitch", *, is_waiting: bool) -> "SwitchView":
        found, currency = switch.subscription, switch.plan.currency
        due: Money | None = Money(switch.due_minor, currency)
        credit, problem = None, ""
        when = "at once" if switch.is_now else "with the next period"
        if is_waiting:
            try:
                change = change_of(found, switch.plan)
            except DomainError as error:
                due, problem = None, error.message
            else:
                due = Money(change.due_now_minor, currency)
                credit = Money(change.credit_minor, currency) if change.credit_minor else None
                when = "at once, when it is approved" if switch.is_now else f"on {change.at:%-d %b %Y}"
        takes_back = is_waiting and not problem and found.cancel_at_period_end
        prices = price_of(switch.former), price_of(switch.plan)
        return cls(*prices, when, due, credit, problem, takes_back)


@dataclass(frozen=True)
class ApprovalPage:
    """`order` or `switch`: what it is about."""

    title: str
    row: ApprovalRow
    order: OrderRow | None
    switch: SwitchView | None
    limit: Money
    reason: str
    decided_by: str
    decided_at: datetime | None
    comment: str
    form: forms.Form
    decision_href: str
    approve_label: str
    withdrawal_href: str

    @classmethod
    def of(cls, actor: Actor, approval: "Approval", form: forms.Form | None = None) -> "ApprovalPage":
        row = ApprovalRow.of(approval, actor)
        is_waiting = approval.outcome == ApprovalOutcome.WAITING
        switch = SwitchView.of(approval.switch, is_waiting=is_waiting) if approval.switch else None
        return cls(
            title=f"Approval of {row.title}",
            row=row,
            order=OrderRow.of(approval.order) if approval.order else None,
            switch=switch,
            limit=Money(approval.limit_minor, approval.currency),
            reason=approval.reason,
            decided_by=approval.decided_by.username if approval.decided_by else "",
            decided_at=approval.decided_at,
            comment=approval.comment,
            form=form or DecideForm(),
            decision_href=f"{row.href}/decision" if is_waiting and policies.may_decide(actor, approval) else "",
            approve_label=_approve_label(switch),
            withdrawal_href=f"{row.href}/withdrawal" if is_waiting and row.is_own else "",
        )


def _approve_label(switch: SwitchView | None) -> str:
    """Empty where there is nothing that could be approved."""
    if switch is None:
        return "Approve and buy"
    return "" if switch.problem else "Approve the change"


@dataclass(frozen=True)
class SpendingPage:
    """`form` is None for those who may not set limits."""

    title: str
    head: OrganizationHead
    limits: list[Money]
    form: forms.Form | None
    limit_href: str

    @classmethod
    def of(cls, actor: Actor, organization: "Organization", form: forms.Form | None = None) -> "SpendingPage":
        namespace = organization.namespace
        can_set = actor.may(Action.NAMESPACE_APPROVE, namespace.pk)
        return cls(
            title=f"Spending of {organization.display_name}",
            head=OrganizationHead.of(organization, actor, "spending"),
            limits=[Money(row.limit_minor, row.currency) for row in policies.limits_of(namespace.pk)],
            form=(form or LimitForm()) if can_set else None,
            limit_href=f"/organizations/{namespace.name}/spending/limits",
        )
