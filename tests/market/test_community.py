"""Questions, follows, likes, collections and what webhooks are told of trade."""

import hashlib
import hmac
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.permissions import Role
from accounts.services import members
from common import clock
from common.errors import Conflict, Forbidden, Invalid, NotFound
from market.community_policies import require_post, require_thread
from market.models import Follow, Listing, ListingPost
from market.services import collecting, follows, listings, moderation, orders, refunds, threads
from notices.models import Notice
from registry.models import RepoEvent, WebhookDelivery
from registry.queries import head_of
from registry.services import collections, webhooks
from registry.services.standing import yank
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_token, make_user
from tests.factories.market import (
    SYSTEM,
    agreed,
    give_credits,
    make_company,
    make_listing,
    make_person,
    make_version,
    plan_of,
    scanned,
)
from tests.support.api import Caller
from tests.support.queries import count_of
from tests.support.receiver import Receiver
from work.loops import run_due


@pytest.fixture
def shop(db):
    return make_company("shop")


@pytest.fixture
def anna(db):
    return make_person("anna")


@pytest.fixture
def version(shop):
    return make_version(shop)


@pytest.fixture
def wine(shop, version):
    return make_listing(shop, version.repo, {"kind": "one_time", "price_minor": 500})


def told(user, kind: str) -> list[str]:
    return list(Notice.objects.filter(user=user, kind=kind).order_by("pk").values_list("text", flat=True))


def ask(who, listing, text="How was it measured?"):
    return threads.open_thread(who.actor, listing, kind="question", title="Measured how?", text=text)


class TestQuestions:
    def test_a_question_is_answered_and_settled(self, shop, anna, wine):
        thread = ask(anna, wine)
        assert len(told(shop.user, "market:community:asked")) == 1
        answer = threads.write_post(shop.actor, thread, text="With **care**.")
        assert (answer.is_sellers, told(anna.user, "market:community:answered")) == (
            True,
            ["shop-owner wrote in “Measured how?” on Wine."],
        )
        for _ in range(2):
            accepted = threads.accept_answer(anna.actor, thread, answer)
        assert (accepted.accepted_id, len(told(shop.user, "market:community:answered"))) == (answer.pk, 1)
        with pytest.raises(Forbidden):
            threads.accept_answer(make_person("other").actor, thread, answer)
        with pytest.raises(NotFound):
            threads.accept_answer(anna.actor, thread, thread.posts.order_by("pk").first())

    def test_a_closed_thread_takes_no_answer_until_it_is_reopened(self, shop, anna, wine):
        thread = ask(anna, wine)
        with pytest.raises(Forbidden):
            threads.set_state(make_person("other").actor, thread, is_open=False)
        threads.set_state(shop.actor, thread, is_open=False)
        with pytest.raises(Conflict):
            threads.write_post(anna.actor, thread, text="And yet?")
        threads.set_state(anna.actor, thread, is_open=True)
        assert threads.write_post(anna.actor, thread, text="And yet?").pk

    def test_mentions_tell_those_who_may_see_the_listing_once(self, shop, anna, version):
        inside = make_user("inge")
        members.add_member(SYSTEM, shop.namespace.organization, inside, Role.MEMBER)
        hidden = make_listing(shop, version.repo, visibility="organization")
        text = "@inge @INGE @anna and @nobody, mail me@anna.org; `x/@anna`"
        thread = threads.open_thread(shop.actor, hidden, kind="discussion", title="Ours", text=text)
        assert (len(told(inside, "market:mention")), told(anna.user, "market:mention")) == (1, [])
        threads.edit_post(shop.actor, thread.posts.get(), text=f"{text} again")
        assert len(told(inside, "market:mention")) == 1

    def test_edits_keep_what_was_said_and_deleting_takes_it_away(self, anna, wine):
        post = ask(anna, wine, "First").posts.get()
        threads.edit_post(anna.actor, post, text="Second")
        threads.edit_post(anna.actor, post, text="Second")
        post.refresh_from_db()
        assert [each["text"] for each in post.history] == ["First"]
        with pytest.raises(Forbidden):
            threads.edit_post(make_person("other").actor, post, text="Mine now")
        for _ in range(2):
            threads.delete_post(anna.actor, post)
        post.refresh_from_db()
        assert (post.text, post.history, ListingPost.objects.count()) == ("", [], 1)

    def test_a_hidden_post_keeps_its_place_and_loses_its_text(self, shop, anna, wine, client):
        staff = actor_of(make_user("steve", is_staff=True))
        thread = ask(anna, wine, "Buy *elsewhere*!")
        post = thread.posts.get()
        reported = moderation.report(shop.actor, post, reason="spam")
        moderation.decide(staff, reported, is_upheld=True, reason="Advertising.")
        with pytest.raises(NotFound):
            require_post(shop.actor, post.uuid)
        page = client.get(f"/listings/shop/{wine.slug}/questions/1").content.decode()
        assert "Hidden by staff: Advertising." in page
        assert "elsewhere" not in page

    @pytest.mark.parametrize("wrong", [{"kind": "poem"}, {"title": " "}, {"text": " "}, {"text": "x" * 10_001}])
    def test_what_makes_no_sense_is_refused(self, anna, wine, wrong):
        with pytest.raises(Invalid):
            threads.open_thread(anna.actor, wine, **{"kind": "question", "title": "T", "text": "x", **wrong})

    def test_whoever_does_not_see_the_listing_has_no_part(self, shop, anna, version):
        listing = make_listing(shop, version.repo, visibility="organization")
        with pytest.raises(NotFound):
            ask(anna, listing)
        with pytest.raises(NotFound):
            require_thread(shop.actor, listing, 7)


