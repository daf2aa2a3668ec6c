"""Money asked back, by the API as buyer, seller and operator: decided, declined, taken to the operator, late."""

from datetime import timedelta

import pytest

from accounts.models import AuditRecord
from common import clock
from market.models import Entitlement
from market.services.ledger import earnings, verify_ledger, wallet
from market.services.orders import place_order
from market.services.return_requests import escalate_late
from notices.models import Notice
from tests.factories.accounts import make_token, make_user
from tests.factories.market import (
    agreed,
    balance,
    give_credits,
    make_company,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.api import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def trade(client, settings):
    settings.PLATFORM_FEE_PERCENT = 10
    seller, buyer = make_company("vineyard"), make_company("tasters")
    give_credits(buyer, 10_000)
    listing = make_listing(seller, make_version(seller).repo, {"kind": "one_time", "price_minor": 2000})
    order = place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key="k")
    people = {"seller": seller.user, "buyer": buyer.user, "staff": make_user("steve", is_staff=True)}
    callers = {name: Caller(client, make_token(user, "*")) for name, user in people.items()}
    return order, seller, buyer, callers


def ask(callers, order, amount=2000, key="r1", text="It does not do what it says."):
    body = {"amount_minor": amount, "text": text}
    return callers["buyer"].call("POST", f"orders/{order.uuid}/return-requests", body, **{"Idempotency-Key": key})


def put(callers, who, made, **body):
    return callers[who].call("PUT", f"return-requests/{made['uuid']}/decision", body)


def test_asked_talked_about_and_given_back_in_part(trade):
    order, seller, buyer, callers = trade
    asked = ask(callers, order)
    assert asked.status_code == 201, asked.json()
    made = asked.json()
    assert ask(callers, order).json() == made, "the key makes it once"
    assert ask(callers, order, key="r2").json()["code"] == "one_waits"
    (waiting,) = callers["seller"].call("GET", "return-requests?state=open").json()["items"]
    assert (waiting["uuid"], waiting["sides"], waiting["asked_minor"]) == (made["uuid"], ["seller"], 2000)
    said = callers["seller"].call("POST", f"return-requests/{made['uuid']}/messages", {"text": "Which file?"})
    assert said.status_code == 201
    callers["buyer"].call("POST", f"return-requests/{made['uuid']}/messages", {"text": "data.csv"})
    assert put(callers, "buyer", made, is_accepted=True).status_code == 403
    assert put(callers, "seller", made, is_accepted=True, amount_minor=2001).status_code == 400
    for _ in range(2):
        done = put(callers, "seller", made, is_accepted=True, amount_minor=500, text="A part is fair.")
        assert (done.status_code, done.json()["state"], done.json()["refunded_minor"]) == (200, "accepted", 500)
    order.refresh_from_db()
    assert (order.state, order.refunded_minor) == ("fulfilled", 500)
    assert balance(wallet(buyer.namespace, "CRD")) == 8_500
    assert balance(earnings(seller.namespace, "CRD")) == 1_350
    thread = callers["buyer"].call("GET", f"return-requests/{made['uuid']}/messages").json()["items"]
    assert [(each["step"], each["side"]) for each in thread] == [
        ("asked", "buyer"), ("wrote", "seller"), ("wrote", "buyer"), ("accepted", "seller"),
    ]  # fmt: skip
    told = Notice.objects.filter(kind__startswith="market:return:").values_list("user__username", "kind")
    assert set(told) == {
        ("vineyard-owner", "market:return:asked"), ("tasters-owner", "market:return:wrote"),
        ("vineyard-owner", "market:return:wrote"), ("tasters-owner", "market:return:accepted"),
    }  # fmt: skip
    back = callers["buyer"].call("GET", f"orders/{order.uuid}/refunds").json()
    assert ([each["amount_minor"] for each in back["items"]], back["left_minor"]) == ([500], 1500)
    assert ask(callers, order, amount=1500, key="r2").status_code == 201, "what is left may be asked for"


