"""Caps by the API and on the page, and being told how far quotas and caps are used."""

from types import SimpleNamespace

import pytest

from accounts.permissions import Role
from accounts.services import members, teams
from common.clock import now
from common.errors import Invalid
from market.services import listings
from market.services.caps import set_cap, warn_of_use
from market.services.orders import place_order
from market.services.seats import give_seat
from metering.meters import Meter
from metering.models import Budget, Cap
from metering.services import usage
from notices.models import Notice
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
    plan_of,
)
from tests.support.api import Caller


@pytest.fixture
def world(db):
    """`clinic` (owner, ben buys, ann is a member and in the team `ward`) has bought 100 calls of `shop`."""
    shop, clinic = make_company("shop"), make_company("clinic")
    organization = clinic.namespace.organization
    ben, ann = make_person("ben"), make_person("ann")
    members.add_member(SYSTEM, organization, ben.user, Role.BUYER)
    members.add_member(SYSTEM, organization, ann.user, Role.MEMBER)
    teams.add_to_team(clinic.actor, teams.create_team(clinic.actor, organization, "ward"), "ann")
    give_credits(clinic, 10_000)
    listing = make_listing(
        shop, make_endpoint(shop), {"kind": "pay_per_use", "price_minor": 2, "included_units": 0}, title="Calls"
    )
    order = place_order(clinic.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), quantity=100, key="k")
    return SimpleNamespace(shop=shop, clinic=clinic, ben=ben, ann=ann, listing=listing, entitlement=order.entitlement)


def test_caps_by_the_api(world, client) -> None:
    owner, ann = Caller(client, make_token(world.clinic.user)), Caller(client, make_token(world.ann.user))
    path = "namespaces/clinic/caps"
    slug = f"shop/{world.listing.slug}"
    assert ann.call("POST", path, {"calls": 5}).status_code == 403
    made = owner.call("POST", path, {"calls": 50, "team": "ward", "listing": slug})
    assert (made.status_code, made.json()["words"]) == (201, "50 calls a month for the team ward, on Calls")
    make_calls(world.entitlement.source, 30)
    dear = owner.call("POST", path, {"amount_minor": 100, "currency": "CRD"}).json()
    assert (dear["used"], dear["limit"], dear["words"]) == (60, 100, "1.00 CRD a month")
    raised = owner.call("POST", path, {"calls": 80, "team": "ward", "listing": slug}).json()
    assert raised["uuid"] != made.json()["uuid"]
    assert [each["limit"] for each in ann.call("GET", path).json()["caps"]] == [100, 80]
    for bad, field in (
        ({}, "calls"),
        ({"calls": 1, "amount_minor": 1, "currency": "CRD"}, "calls"),
        ({"calls": -1}, "calls"),
        ({"amount_minor": 1, "currency": "XXX"}, "currency"),
        ({"calls": 1, "team": "nobody"}, "team"),
        ({"calls": 1, "listing": "shop/nothing"}, "listing"),
        ({"calls": 1, "token": "00000000-0000-0000-0000-000000000001"}, "token"),
    ):
        refused = owner.call("POST", path, bad)
        assert (refused.status_code, set(refused.json()["fields"])) == (400, {field}), bad
    assert ann.call("DELETE", f"caps/{raised['uuid']}").status_code == 403
    assert owner.call("DELETE", f"caps/{raised['uuid']}").status_code == 204
    assert owner.call("DELETE", f"caps/{raised['uuid']}").status_code == 404
    assert Cap.objects.filter(ended_at__isnull=True).count() == 1
    assert Caller(client, make_token(world.shop.user)).call("GET", path).status_code == 403


def test_on_the_page(world, client) -> None:
    page = "/library/caps?owner=clinic"
    client.force_login(world.ann.user)
    assert "Set a cap" not in client.get(page).content.decode()
    client.force_login(world.clinic.user)
    assert "Calls may use whatever was bought." in client.get(page).content.decode()
    assert client.post(page, {"amount": "1,000", "unit": "calls", "team": "ward"}).status_code == 302
    assert client.post(page, {"amount": "2.50", "unit": "CRD"}).status_code == 302
    assert client.post(page, {"amount": "many", "unit": "calls"}).status_code == 400
    assert client.post(page, {"amount": "many", "unit": "CRD"}).status_code == 400
    text = client.get(page).content.decode()
    assert ("1,000 calls a month for the team ward" in text, "2.50 CRD a month" in text) == (True, True)
    cap = Cap.objects.earliest("pk")
    assert client.post(f"/library/caps/{cap.uuid}/removal").status_code == 302
    assert "for the team ward" not in client.get(page).content.decode()


