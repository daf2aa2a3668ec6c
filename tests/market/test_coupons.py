"""Coupons: what they take off, whom they refuse and why, and that their limits hold."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from backends.contracts.payments import Payment, PaymentState
from common.clock import now, travel
from common.errors import Conflict, Forbidden, Invalid, NotFound
from market.models import Coupon, CouponRedemption, Order
from market.services import coupons, ledger, payments
from market.services.billing import settle_entitlement
from market.services.ledger import earnings, fees, verify_ledger, wallet
from market.services.orders import place_order
from market.services.quotes import quote
from market.services.refunds import refund_order
from tests.factories.market import (
    agreed,
    balance,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_version,
    plan_of,
)

ONE_TIME = {"kind": "one_time", "price_minor": 1999}
PER_CALL = {"kind": "pay_per_use", "price_minor": 250, "unit_size": 1000}


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 10_000)
    return buyer


@pytest.fixture
def listing(seller):
    return make_listing(seller, make_version(seller).repo, ONE_TIME)


def coupon(seller, code="SPRING", **terms):
    return coupons.create_coupon(
        seller.actor, seller.name, code, **({"percent_bp": 2500} if "amount_minor" not in terms else {}) | terms
    )


def buy(buyer, listing, *, code="spring", quantity=1, key="k1"):
    return place_order(
        buyer.actor,
        buyer_namespace=buyer.name,
        **agreed(plan_of(listing)),
        quantity=quantity,
        key=key,
        coupon=code,
    )


def used(row):
    return row.redemptions.filter(returned_at__isnull=True).count()


@pytest.mark.parametrize(
    ("terms", "off"),
    [
        ({"percent_bp": 2500}, 499),
        ({"percent_bp": 10_000}, 1999),
        ({"amount_minor": 700, "currency": "CRD"}, 700),
        ({"amount_minor": 5_000, "currency": "CRD"}, 1999),
    ],
)
def test_the_seller_bears_what_a_coupon_takes_off(seller, buyer, listing, terms, off):
    made = coupon(seller, **terms)
    asked = quote(buyer.actor, buyer_namespace=buyer.name, plan_uuid=plan_of(listing).uuid, coupon=" Spring ")
    assert (asked.price_minor, asked.discount_minor, asked.tax_minor, asked.total_minor) == (1999, off, 0, 1999 - off)
    assert used(made) == 0
    order = buy(buyer, listing)
    paid = 1999 - off
    fee = (paid * 20 + 99) // 200
    assert (order.state, order.total_minor, order.discount_minor, order.coupon_code) == (
        "fulfilled",
        paid,
        off,
        "SPRING",
    )
    refs = [wallet(buyer.namespace, "CRD"), earnings(seller.namespace, "CRD"), fees("CRD")]
    assert [balance(ref) for ref in refs] == [10_000 - paid, paid - fee, fee]
    assert used(made) == 1
    assert verify_ledger().is_sound


def test_the_same_key_takes_the_coupon_once_and_refuses_another(seller, buyer, listing):
    made = coupon(seller, limit_per_buyer=1)
    first = buy(buyer, listing)
    assert buy(buyer, listing, code="SPRING").pk == first.pk
    with pytest.raises(Conflict) as refusal:
        buy(buyer, listing, code="")
    assert refusal.value.code == "key_reused"
    assert used(made) == CouponRedemption.objects.count() == 1


@pytest.mark.parametrize(
    ("terms", "code", "sentence"),
    [
        ({}, "winter", "vineyard has no coupon WINTER."),
        ({"starts_at": timedelta(days=1)}, "spring", "is not valid before"),
        ({"ends_at": timedelta(minutes=1)}, "spring", "The coupon SPRING expired on"),
        ({"amount_minor": 5, "currency": "EUR"}, "spring", "The coupon SPRING is in EUR; this plan is in CRD."),
        ({"limit_total": 1}, "spring", "The coupon SPRING is used up: it was for 1 orders."),
        ({"limit_per_buyer": 1}, "spring", "tasters has used the coupon SPRING already: it may be used once."),
    ],
)
def test_a_code_that_does_not_fit_is_refused_with_the_reason(seller, buyer, listing, terms, code, sentence):
    made = coupon(
        seller, **{name: now() + value if isinstance(value, timedelta) else value for name, value in terms.items()}
    )
    if set(terms) & {"limit_total", "limit_per_buyer"}:
        other = make_listing(seller, make_version(seller, "other").repo, ONE_TIME, title="Other")
        buy(buyer, other, key="before")
    count = Order.objects.count()
    with travel(timedelta(minutes=2)), pytest.raises(Invalid, match=sentence):
        buy(buyer, listing, code=code)
    assert (Order.objects.count(), used(made)) == (count, count)


def test_it_can_be_for_one_listing_or_plan_and_ends_when_archived(seller, buyer, listing):
    other = make_listing(seller, make_version(seller, "other").repo, ONE_TIME, title="Other")
    narrow = coupon(seller, listings=[listing.uuid])
    coupon(seller, "PLAN", plans=[plan_of(listing).uuid])
    for code, sentence in {"spring": "is not for this listing", "plan": "is not for this plan"}.items():
        with pytest.raises(Invalid, match=sentence):
            buy(buyer, other, code=code)
    coupons.archive_coupon(seller.actor, narrow)
    assert coupons.archive_coupon(seller.actor, narrow).archived_at is not None
    with pytest.raises(Invalid, match="The seller has ended the coupon SPRING"):
        buy(buyer, listing)
    coupon(seller, percent_bp=1000)
    assert buy(buyer, listing).discount_minor == 199


def test_it_comes_back_when_the_order_is_undone_as_a_whole_and_not_after_calls(seller, buyer):
    made = coupon(seller, limit_total=1)
    download = make_listing(seller, make_version(seller).repo, ONE_TIME)
    refund_order(buyer.actor, buy(buyer, download), key="r1")
    assert used(made) == 0
    calls = make_listing(seller, make_endpoint(seller), PER_CALL, title="Calls")
    order = buy(buyer, calls, quantity=4, key="k2")
    assert (order.total_minor, order.discount_minor) == (750, 250)
    make_calls(order.entitlement.source, 1000)
    assert settle_entitlement(order.entitlement.pk) == 187
    undone = refund_order(buyer.actor, order, key="r2")
    assert (undone.refunded_minor, used(made)) == (563, 1)
    with pytest.raises(Invalid, match="used up"):
        buy(buyer, download, key="k3")
    assert verify_ledger().is_sound


def test_calls_for_nothing_do_not_bring_the_coupon_back(seller, buyer):
    made = coupon(seller, percent_bp=10_000, limit_per_buyer=1)
    listing = make_listing(seller, make_endpoint(seller), PER_CALL)
    order = buy(buyer, listing)
    make_calls(order.entitlement.source, 5)
    assert refund_order(buyer.actor, order, key="r").refunded_minor == 0
    assert used(made) == 1


def test_it_comes_back_when_the_payment_fails(seller, buyer, listing, monkeypatch):
    made = coupon(seller, limit_total=1)
    monkeypatch.setattr("market.services.orders.is_in_ledger", lambda name: False)
    order = buy(buyer, listing)
    assert (order.state, used(made)) == ("placed", 1)
    order = payments._apply(order.pk, Payment("lapsed", PaymentState.FAILED, order.total_minor, order.currency))
    assert (order.state, used(made)) == ("cancelled", 0)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"code": "x"}, "code"),
        ({"code": "no/slash"}, "code"),
        ({"percent_bp": 0}, "percent_bp"),
        ({"percent_bp": 10_001}, "percent_bp"),
        ({"percent_bp": None}, "amount_minor"),
        ({"amount_minor": 5, "currency": "CRD"}, "amount_minor"),
        ({"percent_bp": None, "amount_minor": 5}, "currency"),
        ({"limit_total": 0}, "limit_total"),
        ({"listings": ["00000000-0000-0000-0000-000000000001"]}, "listings"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_field(seller, terms, field):
    with pytest.raises(Invalid) as refusal:
        coupons.create_coupon(seller.actor, seller.name, **{"code": "SPRING", "percent_bp": 100} | terms)
    assert field in refusal.value.fields["fields"]
    assert not Coupon.objects.exists()


def test_others_can_neither_make_nor_see_nor_archive_them(seller, buyer):
    made = coupon(seller)
    with pytest.raises(Conflict):
        coupon(seller)
    with pytest.raises(Forbidden):
        coupons.create_coupon(buyer.actor, seller.name, "THEIRS", percent_bp=1)
    with pytest.raises(NotFound):
        coupons.archive_coupon(buyer.actor, made)
    assert Coupon.objects.get().archived_at is None


def test_the_database_refuses_edits(seller, buyer, listing):
    made = coupon(seller)
    buy(buyer, listing)
    for rows, change in ((Coupon.objects, {"percent_bp": 1}), (CouponRedemption.objects, {"coupon_id": made.pk})):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            rows.update(**change)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            rows.all()._raw_delete(rows.db)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_limits_hold_however_many_order_at_once(seller):
    listing = make_listing(seller, make_endpoint(seller), PER_CALL)
    made = coupon(seller, limit_total=5, limit_per_buyer=3)
    buyers = [make_company(f"buyer{number}") for number in range(4)]
    for each in buyers:
        give_credits(each, 10_000)

    def order(number):
        try:
            return buy(buyers[number % 4], listing, key=f"k{number}").state
        except Invalid as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(order, range(24)))
    assert outcomes.count("fulfilled") == used(made) == Order.objects.count() == 5
    assert set(outcomes) <= {"fulfilled", "coupon_used_up", "coupon_used_by_buyer"}
    assert max(made.redemptions.filter(buyer=each.namespace).count() for each in buyers) <= 3
    assert ledger.verify_ledger().is_sound