def test_declined_taken_to_the_operator_and_given_back_whole(trade):
    order, seller, buyer, callers = trade
    made = ask(callers, order).json()
    early = callers["buyer"].call("POST", f"return-requests/{made['uuid']}/escalation", {"text": "Now!"})
    assert (early.status_code, early.json()["code"]) == (409, "seller_has_time")
    assert put(callers, "seller", made, is_accepted=False).status_code == 400, "a sentence is needed"
    assert put(callers, "seller", made, is_accepted=False, text="You read it all.").json()["state"] == "declined"
    assert ask(callers, order, key="r2").json()["code"] == "declined_before"
    assert put(callers, "staff", made, is_accepted=True).status_code == 403
    for _ in range(2):
        up = callers["buyer"].call("POST", f"return-requests/{made['uuid']}/escalation", {"text": "I did not."})
        assert up.json()["state"] == "escalated"
    assert put(callers, "seller", made, is_accepted=False, text="No.").status_code == 403
    (waiting,) = callers["staff"].call("GET", "return-requests?side=operator&state=escalated").json()["items"]
    assert waiting["sides"] == ["operator"]
    assert callers["seller"].call("GET", "return-requests?side=operator").status_code == 403
    assert put(callers, "staff", made, is_accepted=True).json()["refunded_minor"] == 2000
    order.refresh_from_db()
    assert (order.state, balance(wallet(buyer.namespace, "CRD"))) == ("refunded", 10_000)
    assert balance(earnings(seller.namespace, "CRD")) == 0
    assert Entitlement.objects.get(order=order).revoked_at is not None
    assert Notice.objects.filter(kind="market:return:escalated", user__username="steve").count() == 1
    tags = AuditRecord.objects.filter(tag__startswith="market:return:").values_list("tag", flat=True)
    assert set(tags) == {f"market:return:{deed}" for deed in ("asked", "declined", "escalated", "accepted")}
    assert verify_ledger().is_sound


def test_a_late_one_goes_to_the_operator_by_itself_and_no_is_final(trade, monkeypatch):
    order, _, _, callers = trade
    made = ask(callers, order, amount=100).json()
    assert escalate_late() == 0
    present = clock.now()
    monkeypatch.setattr(clock, "now", lambda: present + timedelta(days=6))
    monkeypatch.setattr("market.services.return_requests.now", clock.now)
    assert (escalate_late(), escalate_late()) == (1, 0)
    assert put(callers, "seller", made, is_accepted=True).status_code == 403
    assert put(callers, "staff", made, is_accepted=False, text="It is as described.").json()["state"] == "rejected"
    assert ask(callers, order, key="r2").json()["code"] == "declined_before"
    steps = callers["buyer"].call("GET", f"return-requests/{made['uuid']}/messages").json()["items"]
    assert [(each["step"], each["side"], each["by"]) for each in steps][1] == ("escalated_late", "site", "")


def test_taken_back_or_closed_when_the_order_ends_otherwise(trade):
    order, _, _, callers = trade
    made = ask(callers, order, amount=100).json()
    gone = callers["buyer"].call("POST", f"return-requests/{made['uuid']}/withdrawal")
    assert gone.json()["state"] == "withdrawn"
    assert put(callers, "seller", made, is_accepted=True).json()["code"] == "decided_already"
    again = ask(callers, order, amount=100, key="r2").json()
    undone = callers["seller"].call("POST", f"orders/{order.uuid}/refund", {}, **{"Idempotency-Key": "u"})
    assert undone.status_code == 201
    after = callers["buyer"].call("GET", f"return-requests/{again['uuid']}").json()
    assert (after["state"], after["ended_at"] is not None) == ("closed", True)


def test_the_seller_gives_a_part_back_unasked(trade):
    order, _, _, callers = trade
    path, body = f"orders/{order.uuid}/refunds", {"amount_minor": 300, "reason": "A small present."}
    assert callers["buyer"].call("POST", path, body, **{"Idempotency-Key": "p"}).json()["code"] == "ask_for_it"
    assert callers["seller"].call("POST", path, body).status_code == 400, "no key"
    for _ in range(2):
        made = callers["seller"].call("POST", path, body, **{"Idempotency-Key": "p"})
        assert (made.status_code, made.json()["ended_access"]) == (201, False)
    excess = callers["staff"].call("POST", path, {"amount_minor": 1701}, **{"Idempotency-Key": "q"})
    assert (excess.status_code, excess.json()["code"]) == (400, "more_than_left")
    assert Notice.objects.filter(kind="market:refund:made").count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {"amount_minor": 0, "text": "x"}, {"amount_minor": 2001, "text": "x"}, {"amount_minor": -5, "text": "x"},
        {"amount_minor": 1.5, "text": "x"}, {"amount_minor": 10, "text": " "}, {"amount_minor": 10}, {"text": "x"},
        {"amount_minor": 10**30, "text": "x"}, {"amount_minor": 10, "text": "x" * 5001}, {"amount_minor": 10, "text": "x", "y": 1},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_sentence(trade, body):
    order, _, _, callers = trade
    refused = callers["buyer"].call("POST", f"orders/{order.uuid}/return-requests", body, **{"Idempotency-Key": "k"})
    assert (refused.status_code, bool(refused.json()["detail"])) == (400, True)


def test_strangers_see_nothing(client, trade):
    order, _, _, callers = trade
    made = ask(callers, order).json()
    eve = Caller(client, make_token(make_person("eve").user, "*"))
    assert eve.call("GET", f"return-requests/{made['uuid']}").status_code == 404
    assert eve.call("GET", f"orders/{order.uuid}/refunds").status_code == 404
    assert eve.call("GET", "return-requests?side=buyer").json()["items"] == []
