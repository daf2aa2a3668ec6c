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
from market.services import acceptances, coupons, ledger, payments, royalties
from market.services.approval_requests import ask_for_approval, check_reason, limit_for
from market.services.fulfilment import fulfil
from market.services.ledger import AccountRef
from market.services.licences import require_licences
from market.services.payment_backend import backend_of, is_in_ledger
from market.services.quotes import check_offered, check_seats, reckon
from market.states import OrderState, PlanKind, SubjectKind
from market.subjects import check_sellable, require_subject
from market.subscription_queries import has_subscription

OWN_KEYS = "subscription:"
"""How the keys of orders begin that subscriptions place by themselves."""

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Namespace
    from market.services.royalties import Upstream


def place_order(
    actor: Actor,
    *,
    buyer_namespace: str,
    plan_uuid: "UUID",
    quantity: int = 1,
    key: str,
    coupon: str = "",
    reason: str = "",
    accept_terms: str,
) -> Order:
    """Buy a plan for a namespace in which `actor` may buy. With credits everything happens here, in one transaction: order,
    ledger, entitlement, grant, budget, lineage, audit, notices. The wallet pays when it covers
    the whole; else, with a provider, the order stays `placed` and a task asks the provider. `coupon` is a code of the seller's: what
    it takes off is borne by the seller, and the order keeps the coupon until it is cancelled or undone as a whole
    (`coupons.give_back`). Above a limit of the organisation's the order stays `awaiting_approval`, nothing moves, and `reason` is
    told to those who decide (`approvals`). `accept_terms` is the digest of the terms that `actor` accepts (`quotes.quote` tells it);
    the order keeps their text.

    Keyed by buyer and `key` (1 to 80 characters) for ever: the second call returns the first order. Raises Conflict when the
    key was used for something else, when the terms have changed (the error has the new `digest`), when the plan is not on sale, what it sells was found unsafe or does not answer, when the licences of what it was made from do not allow it, or when
    the buyer has it already; OverBudget when the
    wallet does not cover it; Invalid (also for a coupon, with a sentence that says why), NotFound, Forbidden. After an error nothing has moved."""
    buyer = require_namespace(actor, buyer_namespace, Action.NAMESPACE_BUY)
    if not key or len(key) > 80:
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    reason = check_reason(reason)
    if key.startswith(OWN_KEYS):
        raise Invalid(f"Keys that begin with {OWN_KEYS} are made by the market.", fields={"key": "taken"})
    earlier = Order.objects.filter(buyer=buyer, key=key).select_related("plan", "listing", "redemption__coupon").first()
    if earlier is not None:
        return _same(earlier, plan_uuid, quantity, coupon)
    plan = require_plan(actor, plan_uuid)
    taken = coupons.find(plan, coupon)
    quote = reckon(plan, quantity, taken, buyer)
    chain = royalties.chain_of(plan.listing) if quote.total_minor else []
    try:
        royalties.require_accepted(plan.listing, chain)
    except Conflict:
        royalties.ask_seller(plan.listing, chain)
        raise
    with transaction.atomic():
        _lock_money(buyer, plan, chain, quote.total_minor)
        earlier = (
            Order.objects.filter(buyer=buyer, key=key).select_related("plan", "listing", "redemption__coupon").first()
        )
        if earlier is not None:
            return _same(earlier, plan_uuid, quantity, coupon)
        plan = Plan.objects.select_related("listing__namespace").get(pk=plan.pk)
        _check_on_sale(actor, plan, buyer)
        check_seats(plan, buyer, quantity)
        terms = acceptances.check_terms(plan, accept_terms)
        if reckon(plan, quantity, taken, buyer).total_minor != quote.total_minor:
            # a trial that was begun meanwhile
            raise Conflict("The price has changed: look at it again.", code="price_changed")
        if taken is not None:
            taken = coupons.lock(taken)
            coupons.check(taken, plan, buyer)
        limit = limit_for(actor, buyer, plan.currency, quote.total_minor)
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
            state=OrderState.PLACED if limit is None else OrderState.AWAITING_APPROVAL,
            placed_by_id=actor.user_id,
        )
        acceptances.note_acceptance(actor, order, terms)
        if taken is not None:
            coupons.redeem(taken, order)
        if limit is not None:
            ask_for_approval(actor, order, limit, reason)
            return order
        return _go_on(actor, order, chain)


def carry_out(actor: Actor, order: Order) -> Order:
    """Go on with an order that has been approved, in the caller's transaction, which holds the order's lock: everything that placing
    looks at is looked at again, then it is paid and opened. Raises Conflict, also when the price is another one now; OverBudget,
    Invalid, NotFound: the caller's transaction leaves nothing behind then."""
    plan = Plan.objects.select_related("listing__namespace").get(pk=order.plan_id)
    chain = royalties.chain_of(plan.listing)
    royalties.require_accepted(plan.listing, chain)
    _lock_money(order.buyer, plan, chain, order.total_minor)
    _check_on_sale(actor, plan, order.buyer)
    check_seats(plan, order.buyer, order.quantity)
    acceptances.check_again(order, plan)
    taken = coupons.check_again(order, plan)
    quote = reckon(plan, order.quantity, taken, order.buyer)
    if (quote.total_minor, quote.discount_minor) != (order.total_minor, order.discount_minor):
        raise Conflict("It costs something else now: decline it, and have it ordered anew.", code="price_changed")
    return _go_on(actor, order, chain)


def _lock_money(buyer: "Namespace", plan: Plan, chain: "list[Upstream]", total_minor: int) -> None:
    """The wallet's lock makes one buyer's orders wait for each other, so that the checks under it hold until the end. Paid or not, it
    comes first: all money is locked in one go, before the locks that everybody needs (audit, search)."""
    wallet = ledger.wallet(buyer, plan.currency)
    ledger.lock([wallet, *shared_accounts(plan, chain)] if total_minor else [wallet])


def _go_on(actor: Actor, order: Order, chain: "list[Upstream]") -> Order:
    """Take the money of an order that is placed, or ask a provider for it."""
    if order.total_minor:
        order.payment_backend = backend_of(order.buyer, order.currency, order.total_minor)
    order.save(update_fields=["state", "payment_backend"])
    if not order.total_minor:
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
        namespace_id=order.buyer_id,
        total=str(Money(order.total_minor, order.currency)),
    )
    return order


def shared_accounts(plan: Plan, chain: "list[Upstream]") -> list[AccountRef]:
    """The accounts beside the buyer's that an order of a plan moves money through, for one lock."""
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
    if plan.kind == PlanKind.PAY_PER_USE or (plan.per_seat and buyer.is_organization):
        return
    if plan.kind == PlanKind.SUBSCRIPTION:
        if has_subscription(buyer, listing):
            raise Conflict(
                f"{buyer.name} has a subscription of this: change its plan instead.", code="subscribed_already"
            )
        return
    same = Entitlement.objects.filter(holder=buyer, listing=listing, order__plan__kind=plan.kind)
    # a free allowance is given once, also when it was handed back meanwhile
    if not (plan.kind == PlanKind.FREE and plan.included_units is not None):
        same = same.filter(revoked_at__isnull=True)
    if same.exists():
        raise Conflict(f"{buyer.name} has this already.", code="already_bought")
