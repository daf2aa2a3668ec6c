"""What must hold when inference is killed, frozen, overbought, and when rights are taken away: on a real process, under load."""

import asyncio
import json
import os
import random
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from accounts.models import Namespace, Organization, Token
from accounts.permissions import Role
from accounts.services import grants, members, tokens
from compute.models import Endpoint
from compute.services import endpoints
from metering.models import Budget, BudgetHold, UsageRecord
from metering.services import budgets
from tests.factories.endpoints import (
    SYSTEM,
    again,
    make_endpoint,
    make_organization,
    make_person,
    make_token,
    sell_calls,
)
from tests.support import onnx_models
from tests.support.databases import restore_after_transactional_test
from tests.support.http_load import Outcome, hammer, post
from tests.support.inference import Inference, eventually

pytestmark = pytest.mark.django_db(transaction=True)

BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 30], "datatype": "FP32", "data": [0.5] * 30}]}).encode()


@pytest.fixture(scope="module")
def site(django_db_setup, django_db_blocker, tmp_path_factory):
    """`labs` sells; ben buys. The process has started and serves `labs-model`."""
    inference = Inference(tmp_path_factory.mktemp("inference"))
    with django_db_blocker.unblock():
        with inference.content():
            alice, ben = make_person("alice"), make_person("ben")
            make_organization(alice, "labs")
            alice = again(alice)
            endpoint = make_endpoint(alice, "model", onnx_models.mlp(), namespace="labs")
            token = make_token(alice)
        try:
            inference.start()
            inference.await_serving("labs-model", token)
            yield SimpleNamespace(inference=inference, alice=alice, ben=ben, endpoint=endpoint, token=token)
        finally:
            inference.end()
            restore_after_transactional_test(None)


@pytest.fixture
def _django_db_helper(site, django_db_blocker):
    """In place of the plugin's own: the database lives as long as the site, and is put back after it."""
    with django_db_blocker.unblock():
        yield


def infer(site, token: str, slug: str = "labs-model") -> int:
    return site.inference.request("POST", f"/v2/models/{slug}/infer", BODY, token=token).status


def request_of(token: str, slug: str = "labs-model") -> bytes:
    return post(f"/v2/models/{slug}/infer", BODY, authorization=f"Bearer {token}")


def bought(site, calls: int | None, name: str) -> tuple[Budget, str]:
    """A budget of a new buyer called `name`, and a token of theirs that the process knows already."""
    with site.inference.content():
        buyer = make_person(name)
        budget = sell_calls(site.endpoint, Namespace.objects.get(name=name), calls)
        token = make_token(buyer)
    eventually(lambda: site.inference.is_serving("labs-model", token), limit_s=5, what="the new token is known")
    return budget, token


def settled(site, budget: Budget) -> Budget:
    """The budget once everything served is recorded and nothing is held any more."""

    def look() -> Budget | None:
        # in this order: what is recorded while one looks has left the spool only after it was counted
        if waiting_calls(site):
            return None
        present = Budget.objects.get(pk=budget.pk)
        return present if present.held == 0 else None

    return eventually(look, limit_s=60, what="the budget is settled")


def used_and_held(budget: Budget) -> tuple[int, int]:
    present = Budget.objects.get(pk=budget.pk)
    return present.used, present.held


def waiting_calls(site) -> int:
    return sum(path.stat().st_size for path in site.inference.spool.glob("*/*.calls"))


def test_a_prepaid_budget_of_fifty_serves_exactly_fifty_of_two_hundred(site):
    budget, token = bought(site, 50, "buyer-fifty")
    outcome = asyncio.run(hammer(site.inference.port, request_of(token), connections=200, total=200))
    assert outcome.statuses() == {200: 50, 402: 150}
    spent = next(each for each in outcome.replies if each.status == 402)
    assert json.loads(spent.body) == {"error": "What was bought of this model is used up: buy more to go on."}
    assert settled(site, budget).used == 50
    recorded = UsageRecord.objects.filter(budget=budget)
    assert sorted(recorded.values_list("source_id", flat=True)) == sorted(outcome.ids())
    with site.inference.content():
        sell_calls(site.endpoint, Namespace.objects.get(name="buyer-fifty"), 1, key="again")
    eventually(lambda: infer(site, token) == 200, limit_s=5, what="a new budget is served from")
    assert infer(site, token) == 402


