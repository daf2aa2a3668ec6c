"""Names of versions: what may be one, and which is the newer."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import Invalid
from registry.version_names import check_version, parse, proposal

NUMBER = st.integers(0, 10**9).map(str)
WORD = st.from_regex(r"[0-9A-Za-z-]{1,6}", fullmatch=True).filter(
    lambda word: not (word.isdigit() and len(word) > 1 and word[0] == "0") and not word.endswith("-")
)
WORDS = st.lists(WORD, min_size=1, max_size=3).map(".".join)


@st.composite
def semantic(draw) -> str:
    numbers = ".".join(draw(st.lists(NUMBER, min_size=1, max_size=3)))
    before = draw(st.one_of(st.just(""), WORDS.map("-{}".format)))
    build = draw(st.one_of(st.just(""), WORDS.map("+{}".format)))
    return draw(st.sampled_from(["", "v"])) + numbers + before + build


NAMES = st.one_of(
    semantic(),
    st.dates().filter(lambda day: day.year >= 1000).map(lambda day: day.isoformat()),
    st.dates().filter(lambda day: day.year >= 1000).map(lambda day: day.isoformat().replace("-", ".")),
).filter(lambda name: parse(name) is not None)


# section 11 of semver.org, with dates and shorthands in their places
ORDER = [
    "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
    "1.0.0", "1.0.0+build.2", "1.0.0+build.11", "v1.0.1", "1.2", "2", "10.0", "2025-12-31", "2026-01", "2026-01-31",
    "2026.01.31.2", "2026-02-01",
]  # fmt: skip


def test_the_order_of_names() -> None:
    parsed = [parse(name) for name in ORDER]
    assert all(older < newer for older, newer in pairwise(parsed))
    assert max(parsed) == parsed[-1]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(NAMES, min_size=3, max_size=3))
@example(["1", "1.0", "v1.0.0"])
def test_the_order_is_total(names: list[str]) -> None:
    a, b, c = (parse(name) for name in names)
    assert (a < b) + (b < a) + (a == b) == 1
    assert not (a < b < c) or a < c
    assert a != b or hash(a) == hash(b)


@given(NAMES)
def test_a_name_written_out_is_the_same_version(name: str) -> None:
    parsed = parse(name)
    if not parsed.numbers[3]:
        assert parse(parsed.semantic) == parsed
    assert check_version(name) == name


@given(st.text())
@example("release ١٢")
def test_whatever_is_typed_is_a_name_or_gets_one_proposed(text: str) -> None:
    assert parse(proposal(text)) is not None
    if parse(text) is None:
        with pytest.raises(Invalid, match=proposal(text).replace(".", r"\.")):
            check_version(text)
    else:
        assert text.isascii()
        assert "/" not in text


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("first", "1.0.0"), ("release 1.2", "1.2.0"), ("v1_2", "1.2.0"), ("01.2.3", "1.2.3"), ("2026-02-30", "2026.2.30"),
        ("2026-13", "2026.13.0"), ("1.0.0-01", "1.0.0"), ("1.0.0-", "1.0.0"), ("1..2", "1.2.0"), ("1.2.3.4", "1.2.3"),
        ("a" * 40, "1.0.0"), ("1" * 40, "111111111111.111111111111.111111111111"), ("1.lock", "1.0.0"), ("", "1.0.0"),
    ],
)  # fmt: skip
def test_what_is_no_name_and_what_is_proposed(text: str, better: str) -> None:
    assert parse(text) is None
    assert proposal(text) == better


def test_dates_of_the_same_day_and_spellings_of_the_same_version() -> None:
    assert parse("2026-01-31") == parse("2026.01.31")
    assert parse("1") == parse("v1.0") == parse("1.0.0")
    assert parse("1.0.0-RC.1") == parse("1.0.0-rc.1")
    assert parse("1.0.0") != parse("1.0.0+x")
