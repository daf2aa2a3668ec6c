"""Webhooks through the client, and one that really arrives."""

import hashlib
import hmac

import pytest
from huggingface_hub import HfApi, WebhookWatchedItem
from huggingface_hub.errors import HfHubHTTPError

from tests.spaces.hf_client import Hub
from tests.support.receiver import Receiver


def status_of(act) -> int:
    with pytest.raises(HfHubHTTPError) as error:
        act()
    return error.value.response.status_code


@pytest.fixture
def clean(hub: Hub):
    """No webhooks before and none after."""
    yield
    for webhook in hub.api.list_webhooks():
        hub.api.delete_webhook(webhook.id)


def test_webhooks_are_made_changed_and_removed(hub: Hub, stranger: Hub, repo: str, private_repo: str, clean) -> None:
    watched = [{"type": "model", "name": repo}, WebhookWatchedItem(type="user", name=hub.user)]
    made = hub.api.create_webhook(url="https://example.org/hook", watched=watched, secret="my-secret")
    assert (made.url, made.domains, made.secret, made.disabled) == (
        "https://example.org/hook",
        ["discussion", "repo"],
        "my-secret",
        False,
    )
    assert {(item.type, item.name) for item in made.watched} == {("model", repo), ("user", hub.user)}
    assert hub.api.get_webhook(made.id) == made
    assert hub.api.list_webhooks() == [made]
    changed = hub.api.update_webhook(made.id, url="https://example.org/other", domains=["repo"])
    assert (changed.url, changed.domains, changed.secret, changed.watched) == (
        "https://example.org/other", ["repo"], "my-secret", made.watched,
    )  # fmt: skip
    changed = hub.api.update_webhook(made.id, watched=[{"type": "dataset", "name": private_repo}], secret="other")
    assert ([(item.type, item.name) for item in changed.watched], changed.secret) == (
        [("dataset", private_repo)],
        "other",
    )
    assert hub.api.disable_webhook(made.id).disabled is True
    assert hub.api.enable_webhook(made.id).disabled is False
    for act in (
        lambda: stranger.api.get_webhook(made.id),
        lambda: stranger.api.update_webhook(made.id, url="https://example.org/"),
        lambda: stranger.api.disable_webhook(made.id),
        lambda: stranger.api.delete_webhook(made.id),
        lambda: stranger.api.create_webhook(
            url="https://example.org/", watched=[{"type": "dataset", "name": private_repo}]
        ),
        lambda: hub.api.get_webhook("nonsense"),
    ):
        assert status_of(act) == 404
    assert stranger.api.list_webhooks() == []
    assert status_of(lambda: HfApi(endpoint=hub.site.url, token=False).list_webhooks()) == 401
    assert hub.request("GET", "/api/settings/webhooks", token=hub.site.token(hub.user, ("repo:write",))).status == 403
    hub.api.delete_webhook(made.id)
    assert hub.api.list_webhooks() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "https://example.org/"},
        {"url": "https://example.org/", "watched": []},
        {"url": "https://example.org/", "watched": "x"},
        {"url": "https://example.org/", "watched": [{"type": "model"}]},
        {"url": "https://example.org/", "watched": [{"type": "space", "name": "a/b"}]},
        {"url": "file:///etc/passwd", "watched": [{"type": "user", "name": "hf-alice"}]},
        {"url": "https://a:b@example.org/", "watched": [{"type": "user", "name": "hf-alice"}]},
        {"url": "https://example.org/", "watched": [{"type": "user", "name": "hf-alice"}], "domains": ["x"]},
        {"url": "https://example.org/", "watched": [{"type": "user", "name": "hf-alice"}], "domains": "repo"},
        {"url": "https://example.org/", "watched": [{"type": "user", "name": "hf-alice"}], "secret": 7},
        {"jobSourceId": "x", "watched": [{"type": "user", "name": "hf-alice"}]},
    ],
)
def test_what_cannot_work_is_refused(hub: Hub, body: dict) -> None:
    answer = hub.request("POST", "/api/settings/webhooks", body)
    assert answer.status == 400
    assert len(answer.json()["error"]) > 10
    assert hub.api.list_webhooks() == []


def test_a_discussion_arrives_elsewhere(hub: Hub, stranger: Hub, repo: str, clean) -> None:
    with Receiver() as receiver:
        webhook = hub.api.create_webhook(
            url=receiver.url, watched=[{"type": "model", "name": repo}], domains=["discussion"], secret="s3cret"
        )
        stranger.api.upload_file(
            path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo, create_pr=True, commit_message="An x"
        )
        got = receiver.next(60)
        said = got.json()
        assert (said["event"], said["discussion"]["title"]) == ({"action": "create", "scope": "discussion"}, "An x")
        assert said["repo"]["url"]["api"].endswith(f"/api/models/{repo}")
        assert (said["webhook"]["id"], got.headers["x-webhook-secret"]) == (webhook.id, "s3cret")
        stamp, _, signature = got.headers["x-webhook-signature"].removeprefix("t=").partition(",v1=")
        assert signature == hmac.new(b"s3cret", stamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()


def test_nothing_is_sent_into_private_networks(hub: Hub, repo: str, clean) -> None:
    """The receiver of the test before lives in a network that this site's operator has opened; this one does not."""
    with Receiver("127.0.0.1") as inside, Receiver() as outside:
        hub.api.create_webhook(
            url=inside.url.replace("127.0.0.1", "localhost"), watched=[{"type": "model", "name": repo}]
        )
        hub.api.create_webhook(url=inside.url, watched=[{"type": "model", "name": repo}])
        hub.api.create_webhook(url=outside.url, watched=[{"type": "model", "name": repo}])
        hub.api.create_branch(repo, branch="x")
        assert outside.next(60).json()["updatedRefs"][0]["ref"] == "refs/heads/x"
        assert inside.received.empty()
