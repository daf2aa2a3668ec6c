"""Who may put what into the shop, and what stays as it was once it is there."""

import pytest
from django.db import IntegrityError, transaction

from accounts.models import AuditRecord, Membership
from accounts.permissions import Action
from common.errors import Conflict, Forbidden, Invalid, NotFound
from lineage.models import Edge
from market.models import Account, LedgerTransaction, Listing, Plan
from market.policies import require_listing, visible_listings
from market.services import listings, wallet
from market.services.ledger import issued
from market.services.ledger import wallet as wallet_of
from market.states import LISTINGS, ORDERS
from registry.models import ScanReport
from registry.policies import can
from registry.services.repos import create_repo
from tests.factories.market import (
    SYSTEM,
    balance,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
)


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def version(seller):
    return make_version(seller)


def draft(seller, version, **changes):
    asked = {
        "namespace": seller.name,
        "subject_kind": "dataset",
        "subject_uuid": version.repo.uuid,
        "title": "Wine table",
    }
    return listings.create_listing(seller.actor, **{**asked, **changes})


class TestDraft:
    def test_the_slug_comes_from_the_title_and_nobody_else_sees_it(self, seller, version):
        listing = draft(seller, version, tags=["Chemistry", "wine", "wine"])
        assert (listing.slug, listing.state, listing.tags) == ("wine-table", "draft", ["chemistry", "wine"])
        assert list(visible_listings(make_person("eve").actor)) == []
        assert require_listing(seller.actor, "VINEYARD", "Wine-Table").pk == listing.pk

    def test_one_listing_per_subject_and_slug(self, seller, version):
        draft(seller, version)
        with pytest.raises(Conflict) as refusal:
            draft(seller, version, slug="other")
        assert refusal.value.code == "listed_already"
        with pytest.raises(Conflict) as refusal:
            draft(seller, make_version(seller, "beer"), slug="Wine-Table")
        assert refusal.value.fields["fields"] == {"slug": "taken"}
        assert Listing.objects.count() == 1

    def test_only_those_who_sell_for_the_owner_may(self, seller, version):
        publisher = make_person("paul")
        Membership.objects.create(organization=seller.namespace.organization, user=publisher.user, role="publisher")
        for person, error in ((publisher, Forbidden), (make_person("eve"), Forbidden)):
            with pytest.raises(error):
                listings.create_listing(
                    person.actor,
                    namespace=seller.name,
                    subject_kind="dataset",
                    subject_uuid=version.repo.uuid,
                    title="X",
                )
        thief = make_company("thief")
        with pytest.raises(Forbidden):
            draft(thief, version, namespace=thief.name)
        assert Listing.objects.count() == 0

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"title": " "}, "title"),
            ({"title": "x" * 121}, "title"),
            ({"summary": "x\x00"}, "summary"),
            ({"description": 5}, "description"),
            ({"tags": "wine"}, "tags"),
            ({"tags": ["<b>"]}, "tags"),
            ({"tags": ["t"] * 21}, "tags"),
            ({"sales": 5}, "sales"),
            ({"slug": "../x"}, "slug"),
            ({"visibility": "organisation"}, "visibility"),
            ({"channel": "major:x"}, "channel"),
            ({"channel": "version:9.9"}, "channel"),
            ({"support_contact": "javascript:alert(1)"}, "support_contact"),
            ({"example_input": "{"}, "example_input"),
            ({"subject_kind": "planet"}, "subject_kind"),
            ({"subject_kind": "model"}, "subject"),
        ],
    )
    def test_bad_input_names_its_field(self, seller, version, changes, field):
        with pytest.raises(Invalid) as refusal:
            draft(seller, version, **changes)
        assert field in refusal.value.fields["fields"]
        assert Listing.objects.count() == 0


class TestPublish:
    def test_it_appears_with_its_lineage_and_its_audit(self, seller, version):
        listing = make_listing(seller, version.repo, {"kind": "free"})
        assert list(visible_listings(make_person("eve").actor)) == [listing]
        edge = Edge.objects.get(target__uuid=listing.uuid)
        assert (edge.source.uuid, edge.relation) == (version.uuid, "listed")
        tags = list(
            AuditRecord.objects.filter(subject_id=str(listing.uuid)).order_by("sequence").values_list("tag", flat=True)
        )
        assert tags == ["market:listing:created", "market:plan:added", "market:listing:published"]
        assert listings.publish_listing(seller.actor, listing).published_at == listing.published_at

    def test_what_is_sold_is_gated_from_then_on_what_is_free_is_not(self, seller, version):
        reader = make_person("eve").actor
        listing = make_listing(seller, version.repo, {"kind": "free"})
        version.repo.refresh_from_db()
        assert can(reader, version.repo, Action.REPO_READ)
        listings.add_plan(seller.actor, listing, "one_time", price_minor=100)
        version.repo.refresh_from_db()
        assert (version.repo.gate, can(reader, version.repo, Action.REPO_READ)) == ("manual", False)
        assert can(reader, version.repo, Action.REPO_DISCOVER)

    def test_it_takes_a_plan_and_a_version(self, seller, version):
        with pytest.raises(Conflict) as refusal:
            listings.publish_listing(seller.actor, draft(seller, version))
        assert refusal.value.code == "not_ready"
        missing = set(refusal.value.fields["fields"])
        assert missing == {"plan", "support"}
        empty = create_repo(seller.actor, "dataset", seller.name, "empty")
        with pytest.raises(Conflict) as refusal:
            make_listing(seller, empty, title="Empty")
        assert refusal.value.code == "not_ready"
        missing = set(refusal.value.fields["fields"])
        assert missing == {"version", "card", "licence", "scan"}
        assert not Listing.objects.filter(state="published").exists()

    def test_what_scanning_calls_unsafe_is_not_sold(self, seller, version):
        ScanReport.objects.create(version=version, scanner="all", rules="1", verdict="malicious")
        with pytest.raises(Conflict) as refusal:
            make_listing(seller, version.repo)
        assert (refusal.value.code, "malicious" in refusal.value.message) == ("not_ready", True)

    def test_withdrawing_takes_it_away_and_makes_room_for_another(self, seller, version):
        listing = make_listing(seller, version.repo)
        assert listings.withdraw_listing(seller.actor, listing).state == "withdrawn"
        assert listings.withdraw_listing(seller.actor, listing).state == "withdrawn"
        with pytest.raises(NotFound):
            require_listing(make_person("eve").actor, seller.name, listing.slug)
        other = make_listing(seller, version.repo, title="Wine again")
        with pytest.raises(Conflict) as refusal:
            listings.publish_listing(seller.actor, listing)
        assert (refusal.value.code, other.state) == ("listed_already", "published")

    def test_a_buyer_may_not_change_it(self, seller, version):
        listing = make_listing(seller, version.repo)
        eve = make_person("eve").actor
        for deed in (
            lambda: listings.update_listing(eve, listing, title="Mine"),
            lambda: listings.withdraw_listing(eve, listing),
            lambda: listings.add_plan(eve, listing, "free"),
            lambda: listings.retire_plan(eve, plan_of(listing)),
        ):
            with pytest.raises(Forbidden):
                deed()
        listing.refresh_from_db()
        assert (listing.title, listing.state, Plan.objects.count()) == ("Wine", "published", 1)


