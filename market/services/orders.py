"""Buying: from the click to open access, in one transaction."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.errors import Conflict, Invalid
from common.money import Money
from market.models import Entitlement, Listing, Order, Plan
from market.policies import require_plan
from market.services import coupons, ledger, payments, royalties
from market.services.fulfilment import fulfil
from market.services.ledger import AccountRef
from market.services.licences import require_licences
from market.services.payment_backend import backend_of, is_in_ledger
from market.services.quotes import check_offered, reckon
from market.states import PlanKind, SubjectKind
from market.subjects import check_sellable, require_subject

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Namespace
    from market.services.royalties import Upstream


def place_order(
    actor: Actor, *, buyer_namespace: str, plan_uuid: "UUID", quantity: int = 1, key: str, coupon: str = ""
) -> Order:
    """Buy a plan for a namespace in which `actor` may buy. With credits everything happens here, in one transaction: order,
    ledger, entitlement, grant, budget, lineage, audit, notices. The wallet pays when it covers
    the whole; else, with a provider, the order stays `placed` and a task asks the provider. `coupon` is a code of the seller's: what
    it takes off is borne by the seller, and the order keeps the coupon until it is cancelled or undone as a whole
    (`coupons.give_back`).

    Keyed by buyer and `key` (1 to 80 characters) for ever: the second call returns the first order. Raises Conflict when the
    key was used for something else, when the plan is not on sale, what it sells was found unsafe or does not answer, when the licences of what it was made from do not allow it, or when
    the buyer has it already; OverBudget when the
    wallet does not cover it; Invalid (also for a coupon, with a sentence that says why), NotFound, Forbidden. After an error nothing has moved."""
    buyer = require_namespace(actor, buyer_namespace, Action.NAMESPACE_BUY)
    if not key or len(key) > 80:
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    earlier = Order.objects.filter(buyer=buyer, key=key).select_related("plan", "listing", "redemption__coupon").first()
    if earlier is not None:
        return _same(earlier, plan_uuid, quantity, coupon)
    plan = require_plan(actor, plan_uuid)
    taken = coupons.find(plan, coupon)
    quote = reckon(plan, quantity, taken)
    chain = royalties.chain_of(plan.listing) if quote.total_minor else []
    try:
        royalties.require_accepted(plan.listing, chain)
    except Conflict:
        royalties.ask_seller(plan.listing, chain)
        raise
    with transaction.atomic():
        # The wallet's lock makes one buyer's orders wait for each other, so that the checks below hold until the end.
        # Paid or not, it comes first: all money is locked in one go, before the locks that everybody needs (audit, search).
        wallet = ledger.wallet(buyer, plan.currency)
        ledger.lock([wallet, *_shared_accounts(plan, chain)] if quote.total_minor else [wallet])
        earlier = (
            Order.objects.filter(buyer=buyer, key=key).select_related("plan", "listing", "redemption__coupon").first()
        )
        if earlier is not None:
            return _same(earlier, plan_uuid, quantity, coupon)
        plan = Plan.objects.select_related("listing__namespace").get(pk=plan.pk)
        _check_on_sale(actor, plan, buyer)
        if taken is not None:
            taken = coupons.lock(taken)
            coupons.check(taken, plan, buyer)
        order = Order.objects.create(
            buyer=buyer,
            seller=plan.listing.namespace,
            listing=plan.listing,
            plan=plan,
            quantity=quantity,
            total_minor=quote.total_minor,
            discount_minor=quote.discount_minor,
            currency=plan.currency,
            fee_percent=settings.PLATFORM_FEE_PERCENT,
            key=key,
            payment_backend=backend_of(buyer, plan.currency, quote.total_minor) if quote.total_minor else "",
            placed_by_id=actor.user_id,
        )
        if taken is not None:
            coupons.redeem(taken, order)
        if not quote.total_minor:
            return fulfil(actor, order)
        royalties.note_on(order, chain)
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
            total=str(Money(quote.total_minor, plan.currency)),
        )
    return order


def _shared_accounts(plan: Plan, chain: "list[Upstream]") -> list[AccountRef]:
    return [
        ledger.clearing(plan.currency),
        ledger.fees(plan.currency),
        ledger.earnings(plan.listing.namespace, plan.currency),
        *royalties.accounts_for(chain, plan.currency),
    ]


def _same(order: Order, plan_uuid: "UUID", quantity: int, coupon: str) -> Order:
    asked = (str(plan_uuid), quantity, coupons.normalised(coupon))
    if (str(order.plan.uuid), order.quantity, order.coupon_code) != asked:
        raise Conflict("This idempotency key was used for another order.", code="key_reused", order=str(order.uuid))
    return order


def _check_on_sale(actor: Actor, plan: Plan, buyer: "Namespace") -> None:
    listing: Listing = plan.listing
    check_offered(plan, buyer)
    kind = SubjectKind(listing.subject_kind)
    subject = require_subject(system("market"), kind, listing.subject_uuid)
    check_sellable(kind, subject, listing.channel)
    require_licences(actor, listing, subject, is_paid=plan.kind != PlanKind.FREE)
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
