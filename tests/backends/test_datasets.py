"""The statistics and parsers behind datasets, against other implementations and against anything at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from scipy import stats

from backends.datasets import recipes, rules
from backends.datasets.comparing import chi_squared, ks, psi
from backends.datasets.images import hash_of, sharpness_of
from backends.datasets.layouts import split_of, table_of
from backends.datasets.neighbours import pairs_of
from backends.datasets.shapes import COMPARISON, PROFILE, Misshapen, held

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def binned(before: np.ndarray, after: np.ndarray, bins: int = 200) -> tuple[list[int], list[int]]:
    edges = np.linspace(min(before.min(), after.min()), max(before.max(), after.max()), bins + 1)
    return np.histogram(before, edges)[0].tolist(), np.histogram(after, edges)[0].tolist()


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_kolmogorov_smirnov_agrees_with_scipy(shift):
    rng = np.random.default_rng(3)
    before, after = rng.normal(0, 1, 2000), rng.normal(shift, 1, 3000)
    found, expected = ks(*binned(before, after)), stats.ks_2samp(before, after)
    # bins can only lower the distance
    assert found["statistic"] == pytest.approx(expected.statistic, abs=0.01)
    assert found["statistic"] <= expected.statistic + 1e-9
    assert (found["p_value"] < 0.01) == (expected.pvalue < 0.01)


@pytest.mark.parametrize("after", [[50, 30, 20], [60, 25, 15], [10, 60, 30], [0, 90, 10]])
def test_chi_squared_agrees_with_scipy(after):
    before = [48, 33, 19]
    found, expected = chi_squared(before, after), stats.chi2_contingency([before, after], correction=False)
    assert found["statistic"] == pytest.approx(expected.statistic)
    assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)


def test_same_distribution_is_called_drifted_in_few_of_a_thousand_cases():
    rng = np.random.default_rng(5)
    numbers = sum(ks(*binned(rng.normal(size=500), rng.normal(size=500)))["p_value"] < 0.01 for _ in range(1000))
    classes = sum(
        chi_squared(rng.multinomial(500, [0.5, 0.3, 0.2]).tolist(), rng.multinomial(500, [0.5, 0.3, 0.2]).tolist())[
            "p_value"
        ]
        < 0.01
        for _ in range(1000)
    )
    assert max(numbers, classes) <= 25


def test_psi_is_nothing_for_the_same_shares():
    assert psi([10, 20, 70], [20, 40, 140]) == pytest.approx(0)
    assert psi([10, 20, 70], [70, 20, 10]) > 0.5
    assert psi([], []) is None


def test_blurred_pictures_are_less_sharp_and_hash_alike():
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 255, (12, 12), dtype=np.uint8)).resize((200, 200))
    blurred = picture.filter(ImageFilter.GaussianBlur(4))
    sharp = [sharpness_of(np.asarray(each, dtype=np.float32)) for each in (picture, blurred)]
    assert sharp[1] < sharp[0]
    assert (hash_of(picture) ^ hash_of(blurred)).bit_count() <= 6
    assert (hash_of(picture) ^ hash_of(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).bit_count() > 10


def test_near_texts_are_found_and_others_not():
    texts = [
        "the cat sat on the mat and looked at the dog for a long while before it slept again",
        "The cat sat on the mat, and looked at the dog for a long while before it slept again!",
        "an entirely different sentence about ships and harbours and the weather of the northern sea",
        "short text",
        "short text",
    ]
    assert pairs_of(texts) == [(0, 1)]


@pytest.mark.parametrize(
    ("path", "split", "table"),
    [
        ("train.csv", "train", "data"),
        ("data/train-00000-of-00002.parquet", "train", "data"),
        ("people_test.csv", "test", "people"),
        ("valid/rows.jsonl", "validation", "rows"),
        ("restrained.csv", "all", "restrained"),
        ("a/b/c.csv", "all", "a/b/c"),
    ],
)
def test_splits_and_tables_by_path(path, split, table):
    assert (split_of(path), table_of(path)) == (split, table)


@given(JSON)
def test_parsers_refuse_anything_else_with_a_reason(value):
    for parse, wrong in ((rules.parse, rules.Wrong), (recipes.parse, recipes.Wrong)):
        try:
            parse(value)
        except wrong as error:
            assert str(error)  # noqa: PT017


@given(JSON)
def test_answers_of_another_shape_are_refused(value):
    for shape in (PROFILE, COMPARISON):
        with pytest.raises(Misshapen):
            held(value, shape)
