"""Cards of the market: the number they show, and facets that open."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from compute.services import endpoints
from market.models import Listing
from market.services import orders
from registry.models import Repo, Version
from registry.services import repos
from registry.services.versions import publish_version
from tests.factories.market import (
    SYSTEM,
    agreed,
    give_credits,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
    scanned,
)
from web.market.headlines import headline

ACCURACY = {"value": 0.9722, "low": 0.9612, "high": 0.9832, "n": 540}


@pytest.fixture
def shop(db):
    return make_company("shop")


def sold(shop, name: str, *, metrics=None, kind="dataset", **texts) -> Repo:
    repo = make_version(shop, name, kind).repo
    if metrics:
        scanned(publish_version(shop.actor, repo, "main", name="2.0", metrics=metrics))
    make_listing(shop, repo, title=name.capitalize(), **texts)
    return repo


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        ({"loss": {"value": 0.1}, "accuracy": ACCURACY}, ("97.2 %", "accuracy (96.1–98.3), 540 samples")),
        ({"zeta": {"value": 5}, "beta_loss": {"value": 0.123456}}, ("0.1235", "beta loss")),
        ({"rmse": {"value": 12.5, "low": 10.0, "high": 15.0}}, ("12.5", "rmse (10–15)")),
        ({"accuracy": {"value": 97}}, ("97", "accuracy")),
        ({"accuracy": {"value": "high"}, "x": 5}, None),
        ({}, None),
    ],
)
def test_headline(metrics, shown):
    assert headline(metrics) == shown


def test_card_shows_what_was_measured_last(shop, browser):
    sold(shop, "wine", metrics={"accuracy": ACCURACY})
    sold(shop, "plain")
    text = browser.get("/").content.decode()
    assert text.count("listing-card-figure") == 1
    assert "<strong>97.2 %</strong> accuracy (96.1–98.3), 540 samples" in text


def test_card_of_an_endpoint_shows_the_version_it_serves(shop, browser):
    version = make_version(shop, "digits", "model", {"model.onnx": b"x"})
    again = {"metrics": {"accuracy": ACCURACY}, "licence": "mit"}
    newer = scanned(publish_version(shop.actor, version.repo, "main", name="2.0", **again))
    publish_version(shop.actor, version.repo, "main", name="3.0", metrics={"accuracy": {"value": 0.5}})
    endpoint = endpoints.deploy(shop.actor, namespace="shop", name="api", version_uuid=newer.uuid, visibility="public")
    endpoints.report_loaded(SYSTEM, endpoint.uuid, endpoint.next_digest, inputs=[], outputs=[])
    make_listing(shop, endpoint, {"kind": "pay_per_use", "price_minor": 2}, title="Api")
    assert "<strong>97.2 %</strong>" in browser.get("/").content.decode()
    Repo.objects.filter(pk=version.repo_id).update(visibility="private")
    assert "listing-card-figure" not in browser.get("/").content.decode()
    browser.force_login(shop.user)
    assert "<strong>97.2 %</strong>" in browser.get("/").content.decode()


def test_page_costs_the_same_for_one_card_and_for_many(shop, browser):
    def count() -> int:
        with CaptureQueriesContext(connection) as found:
            assert browser.get("/").status_code == 200
        return len(found)

    sold(shop, "w0", metrics={"accuracy": ACCURACY})
    count()
    before = count()
    for number in range(1, 6):
        sold(shop, f"w{number}", metrics={"accuracy": ACCURACY})
    assert Version.objects.count() == 12
    # the index in memory is read again, once
    count()
    assert count() == before


def test_card_of_what_one_has_says_so(shop, browser):
    repo = sold(shop, "wine")
    buyer = make_company("clinic")
    browser.force_login(buyer.user)
    assert "You have access" not in browser.get("/").content.decode()
    listing = Listing.objects.get(subject_uuid=repo.uuid)
    orders.place_order(buyer.actor, buyer_namespace="clinic", **agreed(plan_of(listing)), key="one")
    assert "You have access" in browser.get("/").content.decode()


def test_facet_opens_by_an_address_and_stays_open(shop, browser):
    for number in range(15):
        sold(shop, f"w{number}", tags=[f"tag-{number:02}"])
    text = browser.get("/").content.decode()
    assert text.count('href="/?tag=') == 12
    assert 'href="/?more=tag#facet-tag"' in text
    assert "Show 3 more" in text
    opened = browser.get("/?more=tag").content.decode()
    assert opened.count("&amp;more=tag") + opened.count("?more=tag") >= 15
    assert sum(f"tag-{number:02}<" in opened.split("facet-tag")[1] for number in range(15)) == 15
    assert "Show fewer" in opened
    assert 'href="/#facet-tag"' in opened
    assert browser.get("/?more=nothing&more=tag&q=%01").status_code == 200
    assert browser.get("/?more=tag&q=%00").status_code == 400


@pytest.mark.django_db
def test_who_bought_calls_sees_the_endpoint_of_a_model_that_is_hidden(browser) -> None:
    seller, buyer = make_person("maker"), make_person("caller")
    give_credits(buyer, 1000)
    endpoint = make_endpoint(seller, "animals")
    repo = Version.objects.select_related("repo").get(uuid=endpoint.version_uuid).repo
    repos.update_settings(seller.actor, repo, visibility="private")
    listing = make_listing(seller, endpoint, {"kind": "pay_per_use", "price_minor": 10}, title="Animals")
    browser.force_login(buyer.user)
    assert browser.get("/endpoints/maker/animals").status_code == 404
    orders.place_order(buyer.actor, buyer_namespace="caller", **agreed(plan_of(listing)), quantity=20, key="k")
    assert browser.get("/endpoints/maker/animals").status_code == 200
