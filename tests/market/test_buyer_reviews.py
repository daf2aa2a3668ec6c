"""Buyer reviews: written by those who have bought and used something, answered, kept in every wording, moderated by staff alone."""

import re
from uuid import UUID

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditRecord
from accounts.permissions import Role
from accounts.services import members
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid, NotFound
from compute.models import Endpoint
from compute.services import endpoints
from market import buyer_review_queries as queries
from market.community_policies import require_buyer_review, visible_reports
from market.models import BuyerReviewRevision, ContentReport, Entitlement, Listing, Order, SellerAnswer
from market.proofs import proofs_of
from market.search import search_listings
from market.services import buyer_reviews, moderation, orders, refunds, search_documents
from market.stars import bayesian_milli, calls_in_words, days_in_words
from notices.models import Notice
from registry.queries import head_of, version_by_uuid
from registry.services.reading import note_reading
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_token, make_user
from tests.factories.market import (
    SYSTEM,
    Party,
    agreed,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
    scanned,
)
from tests.support.api import Caller
from tests.support.queries import count_of


@pytest.fixture
def shop(db) -> Party:
    return make_company("shop")


@pytest.fixture
def clinic(db) -> Party:
    buyer = make_company("clinic")
    give_credits(buyer, 10_000)
    return buyer


@pytest.fixture
def digits(shop):
    return make_listing(shop, make_endpoint(shop), {"kind": "one_time", "price_minor": 100}, title="Digits")


def buy(buyer: Party, listing: Listing, key: str = "k") -> Entitlement:
    order = orders.place_order(
        buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key=f"{buyer.name}{key}"
    )
    return Entitlement.objects.get(order=order)


def bought_and_used(buyer: Party, listing: Listing, calls: int = 3) -> Entitlement:
    entitlement = buy(buyer, listing)
    make_calls(entitlement.source, calls)
    return entitlement


def next_version(shop: Party, endpoint: Endpoint, name: str) -> UUID:
    """Another version, published and served by the endpoint from now on."""
    repo = version_by_uuid(endpoint.version_uuid).repo
    made = scanned(publish_version(shop.actor, repo, head_of(repo).oid, name=name, licence="mit"))
    endpoints.update(shop.actor, endpoint, made.uuid)
    endpoint.refresh_from_db()
    endpoints.report_loaded(SYSTEM, endpoint.uuid, endpoint.next_digest, inputs=[], outputs=[])
    return made.uuid


def write(buyer: Party, listing: Listing, stars: int = 4, title: str = "Good", **more):
    return buyer_reviews.write_review(buyer.actor, listing, stars=stars, title=title, **more)


def rating(listing: Listing) -> tuple[int, int]:
    return Listing.objects.values_list("rating_count", "rating_sum").get(pk=listing.pk)


@pytest.fixture
def steve(db):
    return actor_of(make_user("steve", is_staff=True))