class TestFollowing:
    def test_followers_hear_of_prices_versions_and_the_end(self, shop, anna, wine, version):
        assert [follows.follow_listing(anna.actor, wine) for _ in range(2)] == [True, False]
        listings.add_plan(shop.actor, wine, "one_time", price_minor=700)
        listings.add_plan(shop.actor, wine, "one_time", price_minor=1, offered_to="anna")
        run_due()
        assert told(anna.user, "market:followed:priced") == ["The plans of Wine have changed."]
        assert follows.tell_of_versions() == 0
        second = scanned(
            publish_version(shop.actor, version.repo, head_of(version.repo).oid, name="2.0", licence="mit")
        )
        assert [follows.tell_of_versions() for _ in range(2)] == [1, 0]
        yank(shop.actor, second, reason="Wrong labels")
        assert follows.tell_of_versions() == 1
        assert told(anna.user, "market:followed:version") == [
            "Wine leads to version 2.0 now.",
            "Wine leads to version 1.0 now.",
        ]
        listings.withdraw_listing(shop.actor, wine)
        run_due()
        assert len(told(anna.user, "market:followed:withdrawn")) == 1

    def test_followers_of_a_seller_hear_of_what_they_may_see(self, shop, anna):
        follows.follow_namespace(anna.actor, "SHOP")
        make_listing(shop, make_version(shop, "open").repo, title="Open")
        make_listing(shop, make_version(shop, "inner").repo, title="Inner", visibility="organization")
        run_due()
        assert told(anna.user, "market:followed:listed") == ["shop lists something new: Open."]
        follows.unfollow_namespace(anna.actor, "shop")
        assert not Follow.objects.exists()

    def test_likes_are_counted_exactly(self, anna, wine):
        assert [follows.like_listing(anna.actor, wine) for _ in range(2)] == [True, False]
        assert Listing.objects.get(pk=wine.pk).likes == 1
        assert [follows.unlike_listing(anna.actor, wine) for _ in range(2)] == [True, False]
        assert Listing.objects.get(pk=wine.pk).likes == 0

    def test_a_collection_shows_everybody_what_they_may_see(self, shop, anna, wine, client):
        inner = make_listing(shop, make_version(shop, "inner").repo, title="Inner", visibility="organization")
        shelf = collections.create_collection(shop.actor, "shop", "Best of")
        for listing in (wine, inner, wine):
            collecting.add_to_collection(shop.actor, shelf.uuid, listing)
        page = client.get(f"/collections/{shelf.uuid}").content.decode()
        assert "Wine" in page
        assert "Inner" not in page
        with pytest.raises(Forbidden):
            collecting.add_to_collection(anna.actor, shelf.uuid, wine)
        client.force_login(shop.user)
        assert "Inner" in client.get(f"/collections/{shelf.uuid}").content.decode()
        gone = client.post(f"/collections/{shelf.uuid}/listings/{inner.uuid}/removal")
        assert gone.status_code == 302
        assert "Inner" not in client.get(f"/collections/{shelf.uuid}").content.decode()


