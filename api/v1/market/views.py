"""Listings, plans, orders, refunds, access and money."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import IDEMPOTENCY_HEADER, KEY_PARAMETER, PAGE_PARAMETERS, View, entity_tag, page_of
from api.v1.market import access_wire, wire
from common.errors import Invalid
from common.pagination import keyset_page
from market import policies, queries, statements
from market.access_details import details_of
from market.search import search_listings
from market.search_index import FACETS
from market.services import listings, orders, refunds, wallet
from market.services.ledger import AccountKind
from market.showing import showings_of

REQUIRED_KEY = OpenApiParameter(
    IDEMPOTENCY_HEADER,
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="Your own name for this act, 1 to 80 characters, unique for ever: repeating it moves no money twice.",
)


class MoneyView(View):
    """A view whose POST moves money: the key is not optional."""

    def key(self) -> str:
        key = self.request.headers.get(IDEMPOTENCY_HEADER, "")
        if not key:
            raise Invalid("Send an Idempotency-Key: it makes repeating safe.", fields={IDEMPOTENCY_HEADER: "missing"})
        return key


class Listings(View):
    @extend_schema(
        responses=wire.ListingSearchPage,
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("search", str, description="Words; the last one may be a beginning."),
            OpenApiParameter("sort", str, enum=["relevance", "popular", "rated", "newest"]),
            *(OpenApiParameter(name, str, many=True, description="A facet.") for name in FACETS),
        ],
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Published listings that the caller may find, with the counts of each facet."""
        params = request.query_params
        page = search_listings(
            self.actor,
            text=params.get("search", "")[:200],
            facets={name: params.getlist(name)[:20] for name in FACETS if params.getlist(name)},
            sort=params.get("sort"),
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        shown = showings_of(page.items)
        response = self.listed(
            [wire.listing(each, each.offers, shown[each.pk]) for each in page.items],  # type: ignore[attr-defined]  # the search joins them
            page.next_cursor,
        )
        response.data |= {"total": page.total, "facets": page.facets}
        return response

    @extend_schema(
        request=wire.ListingNew, responses={201: wire.ListingWire}, parameters=[KEY_PARAMETER], tags=["market"]
    )
    def post(self, request: Request) -> Response:
        """Draft a listing over something of one's own."""
        self.actor.require_authenticated()
        given = self.given(wire.ListingNew)

        def make() -> dict[str, Any]:
            made = listings.create_listing(self.actor, **given)
            return wire.listing(made, [], showings_of([made])[made.pk])

        return self.creating(make)


class ListingView(View):
    """A view of one listing, named by seller and slug."""

    def listing(self, action: Action = Action.LISTING_READ) -> Any:
        return policies.require_listing(self.actor, self.kwargs["namespace"], self.kwargs["slug"], action)

    def answer(self, listing: Any, *, status: int = 200) -> Response:
        body = wire.listing(
            listing, list(policies.plans_on_sale(self.actor, listing)), showings_of([listing])[listing.pk]
        )
        return Response(body, status=status, headers={"ETag": f'"{_tag(listing)}"'})


class Listing(ListingView):
    @extend_schema(responses=wire.ListingWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """One listing with the plans on sale."""
        return self.answer(self.listing())

    @extend_schema(request=wire.ListingChange, responses=wire.ListingWire, tags=["market"])
    def patch(self, request: Request, **names: str) -> Response:
        """Change its texts, facets or visibility."""
        listing = self.listing(Action.LISTING_MANAGE)
        self.check_match(_tag(listing))
        return self.answer(listings.update_listing(self.actor, listing, **self.given(wire.ListingChange, partial=True)))


class Publication(ListingView):
    @extend_schema(request=None, responses={201: wire.ListingWire}, tags=["market"])
    def post(self, request: Request, **names: str) -> Response:
        """Put it into the shop, or into review where that is asked for: `state` says which. Safe to repeat. One that is not ready is
        refused with `not_ready`, and what is missing in `fields`."""
        return self.answer(listings.publish_listing(self.actor, self.listing(Action.LISTING_MANAGE)), status=201)

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, **names: str) -> Response:
        """Take it out of the shop, or back from review; what was bought stays open."""
        listings.withdraw_listing(self.actor, self.listing(Action.LISTING_MANAGE))
        return Response(status=204)


class Plans(ListingView):
    @extend_schema(request=wire.PlanNew, responses={201: wire.PlanWire}, parameters=[KEY_PARAMETER], tags=["market"])
    def post(self, request: Request, **names: str) -> Response:
        """Offer it on one more plan."""
        listing, given = self.listing(Action.LISTING_MANAGE), self.given(wire.PlanNew)
        kind = given.pop("kind")
        given["tiers"] = [(tier["up_to_units"], tier["price_minor"]) for tier in given["tiers"]]
        return self.creating(lambda: wire.plan(listings.add_plan(self.actor, listing, kind, **given)))


class Plan(View):
    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """End the sale of a plan; orders on it stay."""
        listings.retire_plan(self.actor, policies.require_plan(self.actor, uuid, Action.LISTING_MANAGE))
        return Response(status=204)


class Orders(MoneyView):
    @extend_schema(responses=page_of(wire.OrderWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request) -> Response:
        """Orders of the caller's namespaces and sales of those it sells for, newest first."""
        self.actor.require_authenticated()
        page = keyset_page(
            policies.visible_orders(self.actor),
            order=("-created_at", "-pk"),
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        return self.paged(page, wire.order)

    @extend_schema(request=wire.OrderNew, responses={201: wire.OrderWire}, parameters=[REQUIRED_KEY], tags=["market"])
    def post(self, request: Request) -> Response:
        """Buy a plan for a namespace. Above a limit of an organisation's the order waits as `awaiting_approval`."""
        self.actor.require_authenticated()
        given, key = self.given(wire.OrderNew), self.key()

        def make() -> dict[str, Any]:
            made = orders.place_order(
                self.actor,
                buyer_namespace=given["buyer"],
                plan_uuid=given["plan"],
                quantity=given["quantity"],
                key=key,
                coupon=given["coupon"],
                reason=given["reason"],
                accept_terms=given["accept_terms"],
            )
            return wire.order(policies.require_order(self.actor, made.uuid))

        return self.creating(make)


class Order(View):
    @extend_schema(responses=wire.OrderWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One order."""
        return Response(wire.order(policies.require_order(self.actor, uuid)))


class Refund(MoneyView):
    @extend_schema(request=wire.RefundNew, responses={201: wire.OrderWire}, parameters=[REQUIRED_KEY], tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Undo an order: money, access, keys."""
        order, given, key = policies.require_order(self.actor, uuid), self.given(wire.RefundNew), self.key()

        def make() -> dict[str, Any]:
            refunds.refund_order(self.actor, order, reason=given["reason"], key=key)
            return wire.order(policies.require_order(self.actor, uuid))

        return self.creating(make)


class NamespaceView(View):
    """A view of one namespace's money or purchases."""

    def namespace(self, action: Action) -> Any:
        return require_namespace(self.actor, self.kwargs["name"], action)


class Access(NamespaceView):
    @extend_schema(responses=page_of(access_wire.AccessWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """What a namespace has access to through purchases."""
        namespace = self.namespace(Action.NAMESPACE_READ)
        page = queries.entitlements_of(namespace, cursor=self.cursor, limit=self.page_limit())
        details = details_of(self.actor, namespace, [each.entitlement for each in page.items])
        return self.paged(page, lambda each: access_wire.access(each, details[each.entitlement.pk]))


class Wallet(NamespaceView):
    @extend_schema(responses=wire.WalletWire, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """Balances by currency."""
        rows = queries.balances(self.namespace(Action.NAMESPACE_WALLET))
        return Response({"balances": [wire.balance(row) for row in rows]})


class Statement(NamespaceView):
    @extend_schema(
        responses=wire.StatementPage,
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("account", str, enum=["wallet", "earnings"]),
            OpenApiParameter("currency", str, description="With it, opening and closing balance are told."),
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="Wants a currency."),
            OpenApiParameter(
                "until", OpenApiTypes.DATETIME, description="Wants a currency; this instant is not in it."
            ),
        ],
        tags=["market"],
    )
    def get(self, request: Request, name: str) -> Response:
        """Every movement of the wallet or the earnings, newest first, in words and with the balance after it."""
        params = request.query_params
        kind, currency = params.get("account", "wallet"), params.get("currency")
        if kind not in statements.KINDS:
            raise Invalid("account is wallet or earnings.", fields={"account": "unknown"})
        namespace = self.namespace(Action.NAMESPACE_WALLET if kind == "wallet" else Action.NAMESPACE_SELL)
        since, until = self.moment("since"), self.moment("until")
        if currency is None:
            if since or until:
                raise Invalid("Name the currency of the statement.", fields={"currency": "missing"})
            page = queries.statement(namespace, kind=kind, cursor=self.cursor, limit=self.page_limit())
            response = self.paged(page, wire.movement)
            response.data |= {"opening_minor": None, "closing_minor": None}
            return response
        found = statements.statement_of(
            namespace,
            AccountKind(kind),
            currency,
            since=since,
            until=until,
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        response = self.paged(found.page, wire.line)
        response.data |= {
            "opening_minor": found.opening.amount_minor,
            "closing_minor": found.closing.amount_minor,
        }
        return response

    def moment(self, name: str) -> datetime | None:
        raw = self.request.query_params.get(name)
        if not raw:
            return None
        try:
            found = datetime.fromisoformat(raw)
        except ValueError as error:
            raise Invalid(f"{name} is an instant such as 2026-01-31T00:00:00Z.", fields={name: "not a time"}) from error
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class Earnings(NamespaceView):
    @extend_schema(responses=page_of(wire.EarnedWire), tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """What each listing brought."""
        rows = queries.earnings_by_listing(self.namespace(Action.NAMESPACE_SELL))
        return self.listed([wire.earned(row) for row in rows], None)


class Credits(NamespaceView, MoneyView):
    @extend_schema(
        request=wire.CreditsNew, responses={201: wire.WalletWire}, parameters=[REQUIRED_KEY], tags=["market"]
    )
    def post(self, request: Request, name: str) -> Response:
        """Put credits into a wallet; for staff."""
        self.actor.require_authenticated()
        namespace, given, key = require_namespace(self.actor, name), self.given(wire.CreditsNew), self.key()

        def make() -> dict[str, Any]:
            wallet.add_credits(self.actor, namespace, given["amount_minor"], given["currency"], key=key)
            return {"balances": [wire.balance(row) for row in queries.balances(namespace)]}

        return self.creating(make)


def _tag(listing: Any) -> str:
    return entity_tag(listing.uuid, listing.updated_at, listing.state)
