"""Money is whole and never lost in a split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Invalid
from common.money import EXPONENTS, Money, format_money, parse_amount, split


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any),
)
def test_the_parts_of_a_split_sum_to_the_whole_and_are_within_one_unit_of_fair(amount, weights) -> None:
    parts = split(amount, weights)
    assert sum(parts) == amount
    assert all(
        abs(part * sum(weights) - amount * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@given(st.integers(-(10**14), 10**14), st.sampled_from(sorted(EXPONENTS)))
def test_what_is_written_is_read_back(amount, currency) -> None:
    text = format_money(Money(amount, currency)).rsplit(" ", 1)[0].replace(",", "")
    assert parse_amount(text, currency) == Money(amount, currency)


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "1.234", "1e30", "--1", "1,5"])
def test_what_is_not_an_amount_is_refused(text) -> None:
    with pytest.raises(Invalid):
        parse_amount(text, "EUR")


def test_currencies_do_not_mix_and_floats_are_refused() -> None:
    with pytest.raises(TypeError):
        Money(1, "EUR") + Money(1, "USD")
    with pytest.raises(TypeError):
        Money(1.5, "EUR")  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        Money(1, "XXX")
    assert str(Money(1234567, "JPY")) == "1,234,567 JPY"
    assert str(Money(-5, "CRD")) == "-0.05 CRD"
