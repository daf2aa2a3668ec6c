"""Subscriptions through the API: a trial, periods, what happens when one is not paid, other plans, the end."""

from datetime import UTC, datetime, timedelta

import pytest

from common import clock
from compute.services import endpoints
from market.models import Entitlement, Order, Subscription
from market.services import listings
from market.services.ledger import earnings, fees, verify_ledger, wallet
from market.services.overage import charge_due
from market.services.renewals import renew_due
from metering.queries import budget_of
from metering.services import budgets
from metering.units import Unit
from notices.models import Notice
from registry.policies import visible_repos
from tests.factories.accounts import make_token, make_user
from tests.factories.market import (
    balance,
    digest_of,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_version,
    plan_of,
)
from tests.support.api import Caller

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
MONTHLY = {"kind": "subscription", "interval": "month", "price_minor": 1000}


class Story:
    """A seller with a listing on subscription, a buyer with a wallet, and a clock that is set."""

    def __init__(self, client, *plans, credits_minor=10_000, endpoint=False) -> None:
        self.seller, self.buyer = make_company("vineyard"), make_company("tasters")
        self.subject = make_endpoint(self.seller) if endpoint else make_version(self.seller).repo
        self.listing = make_listing(self.seller, self.subject, *(plans or (MONTHLY,)))
        if credits_minor:
            give_credits(self.buyer, credits_minor)
        self.client = client
        self.api = Caller(client, make_token(self.buyer.user))
        self.sells = Caller(client, make_token(self.seller.user))

    def order(self, key="k1", number=1):
        plan = plan_of(self.listing, number).uuid
        body = {"buyer": "tasters", "plan": str(plan), "accept_terms": digest_of(plan)}
        return self.api.call("POST", "orders", body, **{"Idempotency-Key": key})

    def begin(self, key="k1", number=1) -> dict:
        assert self.order(key, number).status_code == 201
        return self.api.call("GET", "namespaces/tasters/subscriptions").json()["items"][0]

    def now(self) -> dict:
        return self.api.call("GET", "namespaces/tasters/subscriptions").json()["items"][0]

    def post(self, deed: str, body=None, key="") -> object:
        path = f"subscriptions/{self.now()['uuid']}/{deed}"
        return self.api.call("POST", path, body, **({"Idempotency-Key": key} if key else {}))

    def has_access(self) -> bool:
        open_ones = Entitlement.objects.filter(holder=self.buyer.namespace, revoked_at=None, frozen_at=None)
        assert open_ones.count() <= 1
        return open_ones.exists()

    def told(self) -> list[str]:
        """The kinds of notices that the buyer's people got about the subscription, in their order."""
        rows = Notice.objects.filter(user=self.buyer.user, kind__startswith="market:subscription").order_by("pk")
        return [kind.rpartition(":")[2] for kind in rows.values_list("kind", flat=True)]


def accepting(plan: str) -> dict:
    return {"plan": plan, "accept_terms": digest_of(plan)}


def at(moment: datetime, *, renew: bool = True):
    """What is due at a moment is done."""
    with clock.frozen(moment):
        if renew:
            renew_due()
            renew_due()


def test_a_trial_is_renewed_fails_is_suspended_and_comes_back_when_it_is_paid(client) -> None:
    with clock.frozen(START):
        story = Story(client, MONTHLY | {"trial_days": 10}, credits_minor=0)
        quote = story.api.call("GET", f"plans/{plan_of(story.listing).uuid}/quote?buyer=tasters").json()
        assert (quote["total_minor"], quote["trial_days"]) == (0, 10)
        begun = story.begin()
        assert (begun["state"], begun["period_end"]) == ("trialing", "2026-02-10T12:00:00Z")
        assert story.has_access()
        assert visible_repos(story.buyer.actor).filter(pk=story.subject.pk).exists()
        assert balance(wallet(story.buyer.namespace, "CRD")) == 0
    due = START + timedelta(days=10)
    at(due - timedelta(days=3))
    assert story.told() == ["coming"]
    at(due)
    found = story.now()
    assert (found["state"], found["attempts"]) == ("past_due", 1)
    assert found["problem"] == "10.00 CRD are due, and the wallet of tasters holds 0.00 CRD."
    assert story.has_access()
    for days, attempts in ((1, 2), (2, 2), (3, 3)):
        at(due + timedelta(days=days))
        assert story.now()["attempts"] == attempts
    at(due + timedelta(days=7))
    assert (story.now()["state"], story.has_access()) == ("suspended", False)
    assert not Entitlement.objects.filter(revoked_at__isnull=False).exists()
    refused = story.post("payment")
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_funds")
    later = due + timedelta(days=9)
    with clock.frozen(later):
        give_credits(story.buyer, 10_000)
        paid = story.post("payment")
        assert paid.status_code == 200, paid.content
        assert (paid.json()["subscription"]["state"], paid.json()["order"]["state"]) == ("active", "fulfilled")
        assert story.has_access()
        assert story.post("payment").json()["order"] is None
    # days without access are not paid: the period begins when it is
    found = story.now()
    assert (found["period_start"], found["period_end"]) == ("2026-02-19T12:00:00Z", "2026-03-19T12:00:00Z")
    at(datetime(2026, 3, 19, 12, tzinfo=UTC))
    found = story.now()
    assert (found["state"], found["period"], found["period_end"]) == ("active", 3, "2026-04-19T12:00:00Z")
    assert story.told() == ["coming", *["failed"] * 4, "suspended", "restored", "renewed"]
    assert balance(wallet(story.buyer.namespace, "CRD")) == 8000
    assert (balance(earnings(story.seller.namespace, "CRD")), balance(fees("CRD"))) == (1800, 200)
    assert Order.objects.count() == 3
    assert verify_ledger().is_sound
    terms = story.api.call("GET", f"subscriptions/{found['uuid']}/orders").json()["items"]
    assert [(each["kind"], each["period"], each["total_minor"]) for each in terms] == [
        ("period", 3, 1000), ("period", 2, 1000), ("trial", 1, 0),
    ]  # fmt: skip


