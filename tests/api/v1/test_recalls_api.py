"""A recall by the API alone, from the dataset to the last item, and what it costs to look at many."""

import hashlib
import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import actors
from common import strict_json
from common.ids import new_uuid
from compute.endpoint_serving import serving_table
from compute.models import Job
from market.models import Recall, RecallAction, RecallItem
from market.services import recall_actions, recall_retraining
from tests.factories.accounts import make_token
from tests.factories.recalls import Chain, finish, make_chain
from tests.support.api import Caller
from tests.support.queries import count_of

pytestmark = pytest.mark.django_db


def caller(client, party) -> Caller:
    return Caller(client, make_token(party.user, "*"))


def go_on(uuid: str) -> None:
    recall = Recall.objects.get(uuid=uuid)
    while RecallAction.objects.filter(recall=recall, finished_at__isnull=True).exists():
        recall_actions.advance_recall(recall.pk)


def opened(lab: Caller, chain: Chain, severity: str = "warn") -> dict:
    given = {
        "version_uuid": str(chain.data.uuid),
        "category": "data_rights",
        "severity": severity,
        "reason": "Patients have taken their consent back.",
        "private_note": "Ticket 4711.",
        "replacement": str(chain.fixed.uuid),
    }
    made = lab.call("POST", "recalls", given)
    assert made.status_code == 201, made.json()
    return made.json()


def test_from_the_dataset_through_everything_that_was_made_from_it_to_closed(client):
    chain = make_chain()
    lab, maker, clinic, hospital = (caller(client, each) for each in (chain.lab, chain.maker, *chain.buyers))
    recall = opened(lab, chain)
    home = f"recalls/{recall['uuid']}"
    assert {each["kind"]: each["total"] for each in recall["progress"]} == {
        "version": 3, "build": 1, "endpoint": 1, "listing": 1, "holder": 2, "copy": 2, "private": 2,
    }  # fmt: skip
    items = lab.call("GET", f"{home}/items?kind=endpoint").json()["items"]
    assert [each["relation"] for each in items[0]["way"]] == ["input", "output", "derived", "deployed"]
    assert lab.call("GET", f"{home}/items?kind=bread").status_code == 400

    assert lab.call("PUT", f"{home}/freeze", {}).json()["freeze_scope"] == "own"
    assert lab.call("PUT", f"{home}/freeze", {"scope": "all"}).status_code == 403
    for deed in ("telling", "retraining", "refunds"):
        assert lab.call("PUT", f"{home}/{deed}", {}).status_code == 202
    job_item = lab.call("GET", f"{home}/items?kind=version").json()["items"][1]
    recall_actions.advance_recall(Recall.objects.get().pk)
    again = RecallItem.objects.get(uuid=job_item["uuid"])
    finish(chain.lab, Job.objects.get(uuid=again.job_uuid))
    recall_retraining.collect(Recall.objects.get())
    go_on(recall["uuid"])

    told = maker.call("GET", home).json()
    assert (told["reason"], told["private_note"], told["can_manage"]) == (recall["reason"], None, False)
    mine = maker.call("GET", f"{home}/items").json()["items"]
    assert {each["kind"] for each in mine} == {"version", "build", "endpoint", "listing", "holder"}
    refused = lab.call("PUT", f"{home}/closure", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "items_left")
    assert maker.call("PUT", f"{home}/refunds", {}).status_code == 202
    go_on(recall["uuid"])
    assert maker.call("PUT", f"{home}/handling", {"deed": "handle"}).status_code == 400
    assert maker.call("PUT", f"{home}/handling", {"deed": "handle", "note": "Taken down."}).json()["items"] == 4
    assert clinic.call("PUT", f"{home}/handling", {"deed": "handle", "note": "Deleted."}).json()["items"] == 1
    copy = hospital.call("GET", f"{home}/items?kind=copy&state=open").json()["items"][0]
    seen = hospital.call("PUT", f"{home}/items/{copy['uuid']}/handling", {"deed": "acknowledge"}).json()
    assert (seen["state"], seen["action"]) == ("open", "acknowledged")
    done = {"deed": "handle", "note": "They wrote to us: deleted."}
    assert lab.call("PUT", f"{home}/items/{copy['uuid']}/handling", done).json()["state"] == "handled"
    closed = lab.call("PUT", f"{home}/closure", {})
    assert (closed.status_code, closed.json()["state"]) == (200, "closed"), closed.json()
    assert all(each["done"] == each["total"] for each in closed.json()["progress"])
    version = lab.call("GET", "repos/dataset/lab/patients/versions/1.0").json()["recall"]
    assert (version["reason"], version["severity"]) == (recall["reason"], "warn")

    evidence = json.loads(lab.call("GET", f"{home}/evidence").getvalue())
    digest = hashlib.sha256()
    for part in ([evidence["recall"]], evidence["items"], evidence["private"], evidence["events"]):
        for each in part:
            digest.update(strict_json.dumps(each) + b"\n")
    assert evidence["digest"] == {"algorithm": "sha256", "value": digest.hexdigest()}
    refunds = [each["refunds"] for each in evidence["items"] if each["kind"] == "holder"]
    assert [[row["kind"] for row in each] for each in refunds] == [["reversal", "reversal"]] * 2
    assert {"opened", "frozen", "told", "refunded", "retrained", "closed"} <= {
        row["word"] for row in evidence["events"]
    }
    assert all(re.fullmatch("[0-9a-f]{64}", row["audit"]["sha256"]) for row in evidence["events"])