def test_calls_that_fail_cost_nothing(site):
    budget, token = bought(site, 5, "buyer-failing")
    bad = post("/v2/models/labs-model/infer", b"{}", authorization=f"Bearer {token}")
    assert asyncio.run(hammer(site.inference.port, bad, connections=4, total=20)).statuses() == {400: 20}
    assert asyncio.run(hammer(site.inference.port, request_of(token), connections=4, total=20)).statuses() == {
        200: 5, 402: 15,
    }  # fmt: skip
    assert settled(site, budget).used == 5


def test_an_unlimited_budget_is_counted_and_never_held(site):
    budget, token = bought(site, None, "buyer-unlimited")
    assert asyncio.run(hammer(site.inference.port, request_of(token), connections=8, total=100)).statuses() == {
        200: 100
    }
    assert settled(site, budget).used == 100
    assert not BudgetHold.objects.filter(budget=budget).exists()


def test_a_bought_grant_without_an_open_budget_serves_nothing(site):
    budget, token = bought(site, 5, "buyer-closed")
    assert infer(site, token) == 200
    with site.inference.content():
        budgets.close(budget.source)
    eventually(lambda: infer(site, token) == 402, limit_s=5, what="the closed budget is refused")
    # the grant lives on: nothing but the budget was closed
    assert site.inference.is_serving("labs-model", token)


def test_an_idle_slice_goes_back_for_others_to_use(site):
    budget, token = bought(site, 1000, "buyer-idle")
    assert infer(site, token) == 200
    assert Budget.objects.get(pk=budget.pk).held > 0
    assert settled(site, budget).used == 1


@pytest.mark.parametrize("what", ["token", "grant", "membership", "endpoint"])
def test_revocation_works_within_a_second(site, what):
    with site.inference.content():
        person = make_person(f"revoked-{what}")
        slug = "labs-model"
        if what == "endpoint":
            slug = make_endpoint(site.alice, "short-lived", onnx_models.mlp(), namespace="labs").slug
        if what == "grant":
            endpoints.share(site.alice, site.endpoint, Namespace.objects.get(name=person.username).user)
        else:
            labs = Organization.objects.get(namespace__name="labs")
            members.add_member(SYSTEM, labs, Namespace.objects.get(name=person.username).user, Role.PUBLISHER)
        token = make_token(person)
    eventually(lambda: infer(site, token, slug) == 200, limit_s=20, what="it is served at first")
    refused = {"token": 401, "grant": 404, "membership": 404, "endpoint": 409}[what]
    stop = threading.Event()
    answers: list[tuple[float, int]] = []

    def keep_calling() -> None:
        while not stop.is_set():
            began = time.monotonic()
            answers.append((began, infer(site, token, slug)))

    caller = threading.Thread(target=keep_calling)
    caller.start()
    try:
        with site.inference.content():
            if what == "token":
                tokens.revoke(again(person), Token.objects.get(user_id=person.user_id).uuid)
            elif what == "grant":
                grants.revoke_for(
                    site.alice, site.endpoint, Namespace.objects.get(name=person.username).user, source="share"
                )
            elif what == "membership":
                members.remove_member(site.alice, labs, person.username)
            else:
                endpoints.stop(site.alice, Endpoint.objects.get(slug=slug))
        revoked_at = time.monotonic()
        eventually(lambda: answers and answers[-1][1] == refused, limit_s=10, what=f"refused with {refused}")
    finally:
        stop.set()
        caller.join()
    assert [status for began, status in answers if began > revoked_at + 1.0 and status != refused] == []
    assert {status for _, status in answers} <= {200, refused}


