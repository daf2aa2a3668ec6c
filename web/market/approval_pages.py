"""What those see who ask for an approval, and those who decide; and what an organisation lets be spent."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.money import CREDIT, EXPONENTS, Money, parse_amount
from common.pagination import keyset_page
from market import approval_policies as policies
from market.states import ApprovalOutcome
from web.account.pages import OrganizationHead
from web.links import with_query
from web.market.money_pages import OrderRow

if TYPE_CHECKING:
    from accounts.models import Organization
    from market.models import Approval

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
    href: str
    order: OrderRow
    asked_by: str
    created_at: datetime
    expires_at: datetime
    outcome: str
    is_own: bool

    @classmethod
    def of(cls, approval: "Approval", actor: Actor) -> "ApprovalRow":
        by = approval.order.placed_by
        return cls(
            f"/approvals/{approval.uuid}",
            OrderRow.of(approval.order),
            by.username if by else "somebody who left",
            approval.created_at,
            approval.expires_at,
            approval.outcome,
            by is not None and by.pk == actor.user_id,
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
class ApprovalPage:
    title: str
    row: ApprovalRow
    limit: Money
    reason: str
    decided_by: str
    decided_at: datetime | None
    comment: str
    form: forms.Form
    decision_href: str
    withdrawal_href: str

    @classmethod
    def of(cls, actor: Actor, approval: "Approval", form: forms.Form | None = None) -> "ApprovalPage":
        row = ApprovalRow.of(approval, actor)
        is_waiting = approval.outcome == ApprovalOutcome.WAITING
        return cls(
            title=f"Approval of {row.order.title}",
            row=row,
            limit=Money(approval.limit_minor, approval.order.currency),
            reason=approval.reason,
            decided_by=approval.decided_by.username if approval.decided_by else "",
            decided_at=approval.decided_at,
            comment=approval.comment,
            form=form or DecideForm(),
            decision_href=f"{row.href}/decision" if is_waiting and policies.may_decide(actor, approval) else "",
            withdrawal_href=f"{row.href}/withdrawal" if is_waiting and row.is_own else "",
        )


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
