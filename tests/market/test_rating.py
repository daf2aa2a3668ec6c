"""Rating is exact, fair to both sides, and blind to how often it runs."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import split
from market.rating import (
    CallPack,
    Settlement,
    Tier,
    charge_upto,
    discount_of,
    list_price,
    price_of_call,
    settle,
    shares_upto,
)


@st.composite
def packs(draw):
    paid, included = draw(st.integers(1, 400)), draw(st.integers(0, 50))
    return CallPack(paid + included, included, draw(st.integers(0, 10**12)), draw(tiers()))


@st.composite
def tiers(draw):
    """None, or up to four that end within the calls of a pack or beyond."""
    ends = sorted(draw(st.sets(st.integers(1, 500), max_size=3)))
    prices = [draw(st.integers(1, 10**6)), *(draw(st.integers(0, 10**6)) for _ in ends)]
    return tuple(Tier(end, price) for end, price in zip([*ends, None], prices, strict=True)) if ends else ()


def price_at(steps, number):
    """The price of paid call `number`, one by one: slow and plain."""
    return next(step.price_minor for step in steps if step.up_to_units is None or number <= step.up_to_units)


percents = st.integers(0, 100)


@given(packs(), percents, st.lists(st.integers(0, 500), max_size=20))
def test_billing_in_any_steps_comes_to_the_same_to_the_last_unit(pack, percent, marks):
    steps = [0, *sorted(marks), pack.granted_units * 2]
    parts = [settle(pack, percent, settled_units=first, used_units=second) for first, second in pairwise(steps)]
    whole = shares_upto(pack.total_minor, percent)
    assert sum(part.charged_minor for part in parts) == pack.total_minor
    assert sum(part.seller_minor for part in parts) == whole.seller_minor
    assert sum(part.fee_minor for part in parts) == whole.fee_minor
    assert all(min(part.charged_minor, part.seller_minor, part.fee_minor) >= 0 for part in parts)


@given(packs(), st.integers(0, 500))
def test_a_part_is_charged_its_share_rounded_down(pack, used):
    steps = pack.tiers or (Tier(None, 1),)
    prices = [price_at(steps, number) for number in range(1, pack.paid_units + 1)]
    share = Fraction(pack.total_minor * sum(prices[: max(used - pack.included_units, 0)]), sum(prices))
    assert charge_upto(pack, used) == int(share)
    assert charge_upto(pack, used) <= charge_upto(pack, used + 1) <= pack.total_minor


@given(packs(), st.integers(0, 500))
def test_the_price_of_a_call_is_what_the_charge_grows_by(pack, used):
    price = price_of_call(pack, used)
    if used >= pack.granted_units:
        assert price is None
    else:
        assert (price == 0) or used >= pack.included_units
        assert abs(charge_upto(pack, used + 1) - charge_upto(pack, used) - price) < 1


@given(tiers().filter(bool), st.integers(1, 600), st.sampled_from([1, 1000]))
def test_tiers_sum_to_what_the_calls_cost_one_by_one(steps, quantity, unit):
    steps = [Tier(step.up_to_units and step.up_to_units * unit, step.price_minor) for step in steps]
    one_by_one = sum(price_at(steps, number * unit) for number in range(1, quantity + 1))
    assert list_price(steps[0].price_minor, unit, steps, quantity) == one_by_one


@given(st.integers(0, 10**15), st.integers(1, 10_000), st.integers(1, 10**15))
def test_a_discount_is_never_more_than_the_price(price, basis_points, amount):
    assert discount_of(price, percent_bp=basis_points) == int(Fraction(price * basis_points, 10_000)) <= price
    assert discount_of(price, amount_minor=amount) == min(price, amount)


@given(st.integers(0, 10**15), percents)
def test_shares_are_the_largest_remainder_split(amount, percent):
    shares = shares_upto(amount, percent)
    assert [shares.seller_minor, shares.fee_minor] == split(amount, [100 - percent, percent])


@pytest.mark.parametrize(
    ("settled", "used", "expected"),
    [
        (0, 100, Settlement(0, 0, 0)),  # all included
        (100, 101, Settlement(0, 0, 0)),  # 1 of 1,000 calls at 250 for the thousand: a quarter of a unit, not yet due
        (100, 104, Settlement(1, 1, 0)),
        (100, 1100, Settlement(250, 225, 25)),
        (1100, 5000, Settlement(0, 0, 0, 225)),  # beyond the pack
    ],
)
def test_a_pack_of_1000_calls_for_2_50_with_100_free(settled, used, expected):
    assert settle(CallPack(1100, 100, 250), 10, settled_units=settled, used_units=used) == expected
