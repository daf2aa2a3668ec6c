"""What one has: since when, until when, by whose purchase, with a seat or without; on the pages and in the API."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.permissions import Role
from accounts.services import members
from common import clock
from compute.endpoint_states import EndpointVisibility
from compute.services import endpoints
from market.models import Entitlement, Order, Subscription
from market.services import listings, recalls, subscriptions
from market.services.caps import set_cap
from market.services.entitlements import freeze_entitlement
from market.services.orders import place_order
from market.services.renewals import renew_due
from market.services.seats import give_seat, take_seat
from tests.factories.accounts import make_token
from tests.factories.market import (
    SYSTEM,
    agreed,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.api import Caller
from tests.support.queries import count_of
from web.links import endpoint_url

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
MONTHLY = {"kind": "subscription", "interval": "month", "price_minor": 1000}


@pytest.fixture
def world(db, client):
    """`clinic` has members ann and bob, and the buyer cyd; `shop` sells."""
    with clock.frozen(START):
        shop, clinic = make_company("shop"), make_company("clinic")
        people = {name: make_person(name) for name in ("ann", "bob", "cyd")}
        for name, person in people.items():
            role = Role.BUYER if name == "cyd" else Role.MEMBER
            members.add_member(SYSTEM, clinic.namespace.organization, person.user, role)
        give_credits(clinic, 100_000)
        everybody = {"shop": shop, "clinic": clinic, **people}
        says = {name: Caller(client, make_token(each.user)) for name, each in everybody.items()}
    return SimpleNamespace(says=says, client=client, **everybody)


def access(world, who: str, owner: str) -> dict[str, dict]:
    rows = world.says[who].call("GET", f"namespaces/{owner}/access").json()["items"]
    return {row["title"]: row for row in rows}


def library(world, who: str, owner: str) -> str:
    world.client.force_login(getattr(world, who).user)
    return " ".join(world.client.get(f"/library?owner={owner}").content.decode().split())


def test_a_seat_is_the_members_own_and_who_has_none_is_told_whom_to_ask(world) -> None:
    plan = {"kind": "subscription", "interval": "month", "price_minor": 500, "per_seat": True, "included_units": 10}
    with clock.frozen(START):
        endpoint = make_endpoint(world.shop)
        endpoints.change_visibility(world.shop.actor, endpoint, EndpointVisibility.PUBLIC)
        listing = make_listing(world.shop, endpoint, plan, title="Digits")
        order = place_order(
            world.clinic.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), quantity=2, key="k"
        )
        gift = give_seat(world.clinic.actor, order.entitlement, "ann")
        make_calls(order.entitlement.source, 3)
    shop = f"listings/shop/{listing.slug}"
    with clock.frozen(START + timedelta(days=3)):
        # ann, by the API: the seat is hers, and by whose purchase
        mine = access(world, "ann", "ann")["Digits"]
        assert (mine["holder"], mine["has_seat"], mine["since"], mine["until"], mine["renews"]) == (
            "clinic",
            True,
            "2026-01-31T12:00:00Z",
            "2026-02-28T12:00:00Z",
            True,
        )
        assert (mine["used_units"], mine["next_call_price"]["included_left"]) == (3, 17)
        found = world.says["ann"].call("GET", f"{shop}/access").json()
        assert (found["access"]["holder"], found["no_seat"]) == ("clinic", None)
        right = world.says["ann"].call("GET", f"{shop}/trial").json()
        assert (right["way"], right["bought_by"], right["by_seat"], right["no_seat"]) == (
            "bought",
            "clinic",
            True,
            None,
        )
        # bob has none: the same pages say so, and who can give one
        assert access(world, "bob", "bob") == {}
        theirs = access(world, "bob", "clinic")["Digits"]
        assert (theirs["has_seat"], theirs["seat_givers"]) == (False, ["clinic-owner", "cyd"])
        found = world.says["bob"].call("GET", f"{shop}/access").json()
        said = "clinic bought it by the seat, and you have none. clinic-owner or cyd can give you one."
        assert (found["access"], found["no_seat"]["sentence"]) == (None, said)
        right = world.says["bob"].call("GET", f"{shop}/trial").json()
        assert (right["way"] in {"none", "trial"}, right["next_call_price"], right["no_seat"]["holder"]) == (
            True,
            None,
            "clinic",
        )
        # the pages
        pages = [f"/{shop}", f"/{shop}/try", endpoint_url("shop", endpoint.name)]
        for who, words, never in (
            ("ann", "You have a seat of what clinic bought.", "you have none"),
            ("bob", said, "seat of what clinic"),
        ):
            world.client.force_login(getattr(world, who).user)
            for page in pages:
                shown = world.client.get(page)
                assert shown.status_code == 200, page
                assert (words in shown.content.decode(), never in shown.content.decode()) == (True, False), (who, page)
        assert ("You have access" in _home(world, "ann"), "You have access" in _home(world, "bob")) == (True, False)
        own = library(world, "ann", "ann")
        for words in ("a seat of clinic", "since 31 Jan 2026", "until 28 Feb 2026, then renewed", "bought by clinic"):
            assert words in own
        assert said in library(world, "bob", "clinic")
        assert "you have a seat" in library(world, "ann", "clinic")
    # renewed, the seat is hers since she sits; taken back, it is gone at once
    with clock.frozen(datetime(2026, 2, 28, 12, tzinfo=UTC)):
        renew_due()
        renewed = access(world, "ann", "ann")["Digits"]
        assert (renewed["since"], renewed["until"]) == ("2026-01-31T12:00:00Z", "2026-03-31T12:00:00Z")
        gift = Entitlement.objects.get(revoked_at=None).gifts.get()
        take_seat(world.cyd.actor, gift.entitlement, gift.uuid)
        assert access(world, "ann", "ann") == {}


def _home(world, who: str) -> str:
    world.client.force_login(getattr(world, who).user)
    return world.client.get("/").content.decode()


def test_every_row_says_since_when_and_until_when(world) -> None:
    def buy(title: str, plan: dict, **more):
        with clock.frozen(START):
            listing = make_listing(world.shop, make_version(world.shop, title.lower()).repo, plan, title=title)
            return place_order(
                world.clinic.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), key=title, **more
            )

    buy("Once", {"kind": "one_time", "price_minor": 500})
    buy("Monthly", MONTHLY)
    cancelled = buy("Cancelled", MONTHLY)
    withdrawn = buy("Withdrawn", MONTHLY)
    with clock.frozen(START):
        offered = make_listing(
            world.shop,
            make_version(world.shop, "offered").repo,
            {"kind": "one_time", "price_minor": 5},
            title="Offered",
        )
        offer = listings.add_plan(
            world.shop.actor,
            offered,
            "one_time",
            price_minor=3,
            offered_to="clinic",
            offer_ends_at=START + timedelta(days=2),
        )
        place_order(world.clinic.actor, buyer_namespace="clinic", **agreed(offer), key="offer")
    with clock.frozen(START + timedelta(days=5)):
        subscriptions.cancel(world.clinic.actor, Subscription.objects.get(order=cancelled))
        listings.withdraw_listing(world.shop.actor, withdrawn.listing)
        rows = access(world, "cyd", "clinic")
        end = "2026-02-28T12:00:00Z"
        assert {title: (row["since"], row["until"], row["renews"], row["state"]) for title, row in rows.items()} == {
            "Once": ("2026-01-31T12:00:00Z", None, False, "open"),
            "Offered": ("2026-01-31T12:00:00Z", None, False, "open"),
            "Monthly": ("2026-01-31T12:00:00Z", end, True, "open"),
            "Cancelled": ("2026-01-31T12:00:00Z", end, False, "open"),
            "Withdrawn": ("2026-01-31T12:00:00Z", end, False, "open"),
        }
        shown = library(world, "cyd", "clinic")
        for words in ("for good", "until 28 Feb 2026, then renewed", "ends on 28 Feb 2026"):
            assert words in shown
        table = b"".join(world.client.get("/library/access.csv?owner=clinic").streaming_content).decode()
        assert "Monthly" in table
        assert (
            table.splitlines()[0]
            .replace('"', "")
            .startswith("listing,kind,seller,bought by,plan,since,until,renews,state")
        )


def test_what_rests_is_there_and_says_why(world) -> None:
    with clock.frozen(START):
        listing = make_listing(world.shop, make_version(world.shop).repo, MONTHLY | {"price_minor": 60_000})
        place_order(world.clinic.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), key="k")
    due = datetime(2026, 2, 28, 12, tzinfo=UTC)
    with clock.frozen(due):
        renew_due()
        row = access(world, "cyd", "clinic")[listing.title]
        # overdue: the days of grace are counted
        assert (row["until"], row["state"]) == ("2026-03-07T12:00:00Z", "open")
    with clock.frozen(due + timedelta(days=7)):
        renew_due()
        row = access(world, "cyd", "clinic")[listing.title]
        assert (row["state"], row["until"], row["renews"]) == ("frozen", "2026-03-07T12:00:00Z", False)
        assert row["reason"] == "Its next period is not paid: access is back as soon as it is."
        shown = library(world, "cyd", "clinic")
        assert row["reason"] in shown
        assert "rests since 7 Mar 2026" in shown
        assert ">Open<" not in shown


def test_a_disputed_payment_and_a_recalled_version_are_said(world) -> None:
    with clock.frozen(START):
        version = make_version(world.shop)
        listing = make_listing(world.shop, version.repo, {"kind": "one_time", "price_minor": 500})
        order = place_order(world.clinic.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), key="k")
        recalls.open_recall(
            world.shop.actor,
            version_uuid=version.uuid,
            category="quality",
            severity="warn",
            reason="It is wrong.",
            advice="Use 2.0.",
        )
        row = access(world, "cyd", "clinic")[listing.title]
        assert (row["state"], row["until"]) == ("recalled", None)
        assert row["reason"] == "The version that it gives was recalled on 31 Jan 2026: It is wrong. Use 2.0."
        Order.objects.update(state="disputed")
        freeze_entitlement(SYSTEM, order.entitlement)
        row = access(world, "cyd", "clinic")[listing.title]
        assert (row["state"], row["reason"]) == (
            "frozen",
            "Its payment is disputed: access rests until that is decided.",
        )
        assert row["reason"] in library(world, "cyd", "clinic")


def test_more_rows_ask_the_database_no_more(world) -> None:
    plan = {"kind": "one_time", "price_minor": 5, "per_seat": True}

    def add(title: str) -> None:
        with clock.frozen(START):
            listing = make_listing(world.shop, make_endpoint(world.shop, title), plan, title=title)
            order = place_order(world.clinic.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), key=title)
            give_seat(world.clinic.actor, order.entitlement, "ann")

    def asked() -> list[int]:
        counts = []
        for who, owner in (("ann", "ann"), ("ann", "clinic"), ("bob", "clinic")):
            world.client.force_login(getattr(world, who).user)
            with CaptureQueriesContext(connection) as captured:
                assert world.client.get(f"/library?owner={owner}").status_code == 200
            counts.append(count_of(captured))
        return counts

    add("one")
    before = asked()
    for title in ("two", "three", "four"):
        add(title)
    assert asked() == before


def test_a_cap_in_the_way_is_told_with_the_price(world) -> None:
    with clock.frozen(START):
        listing = make_listing(world.shop, make_endpoint(world.shop), {"kind": "pay_per_use", "price_minor": 10})
        plan = plan_of(listing)
        name = f"shop/{listing.slug}"
        set_cap(world.clinic.actor, "clinic", calls=20, listing=name)
        set_cap(world.clinic.actor, "clinic", calls=100_000)

        def told(quantity: int) -> list[dict]:
            path = f"plans/{plan.uuid}/quote?buyer=clinic&quantity={quantity}"
            return world.says["cyd"].call("GET", path).json()["caps"]

        assert told(20) == []
        (cap,) = told(100)
        assert (cap["left"], cap["needed"], cap["ends_at"]) == (20, 100, "2026-02-01T00:00:00Z")
        assert cap["sentence"].endswith("leaves 20 of 100 calls: calls beyond it are refused until 1 Feb 2026.")
        world.client.force_login(world.cyd.user)
        page = f"/listings/{name}/checkout?plan={plan.uuid}&buyer_namespace=clinic&quantity=100"
        assert cap["sentence"] in world.client.get(page).content.decode()
        set_cap(world.clinic.actor, "clinic", calls=0, listing=name)
        (cap,) = told(1)
        assert (
            cap["sentence"]
            == f"The cap of 0 calls a month on {listing.title} is used up: calls under it are refused until 1 Feb 2026."
        )
