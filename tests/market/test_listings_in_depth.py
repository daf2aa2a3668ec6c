"""What a listing follows, whether it is ready, who sees it, who reviews it, what its pictures are."""

import io

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from PIL import Image

from accounts.models import AuditRecord, Membership
from accounts.services import members
from common.errors import Conflict, Forbidden, Invalid, NotFound
from market.models import ListingImage, Order, ReviewEntry
from market.policies import catalogue_of, require_listing, require_plan, review_queue, visible_listings
from market.readiness import Facts, checks_of
from market.search import search_listings
from market.services import images, listings, orders, reviews
from market.showing import changelog_of, channel_words, showings_of
from market.states import REVIEW_CHECKS, SubjectKind
from notices.models import Notice
from registry.channels import newest_names, newest_on, parse_channel
from registry.models import Blob
from registry.services import standing
from registry.services.versions import publish_version
from registry.states import Verdict
from tests.factories.accounts import SYSTEM
from tests.factories.market import (
    agreed,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
    scanned,
)

ALL = list(REVIEW_CHECKS)
DOT = io.BytesIO()
Image.new("RGB", (40, 20), "red").save(DOT, "PNG")


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def version(seller):
    return make_version(seller)


def release(seller, version, *names):
    return [
        scanned(publish_version(seller.actor, version.repo, "main", name=name, notes=f"Notes of {name}."))
        for name in names
    ]


def missing(listing) -> set[str]:
    with pytest.raises(Conflict) as refusal:
        listings.publish_listing(SYSTEM, listing)
    assert refusal.value.code == "not_ready"
    return set(refusal.value.fields["fields"])


class TestChannels:
    def test_each_leads_to_its_newest_version_that_is_in_use(self, seller, version):
        repo = version.repo
        *_, third = release(seller, version, "2.1.0", "2.3.1", "3.0.0-rc.1", "10.0")
        assert [newest_on(repo, each).name for each in ("latest", "major:2", "major:1", "version:2.1.0", "major:3")] == [
            "10.0", "2.3.1", "1.0", "2.1.0", "3.0.0-rc.1",
        ]  # fmt: skip
        standing.yank(seller.actor, newest_on(repo, "version:2.3.1"), reason="A leak.")
        standing.yank(seller.actor, third, reason="A leak.")
        assert [newest_on(repo, each).name for each in ("latest", "major:2")] == ["2.1.0", "2.1.0"]
        assert (newest_on(repo, "version:2.3.1"), newest_on(repo, "major:10")) == (None, None)
        assert newest_names({repo.uuid: "major:2"}) == {repo.uuid: "2.1.0"}
        assert newest_names({repo.uuid: "version:2.3.1"}) == {}

    @pytest.mark.parametrize(
        "text", ["", "Latest", "latest:", "major:", "major:01", "major:-1", "version:", "version:x y", "2"]
    )
    def test_what_is_no_channel_is_refused(self, text):
        with pytest.raises(Invalid):
            parse_channel(text)

    @given(st.text(max_size=30))
    @chosen(max_examples=50, deadline=None)
    def test_reading_one_never_breaks(self, text):
        try:
            channel = parse_channel(text)
        except Invalid:
            return
        assert text == channel.kind + (f":{channel.value}" if channel.value else "")

    def test_a_listing_follows_its_channel_and_says_so(self, seller, version, django_assert_max_num_queries):
        release(seller, version, "2.0", "2.3.1", "3.0")
        listing = make_listing(seller, version.repo, channel="major:2")
        with django_assert_max_num_queries(4):
            shown = showings_of([listing])[listing.pk]
        assert channel_words(listing, shown.version) == "Follows the latest 2.x: now 2.3.1"
        assert [(each.version, each.notes) for each in changelog_of(listing)] == [
            ("2.3.1", "Notes of 2.3.1."), ("2.0", "Notes of 2.0."),
        ]  # fmt: skip
        with pytest.raises(Invalid):
            listings.update_listing(seller.actor, listing, channel="major:7")
        pinned = listings.update_listing(seller.actor, listing, channel="version:1.0")
        assert channel_words(pinned, "1.0") == "Stays at version 1.0"

    def test_what_is_pinned_and_withdrawn_is_not_sold_though_there_is_a_newer_one(self, seller, version):
        release(seller, version, "2.0")
        listing = make_listing(seller, version.repo, channel="version:1.0")
        standing.yank(seller.actor, version, reason="A leak.")
        buyer = make_person("eve")
        with pytest.raises(Conflict, match="no version"):
            orders.place_order(buyer.actor, buyer_namespace="eve", **agreed(plan_of(listing)), key="k")
        assert Order.objects.count() == 0

    def test_an_endpoint_has_none(self, seller):
        endpoint = make_endpoint(seller)
        with pytest.raises(Invalid):
            make_listing(seller, endpoint, channel="major:1", publish=False)
        listing = make_listing(seller, endpoint)
        assert channel_words(listing, showings_of([listing])[listing.pk].version) == "Answers with version 1.0"