class TestSurfaces:
    def test_a_story_on_the_site(self, shop, anna, wine, client):
        base = f"/listings/shop/{wine.slug}"
        client.force_login(anna.user)
        asked = client.post(f"{base}/questions", {"kind": "question", "title": "Why?", "text": "<script>x</script>"})
        assert asked["Location"] == f"{base}/questions/1"
        for path, deed in (("like", "like"), ("following", "follow")):
            assert client.post(f"{base}/{path}", {deed: "1"}).status_code == 302
        client.force_login(shop.user)
        assert client.post(f"{base}/questions/1", {"text": "Because."}).status_code == 302
        answer = ListingPost.objects.order_by("pk").last()
        assert client.post(f"{base}/questions/1/acceptance", {"post": str(answer.uuid)}).status_code == 302
        assert client.post(f"{base}/questions/1/posts/{answer.uuid}", {"text": "Just because."}).status_code == 302
        page = client.get(f"{base}/questions/1").content.decode()
        assert "Accepted answer" in page
        assert "Just because." in page
        assert "<script>x" not in page
        client.force_login(anna.user)
        assert "Answered" in client.get(base).content.decode()
        assert "Wine" in client.get("/library/following").content.decode()

    def test_a_story_through_the_api(self, shop, anna, wine, client):
        script, seller = Caller(client, make_token(anna.user, "*")), Caller(client, make_token(shop.user, "*"))
        base = f"listings/shop/{wine.slug}"
        assert script.call("POST", f"{base}/threads", {"title": "Why?", "text": "Say."}).status_code == 201
        answer = seller.call("POST", f"{base}/threads/1/posts", {"text": "Because."}).json()
        settled = script.call("PATCH", f"{base}/threads/1", {"accepted": answer["uuid"], "state": "closed"}).json()
        assert (settled["accepted"], settled["state"]) == (answer["uuid"], "closed")
        assert (
            seller.call("PATCH", f"posts/{answer['uuid']}", {"text": "So."}).json()["history"][0]["text"] == "Because."
        )
        assert [post["text"] for post in script.call("GET", f"{base}/threads/1/posts").json()["items"]] == [
            "Say.",
            "So.",
        ]
        assert script.call("POST", f"{base}/like").json()["is_liked"]
        assert script.call("POST", f"{base}/follow").json()["is_followed"]
        assert script.call("POST", "namespaces/shop/follow").status_code == 204
        assert len(script.call("GET", "follows").json()["items"]) == 2
        made = script.call("POST", "collections", {"namespace": "anna", "title": "To buy"}).json()
        held = script.call("POST", f"collections/{made['uuid']}/listings", {"listing": str(wine.uuid)}).json()
        assert [item["title"] for item in held["listings"]] == ["Wine"]

    def test_many_threads_ask_no_more_than_one(self, anna, wine, client):
        path = f"/listings/shop/{wine.slug}/questions"
        ask(anna, wine)
        client.get(path)
        with CaptureQueriesContext(connection) as one:
            client.get(path)
        for _ in range(4):
            ask(anna, wine)
        with CaptureQueriesContext(connection) as many:
            client.get(path)
        assert count_of(many) == count_of(one)


