"""Two versions judged on the same rows, from what they keep of their evaluation."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import evaluations
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo

HEADER = "row,answer,predicted,probability,is_right\n"


def table(said: dict[str, tuple[str, str]]) -> str:
    return HEADER + "".join(
        f"{row},{answer},{label},0.9,{int(answer == label)}\n" for row, (answer, label) in said.items()
    )


@pytest.fixture
def publish(db):
    actor = actor_of(make_user("ana"))
    repo = make_repo(actor, "model", kind="model")

    def published(name: str, text: str | bytes):
        commit(actor, repo, add(evaluations.PATH, text), summary=name)
        return publish_version(actor, repo, "main", name=name)

    return published


def test_rows_both_have_seen_are_compared(publish):
    answers = {str(row): "cat" if row % 2 else "dog" for row in range(40)}
    before = {row: (answer, "cat") for row, answer in answers.items()}
    after = {row: (answer, answer if row != "1" else "dog") for row, answer in answers.items()} | {"99": ("cat", "cat")}
    found = evaluations.paired(publish("v1", table(before)), publish("v2", table(after)))
    assert (found.n, found.lost, found.won) == (40, 1, 20)
    assert found.difference == pytest.approx(19 / 40)
    assert found.low < found.difference < found.high
    assert found.p_value == pytest.approx(2 * 22 / 2**21)
    assert found.is_significant
    assert [(each.name, each.n, each.before, each.after) for each in found.slices] == [
        ("answer cat", 20, 20, 19), ("answer dog", 20, 0, 20),
    ]  # fmt: skip
    assert found.confusion == (("dog", "cat", 20, 0), ("cat", "dog", 0, 1))


def test_other_answers_other_rows_and_other_files_are_no_comparison(publish):
    known = publish("v1", table({"1": ("cat", "cat")}))
    for number, text in enumerate(
        [
            table({"1": ("dog", "cat")}),
            table({"2": ("cat", "cat")}),
            HEADER,
            "row,answer,predicted,error\n1,1.0,1.5,0.5\n",
            "row,answer,predicted,error\n1,cat,cat,0\n",
            b"\xff\xfe\x00PAR1",
            'row,answer,predicted,is_right\n1,"cat',
            "",
        ]
    ):
        assert evaluations.paired(known, publish(f"2.{number}", text)) is None


def test_the_same_version_differs_by_nothing(publish):
    version = publish("v1", table({str(row): ("cat", "cat" if row else "dog") for row in range(10)}))
    found = evaluations.paired(version, version)
    assert (found.difference, found.low, found.high, found.p_value, found.confusion) == (0.0, 0.0, 0.0, 1.0, ())


@given(st.integers(0, 900), st.integers(0, 900))
def test_the_test_is_a_probability_and_knows_no_side(lost: int, won: int):
    p = evaluations.mcnemar(lost, won)
    assert 0 <= p <= 1
    assert p == evaluations.mcnemar(won, lost)


def test_the_test_gives_the_textbook_values_and_meets_its_approximation():
    assert evaluations.mcnemar(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 4096)
    exact = 2 * sum(math.comb(2_400, k) for k in range(1_151)) / 2**2_400
    assert evaluations.mcnemar(1_150, 1_250) == pytest.approx(exact, rel=1e-3)


def numbers(said: dict[str, tuple[float, float]]) -> str:
    lines = [f"{row},{answer},{value},{value - answer}" for row, (answer, value) in said.items()]
    return "\n".join(["row,answer,predicted,error", *lines, ""])


def test_numbers_are_judged_by_how_far_off_they_are(publish):
    rows = {str(row): float(row) for row in range(60)}
    before = {row: (value, value + (2 if int(row) % 2 else -2)) for row, value in rows.items()}
    after = {row: (value, value + (1 if int(row) % 3 else -1.5)) for row, value in rows.items()}
    found = evaluations.paired(publish("v1", numbers(before)), publish("v2", numbers(after)))
    mean, root = found.tests
    assert (mean.name, mean.before, mean.after) == ("mean absolute error", 2.0, pytest.approx(7 / 6))
    assert mean.low < mean.difference < mean.high < 0
    assert mean.is_significant
    assert mean.is_better
    assert (root.name, root.is_better, found.n, found.slices) == ("RMSE", True, 60, ())


def test_errors_are_told_by_slice_with_intervals_the_worst_first(publish):
    def sliced(said):
        lines = numbers(said).splitlines()
        return "\n".join(
            [lines[0] + ",slice:region", *(f"{line},{'ns'[row % 2]}" for row, line in enumerate(lines[1:]))]
        )

    rows = {str(row): float(row) for row in range(80)}
    before = {row: (value, value + 4 + int(row) % 3) for row, value in rows.items()}
    after = {row: (value, value + (6 if int(row) % 2 else 1) + int(row) % 3) for row, value in rows.items()}
    found = evaluations.paired(publish("v1", sliced(before)), publish("v2", sliced(after)))
    by_name = {each.name: each for each in found.error_slices}
    assert [each.after for each in found.error_slices] == sorted(
        (each.after for each in found.error_slices), reverse=True
    )
    south, north = by_name["region s"], by_name["region n"]
    assert found.error_slices[0] == south
    assert (south.n, south.after, south.before) == (40, pytest.approx(7, abs=0.1), pytest.approx(5, abs=0.1))
    assert south.after_low < south.after < south.after_high
    # each row is off by the same, so the paired difference has no spread
    assert (south.low, south.high) == (pytest.approx(2), pytest.approx(2))
    assert south.p_value < 0.05 > north.p_value
    assert north.difference < 0 < south.difference
    quarters = [each for each in by_name.values() if each.name.startswith("answer")]
    assert (len(quarters), sum(each.n for each in quarters), "answer 0 to 19" in by_name) == (4, 80, True)
    assert evaluations.Paired.from_json(asdict(found)) == found
    same = evaluations.paired(publish("v3", numbers(before)), publish("v4", numbers(before)))
    assert {(each.difference, each.p_value) for each in same.error_slices} == {(0.0, 1.0)}


def test_several_versions_are_judged_on_one_set_of_rows(publish):
    all_rows = {str(row): ("cat", "cat") for row in range(10)}
    versions = [
        publish("v1", table(all_rows)),
        publish("v2", table({row: said for row, said in all_rows.items() if int(row) < 8})),
        publish("v3", table({row: ("cat", "dog") for row in all_rows if int(row) > 3})),
        publish("v4", table({"other": ("cat", "cat")})),
        publish("v5", numbers({"5": (1.0, 1.0)})),
    ]
    found = evaluations.panel(versions, 0)
    assert [each and (each.n, each.right_after) for each in found] == [None, (4, 4), (4, 0), None, None]
    again = [evaluations.Paired.from_json(asdict(each)) for each in found if each]
    assert again == [each for each in found if each]


def test_macro_f1_is_that_of_the_textbook_and_slices_may_be_named(publish):
    rows = {str(row): ("ab"[row % 2], "a") for row in range(20)}
    better = {row: (answer, answer) for row, (answer, _) in rows.items()}

    def sliced(said):
        lines = table(said).splitlines()
        kinds = ["night" if row < 5 else "day" for row in range(len(said))]
        return "\n".join([lines[0] + ",slice:time", *(f"{a},{b}" for a, b in zip(lines[1:], kinds, strict=True))])

    found = evaluations.paired(publish("v1", sliced(rows)), publish("v2", sliced(better)))
    accuracy, macro = found.tests
    assert (accuracy.before, accuracy.after, accuracy.method) == (0.5, 1.0, "McNemar, exact")
    assert (macro.before, macro.after) == (pytest.approx((2 * 10 / 30 + 0) / 2), 1.0)
    assert macro.is_significant
    assert {each.name: each.n for each in found.slices} == {
        "answer a": 10, "answer b": 10, "time night": 5, "time day": 15,
    }  # fmt: skip


@given(st.lists(st.floats(0, 1), max_size=20))
def test_correction_never_lowers_a_chance_and_keeps_the_order(chances):
    corrected = evaluations.holm(chances)
    assert all(before <= after <= 1 for before, after in zip(chances, corrected, strict=True))
    ranked = [after for _, after in sorted(zip(chances, corrected, strict=True))]
    assert ranked == sorted(ranked)


def test_equally_good_versions_are_seldom_told_apart():
    generator = np.random.default_rng(7)
    wrong = 0
    for _ in range(1000):
        before, after = (["cat" if right else "dog" for right in generator.random(200) < 0.9] for _ in range(2))
        lost = sum(a == "cat" != b for a, b in zip(before, after, strict=True))
        won = sum(b == "cat" != a for a, b in zip(before, after, strict=True))
        wrong += evaluations.mcnemar(lost, won) < evaluations.SIGNIFICANT
    assert wrong <= 50
