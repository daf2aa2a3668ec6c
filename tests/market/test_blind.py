"""Blind evaluation: what each side gets to know, that a run counts once, and that a certificate holds."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.actors import anonymous
from accounts.models import AuditRecord
from accounts.permissions import Role
from accounts.services import members
from backends.blind.sandboxed import Score
from common.clock import frozen, now, travel
from common.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from common.states import StateMachine
from market import certificates
from market.blind_policies import evaluations_that_took_place, require_certificate, require_evaluation
from market.blind_queries import certificates_on, runs_of
from market.models import BlindEvaluation, Certificate, CertificateKey
from market.services import blind, blind_runs, listings
from market.services.certificates import current_key, document_of, verify
from market.states import COUNTED, EVALUATIONS, EvaluationState
from notices.models import Notice
from registry.queries import entry_at
from registry.services import quarantine
from tests.factories.accounts import SYSTEM, actor_of, make_user
from tests.factories.blind import ask, make_closed_model, make_evaluated, make_test_set, rows_of
from tests.factories.market import make_company, make_person
from work.loops import run_due
from work.models import Task

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller():
    return make_company("lab")


@pytest.fixture
def buyer():
    return make_company("clinic")


@pytest.fixture
def listing(seller):
    return make_closed_model(seller)


def fresh(row) -> BlindEvaluation:
    return BlindEvaluation.objects.select_related("certificate__key", "listing__namespace", "buyer").get(pk=row.pk)


def test_two_sides_meet_in_the_sandbox_and_a_score_leaves_it(seller, buyer, listing):
    data = make_test_set(buyer)
    asked = ask(buyer, listing, data)
    run_due()
    done = fresh(asked)
    assert (done.state, done.problem) == ("succeeded", "")
    assert (done.value, done.n) == (0.9, 60)
    assert 0.79 < done.low < 0.9 < done.high < 0.96
    assert done.classes == [
        {"class": "cat", "rows": 30, "precision": 0.9, "recall": 0.9, "f1": 0.9},
        {"class": "dog", "rows": 30, "precision": 0.9, "recall": 0.9, "f1": 0.9},
    ]
    statement = document_of(done)["certificate"]
    assert (statement["value"], statement["n"], statement["interval"]) == ("0.9", 60, "wilson")
    assert statement["listing"]["name"] == "lab/animals"
    assert len(statement["model"]["digest"]) == len(statement["data"]["digest"]) == 71
    # neither the buyer nor the name of the data is in it
    assert "clinic" not in json.dumps(statement)
    assert verify(json.dumps(document_of(done))).is_good
    told = {notice.user_id: notice for notice in Notice.objects.filter(kind="evaluation")}
    assert told[buyer.user.pk].url == f"/evaluations/{done.uuid}"
    assert told[seller.user.pk].text == "A blind evaluation of Animals took place."
    tags = AuditRecord.objects.filter(tag__startswith="market:evaluation").values_list("tag", flat=True)
    assert sorted(tags) == ["market:evaluation:asked", "market:evaluation:succeeded"]


def test_what_cannot_be_evaluated_fails_with_a_reason_and_gives_the_run_back(buyer, listing):
    asked = ask(buyer, listing, make_test_set(buyer, rows_of(40)))
    assert runs_of(buyer.namespace, None, listing).used == 1
    run_due()
    row = fresh(asked)
    assert (row.state, row.problem) == ("failed", "The test set has 40 rows with an answer: give 50 to 10,000.")
    told = Notice.objects.get(user=buyer.user, kind="evaluation")
    assert "failed, and did not count" in told.text
    assert not Notice.objects.filter(kind="evaluation").exclude(user=buyer.user).exists()
    assert runs_of(buyer.namespace, None, listing).used == 0
    assert Certificate.objects.count() == 0


def test_runs_are_capped_for_a_buyer_a_person_and_a_month(seller, buyer, listing):
    data = make_test_set(buyer)
    listing = blind.set_runs(seller.actor, listing, 2)
    with frozen(datetime(2030, 1, 30, 12, tzinfo=UTC)):
        first = ask(buyer, listing, data)
        ask(buyer, listing, data)
        with pytest.raises(TooMany, match="All 2 blind evaluations") as told:
            ask(buyer, listing, data)
        assert told.value.retry_after_s == 36 * 3600 + 1
        # the same person for another namespace of theirs
        alone = make_test_set(make_person_of(buyer), name="alone")
        with pytest.raises(TooMany):
            ask(make_person_of(buyer), listing, alone)
        blind.cancel_evaluation(buyer.actor, first)
        ask(buyer, listing, data)
    with frozen(datetime(2030, 2, 1, tzinfo=UTC)):
        assert runs_of(buyer.namespace, None, listing).left == 2
    listing = blind.set_runs(seller.actor, listing, 0)
    with pytest.raises(Conflict, match="not open to blind evaluation"):
        ask(buyer, listing, data)


def make_person_of(party):
    """The owner of a company, in the namespace of their own."""
    return type(party)(party.user, party.user.namespace)


def test_the_test_set_is_the_buyers_own(seller, buyer, listing):
    other = make_person("other")
    foreign = make_test_set(other)
    with pytest.raises(Invalid, match="a dataset that you may read"):
        ask(buyer, listing, foreign)
    shared = make_test_set(make_person_of(buyer), name="mine")
    with pytest.raises(Invalid, match="belongs to the buyer"):
        ask(buyer, listing, shared)
    with pytest.raises(Conflict, match="your own model"):
        ask(seller, listing, make_test_set(seller))
    with pytest.raises(Forbidden):
        blind.ask_for_evaluation(other.actor, listing, buyer="clinic", data_uuid=foreign.uuid, metric="accuracy")
    assert BlindEvaluation.objects.count() == 0


def test_a_dead_worker_costs_no_run_and_what_is_asked_twice_is_one(buyer, listing, monkeypatch):
    data = make_test_set(buyer)
    asked = ask(buyer, listing, data, key="k")
    assert ask(buyer, listing, data, key="k") == asked
    calls = []

    def die(*args, **kwargs):
        calls.append(1)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(blind_runs.sandboxed, "evaluate", die)
        with pytest.raises(SystemExit):
            blind_runs.run_evaluation(asked.pk)
    row = fresh(asked)
    assert (row.state, row.attempts) == ("running", 1)
    Task.objects.all().delete()
    assert blind_runs.sweep_evaluations() == 0
    with travel(timedelta(minutes=21)):
        assert blind_runs.sweep_evaluations() == 1
        run_due()
    row = fresh(asked)
    assert (row.state, row.attempts) == ("succeeded", 2)
    # the first worker comes back from the dead
    with pytest.raises(blind_runs.Overtaken):
        blind_runs._succeed(row.pk, 1, Score(value=0.1), {}, {})
    blind_runs._fail(row.pk, 1, "late")
    blind_runs.run_evaluation(row.pk)
    assert fresh(asked).value == 0.9
    assert runs_of(buyer.namespace, None, listing).used == 1
    assert Certificate.objects.count() == 1


def test_an_evaluation_that_kills_every_worker_is_given_up(buyer, listing, monkeypatch):
    asked = ask(buyer, listing, make_test_set(buyer))

    def die(*args, **kwargs):
        raise SystemExit

    monkeypatch.setattr(blind_runs.sandboxed, "evaluate", die)
    for _ in range(blind_runs.MOST_ATTEMPTS):
        with pytest.raises(SystemExit):
            blind_runs.run_evaluation(asked.pk)
    blind_runs.run_evaluation(asked.pk)
    assert fresh(asked).state == "failed"
    assert "given up" in fresh(asked).problem


def test_cancelling_stops_the_program(buyer, listing, monkeypatch):
    asked = ask(buyer, listing, make_test_set(buyer))

    def cancelled_meanwhile(*args, keep_going, **kwargs):
        keep_going()
        blind.cancel_evaluation(buyer.actor, asked)
        keep_going()
        raise AssertionError("it went on")

    monkeypatch.setattr(blind_runs.sandboxed, "evaluate", cancelled_meanwhile)
    blind_runs.run_evaluation(asked.pk)
    assert fresh(asked).state == "cancelled"
    assert blind.cancel_evaluation(buyer.actor, asked).state == "cancelled"


def test_a_full_machine_is_no_attempt_and_one_without_isolation_evaluates_nothing(buyer, listing, monkeypatch):
    data = make_test_set(buyer)
    asked = ask(buyer, listing, data)

    def full(*args, **kwargs):
        raise blind_runs.NoCapacity("no room")

    monkeypatch.setattr(blind_runs.sandboxed, "evaluate", full)
    with pytest.raises(blind_runs.Busy):
        blind_runs.run_evaluation(asked.pk)
    assert (fresh(asked).state, fresh(asked).attempts) == ("running", 0)

    def open_to_the_world(*args, **kwargs):
        raise blind_runs.Rejected("no isolation here")

    monkeypatch.setattr(blind_runs.sandboxed, "evaluate", open_to_the_world)
    blind_runs.run_evaluation(asked.pk)
    assert "cannot isolate" in fresh(asked).problem


def test_held_back_files_and_withdrawn_listings_are_not_evaluated(seller, buyer, listing):
    data = make_test_set(buyer)
    first = ask(buyer, listing, data)
    listings.withdraw_listing(seller.actor, listing)
    run_due()
    assert "withdrawn" in fresh(first).problem
    listings.publish_listing(seller.actor, listing)
    second = ask(buyer, listing, data)
    model = blind.model_for_sale(listing)
    quarantine.quarantine_file(staff_member(), model.repo, entry_at(model.commit, "model.onnx"), "It was stolen.")
    run_due()
    assert fresh(second).state == "failed"
    with pytest.raises(Conflict, match="held back"):
        ask(buyer, listing, data)


def staff_member():
    return actor_of(make_user("steve", is_staff=True))


def test_nobody_else_sees_anything(seller, buyer, listing):
    made = make_evaluated(buyer, listing).evaluation
    reader = make_user("reader")
    members.add_member(SYSTEM, buyer.namespace.organization, reader, Role.MEMBER)
    staff, stranger = staff_member(), make_person("eve").actor
    for actor in (staff, stranger, seller.actor, actor_of(reader)):
        with pytest.raises(NotFound):
            require_evaluation(actor, made.uuid)
        with pytest.raises(NotFound):
            require_certificate(actor, made.uuid)
    with pytest.raises(NotFound):
        require_certificate(anonymous(), made.uuid)
    assert require_evaluation(buyer.actor, made.uuid) == made
    assert list(evaluations_that_took_place(seller.actor)) == [made]
    for actor in (staff, stranger, buyer.actor, anonymous()):
        assert list(evaluations_that_took_place(actor)) == []
    with pytest.raises(NotFound, match="not published"):
        blind.show_certificate(seller.actor, listing, made.uuid, is_shown=True)


def test_a_certificate_stands_on_the_listing_when_both_sides_want_it(seller, buyer, listing):
    made = make_evaluated(buyer, listing).evaluation
    blind.publish_certificate(buyer.actor, made)
    blind.publish_certificate(buyer.actor, made)
    assert Notice.objects.filter(user=seller.user, kind="certificate-published").count() == 1
    assert require_certificate(anonymous(), made.uuid) == made
    assert certificates_on(listing) == []
    for actor in (buyer.actor, staff_member()):
        with pytest.raises(Forbidden):
            blind.show_certificate(actor, listing, made.uuid, is_shown=True)
    blind.show_certificate(seller.actor, listing, made.uuid, is_shown=True)
    assert certificates_on(listing) == [made]
    blind.show_certificate(seller.actor, listing, made.uuid, is_shown=False)
    assert certificates_on(listing) == []
    assert require_certificate(anonymous(), made.uuid) == made
    blind.show_certificate(seller.actor, listing, made.uuid, is_shown=True)
    blind.withdraw_certificate(buyer.actor, made)
    assert certificates_on(listing) == []
    with pytest.raises(NotFound):
        require_certificate(anonymous(), made.uuid)
    with pytest.raises(Conflict, match="no certificate"):
        blind.publish_certificate(buyer.actor, ask(buyer, listing, make_test_set(buyer)))


def test_every_change_of_a_certificate_is_noticed(buyer, listing):
    made = make_evaluated(buyer, listing)
    document = document_of(fresh(made.evaluation))
    text = json.dumps(document, indent=3)
    assert verify(text).is_good
    assert verify(text, public_pem=made.key.public_pem).is_good
    for name, value in {"n": 61, "value": "0.91", "metric": "f1", "data": {"digest": "sha256:00"}}.items():
        changed = {**document, "certificate": {**document["certificate"], name: value}}
        assert "changed after it was signed" in verify(json.dumps(changed)).reason
        assert not verify(json.dumps(changed), public_pem=made.key.public_pem).is_good
    foreign = {**document, "key_id": "0" * 64}
    assert "no such key" in verify(json.dumps(foreign)).reason
    for text in ("", "{}", "[]", json.dumps({**document, "signature": "AA=="}), "x" * 70_000):
        with pytest.raises(Invalid):
            verify(text)
    with pytest.raises(Invalid, match="PEM"):
        verify(json.dumps(document), public_pem="hello")
    with pytest.raises(IntegrityError), transaction.atomic():
        Certificate.objects.filter(pk=made.pk).update(signature="")


def test_a_new_secret_key_makes_a_new_signing_key_and_old_certificates_stay_good(buyer, listing, settings):
    old = make_evaluated(buyer, listing)
    settings.SECRET_KEY = "another" * 8
    assert current_key() != old.key
    assert current_key() == current_key()
    checked = verify(json.dumps(document_of(fresh(old.evaluation))))
    assert (checked.is_good, checked.is_retired) == (True, True)
    assert CertificateKey.objects.get(pk=old.key_id).sealed_private == ""


@pytest.mark.parametrize(
    ("value", "text"), [(0.9, "0.9"), (1.0, "1"), (0.0, "0"), (-0.5, "-0.5"), (12500.0, "12500"), (0.00012, "0.00012")]
)
def test_numbers_are_written_without_an_exponent(value, text):
    assert certificates.decimal(value) == text


def test_states_follow_the_table():
    assert isinstance(EVALUATIONS, StateMachine)
    assert {EvaluationState(state) for state in EVALUATIONS.table} == set(EvaluationState)
    assert EVALUATIONS.final == set(EvaluationState) - {EvaluationState.QUEUED, EvaluationState.RUNNING}
    assert COUNTED.isdisjoint({EvaluationState.FAILED, EvaluationState.CANCELLED})
    assert now() is not None


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_ten_requests_at_once_do_not_take_more_than_the_last_runs(seller, buyer, listing):
    data = make_test_set(buyer)
    listing = blind.set_runs(seller.actor, listing, 2)

    def one(number: int) -> str:
        try:
            return str(ask(buyer, listing, data, key=f"k{number % 5}").uuid)
        except TooMany as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(one, range(10)))
    assert len(set(found) - {"no_runs_left"}) == 2
    assert BlindEvaluation.objects.count() == 2
