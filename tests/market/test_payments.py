"""Paying through a provider: every way to hear of a payment ends in the same state, once, whatever goes wrong on the way."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connections
from django.test import Client

from accounts.models import AuditRecord
from common.errors import Busy, Conflict, Unavailable
from market.models import Entitlement, LedgerTransaction, Order, ProviderEvent
from market.services.ledger import verify_ledger, wallet
from market.services.payments import look_at_payment
from market.services.reconciliation import reconcile
from market.services.refunds import refund_order
from market.services.returns import return_payment
from registry.models import Repo
from registry.services.repos import delete_repo
from tests.factories.market import balance, give_credits, make_endpoint, make_listing, plan_of
from tests.support.stripe_server import Fault
from tests.support.stripe_site import FEE, PRICE
from work.loops import run_due
from work.models import Task

PAID = {"provider": FEE - PRICE, "earned": 1799, "fees": 200, "provider_fees": -FEE}


def test_nothing_opens_before_the_money_is_there(shop):
    order = shop.place()
    assert (order.state, order.payment_url) == ("placed", f"{shop.server.url}/c/pay/{order.payment_reference}")
    assert (Entitlement.objects.count(), LedgerTransaction.objects.count()) == (0, 0)


def test_events_fulfil_the_order_once_in_any_order_and_number(shop):
    order = shop.paid()
    assert (order.state, order.payment_url, shop.money()) == ("fulfilled", "", PAID)
    before = LedgerTransaction.objects.count()
    for seed in range(3):
        shop.server.state.pending = [each for each in shop.server.state.objects.values() if each["object"] == "event"]
        shop.tell(order, rng=random.Random(seed), times=5)
    assert (LedgerTransaction.objects.count(), Entitlement.objects.count(), shop.money()) == (before, 1, PAID)
    assert ProviderEvent.objects.filter(processed_at__isnull=True).count() == 0
    assert verify_ledger().is_sound


def test_an_event_is_stored_before_it_is_answered_and_taken_in_later(shop):
    order = shop.place()
    shop.server.state.pay(order.payment_reference)
    shop.server.deliver(shop.post)
    order.refresh_from_db()
    assert (order.state, ProviderEvent.objects.filter(processed_at__isnull=True).count()) == ("placed", 3)
    run_due()
    order.refresh_from_db()
    assert order.state == "fulfilled"


def test_the_way_back_from_the_provider_is_enough(shop):
    order = shop.place()
    client = Client()
    client.force_login(shop.buyer.user)
    address = f"/orders/{order.uuid}/payment"
    assert client.get(address).headers["Location"] == order.payment_url
    shop.server.state.pay(order.payment_reference)
    assert client.get(address).headers["Location"] == f"/orders/{order.uuid}"
    order.refresh_from_db()
    assert (order.state, shop.money()) == ("fulfilled", PAID)
    assert b"Go on with the payment" not in client.get(f"/orders/{order.uuid}").content


def test_a_provider_that_is_away_has_a_clear_page_and_loses_nothing(shop):
    shop.server.faults.append(Fault("reset", times=2))
    order = shop.place()
    assert (order.state, order.payment_reference) == ("placed", "")
    client = Client()
    client.force_login(shop.buyer.user)
    page = client.get(f"/orders/{order.uuid}/payment")
    assert (page.status_code, b"The payment provider does not answer. Nothing is lost" in page.content) == (503, True)
    assert b"Go on with the payment" in client.get(f"/orders/{order.uuid}").content
    assert client.get(f"/orders/{order.uuid}/payment").headers["Location"].startswith(shop.server.url)


@pytest.mark.parametrize("kind", ["lost", "500-done"])
def test_an_answer_that_is_lost_makes_no_second_payment(shop, kind):
    shop.server.faults.append(Fault(kind, "POST /v1/checkout"))
    order = shop.place()
    assert order.payment_reference == ""
    order = look_at_payment(order.pk)
    shop.server.state.pay(order.payment_reference)
    assert shop.tell(order).state == "fulfilled"
    assert shop.money() == PAID


def test_a_payment_of_another_amount_opens_nothing(shop):
    order = shop.place()
    shop.server.state.pay(order.payment_reference)
    shop.server.state.objects[order.payment_reference]["amount_total"] = 1
    with pytest.raises(Conflict, match="amount"):
        look_at_payment(order.pk)
    shop.tell(order)
    assert (order.state, shop.money()) == ("placed", {})
    assert set(ProviderEvent.objects.filter(topic="payment").values_list("problem", flat=True)) == {
        "The payment is not of the order's amount."
    }


def test_a_payment_that_lapses_cancels_the_order(shop):
    order = shop.place()
    shop.server.state.expire(order.payment_reference)
    assert shop.tell(order).state == "cancelled"
    assert AuditRecord.objects.filter(tag="market:order:cancelled").count() == 1


@pytest.mark.parametrize(("is_paid", "state"), [(True, "fulfilled"), (False, "cancelled")])
def test_a_bank_that_takes_days_decides(shop, is_paid, state):
    order = shop.place()
    shop.server.state.pay(order.payment_reference, delayed=True)
    assert shop.tell(order).state == "placed"
    assert Entitlement.objects.count() == 0
    shop.server.state.settle(order.payment_reference, is_paid=is_paid)
    assert shop.tell(order).state == state


@pytest.mark.django_db(transaction=True)
def test_told_of_from_everywhere_at_once_it_happens_once(shop):
    """Every event three times, the way back and the reconciler, in sixteen threads."""
    order = shop.place()
    state = shop.server.state
    state.pay(order.payment_reference)
    events = [event for event in state.pending for _ in range(3)]
    state.pending = []

    def send(event):
        return shop.post(*shop.server.delivery(event))

    def look(_):
        return look_at_payment(order.pk).state

    def in_thread(deed, *arguments):
        for _ in range(50):
            try:
                return deed(*arguments)
            except (Busy, OperationalError):
                continue
            finally:
                connections.close_all()
        raise AssertionError("busy again and again")

    deeds = [(send, event) for event in events] + [(look, None)] * 5 + [(lambda _: run_due(), None)] * 2
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda deed: in_thread(*deed), deeds))
    assert answers[: len(events)] == [200] * len(events)
    run_due()
    order.refresh_from_db()
    assert (order.state, shop.money(), Entitlement.objects.count()) == ("fulfilled", PAID, 1)
    assert (ProviderEvent.objects.count(), verify_ledger().is_sound) == (3, True)


def test_what_is_gone_when_the_money_comes_is_paid_back(shop):
    order = shop.place()
    owner = shop.seller.actor
    delete_repo(owner, repo_of(order))
    shop.server.state.pay(order.payment_reference)
    assert shop.tell(order).state == "cancelled"
    order.refresh_from_db()
    assert order.returned_at is not None
    assert refunds(shop) == [PRICE]
    assert (shop.money(), Entitlement.objects.count()) == ({}, 0)


def repo_of(order):
    return Repo.objects.get(uuid=order.listing.subject_uuid)


def refunds(shop):
    return [each["amount"] for each in shop.server.state.objects.values() if each["object"] == "refund"]


@pytest.mark.parametrize("kind", ["lost", "500", "429", "409"])
def test_a_refund_goes_back_through_the_provider_once(shop, kind):
    order = shop.paid()
    shop.server.faults.append(Fault(kind, "POST /v1/refunds"))
    refund_order(shop.seller.actor, order, key="r1")
    run_due()
    Task.objects.filter(name="market.return_payment").update(run_at=order.created_at)
    run_due()
    shop.server.forget_keys()
    for _ in range(2):
        return_payment(order.pk)
    assert shop.tell(order).state == "refunded"
    assert (refunds(shop), order.returned_at is not None) == ([PRICE], True)
    # what the provider keeps for its work stays with the platform
    assert shop.money() == {"provider": FEE, "provider_fees": -FEE}


def test_a_refund_that_the_bank_sends_back_is_told(shop):
    order = shop.paid()
    refund_order(shop.seller.actor, order, key="r1")
    run_due()
    shop.server.state.fail_refund(next(each for each in shop.server.state.objects if each.startswith("re_")))
    shop.tell(order, times=2)
    assert AuditRecord.objects.filter(tag="market:refund:failed").count() == 1


def test_money_returned_at_the_providers_own_pages_ends_access(shop):
    order = shop.paid()
    intent = shop.server.state.objects[order.payment_reference]["payment_intent"]
    shop.server.state.refund({"payment_intent": intent, "amount": 500})
    assert shop.tell(order).state == "fulfilled"
    shop.server.state.refund({"payment_intent": intent})
    assert shop.tell(order).state == "refunded"
    run_due()
    assert refunds(shop) == [500, PRICE - 500]
    assert AuditRecord.objects.filter(tag="market:refund:elsewhere").count() == 2


def test_money_in_a_wallet_is_spent_first_in_any_currency(shop):
    give_credits(shop.buyer, 2500, currency="EUR")
    order = shop.place("k1")
    assert (order.state, order.payment_backend) == ("fulfilled", "credits")
    assert balance(wallet(shop.buyer.namespace, "EUR")) == 501
    assert shop.place("k2", "Beer").payment_backend == "stripe"
    give_credits(shop.buyer, 100, key="more")
    plan = plan_of(
        make_listing(shop.seller, make_endpoint(shop.seller), {"kind": "pay_per_use", "price_minor": 7}, title="Calls")
    )
    assert shop.order(plan, "k3").state == "fulfilled"


def test_what_no_provider_takes_is_cancelled_with_a_reason(shop):
    order = shop.place(currency="KWD", price_minor=1001)
    assert order.state == "cancelled"
    assert "steps of ten" in AuditRecord.objects.get(tag="market:order:cancelled").detail["reason"]


@pytest.mark.parametrize(
    ("path", "raw", "headers", "status"),
    [
        ("stripe", b"{}", {}, 400),
        ("stripe", b"{}", {"Stripe-Signature": "t=1,v1=00"}, 400),
        ("credits", b"{}", {}, 404),
        ("nobody", b"{}", {}, 404),
        ("stripe", b"x" * (512 * 1024 + 1), {}, 413),
    ],
)
def test_deliveries_that_nobody_signed_are_refused(shop, path, raw, headers, status):
    answer = Client().post(f"/hooks/payments/{path}", raw, content_type="application/json", headers=headers)
    assert (answer.status_code, ProviderEvent.objects.count()) == (status, 0)
    assert Client().get(f"/hooks/payments/{path}").status_code == 405


def test_a_blank_webhook_secret_stops_the_boot(shop, settings):
    for secrets in ((), ("",)):
        settings.PAYMENTS["OPTIONS"]["stripe"]["webhook_secrets"] = secrets
        assert [each.id for each in run_checks() if each.id == "mercato.E006"] == ["mercato.E006"]
    settings.PAYMENTS["OPTIONS"]["stripe"]["webhook_secrets"] = ("whsec_good",)
    assert [each.id for each in run_checks() if each.id == "mercato.E006"] == []


def test_a_week_of_downtime_is_repaired(shop):
    """Nothing arrives for a week: payments, lapses, refunds, disputes, more than a page of events; one run repairs all of it."""
    kept = shop.paid("k0", "Kept")
    orders = [shop.place(f"k{n}", f"Wine{n}") for n in range(1, 5)]
    state = shop.server.state
    for order in orders[:2]:
        state.pay(order.payment_reference)
    state.expire(orders[2].payment_reference)
    refund_order(shop.seller.actor, kept, key="r")
    shop.server.faults.append(Fault("reset", times=100))
    with pytest.raises(Unavailable):
        reconcile()
    Task.objects.filter(name="market.return_payment").delete()
    shop.server.faults.clear()
    lost = state.dispute(orders[1].payment_reference)
    state.close_dispute(lost, is_won=False)
    for _ in range(120):
        state.tell("customer.created", {"object": "customer", "id": "cus_0", "metadata": {}})
    state.pending = []
    found = reconcile()[0]
    states = list(Order.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["refunded", "fulfilled", "lost", "cancelled", "placed"]
    assert (found.new_events > 120, found.repaired >= 4, found.problems) == (True, True, [])
    assert refunds(shop) == [PRICE]
    assert Order.objects.get(pk=kept.pk).returned_at is not None
    # the repairs themselves made events
    reconcile()
    money = shop.money()
    again = reconcile()[0]
    assert (again.new_events, again.repaired, shop.money()) == (0, 0, money)
    assert verify_ledger().is_sound
    # events older than the provider lists them: the objects themselves are enough
    late = shop.place("k9", "Late")
    state.pay(late.payment_reference)
    for event in [each for each in state.objects if each.startswith("evt_")]:
        del state.objects[event]
    assert reconcile(since=late.created_at - timedelta(days=40))[0].new_events == 0
    late.refresh_from_db()
    assert late.state == "fulfilled"
