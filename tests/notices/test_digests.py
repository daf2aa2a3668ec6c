"""Notices come as each person has chosen: at once, in a digest at their hour, on the site only, or not at all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import connection

from accounts.models import AuditRecord, User
from common import clock
from common.errors import Forbidden, Gone, Invalid
from notices.models import Digest, Notice, NoticePreference
from notices.preferences import preferences_of
from notices.services import digests, mark_read, notify_users
from notices.services.preferences import set_preferences, unsubscribe
from notices.topics import TOPICS, Delivery, Topic, topic_of
from tests.factories.accounts import actor_of, make_token, make_user
from tests.support.api import Caller
from tests.support.ports import free_port
from tests.support.source import calls, literal
from work.loops import run_due
from work.models import Task

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
"""A Wednesday."""


@pytest.fixture
def alice(db):
    return make_user("alice")


def tell(user, text="A new version.", kind="market:followed:version") -> Notice | None:
    notify_users([user.pk], kind, text, url="/listings/shop/wine")
    return Notice.objects.filter(user=user).order_by("pk").last()


def at(moment: datetime):
    return clock.travel(moment - clock.now())


def choose(user, **topics) -> None:
    set_preferences(actor_of(user), topics)


class TestChoosing:
    def test_each_way_of_being_told(self, alice):
        for delivery in Delivery:
            choose(alice, work=delivery)
            tell(alice, str(delivery), kind="export")
        run_due()
        told = {notice.text: notice.awaits for notice in Notice.objects.filter(user=alice)}
        # what waited for a digest went by the last choice
        assert told == {"site": "", "mail": "", "daily": "", "weekly": ""}
        assert [letter.subject for letter in mail.outbox] == ["mail"]

    @pytest.mark.parametrize("topic", [Topic.MONEY, Topic.SECURITY, Topic.PURCHASES])
    def test_money_and_security_always_stand_on_the_site(self, alice, topic):
        with pytest.raises(Invalid) as refusal:
            choose(alice, **{topic: "off"})
        assert list(refusal.value.fields["fields"]) == [topic]
        assert not NoticePreference.objects.exists()

    @pytest.mark.parametrize(
        ("topics", "more"), [({"x": "site"}, {}), ({"work": "x"}, {}), ({}, {"hour": 24}), ({}, {"weekday": -1})]
    )
    def test_what_makes_no_sense_is_refused(self, alice, topics, more):
        with pytest.raises(Invalid):
            set_preferences(actor_of(alice), topics, **more)

    def test_what_waits_goes_by_the_new_choice(self, alice):
        notice = tell(alice)
        for delivery, awaits in (("weekly", "weekly"), ("site", "")):
            choose(alice, followed=delivery)
            notice.refresh_from_db()
            assert notice.awaits == awaits
        choose(alice, followed="site")
        assert AuditRecord.objects.filter(tag="notices:preferences:changed").count() == 2

    def test_every_kind_of_notice_has_a_topic(self):
        kinds = {literal(call, 1) for name in ("notify", "notify_users") for _, call in calls(name)} - {None}
        assert len(kinds) > 15
        unsorted = [kind for kind in kinds if topic_of(kind) == Topic.PURCHASES]
        bought = {"approval", "offer", "order", "recall", "seat", "subscription"}
        assert {kind.split(":")[1] for kind in unsorted} <= bought


class TestWhen:
    @pytest.mark.parametrize(
        ("zone", "now", "day", "due"),
        [
            ("UTC", "2026-03-04T07:59", date(2026, 3, 3), "2026-03-03T08:00"),
            ("UTC", "2026-03-04T08:00", date(2026, 3, 4), "2026-03-04T08:00"),
            ("Asia/Kathmandu", "2026-03-04T02:15", date(2026, 3, 4), "2026-03-04T02:15"),
            ("Pacific/Auckland", "2026-03-03T20:00", date(2026, 3, 4), "2026-03-03T19:00"),
            ("America/Los_Angeles", "2026-03-08T15:00", date(2026, 3, 8), "2026-03-08T15:00"),
        ],
    )
    def test_the_hour_is_that_of_the_readers_time_zone(self, zone, now, day, due):
        asked = datetime.fromisoformat(now).replace(tzinfo=UTC)
        found = digests.last_due(asked, ZoneInfo(zone), "daily", hour=8, weekday=0)
        assert (found[0], found[1].astimezone(UTC)) == (day, datetime.fromisoformat(due).replace(tzinfo=UTC))

    def test_the_weekly_one_comes_on_its_day(self):
        zone = ZoneInfo("Europe/Berlin")
        day, due = digests.last_due(NOON, zone, "weekly", hour=8, weekday=0)
        assert (day, due.astimezone(UTC)) == (date(2026, 3, 2), datetime(2026, 3, 2, 7, tzinfo=UTC))
        assert digests.last_due(NOON, zone, "weekly", hour=14, weekday=2)[0] == date(2026, 2, 25)


class TestDigests:
    def test_one_mail_with_all_that_came_together_then_nothing(self, alice, settings):
        settings.PUBLIC_URL = "https://market.example.org"
        User.objects.filter(pk=alice.pk).update(timezone="Asia/Tokyo")
        with at(NOON):
            tell(alice, "Wine 2.0 is there.")
            tell(alice, "Digits costs <less>.")
            assert digests.plan_digests() == 0
        with at(NOON + timedelta(hours=12)):
            # nine in the morning in Tokyo
            assert [digests.plan_digests() for _ in range(2)] == [1, 0]
            run_due()
            tell(alice, "Too late for today.")
            assert digests.plan_digests() == 0
            run_due()
        [letter] = mail.outbox
        assert (letter.to, letter.subject) == (["alice@example.org"], "2 notices, 5 March")
        assert "Wine 2.0 is there.\n  https://market.example.org/listings/shop/wine" in letter.body
        [(html, kind)] = [(part.content, part.mimetype) for part in letter.alternatives]
        assert kind == "text/html"
        assert "Digits costs &lt;less&gt;." in html
        assert letter.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert Notice.objects.filter(mailed_at__isnull=False).count() == 2
        with at(NOON + timedelta(hours=36)):
            assert digests.plan_digests() == 1
            run_due()
        assert [letter.subject for letter in mail.outbox] == ["2 notices, 5 March", "1 notice, 6 March"]

    def test_what_was_read_meanwhile_is_left_out(self, alice):
        with at(NOON):
            tell(alice)
            mark_read(actor_of(alice))
        with at(NOON + timedelta(days=1)):
            assert digests.plan_digests() == 1
            run_due()
        assert (mail.outbox, Digest.objects.get().sent_at is not None) == ([], True)

    def test_sent_again_it_is_sent_once(self, alice):
        with at(NOON):
            tell(alice)
        with at(NOON + timedelta(days=1)):
            digests.plan_digests()
            for _ in range(3):
                digests.send_digest(Digest.objects.get().pk)
        assert len(mail.outbox) == 1

    def test_while_the_mail_server_is_down_it_waits(self, alice, settings):
        with at(NOON):
            tell(alice)
        working = settings.EMAIL_BACKEND
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
        with at(NOON + timedelta(days=1)):
            digests.plan_digests()
            run_due()
            assert Task.objects.get(name="notices.send_digest").error.startswith("unavailable")
        settings.EMAIL_BACKEND = working
        with at(NOON + timedelta(days=1, minutes=1)):
            run_due()
        assert len(mail.outbox) == 1

    def test_one_that_was_begun_and_dropped_is_finished(self, alice):
        with at(NOON):
            tell(alice)
        with at(NOON + timedelta(days=1)):
            digests.plan_digests()
            Task.objects.all().delete()
            Digest.objects.update(sending_at=clock.now())
        with at(NOON + timedelta(days=1, minutes=15)):
            assert digests.plan_digests() == 0
            run_due()
        assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_many_schedulers_and_workers_send_one_mail():
    alice = make_user("alice")
    with at(NOON):
        tell(alice)

    def work(_: int) -> int:
        try:
            made = digests.plan_digests()
            digests.send_digest(Digest.objects.get().pk)
            return made
        finally:
            connection.close()

    with at(NOON + timedelta(days=1)), ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 1
    assert (len(mail.outbox), Digest.objects.count()) == (1, 1)


class TestUnsubscribing:
    def link(self, alice, kind="market:followed:version") -> str:
        with at(NOON):
            tell(alice, kind=kind)
        with at(NOON + timedelta(days=1)):
            digests.plan_digests()
            run_due()
        [letter] = mail.outbox
        address = letter.extra_headers["List-Unsubscribe"].strip("<>")
        return address[address.index("/notices") :]

    def test_one_post_of_a_mail_program_ends_the_digest_and_opening_the_link_does_not(self, alice, client):
        link = self.link(alice)
        assert client.get(link).status_code == 200
        assert preferences_of(alice.pk)[Topic.FOLLOWED] == Delivery.DAILY
        for _ in range(2):
            answer = client.post(link, {"List-Unsubscribe": "One-Click"})
            assert (answer.status_code, "the daily digest" in answer.content.decode()) == (200, True)
        assert preferences_of(alice.pk)[Topic.FOLLOWED] == Delivery.SITE
        assert AuditRecord.objects.filter(tag="notices:preferences:changed").count() == 1

    def test_a_single_mail_ends_its_topic_and_it_stays_on_the_site(self, alice, client):
        link = self.link(alice, kind="market:sale:made")
        assert client.post(link).status_code == 200
        assert preferences_of(alice.pk)[Topic.MONEY] == Delivery.SITE
        assert tell(alice, kind="market:sale:made").text == "A new version."
        run_due()
        assert len(mail.outbox) == 1

    def test_a_made_up_link_is_refused(self, alice, client):
        assert client.get("/notices/unsubscribe/made:up").status_code == 410
        with pytest.raises(Gone):
            unsubscribe("made:up")


class TestSurfaces:
    def test_the_page_filters_groups_and_marks(self, alice, client):
        client.force_login(alice)
        tell(alice, "Wine 2.0 is there.")
        sold = tell(alice, "Sold.", kind="market:sale:made")
        page = client.get("/notices").content.decode()
        assert "Today" in page
        assert "Wine 2.0 is there." in page
        assert "Sold." in page
        assert "Sold." not in client.get("/notices?topic=followed").content.decode()
        marked = client.post(f"/notices/{sold.uuid}/reading", {"next": "/notices?unread=1"})
        assert (marked.status_code, marked["Location"]) == (302, "/notices?unread=1")
        assert "Sold." not in client.get("/notices?unread=1").content.decode()
        elsewhere = client.post("/notices/reading", {"next": "https://evil.example"})
        assert elsewhere["Location"] == "/notices"
        assert "Nothing like this" in client.get("/notices?unread=1").content.decode()

    def test_preferences_on_the_page(self, alice, client):
        client.force_login(alice)
        chosen = {topic: described.usual for topic, described in TOPICS.items()} | {"hour": "6", "weekday": "4"}
        assert client.post("/notices/preferences", {**chosen, "work": "weekly"}).status_code == 302
        assert preferences_of(alice.pk)[Topic.WORK] == Delivery.WEEKLY
        assert client.post("/notices/preferences", {**chosen, "money": "off"}).status_code == 400

    def test_preferences_through_the_api(self, alice, client):
        script = Caller(client, make_token(alice, "*"))
        changed = script.call("PATCH", "notice-preferences", {"topics": {"work": "off"}, "hour": 20})
        assert (changed.status_code, changed.json()["hour"]) == (200, 20)
        assert {row["topic"]: row["delivery"] for row in changed.json()["topics"]}["work"] == "off"
        refused = script.call("PATCH", "notice-preferences", {"topics": {"money": "off"}})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["money"])
        tell(alice)
        listed = script.call("GET", "notices?topic=followed&unread=true").json()["items"]
        assert [row["topic"] for row in listed] == ["followed"]
        assert script.call("POST", f"notices/{listed[0]['uuid']}/reading").status_code == 204
        assert script.call("GET", "notices?unread=true").json()["items"] == []
        with pytest.raises(Forbidden):
            set_preferences(actor_of(alice).__class__(**{**actor_of(alice).__dict__, "scopes": frozenset()}), {})
