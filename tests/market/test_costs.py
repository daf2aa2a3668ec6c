"""Total cost: whole minor units, never less for more calls, the sum of its lines; and the number of machines by its formula."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.costs import (
    Candidate,
    Hardware,
    PlanTerms,
    Speed,
    Traffic,
    hosting_option,
    hosts_needed,
    plan_option,
    quote,
)
from market.rating import Tier

CORE = Hardware("One core", "CRD", 4, 4 * 10**9)
calls, months = st.integers(1, 10**7), st.integers(1, 36)
speeds = st.fractions(min_value=Fraction(1, 10**6), max_value=10)
terms = st.one_of(
    st.builds(
        PlanTerms, st.just("p"), st.just("pay_per_use"), st.just("CRD"), st.integers(1, 10**4),
        unit_size=st.sampled_from([1, 1000]), included_units=st.integers(0, 5000),
        tiers=st.just(()) | st.just((Tier(10_000, 7), Tier(None, 3))),
    ),
    st.builds(
        PlanTerms, st.just("s"), st.just("subscription"), st.just("CRD"), st.integers(0, 10**5),
        included_units=st.none() | st.integers(0, 10**6), period_months=st.sampled_from([1, 12]),
        overage_minor=st.integers(0, 100),
    ),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(terms, calls, st.integers(0, 10**6), months)
def test_more_calls_never_cost_less(plan, some, more, length):
    less, greater = (plan_option(plan, Traffic(count, months=length)) for count in (some, some + more))
    assert type(less.total_minor) is int
    assert less.total_minor == sum(line.minor or 0 for line in less.lines) <= greater.total_minor


@settings(max_examples=80, deadline=None)
@given(speeds, calls, st.integers(0, 10**6), st.integers(1, 50), months, st.integers(1, 100))
def test_machines_carry_the_traffic_and_no_fewer_would(seconds, some, more, rows, length, busy):
    traffic = Traffic(some, rows, length)
    hosts = hosts_needed(traffic, seconds * rows, busy)
    load = Fraction(some) / 730 * seconds * rows
    assert hosts == max(1, math.ceil(load / (3600 * Fraction(busy, 100))))
    model = Candidate("v1", True, 10, Speed(seconds, "here", 200))
    less, greater = (hosting_option(model, CORE, Traffic(count, rows, length), busy) for count in (some, some + more))
    assert less.total_minor == hosts * 730 * length * 4 == sum(line.minor or 0 for line in less.lines)
    assert less.total_minor <= greater.total_minor


def test_packs_are_bought_monthly_and_free_calls_come_once():
    plan = PlanTerms("calls", "pay_per_use", "CRD", 500, unit_size=1000, included_units=1500)
    option = plan_option(plan, Traffic(2500, months=3))
    assert [line.minor for line in option.lines] == [500, 3000]
    assert option.total_minor == 3500
    assert "after 1,500 free calls" in option.lines[0].text


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (PlanTerms("p", "free", "CRD", 0, included_units=100), "gives 100 calls in all; 1,200 are expected"),
        (PlanTerms("s", "subscription", "CRD", 9, included_units=10, period_months=1), "10 calls in each period; 100"),
    ],
)
def test_plan_that_does_not_carry_the_traffic_has_no_number(plan, why):
    option = plan_option(plan, Traffic(100))
    assert (option.total_minor, why in option.why_not) == (None, True)


def test_what_was_not_measured_is_said():
    unmeasured = hosting_option(Candidate("v1", True, 10, None), CORE, Traffic(5), 50)
    large = Candidate("v1", True, 10, Speed(Fraction(1), "here", memory_bytes=5 * 10**9))
    assert unmeasured.total_minor is None
    assert unmeasured.why_not == "Its latency was not measured on One core."
    assert hosting_option(large, CORE, Traffic(5), 50).why_not == "It takes 5.0 GB of memory, the machine has 4.0 GB."


def test_cheapest_that_is_as_good_is_recommended():
    speed, traffic = Speed(Fraction(1, 100), "here", 200), Traffic(10**9)
    offered = hosting_option(Candidate("v1", True, 10, speed), CORE, traffic, 50)
    fast = Speed(Fraction(1, 1000), "here", 200)
    worse, unknown, good = (
        hosting_option(Candidate(title, False, 5, fast, accuracy_change=change), CORE, traffic, 50)
        for title, change in (("worse", -0.05), ("unknown", None), ("good", -0.005))
    )
    euro = plan_option(PlanTerms("euro", "one_time", "EUR", 1), traffic)
    gone = plan_option(PlanTerms("few", "free", "CRD", 0, included_units=1), traffic)
    found = quote(traffic, [gone, euro, offered, worse, unknown, good], "CRD").options
    assert [each.title for each in found if each.is_recommended] == ["good on One core"]
    assert [each.total_minor is None for each in found] == [False] * 5 + [True]
    assert found[-2] is euro
