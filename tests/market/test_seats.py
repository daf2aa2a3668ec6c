"""Seats: only those who were given one have access, and only as long as they belong."""

import hashlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from accounts.permissions import Action, Role
from accounts.services import members, teams
from common import clock
from common.errors import Conflict, Forbidden, Invalid, NotFound
from compute.endpoint_policies import can as can_call
from compute.endpoint_serving import serving_table
from market.models import Entitlement, SeatHolder
from market.seat_policies import seating_of
from market.services.entitlements import freeze_entitlement, unfreeze_entitlement
from market.services.ledger import wallet
from market.services.orders import place_order
from market.services.quotes import quote
from market.services.refunds import refund_order
from market.services.renewals import renew_due
from market.services.seats import give_seat, settle_seats, take_seat
from notices.models import Notice
from registry.models import Repo
from registry.policies import can
from tests.factories.accounts import make_token
from tests.factories.market import (
    SYSTEM,
    agreed,
    balance,
    digest_of,
    give_credits,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.api import Caller

PER_SEAT = {"kind": "one_time", "price_minor": 500, "per_seat": True}


@pytest.fixture
def world(db):
    """`clinic` has members ann, bob and cem; ann and bob are its team `ward`. `shop` sells a dataset by the seat."""
    shop, clinic = make_company("shop"), make_company("clinic")
    organization = clinic.namespace.organization
    people = {name: make_person(name) for name in ("ann", "bob", "cem")}
    for person in people.values():
        members.add_member(SYSTEM, organization, person.user, Role.MEMBER)
    ward = teams.create_team(clinic.actor, organization, "ward")
    for name in ("ann", "bob"):
        teams.add_to_team(clinic.actor, ward, name)
    give_credits(clinic, 10_000)
    repo = make_version(shop).repo
    listing = make_listing(shop, repo, PER_SEAT)
    repo.refresh_from_db()
    return SimpleNamespace(
        shop=shop, clinic=clinic, organization=organization, ward=ward, repo=repo, listing=listing, **people
    )


def bought(world, seats: int, *, key: str = "k1") -> Entitlement:
    arguments = {**agreed(plan_of(world.listing)), "quantity": seats, "key": key}
    return place_order(world.clinic.actor, buyer_namespace="clinic", **arguments).entitlement


def reading(world) -> list[str]:
    people = (world.ann, world.bob, world.cem, world.clinic)
    return [each.user.username for each in people if can(each.actor, world.repo, Action.REPO_READ)]


def test_the_seats_of_an_organisation_by_the_api(world, client) -> None:
    owner, ann = Caller(client, make_token(world.clinic.user)), Caller(client, make_token(world.ann.user))
    plan = plan_of(world.listing)
    body = {"buyer": "clinic", "plan": str(plan.uuid), "quantity": 3, "accept_terms": digest_of(plan.uuid)}
    assert owner.call("POST", "orders", body, **{"Idempotency-Key": "k"}).json()["total_minor"] == 1_500
    assert balance(wallet(world.clinic.namespace, "CRD")) == 8_500
    assert reading(world) == []
    path = f"access/{Entitlement.objects.get().uuid}/seats"
    assert ann.call("POST", path, {"holder": "ann"}).status_code == 403
    given = [owner.call("POST", path, {"holder": "clinic/ward"}) for _ in range(2)]
    assert [(each.status_code, each.json()["left"]) for each in given] == [(201, 1)] * 2
    assert reading(world) == ["ann", "bob"]
    assert owner.call("POST", path, {"holder": "cem"}).json()["taken"] == 3
    full = owner.call("POST", path, {"holder": "clinic-owner"})
    assert (full.status_code, full.json()["code"]) == (409, "no_seat_left")
    assert full.json()["detail"] == (
        "clinic-owner needs 1 more seat; of 3 there are none left. Buy more, or take some from others."
    )
    for holder in ("shop-owner", "shop", "clinic"):
        assert owner.call("POST", path, {"holder": holder}).status_code == 400
    (team, cem) = ann.call("GET", path).json()["gifts"]
    assert (team["holder"], team["people"], cem["people"]) == ("clinic/ward", ["ann", "bob"], ["cem"])
    assert owner.call("DELETE", f"{path}/{team['uuid']}").status_code == 204
    assert owner.call("DELETE", f"{path}/{team['uuid']}").status_code == 404
    assert reading(world) == ["cem"]
    assert Caller(client, make_token(world.shop.user)).call("GET", path).status_code == 404


def test_on_the_page(world, client) -> None:
    entitlement = bought(world, 2)
    page = f"/library/seats/{entitlement.uuid}"
    client.force_login(world.ann.user)
    assert "Give a seat" not in client.get(page).content.decode()
    assert client.post(page, {"holder": "ann"}).status_code == 403
    client.force_login(world.clinic.user)
    assert "ward (2 seats)" in client.get(page).content.decode()
    assert client.post(page, {"holder": "cem"}).status_code == 302
    refused = client.post(page, {"holder": "clinic/ward"})
    assert (refused.status_code, "needs 2 more seats; of 2 there is 1 left" in refused.content.decode()) == (400, True)
    gift = seating_of(entitlement).gifts[0].uuid
    assert client.post(f"{page}/{gift}/removal").status_code == 302
    assert client.post(page, {"holder": "clinic/ward"}).status_code == 302
    assert reading(world) == ["ann", "bob"]


def test_leaving_frees_the_seat_and_the_longest_waiting_moves_up(world) -> None:
    entitlement = bought(world, 2)
    give_seat(world.clinic.actor, entitlement, "clinic/ward")
    give_seat_to_cem = lambda: give_seat(world.clinic.actor, entitlement, "cem")  # noqa: E731 - said twice below
    with pytest.raises(Conflict):
        give_seat_to_cem()
    teams.add_to_team(world.clinic.actor, world.ward, "cem")
    assert (reading(world), seating_of(entitlement).gifts[0].waiting) == (["ann", "bob"], ["cem"])
    told = Notice.objects.filter(kind="market:seat:missing")
    assert [(each.user, each.text) for each in told] == [
        (world.clinic.user, "cem has no seat for Wine: all 2 are taken.")
    ]
    settle_seats(SYSTEM, world.clinic.namespace.pk)
    assert told.count() == 1
    teams.remove_from_team(world.clinic.actor, world.ward, "ann")
    assert reading(world) == ["bob", "cem"]
    members.remove_member(world.bob.actor, world.organization, "bob")
    assert reading(world) == ["cem"]
    teams.delete_team(world.clinic.actor, world.ward)
    assert (reading(world), SeatHolder.objects.count(), seating_of(entitlement).left) == ([], 0, 2)
    give_seat_to_cem()
    assert reading(world) == ["cem"]


def test_somebody_with_two_gifts_sits_once_and_keeps_the_seat_until_both_are_gone(world) -> None:
    entitlement = bought(world, 2)
    own = give_seat(world.clinic.actor, entitlement, "ann")
    team = give_seat(world.clinic.actor, entitlement, "clinic/ward")
    assert seating_of(entitlement).left == 0
    take_seat(world.clinic.actor, entitlement, own.uuid)
    assert reading(world) == ["ann", "bob"]
    take_seat(world.clinic.actor, entitlement, team.uuid)
    assert reading(world) == []


def test_a_dispute_and_a_refund_end_access_and_won_money_brings_it_back(world) -> None:
    entitlement = bought(world, 2)
    give_seat(world.clinic.actor, entitlement, "ann")
    freeze_entitlement(SYSTEM, entitlement)
    assert reading(world) == []
    give_seat(world.clinic.actor, entitlement, "bob")
    assert reading(world) == []
    entitlement.refresh_from_db()
    unfreeze_entitlement(SYSTEM, entitlement)
    assert reading(world) == ["ann", "bob"]
    refund_order(world.clinic.actor, entitlement.order, key="r")
    assert reading(world) == []
    with pytest.raises(Conflict):
        give_seat(world.clinic.actor, entitlement, "cem")
    members.remove_member(world.clinic.actor, world.organization, "ann")


def test_who_buys_how_many(world) -> None:
    plan = plan_of(world.listing)
    give_credits(world.cem, 5_000)
    with pytest.raises(Invalid, match="one seat"):
        quote(world.cem.actor, buyer_namespace="cem", plan_uuid=plan.uuid, quantity=2)
    place_order(world.cem.actor, buyer_namespace="cem", **agreed(plan), key="k")
    assert reading(world) == ["cem"]
    with pytest.raises(Invalid):
        bought(world, 10_001)
    first, second = bought(world, 1), bought(world, 1, key="k2")
    give_seat(world.clinic.actor, first, "ann")
    give_seat(world.clinic.actor, second, "bob")
    assert reading(world) == ["ann", "bob", "cem"]
    with pytest.raises(Forbidden):
        give_seat(world.ann.actor, first, "cem")
    with pytest.raises(NotFound):
        give_seat(world.shop.actor, first, "cem")


def test_calls_of_a_seat_are_charged_to_the_organisation_and_only_from_its_own_budget(world) -> None:
    endpoint = make_endpoint(world.shop)
    listing = make_listing(
        world.shop,
        endpoint,
        {**PER_SEAT, "included_units": 10},
        {"kind": "pay_per_use", "price_minor": 2},
        title="Calls",
    )

    def ordered(number: int, quantity: int) -> Entitlement:
        arguments = {**agreed(plan_of(listing, number)), "quantity": quantity, "key": f"c{number}"}
        return place_order(world.clinic.actor, buyer_namespace="clinic", **arguments).entitlement

    def drawn_by(person) -> list[tuple[str, int]]:
        text = make_token(person.user)
        table = serving_table()
        credential = table.credentials[hashlib.sha256(text.encode()).hexdigest()]
        seats = table.seats(credential, table.by_slug[endpoint.slug])
        assert {seat.payer for seat in seats} == {world.clinic.namespace.uuid}
        return sorted(budget.pk for seat in seats for budget in seat.budgets)

    seats, pack = ordered(1, 2), ordered(2, 100)
    assert seats.granted_units == 20
    give_seat(world.clinic.actor, seats, "ann")
    assert can_call(world.ann.actor, endpoint, Action.ENDPOINT_USE)
    everybody, seated = drawn_by(world.bob), drawn_by(world.ann)
    assert (len(everybody), len(seated), set(everybody) < set(seated)) == (1, 2, True)
    assert pack.seats is None


def test_a_renewed_subscription_keeps_its_seats(world) -> None:
    monthly = {"kind": "subscription", "interval": "month", "price_minor": 100, "per_seat": True}
    listing = make_listing(world.shop, make_version(world.shop, "news").repo, monthly, title="News")
    start = datetime(2026, 3, 1, tzinfo=UTC)
    with clock.frozen(start):
        arguments = {**agreed(plan_of(listing)), "quantity": 2, "key": "k"}
        first = place_order(world.clinic.actor, buyer_namespace="clinic", **arguments).entitlement
        give_seat(world.clinic.actor, first, "bob")
    told = Notice.objects.filter(kind="market:seat:used").count()
    with clock.frozen(start + timedelta(days=31)):
        renew_due()
        renew_due()
    first.refresh_from_db()
    second = Entitlement.objects.get(holder=world.clinic.namespace, revoked_at=None)
    assert (first.revoked_at is not None, second.seats, second.order.total_minor) == (True, 2, 200)
    repo = Repo.objects.get(uuid=second.subject_uuid)
    assert [each.user.username for each in (world.ann, world.bob) if can(each.actor, repo, Action.REPO_READ)] == ["bob"]
    assert [gift.user_id for gift in second.gifts.all()] == [world.bob.user.pk]
    assert Notice.objects.filter(kind="market:seat:used").count() == told
