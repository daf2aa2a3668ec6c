"""Purchases above a limit: asked for, decided once, and then exactly like any other order."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection

from accounts.actors import for_user
from accounts.models import Membership
from accounts.permissions import Role
from accounts.services import members
from common.clock import now
from common.errors import Conflict, DomainError, Forbidden, NotFound, OverBudget
from market.approval_policies import visible_approvals
from market.models import Approval, CouponRedemption, Entitlement, LedgerTransaction, Order
from market.services import approvals, coupons, listings
from market.services.approval_requests import set_limit
from market.services.ledger import verify_ledger, wallet
from market.services.orders import place_order
from notices.models import Notice
from tests.factories.accounts import make_token
from tests.factories.market import (
    SYSTEM,
    agreed,
    balance,
    digest_of,
    give_credits,
    make_company,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.api import Caller

PRICE = 2_000


@pytest.fixture
def world(db):
    """`clinic` (owner, ben buys, ada approves) has a limit of 10 credits; `shop` sells for 20."""
    shop, clinic = make_company("shop"), make_company("clinic")
    ben, ada = make_person("ben"), make_person("ada")
    for person, role in ((ben, Role.BUYER), (ada, Role.APPROVER)):
        members.add_member(SYSTEM, clinic.namespace.organization, person.user, role)
    give_credits(clinic, 10_000)
    set_limit(clinic.actor, "clinic", "CRD", 1_000)
    listing = make_listing(shop, make_version(shop).repo, {"kind": "one_time", "price_minor": PRICE})
    return SimpleNamespace(shop=shop, clinic=clinic, ben=ben, ada=ada, listing=listing)


def asked(world, **more) -> Approval:
    arguments = {**agreed(plan_of(world.listing)), "key": "k1", **more}
    order = place_order(world.ben.actor, buyer_namespace="clinic", **arguments)
    assert order.state == "awaiting_approval"
    return order.approval


def spent(world) -> int:
    return 10_000 - balance(wallet(world.clinic.namespace, "CRD"))


def test_a_buyer_asks_an_approver_decides_and_the_order_goes_on(world, client) -> None:
    ben, ada = Caller(client, make_token(world.ben.user)), Caller(client, make_token(world.ada.user))
    plan = str(plan_of(world.listing).uuid)
    quote = ben.call("GET", f"plans/{plan}/quote?buyer=clinic").json()["approval"]
    assert (quote["limit_minor"], quote["approvers"], quote["days"]) == (1_000, ["ada", "clinic-owner"], 7)
    assert ada.call("GET", f"plans/{plan}/quote?buyer=clinic").json()["approval"] is None
    body = {"buyer": "clinic", "plan": plan, "reason": "For the trial.", "accept_terms": digest_of(plan)}
    made = [ben.call("POST", "orders", body, **{"Idempotency-Key": key}) for key in ("k1", "k1")]
    assert [(each.status_code, each.json()["state"]) for each in made] == [(201, "awaiting_approval")] * 2
    assert (spent(world), Entitlement.objects.count(), LedgerTransaction.objects.count()) == (0, 0, 1)
    (waiting,) = ada.call("GET", "approvals?outcome=waiting").json()["items"]
    assert (waiting["asked_by"], waiting["reason"], waiting["limit_minor"]) == ("ben", "For the trial.", 1_000)
    told = Notice.objects.filter(kind="market:approval:asked").values_list("user__username", flat=True)
    assert sorted(told) == ["ada", "clinic-owner"]
    path = f"approvals/{waiting['uuid']}/decision"
    assert ben.call("POST", path, {"approve": True}).status_code == 403
    done = [ada.call("POST", path, {"approve": True, "comment": "Fine."}) for _ in range(2)]
    assert [(each.status_code, each.json()["order"]["state"]) for each in done] == [(201, "fulfilled")] * 2
    assert done[0].json()["decided_by"] == "ada"
    assert (spent(world), Entitlement.objects.count()) == (PRICE, 1)
    refused = ada.call("POST", path, {"approve": False})
    assert (refused.status_code, refused.json()["code"]) == (409, "decided_already")
    told = Notice.objects.filter(kind="market:approval:approved").values_list("user__username", "text")
    assert dict(told) == {
        "ben": f"ada approved your purchase of {world.listing.title}.",
        "clinic-owner": f"ada approved ben's purchase of {world.listing.title}.",
    }
    assert verify_ledger().is_sound


def test_on_the_pages(world, client) -> None:
    client.force_login(world.ben.user)
    checkout = f"/listings/shop/{world.listing.slug}/checkout?plan={plan_of(world.listing).uuid}"
    asking = client.get(f"{checkout}&buyer_namespace=clinic").content.decode()
    for words in (
        "clinic above 10.00",
        "This waits for an approval",
        "Ask for approval",
        "until ada or clinic-owner approves it",
    ):
        assert words in asking
    assert "Place the order and pay" not in asking
    own = client.get(f"{checkout}&buyer_namespace=ben").content.decode()
    assert ("Ask for approval" in own, "Place the order and pay" in own) == (False, True)
    form = {"buyer_namespace": "clinic", "quantity": 1, "key": "page", "accept": "on", "reason": "A try."}
    form["accept_terms"] = digest_of(plan_of(world.listing).uuid)
    untold = client.post(checkout, form)
    assert (untold.status_code, Order.objects.count()) == (400, 0)
    assert "This order waits for an approval" in untold.content.decode()
    assert client.post(checkout, form | {"asks": "1"}).status_code == 302
    approval = Approval.objects.get()
    page = f"/approvals/{approval.uuid}"
    assert "Approve and buy" not in client.get(page).content.decode()
    assert client.post(f"{page}/decision", {"approve": "1"}).status_code == 403
    client.force_login(world.ada.user)
    assert world.listing.title in client.get("/approvals").content.decode()
    assert "A try." in client.get(page).content.decode()
    assert client.post(f"{page}/decision", {"decline": "1", "comment": "Too dear."}).status_code == 302
    assert Order.objects.get().state == "cancelled"
    assert "declined" in client.get("/approvals?decided=1").content.decode()
    assert spent(world) == 0
    limits = "/organizations/clinic/spending"
    assert client.post(f"{limits}/limits", {"currency": "CRD", "limit": "12.5"}).status_code == 302
    assert "12.50" in client.get(limits).content.decode()
    assert client.post(f"{limits}/limits", {"currency": "CRD", "limit": "much"}).status_code == 400
    assert client.post(f"{limits}/limits", {"currency": "CRD", "limit": ""}).status_code == 302
    assert "There is no limit" in client.get(limits).content.decode()


def test_owners_approvers_and_what_is_within_the_limit_wait_for_nobody(world) -> None:
    set_limit(world.clinic.actor, "clinic", "CRD", PRICE)
    plan = plan_of(world.listing)
    assert place_order(world.ben.actor, buyer_namespace="clinic", **agreed(plan), key="a").state == "fulfilled"
    set_limit(world.clinic.actor, "clinic", "CRD", 0)
    dear = listings.add_plan(world.shop.actor, world.listing, "free")
    assert place_order(world.ben.actor, buyer_namespace="clinic", **agreed(dear), key="b").state == "fulfilled"
    other = make_listing(
        world.shop, make_version(world.shop, "more").repo, {"kind": "one_time", "price_minor": 5}, title="More"
    )
    bought = place_order(world.ada.actor, buyer_namespace="clinic", **agreed(plan_of(other)), key="c")
    assert bought.state == "fulfilled"
    with pytest.raises(Forbidden):
        set_limit(world.ben.actor, "clinic", "CRD", None)


def test_declined_withdrawn_and_lapsed_move_nothing_and_free_the_coupon(world, monkeypatch) -> None:
    coupons.create_coupon(world.shop.actor, "shop", "ONCE", amount_minor=500, currency="CRD", limit_total=1)
    approvals.decline(world.ada.actor, asked(world, coupon="ONCE"), comment="No.")
    second = asked(world, key="k2", coupon="ONCE")
    assert second.order.total_minor == PRICE - 500
    with pytest.raises(Forbidden):
        approvals.withdraw(world.ada.actor, second)
    approvals.withdraw(world.ben.actor, second)
    third = asked(world, key="k3", coupon="ONCE")
    monkeypatch.setattr("market.services.approvals.now", lambda: now() + timedelta(days=8))
    with pytest.raises(Conflict):
        approvals.approve(world.ada.actor, third)
    assert [approvals.lapse_approvals(), approvals.lapse_approvals()] == [1, 0]
    found = Order.objects.order_by("pk").values_list("approval__outcome", "state")
    assert list(found) == [("declined", "cancelled"), ("withdrawn", "cancelled"), ("lapsed", "cancelled")]
    assert not CouponRedemption.objects.filter(returned_at__isnull=True).exists()
    assert (spent(world), Entitlement.objects.count()) == (0, 0)


def test_an_approval_looks_at_everything_again(world) -> None:
    coupon = coupons.create_coupon(
        world.shop.actor, "shop", "ONCE", amount_minor=500, currency="CRD", limit_total=1, limit_per_buyer=1
    )
    first, second = asked(world, coupon="ONCE"), asked(world, key="k2")
    coupons.archive_coupon(world.shop.actor, coupon)
    with pytest.raises(DomainError, match="ended the coupon"):
        approvals.approve(world.ada.actor, first)
    assert CouponRedemption.objects.filter(returned_at__isnull=True).count() == 1
    assert approvals.approve(world.ada.actor, second).outcome == "approved"
    with pytest.raises(Conflict, match="has this already"):
        approvals.approve(world.ada.actor, first)
    approvals.decline(world.ada.actor, first)
    assert (spent(world), Entitlement.objects.count()) == (PRICE, 1)


def test_a_wallet_that_does_not_cover_it_and_a_plan_that_is_gone_leave_it_waiting(world) -> None:
    costly = listings.add_plan(world.shop.actor, world.listing, "one_time", price_minor=50_000)
    approval = asked(world, **agreed(costly))
    with pytest.raises(OverBudget):
        approvals.approve(world.ada.actor, approval)
    listings.retire_plan(world.shop.actor, costly)
    with pytest.raises(Conflict, match="not on sale"):
        approvals.approve(world.ada.actor, approval)
    approval.refresh_from_db()
    assert (approval.outcome, spent(world)) == ("waiting", 0)


def test_strangers_see_nothing_and_those_who_left_decide_nothing(world) -> None:
    approval = asked(world)
    assert not visible_approvals(make_person("eve").actor).exists()
    assert not visible_approvals(world.shop.actor).exists()
    Membership.objects.filter(user=world.ada.user).delete()
    with pytest.raises(NotFound):
        approvals.approve(for_user(world.ada.user), approval)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_approving_and_declining_at_once_one_counts(transactional_db) -> None:
    shop, clinic = make_company("shop"), make_company("clinic")
    ben = make_person("ben")
    members.add_member(SYSTEM, clinic.namespace.organization, ben.user, Role.BUYER)
    give_credits(clinic, 10_000)
    set_limit(clinic.actor, "clinic", "CRD", 0)
    listing = make_listing(shop, make_version(shop).repo, {"kind": "one_time", "price_minor": 2_000})
    order = place_order(ben.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), key="k")

    def decide(number: int) -> str:
        try:
            deed = approvals.approve if number % 2 else approvals.decline
            return deed(clinic.actor, order.approval).outcome
        except Conflict as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(decide, range(6)))
    approval = Approval.objects.get()
    assert outcomes.count(approval.outcome) == outcomes.count("decided_already") == 3
    is_bought = approval.outcome == "approved"
    assert balance(wallet(clinic.namespace, "CRD")) == 10_000 - 2_000 * is_bought
    assert (Entitlement.objects.count(), Order.objects.get().state) == (
        (1, "fulfilled") if is_bought else (0, "cancelled")
    )
    assert verify_ledger().is_sound