class TestReadiness:
    def test_algorithms_are_sold_like_models(self, seller):
        listing = make_listing(seller, make_version(seller, "solver", "algorithm").repo)
        assert (listing.subject_kind, listing.state) == ("algorithm", "published")

    @pytest.mark.parametrize("verdict", list(Verdict))
    def test_the_scan_decides(self, seller, version, verdict, settings):
        scanned_again = version.scans.create(scanner="all", rules="later", verdict=verdict)
        listing = make_listing(seller, version.repo, publish=False)
        assert scanned_again.verdict == verdict
        settings.LISTING_CODE = False
        if verdict == Verdict.DATA_ONLY:
            assert listings.publish_listing(seller.actor, listing).state == "published"
            return
        assert missing(listing) == {"scan"}
        settings.LISTING_CODE = True
        if verdict == Verdict.CODE:
            assert listings.publish_listing(seller.actor, listing).state == "published"

    def test_what_is_not_there_is_named(self, seller, version):
        listing = make_listing(seller, version.repo, publish=False, support_contact="")
        release_without_scan = publish_version(seller.actor, version.repo, "main", name="2.0")
        assert missing(listing) == {"scan", "support"}
        scanned(release_without_scan)
        listings.update_listing(seller.actor, listing, support_contact="https://example.org/help")
        assert listings.publish_listing(seller.actor, listing).state == "published"

    def test_an_endpoint_needs_an_example(self, seller):
        assert missing(make_listing(seller, make_endpoint(seller), publish=False, example_input="")) == {"example"}

    @given(st.builds(Facts, kind=st.sampled_from(SubjectKind), edit_page=st.just("/sell/x"), subject_page=st.just("/a/b"),
                     subject_name=st.just("a/b"), channel=st.just("latest"), version=st.sampled_from(["", "1.0"]),
                     verdict=st.sampled_from(Verdict), is_scanned=st.booleans(), is_held=st.booleans(),
                     licence=st.sampled_from(["", "mit"]), plan_count=st.integers(0, 2)))  # fmt: skip
    @chosen(max_examples=60, deadline=None)
    def test_every_check_says_something_and_leads_somewhere(self, facts):
        checks = checks_of(facts)
        assert len({check.key for check in checks}) == len(checks)
        assert all(check.sentence.endswith(".") and check.link.startswith("/") for check in checks)
        assert not all(check.is_ok for check in checks if check.key == "scan") or facts.verdict in {"data-only", "code"}


class TestVisibility:
    @pytest.mark.parametrize(
        ("visibility", "stranger", "member", "manager"),
        [
            ("private", "none", "none", "found"),
            ("organization", "none", "found", "found"),
            ("unlisted", "reached", "reached", "found"),
            ("public", "found", "found", "found"),
        ],
    )
    def test_who_finds_and_who_reaches(self, seller, version, visibility, stranger, member, manager):
        listing = make_listing(seller, version.repo, visibility=visibility)
        inside = make_person("mia")
        members.add_member(SYSTEM, seller.namespace.organization, inside.user, "member")
        for actor, expected in ((make_person("eve").actor, stranger), (inside.actor, member), (seller.actor, manager)):
            found = listing in visible_listings(actor)
            try:
                reached = require_listing(actor, "vineyard", "wine") == listing
                assert require_plan(actor, plan_of(listing).uuid).listing == listing
            except NotFound:
                reached = False
            assert ("found" if found else "reached" if reached else "none") == expected
            in_search = listing in search_listings(actor).items
            assert in_search == (found and visibility in {"organization", "public"})

    def test_the_private_catalogue_is_for_members(self, seller, version):
        inside = make_person("mia")
        members.add_member(SYSTEM, seller.namespace.organization, inside.user, "member")
        own = make_listing(seller, version.repo, visibility="organization")
        make_listing(seller, make_version(seller, "beer").repo, title="Beer", visibility="private")
        public = make_listing(seller, make_version(seller, "tea").repo, title="Tea")
        assert set(catalogue_of(inside.actor, seller.namespace.pk)) == {own, public}
        with pytest.raises(NotFound):
            catalogue_of(make_person("eve").actor, seller.namespace.pk)


