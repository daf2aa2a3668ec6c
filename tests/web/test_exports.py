"""Tables as CSV files: complete, of numbers where there are numbers, and harmless in a spreadsheet."""

import csv
import io
from decimal import Decimal

import pytest

from market.models import Listing
from tests.factories.market import digest_of, give_credits, make_calls
from web import exports


def read(answer) -> list[dict[str, str]]:
    """The rows of the answer by heading; it is a download, and it is sent piece by piece."""
    assert answer.status_code == 200
    assert answer.streaming
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def written(*rows) -> str:
    return b"".join(exports.csv_response("x", ["a"], rows).streaming_content).decode()


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x","y")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\uff1d1", "\uff0b1",
        "\uff0d1", "\uff201",
    ],
)  # fmt: skip
def test_text_that_a_spreadsheet_would_run_is_made_text(text):
    shown = next(csv.reader(io.StringIO(written([text]).partition("\r\n")[2])))[0]
    assert shown == f"'{text}"


def test_numbers_stay_numbers_and_other_text_stays_itself():
    row = [-1, -0.5, Decimal("-12.50"), None, "a=b", "", 'say "x", y', "é\ud800"]
    assert written(row).splitlines()[1] == '-1,-0.5,-12.50,"","a=b","","say ""x"", y","é?"'


def test_heading_is_made_harmless_and_the_name_of_the_file_too():
    answer = exports.csv_response('../a"b\r\né', ["=x"], [])
    assert answer.headers["Content-Disposition"] == 'attachment; filename="..-a-b---.csv"'
    assert b"".join(answer.streaming_content) == b'"\'=x"\r\n'


def test_every_row_is_there_however_many_pages(world, browser, monkeypatch):
    monkeypatch.setattr("web.market.money_exports.PAGE", 2)
    for number in range(5):
        give_credits(world.clinic, 100 + number, key=f"more-{number}")
    browser.force_login(world.clinic.user)
    rows = read(browser.get("/wallet/statement.csv?owner=clinic"))
    assert [row["amount"] for row in rows] == ["1.04", "1.03", "1.02", "1.01", "1.00", "-12.00", "50.00"]
    assert rows[0] | {"date": ""} == {
        "date": "", "what": "Credits added", "kind": "issue", "amount": "1.04", "balance": "43.10", "currency": "CRD",
        "listing": "", "order": "",
    }  # fmt: skip
    assert (rows[5]["listing"], rows[5]["order"]) == ("Wine model", str(world.order.uuid))


def test_money_of_buyer_and_seller(world, browser):
    Listing.objects.filter(pk=world.listing.pk).update(title="=cmd|x")
    browser.force_login(world.clinic.user)
    order = read(browser.get("/orders/all.csv?owner=clinic"))[0]
    assert (order["listing"], order["total"], order["returned"], order["seller"], order["state"]) == (
        "'=cmd|x", "12.00", "0.00", "shop", "fulfilled",
    )  # fmt: skip
    access = read(browser.get("/library/access.csv?owner=clinic"))[0]
    assert (access["listing"], access["kind"], access["used"], access["plan"]) == (
        "'=cmd|x",
        "model",
        "",
        "One-time",
    )
    browser.force_login(world.shop.user)
    earned = read(browser.get("/earnings/listings.csv?owner=shop"))
    assert [(row["orders"], row["paid by buyers"], row["earned"]) for row in earned] == [("1", "12.00", "10.80")]
    assert [row["amount"] for row in read(browser.get("/earnings/statement.csv?owner=shop"))] == ["10.80"]
    assert [row["buyer"] for row in read(browser.get("/earnings/sales.csv?owner=shop"))] == ["clinic"]
    page = browser.get("/earnings?owner=shop").content.decode()
    assert 'href="/earnings/statement.csv?owner=shop"' in page


def test_figures_of_versions_jobs_and_endpoints(world, browser):
    browser.force_login(world.shop.user)
    measured = read(browser.get("/datasets/shop/wine/versions/1.1/metrics.csv"))
    assert measured == [
        {
            "metric": "accuracy",
            "value": "0.97",
            "low": "0.95",
            "high": "0.99",
            "samples": "540",
            "on": "shop/wine@1.0, test",
            "source": "",
            "added by": "",
            "added at": "",
        }
    ]
    assert read(browser.get(f"/jobs/{world.job.uuid}/metrics.csv")) == []
    world.job.attempts.create(number=1, series={"loss": [[0, 0.5], [1, 0.25]]}, outcome="succeeded")
    assert read(browser.get(f"/jobs/{world.job.uuid}/metrics.csv")) == [
        {"metric": "loss", "step": "0", "value": "0.5"},
        {"metric": "loss", "step": "1", "value": "0.25"},
    ]
    days = read(browser.get("/endpoints/shop/digits/usage.csv"))
    assert (len(days), {row["calls"] for row in days}) == (366, {"0"})


def test_files_are_for_those_who_see_the_page(world, browser):
    paths = [
        "/wallet/statement.csv?owner=shop", "/orders/all.csv?owner=shop", "/library/access.csv?owner=shop",
        "/earnings/statement.csv?owner=shop", "/earnings/listings.csv?owner=shop", "/earnings/sales.csv?owner=shop",
        f"/jobs/{world.job.uuid}/metrics.csv", "/endpoints/shop/digits/usage.csv",
        f"/datasets/{world.private.namespace.name}/secret/versions/1.0/metrics.csv",
    ]  # fmt: skip
    browser.force_login(world.stranger.user)
    assert [
        (path, browser.get(path).status_code) for path in paths if browser.get(path).status_code not in {403, 404}
    ] == []


def test_calls_of_a_prepaid_plan_are_counted_in_the_file(world, browser):
    browser.force_login(world.clinic.user)
    plan = Listing.objects.get(title="Digits").plans.get()
    form = {
        "buyer_namespace": "clinic",
        "quantity": "10",
        "accept": "on",
        "key": "calls",
        "accept_terms": digest_of(plan.uuid),
    }
    browser.post(f"/listings/shop/{plan.listing.slug}/checkout?plan={plan.uuid}", form)
    entitlement = plan.listing.entitlements.get()
    make_calls(entitlement.source, 7)
    row = read(browser.get("/library/access.csv?owner=clinic"))[0]
    assert (row["unit"], row["granted"], row["used"], row["left"]) == ("calls", "15", "7", "8")
