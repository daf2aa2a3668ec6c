"""Webhooks: who is told what, how it is signed, and what becomes of it when nobody listens."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.actors import expand_scopes
from accounts.models import AuditRecord, User
from accounts.permissions import Level, Role
from accounts.services import grants
from common import clock
from common.errors import Forbidden, Invalid, NotFound, Unavailable
from common.sealed import seal, unseal
from notices.models import Notice
from registry import community_queries as queries
from registry.models import RepoEvent, Webhook, WebhookDelivery
from registry.policies import require_webhook
from registry.services import discussions, pulls, refs, repos, webhooks
from tests.factories.accounts import actor_of, make_organization, make_user
from tests.factories.registry import add, commit, make_repo
from tests.support.receiver import Receiver
from work.loops import run_due
from work.models import Task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def opened(settings) -> None:
    settings.OUTGOING_ALLOW = ["127.0.0.2/32"]


@pytest.fixture
def owner():
    return actor_of(make_user("olga"))


@pytest.fixture
def repo(owner):
    return make_repo(owner, "m", kind="model", visibility="public")


def person(name: str):
    return actor_of(User.objects.get(username=name))


def watch(actor, url: str, *names: str, **more) -> Webhook:
    watched = [{"type": "model" if "/" in name else "user", "name": name} for name in names]
    return webhooks.create_webhook(actor, url, watched, **more)


def events() -> list[tuple[str, str]]:
    rows = RepoEvent.objects.order_by("pk").values_list("payload", flat=True)
    return [(row["event"]["action"], row["event"]["scope"]) for row in rows]


def test_a_commit_is_told_signed_and_once(owner, repo) -> None:
    with Receiver() as receiver:
        webhook = watch(owner, receiver.url, "olga/m", secret="s3cret")
        made = commit(owner, repo, add("a.txt"), summary="Add a")
        run_due()
        got = receiver.next()
        said = got.json()
        assert said["event"] == {"action": "update", "scope": "repo.content"}
        assert (said["repo"]["name"], said["repo"]["type"], said["repo"]["private"]) == ("olga/m", "model", False)
        assert said["repo"]["headSha"] == made.oid
        assert said["updatedRefs"] == [{"ref": "refs/heads/main", "oldSha": made.parents[0], "newSha": made.oid}]
        assert said["webhook"] == {"id": webhook.uuid.hex, "version": 3}
        assert got.headers["x-webhook-secret"] == "s3cret"
        stamp, _, signature = got.headers["x-webhook-signature"].removeprefix("t=").partition(",v1=")
        assert signature == hmac.new(b"s3cret", stamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()
        delivery = WebhookDelivery.objects.get()
        assert (delivery.state, delivery.status, delivery.attempts) == ("delivered", 200, 1)
        assert got.headers["x-webhook-delivery"] == delivery.uuid.hex
        # the same work done again sends nothing again
        webhooks.fan_out_event(delivery.event_id)
        webhooks.deliver_webhook(delivery.pk)
        run_due()
        assert receiver.received.empty()
        webhooks.redeliver(owner, webhook, delivery.uuid)
        run_due()
        assert receiver.next().body == got.body


def test_every_kind_of_event_has_its_words(owner, repo) -> None:
    watch(owner, "http://127.0.0.2:9999/", "olga")
    other = make_repo(owner, "other", kind="model")
    refs.create_branch(owner, other, "dev")
    refs.create_tag(owner, other, "v1", "main")
    repos.update_settings(owner, other, visibility="public")
    discussion = discussions.open_discussion(owner, other, "Hello", "text")
    event = discussions.comment(owner, other, discussion, "more")
    discussions.hide_comment(owner, other, discussion, event.uuid)
    pull, _ = pulls.propose_commit(owner, other, "main", [add("x")], summary="Add x")
    pulls.merge_pull_request(owner, other, queries.discussion_of(other, pull.number))
    other = repos.rename_repo(owner, other, "olga", "another")
    repos.delete_repo(owner, other)
    assert events() == [
        ("create", "repo"), ("update", "repo.content"), ("update", "repo.content"), ("update", "repo.config"),
        ("create", "discussion"), ("create", "discussion.comment"), ("update", "discussion.comment"),
        ("create", "discussion"), ("update", "repo.content"), ("update", "repo.content"), ("update", "discussion"),
        ("move", "repo"), ("delete", "repo"),
    ]  # fmt: skip
    told = [row.payload for row in RepoEvent.objects.order_by("pk")]
    assert told[3]["updatedConfig"] == {"private": False}
    assert (told[5]["comment"]["content"], told[6]["comment"]["hidden"], told[6]["comment"]["content"]) == (
        "more",
        True,
        "",
    )
    assert (told[7]["discussion"]["isPullRequest"], told[7]["discussion"]["num"]) == (True, 2)
    assert told[10]["discussion"]["status"] == "merged"
    assert told[11]["movedTo"]["name"] == "olga/another"


def test_nothing_is_written_when_nobody_watches(owner, repo) -> None:
    webhook = watch(owner, "http://127.0.0.2:9999/", "olga/m")
    webhooks.set_enabled(owner, webhook, is_enabled=False)
    commit(owner, repo, add("a.txt"))
    make_repo(owner, "other", kind="model")
    assert (RepoEvent.objects.count(), Task.objects.filter(name="registry.fan_out_event").count()) == (0, 0)


def test_only_what_its_owner_may_see_is_told(owner, repo) -> None:
    make_organization("acme", make_user("ada"), mia=Role.MEMBER)
    secret = make_repo(person("ada"), "secret", kind="model", namespace="acme")
    watch(person("mia"), "http://127.0.0.2:9999/a", "olga")
    webhooks.create_webhook(person("mia"), "http://127.0.0.2:9999/b", [{"type": "org", "name": "acme"}])
    webhooks.create_webhook(
        person("ada"), "http://127.0.0.2:9999/c", [{"type": "org", "name": "acme"}], domains=["repo"]
    )

    def told() -> list[str]:
        for event in RepoEvent.objects.all():
            webhooks.fan_out_event(event.pk)
        urls = sorted(row.webhook.url[-1] for row in WebhookDelivery.objects.select_related("webhook"))
        WebhookDelivery.objects.all().delete()
        RepoEvent.objects.all().delete()
        return urls

    commit(person("ada"), secret, add("a"))
    assert told() == ["c"]
    discussions.open_discussion(person("ada"), secret, "Secret", "text")
    assert told() == []
    grants.grant(person("ada"), secret, person_row("mia"), Level.READ, source="share")
    commit(person("ada"), secret, add("b"))
    discussions.open_discussion(person("ada"), secret, "Shared", "text")
    assert told() == ["b", "b", "c"]
    commit(owner, repo, add("a"))
    assert told() == ["a"]
    repos.update_settings(owner, repo, visibility="private")
    assert told() == []
    with pytest.raises(NotFound):
        watch(person("ada"), "http://127.0.0.2:9999/", "olga/m")


def person_row(name: str) -> User:
    return User.objects.get(username=name)


def test_a_deaf_receiver_is_tried_for_hours_and_then_given_up(owner, repo) -> None:
    with Receiver(answer=lambda _: 500) as receiver:
        webhook = watch(owner, receiver.url, "olga/m")
        commit(owner, repo, add("a.txt"))
        pauses = []
        moved = timedelta(0)
        run_due()
        while (delivery := WebhookDelivery.objects.get()).state == "waiting":
            receiver.next()
            task = Task.objects.get(name="registry.deliver_webhook", state="queued")
            pause = task.run_at - (clock.now() + moved)
            pauses.append(round(pause.total_seconds(), -1))
            moved += pause + timedelta(seconds=1)
            with clock.travel(moved):
                run_due()
        assert pauses == [10, 60, 300, 1800, 7200, 21600]
        assert (delivery.state, delivery.attempts, delivery.status, delivery.error) == (
            "given-up",
            7,
            500,
            "It answered 500.",
        )
        webhook.refresh_from_db()
        assert (webhook.failures_in_a_row, webhook.is_enabled) == (1, True)


def test_a_webhook_that_never_arrives_is_switched_off_and_its_owner_told(owner, repo) -> None:
    webhook = watch(owner, "http://127.0.0.2:9999/", "olga/m")
    Webhook.objects.update(url="http://127.0.0.1:9999/")
    for number in range(12):
        commit(owner, repo, add("a.txt", str(number)))
        run_due()
    webhook.refresh_from_db()
    assert (webhook.is_enabled, webhook.failures_in_a_row) == (False, 10)
    assert RepoEvent.objects.count() == 10
    assert {row.error[:47] for row in WebhookDelivery.objects.all()} == {
        "127.0.0.1 is not on the public internet: this s"
    }
    assert [row.text[:40] for row in Notice.objects.filter(kind="webhook")] == [
        "Your webhook to http://127.0.0.1:9999/ w"
    ]
    assert AuditRecord.objects.filter(tag="registry:webhook:disabled", actor="system:webhooks").count() == 1
    enabled = webhooks.set_enabled(owner, webhook, is_enabled=True)
    assert (enabled.is_enabled, enabled.failures_in_a_row) == (True, 0)


def test_a_redirect_counts_as_a_failure(owner, repo) -> None:
    with Receiver("127.0.0.1") as inside, Receiver(answer=lambda _: (302, {"Location": inside.url})) as receiver:
        watch(owner, receiver.url, "olga/m")
        commit(owner, repo, add("a.txt"))
        run_due()
        receiver.next()
        assert WebhookDelivery.objects.get().status == 302
        assert inside.received.empty()


def test_secrets_are_stored_encrypted(owner, repo, settings) -> None:
    webhook = watch(owner, "http://127.0.0.2:9999/", "olga/m", secret="hunter2-hunter2")
    assert "hunter2" not in json.dumps(list(Webhook.objects.values("sealed_secret", "url")))
    assert "hunter2" not in json.dumps(list(AuditRecord.objects.values_list("detail", flat=True)))
    assert webhooks.secret_of(webhook) == "hunter2-hunter2"
    assert unseal(seal("ä 😀")) == "ä 😀"
    settings.SECRET_KEY = "another " * 8
    with pytest.raises(Unavailable, match="Enter it again"):
        webhooks.secret_of(webhook)
    commit(owner, repo, add("a.txt"))
    run_due()
    assert "SECRET_KEY has changed" in WebhookDelivery.objects.get().error


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://example.org/"},
        {"url": "http://user@example.org/"},
        {"url": "http://example.org:25/"},
        {"domains": ["repo", "money"]},
        {"domains": []},
        {"secret": "x" * 201},
        {"secret": "a\nb"},
        {"watched": []},
        {"watched": [{"type": "space", "name": "olga/m"}]},
    ],
)
def test_what_cannot_work_is_refused(owner, repo, wrong: dict) -> None:
    given = {"url": "https://example.org/", "watched": [{"type": "model", "name": "olga/m"}]} | wrong
    url, watched = given.pop("url"), given.pop("watched")
    with pytest.raises(Invalid):
        webhooks.create_webhook(owner, url, watched, **given)
    assert not Webhook.objects.exists()


def test_webhooks_are_their_owners_alone(owner, repo) -> None:
    webhook = watch(owner, "http://127.0.0.2:9999/", "olga/m")
    make_user("sam")
    for act in (
        lambda: require_webhook(person("sam"), webhook.uuid),
        lambda: webhooks.update_webhook(person("sam"), webhook, url="https://example.org/"),
        lambda: webhooks.delete_webhook(person("sam"), webhook),
    ):
        with pytest.raises(NotFound):
            act()
    assert queries.webhooks_of(person("sam")) == []
    for _ in range(19):
        watch(owner, "http://127.0.0.2:9999/", "olga/m")
    with pytest.raises(Invalid, match="20 webhooks"):
        watch(owner, "http://127.0.0.2:9999/", "olga/m")
    with pytest.raises(Forbidden):
        watch(actor_with_scopes(owner, "repo:write"), "http://127.0.0.2:9999/", "olga/m")


def actor_with_scopes(actor, *scopes: str):
    return replace(actor, scopes=expand_scopes(list(scopes)))


def test_old_events_are_forgotten(owner, repo) -> None:
    watch(owner, "http://127.0.0.2:9999/", "olga/m")
    commit(owner, repo, add("a.txt"))
    webhooks.fan_out_event(RepoEvent.objects.get().pk)
    assert webhooks.forget_old_events() == 0
    with clock.travel(timedelta(days=31)):
        assert webhooks.forget_old_events() == 1
    assert (RepoEvent.objects.count(), WebhookDelivery.objects.count(), Webhook.objects.count()) == (0, 0, 1)
