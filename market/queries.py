"""What is seen of the market once inside: money, purchases, sales. Amounts are minor units of the currency beside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from django.db.models import Count, Model, Prefetch, Q, QuerySet, Sum

from accounts.actors import Actor
from common.money import Money
from common.pagination import Page, keyset_page
from market.models import (
    Account,
    AccountKind,
    Coupon,
    Dispute,
    Entitlement,
    LedgerEntry,
    Listing,
    Order,
    Plan,
    SeatHolder,
    Subscription,
)
from market.next_call import NextCall, next_call
from market.policies import public_plans, usable_entitlements, visible_listings
from market.rating import charge_upto
from market.services.entitlements import pack_of
from market.states import ListingState, PlanKind, SubjectKind
from metering.queries import used_of_sources

if TYPE_CHECKING:
    from accounts.models import Namespace

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Balances:
    """The money of a namespace in one currency."""

    currency: str
    wallet_minor: int = 0
    held_minor: int = 0
    """Paid for calls that have not been charged yet."""
    earnings_minor: int = 0


def balance(namespace: "Namespace", currency: str) -> Money:
    """What is in the wallet. One query."""
    amount = Account.objects.filter(namespace=namespace, kind=AccountKind.WALLET, currency=currency).values_list(
        "balance_minor", flat=True
    )
    return Money(amount.first() or 0, currency)


def wallets(namespaces: "Iterable[Namespace]", currency: str) -> dict[int, Money]:
    """What is in the wallet of each, by primary key. One query."""
    pks = [each.pk for each in namespaces]
    rows = Account.objects.filter(namespace__in=pks, kind=AccountKind.WALLET, currency=currency)
    held = dict(rows.values_list("namespace_id", "balance_minor"))
    return {pk: Money(held.get(pk, 0), currency) for pk in pks}


def balances(namespace: "Namespace") -> list[Balances]:
    """All balances of a namespace, by currency. One query."""
    rows = (
        Account.objects.filter(namespace=namespace)
        .values("currency", "kind")
        .annotate(total=Sum("balance_minor"))
        .order_by("currency")
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["currency"], {})[row["kind"]] = row["total"]
    return [
        Balances(
            currency,
            kinds.get(AccountKind.WALLET, 0),
            kinds.get(AccountKind.HELD, 0),
            kinds.get(AccountKind.EARNINGS, 0),
        )
        for currency, kinds in found.items()
    ]


def statement(
    namespace: "Namespace",
    *,
    kind: AccountKind | str = AccountKind.WALLET,
    currency: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[LedgerEntry]:
    """The movements of the wallet (or earnings) of a namespace, newest first, with transaction, order and the balance after each.
    Two queries a page, on the index (account, -id)."""
    accounts = Account.objects.filter(namespace=namespace, kind=kind)
    if currency:
        accounts = accounts.filter(currency=currency)
    pks = list(accounts.values_list("pk", flat=True))
    entries = LedgerEntry.objects.filter(account_id__in=pks).select_related(
        "transaction__order__listing", "transaction__order__buyer", "transaction__reverses", "account"
    )
    return keyset_page(entries, order=("-pk",), cursor=cursor, limit=limit)


@dataclass(frozen=True)
class Earned:
    """What one listing brought its seller in a period."""

    listing: Listing
    currency: str
    earned_minor: int
    """What came to the seller in the period after the platform's fee, refunds taken off; from the ledger, so prepaid calls
    count as they are made."""
    orders: int
    """Orders paid in the period, refunded ones included."""
    gross_minor: int
    """What they cost their buyers; prepaid calls count when they are bought."""
    refunded_minor: int


def earnings_by_listing(
    namespace: "Namespace", *, since: datetime | None = None, until: datetime | None = None
) -> list[Earned]:
    """What a namespace sold by listing and currency in [since, until), most money first. Three queries."""
    orders = _within(Order.objects.filter(seller=namespace, paid_at__isnull=False), "paid_at", since, until)
    sold = {
        (row["listing_id"], row["currency"]): row
        for row in orders.values("listing_id", "currency").annotate(
            count=Count("pk"), gross=Sum("total_minor"), refunded=Sum("refunded_minor")
        )
    }
    # what belongs to no order is no sale: payouts
    entries = LedgerEntry.objects.filter(
        account__namespace=namespace, account__kind=AccountKind.EARNINGS, transaction__order__isnull=False
    )
    earned = {
        (row["transaction__order__listing_id"], row["account__currency"]): row["total"]
        for row in _within(entries, "transaction__at", since, until)
        .values("transaction__order__listing_id", "account__currency")
        .annotate(total=Sum("amount_minor"))
    }
    keys = sold.keys() | earned.keys()
    listings = Listing.objects.select_related("namespace").in_bulk([pk for pk, _ in keys])
    found = []
    for key in keys:
        row = sold.get(key, {"count": 0, "gross": 0, "refunded": 0})
        found.append(Earned(listings[key[0]], key[1], earned.get(key, 0), row["count"], row["gross"], row["refunded"]))
    return sorted(found, key=lambda each: (-each.earned_minor, each.listing.pk, each.currency))


def earned_between(
    namespace: "Namespace", currency: str, *, since: datetime | None = None, until: datetime | None = None
) -> Money:
    """What came to a seller's earnings in [since, until), after fees and refunds: from the ledger. One query."""
    entries = LedgerEntry.objects.filter(
        account__namespace=namespace,
        account__kind=AccountKind.EARNINGS,
        account__currency=currency,
        transaction__order__isnull=False,
    )
    entries = _within(entries, "transaction__at", since, until)
    return Money(entries.aggregate(total=Sum("amount_minor"))["total"] or 0, currency)


