"""People are told once, on the site at once and by mail a moment later."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, transaction

from accounts import actors
from accounts.permissions import Role
from common import clock
from common.errors import NotFound, Unauthenticated
from notices.models import Notice
from notices.queries import notices_of, unread_count
from notices.services import mark_read, notify, notify_users
from tests.factories.accounts import actor_of, make_organization, make_user
from tests.support.ports import free_port
from work.loops import run_due
from work.models import Task


@pytest.fixture
def alice(db):
    return make_user("alice")


@pytest.fixture
def acme(alice):
    return make_organization("acme", alice, adam=Role.ADMIN, pia=Role.PUBLISHER, mia=Role.MEMBER).namespace


@pytest.fixture
def alices(alice):
    return actor_of(alice)


def told(user, text="Sold.", **more) -> Notice:
    notify_users([user.pk], "sale", text, **more)
    return Notice.objects.filter(user=user).latest("pk")


class TestTelling:
    def test_an_organisations_owner_and_admins_are_told_and_nobody_else(self, acme):
        assert notify(acme.pk, "sale", "Wine was sold.", url="/acme/wine") == 2
        assert sorted(Notice.objects.values_list("user__username", "text", "url", "kind")) == [
            ("adam", "Wine was sold.", "/acme/wine", "sale"),
            ("alice", "Wine was sold.", "/acme/wine", "sale"),
        ]

    def test_a_persons_namespace_is_that_person(self, acme, alice):
        assert notify(alice.namespace.pk, "sale", "Sold.") == 1
        assert Notice.objects.get().user == alice

    def test_the_same_key_tells_each_person_once(self, acme, alice):
        assert notify_users([alice.pk], "sale", "Sold.", key="order:1") == 1
        assert notify(acme.pk, "sale", "Sold.", key="order:1") == 1
        assert notify(acme.pk, "sale", "Sold, again.", key="order:1") == 0
        assert notify(acme.pk, "sale", "Sold.", key="order:2") == 2
        run_due()
        assert (Notice.objects.count(), len(mail.outbox)) == (4, 4)

    def test_without_a_key_every_call_tells(self, alice):
        assert [notify_users([alice.pk, alice.pk], "sale", "Sold.") for _ in range(2)] == [1, 1]
        assert Notice.objects.count() == 2

    def test_a_transaction_that_fails_tells_nobody(self, alice):
        @transaction.atomic
        def sell() -> None:
            notify(alice.namespace.pk, "sale", "Sold.", key="order:1")
            raise RuntimeError

        with pytest.raises(RuntimeError):
            sell()
        run_due()
        assert (Notice.objects.count(), mail.outbox) == (0, [])

    def test_long_texts_are_cut_and_not_refused(self, alice):
        notice = told(alice, "x" * 1000, url="/" + "y" * 1000)
        assert (len(notice.text), len(notice.url)) == (400, 300)


class TestMail:
    def test_the_mail_says_what_the_site_says_and_where(self, alice, settings):
        settings.PUBLIC_URL = "https://market.example.org"
        told(alice, "Wine\nwas sold.", url="/acme/wine")
        assert mail.outbox == []
        run_due()
        [letter] = mail.outbox
        assert (letter.to, letter.subject) == (["alice@example.org"], "Wine was sold.")
        assert letter.body == "Wine\nwas sold.\n\nhttps://market.example.org/acme/wine\n"

    def test_a_mail_is_sent_once(self, alice):
        notice = told(alice)
        run_due()
        Task.objects.filter(name="notices.mail_notice").update(state="queued", run_at=clock.now())
        run_due()
        notice.refresh_from_db()
        assert (len(mail.outbox), notice.mailed_at is not None) == (1, True)

    def test_none_is_sent_where_none_was_asked_for_or_to_who_has_left(self, alice):
        told(alice, with_mail=False)
        gone = make_user("gone")
        told(gone)
        type(gone).objects.filter(pk=gone.pk).update(is_active=False)
        run_due()
        assert mail.outbox == []

    def test_while_the_mail_server_is_down_the_mail_waits_and_the_notice_is_there(self, alice, alices, settings):
        working = settings.EMAIL_BACKEND
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
        notice = told(alice)
        run_due()
        task = Task.objects.get(name="notices.mail_notice")
        assert (task.state, task.attempts, task.error) == ("queued", 1, "unavailable: The mail server does not answer.")
        assert unread_count(alices) == 1
        settings.EMAIL_BACKEND = working
        assert run_due() == 0
        with clock.travel(timedelta(seconds=5)):
            run_due()
        notice.refresh_from_db()
        task.refresh_from_db()
        assert (task.state, task.attempts, len(mail.outbox)) == ("done", 2, 1)
        assert notice.mailed_at is not None


class TestReading:
    def test_newest_first_in_pages_and_only_ones_own(self, alice, alices):
        for number in range(3):
            told(alice, str(number))
        told(make_user("bob"), "Bob's")
        page = notices_of(alices, limit=2)
        rest = notices_of(alices, limit=2, cursor=page.next_cursor)
        assert [each.text for each in [*page.items, *rest.items]] == ["2", "1", "0"]
        assert (rest.next_cursor, unread_count(alices)) == (None, 3)

    def test_marking_one_and_then_all(self, alice, alices):
        first, _ = told(alice, "1"), told(alice, "2")
        assert [mark_read(alices, first.uuid), mark_read(alices, first.uuid)] == [1, 0]
        assert unread_count(alices) == 1
        assert [mark_read(alices), mark_read(alices)] == [1, 0]
        assert unread_count(alices) == 0

    def test_anothers_notice_is_refused_and_stays_unread(self, alice, alices):
        bob = make_user("bob")
        notice = told(bob)
        with pytest.raises(NotFound):
            mark_read(alices, notice.uuid)
        assert mark_read(alices) == 0
        assert unread_count(actor_of(bob)) == 1

    def test_nobody_in_particular_has_no_notices(self, alice):
        told(alice)
        assert (unread_count(actors.anonymous()), notices_of(actors.anonymous()).items) == (0, [])
        with pytest.raises(Unauthenticated):
            mark_read(actors.anonymous())
        assert unread_count(actor_of(alice)) == 1


@pytest.mark.django_db(transaction=True)
def test_many_tellers_of_one_event_tell_once():
    user = make_user("alice")

    def tell(_: int) -> int:
        try:
            return notify_users([user.pk], "sale", "Sold.", key="order:1")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(tell, range(8))) == 1
    run_due()
    assert (Notice.objects.count(), len(mail.outbox)) == (1, 1)
