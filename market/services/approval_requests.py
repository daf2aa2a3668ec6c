"""When a purchase needs an approval, and asking for it: the order, or the plan, is kept as it was wished, nothing moves."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from accounts.directory import names_of, people_who
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.clock import now
from common.errors import Invalid
from common.money import EXPONENTS, LIMIT_MINOR, Money, format_money
from market.models import Approval, Order, PlanSwitch, PurchaseLimit
from market.subscriptions import price_of_period
from notices.services import notify_users

if TYPE_CHECKING:
    from accounts.models import Namespace

REASON_LIMIT = 500
_NAMED = 4
"""Approvers whose names stand in a sentence."""


@dataclass(frozen=True)
class ApprovalNeeded:
    """Told before something is asked for: `total_minor` is above `limit_minor` of the buyer's, and one of `approvers` (names, sorted) has
    to agree within `days`."""

    buyer: str
    total_minor: int
    limit_minor: int
    currency: str
    approvers: list[str]
    days: int

    @property
    def sentence(self) -> str:
        total, limit = (format_money(Money(minor, self.currency)) for minor in (self.total_minor, self.limit_minor))
        names = self.approvers[:_NAMED]
        more = len(self.approvers) - len(names)
        last = f"{more} others" if more > 1 else names.pop()
        who = f"{', '.join(names)} or {last}" if names else last
        return (
            f"{total} is above {limit}, the limit of {self.buyer} for your role. It waits until {who} approves it, {self.days} days at "
            "most; nothing is paid before that."
        )


def set_limit(actor: Actor, namespace: str, currency: str, limit_minor: int | None) -> PurchaseLimit | None:
    """Purchases of `namespace` above `limit_minor` of `currency` need an approval from now on; None: none does. What waits goes on
    waiting. Writes the limit and an audit record; a second call changes nothing. Raises Invalid, NotFound, Forbidden."""
    owner = require_namespace(actor, namespace, Action.NAMESPACE_APPROVE)
    if not owner.is_organization:
        raise Invalid("Limits are for organisations: nobody else buys for you.", fields={"namespace": "a person"})
    if currency not in EXPONENTS:
        raise Invalid(f"There is no currency {currency[:10]} here.", fields={"currency": "unknown"})
    if limit_minor is not None and not 0 <= limit_minor <= LIMIT_MINOR:
        raise Invalid("A limit is an amount, 0 or more.", fields={"limit_minor": "0 or more"})
    with transaction.atomic():
        row = PurchaseLimit.objects.select_for_update().filter(namespace=owner, currency=currency).first()
        before = row.limit_minor if row else None
        if before == limit_minor:
            return row
        if limit_minor is None:
            PurchaseLimit.objects.filter(namespace=owner, currency=currency).delete()
            row = None
        else:
            row, _ = PurchaseLimit.objects.update_or_create(
                namespace=owner, currency=currency, defaults={"limit_minor": limit_minor, "changed_at": now()}
            )
        audit.record(
            actor,
            "market:limit:set",
            "namespace",
            owner.uuid,
            namespace_id=owner.pk,
            currency=currency,
            before=before,
            after=limit_minor,
        )
    return row


def limit_for(actor: Actor, buyer: "Namespace", currency: str, total_minor: int) -> int | None:
    """The limit of the buyer, minor units, that an order by `actor` is above; None when it needs no approval."""
    if not buyer.is_organization or not total_minor or actor.may(Action.NAMESPACE_APPROVE, buyer.pk):
        return None
    found = PurchaseLimit.objects.filter(namespace=buyer, currency=currency).values_list("limit_minor", flat=True)
    limit = found.first()
    return limit if limit is not None and total_minor > limit else None


def approval_needed(actor: Actor, buyer: "Namespace", currency: str, total_minor: int) -> ApprovalNeeded | None:
    """What `actor` would wait for when it ordered for `total_minor`; None: for nothing. At most four queries."""
    limit = limit_for(actor, buyer, currency, total_minor)
    if limit is None:
        return None
    approvers = sorted(names_of(people_who(buyer.pk, Action.NAMESPACE_APPROVE)).values())
    return ApprovalNeeded(buyer.name, total_minor, limit, currency, approvers, settings.PURCHASE_APPROVAL_DAYS)


def check_reason(reason: str) -> str:
    """The reason as it is kept. Raises Invalid."""
    if len(reason) > REASON_LIMIT or "\x00" in reason:
        raise Invalid(f"Use at most {REASON_LIMIT} characters.", fields={"reason": "too long"})
    return reason.strip()


def ask_for_approval(actor: Actor, about: Order | PlanSwitch, limit_minor: int, reason: str) -> Approval:
    """Note that an order, or a plan, which was just wished waits, and tell everybody who may decide; in the caller's transaction. One
    each: the database refuses a second."""
    approval = Approval.objects.create(
        order=about if isinstance(about, Order) else None,
        switch=about if isinstance(about, PlanSwitch) else None,
        limit_minor=limit_minor,
        reason=reason,
        expires_at=now() + timedelta(days=settings.PURCHASE_APPROVAL_DAYS),
    )
    buyer = approval.buyer
    if isinstance(about, Order):
        total = str(Money(about.total_minor, about.currency))
        wish = f"wants to buy {about.listing.title} for {total} on behalf of {buyer.name}"
        kind, uuid, detail = "order", about.uuid, {"total": total}
    else:
        price = Money(price_of_period(about.plan.price_minor, about.subscription.quantity), about.plan.currency)
        due = Money(about.due_minor, about.plan.currency)
        wish = (
            f"wants the plan {about.plan.name} instead of {about.former.name} for {about.subscription.listing.title} on behalf of "
            f"{buyer.name}: {price} each {about.plan.interval}, {due} of it due at once"
        )
        kind, uuid = "subscription", about.subscription.uuid
        detail = {"total": str(price), "due": str(due), "plan": str(about.plan.uuid)}
    audit.record(actor, "market:approval:asked", kind, uuid, namespace_id=buyer.pk, reason=reason, **detail)
    notify_users(
        people_who(buyer.pk, Action.NAMESPACE_APPROVE),
        "market:approval:asked",
        f"{actor.label} {wish}. It needs an approval until {approval.expires_at:%-d %b %Y}.",
        url=f"/approvals/{approval.uuid}",
        key=f"approval:{approval.uuid}:asked",
    )
    return approval