@pytest.mark.django_db(transaction=True)
class TestWebhooks:
    @pytest.fixture(autouse=True)
    def opened(self, settings) -> None:
        settings.OUTGOING_ALLOW = ["127.0.0.2/32"]

    def test_both_sides_are_told_of_an_order_signed_and_its_undoing(self, shop, anna, wine, client):
        give_credits(anna, 1_000)
        with Receiver() as receiver:
            watched = [{"type": "org", "name": "shop"}]
            hook = webhooks.create_webhook(
                shop.actor, receiver.url, watched, domains=["market"], events=["order.paid"], secret="s3cret"
            )
            order = orders.place_order(anna.actor, buyer_namespace="anna", **agreed(plan_of(wine)), key="k")
            run_due()
            got = receiver.next()
            said = got.json()
            assert (said["event"]["name"], said["namespace"]["name"]) == ("order.paid", "shop")
            assert (said["data"]["totalMinor"], said["data"]["buyer"]) == (500, "anna")
            stamp, _, signature = got.headers["x-webhook-signature"].removeprefix("t=").partition(",v1=")
            assert signature == hmac.new(b"s3cret", stamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()
            # not asked for
            refunds.refund_order(anna.actor, order, key="back")
            run_due()
            assert WebhookDelivery.objects.count() == 1
            names = {event.payload["event"]["name"] for event in RepoEvent.objects.filter(domain="market")}
            assert names == {"order.paid", "order.refunded", "entitlement.ended"}
            delivery = WebhookDelivery.objects.get()
            client.force_login(shop.user)
            page = client.get(f"/webhooks/{hook.uuid}").content.decode()
            assert "order.paid" in page
            assert client.post(f"/webhooks/{hook.uuid}/deliveries/{delivery.uuid}/redelivery").status_code == 302
            run_due()
            assert receiver.next().headers["x-webhook-delivery"] == delivery.uuid.hex

    def test_it_is_tried_again_until_it_arrives(self, shop, anna, wine):
        answers = iter([500, 200])
        with Receiver(answer=lambda _: next(answers)) as receiver:
            webhooks.create_webhook(shop.actor, receiver.url, [{"type": "org", "name": "shop"}], domains=["market"])
            ask(anna, wine)
            run_due()
            assert WebhookDelivery.objects.get().state == "waiting"
            with clock.travel(timedelta(seconds=15)):
                run_due()
            assert WebhookDelivery.objects.get().state == "delivered"
            assert receiver.next().json()["data"]["title"] == "Measured how?"

    def test_a_stranger_who_watches_hears_nothing_of_trade(self, shop, anna, wine):
        with Receiver() as receiver:
            webhooks.create_webhook(anna.actor, receiver.url, [{"type": "org", "name": "shop"}], domains=["market"])
            ask(make_person("other"), wine)
            run_due()
            assert (RepoEvent.objects.count(), WebhookDelivery.objects.count()) == (1, 0)

    def test_webhooks_through_the_api(self, shop, client):
        script = Caller(client, make_token(shop.user, "*"))
        body = {"url": "https://example.org/", "watched": [{"type": "org", "name": "shop"}], "domains": ["market"]}
        made = script.call("POST", "webhooks", {**body, "events": ["payout.paid"], "secret": "x"}).json()
        assert (made["events"], made["has_secret"], "secret" in made) == (["payout.paid"], True, False)
        changed = script.call("PATCH", f"webhooks/{made['uuid']}", {"is_enabled": False, "events": []}).json()
        assert (changed["is_enabled"], changed["events"]) == (False, [])
        assert script.call("GET", f"webhooks/{made['uuid']}/deliveries").json()["items"] == []
        assert script.call("POST", "webhooks", {**body, "events": ["order.eaten"]}).status_code == 400
        assert script.call("DELETE", f"webhooks/{made['uuid']}").status_code == 204
