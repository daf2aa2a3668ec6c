"""What a sandbox finds out about versions: once for the same bytes, again when it got lost, and gone after a while."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.actors import anonymous
from common.clock import now
from common.errors import Invalid, NotFound, TooMany, Unauthenticated
from registry.comparison.shape import Cell, Direction, Judgement, Unit, direction_of, row_of
from registry.errors import AccessNeeded, Quarantined
from registry.models import Study, Trial
from registry.services import quarantine, studies, trials
from registry.services.versions import publish_version
from registry.states import Origin
from tests.factories.accounts import SYSTEM, actor_of, make_user
from tests.factories.graphs import linear_model
from tests.factories.registry import add, commit, make_repo
from work.loops import run_due
from work.models import Task


@pytest.fixture
def ana(db):
    return actor_of(make_user("ana"))


@pytest.fixture
def versions(ana):
    repo = make_repo(ana, "model", kind="model")
    made = []
    for name, weight in (("1", 1.0), ("2", 2.0), ("3", 1.0)):
        commit(ana, repo, add("model.onnx", linear_model([[weight]], [0.0])), summary=name)
        made.append(publish_version(ana, repo, "main", name=name))
    return made


def test_the_same_bytes_are_weighed_once_whatever_the_version(ana, versions):
    first, second, third = versions
    studies.ask_weights(ana, first, second)
    studies.ask_weights(ana, third, second)
    assert Task.objects.filter(name="registry.study_weights").count() == 1
    run_due()
    (row,) = Study.objects.all()
    assert row.content["total"]["l2"] == 1.0
    assert row.expires_at > now() + timedelta(days=80)


def test_what_got_lost_can_be_asked_for_again(ana, versions):
    studies.ask_speed(ana, versions[0])
    Task.objects.all().delete()
    studies.ask_speed(ana, versions[0])
    assert Task.objects.count() == 0
    Study.objects.update(expires_at=now() - timedelta(seconds=1))
    studies.ask_speed(ana, versions[0])
    assert Task.objects.filter(name="registry.study_speed").count() == 1


def test_files_of_a_version_are_its_tensors_or_its_graph(ana):
    repo = make_repo(ana, "mixed", kind="model")
    made = commit(ana, repo, add("other.onnx", "a"), add("deep/b.onnx", "b"))
    version = publish_version(ana, repo, made.oid, name="1")
    assert len(studies.files_of(version).weights) == 1
    assert studies.files_of(version).graph is not None
    made = commit(ana, repo, add("more.onnx", "c"), add("a.safetensors", "d"), add("b.safetensors", "e"))
    found = studies.files_of(publish_version(ana, repo, made.oid, name="2"))
    assert (found.graph, len(found.weights)) == (None, 2)


def test_asking_takes_the_right_to_read_and_something_to_ask(ana, versions):
    stranger = actor_of(make_user("sam"))
    repo = versions[0].repo
    repo.visibility, repo.gate = "public", "manual"
    repo.save()
    with pytest.raises(AccessNeeded):
        studies.ask_weights(stranger, versions[0], versions[1])
    with pytest.raises(AccessNeeded):
        studies.ask_speed(stranger, versions[0])
    trials.try_rows(stranger, versions, ["x"], [["1"]])
    assert not Study.objects.exists()
    empty = make_repo(ana, "empty", kind="model")
    none = publish_version(ana, empty, commit(ana, empty, add("a.txt")).oid, name="1")
    with pytest.raises(Invalid, match="holds no weights"):
        studies.ask_weights(ana, versions[0], none)
    with pytest.raises(Invalid, match="has no ONNX model"):
        studies.ask_speed(ana, none)
    with pytest.raises(Unauthenticated):
        trials.try_rows(anonymous(), versions, ["x"], [["1"]])


def test_what_is_held_back_is_not_run(ana, versions):
    held = studies.files_of(versions[1]).graph
    quarantine.hold_back(SYSTEM, held, "It is under suspicion.", Origin.STAFF)
    with pytest.raises(Quarantined):
        studies.ask_weights(ana, versions[0], versions[1])
    with pytest.raises(Quarantined):
        studies.ask_speed(ana, versions[1])
    trial = trials.try_rows(ana, versions[:2], ["x"], [["1"]])
    run_due()
    answered, refused = trials.answers_of(ana, trial, versions[:2])
    assert answered.content
    assert refused is None


def test_inputs_go_after_a_week_with_their_answers(ana, versions):
    trial = trials.try_rows(ana, versions, ["x"], [["1"]])
    run_due()
    assert trials.trial_of(trial.uuid) == trial
    assert all(answer and answer.content for answer in trials.answers_of(ana, trial, versions))
    for model in (Study, Trial):
        model.objects.update(expires_at=now() - timedelta(seconds=1))
    with pytest.raises(NotFound):
        trials.trial_of(trial.uuid)
    # versions 1 and 3 are the same bytes, which answer once
    assert studies.forget_studies() == 1 + 2
    assert studies.forget_studies() == 0


def test_nobody_asks_without_end(ana, versions):
    for _ in range(60):
        trials.try_rows(ana, versions[:1], ["x"], [["1"]])
    with pytest.raises(TooMany):
        trials.try_rows(ana, versions[:1], ["x"], [["1"]])


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=2, max_size=8), st.data())
def test_rows_know_their_best_and_how_far_each_is_from_the_base(values, data):
    base = data.draw(st.integers(0, len(values) - 1))
    direction = data.draw(st.sampled_from(list(Direction)))
    row = row_of("k", "l", [Cell(value) for value in values], base, unit=Unit.NUMBER, direction=direction)
    numbers = [value for value in values if value is not None]
    best = [cell.value for cell in row.cells if cell.extreme == "best"]
    if direction and len(set(numbers)) > 1:
        assert set(best) == {min(numbers) if direction == Direction.LOWER else max(numbers)}
    else:
        assert best == []
    for cell in row.cells:
        assert cell.is_changed == (cell.value != values[base])
        if cell.value is not None and values[base] is not None and cell.value != values[base]:
            assert cell.difference == cell.value - values[base]
            is_more = (cell.value > values[base]) == (direction == Direction.HIGHER)
            assert cell.judgement == ((Judgement.BETTER if is_more else Judgement.WORSE) if direction else "")
        else:
            assert cell.judgement == ""


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("accuracy", "higher"),
        ("log_loss", "lower"),
        ("latency_p50_ms", "lower"),
        ("macro F1", "higher"),
        ("RMSE", "lower"),
    ],
)
def test_names_say_which_way_is_better(name, direction):
    assert direction_of(name) == direction
