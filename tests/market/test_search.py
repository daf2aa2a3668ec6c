"""Search finds what is there, counts it exactly, and shows nobody what is not theirs to see."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.actors import anonymous, for_token, for_user
from accounts.models import Membership
from accounts.services import tokens
from common.clock import now
from common.errors import Invalid
from common.ids import new_uuid
from market import search_index
from market.models import Listing, Plan, SearchChange
from market.policies import visible_listings
from market.search import Sort, search_listings
from market.search_text import normalise, query_words
from market.services import search_documents
from tests.factories.market import SYSTEM, make_company, make_person

WORDS = ["wine", "digits", "cancer", "speech", "maps", "weather"]


@pytest.fixture
def companies(db):
    return [make_company(name) for name in ("alpha", "beta", "gamma")]


def put(company, title, *, sales=0, age_days=0, visibility="public", state="published", price="free", **fields):
    """A listing with one plan, straight into the tables: search does not care how it came there."""
    at = now() - timedelta(days=age_days)
    listing = Listing.objects.create(
        namespace=company.namespace,
        slug=f"l{new_uuid()}",
        subject_kind=fields.pop("kind", "model"),
        subject_uuid=new_uuid(),
        title=title,
        visibility=visibility,
        state=state,
        sales=sales,
        published_at=at,
        **fields,
    )
    Plan.objects.create(
        listing=listing, number=1, kind=price, name=price, price_minor=0 if price == "free" else 5, currency="CRD"
    )
    search_documents.index_listing(listing)
    return listing


def titles(actor=SYSTEM, **query):
    return [listing.title for listing in search_listings(actor, **query).items]


class TestWords:
    def test_all_words_must_be_there_and_the_last_may_be_a_beginning(self, companies):
        put(companies[0], "Scanned digits")
        put(companies[0], "Digits of wine labels")
        assert sorted(titles(text="digits")) == ["Digits of wine labels", "Scanned digits"]
        assert titles(text="digits wi") == ["Digits of wine labels"]
        assert titles(text="digi wine") == []

    def test_case_accents_and_punctuation_do_not_matter(self, companies):
        put(companies[0], "Crème-Brûlée / Klassifikator")
        for text in ("creme brulee", "CRÈME", "brûlée,klass", "  klassifikator!! "):
            assert titles(text=text) == ["Crème-Brûlée / Klassifikator"], text

    def test_a_title_fits_better_than_a_description(self, companies):
        put(companies[0], "Grapes", description="About wine. " + "Many other words. " * 20)
        put(companies[0], "Wine")
        put(companies[0], "Bottles", summary="For wine")
        assert titles(text="wine") == ["Wine", "Bottles", "Grapes"]

    def test_seller_tag_and_facets_are_words_too(self, companies):
        put(companies[1], "One", tags=["chemistry"], task="tabular-classification", licence="cc-by-4.0")
        for text in ("beta", "chemistry", "tabular classification", "cc-by-4.0"):
            assert titles(text=text) == ["One"], text

    @pytest.mark.parametrize(
        "text", ['"', "a OR b", "NEAR(x", "title:wine", "*", "' ; --", "wine' | !a", "(((", "-", "\x00", "% _"]
    )
    def test_operators_of_query_languages_are_just_text(self, companies, text):
        put(companies[0], "Something else")
        assert titles(text=text) == []

    @given(st.text(max_size=60))
    def test_words_of_a_query_hold_letters_and_digits_only(self, text):
        assert all(word.isalnum() and len(word) <= 40 for word in query_words(text))
        assert normalise(normalise(text)) == normalise(text)


class TestOrder:
    def test_popular_newest_and_keyset_pages_without_gap_or_double(self, companies):
        rng = random.Random(1)
        made = [
            put(
                companies[0],
                f"Wine {n}",
                sales=rng.randint(0, 3),
                age_days=rng.randint(0, 3),
                description="wine " * (n % 4),
            )
            for n in range(23)
        ]
        for sort, key in (
            (Sort.POPULAR, lambda listing: (listing.sales, listing.pk)),
            (Sort.NEWEST, lambda listing: (listing.published_at, listing.pk)),
        ):
            expected = [listing.pk for listing in sorted(made, key=key, reverse=True)]
            assert self.walk(sort=sort) == expected
        assert sorted(self.walk(text="wine", sort=Sort.RELEVANCE)) == sorted(listing.pk for listing in made)

    def walk(self, **query):
        found, cursor = [], None
        while True:
            page = search_listings(SYSTEM, cursor=cursor, limit=5, **query)
            assert page.total == 23
            found += [listing.pk for listing in page.items]
            cursor = page.next_cursor
            if cursor is None:
                assert len(found) == len(set(found))
                return found

    def test_a_page_is_not_shifted_by_what_is_published_meanwhile(self, companies):
        for n in range(6):
            put(companies[0], f"Wine {n}", age_days=10 - n)
        first = search_listings(SYSTEM, sort=Sort.NEWEST, limit=3)
        put(companies[0], "Wine new")
        second = search_listings(SYSTEM, sort=Sort.NEWEST, limit=3, cursor=first.next_cursor)
        assert [listing.title for listing in first.items + second.items] == [f"Wine {n}" for n in (5, 4, 3, 2, 1, 0)]

    @pytest.mark.parametrize(
        "cursor", ["x", "bm9uc2Vuc2U", "WzEsMiwzXQ", "WyJwb3B1bGFyIiwiYSIsImIiXQ", "WyJuZXdlc3QiLDEsMV0"]
    )
    def test_a_foreign_cursor_is_refused(self, companies, cursor):
        put(companies[0], "Wine")
        with pytest.raises(Invalid):
            search_listings(SYSTEM, sort=Sort.POPULAR, cursor=cursor)

    def test_unknown_orders_and_facets_are_refused(self, companies):
        with pytest.raises(Invalid):
            search_listings(SYSTEM, sort="cheapest")
        with pytest.raises(Invalid):
            search_listings(SYSTEM, facets={"colour": ["red"]})


class TestFacets:
    def test_counts_are_those_one_would_get_by_choosing(self, companies):
        put(companies[0], "A", kind="model", licence="mit", tags=["x", "y"])
        put(companies[0], "B", kind="model", licence="apache-2.0", tags=["x"])
        put(companies[0], "C", kind="dataset", licence="mit", price="one_time")
        page = search_listings(SYSTEM, facets={"kind": ["model"]})
        assert page.total == 2
        assert page.facets["kind"] == {"model": 2, "dataset": 1}
        assert page.facets["licence"] == {"apache-2.0": 1, "mit": 1}
        assert page.facets["tag"] == {"x": 2, "y": 1}
        assert page.facets["price"] == {"free": 2}
        both = search_listings(SYSTEM, facets={"kind": ["model", "dataset"], "licence": ["mit"]})
        assert sorted(listing.title for listing in both.items) == ["A", "C"]
        assert both.facets["kind"] == {"dataset": 1, "model": 1}
        assert titles(facets={"licence": ["unheard-of"]}) == []
        assert search_listings(SYSTEM, facets={"licence": ["unheard-of"]}).facets["licence"] == {
            "mit": 2,
            "apache-2.0": 1,
            "unheard-of": 0,
        }

    def test_random_searches_match_a_plain_count(self, companies):
        rng = random.Random(5)
        member = make_person("nora")
        Membership.objects.create(organization=companies[0].namespace.organization, user=member.user, role="member")
        for n in range(60):
            put(
                rng.choice(companies),
                " ".join(rng.sample(WORDS, 2)),
                kind=rng.choice(["model", "dataset"]),
                licence=rng.choice(["mit", "apache-2.0", ""]),
                visibility=rng.choice(["public", "organization"]),
                state=rng.choice(["published", "published", "withdrawn"]),
                sales=n % 5,
            )
        for actor in (anonymous(), member.actor, companies[1].actor, SYSTEM):
            seen = list(visible_listings(actor).filter(state="published"))
            for _ in range(15):
                word, licence = rng.choice([*WORDS, ""]), rng.choice(["mit", "apache-2.0", None])
                hits = [listing for listing in seen if not word or word in listing.title.split()]
                chosen = [listing for listing in hits if licence is None or listing.licence == licence]
                page = search_listings(
                    actor, text=word, facets={"licence": [licence]} if licence else None, sort=Sort.POPULAR, limit=100
                )
                assert [listing.pk for listing in page.items] == [
                    listing.pk for listing in sorted(chosen, key=lambda each: (each.sales, each.pk), reverse=True)
                ]
                licences = [listing.licence for listing in hits if listing.licence]
                wanted = {*licences, licence} - {None}
                assert page.facets["licence"] == {each: licences.count(each) for each in wanted}


class TestSight:
    def test_who_sees_an_organisations_own_listing(self, companies):
        put(companies[0], "Inner", visibility="organization")
        member = make_person("nora")
        Membership.objects.create(organization=companies[0].namespace.organization, user=member.user, role="member")
        _, text = tokens.issue(member.actor, name="t", scopes=["repo:read"])
        sights = {
            "member": titles(for_user(member.user)),
            "stranger": titles(companies[1].actor),
            "nobody": titles(anonymous()),
            "token without the scope": titles(for_token(text)),
        }
        assert sights == {"member": ["Inner"], "stranger": [], "nobody": [], "token without the scope": []}
        assert search_listings(companies[1].actor).facets["kind"] == {}

    def test_a_snapshot_that_is_behind_leaks_nothing(self, companies, monkeypatch):
        listing = put(companies[0], "Soon gone")
        old = search_index.snapshot()
        Listing.objects.filter(pk=listing.pk).update(visibility="organization")
        monkeypatch.setattr("market.search.snapshot", lambda: old)
        assert titles(anonymous()) == []


class TestSnapshot:
    def test_changes_appear_at_once_in_every_process(self, companies):
        listing = put(companies[0], "Wine")
        put(companies[0], "Beer")
        assert titles(sort=Sort.NEWEST) == ["Beer", "Wine"]
        search_documents.count_sale(listing, +1)
        listing.refresh_from_db()
        assert titles() == ["Wine", "Beer"]
        listing.title = "Vinegar"
        listing.save()
        search_documents.index_listing(listing)
        assert (titles(text="wine"), titles(text="vinegar")) == ([], ["Vinegar"])
        listing.state = "withdrawn"
        listing.save()
        search_documents.index_listing(listing)
        assert titles() == ["Beer"]

    def test_an_unchanged_index_is_not_read_again(self, companies, django_assert_num_queries):
        put(companies[0], "Wine")
        titles()
        # change number, words, listings, plans
        with django_assert_num_queries(3):
            titles()
        with django_assert_num_queries(5):
            titles(text="wine")

    def test_patching_and_reading_again_come_to_the_same(self, companies, monkeypatch):
        rng = random.Random(9)
        made = []
        for n in range(40):
            deed = rng.random()
            if deed < 0.6 or not made:
                made.append(
                    put(rng.choice(companies), f"Wine {n}", tags=rng.sample(["a", "b", "c", "d"], rng.randint(0, 3)))
                )
            else:
                listing = rng.choice(made)
                listing.refresh_from_db()
                listing.tags, listing.licence = rng.sample(["b", "e"], 1), rng.choice(["mit", ""])
                listing.state = rng.choice(["published", "withdrawn"])
                listing.save()
                search_documents.index_listing(listing)
            if n % 3 == 0:
                search_index.snapshot()
        patched = search_listings(SYSTEM, limit=100)
        monkeypatch.setattr(search_index, "_present", search_index._EMPTY)
        again = search_listings(SYSTEM, limit=100)
        assert (patched.items, patched.facets, patched.total) == (again.items, again.facets, again.total)
        assert patched.total == Listing.objects.filter(state="published").count()

    def test_changes_that_nobody_will_ask_for_are_forgotten(self, companies, monkeypatch):
        for name in ("Wine", "Beer", "Cider"):
            put(companies[0], name)
        known = search_index.snapshot()
        monkeypatch.setattr(search_documents, "REBUILD_FROM", 1)
        assert search_documents.forget_changes() > 0
        assert search_documents.forget_changes() == 0
        assert search_index.snapshot() is known
        put(companies[0], "Juice")
        assert sorted(titles()) == ["Beer", "Cider", "Juice", "Wine"]
        monkeypatch.setattr(search_index, "_present", search_index._EMPTY)
        assert sorted(titles()) == ["Beer", "Cider", "Juice", "Wine"]

    def test_a_history_that_is_not_ours_is_read_from_the_beginning(self, companies):
        put(companies[0], "Wine")
        titles()
        SearchChange.objects.update(stamp=new_uuid())
        put(companies[0], "Beer")
        assert sorted(titles()) == ["Beer", "Wine"]