def test_a_process_that_was_frozen_trusts_nothing_it_knew(site):
    with site.inference.content():
        text = make_token(site.alice)
    eventually(lambda: infer(site, text) == 200, limit_s=5)
    # not in the middle of giving back a slice: a frozen writer keeps everybody out of SQLite
    eventually(lambda: not BudgetHold.objects.filter(amount__gt=0).exists(), limit_s=20, what="no slice is held")
    os.kill(site.inference.process.pid, signal.SIGSTOP)
    try:
        with site.inference.content():
            tokens.revoke(site.alice, Token.objects.filter(user_id=site.alice.user_id).latest("pk").uuid)
        # longer than a table is trusted without a look
        threading.Event().wait(1.2)
        seen: list[int] = []
        first = threading.Thread(target=lambda: seen.append(infer(site, text)))
        first.start()
    finally:
        os.kill(site.inference.process.pid, signal.SIGCONT)
    first.join()
    assert seen == [401]
    assert infer(site, site.token) == 200


def test_a_graceful_end_records_everything_and_holds_nothing(site):
    budget, token = bought(site, 1000, "buyer-graceful")
    outcome = asyncio.run(hammer(site.inference.port, request_of(token), connections=8, total=200))
    assert outcome.statuses() == {200: 200}
    try:
        # the server ends by the signal it got, after it has shut down
        assert site.inference.stop() == -signal.SIGTERM
        assert "inference has ended" in site.inference.log()
        eventually(lambda: not site.inference.recorders(), limit_s=120, what="the recorder has ended")
        assert used_and_held(budget) == (200, 0)
        assert not list(site.inference.spool.glob("*/*.calls"))
    finally:
        site.inference.start()


def test_a_process_that_ends_at_once_records_everything(site):
    budget, token = bought(site, 1000, "buyer-hasty")
    site.inference.stop()
    site.inference.start()
    try:
        assert infer(site, token) == 200
        site.inference.stop()
        eventually(lambda: not site.inference.recorders(), limit_s=120, what="the recorder has ended")
        assert used_and_held(budget) == (1, 0)
    finally:
        site.inference.start()


def test_no_answered_call_is_lost_or_doubled_by_twenty_kills(site):
    """Connections call without pause from a prepaid budget while the process is killed again and again."""
    kills, connections, granted = 20, 16, 1_000_000
    budget, token = bought(site, granted, "buyer-kills")
    site.inference.stop()
    lives = random.Random(4)

    outcome = Outcome()

    async def storm() -> None:
        stop = asyncio.Event()
        load = asyncio.create_task(
            hammer(site.inference.port, request_of(token), connections=connections, stop=stop, outcome=outcome)
        )
        for _ in range(kills):
            pid, before = start(), len(outcome.replies)
            until = time.monotonic() + 30
            while len(outcome.replies) == before:
                assert time.monotonic() < until, f"it does not answer:\n{site.inference.log()[-2000:]}"
                await asyncio.sleep(0.01)
            await asyncio.sleep(lives.uniform(0.0, 0.4))
            os.kill(pid, signal.SIGKILL)
        stop.set()
        await load

    with site.inference.nursery() as start:
        asyncio.run(storm())
    site.inference.start()
    present = settled(site, budget)
    recorded = list(UsageRecord.objects.filter(budget=budget).values_list("source_id", flat=True))
    received = outcome.ids()
    assert outcome.statuses().keys() <= {200, 503}
    assert len(received) > kills
    assert len(set(recorded)) == len(recorded)
    assert set(received) - set(recorded) == set()
    # recorded without a reply: only what was in flight at a kill
    assert len(recorded) - len(received) <= kills * connections
    assert (present.used, present.held) == (len(recorded), 0)
