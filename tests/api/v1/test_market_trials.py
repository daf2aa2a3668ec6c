"""Trying before buying and the cost of it all, through the first-party API."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from common.clock import now
from registry.models import Study
from registry.queries import version_by_uuid
from registry.services import studies
from tests.factories.accounts import make_token
from tests.factories.market import make_company, make_endpoint, make_listing, make_person
from tests.support.api import Caller

pytestmark = pytest.mark.django_db

PLACE = "listings/vineyard/calls"


@pytest.fixture
def world(client):
    seller, guest = make_company("vineyard"), make_person("guest")
    endpoint = make_endpoint(seller)
    plans = ({"kind": "pay_per_use", "price_minor": 500, "unit_size": 1000},)
    make_listing(seller, endpoint, *plans, title="Calls")
    people = {"seller": seller.user, "guest": guest.user}
    callers = {name: Caller(client, make_token(user)) for name, user in people.items()}
    return SimpleNamespace(**callers, anybody=Caller(client), endpoint=endpoint)


def test_free_calls_are_offered_opened_and_counted(world):
    terms = f"{PLACE}/trial-terms"
    assert world.guest.call("GET", f"{PLACE}/trial").json()["way"] == "none"
    assert world.guest.call("POST", f"{PLACE}/trial").json()["code"] == "no_trial"
    assert world.seller.call("PUT", terms, {"calls_per_day": 10_001}).status_code == 400
    assert world.guest.call("PUT", terms, {"calls_per_day": 5}).status_code == 403
    assert world.seller.call("PUT", terms, {"calls_per_day": 5}).json()["calls_per_day"] == 5
    assert world.anybody.call("POST", f"{PLACE}/trial").status_code == 401
    assert world.anybody.call("GET", f"{PLACE}/trial").json()["way"] == "none"
    for _ in range(2):
        opened = world.guest.call("POST", f"{PLACE}/trial")
        assert opened.status_code == 201
    assert (opened.json()["way"], opened.json()["left"], opened.json()["calls_per_day"]) == ("trial", 5, 5)
    assert world.seller.call("GET", f"{PLACE}/trial").json()["way"] == "own"
    days = world.seller.call("GET", terms).json()["days"]
    assert (len(days), days[-1]["people"], days[-1]["calls"]) == (30, 1, 0)


def test_cost_is_reckoned_from_plans_and_measurements(world):
    here = f"{PLACE}/cost"
    for wrong in ("", "?calls_per_month=0", "?calls_per_month=x", "?calls_per_month=5&hardware=abacus"):
        assert world.guest.call("GET", f"{here}{wrong}").status_code == 400, wrong
    wanted = f"{here}?calls_per_month=2500&months=2&hardware=one core of this site"
    unmeasured = world.guest.call("GET", wanted).json()
    assert [each["total_minor"] for each in unmeasured["options"]] == [3000, None]
    assert unmeasured["options"][1]["why_not"] == "Its latency was not measured on One core of this site."
    version = version_by_uuid(world.endpoint.version_uuid)
    key = studies.speed_key(studies.files_of(version).graph, version)
    content = {"p50_s": 0.002, "p95_s": 0.003, "load_s": 0.1, "calls": 200, "memory_bytes": 50_000_000}
    Study.objects.create(key=key, kind="speed", content=content, expires_at=now() + timedelta(days=1))
    found = world.guest.call("GET", wanted).json()
    plan, host = found["options"]
    assert (plan["way"], plan["total_minor"], plan["is_recommended"]) == ("plan", 3000, True)
    assert (host["way"], host["total_minor"]) == ("host", 730 * 2 * 4)
    assert "median of 200 calls" in host["uncertainty"]
    assert sum(line["minor"] or 0 for line in host["lines"]) == host["total_minor"]
