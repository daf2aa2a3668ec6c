"""Prices by volume, coupons and private offers on the pages, as seller and buyer use them."""

import re

import pytest

from compute.endpoint_policies import visible_endpoints
from market.models import Coupon, Order, Plan
from market.services import coupons, listings, orders
from tests.factories.market import agreed, digest_of, give_credits, make_calls, plan_of


@pytest.fixture
def calls(world):
    """The listing of the endpoint; its plan: 0.02 a call, 5 with the first order."""
    return Plan.objects.get(kind="pay_per_use").listing


def shown(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_seller_adds_prices_by_volume_and_the_buyer_reads_them(world, browser, calls):
    browser.force_login(world.shop.user)
    form = {"kind": "pay_per_use", "price": "", "currency": "JPY", "priced_by": "calls:1", "refund_window_days": "14"}
    for tiers, why in {
        "1000 = 5": "Write a step a line",
        "1000: 5.5\nrest: 4": "JPY has no digits after the point.",
        "rest: 4": "2 to 10 steps",
    }.items():
        answer = browser.post(f"/sell/{calls.uuid}/plans", form | {"tiers": tiers})
        assert (answer.status_code, why in answer.content.decode()) == (400, True), tiers
    assert browser.post(f"/sell/{calls.uuid}/plans", form | {"tiers": "1,000: 5\n\nREST: 4"}).status_code == 302
    plan = plan_of(calls, 2)
    assert (plan.price_minor, plan.tiers, plan.currency) == (5, [[1000, 5], [None, 4]], "JPY")
    browser.force_login(world.clinic.user)
    text = shown(browser.get(f"/listings/shop/{calls.slug}"))
    assert "5 JPY / call, then by volume" in text
    assert "Calls 1 to 1,000: 5 JPY each" in text
    assert "From call 1,001 on: 4 JPY each" in text


def test_an_endpoint_is_priced_by_the_second_once_its_owner_says_so(world, browser, calls):
    browser.force_login(world.shop.user)
    form = {"kind": "pay_per_use", "price": "5", "currency": "CRD", "priced_by": "seconds:1000", "included_units": "2"}
    form |= {"tiers": "60: 5.00\nrest: 4.00", "refund_window_days": "14"}
    assert browser.post(f"/sell/{calls.uuid}/plans", form).status_code == 400
    here = f"/endpoints/shop/{visible_endpoints(world.shop.actor).get(uuid=calls.subject_uuid).name}"
    refused = browser.post(f"{here}/unit", {"unit": "tokens"})
    assert (refused.status_code, "Name the input" in shown(refused)) == (400, True)
    assert browser.post(f"{here}/unit", {"unit": "seconds", "token_input": "x"}).status_code == 302
    assert browser.post(f"/sell/{calls.uuid}/plans", form).status_code == 302
    plan = plan_of(calls, 2)
    assert (plan.unit, plan.unit_size, plan.included_units, plan.tiers) == (
        "seconds", 1000, 2000, [[60_000, 500], [None, 400]],
    )  # fmt: skip
    browser.force_login(world.clinic.user)
    text = shown(browser.get(f"/listings/shop/{calls.slug}"))
    for words in (
        "5.00 CRD / second, then by volume",
        "Seconds 1 to 60: 5.00 CRD each",
        "From second 61 on: 4.00 CRD each",
        "2 seconds are free with the first order",
        "A call counts as what the model computes for it, by the millisecond",
    ):
        assert words in text
    checkout = f"/listings/shop/{calls.slug}/checkout?plan={plan.uuid}"
    assert "How many seconds" in shown(browser.get(checkout))
    give_credits(world.clinic, 40_000, key="seconds")
    order = {"buyer_namespace": "clinic", "quantity": "70", "accept": "on", "key": "s"}
    assert browser.post(checkout, order | {"accept_terms": digest_of(plan.uuid)}).status_code == 302
    entitlement = calls.entitlements.get()
    assert (entitlement.granted_units, entitlement.held_minor) == (72_000, 60 * 500 + 10 * 400)
    make_calls(entitlement.source, 1, units=3500)
    page = shown(browser.get("/library?owner=clinic"))
    assert "Seconds 3.5 of 72" in page
    assert "The next second costs 5.00 CRD. Seconds left: 68.5 paid in advance." in page


def test_the_price_of_the_next_call_stands_where_it_is_made(world, browser, calls):
    order = orders.place_order(
        world.clinic.actor, buyer_namespace="clinic", **agreed(plan_of(calls)), quantity=3, key="calls"
    )
    browser.force_login(world.clinic.user)
    pages = (f"/listings/shop/{calls.slug}", "/endpoints/shop/digits", "/library?owner=clinic")
    for made, sentence in (
        (0, "The next call is free. Calls left: 5 without charge, 3 paid in advance."),
        (6, "The next call costs 0.02 CRD. Calls left: 2 paid in advance."),
        (8, "Nothing is left: buy more to go on."),
    ):
        make_calls(order.entitlement.source, made)
        for path in pages:
            assert sentence in shown(browser.get(path)), path
    browser.force_login(world.shop.user)
    assert "The next call" not in shown(browser.get("/endpoints/shop/digits"))


def test_a_seller_makes_and_archives_a_coupon(world, browser):
    browser.force_login(world.shop.user)
    page = "/sell/coupons?owner=shop"
    assert "No coupon yet" in shown(browser.get(page))
    form = {"code": " spring 25", "percent_bp": "12.5", "currency": "CRD", "limit_per_buyer": "1"}
    form |= {"listings": [str(world.listing.uuid)], "ends_at": "2099-07-01T12:00"}
    refused = {"percent_bp": "120", "ends_at": "2001-01-01T00:00", "code": "a/b", "amount": "1.234"}
    for name, value in refused.items():
        answer = browser.post(page, form | {name: value})
        assert (answer.status_code, Coupon.objects.count()) == (400, 0), name
    type(world.shop.user).objects.filter(pk=world.shop.user.pk).update(timezone="Europe/Berlin")
    assert browser.post(page, form).status_code == 302
    coupon = Coupon.objects.get()
    assert (coupon.code, coupon.percent_bp, coupon.listings) == ("SPRING25", 1250, [str(world.listing.uuid)])
    assert coupon.ends_at.isoformat() == "2099-07-01T10:00:00+00:00"
    text = shown(browser.get(page))
    for words in ("SPRING25", "12.5 %", "only for Wine model", "1 a buyer", "valid"):
        assert words in text
    assert browser.post(f"/sell/coupons/{coupon.uuid}/archiving").status_code == 302
    text = shown(browser.get(page))
    assert "archived" in text
    assert "Archive this coupon?" not in text
    browser.force_login(world.clinic.user)
    assert browser.get(page).status_code == 403
    assert browser.post(f"/sell/coupons/{coupon.uuid}/archiving").status_code == 404


def test_the_checkout_shows_the_total_before_it_is_paid(world, browser):
    coupons.create_coupon(world.shop.actor, "shop", "SPRING", percent_bp=2500)
    plan = listings.add_plan(world.shop.actor, world.listing, "one_time", price_minor=1000, name="New")
    buyer = world.stranger
    browser.force_login(buyer.user)
    page = f"/listings/shop/{world.listing.slug}/checkout?plan={plan.uuid}"
    assert "Price 10.00 CRD Tax 0.00 CRD Total 10.00 CRD" in shown(browser.get(page))
    form = {"buyer_namespace": buyer.name, "quantity": "1", "key": "k"}
    asked = browser.post(page, form | {"coupon": "spring", "ask": "1"})
    assert asked.status_code == 200
    assert "Coupon SPRING −2.50 CRD Tax 0.00 CRD Total 7.50 CRD" in shown(asked)
    assert 'value="spring"' in asked.content.decode()
    asked = browser.post(page, form | {"coupon": "winter", "ask": "1"})
    assert "shop has no coupon WINTER." in shown(asked)
    for odd in ({"coupon": "a/b"}, {"buyer_namespace": "shop"}, {"quantity": "many"}):
        assert browser.post(page, form | {"ask": "1"} | odd).status_code == 200
    answer = browser.post(page, form | {"coupon": "winter", "accept": "on", "accept_terms": digest_of(plan.uuid)})
    assert (answer.status_code, "shop has no coupon WINTER." in shown(answer)) == (400, True)
    assert not Order.objects.filter(plan=plan).exists()


def test_a_receipt_names_the_coupon(world, browser, calls):
    coupons.create_coupon(world.shop.actor, "shop", "SPRING", percent_bp=5000)
    browser.force_login(world.clinic.user)
    page = f"/listings/shop/{calls.slug}/checkout?plan={plan_of(calls).uuid}"
    form = {"buyer_namespace": "clinic", "quantity": "100", "key": "k", "coupon": "spring", "accept": "on"}
    form["accept_terms"] = digest_of(plan_of(calls).uuid)
    answer = browser.post(page, form)
    assert "Coupon SPRING −1.00 CRD Total 1.00 CRD" in shown(browser.get(answer.url))
    assert "1.00,1.00" in b"".join(browser.get("/orders/all.csv?owner=clinic").streaming_content).decode()


def test_a_private_offer_goes_to_its_buyer_alone(world, browser):
    browser.force_login(world.shop.user)
    form = {"kind": "one_time", "price": "7", "currency": "CRD", "refund_window_days": "14", "name": "Agreed"}
    form |= {"offered_to": "clinic", "offer_note": "As agreed in March"}
    answer = browser.post(f"/sell/{world.listing.uuid}/plans", form | {"offered_to": "nobody-at-all"})
    assert (answer.status_code, "There is nobody named nobody-at-all." in shown(answer)) == (400, True)
    assert browser.post(f"/sell/{world.listing.uuid}/plans", form).status_code == 302
    plan = plan_of(world.listing, 2)
    assert "Offered to clinic" in shown(browser.get(f"/sell/{world.listing.uuid}"))
    page = f"/listings/shop/{world.listing.slug}"
    browser.force_login(world.clinic.user)
    for path in (page, "/library/offers", f"{page}/checkout?plan={plan.uuid}"):
        assert "As agreed in March" in shown(browser.get(path)), path
    browser.force_login(world.stranger.user)
    assert "Agreed" not in shown(browser.get(page))
    assert "No private offer now" in shown(browser.get("/library/offers"))
    assert browser.get(f"{page}/checkout?plan={plan.uuid}").status_code == 404