def orders_of(namespace: "Namespace", *, cursor: str | None = None, limit: int = 50) -> Page[Order]:
    """What a namespace bought, newest first, with plan, listing and seller."""
    orders = Order.objects.filter(buyer=namespace).select_related(
        "plan", "listing__namespace", "buyer", "seller", "entitlement", "redemption__coupon"
    )
    return keyset_page(orders, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def disputes_of(order: Order) -> list[Dispute]:
    """Disputes of an order's payment, oldest first; there are seldom more than one. One query."""
    return list(Dispute.objects.filter(order=order).order_by("opened_at", "pk")[:50])


def sales_of(namespace: "Namespace", *, cursor: str | None = None, limit: int = 50) -> Page[Order]:
    """What a namespace sold, newest first, with plan, listing and buyer."""
    orders = Order.objects.filter(seller=namespace, paid_at__isnull=False).select_related(
        "plan", "listing__namespace", "buyer", "seller", "entitlement", "redemption__coupon"
    )
    return keyset_page(orders, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


@dataclass(frozen=True)
class Access:
    """One thing a namespace has bought, and how far it has used it."""

    entitlement: Entitlement
    used_units: int | None
    """None: nothing to call."""
    left_units: int | None
    """None: without limit, or nothing to call."""
    charged_minor: int
    """Cost of the calls made so far, charged or about to be; prepaid plans only."""
    next_call: NextCall | None
    """What the next call costs; None: nothing to call."""
    subscription: Subscription | None = None
    """What it comes from, if it is paid again and again."""


def entitlements_of(namespace: "Namespace", *, cursor: str | None = None, limit: int = 50) -> Page[Access]:
    """What a namespace has access to through purchases, newest first; what rests, too. A person has their seats of what organisations
    bought. Two queries a page."""
    theirs = Q(holder=namespace)
    if namespace.user_id is not None:
        theirs |= Q(pk__in=SeatHolder.objects.filter(user_id=namespace.user_id).values("entitlement_id"))
    live = Entitlement.objects.filter(theirs, revoked_at__isnull=True).select_related(
        "order__plan", "listing__namespace", "holder", "order__term__subscription"
    )
    page = keyset_page(live, order=("-created_at", "-pk"), cursor=cursor, limit=limit)
    used = used_of_sources([entitlement.source for entitlement in page.items])
    return Page([_access(entitlement, used.get(entitlement.source)) for entitlement in page.items], page.next_cursor)


def access_of(entitlement: Entitlement) -> Access:
    """`Access` of one entitlement. One query."""
    return _access(entitlement, used_of_sources([entitlement.source]).get(entitlement.source))


def with_offers() -> "Prefetch[str]":
    """The plans of listings that everybody can order now, in `offers`: private offers are for their buyers alone."""
    return Prefetch("plans", public_plans(), to_attr="offers")


def listing_for(actor: Actor, subject_uuid: UUID) -> Listing | None:
    """The listing on which `actor` could get a subject, with the plans on sale in `offers`; None when it isn't sold. Two queries."""
    return listings_for(actor, [subject_uuid]).get(subject_uuid)


def listings_for(actor: Actor, subject_uuids: Iterable[UUID]) -> dict[UUID, Listing]:
    """`listing_for` many subjects at once, by the subject's uuid. Two queries."""
    found = visible_listings(actor).filter(subject_uuid__in=list(subject_uuids), state=ListingState.PUBLISHED)
    return {listing.subject_uuid: listing for listing in found.order_by("-pk").prefetch_related(with_offers())}


def entitlement_for(actor: Actor, listing: Listing) -> Entitlement | None:
    """The newest live entitlement from a listing that opens it to the actor."""
    return usable_entitlements(actor).filter(listing=listing).order_by("-pk").first()


def listings_open_to(actor: Actor, listings: Iterable[Listing]) -> set[int]:
    """Of these listings the primary keys of those that a live entitlement opens to the actor. One query."""
    return set(usable_entitlements(actor).filter(listing__in=list(listings)).values_list("listing_id", flat=True))


def _within(rows: QuerySet[Row], field: str, since: datetime | None, until: datetime | None) -> QuerySet[Row]:
    bounds = {f"{field}__gte": since, f"{field}__lt": until}
    return rows.filter(**{name: at for name, at in bounds.items() if at is not None})


def _access(entitlement: Entitlement, used: int | None) -> Access:
    granted = entitlement.granted_units
    left = None if granted is None or used is None else max(0, granted - used)
    is_prepaid = entitlement.order.plan.kind == PlanKind.PAY_PER_USE
    charged = charge_upto(pack_of(entitlement), used or 0) if is_prepaid else 0
    following = next_call(entitlement, used or 0) if entitlement.subject_kind == SubjectKind.ENDPOINT else None
    term = getattr(entitlement.order, "term", None) if entitlement.order.plan.kind == PlanKind.SUBSCRIPTION else None
    return Access(entitlement, used, left, charged, following, term.subscription if term else None)


def coupons_of(coupons: QuerySet[Coupon]) -> QuerySet[Coupon]:
    """With the number of orders that have each now, as `used`."""
    return coupons.annotate(used=Count("redemptions", filter=Q(redemptions__returned_at__isnull=True)))


def listings_of(seller: "Namespace") -> QuerySet[Listing]:
    """What a namespace lists, in any state."""
    return Listing.objects.filter(namespace=seller)


def plans_of(seller: "Namespace") -> QuerySet[Plan]:
    """The plans of what a namespace lists, private and retired ones too; listings joined."""
    return Plan.objects.filter(listing__namespace=seller).select_related("listing")


def endpoint_listings_of(namespace: "Namespace") -> list[Listing]:
    """The listings of endpoints that a namespace has live access to, by title; sellers joined. One query."""
    live = Entitlement.objects.filter(holder=namespace, subject_kind=SubjectKind.ENDPOINT, revoked_at__isnull=True)
    return list(Listing.objects.filter(pk__in=live.values("listing_id")).select_related("namespace").order_by("title"))
