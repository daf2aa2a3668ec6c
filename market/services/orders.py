"""Buying: from the click to open access, in one transaction."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.errors import Conflict, Invalid
from common.money import LIMIT_MINOR, Money
from market.models import Entitlement, Listing, Order, Plan
from market.policies import require_plan
from market.services import ledger, payments
from market.services.fulfilment import fulfil
from market.services.ledger import AccountRef
from market.services.payment_backend import backend_of, is_in_ledger
from market.states import ListingState, PlanKind, SubjectKind
from market.subjects import check_sellable, require_subject

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Namespace

_PACKS_LIMIT = 1_000_000


def place_order(actor: Actor, *, buyer_namespace: str, plan_uuid: "UUID", quantity: int = 1, key: str) -> Order:
    """Buy a plan for a namespace in which `actor` may buy. With credits everything happens here, in one transaction: order,
    ledger, entitlement, grant, budget, lineage, audit, notices. The wallet pays when it covers
    the whole; else, with a provider, the order stays `placed` and a task asks the provider.

    Keyed by buyer and `key` (1 to 80 characters) for ever: the second call returns the first order. Raises Conflict when the
    key was used for something else, when the plan is not on sale, what it sells was found unsafe or does not answer, or when
    the buyer has it already; OverBudget when the
    wallet does not cover it; Invalid, NotFound, Forbidden. After an error nothing has moved."""
    buyer = require_namespace(actor, buyer_namespace, Action.NAMESPACE_BUY)
    if not key or len(key) > 80:
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    earlier = Order.objects.filter(buyer=buyer, key=key).select_related("plan", "listing").first()
    if earlier is not None:
        return _same(earlier, plan_uuid, quantity)
    plan = require_plan(actor, plan_uuid)
    total_minor = _total(plan, quantity)
    with transaction.atomic():
        # The wallet's lock makes one buyer's orders wait for each other, so that the checks below hold until the end.
        # Paid or not, it comes first: all money is locked in one go, before the locks that everybody needs (audit, search).
        wallet = ledger.wallet(buyer, plan.currency)
        ledger.lock([wallet, *_shared_accounts(plan)] if total_minor else [wallet])
        earlier = Order.objects.filter(buyer=buyer, key=key).select_related("plan", "listing").first()
        if earlier is not None:
            return _same(earlier, plan_uuid, quantity)
        plan = Plan.objects.select_related("listing__namespace").get(pk=plan.pk)
        _check_on_sale(plan, buyer)
        order = Order.objects.create(
            buyer=buyer,
            seller=plan.listing.namespace,
            listing=plan.listing,
            plan=plan,
            quantity=quantity,
            total_minor=total_minor,
            currency=plan.currency,
            fee_percent=settings.PLATFORM_FEE_PERCENT,
            key=key,
            payment_backend=backend_of(buyer, plan.currency, total_minor) if total_minor else "",
            placed_by_id=actor.user_id,
        )
        if not total_minor:
            return fulfil(actor, order)
        if is_in_ledger(order.payment_backend):
            order.payment_reference = payments.ask(order).reference
            return fulfil(actor, order)
        payments.ask_later(order)
        audit.record(
            actor,
            "market:order:placed",
            "order",
            order.uuid,
            namespace_id=buyer.pk,
            total=str(Money(total_minor, plan.currency)),
        )
    return order


def _shared_accounts(plan: Plan) -> list[AccountRef]:
    return [
        ledger.clearing(plan.currency),
        ledger.fees(plan.currency),
        ledger.earnings(plan.listing.namespace, plan.currency),
    ]


def _same(order: Order, plan_uuid: "UUID", quantity: int) -> Order:
    if (str(order.plan.uuid), order.quantity) != (str(plan_uuid), quantity):
        raise Conflict("This idempotency key was used for another order.", code="key_reused", order=str(order.uuid))
    return order


def _total(plan: Plan, quantity: int) -> int:
    if type(quantity) is not int or not 1 <= quantity <= (_PACKS_LIMIT if plan.kind == PlanKind.PAY_PER_CALL else 1):
        raise Invalid("This plan can't be bought so many times at once.", fields={"quantity": "out of range"})
    if plan.price_minor * quantity > LIMIT_MINOR:
        raise Invalid("The order is too large.", fields={"quantity": "too large"})
    return plan.price_minor * quantity


def _check_on_sale(plan: Plan, buyer: "Namespace") -> None:
    listing: Listing = plan.listing
    if listing.state != ListingState.PUBLISHED or plan.retired_at is not None:
        raise Conflict("This plan is not on sale.", code="not_on_sale")
    kind = SubjectKind(listing.subject_kind)
    check_sellable(kind, require_subject(system("market"), kind, listing.subject_uuid))
    if listing.namespace_id == buyer.pk:
        raise Conflict(f"This belongs to {buyer.name} already.", code="own_listing")
    if plan.kind == PlanKind.PAY_PER_CALL:
        return
    same = Entitlement.objects.filter(holder=buyer, listing=listing, order__plan__kind=plan.kind)
    # a free allowance is given once, also when it was handed back meanwhile
    if not (plan.kind == PlanKind.FREE and plan.included_calls is not None):
        same = same.filter(revoked_at__isnull=True)
    if same.exists():
        raise Conflict(f"{buyer.name} has this already.", code="already_bought")