class TestWriting:
    def test_who_has_not_bought_or_not_used_it_writes_nothing(self, clinic, digits):
        for prepare in (lambda: None, lambda: buy(clinic, digits)):
            prepare()
            with pytest.raises(Conflict) as refusal:
                write(clinic, digits)
            assert refusal.value.code == "not_used"
        assert rating(digits) == (0, 0)

    def test_a_call_is_use_and_its_number_is_told_as_a_band(self, shop, clinic, digits):
        bought_and_used(clinic, digits, calls=12)
        review = write(clinic, digits, text="Reads **our** scans.")
        assert (review.buyer.name, review.version, review.usage) == ("clinic", "1.0", "10–100 calls")
        assert rating(digits) == (1, 4)
        assert Notice.objects.filter(user=shop.user, kind="market:community:reviewed").count() == 1
        assert AuditRecord.objects.filter(tag="market:buyer-review:written").count() == 1

    def test_of_an_endpoint_it_is_bound_to_a_version_that_answered(self, shop, clinic):
        endpoint = make_endpoint(shop)
        digits = make_listing(shop, endpoint, {"kind": "one_time", "price_minor": 100}, title="Digits")
        source, first = bought_and_used(clinic, digits).source, endpoint.version_uuid
        assert proofs_of(clinic.actor, digits)[0].used == {"1.0": "1–10 calls"}, "what answered was not noted"
        second = next_version(shop, endpoint, "2.0")
        make_calls(source, 200, first=3, units=50, version=first)
        [proof] = proofs_of(clinic.actor, digits)
        assert proof.used == {"1.0": "100–1,000 calls"}, "2.0 has answered nobody, and units are no calls"
        with pytest.raises(Invalid, match=r"Name one of: 1\.0"):
            write(clinic, digits, version="2.0")
        make_calls(source, 12, first=300, version=second)
        assert list(proofs_of(clinic.actor, digits)[0].used) == ["2.0", "1.0"]
        review = write(clinic, digits)
        assert (review.version, review.usage) == ("2.0", "10–100 calls")
        review = write(clinic, digits, version="1.0")
        assert (review.version, review.usage) == ("1.0", "100–1,000 calls")
        assert write(clinic, digits, 1, "Bad").version == "1.0", "who names none means the same one"

    def test_what_was_used_in_an_earlier_purchase_counts_until_it_is_returned(self, shop, clinic):
        endpoint = make_endpoint(shop)
        digits = make_listing(shop, endpoint, {"kind": "one_time", "price_minor": 100}, title="Digits")
        earlier = buy(clinic, digits, "first")
        make_calls(earlier.source, 3, version=endpoint.version_uuid)
        Entitlement.objects.filter(pk=earlier.pk).update(revoked_at=now())
        assert proofs_of(clinic.actor, digits) == []
        buy(clinic, digits, "second")
        assert proofs_of(clinic.actor, digits)[0].used == {"1.0": "1–10 calls"}
        Order.objects.filter(entitlement=earlier).update(state="refunded")
        assert proofs_of(clinic.actor, digits) == []

    def test_opening_a_file_is_use_by_anybody_of_the_buyer(self, shop, clinic):
        version = make_version(shop)
        listing = make_listing(shop, version.repo, {"kind": "one_time", "price_minor": 100})
        nurse = make_user("nurse")
        members.add_member(SYSTEM, clinic.namespace.organization, nurse, Role.MEMBER)
        note_reading(actor_of(nurse), version.repo, head_of(version.repo))
        buy(clinic, listing)
        assert proofs_of(clinic.actor, listing) == [], "what was read before is no use of what was bought"
        cache.clear()
        note_reading(actor_of(nurse), version.repo, head_of(version.repo))
        [proof] = proofs_of(clinic.actor, listing)
        assert proof.used == {"1.0": "Opened on 1 day"}
        assert write(clinic, listing).version == "1.0"

    def test_the_sellers_own_people_and_strangers_are_refused(self, shop, clinic, digits):
        bought_and_used(clinic, digits)
        with pytest.raises(Forbidden):
            write(shop, digits)
        with pytest.raises(Conflict):
            write(make_person("stranger"), digits)
        with pytest.raises(Forbidden):
            buyer_reviews.answer_review(clinic.actor, write(clinic, digits), text="My own answer")
        member = make_user("member")
        members.add_member(SYSTEM, clinic.namespace.organization, member, Role.MEMBER)
        with pytest.raises(Conflict):
            buyer_reviews.write_review(actor_of(member), digits, stars=1, title="Not for me to say")

    @pytest.mark.parametrize(
        "wrong",
        [{"stars": 0}, {"stars": 6}, {"title": " "}, {"title": "x" * 121}, {"text": "x" * 10_001}, {"version": "9"}],
    )
    def test_what_makes_no_sense_is_refused_with_a_sentence(self, clinic, digits, wrong):
        bought_and_used(clinic, digits)
        with pytest.raises(Invalid):
            write(clinic, digits, **wrong)
        assert rating(digits) == (0, 0)

    def test_written_again_it_changes_and_every_wording_stays(self, clinic, digits):
        bought_and_used(clinic, digits)
        first = write(clinic, digits, 2, "Poor")
        assert write(clinic, digits, 2, "Poor").revisions_count == 1
        again = write(clinic, digits, 5, "They mended it")
        assert (again.pk, again.revisions_count, rating(digits)) == (first.pk, 2, (1, 5))
        assert [(row.number, row.stars, row.title) for row in queries.revisions_of(again)] == [
            (2, 5, "They mended it"),
            (1, 2, "Poor"),
        ]
        with pytest.raises(Exception, match="append-only"):
            BuyerReviewRevision.objects.update(stars=5)

    def test_the_money_back_leaves_the_review_and_says_so(self, clinic, digits):
        order = bought_and_used(clinic, digits).order
        review = write(clinic, digits, 1, "Not for us")
        assert not queries.with_answers(clinic.actor, review).is_refunded
        refunds.refund_order(clinic.actor, order, key="back")
        assert queries.with_answers(clinic.actor, review).is_refunded
        assert (write(clinic, digits, 2, "Polite people").stars, rating(digits)) == (2, (1, 2))


