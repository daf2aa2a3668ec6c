"""Paying through a provider that answers later: every event in every state, in any order, any number of times."""

from itertools import permutations

import pytest

from accounts.actors import for_user
from backends.contracts.payments import EventKind
from backends.payments.fake import FakePayments
from common.errors import Conflict, Gone
from market.models import Entitlement, LedgerTransaction, Order
from market.services import payment_backend
from market.services.ledger import earnings, fees, provider, verify_ledger
from market.services.orders import place_order
from market.services.payments import confirm_payment
from market.services.refunds import refund_order
from tests.factories.market import balance, make_company, make_listing, make_version, plan_of
from work.loops import run_due
from work.models import Task


@pytest.fixture
def fake(settings, monkeypatch):
    settings.PAYMENTS = {"BACKEND": "fake", "OPTIONS": {}}
    backend = FakePayments()
    monkeypatch.setattr(payment_backend, "_loaded", lambda name: backend)
    return backend


@pytest.fixture
def order(db, fake):
    seller, buyer = make_company("vineyard"), make_company("tasters")
    listing = make_listing(
        seller, make_version(seller).repo, {"kind": "one_time", "price_minor": 1999, "currency": "EUR"}
    )
    run_due()
    return place_order(buyer.actor, buyer_namespace=buyer.name, plan_uuid=plan_of(listing).uuid, key="k1")


def tell(fake, order, kind):
    order.refresh_from_db()
    return confirm_payment(fake.parse_event(*fake.report(kind, order.payment_reference)))


def money(order):
    return [balance(provider("EUR")), balance(earnings(order.seller, "EUR")), balance(fees("EUR"))]


def test_nothing_opens_before_the_money_is_there(fake, order):
    assert (order.state, Entitlement.objects.count(), LedgerTransaction.objects.count()) == ("placed", 0, 0)
    run_due()
    order.refresh_from_db()
    assert (order.state, order.payment_url) == ("placed", f"https://pay.invalid/{order.payment_reference}")
    assert Entitlement.objects.count() == 0


def test_the_event_fulfils_the_order_once(fake, order):
    run_due()
    assert tell(fake, order, EventKind.CAPTURED).state == "fulfilled"
    assert tell(fake, order, EventKind.CAPTURED).state == "fulfilled"
    assert money(order) == [-1999, 1799, 200]
    assert (Entitlement.objects.count(), verify_ledger().is_sound) == (1, True)


@pytest.mark.parametrize("events", list(permutations([EventKind.CAPTURED, EventKind.FAILED, EventKind.REFUNDED])))
def test_whatever_order_events_come_in_the_first_decisive_one_counts(fake, order, events):
    run_due()
    for kind in events * 2:
        try:
            tell(fake, order, kind)
        except Gone:
            assert order.state == "cancelled"
    order.refresh_from_db()
    decisive = next(kind for kind in events if kind != EventKind.REFUNDED)
    if decisive == EventKind.CAPTURED:
        assert (order.state, money(order)) == ("fulfilled", [-1999, 1799, 200])
    else:
        assert (order.state, money(order), Entitlement.objects.count()) == ("cancelled", [0, 0, 0], 0)


def test_an_event_over_another_amount_is_refused(fake, order):
    run_due()
    order.refresh_from_db()
    event = fake.parse_event(*fake.report(EventKind.CAPTURED, order.payment_reference))
    with pytest.raises(Conflict) as refusal:
        confirm_payment(type(event)(event.event_id, event.kind, event.reference, 1, event.currency))
    assert (refusal.value.code, Order.objects.get().state, money(order)) == ("amount_differs", "placed", [0, 0, 0])


def test_an_event_about_nothing_of_ours_changes_nothing(fake, order):
    run_due()
    intent = fake.create_intent(key="other", amount_minor=5, currency="EUR", description="")
    assert confirm_payment(fake.parse_event(*fake.report(EventKind.CAPTURED, intent.reference))) is None
    assert Order.objects.get().state == "placed"


def test_an_answer_that_is_lost_makes_no_second_payment(fake, order):
    fake.is_down = fake.loses_answers = True
    run_due()
    order.refresh_from_db()
    assert (order.payment_reference, Task.objects.get(name="market.request_payment").state) == ("", "queued")
    fake.is_down = False
    Task.objects.filter(name="market.request_payment").update(run_at=order.created_at)
    run_due()
    order.refresh_from_db()
    assert len(fake._payments) == 1
    assert tell(fake, order, EventKind.CAPTURED).state == "fulfilled"


def test_a_refund_goes_back_through_the_provider_once(fake, order):
    run_due()
    tell(fake, order, EventKind.CAPTURED)
    order.refresh_from_db()
    actor = order.seller.organization.memberships.get().user
    refund_order(for_user(actor), order, key="r1")
    run_due()
    assert (fake.refunded_minor(order.payment_reference), money(order)) == (1999, [0, 0, 0])
    assert tell(fake, order, EventKind.REFUNDED).state == "refunded"
    assert fake.refunded_minor(order.payment_reference) == 1999