def test_what_nobody_pays_ends(client) -> None:
    with clock.frozen(START):
        story = Story(client, credits_minor=1000)
        story.begin()
    due = datetime(2026, 2, 28, 12, tzinfo=UTC)
    for days in (0, 1, 3, 7, 30):
        at(due + timedelta(days=days))
    found = story.now()
    assert (found["state"], found["end_reason"], story.has_access()) == ("ended", "It was not paid.", False)
    assert story.post("payment").json()["code"] == "subscription_over"
    assert Order.objects.count() == 1
    with clock.frozen(due + timedelta(days=31)):
        give_credits(story.buyer, 5000, key="more")
        assert story.begin("k2")["state"] == "active"
    assert Subscription.objects.count() == 2


def test_days_of_months_are_kept_and_quantity_too(client) -> None:
    with clock.frozen(START):
        story = Story(client)
        story.begin()
        Subscription.objects.update(quantity=3)
    ends = []
    for month in (2, 3, 4):
        ends.append(story.now()["period_end"][:10])
        at(datetime.fromisoformat(story.now()["period_end"]))
        assert story.now()["period"] == month
    assert [*ends, story.now()["period_end"][:10]] == ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]
    assert balance(wallet(story.buyer.namespace, "CRD")) == 10_000 - 1000 - 3 * 3000
    assert set(Order.objects.filter(key__startswith="subscription:").values_list("quantity", "total_minor")) == {
        (3, 3000)
    }


def test_cancelled_it_ends_with_its_period_unless_that_is_taken_back(client) -> None:
    with clock.frozen(START):
        story = Story(client)
        uuid = story.begin()["uuid"]
        assert story.post("cancellation").json()["cancel_at_period_end"] is True
        assert story.post("cancellation").status_code == 200
        assert story.has_access()
        undone = story.api.call("DELETE", f"subscriptions/{uuid}/cancellation")
        assert undone.json()["cancel_at_period_end"] is False
    at(datetime(2026, 2, 28, 12, tzinfo=UTC))
    assert story.now()["period"] == 2
    with clock.frozen(datetime(2026, 3, 2, tzinfo=UTC)):
        story.post("cancellation")
    at(datetime(2026, 3, 31, 12, tzinfo=UTC))
    assert (story.now()["state"], story.has_access()) == ("cancelled", False)
    assert story.api.call("DELETE", f"subscriptions/{uuid}/cancellation").status_code == 409
    assert balance(wallet(story.buyer.namespace, "CRD")) == 8000
    assert story.told() == ["cancelled", "resumed", "renewed", "cancelled", "ended"]