class TestAnswers:
    def test_there_is_one_and_its_earlier_wordings_stay(self, shop, clinic, digits):
        bought_and_used(clinic, digits)
        review = write(clinic, digits)
        for text in ("Thanks", "Thanks", "Thank you, clinic."):
            buyer_reviews.answer_review(shop.actor, review, text=text)
        shown = queries.with_answers(clinic.actor, review)
        assert [answer.text for answer in shown.said] == ["Thank you, clinic.", "Thanks"]
        assert Notice.objects.filter(user=clinic.user, kind="market:community:answered").count() == 2
        with pytest.raises(Exception, match="append-only"):
            SellerAnswer.objects.all().delete()


class TestModeration:
    def test_staff_hide_it_both_sides_are_told_and_it_counts_no_more(self, shop, clinic, digits, steve):
        bought_and_used(clinic, digits)
        review = write(clinic, digits, 1, "Rude words")
        reported = [moderation.report(shop.actor, review, reason="abuse", text="Insults us").pk for _ in range(2)]
        moderation.report(make_person("passer").actor, review, reason="spam")
        assert (len(set(reported)), ContentReport.objects.count(), visible_reports(steve).count()) == (1, 2, 1)
        moderation.decide(steve, ContentReport.objects.get(pk=reported[0]), is_upheld=True, reason="No insults here.")
        assert (visible_reports(steve).count(), rating(digits)) == (0, (0, 0))
        with pytest.raises(NotFound):
            require_buyer_review(shop.actor, review.uuid)
        assert require_buyer_review(clinic.actor, review.uuid).hidden_reason == "No insults here."
        told = Notice.objects.filter(kind="market:community:moderated").values_list("user__username", flat=True)
        assert sorted(told) == ["clinic-owner", "passer", "shop-owner"]
        # shown again, it counts again; the same once more changes nothing
        for _ in range(2):
            moderation.decide(steve, ContentReport.objects.get(pk=reported[0]), is_upheld=False, reason="Looked again.")
        assert rating(digits) == (1, 1)
        assert AuditRecord.objects.filter(tag__startswith="market:content:").count() == 4

    def test_neither_side_decides_not_even_as_staff(self, shop, clinic, digits, steve):
        bought_and_used(clinic, digits)
        reported = moderation.report(shop.actor, write(clinic, digits), reason="untrue")
        for party in (shop, clinic):
            with pytest.raises(Forbidden):
                moderation.decide(party.actor, reported, is_upheld=True, reason="Because")
            type(party.user).objects.filter(pk=party.user.pk).update(is_staff=True)
            party.user.refresh_from_db()
            with pytest.raises(Forbidden) as refusal:
                moderation.decide(party.actor, reported, is_upheld=True, reason="Because")
            assert refusal.value.code == "own_matter"
        with pytest.raises(Invalid):
            moderation.decide(steve, reported, is_upheld=True, reason=" ")
        assert rating(digits) == (1, 4)

    def test_ones_own_is_not_reported(self, clinic, digits):
        bought_and_used(clinic, digits)
        with pytest.raises(Forbidden):
            moderation.report(clinic.actor, write(clinic, digits), reason="spam")


class TestNumbers:
    @given(st.lists(st.integers(1, 5), min_size=1, max_size=40))
    def test_the_order_of_listings_lies_between_the_prior_and_the_average(self, stars):
        found = bayesian_milli(len(stars), sum(stars))
        average = 1000 * sum(stars) / len(stars)
        assert min(3500, average) - 1 <= found <= max(3500, average)

    def test_bands(self):
        assert [calls_in_words(n) for n in (1, 9, 10, 1_000, 9_999, 1_000_000)] == [
            "1–10 calls", "1–10 calls", "10–100 calls", "1,000–10,000 calls", "1,000–10,000 calls",
            "More than 1,000,000 calls",
        ]  # fmt: skip
        assert [days_in_words(n) for n in (1, 2, 7, 8, 30, 31)] == [
            "Opened on 1 day", "Opened on 2–7 days", "Opened on 2–7 days", "Opened on 8–30 days", "Opened on 8–30 days",
            "Opened on more than 30 days",
        ]  # fmt: skip

    def test_one_friend_does_not_outrank_many_buyers(self, shop, clinic, digits):
        other = make_listing(shop, make_endpoint(shop, "letters"), {"kind": "free"}, title="Letters")
        Listing.objects.filter(pk=other.pk).update(rating_count=40, rating_sum=180)
        other.refresh_from_db()
        search_documents.index_listing(other)
        bought_and_used(clinic, digits)
        write(clinic, digits, 5, "Splendid")
        assert [each.title for each in search_listings(SYSTEM, sort="rated").items] == ["Letters", "Digits"]


