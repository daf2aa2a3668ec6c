"""Subscriptions on the pages, as sellers and buyers use them."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common import clock
from market.models import Plan, Subscription
from market.services import listings, orders
from market.services.renewals import renew_due
from tests.factories.market import agreed, digest_of, give_credits, make_listing, make_version, plan_of
from tests.support.queries import count_of


@pytest.fixture
def monthly(world, browser):
    """A plan of 10.00 a month with a trial of 7 days, made in the editor."""
    browser.force_login(world.shop.user)
    form = {
        "kind": "subscription", "price": "10", "currency": "CRD", "interval": "month", "trial_days": "7",
        "refund_window_days": "14",
    }  # fmt: skip
    assert browser.post(f"/sell/{world.listing.uuid}/plans", form).status_code == 302
    plan = Plan.objects.latest("pk")
    assert (plan.kind, plan.interval, plan.trial_days, plan.price_minor) == ("subscription", "month", 7, 1000)
    browser.force_login(world.clinic.user)
    return plan


def shown(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def subscribe(browser, plan):
    listing = plan.listing
    page = browser.get(f"/listings/shop/{listing.slug}/checkout?plan={plan.uuid}&buyer_namespace=clinic")
    text = shown(page)
    key = re.search(r'name="key" value="([^"]+)"', page.content.decode())[1]
    form = {
        "buyer_namespace": "clinic",
        "quantity": "1",
        "accept": "on",
        "key": key,
        "accept_terms": digest_of(plan.uuid),
    }
    done = browser.post(f"/listings/shop/{listing.slug}/checkout?plan={plan.uuid}", form)
    assert done.status_code == 302, shown(done)
    return text


def test_a_trial_is_begun_cancelled_and_goes_on(world, browser, monthly) -> None:
    text = shown(browser.get(f"/listings/shop/{world.listing.slug}"))
    assert "10.00 CRD / month" in text
    assert "Your first 7 days are free" in text
    assert "The first 7 days are free. Then 10.00 CRD / month, until you cancel." in subscribe(browser, monthly)
    found = Subscription.objects.get()
    listed = shown(browser.get("/subscriptions?owner=clinic"))
    assert f"trial until {found.period_end:%-d %b %Y}" in listed
    assert f"trial until {found.period_end:%-d %b %Y}" in shown(browser.get("/library?owner=clinic"))
    place = f"/subscriptions/{found.uuid}"
    assert browser.post(f"{place}/cancellation").status_code == 302
    assert "It ends with its period." in shown(browser.get(place))
    assert browser.post(f"{place}/continuation").status_code == 302
    assert "Nothing more is charged" in shown(browser.get(place))
    browser.force_login(world.shop.user)
    assert "clinic" in shown(browser.get("/sell/subscribers?owner=shop"))
    seen = browser.get(place)
    assert (seen.status_code, "Cancel the subscription" in shown(seen)) == (200, False)
    browser.force_login(world.stranger.user)
    assert browser.get(place).status_code == 404


def test_what_is_not_paid_is_said_and_paid_with_one_button(world, browser, monthly) -> None:
    subscribe(browser, monthly)
    found = Subscription.objects.get()
    place = f"/subscriptions/{found.uuid}"
    give = world.clinic
    with clock.travel(found.period_end - clock.now() + timedelta(minutes=1)):
        Subscription.objects.update(quantity=1000)
        renew_due()
        text = shown(browser.get(place))
        assert "The renewal is not paid" in text
        assert "Pay 10,000.00 CRD now" in text
        refused = browser.post(f"{place}/payment")
        assert (refused.status_code, "are due, and the wallet of clinic holds" in shown(refused)) == (402, True)
        give_credits(give, 2_000_000, key="more")
        assert browser.post(f"{place}/payment").status_code == 302
        assert "renews on" in shown(browser.get(place))


def test_other_plans_say_what_they_cost_now(world, browser, monthly) -> None:
    listings.add_plan(
        world.shop.actor, world.listing, "subscription", interval="year", price_minor=5000, name="By the year"
    )
    subscribe(browser, monthly)
    place = f"/subscriptions/{Subscription.objects.get().uuid}"
    page = browser.get(place)
    assert "By the year" in shown(page)
    href = re.search(r'href="([^"]+/change\?plan=[^"]+)"', page.content.decode())[1]
    page = browser.get(href)
    assert "Change the plan" in shown(page)
    form = {
        name: re.search(f'name="{name}" value="([^"]+)"', page.content.decode())[1] for name in ("key", "accept_terms")
    }
    assert browser.post(href, form | {"accept": "on"}).status_code == 302
    text = shown(browser.get(place))
    assert "Next plan By the year" in text
    assert "Keep the present plan" in text
    kept = {
        name: re.search(f'name="{name}" value="([^"]+)"', browser.get(place).content.decode())[1]
        for name in ("plan", "key")
    }
    assert browser.post(f"{place}/change", kept).status_code == 302
    assert "Next plan" not in shown(browser.get(place))


def test_lists_ask_the_database_no_more_for_more_rows(world, browser, monthly) -> None:
    subscribe(browser, monthly)

    def asked() -> list[int]:
        counts = []
        for user, path in (
            (world.clinic.user, "/subscriptions?owner=clinic"),
            (world.shop.user, "/sell/subscribers?owner=shop"),
        ):
            browser.force_login(user)
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(path).status_code == 200
            counts.append(count_of(captured))
        return counts

    before = asked()
    for number in range(3):
        wares = make_version(world.shop, f"more{number}").repo
        more = make_listing(
            world.shop, wares, {"kind": "subscription", "interval": "month", "price_minor": 5}, title=f"More {number}"
        )
        orders.place_order(world.clinic.actor, buyer_namespace="clinic", **agreed(plan_of(more)), key=f"more{number}")
    assert asked() == before