def test_a_dearer_plan_begins_at_once_less_what_is_left_a_cheaper_one_later(client) -> None:
    yearly = MONTHLY | {"interval": "year", "price_minor": 9000}
    with clock.frozen(START):
        story = Story(client, MONTHLY, MONTHLY | {"price_minor": 3000}, yearly, credits_minor=20_000)
        story.begin()
    middle = START + timedelta(days=14)
    with clock.frozen(middle):
        dear, cheap = (str(plan_of(story.listing, number).uuid) for number in (2, 3))
        quote = story.api.call("GET", f"subscriptions/{story.now()['uuid']}/change?plan={dear}").json()
        assert (quote["is_now"], quote["credit_minor"], quote["due_minor"]) == (True, 500, 2500)
        done = story.post("change", accepting(dear), key="up")
        assert done.status_code == 201, done.content
        assert (done.json()["order"]["total_minor"], done.json()["order"]["discount_minor"]) == (2500, 500)
        assert story.post("change", accepting(dear), key="up").json()["order"]["uuid"] == done.json()["order"]["uuid"]
        found = story.now()
        assert (found["period"], found["period_end"]) == (2, "2026-03-14T12:00:00Z")
        assert story.has_access()
        later = story.post("change", accepting(cheap), key="down").json()["subscription"]
        assert (later["plan"]["price_minor"], later["next_plan"]["price_minor"]) == (3000, 9000)
        # what the first order paid is in the second: its buyer does not get it back
        first = Order.objects.order_by("pk").first()
        refused = story.api.call("POST", f"orders/{first.uuid}/refund", {}, **{"Idempotency-Key": "r"})
        assert (refused.status_code, refused.json()["code"]) == (403, "period_over")
    at(datetime(2026, 3, 14, 12, tzinfo=UTC))
    found = story.now()
    assert (found["plan"]["interval"], found["next_plan"], found["period_end"]) == (
        "year",
        None,
        "2027-03-14T12:00:00Z",
    )
    assert balance(wallet(story.buyer.namespace, "CRD")) == 20_000 - 1000 - 2500 - 9000


def test_returned_within_the_window_it_is_over(client) -> None:
    story = Story(client)
    story.begin()
    order = Order.objects.get()
    done = story.api.call("POST", f"orders/{order.uuid}/refund", {}, **{"Idempotency-Key": "r"})
    assert done.json()["state"] == "refunded"
    assert (story.now()["state"], story.has_access()) == ("ended", False)
    assert balance(wallet(story.buyer.namespace, "CRD")) == 10_000
    assert story.order("k2").status_code == 201


def test_running_subscriptions_keep_their_terms_and_end_with_the_listing(client) -> None:
    with clock.frozen(START):
        story = Story(client)
        story.begin()
        listings.add_plan(story.seller.actor, story.listing, **MONTHLY | {"price_minor": 5000})
        listings.retire_plan(story.seller.actor, plan_of(story.listing))
        assert story.order("k2", 2).json()["code"] == "subscribed_already"
    at(datetime(2026, 2, 28, 12, tzinfo=UTC))
    assert (story.now()["period"], story.now()["plan"]["price_minor"]) == (2, 1000)
    with clock.frozen(datetime(2026, 3, 1, tzinfo=UTC)):
        listings.withdraw_listing(story.seller.actor, story.listing)
        assert story.has_access()
    at(datetime(2026, 3, 31, 12, tzinfo=UTC))
    assert (story.now()["state"], story.has_access()) == ("ended", False)


def test_a_trial_is_had_once(client) -> None:
    with clock.frozen(START):
        story = Story(client, MONTHLY | {"trial_days": 10})
        story.begin()
        story.post("cancellation")
    at(START + timedelta(days=10))
    assert story.now()["state"] == "cancelled"
    with clock.frozen(START + timedelta(days=11)):
        assert story.begin("k2")["state"] == "active"
    assert balance(wallet(story.buyer.namespace, "CRD")) == 9000


def test_strangers_and_sellers_change_nothing(client) -> None:
    story = Story(client)
    uuid = story.begin()["uuid"]
    eve = Caller(client, make_token(make_user("eve")))
    assert eve.call("GET", f"subscriptions/{uuid}").status_code == 404
    assert eve.call("GET", "namespaces/tasters/subscriptions").status_code == 403
    assert story.sells.call("GET", f"subscriptions/{uuid}").status_code == 200
    assert story.sells.call("POST", f"subscriptions/{uuid}/cancellation").status_code == 403
    assert story.sells.call("GET", "namespaces/vineyard/subscribers").json()["items"][0]["buyer"] == "tasters"
    assert story.now()["cancel_at_period_end"] is False


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"interval": ""}, "interval"),
        ({"trial_days": 400}, "trial_days"),
        ({"kind": "one_time"}, "interval"),
        ({"price_minor": 0}, "price_minor"),
        ({"overage_minor": 5, "overage_units": 10}, "included_units"),
    ],
)
def test_plans_that_make_no_sense_are_refused(client, wrong, field) -> None:
    story = Story(client)
    body = MONTHLY | wrong
    refused = story.sells.call("POST", "listings/vineyard/wine/plans", body)
    assert refused.status_code == 400, refused.content
    assert field in refused.json()["fields"]


METERED = MONTHLY | {"included_units": 100, "overage_minor": 500, "unit_size": 1000, "overage_units": 50_000}


def source_of(story) -> str:
    return Entitlement.objects.get(holder=story.buyer.namespace, revoked_at=None).source


