"""Buying: money, access and word in one step, once; and nothing at all when it is refused."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import AuditRecord, Membership
from accounts.permissions import Action
from accounts.services.audit import verify
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid, NotFound, OverBudget
from compute.endpoint_policies import can as can_call
from lineage.models import Edge
from market.models import Entitlement, LedgerTransaction, Order, TermsAcceptance, TermsText
from market.services import ledger, listings
from market.services.ledger import clearing, earnings, fees, held, verify_ledger, wallet
from market.services.orders import place_order
from metering.queries import budget_of
from notices.models import Notice
from registry.models import ScanReport
from registry.policies import can
from registry.services.repos import delete_repo, update_settings
from tests.factories.accounts import make_token
from tests.factories.market import (
    agreed,
    balance,
    give_credits,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.api import Caller

ONE_TIME = {"kind": "one_time", "price_minor": 1999}
PER_CALL = {"kind": "pay_per_use", "price_minor": 250, "unit_size": 1000, "included_units": 100}


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 10_000)
    return buyer


def buy(buyer, listing, *, plan=1, quantity=1, key="k1"):
    return place_order(
        buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing, plan)), quantity=quantity, key=key
    )


def money(buyer, seller):
    refs = [wallet(buyer.namespace, "CRD"), earnings(seller.namespace, "CRD"), fees("CRD"), clearing("CRD")]
    return [balance(ref) for ref in refs]


class TestDownload:
    @pytest.fixture
    def repo(self, seller):
        return make_version(seller).repo

    @pytest.fixture
    def listing(self, seller, repo):
        return make_listing(seller, repo, ONE_TIME)

    def test_buying_moves_the_money_and_opens_the_download_for_every_member(self, seller, buyer, repo, listing):
        repo.refresh_from_db()
        assert not can(buyer.actor, repo, Action.REPO_READ)
        order = buy(buyer, listing)
        assert order.state == "fulfilled"
        assert money(buyer, seller) == [8_001, 1_799, 200, 0]
        assert can(buyer.actor, repo, Action.REPO_READ)
        assert not can(buyer.actor, repo, Action.REPO_WRITE)
        member = make_person("nora")
        assert not can(member.actor, repo, Action.REPO_READ)
        Membership.objects.create(organization=buyer.namespace.organization, user=member.user, role="member")
        member.user.groups.add(buyer.namespace.organization.group)
        assert can(member.actor, repo, Action.REPO_READ)
        assert verify_ledger().is_sound

    def test_everything_that_follows_is_written(self, seller, buyer, listing):
        order = buy(buyer, listing)
        tags = (
            AuditRecord.objects.filter(subject_id=str(order.uuid))
            .order_by("sequence")
            .values_list("tag", "namespace_id")
        )
        assert list(tags) == [
            ("market:order:fulfilled", buyer.namespace.pk),
            ("market:sale:made", seller.namespace.pk),
        ]
        edge = Edge.objects.get(target__uuid=order.uuid)
        assert (edge.source.kind, edge.source.uuid, edge.target.kind, edge.relation) == (
            "listing",
            listing.uuid,
            "order",
            "sold",
        )
        notices = Notice.objects.filter(key__startswith=f"order:{order.uuid}").values_list("user_id", "kind")
        assert sorted(notices) == sorted(
            [(buyer.user.pk, "market:order:fulfilled"), (seller.user.pk, "market:sale:made")]
        )
        listing.refresh_from_db()
        assert listing.sales == 1
        assert verify().first_bad is None

    def test_the_same_key_again_returns_the_order_and_moves_nothing(self, seller, buyer, listing):
        first = buy(buyer, listing)
        assert buy(buyer, listing).pk == first.pk
        assert money(buyer, seller) == [8_001, 1_799, 200, 0]
        assert (Order.objects.count(), Entitlement.objects.count(), LedgerTransaction.objects.count()) == (1, 1, 3)

    def test_the_same_key_for_another_plan_is_refused(self, seller, buyer, listing):
        listings.add_plan(seller.actor, listing, "one_time", price_minor=5)
        buy(buyer, listing)
        with pytest.raises(Conflict) as refusal:
            buy(buyer, listing, plan=2)
        assert refusal.value.code == "key_reused"
        assert Order.objects.count() == 1

    def test_what_one_has_can_not_be_bought_again(self, seller, buyer, listing):
        buy(buyer, listing)
        with pytest.raises(Conflict) as refusal:
            buy(buyer, listing, key="k2")
        assert refusal.value.code == "already_bought"
        assert money(buyer, seller) == [8_001, 1_799, 200, 0]

    def test_too_little_money_leaves_no_trace(self, seller, listing):
        poor = make_company("poor")
        give_credits(poor, 1_998)
        records = AuditRecord.objects.count()
        with pytest.raises(OverBudget) as refusal:
            buy(poor, listing)
        assert refusal.value.code == "insufficient_funds"
        assert money(poor, seller) == [1_998, 0, 0, 0]
        assert (Order.objects.count(), Entitlement.objects.count(), AuditRecord.objects.count()) == (0, 0, records)

    def test_a_member_without_the_right_to_buy_is_refused(self, seller, buyer, listing):
        member = make_person("nora")
        Membership.objects.create(organization=buyer.namespace.organization, user=member.user, role="member")
        with pytest.raises(Forbidden):
            place_order(member.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key="k")
        Membership.objects.filter(user=member.user).update(role="buyer")
        assert (
            place_order(member.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key="k").state
            == "fulfilled"
        )

    def test_nobody_buys_from_oneself(self, seller, listing):
        give_credits(seller, 5_000)
        with pytest.raises(Conflict) as refusal:
            buy(seller, listing)
        assert refusal.value.code == "own_listing"

    def test_what_is_withdrawn_or_retired_is_not_sold(self, seller, buyer, listing):
        listings.add_plan(seller.actor, listing, "free")
        retired = listings.retire_plan(seller.actor, plan_of(listing))
        with pytest.raises(Conflict) as refusal:
            buy(buyer, listing)
        assert (refusal.value.code, retired.retired_at is None) == ("not_on_sale", False)
        listings.withdraw_listing(seller.actor, listing)
        with pytest.raises(NotFound):
            buy(buyer, listing, plan=2)
        assert money(buyer, seller) == [10_000, 0, 0, 0]

    def test_what_was_found_unsafe_since_is_not_sold(self, seller, buyer, repo, listing):
        ScanReport.objects.create(version=repo.versions.get(), scanner="all", rules="2", verdict="flagged")
        with pytest.raises(Conflict) as refusal:
            buy(buyer, listing)
        assert (refusal.value.code, money(buyer, seller)) == ("unsafe", [10_000, 0, 0, 0])

    def test_what_was_deleted_since_is_not_sold(self, seller, buyer, repo, listing):
        delete_repo(seller.actor, repo)
        with pytest.raises(NotFound):
            buy(buyer, listing)
        assert (Order.objects.count(), money(buyer, seller)) == (0, [10_000, 0, 0, 0])

    @pytest.mark.parametrize("quantity", [0, -1, 2, 1.0, True])
    def test_quantity_of_a_download_is_one(self, buyer, listing, quantity):
        with pytest.raises(Invalid):
            buy(buyer, listing, quantity=quantity)

    def test_a_free_plan_moves_no_money_and_opens_the_same(self, seller, buyer, repo):
        listing = make_listing(seller, repo, {"kind": "free"})
        assert buy(buyer, listing).state == "fulfilled"
        update_settings(seller.actor, repo, gate="manual")
        assert can(buyer.actor, repo, Action.REPO_READ)
        assert money(buyer, seller) == [10_000, 0, 0, 0]

    def test_the_fee_is_that_of_the_day_of_the_order(self, seller, buyer, listing, settings):
        settings.PLATFORM_FEE_PERCENT = 33
        assert buy(buyer, listing).fee_percent == 33
        assert money(buyer, seller) == [8_001, 1_339, 660, 0]


class TestCalls:
    @pytest.fixture
    def endpoint(self, seller):
        return make_endpoint(seller)

    def test_packs_are_paid_into_a_held_account_and_open_a_budget(self, seller, buyer, endpoint):
        listing = make_listing(seller, endpoint, PER_CALL)
        assert not can_call(buyer.actor, endpoint, Action.ENDPOINT_USE)
        order = buy(buyer, listing, quantity=3)
        assert money(buyer, seller) == [9_250, 0, 0, 0]
        assert balance(held(buyer.namespace, "CRD", order.uuid)) == 750
        budget = budget_of(order.entitlement.source)
        assert (budget.granted, budget.used, budget.holder, budget.subject) == (
            3_100,
            0,
            buyer.namespace.uuid,
            endpoint.uuid,
        )
        assert can_call(buyer.actor, endpoint, Action.ENDPOINT_USE)
        assert not can_call(buyer.actor, endpoint, Action.ENDPOINT_ADMIN)

    def test_included_calls_come_with_the_first_order_only(self, seller, buyer, endpoint):
        listing = make_listing(seller, endpoint, PER_CALL)
        first, second = buy(buyer, listing), buy(buyer, listing, key="k2")
        assert [budget_of(order.entitlement.source).granted for order in (first, second)] == [1_100, 1_000]

    def test_a_free_allowance_is_given_once(self, seller, buyer, endpoint):
        listing = make_listing(seller, endpoint, {"kind": "free", "included_units": 50})
        order = buy(buyer, listing)
        assert budget_of(order.entitlement.source).granted == 50
        with pytest.raises(Conflict):
            buy(buyer, listing, key="k2")

    def test_a_one_time_plan_without_a_number_is_without_limit(self, seller, buyer, endpoint):
        order = buy(buyer, make_listing(seller, endpoint, ONE_TIME))
        assert budget_of(order.entitlement.source).granted is None
        assert money(buyer, seller) == [8_001, 1_799, 200, 0]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def together(self, *deeds):
        def one(deed):
            try:
                return deed()
            except (Conflict, OverBudget) as error:
                return error.code
            finally:
                connection.close()

        with ThreadPoolExecutor(len(deeds)) as pool:
            return list(pool.map(one, deeds))

    def test_one_key_from_twenty_threads_is_one_order(self, seller, buyer):
        listing = make_listing(seller, make_version(seller).repo, ONE_TIME)
        orders = self.together(*[lambda: buy(buyer, listing).pk] * 20)
        assert len(set(orders)) == 1
        assert money(buyer, seller) == [8_001, 1_799, 200, 0]

    def test_twenty_keys_at_once_buy_a_download_once(self, seller, buyer):
        listing = make_listing(seller, make_version(seller).repo, ONE_TIME)
        deeds = [lambda key=f"k{number}": buy(buyer, listing, key=key).state for number in range(20)]
        assert sorted(self.together(*deeds)) == ["already_bought"] * 19 + ["fulfilled"]
        assert money(buyer, seller) == [8_001, 1_799, 200, 0]

    def test_orders_refunds_and_credits_across_each_other_never_deadlock(self, seller, buyer):
        listing = make_listing(seller, make_endpoint(seller), PER_CALL)
        deeds = []
        for number in range(8):
            deeds.append(lambda key=f"k{number}": buy(buyer, listing, key=key).state)
            deeds.append(lambda key=f"c{number}": give_credits(buyer, 100, key=key))
            deeds.append(
                lambda text=f"Wine {number}": listings.update_listing(seller.actor, listing, summary=text).state
            )
        outcomes = self.together(*deeds)
        assert outcomes.count("fulfilled") == 8
        assert balance(wallet(buyer.namespace, "CRD")) == 10_000 + 800 - 8 * 250
        assert ledger.verify_ledger().is_sound
        assert verify().first_bad is None


class TestTerms:
    """What a buyer accepts is kept to the letter."""

    @pytest.fixture
    def listing(self, seller):
        return make_listing(seller, make_version(seller).repo, ONE_TIME, return_terms="Ask us.")

    def test_the_quote_tells_the_terms_and_the_order_keeps_them(self, seller, buyer, listing, client, settings):
        settings.SITE_TERMS = "Be kind."
        plan = plan_of(listing)
        caller = Caller(client, make_token(buyer.user))
        quote = caller.call("GET", f"plans/{plan.uuid}/quote?buyer=tasters").json()
        assert hashlib.sha256(quote["terms"].encode()).hexdigest() == quote["terms_digest"]
        for part in ("vineyard/wine: Wine", "19.99", "MIT", "within 14 days", "Ask us.", "Be kind."):
            assert part in quote["terms"]
        wish = {"buyer": "tasters", "plan": str(plan.uuid)}
        missing = caller.call("POST", "orders", wish, **{"Idempotency-Key": "k0"})
        assert (missing.status_code, missing.json()["fields"].keys()) == (400, {"accept_terms"})
        settings.SITE_TERMS = "Be very kind."
        stale = caller.call(
            "POST", "orders", wish | {"accept_terms": quote["terms_digest"]}, **{"Idempotency-Key": "k1"}
        )
        digest = caller.call("GET", f"plans/{plan.uuid}/quote?buyer=tasters").json()["terms_digest"]
        assert (stale.status_code, stale.json()["code"], stale.json()["fields"]["digest"]) == (
            409, "terms_changed", digest,
        )  # fmt: skip
        assert (digest in stale.json()["detail"], Order.objects.count()) == (True, 0)
        order = caller.call("POST", "orders", wish | {"accept_terms": digest}, **{"Idempotency-Key": "k2"}).json()
        assert order["terms_digest"] == digest
        settings.SITE_TERMS = ""
        again = caller.call("POST", "orders", wish | {"accept_terms": digest}, **{"Idempotency-Key": "k2"}).json()
        assert again["uuid"] == order["uuid"]
        assert "Be very kind." in caller.call("GET", f"terms/{digest}").json()["text"]
        assert Caller(client, make_token(seller.user)).call("GET", f"terms/{digest}").status_code == 200
        assert Caller(client, make_token(make_person("eve").user)).call("GET", f"terms/{digest}").status_code == 404
        acceptance = TermsAcceptance.objects.get()
        assert (acceptance.accepted_by, str(acceptance.order.uuid)) == (buyer.user, order["uuid"])
        for rows, change in ((TermsText.objects, {"text": "x"}), (TermsAcceptance.objects, {"accepted_at": now()})):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                rows.update(**change)

    def test_the_page_shows_the_terms_and_asks_again_when_they_change(self, seller, buyer, listing, client, settings):
        plan = plan_of(listing)
        client.force_login(buyer.user)
        page = f"/listings/vineyard/{listing.slug}/checkout?plan={plan.uuid}"
        first = agreed(plan)["accept_terms"]
        assert first in client.get(page).content.decode()
        settings.SITE_TERMS = "New ones."
        form = {"buyer_namespace": "tasters", "quantity": 1, "key": "k", "accept": "on", "accept_terms": first}
        refused = client.post(page, form)
        text = refused.content.decode()
        assert (refused.status_code, "read them again" in text, "New ones." in text) == (400, True, True)
        second = agreed(plan)["accept_terms"]
        assert (f'value="{second}"' in text, f'value="{first}"' in text) == (True, False)
        assert client.post(page, form | {"accept_terms": second}).status_code == 302
        assert "New ones." in client.get(f"/orders/{Order.objects.get().uuid}").content.decode()