class TestSurfaces:
    def test_a_story_on_the_site(self, shop, clinic, digits, steve, client):
        bought_and_used(clinic, digits)
        base = f"/listings/shop/{digits.slug}"
        client.force_login(clinic.user)
        said = {"stars": "4", "title": "Reads <b>scans</b>", "text": "<script>x</script> **Well**", "version": "1.0"}
        assert client.post(f"{base}/reviews", said).status_code == 302
        page = client.get(base).content.decode()
        assert "Reads &lt;b&gt;scans" in page
        assert "<strong>Well</strong>" in page
        assert "<script>x" not in page
        review = digits.buyer_reviews.get()
        client.force_login(shop.user)
        where = f"{base}/reviews/{review.uuid}"
        assert client.post(f"{where}/answer", {"text": "Thank you"}).status_code == 302
        assert client.post(f"{where}/report", {"reason": "untrue"}).status_code == 302
        assert client.post(f"{base}/reviews", said).status_code == 403
        assert client.get("/-/moderation").status_code == 403
        client.force_login(type(shop.user).objects.get(username="steve"))
        queue = client.get("/-/moderation").content.decode()
        assert "Reads &lt;b&gt;scans" in queue
        report = ContentReport.objects.get()
        assert (
            client.post(f"/-/moderation/{report.uuid}", {"keep": "1", "reason": "It is their view."}).status_code == 302
        )
        client.logout()
        page = client.get(f"{base}/reviews?version=1.0&stars=4").content.decode()
        assert "Thank you" in page
        assert "4.0" in page
        assert "No review like this" in client.get(f"{base}/reviews?stars=1").content.decode()

    def test_a_story_through_the_api(self, clinic, digits, client):
        bought_and_used(clinic, digits)
        script = Caller(client, make_token(clinic.user, "*"))
        path = f"listings/shop/{digits.slug}/buyer-reviews"
        made = script.call("POST", path, {"stars": 5, "title": "Splendid"})
        assert made.status_code == 201, made.json()
        assert made.json()["usage"] == "1–10 calls"
        listed = Caller(client).call("GET", path).json()
        assert (listed["ratings"]["average"], listed["ratings"]["stars"]["5"], len(listed["items"])) == (5.0, 1, 1)
        one = Caller(client).call("GET", f"buyer-reviews/{made.json()['uuid']}").json()
        assert len(one["revisions"]) == 1
        assert Caller(client).call("GET", f"listings/shop/{digits.slug}").json()["rating"] == 5.0
        refused = script.call("POST", path, {"stars": 9, "title": "x"})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["stars"])

    def test_the_version_is_chosen_among_those_that_answered(self, shop, clinic, client):
        endpoint = make_endpoint(shop)
        digits = make_listing(shop, endpoint, {"kind": "one_time", "price_minor": 100}, title="Digits")
        source = buy(clinic, digits).source
        make_calls(source, 20, version=endpoint.version_uuid)
        make_calls(source, 2, first=20, version=next_version(shop, endpoint, "2.0"))
        client.force_login(clinic.user)
        base = f"/listings/shop/{digits.slug}/reviews"
        form = client.get(base).content.decode()
        assert re.findall(r'<option value="([^"]+)"[^>]*>([^<]+)<', form) == [
            ("2.0", "2.0 (1–10 calls)"),
            ("1.0", "1.0 (10–100 calls)"),
        ]
        assert client.post(base, {"stars": "3", "title": "It was better", "version": "1.0"}).status_code == 302
        assert "version 1.0 · 10–100 calls" in client.get(base).content.decode()
        script = Caller(client, make_token(clinic.user, "*"))
        path = f"listings/shop/{digits.slug}/buyer-reviews"
        said = script.call("POST", path, {"stars": 5, "title": "It is better", "version": "2.0"}).json()
        assert (said["version"], said["usage"], said["revision"]) == ("2.0", "1–10 calls", 2)
        refused = script.call("POST", path, {"stars": 5, "title": "It is better", "version": "3.0"})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["version"])

    def test_many_reviews_ask_no_more_than_one(self, shop, clinic, digits, client):
        bought_and_used(clinic, digits)
        write(clinic, digits)
        client.get(f"/listings/shop/{digits.slug}/reviews")
        with CaptureQueriesContext(connection) as one:
            client.get(f"/listings/shop/{digits.slug}/reviews")
        for name in ("b1", "b2", "b3"):
            buyer = make_person(name)
            give_credits(buyer, 1_000)
            bought_and_used(buyer, digits)
            buyer_reviews.answer_review(shop.actor, write(buyer, digits), text="Thanks")
        with CaptureQueriesContext(connection) as many:
            client.get(f"/listings/shop/{digits.slug}/reviews")
        assert count_of(many) == count_of(one)
