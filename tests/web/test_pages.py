"""Every page answers the one it is for, names what it is about, and asks the database before it is drawn, not while."""

import pytest
from django.template import Context, Template

from market.models import Listing
from tests.web.conftest import queries_forbidden

OWNER_PAGES = {
    "/": "Wine model",
    "/?q=wine&kind=model&sort=newest": "1 offer",
    "/models": "shop/digits",
    "/datasets": "shop/wine",
    "/algorithms": "None yet",
    "/new?kind=dataset": "Who may see it",
    "/shop": "shop/wine",
    "/datasets/shop/wine": "Thirteen",
    "/datasets/shop/wine/tree": "rows.csv",
    "/datasets/shop/wine/tree/main/pictures": "one.png",
    "/datasets/shop/wine/blob/main/rows.csv": "<td>3</td>",
    "/datasets/shop/wine/blob/main/code.py": "print(1)",
    "/datasets/shop/wine/blob/main/README.md": "constituents",
    "/datasets/shop/wine/blob/main/pictures/one.png": "/image/",
    "/datasets/shop/wine/blob/main/x.bin": "No preview",
    "/datasets/shop/wine/commits": "Add more",
    "/datasets/shop/wine/versions": "1.1",
    "/datasets/shop/wine/versions/1.1": "0.97",
    "/compare?v=datasets/shop/wine@1.0&v=datasets/shop/wine@1.1": "Beside 1.0, 1.1",
    "/datasets/shop/wine/lineage?version=1.0": "next version",
    "/shop/digits/lineage": "deployed",
    "/datasets/shop/wine/settings": "Delete repository",
    "/datasets/shop/wine/upload/main": "Upload and commit",
    "/account": "Time zone",
    "/account/tokens": "laptop",
    "/notices": "A job is done.",
    "/organizations": "shop",
    "/organizations/new": "Create organisation",
    "/organizations/shop": "worker",
    "/organizations/shop/teams": "vision",
    "/organizations/shop/settings": "About",
    "/sell": "Wine model",
    "/sell/new": "Dataset: shop/wine",
    "/earnings?owner=shop": "10.80 CRD",
    "/wallet?owner=shop": "Statement",
    "/jobs": "Train on a table",
    "/jobs/new": "Train an image classifier",
    "/jobs/new/tabular-train": "Column to predict.",
    "/endpoints": "shop/digits",
    "/endpoints/new": "Model version",
    "/endpoints/shop/digits": "tritonclient",
}


def test_pages_of_an_owner(world, browser):
    browser.force_login(world.shop.user)
    found = {path: browser.get(path) for path in OWNER_PAGES}
    assert {path: answer.status_code for path, answer in found.items()} == dict.fromkeys(OWNER_PAGES, 200)
    assert [path for path, answer in found.items() if OWNER_PAGES[path] not in answer.content.decode()] == []


def test_a_template_that_asks_the_database_is_caught(world):
    with queries_forbidden(), pytest.raises(AssertionError, match="A template asked the database"):
        Template("{{ rows.count }}").render(Context({"rows": Listing.objects.all()}))


def test_pages_of_a_buyer(world, browser):
    browser.force_login(world.clinic.user)
    expected = {
        f"/listings/shop/{world.listing.slug}": "You have access",
        f"/orders/{world.order.uuid}": "Return this order",
        "/orders?owner=clinic": "12.00 CRD",
        "/library?owner=clinic": "Wine model",
        "/wallet?owner=clinic": "38.00 CRD",
    }
    for path, text in expected.items():
        answer = browser.get(path)
        assert (path, answer.status_code) == (path, 200)
        assert text in answer.content.decode(), path


def test_pages_of_a_job_and_a_listing_editor(world, browser):
    browser.force_login(world.shop.user)
    job = f"/jobs/{world.job.uuid}"
    for path, text in {
        f"/sell/{world.listing.uuid}": "Plans on sale",
        job: "Waits for a free place",
        f"{job}/status": f'hx-get="{job}/status"',
        f"{job}/log?offset=0": f'hx-get="{job}/log?offset=0"',
    }.items():
        answer = browser.get(path)
        assert (path, answer.status_code) == (path, 200)
        assert text in answer.content.decode(), path


def test_script_in_a_card_is_not_markup(world, browser):
    text = browser.get("/datasets/shop/wine").content.decode()
    assert "<script>alert" not in text
    assert "<strong>constituents</strong>" in text


def test_picture_is_served_as_what_its_bytes_are(world, browser):
    answer = browser.get("/datasets/shop/wine/image/main/pictures/one.png")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert browser.get("/datasets/shop/wine/image/main/x.bin").status_code == 404


def test_theme_is_remembered_and_goes_round(world, browser):
    answer = browser.post("/-/theme", {"next": "/datasets"})
    assert (answer.status_code, answer.url, answer.cookies["theme"].value) == (302, "/datasets", "light")
    assert 'data-theme="light"' in browser.get("/models").content.decode()
    assert browser.post("/-/theme", {"next": "https://elsewhere.example/"}).url == "/"
    assert browser.cookies["theme"].value == "dark"
