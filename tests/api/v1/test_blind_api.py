"""Blind evaluation through the first-party API, and the operator's command."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from tests.factories.accounts import make_token
from tests.factories.blind import make_closed_model, make_evaluated, make_test_set
from tests.factories.market import make_company, make_person
from tests.support.api import Caller

pytestmark = pytest.mark.django_db
PLACE = "listings/lab/animals"


@pytest.fixture
def sides(client):
    seller, buyer = make_company("lab"), make_company("clinic")
    listing = make_closed_model(seller)
    return listing, seller, buyer, Caller(client, make_token(seller.user)), Caller(client, make_token(buyer.user))


def test_asking_and_giving_up(sides) -> None:
    listing, _, buyer, _, caller = sides
    body = {
        "buyer": "clinic",
        "seller": "lab",
        "listing": listing.slug,
        "test_set": str(make_test_set(buyer).uuid),
        "metric": "accuracy",
    }
    made = [caller.call("POST", "blind-evaluations", body, **{"Idempotency-Key": "a"}) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201], made[0].content
    assert made[0].json() == made[1].json()
    place = f"blind-evaluations/{made[0].json()['uuid']}"
    assert caller.call("GET", place).json()["state"] == "queued"
    assert caller.call("POST", f"{place}/publication").json()["code"] == "no_certificate"
    assert caller.call("POST", f"{place}/cancellation").json()["state"] == "cancelled"
    assert [each["state"] for each in caller.call("GET", "blind-evaluations?buyer=clinic").json()["items"]] == [
        "cancelled"
    ]
    wrong = caller.call("POST", "blind-evaluations", {**body, "metric": "beauty"})
    assert (wrong.status_code, list(wrong.json()["fields"])) == (400, ["metric"])


def test_both_sides_publish_and_anybody_verifies(sides, client, tmp_path) -> None:
    listing, _, buyer, seller_calls, buyer_calls = sides
    made = make_evaluated(buyer, listing)
    uuid, anybody = made.evaluation.uuid, Caller(client)
    (row,) = seller_calls.call("GET", f"{PLACE}/blind-evaluations").json()["items"]
    assert (row["certificate"], set(row)) == (None, {"uuid", "model_version", "finished_at", "certificate", "is_shown"})
    for caller in (anybody, seller_calls):
        assert caller.call("GET", f"certificates/{uuid}").status_code == 404
    assert seller_calls.call("POST", f"{PLACE}/certificates/{uuid}").status_code == 404
    assert buyer_calls.call("POST", f"blind-evaluations/{uuid}/publication").json()["published_at"]
    assert anybody.call("GET", f"{PLACE}/certificates").json() == {"items": []}
    assert seller_calls.call("POST", f"{PLACE}/certificates/{uuid}").json()["is_shown"] is True
    (shown,) = anybody.call("GET", f"{PLACE}/certificates").json()["items"]
    assert (shown["value"], shown["buyer"]) == (0.9, "clinic")
    document = anybody.call("GET", f"certificates/{uuid}").content.decode()
    (key,) = anybody.call("GET", "certificate-keys").json()["items"]
    for body in ({"document": document}, {"document": document, "public_key": key["public_key"]}):
        assert anybody.call("POST", "certificate-verifications", body).json()["is_good"] is True
    file, pem = tmp_path / "certificate.json", tmp_path / "key.pem"
    file.write_text(document)
    pem.write_text(key["public_key"])
    for more in ([], ["--key", str(pem)]):
        told = StringIO()
        call_command("verify_certificate", str(file), *more, stdout=told)
        assert json.loads(told.getvalue())["certificate"]["value"] == "0.9"
    file.write_text(document.replace('"0.9"', '"0.99"'))
    with pytest.raises(SystemExit):
        call_command("verify_certificate", str(file))
    assert seller_calls.call("DELETE", f"{PLACE}/certificates/{uuid}").status_code == 204
    assert buyer_calls.call("DELETE", f"blind-evaluations/{uuid}/publication").status_code == 204
    assert anybody.call("GET", f"certificates/{uuid}").status_code == 404


def test_terms_are_the_sellers(sides, client) -> None:
    _, _, buyer, seller_calls, buyer_calls = sides
    assert Caller(client).call("GET", f"{PLACE}/blind-terms").json() == {"is_open": True, "runs_per_month": 5}
    assert buyer_calls.call("PATCH", f"{PLACE}/blind-terms", {"runs_per_month": 9}).status_code == 403
    answer = seller_calls.call("PATCH", f"{PLACE}/blind-terms", {"runs_per_month": 0})
    assert answer.json() == {"is_open": False, "runs_per_month": 0}
    stranger = Caller(client, make_token(make_person("eve").user))
    assert stranger.call("GET", f"{PLACE}/blind-evaluations").status_code == 403
    body = {
        "buyer": "clinic",
        "seller": "lab",
        "listing": "animals",
        "test_set": str(make_test_set(buyer).uuid),
        "metric": "f1",
    }
    assert buyer_calls.call("POST", "blind-evaluations", body).json()["code"] == "not_evaluable"