class TestReview:
    @pytest.fixture
    def reviewer(self, seller):
        person = make_person("rex")
        members.add_member(SYSTEM, seller.namespace.organization, person.user, "reviewer")
        return person

    def test_from_submission_to_the_shop(self, seller, version, reviewer):
        reviews.want_reviews(seller.actor, "vineyard", is_needed=True)
        listing = make_listing(seller, version.repo, {"kind": "one_time", "price_minor": 500})
        assert (listing.state, list(review_queue(reviewer.actor))) == ("in_review", [listing])
        assert list(visible_listings(make_person("eve").actor)) == []
        assert Notice.objects.filter(user=reviewer.user, kind="market:listing:submitted").count() == 1
        with pytest.raises(Conflict) as refusal:
            listings.update_listing(seller.actor, listing, title="Better")
        assert refusal.value.code == "in_review"
        with pytest.raises(Forbidden) as own:
            reviews.approve_listing(seller.actor, listing, checks=ALL)
        assert own.value.code == "own_submission"
        with pytest.raises(Invalid):
            reviews.approve_listing(reviewer.actor, listing, checks=ALL[1:])
        reviews.comment_on_review(reviewer.actor, listing, text="Where are the grapes from?")
        assert reviews.return_listing(reviewer.actor, listing, text="Say where.").state == "draft"
        listings.update_listing(seller.actor, listing, description="From the valley.")
        seen = reviews.submission_of(listing).uuid
        listings.publish_listing(seller.actor, listing)
        with pytest.raises(Conflict) as anew:
            reviews.approve_listing(reviewer.actor, listing, checks=ALL, submission=seen)
        assert anew.value.code == "submitted_anew"
        for _ in range(2):
            assert reviews.approve_listing(reviewer.actor, listing, checks=ALL).state == "published"
        version.repo.refresh_from_db()
        assert version.repo.gate == "manual"
        assert list(ReviewEntry.objects.order_by("pk").values_list("step", flat=True)) == [
            "submitted", "commented", "returned", "submitted", "approved",
        ]  # fmt: skip
        with pytest.raises(IntegrityError), transaction.atomic():
            ReviewEntry.objects.update(text="x")
        assert Notice.objects.filter(user=seller.user, kind="market:listing:reviewed").count() == 2
        tags = (
            AuditRecord.objects.filter(subject_id=str(listing.uuid)).order_by("sequence").values_list("tag", flat=True)
        )
        assert [tag.rsplit(":", 1)[1] for tag in tags] == [
            "created", "added", "submitted", "returned", "updated", "submitted", "published",
        ]  # fmt: skip

    def test_what_was_judged_is_judged_again(self, seller, version, reviewer):
        listing = make_listing(seller, version.repo)
        reviews.want_reviews(seller.actor, "vineyard", is_needed=True)
        assert listings.update_listing(seller.actor, listing, summary="Red.").state == "published"
        assert listings.update_listing(seller.actor, listing, description="Better.").state == "in_review"
        assert search_listings(seller.actor).items == []
        assert listings.withdraw_listing(seller.actor, listing).state == "draft"
        with pytest.raises(Conflict):
            reviews.approve_listing(reviewer.actor, listing, checks=ALL)

    def test_the_site_reviews_what_strangers_see(self, seller, version, reviewer, settings):
        settings.LISTING_REVIEW = True
        inner = make_listing(seller, make_version(seller, "beer").repo, title="Beer", visibility="organization")
        assert inner.state == "published"
        listing = make_listing(seller, version.repo)
        assert (listing.state, list(review_queue(reviewer.actor))) == ("in_review", [])
        with pytest.raises(NotFound):
            reviews.approve_listing(reviewer.actor, listing, checks=ALL)
        rita = make_person("rita")
        rita.user.is_staff = True
        rita.user.save()
        assert list(review_queue(rita.actor)) == [listing]
        assert reviews.approve_listing(rita.actor, listing, checks=ALL).state == "published"

    def test_members_neither_review_nor_read_the_thread(self, seller, version):
        inside = make_person("mia")
        Membership.objects.create(organization=seller.namespace.organization, user=inside.user, role="member")
        listing = make_listing(seller, version.repo, visibility="organization")
        for deed in (
            lambda: reviews.comment_on_review(inside.actor, listing, text="Hm."),
            lambda: reviews.approve_listing(inside.actor, listing, checks=ALL),
            lambda: reviews.want_reviews(inside.actor, "vineyard", is_needed=True),
        ):
            with pytest.raises(Forbidden):
                deed()
        assert ReviewEntry.objects.count() == 0


class TestImages:
    def test_they_are_encoded_anew_ordered_and_limited(self, seller, version):
        listing = make_listing(seller, version.repo)
        hidden = DOT.getvalue() + b"<script>hidden</script>"
        made = [images.add_image(seller.actor, listing, content=hidden, alt=f"Dot {n}") for n in range(8)]
        assert b"hidden" not in images.content_of(images.image_of(listing, made[0].uuid))
        assert (made[0].width, made[0].height, made[0].media_type) == (40, 20, "image/jpeg")
        assert Blob.objects.filter(pk__in=[each.blob_id for each in made]).count() == 1
        with pytest.raises(Conflict):
            images.add_image(seller.actor, listing, content=hidden, alt="Ninth")
        images.change_image(seller.actor, made[7], position=1)
        assert showings_of([listing])[listing.pk].images[0].alt == "Dot 7"
        for _ in range(2):
            images.remove_image(seller.actor, made[7])
        assert showings_of([listing])[listing.pk].images[0].alt == "Dot 0"
        with pytest.raises(Forbidden):
            images.add_image(make_person("eve").actor, listing, content=hidden, alt="Mine")

    @pytest.mark.parametrize(
        ("content", "alt"),
        [(b"", "x"), (b"<svg/>", "x"), (b"GIF89a", "x"), (DOT.getvalue()[:40], "x"), (DOT.getvalue(), " ")],
    )
    def test_what_is_no_picture_or_has_no_words_is_refused(self, seller, version, content, alt):
        listing = make_listing(seller, version.repo)
        with pytest.raises(Invalid):
            images.add_image(seller.actor, listing, content=content, alt=alt)
        assert ListingImage.objects.count() == 0
