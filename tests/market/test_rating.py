"""Rating is exact, fair to both sides, and blind to how often it runs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import split
from market.rating import CallPack, Settlement, charge_upto, settle, shares_upto


@st.composite
def packs(draw):
    paid, included = draw(st.integers(1, 5_000)), draw(st.integers(0, 500))
    return CallPack(paid + included, included, draw(st.integers(0, 10**12)))


percents = st.integers(0, 100)


@given(packs(), percents, st.lists(st.integers(0, 6_000), max_size=20))
def test_billing_in_any_steps_comes_to_the_same_to_the_last_unit(pack, percent, marks):
    steps = [0, *sorted(marks), pack.granted_calls * 2]
    parts = [settle(pack, percent, settled_calls=first, used_calls=second) for first, second in pairwise(steps)]
    whole = shares_upto(pack.total_minor, percent)
    assert sum(part.charged_minor for part in parts) == pack.total_minor
    assert sum(part.seller_minor for part in parts) == whole.seller_minor
    assert sum(part.fee_minor for part in parts) == whole.fee_minor
    assert all(min(part.charged_minor, part.seller_minor, part.fee_minor) >= 0 for part in parts)


@given(packs(), st.integers(0, 6_000))
def test_a_part_is_never_charged_above_its_share(pack, used):
    paid_calls = pack.granted_calls - pack.included_calls
    charged = charge_upto(pack, used)
    assert charged * paid_calls <= pack.total_minor * min(max(used - pack.included_calls, 0), paid_calls)
    assert charged <= pack.total_minor


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
        (1100, 5000, Settlement(0, 0, 0)),  # beyond the pack
    ],
)
def test_a_pack_of_1000_calls_for_2_50_with_100_free(settled, used, expected):
    assert settle(CallPack(1100, 100, 250), 10, settled_calls=settled, used_calls=used) == expected
