"""A day's free calls: who has them, that they end, that nobody is charged, and that there are never more of them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from accounts.actors import anonymous, for_user
from accounts.credentials import live_credentials
from accounts.permissions import Level
from accounts.services import tokens
from accounts.services.grants import share
from common.clock import frozen
from common.errors import Conflict, NotFound, Unauthenticated
from compute.endpoint_serving import serving_table
from market.models import TrialAllowance
from market.services import listings, trials
from market.services.ledger import verify_ledger
from market.services.orders import place_order
from market.trial_queries import Way, right_of, trial_days, trial_of
from metering.meters import Meter
from metering.models import Budget
from metering.queries import budget_of, usage_total
from metering.services import budgets, usage
from metering.services.usage import Usage
from tests.factories.market import agreed, give_credits, make_company, make_endpoint, make_listing, make_person, plan_of

PER_CALL = {"kind": "pay_per_use", "price_minor": 20}
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def endpoint(seller):
    return make_endpoint(seller)


@pytest.fixture
def listing(seller, endpoint):
    return trials.set_trial_calls(seller.actor, make_listing(seller, endpoint, PER_CALL), 3)


@pytest.fixture
def guest(seller):
    return make_person("guest")


def seats_of(party, endpoint):
    token, _ = tokens.issue(party.actor, name="calls", scopes=["endpoint:use"])
    table = serving_table()
    credential = next(each for each in live_credentials().values() if each.uuid == token.uuid)
    return table.seats(credential, table.by_slug[endpoint.slug])


def call(row, number, *, at=NOON):
    budget = budget_of(row.source)
    budgets.hold(budget.pk, "process", 1)
    made = Usage(
        Meter.INFERENCE_CALLS, "inference", f"{row.uuid}-{number}", 1, budget.subject, at, budget.holder, budget.pk
    )
    return usage.record(made, owner="process")


def test_day_has_so_many_calls_and_then_no_more(seller, endpoint, listing, guest):
    with frozen(NOON):
        with pytest.raises(NotFound):
            seats_of(guest, endpoint)
        assert right_of(guest.actor, endpoint, listing).trial.left == 3
        row = trials.open_trial(guest.actor, listing)
        assert trials.open_trial(guest.actor, listing) == row
        (seat,) = seats_of(guest, endpoint)
        assert (seat.is_trial, seat.payer, len(seat.budgets)) == (True, guest.namespace.uuid, 1)
        for number in range(3):
            call(row, number)
        assert trial_of(guest.user.pk, listing).left == 0
        assert budgets.hold(budget_of(row.source).pk, "another", 5) == 0
        assert [(day.people, day.calls) for day in trial_days(listing, days=2)] == [(0, 0), (1, 3)]
        assert usage_total(Meter.INFERENCE_CALLS, payer=guest.namespace.uuid) == 3
        assert verify_ledger().is_sound
    with frozen(NOON + timedelta(hours=12)):
        with pytest.raises(NotFound):
            seats_of(guest, endpoint)
        assert right_of(guest.actor, endpoint, listing).trial.left == 3
        assert trials.open_trial(guest.actor, listing) != row


def test_what_one_has_is_used_instead(seller, endpoint, listing, guest):
    with pytest.raises(Unauthenticated):
        trials.open_trial(anonymous(), listing)
    assert right_of(seller.actor, endpoint, listing).way == Way.OWN
    with pytest.raises(Conflict, match="already"):
        trials.open_trial(seller.actor, listing)
    friend = make_person("friend")
    share(seller.actor, endpoint, friend.user, Level.USE)
    assert right_of(friend.actor, endpoint, listing).way == Way.SHARED
    trials.open_trial(guest.actor, listing)
    give_credits(guest, 1000)
    place_order(guest.actor, buyer_namespace=guest.name, quantity=5, key="k", **agreed(plan_of(listing)))
    found = right_of(guest.actor, endpoint, listing)
    assert (found.way, found.next_call.paid_left) == (Way.BOUGHT, 5)
    (seat,) = seats_of(guest, endpoint)
    assert not seat.is_trial
    assert [budget.granted for budget in Budget.objects.filter(pk__in=[each.pk for each in seat.budgets])] == [5]
    with pytest.raises(Conflict, match="already"):
        trials.open_trial(guest.actor, listing)


def test_seller_ends_it_at_once(seller, endpoint, listing, guest):
    trials.open_trial(guest.actor, listing)
    trials.set_trial_calls(seller.actor, listing, 2)
    assert len(seats_of(guest, endpoint)) == 1
    ended = trials.set_trial_calls(seller.actor, listing, 0)
    with pytest.raises(NotFound):
        seats_of(guest, endpoint)
    assert right_of(guest.actor, endpoint, ended).way == Way.NONE
    again = trials.set_trial_calls(seller.actor, ended, None)
    assert right_of(guest.actor, endpoint, again).way == Way.NONE
    for refused in (ended, again, trials.set_trial_calls(seller.actor, ended, 4)):
        with pytest.raises(Conflict):
            trials.open_trial(guest.actor, refused)
    other = make_person("other")
    row = trials.open_trial(other.actor, listing)
    listings.withdraw_listing(seller.actor, listing)
    with pytest.raises(NotFound):
        seats_of(other, endpoint)
    assert TrialAllowance.objects.get(pk=row.pk).closed_at is not None
    with pytest.raises(NotFound):
        trials.set_trial_calls(guest.actor, listing, 9)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_there_are_never_more_however_many_ask_at_once(seller, endpoint, listing, guest):
    def open_and_hold(number):
        try:
            row = trials.open_trial(for_user(guest.user), listing)
            return row.pk, budgets.hold(budget_of(row.source).pk, f"process-{number}", 2)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(open_and_hold, range(16)))
    assert len({row for row, _ in found}) == TrialAllowance.objects.count() == 1
    assert sum(got for _, got in found) == 3