def test_a_quota_is_a_hard_stop_and_comes_anew_with_each_period(client) -> None:
    with clock.frozen(START):
        story = Story(client, MONTHLY | {"included_units": 5}, endpoint=True)
        story.begin()
        make_calls(source_of(story), 5)
        held = story.api.call("GET", "namespaces/tasters/access").json()["items"][0]
        assert (held["left_units"], held["next_call_price"]["amount"], held["subscription"]["state"]) == (
            0,
            None,
            "active",
        )
        budget = budget_of(source_of(story))
        assert budgets.hold(budget.pk, "process", 1) == 0
    at(datetime(2026, 2, 28, 12, tzinfo=UTC))
    assert budgets.hold(budget.pk, "process", 1) == 0
    assert budgets.hold(budget_of(source_of(story)).pk, "process", 10) == 5


def test_calls_beyond_the_quota_are_charged_once_early_when_they_are_many_and_at_the_end(client, settings) -> None:
    with clock.frozen(START):
        story = Story(client, METERED, endpoint=True, credits_minor=20_000)
        story.begin()
        source = source_of(story)
        make_calls(source, 101)
        held = story.api.call("GET", "namespaces/tasters/access").json()["items"][0]["next_call_price"]
        assert (held["amount"], held["included_left"], held["beyond_left"]) == ("0.005", 0, 49_999)
        assert charge_due() == 0
        make_calls(source, 999, first=101)
        settings.SUBSCRIPTION_OVERAGE = ("5",)
        assert (charge_due(), charge_due()) == (1, 0)
        make_calls(source, 301, first=1100)
        assert charge_due() == 0
    # 1 000 calls were charged; 301 more are when the period is over, before the next one is
    at(datetime(2026, 2, 28, 12, tzinfo=UTC))
    assert story.now()["period"] == 2
    beyond = Order.objects.filter(term__kind="overage").order_by("pk")
    assert list(beyond.values_list("quantity", "total_minor", "state")) == [
        (1000, 500, "fulfilled"),
        (301, 150, "fulfilled"),
    ]
    make_calls(source, 1, first=1401)
    with clock.frozen(datetime(2026, 2, 28, 13, tzinfo=UTC)):
        # a call that was in flight when the period ended: 302 calls cost 151, of which 150 are paid
        assert (charge_due(), charge_due()) == (1, 0)
        assert Order.objects.filter(term__kind="overage").latest("pk").total_minor == 1
    assert balance(wallet(story.buyer.namespace, "CRD")) == 20_000 - 2000 - 651
    assert balance(earnings(story.seller.namespace, "CRD")) + balance(fees("CRD")) == 2651
    assert verify_ledger().is_sound
    assert (
        Entitlement.objects.filter(holder=story.buyer.namespace).first().settled_up_at is not None or charge_due() == 0
    )


def test_use_is_charged_afterwards_by_the_unit_where_the_quota_is_nothing(client) -> None:
    with clock.frozen(START):
        story = Story(client, MONTHLY, endpoint=True, credits_minor=20_000)
        endpoints.declare_unit(story.seller.actor, story.subject, Unit.TOKENS, token_input="x")
        postpaid = MONTHLY | {
            "unit": "tokens", "price_minor": 1, "included_units": 0, "overage_minor": 30, "overage_units": 10**6
        }  # fmt: skip
        plan = listings.add_plan(story.seller.actor, story.listing, **postpaid)
        story.begin(number=2)
        make_calls(source_of(story), 3, units=1500)
        held = story.api.call("GET", "namespaces/tasters/access").json()["items"][0]
        assert (held["used_units"], held["next_call_price"]["amount"], held["next_call_price"]["unit"]) == (
            4500,
            "0.0003",
            "tokens",
        )
        assert plan.unit_size == 1000
    at(datetime(2026, 2, 28, 12, tzinfo=UTC))
    beyond = Order.objects.filter(term__kind="overage")
    # 4.5 thousand at 0.30 are 1.35
    assert list(beyond.values_list("quantity", "total_minor", "state")) == [(4500, 135, "fulfilled")]
    assert balance(wallet(story.buyer.namespace, "CRD")) == 20_000 - 2 * 1 - 135
    assert verify_ledger().is_sound


def test_calls_that_cannot_be_charged_hold_up_the_renewal_until_both_are_paid(client) -> None:
    with clock.frozen(START):
        story = Story(client, METERED, endpoint=True, credits_minor=1600)
        story.begin()
        make_calls(source_of(story), 1300)
    due = datetime(2026, 2, 28, 12, tzinfo=UTC)
    at(due)
    # 6.00 for calls are there, 10.00 for the period are not
    assert (story.now()["state"], balance(wallet(story.buyer.namespace, "CRD"))) == ("past_due", 0)
    with clock.frozen(due + timedelta(hours=1)):
        give_credits(story.buyer, 1000, key="more")
        assert story.post("payment").json()["subscription"]["period"] == 2
    assert balance(wallet(story.buyer.namespace, "CRD")) == 0
