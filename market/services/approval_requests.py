"""When a purchase needs an approval, and asking for it: the order is kept as it was wished, nothing moves."""

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from accounts.directory import people_who
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.clock import now
from common.errors import Invalid
from common.money import EXPONENTS, LIMIT_MINOR, Money
from market.models import Approval, Order, PurchaseLimit
from notices.services import notify_users

if TYPE_CHECKING:
    from accounts.models import Namespace

REASON_LIMIT = 500


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


def check_reason(reason: str) -> str:
    """The reason as it is kept. Raises Invalid."""
    if len(reason) > REASON_LIMIT or "\x00" in reason:
        raise Invalid(f"Use at most {REASON_LIMIT} characters.", fields={"reason": "too long"})
    return reason.strip()


def ask_for_approval(actor: Actor, order: Order, limit_minor: int, reason: str) -> Approval:
    """Note that an order which was just made waits, and tell everybody who may decide; in the caller's transaction. One per order:
    the database refuses a second."""
    approval = Approval.objects.create(
        order=order,
        limit_minor=limit_minor,
        reason=reason,
        expires_at=now() + timedelta(days=settings.PURCHASE_APPROVAL_DAYS),
    )
    total = str(Money(order.total_minor, order.currency))
    audit.record(
        actor, "market:approval:asked", "order", order.uuid, namespace_id=order.buyer_id, total=total, reason=reason
    )
    notify_users(
        people_who(order.buyer_id, Action.NAMESPACE_APPROVE),
        "market:approval:asked",
        f"{actor.label} wants to buy {order.listing.title} for {total} on behalf of {order.buyer.name}. "
        f"It needs an approval until {approval.expires_at:%-d %b %Y}.",
        url=f"/approvals/{approval.uuid}",
        key=f"approval:{approval.uuid}:asked",
    )
    return approval
