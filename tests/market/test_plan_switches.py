"""Another plan of a subscription: on terms that were accepted, and above a limit after an approval."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from accounts.models import AuditRecord
from accounts.permissions import Role
from accounts.services import members
from common import clock
from common.errors import Conflict
from market.models import Approval, Order, PlanSwitch, Subscription, TermsAcceptance
from market.services import approvals, listings, subscriptions
from market.services.approval_requests import set_limit
from market.services.ledger import verify_ledger, wallet
from market.services.orders import place_order
from market.services.plan_switches import change_plan
from market.services.renewals import renew_due
from notices.models import Notice
from tests.factories.accounts import make_token
from tests.factories.market import (
    SYSTEM,
    agreed,
    balance,
    digest_of,
    give_credits,
    make_company,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.api import Caller

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
MIDDLE = START + timedelta(days=15, hours=12)
MONTHLY = {"kind": "subscription", "interval": "month", "price_minor": 1000, "name": "Small"}
SITE_TERMS = "Be kind."


class Clinic:
    """`clinic` subscribes to wine for 10.00 a month; ben may spend 20.00 for it alone, ada and the owner approve. A plan costs 30.00
    a month (2), one 15.00 (3), one 180.00 a year (4), all of the same listing."""

    def __init__(self, client=None) -> None:
        self.shop, self.clinic = make_company("shop"), make_company("clinic")
        self.ben, self.ada = make_person("ben"), make_person("ada")
        for person, role in ((self.ben, Role.BUYER), (self.ada, Role.APPROVER)):
            members.add_member(SYSTEM, self.clinic.namespace.organization, person.user, role)
        give_credits(self.clinic, 100_000)
        set_limit(self.clinic.actor, "clinic", "CRD", 2_000)
        plans = [
            MONTHLY,
            MONTHLY | {"price_minor": 3000, "name": "Large"},
            MONTHLY | {"price_minor": 1500, "name": "Middling"},
            MONTHLY | {"price_minor": 12_000, "interval": "year", "name": "By the year"},
        ]
        self.listing = make_listing(self.shop, make_version(self.shop).repo, *plans)
        self.small, self.large, self.middling, self.yearly = (plan_of(self.listing, n) for n in (1, 2, 3, 4))
        place_order(self.clinic.actor, buyer_namespace="clinic", **agreed(self.small), key="begin")
        self.place = f"subscriptions/{self.found.uuid}"
        if client is not None:
            self.says = {
                name: Caller(client, make_token(getattr(self, name).user)) for name in ("ben", "ada", "shop", "clinic")
            }

    @property
    def found(self) -> Subscription:
        return Subscription.objects.select_related("plan", "next_plan").get()

    @property
    def spent(self) -> int:
        return 100_000 - balance(wallet(self.clinic.namespace, "CRD"))

    def change(self, plan, *, key="c1", who="ben", **more):
        body = {"plan": str(plan.uuid), "accept_terms": digest_of(plan.uuid), **more}
        return self.says[who].call("POST", f"{self.place}/change", body, **{"Idempotency-Key": key})

    def asked(self, plan=None, key="c1") -> Approval:
        _, switch = change_plan(self.ben.actor, self.found, **agreed(plan or self.large), key=key)
        return Approval.objects.get(switch=switch)

    def decide(self, approval, *, approve=True, who="ada"):
        return self.says[who].call("POST", f"approvals/{approval}/decision", {"approve": approve})


@pytest.fixture
def clinic(db, client):
    with clock.frozen(START):
        return Clinic(client)


def test_above_the_limit_it_waits_and_begins_once_for_what_is_due_when_it_is_approved(clinic) -> None:
    with clock.frozen(MIDDLE):
        told = clinic.says["ben"].call("GET", f"{clinic.place}/change?plan={clinic.large.uuid}").json()
        assert (told["due_minor"], told["approval"]["limit_minor"]) == (2500, 2_000)
        assert told["approval"]["approvers"] == ["ada", "clinic-owner"]
        made = [clinic.change(clinic.large, reason="More wine.") for _ in range(2)]
        assert [each.status_code for each in made] == [201, 201], made[0].content
        assert [each.json()["change"]["outcome"] for each in made] == ["waiting", "waiting"]
        assert (made[0].json()["order"], made[0].json()["subscription"]["plan"]["name"]) == (None, "Small")
        assert PlanSwitch.objects.count() == 1
        second = clinic.change(clinic.yearly, key="c2")
        assert (second.status_code, second.json()["code"]) == (409, "approval_waiting")
        (waiting,) = clinic.says["ada"].call("GET", "approvals?outcome=waiting").json()["items"]
        assert (waiting["order"], waiting["asked_by"], waiting["reason"]) == (None, "ben", "More wine.")
        wanted = waiting["change"]
        assert (wanted["former_plan"]["name"], wanted["plan"]["name"], wanted["due_minor"]) == ("Small", "Large", 2500)
        assert set(Notice.objects.filter(kind="market:approval:asked").values_list("user__username", flat=True)) == {
            "ada",
            "clinic-owner",
        }
        # the renewal of the present plan and its seller are not held up, nor does the seller see what is only wished
        assert clinic.says["shop"].call("GET", f"{clinic.place}/changes").json()["items"] == []
        assert clinic.says["shop"].call("GET", f"approvals/{waiting['uuid']}").status_code == 404
        assert clinic.spent == 1000
    with clock.frozen(MIDDLE + timedelta(days=5)):
        shown = clinic.says["ada"].call("GET", f"approvals/{waiting['uuid']}").json()
        due = 3000 - 1000 * (10 * 24 + 12) // (31 * 24)
        assert (shown["due_now_minor"], shown["problem"]) == (due, "")
        assert clinic.decide(waiting["uuid"], who="ben").status_code == 403
        done = [clinic.decide(waiting["uuid"]) for _ in range(2)]
        assert [(each.status_code, each.json()["outcome"]) for each in done] == [(201, "approved")] * 2
        order = Order.objects.latest("pk")
        assert (order.total_minor, order.placed_by, order.state) == (due, clinic.ben.user, "fulfilled")
        assert (done[0].json()["change"]["order"], clinic.found.plan) == (str(order.uuid), clinic.large)
        assert (clinic.spent, clinic.found.number) == (1000 + due, 2)
        # the order was placed on the terms that ben accepted when he asked
        seen = clinic.says["ben"].call("GET", f"orders/{order.uuid}").json()
        assert seen["terms_digest"] == digest_of(clinic.large.uuid)
        assert clinic.says["ben"].call("GET", f"terms/{seen['terms_digest']}").status_code == 200
        refused = clinic.decide(waiting["uuid"], approve=False)
        assert (refused.status_code, refused.json()["code"]) == (409, "decided_already")
    texts = dict(Notice.objects.filter(kind="market:approval:approved").values_list("user__username", "text"))
    assert texts["ben"] == f"ada approved your change of {clinic.listing.title} from Small to Large."
    assert set(texts) == {"ben", "clinic-owner"}
    trail = AuditRecord.objects.filter(tag__startswith="market:approval").order_by("sequence")
    assert [(each.tag, each.subject_kind) for each in trail] == [
        ("market:approval:asked", "subscription"),
        ("market:approval:approved", "subscription"),
    ]
    assert verify_ledger().is_sound


def test_declined_withdrawn_and_lapsed_change_nothing(clinic) -> None:
    def told() -> set[tuple[str, str]]:
        rows = Notice.objects.filter(kind__startswith="market:approval").exclude(kind="market:approval:asked")
        return {(kind.rpartition(":")[2], name) for kind, name in rows.values_list("kind", "user__username")}

    with clock.frozen(MIDDLE):
        assert clinic.decide(clinic.asked().uuid, approve=False).status_code == 201
        assert told() == {("declined", "ben"), ("declined", "clinic-owner")}
        second = clinic.asked(key="c2")
        assert clinic.says["ada"].call("DELETE", f"approvals/{second.uuid}").status_code == 403
        assert clinic.says["ben"].call("DELETE", f"approvals/{second.uuid}").status_code == 204
        assert told() >= {("withdrawn", "ada"), ("withdrawn", "clinic-owner")}
        third = clinic.asked(key="c3")
    with clock.frozen(MIDDLE + timedelta(days=8)):
        assert clinic.decide(third.uuid).json()["code"] == "approval_lapsed"
        assert [approvals.lapse_approvals(), approvals.lapse_approvals()] == [1, 0]
        assert told() >= {("lapsed", "ben"), ("lapsed", "ada"), ("lapsed", "clinic-owner")}
        items = clinic.says["ben"].call("GET", f"{clinic.place}/changes").json()["items"]
        assert [each["outcome"] for each in items] == ["lapsed", "withdrawn", "declined"]
        assert (clinic.found.plan, clinic.found.next_plan, clinic.found.number) == (clinic.small, None, 1)
        assert (clinic.spent, Order.objects.count()) == (1000, 1)


def test_a_plan_for_the_next_period_waits_too_and_costs_nothing_now(clinic) -> None:
    with clock.frozen(MIDDLE):
        told = clinic.says["ben"].call("GET", f"{clinic.place}/change?plan={clinic.middling.uuid}").json()
        assert told["approval"] is None  # 15.00 a month is within the limit
        # 120.00 a year is what 10.00 a month is: it begins with the next period, and is above the limit
        made = clinic.change(clinic.yearly).json()
        assert (made["change"]["is_now"], made["change"]["due_minor"], made["change"]["outcome"]) == (
            False,
            0,
            "waiting",
        )
        assert clinic.found.next_plan is None
        assert clinic.decide(made["change"]["approval"]).status_code == 201
        assert (clinic.found.next_plan, clinic.spent) == (clinic.yearly, 1000)
        # what one has is kept without asking anybody
        kept = clinic.says["ben"].call(
            "POST", f"{clinic.place}/change", {"plan": str(clinic.small.uuid)}, **{"Idempotency-Key": "keep"}
        )
        assert (kept.status_code, kept.json()["change"], clinic.found.next_plan) == (201, None, None)


def test_approving_looks_at_everything_again(clinic, settings) -> None:
    with clock.frozen(MIDDLE):
        approval = clinic.asked()
        settings.SITE_TERMS = SITE_TERMS
        refused = clinic.decide(approval.uuid)
        assert (refused.status_code, refused.json()["code"]) == (409, "terms_changed")
        settings.SITE_TERMS = ""
        listings.retire_plan(clinic.shop.actor, clinic.large)
        assert clinic.decide(approval.uuid).json()["code"] == "not_on_sale"
        clinic.decide(approval.uuid, approve=False)
        # an approver takes a plan meanwhile: what was asked for is not what it would be any more
        later = clinic.asked(clinic.yearly, key="c2")
        assert clinic.change(clinic.middling, key="own", who="ada").json()["code"] == "approval_waiting"
        Subscription.objects.update(plan=clinic.middling)
        assert clinic.decide(later.uuid).json()["code"] == "plan_changed"
        Subscription.objects.update(plan=clinic.small)
        later.refresh_from_db()
        assert (later.outcome, clinic.spent) == ("waiting", 1000)


def test_of_a_subscription_that_is_over_it_says_so(clinic, client) -> None:
    with clock.frozen(MIDDLE):
        subscriptions.cancel(clinic.clinic.actor, clinic.found)
    with clock.frozen(START + timedelta(days=29)):
        approval = clinic.asked()
        client.force_login(clinic.ada.user)
        assert "approving takes that back" in client.get(f"/approvals/{approval.uuid}").content.decode()
    with clock.frozen(START + timedelta(days=31, hours=1)):
        renew_due()
        assert clinic.found.state == "cancelled"
        refused = clinic.decide(approval.uuid)
        assert (refused.status_code, refused.json()["detail"]) == (
            409,
            "The subscription is over: subscribe anew.",
        ), refused.json()
        shown = client.get(f"/approvals/{approval.uuid}").content.decode()
        assert "The subscription is over: subscribe anew." in shown
        assert "Approve the change" not in shown
        assert clinic.decide(approval.uuid, approve=False).status_code == 201
        assert clinic.spent == 1000


def test_a_change_keeps_the_terms_that_were_accepted_for_it(clinic, settings) -> None:
    with clock.frozen(MIDDLE):
        old = digest_of(clinic.middling.uuid)
        without = clinic.change(clinic.middling, accept_terms="", key="none")
        assert (without.status_code, without.json()["fields"]["accept_terms"]) == (400, "the digest of the terms")
        settings.SITE_TERMS = SITE_TERMS
        wrong = clinic.change(clinic.middling, accept_terms=old, key="old")
        body = {"buyer": "ben", "plan": str(clinic.middling.uuid), "accept_terms": old}
        as_order = clinic.says["ben"].call("POST", "orders", body, **{"Idempotency-Key": "o"})
        assert (wrong.status_code, wrong.json()["code"]) == (409, "terms_changed")
        assert wrong.json()["detail"] == as_order.json()["detail"]
        assert not PlanSwitch.objects.exists()
        told = clinic.says["ben"].call("GET", f"{clinic.place}/change?plan={clinic.middling.uuid}").json()
        assert wrong.json()["fields"]["digest"] == told["terms_digest"] != old
        assert SITE_TERMS in told["terms"]
        done = clinic.change(clinic.middling).json()
        assert done["change"]["terms_digest"] == done["order"]["terms_digest"] == told["terms_digest"]
        acceptance = TermsAcceptance.objects.get(switch__uuid=done["change"]["uuid"])
        assert (acceptance.accepted_by, acceptance.terms.text) == (clinic.ben.user, told["terms"])
        assert clinic.says["shop"].call("GET", f"terms/{told['terms_digest']}").json()["text"] == told["terms"]


def test_on_the_pages(clinic, client) -> None:
    with clock.frozen(MIDDLE):
        client.force_login(clinic.ben.user)
        place = f"/{clinic.place}"
        assert "Above 20.00 CRD it waits for an approval." in client.get(place).content.decode()
        page = f"{place}/change?plan={clinic.large.uuid}"
        shown = client.get(page).content.decode()
        for words in ("Plan 2: Large", "25.00 CRD", "Ask for approval", "until ada or clinic-owner approves it"):
            assert words in shown
        form = {"key": "page", "accept": "on", "accept_terms": "0" * 64, "reason": "More wine."}
        refused = client.post(page, form)
        assert (refused.status_code, "read them again" in refused.content.decode()) == (400, True)
        form["accept_terms"] = digest_of(clinic.large.uuid)
        assert "This field is required" in client.post(page, form | {"accept": ""}).content.decode()
        assert client.post(page, form).status_code == 302
        assert "Large waits for an approval" in client.get(place).content.decode()
        approval = Approval.objects.get()
        client.force_login(clinic.ada.user)
        assert "Small → Large" in client.get("/approvals").content.decode()
        asked = client.get(f"/approvals/{approval.uuid}").content.decode()
        for words in ("Plan now", "Small, 10.00 CRD / month", "Large", "Due now", "25.00 CRD", "More wine."):
            assert words in asked
        assert client.post(f"/approvals/{approval.uuid}/decision", {"approve": "1"}).status_code == 302
        assert clinic.found.plan == clinic.large
        shown = client.get(f"/orders/{Order.objects.latest('pk').uuid}").content.decode()
        assert digest_of(clinic.large.uuid) in shown


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_approving_declining_and_renewing_at_once_one_counts(transactional_db) -> None:
    with clock.frozen(START):
        clinic = Clinic()
    approval = None
    with clock.frozen(MIDDLE):
        approval = clinic.asked()

    def decide(number: int) -> str:
        try:
            with clock.travel(MIDDLE - clock.now()):
                deed = approvals.approve if number % 2 else approvals.decline
                return deed(clinic.clinic.actor, approval).outcome
        except Conflict as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(decide, range(6)))
    approval.refresh_from_db()
    assert outcomes.count(approval.outcome) == outcomes.count("decided_already") == 3
    is_taken = approval.outcome == "approved"
    assert (clinic.found.number, Order.objects.count()) == ((2, 2) if is_taken else (1, 1))
    assert verify_ledger().is_sound