class TestPlans:
    @pytest.mark.parametrize(
        ("plan", "field"),
        [
            ({"kind": "rent"}, "kind"),
            ({"kind": "free", "price_minor": 1}, "price_minor"),
            ({"kind": "one_time", "price_minor": 0}, "price_minor"),
            ({"kind": "one_time", "price_minor": -5}, "price_minor"),
            ({"kind": "one_time", "price_minor": 5, "currency": "XXX"}, "currency"),
            ({"kind": "pay_per_use", "price_minor": 5}, "kind"),
            ({"kind": "free", "included_units": 5}, "included_units"),
            ({"kind": "free", "unit_size": 1000}, "unit_size"),
            ({"kind": "free", "refund_window_days": 366}, "refund_window_days"),
        ],
    )
    def test_what_does_not_fit_a_download_is_refused(self, seller, version, plan, field):
        listing = draft(seller, version)
        with pytest.raises(Invalid) as refusal:
            listings.add_plan(seller.actor, listing, **plan)
        assert field in refusal.value.fields["fields"]
        assert Plan.objects.count() == 0

    def test_calls_are_sold_by_one_or_by_the_thousand(self, seller):
        endpoint = make_endpoint(seller)
        listing = make_listing(seller, endpoint, {"kind": "pay_per_use", "price_minor": 1})
        with pytest.raises(Invalid):
            listings.add_plan(seller.actor, listing, "pay_per_use", price_minor=1, unit_size=10)
        listings.add_plan(seller.actor, listing, "pay_per_use", price_minor=1, unit_size=1000, included_units=5)
        found = Plan.objects.order_by("number").values_list("number", "unit_size", "included_units")
        assert list(found) == [(1, 1, 0), (2, 1000, 5)]

    def test_the_last_plan_of_a_published_listing_stays(self, seller, version):
        listing = make_listing(seller, version.repo)
        with pytest.raises(Conflict) as refusal:
            listings.retire_plan(seller.actor, plan_of(listing))
        assert refusal.value.code == "last_plan"

    @pytest.mark.parametrize(
        "statement", [{"price_minor": 1, "kind": "one_time"}, {"refund_window_days": 0}, {"name": "x"}]
    )
    def test_a_plan_is_never_edited(self, seller, version, statement):
        plan = plan_of(make_listing(seller, version.repo))
        with pytest.raises(IntegrityError), transaction.atomic():
            Plan.objects.filter(pk=plan.pk).update(**statement)
        with pytest.raises(IntegrityError), transaction.atomic():
            plan.delete()


class TestCredits:
    def test_only_staff_and_the_system_hand_them_out_and_each_key_once(self, seller):
        with pytest.raises(Forbidden):
            wallet.add_credits(seller.actor, seller.namespace, 500, "CRD", key="k")
        assert (Account.objects.count(), LedgerTransaction.objects.count()) == (0, 0)
        for _ in range(2):
            wallet.add_credits(SYSTEM, seller.namespace, 500, "CRD", key="k")
        with pytest.raises(Conflict):
            wallet.add_credits(SYSTEM, seller.namespace, 501, "CRD", key="k")
        assert (balance(wallet_of(seller.namespace, "CRD")), balance(issued("CRD"))) == (500, -500)
        assert AuditRecord.objects.filter(tag="market:credits:added").count() == 1

    @pytest.mark.parametrize(
        ("amount", "currency", "key"), [(0, "CRD", "k"), (-1, "CRD", "k"), (5, "XXX", "k"), (5, "CRD", "")]
    )
    def test_senseless_amounts_are_refused(self, seller, amount, currency, key):
        with pytest.raises(Invalid):
            wallet.add_credits(SYSTEM, seller.namespace, amount, currency, key=key)


@pytest.mark.parametrize("machine", [LISTINGS, ORDERS])
def test_every_state_is_in_its_table_and_can_be_left_or_is_final(machine):
    words = set(type(next(iter(machine.table))))
    assert set(machine.table) == words
    assert set().union(*machine.table.values()) <= words