def told() -> list[tuple[str, str]]:
    rows = Notice.objects.filter(kind="market:usage:threshold").order_by("pk")
    return [(row.user.username, row.text.removeprefix("clinic has used ")) for row in rows]


def test_each_threshold_of_a_quota_is_told_once_to_those_who_manage_the_money(world) -> None:
    make_calls(world.entitlement.source, 49)
    assert (warn_of_use(), told()) == (0, [])
    make_calls(world.entitlement.source, 1, first=49)
    assert [warn_of_use(), warn_of_use()] == [1, 0]
    half = "50% of the calls of Calls."
    assert sorted(told()) == [("ben", half), ("clinic-owner", half)]
    make_calls(world.entitlement.source, 50, first=50)
    assert [warn_of_use(), warn_of_use()] == [1, 0]
    spent = "all of the calls of Calls. Further calls are refused until more are bought."
    assert sorted(told()) == sorted((name, text) for name in ("ben", "clinic-owner") for text in (half, spent))


def test_a_cap_on_a_token_is_told_to_its_owner_too(world) -> None:
    make_token(world.ann.user)
    token = world.ann.user.tokens.get().uuid
    cap = set_cap(world.clinic.actor, "clinic", calls=10, token=token)
    Budget.objects.filter(cap=cap).order_by("pk").update(used=0)
    Budget.objects.filter(cap=cap, pk=Budget.objects.filter(cap=cap).earliest("pk").pk).update(used=9)
    assert [warn_of_use(), warn_of_use()] == [1, 0]
    assert {name for name, _ in told()} == {"ann", "ben", "clinic-owner"}
    assert {text for _, text in told()} == {"85% of the cap 10 calls a month for the token a token."}
    with pytest.raises(Invalid):
        set_cap(world.clinic.actor, "clinic", calls=1, team="no-such-team")


def test_the_library_tells_seats_calls_of_each_token_and_caps(world, client) -> None:
    texts = {each.user.username: make_token(each.user) for each in (world.clinic, world.ann)}
    set_cap(world.clinic.actor, "clinic", calls=500)
    budget = Budget.objects.get(source=world.entitlement.source)
    for number in range(3):
        user = (world.ann if number else world.clinic).user
        usage.record(
            usage.Usage(
                Meter.INFERENCE_CALLS, "inference", f"t{number}", 1, budget.subject, now(), budget.holder, budget.pk,
                detail={"token": str(user.tokens.get().uuid)},
            )
        )  # fmt: skip
    by_seat = listings.add_plan(
        world.shop.actor, world.listing, "one_time", price_minor=5, per_seat=True, included_units=7
    )
    order = place_order(world.clinic.actor, buyer_namespace="clinic", **agreed(by_seat), quantity=4, key="s")
    give_seat(world.clinic.actor, order.entitlement, "ann")
    path = "namespaces/clinic/access"
    seats, calls = Caller(client, texts["clinic-owner"]).call("GET", path).json()["items"]
    assert (seats["seats"], calls["seats"], seats["left_units"]) == ({"total": 4, "taken": 1, "left": 3}, None, 28)
    assert [(each["member"], each["token_name"], each["calls"]) for each in calls["used_by"]] == [
        ("ann", "a token", 2),
        ("clinic-owner", "a token", 1),
    ]
    assert calls["caps"] == ["500 calls a month"]
    own = Caller(client, texts["ann"]).call("GET", path).json()["items"][1]["used_by"]
    assert [(each["member"], each["calls"]) for each in own] == [("ann", 2)]
    client.force_login(world.clinic.user)
    page = client.get("/library?owner=clinic").content.decode()
    for text in ("1 of 4 seats taken", "ann, token a token: 2 calls", "Capped: 500 calls a month"):
        assert text in page