def test_a_mistake_is_lifted_and_downloads_open_again(client):
    chain = make_chain()
    lab, clinic = caller(client, chain.lab), caller(client, chain.buyers[0])
    recall = opened(lab, chain, "stop")
    home = f"recalls/{recall['uuid']}"
    go_on(recall["uuid"])
    file = "/datasets/lab/patients/resolve/1.0/data.csv"

    def fetched(party: Caller) -> int:
        answer = client.get(file, headers=party.headers)
        answer.getvalue()
        return answer.status_code

    assert (fetched(clinic), fetched(lab)) == (403, 200)
    lab.call("PUT", f"{home}/freeze", {})
    assert lab.call("PUT", f"{home}/lifting", {"reason": ""}).status_code == 400
    assert lab.call("PUT", f"{home}/lifting", {"reason": "A mix-up."}).json()["state"] == "lifted"
    go_on(recall["uuid"])
    assert (fetched(clinic), fetched(lab)) == (200, 200)
    assert serving_table().by_slug[chain.endpoint.slug].may_answer
    assert lab.call("PUT", f"{home}/freeze", {}).status_code == 409
    assert opened(lab, chain)["state"] == "open"


def test_looking_at_two_hundred_items_costs_what_looking_at_a_few_does(client):
    chain = make_chain()
    lab = caller(client, chain.lab)
    home = f"recalls/{opened(lab, chain)['uuid']}"
    recall = Recall.objects.get()

    def cost(address: str) -> int:
        # a token is remembered for the second
        actors._bearer.cache_clear()
        with CaptureQueriesContext(connection) as captured:
            answer = lab.call("GET", address)
            assert answer.status_code == 200
            if answer.streaming:
                answer.getvalue()
        return count_of(captured)

    addresses = (home, f"{home}/items?limit=100", f"{home}/events", f"{home}/evidence", "recalls")
    few = [cost(each) for each in addresses * 2][len(addresses) :]
    of = RecallItem.objects.get(recall=recall, kind="endpoint")
    RecallItem.objects.bulk_create(
        RecallItem(
            recall=recall,
            kind=("version", "endpoint")[number % 2],
            object_uuid=new_uuid(),
            title=f"maker/{number}",
            owner=(of.owner, chain.lab.namespace)[number % 3 == 0],
            version_uuid=of.version_uuid,
            path=of.path,
        )
        for number in range(170)
    )
    assert [cost(each) for each in addresses] == few
