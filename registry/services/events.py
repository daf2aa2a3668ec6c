"""What happens to repositories, and in the trade of namespaces, told to those who watch: written down with the fact, sent later."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Q

from common.clock import hub_time, now
from registry.models import Discussion, DiscussionEvent, Repo, RepoEvent, WebhookWatch
from registry.states import EventKind
from work.door import enqueue

if TYPE_CHECKING:
    from accounts.models import Namespace, User
    from accounts.permissions import Action

REPO, DISCUSSION, MARKET = "repo", "discussion", "market"
DOMAINS = (REPO, DISCUSSION)
"""What a webhook hears of unless it says otherwise."""
ALL_DOMAINS = (*DOMAINS, MARKET)
_TEXT_LIMIT = 10_000
"""Characters of a comment that are sent along."""


def announce(repo: Repo, action: str, scope: str, *, domain: str = REPO, head: str = "", **more: Any) -> None:
    """Note that `action` (create, update, delete, move) happened to a part of `repo` (`scope`: repo, repo.content, repo.config,
    discussion, discussion.comment), in the caller's transaction. `head` is a new commit id, `more` are further fields of the
    message, in the words of the Hugging Face protocol. One query, and a row only if somebody watches."""
    watched = Q(repo_id=repo.pk) | Q(namespace_id=repo.namespace_id)
    if not WebhookWatch.objects.filter(watched, webhook__is_enabled=True).exists():
        return
    payload = {
        "event": {"action": action, "scope": scope},
        "repo": _repo(repo) | ({"headSha": head} if head else {}),
        "updatedAt": hub_time(now()),
        **more,
    }
    event = RepoEvent.objects.create(repo=repo, domain=domain, payload=payload)
    enqueue("registry.fan_out_event", event.pk, key=f"event:{event.pk}")


def announce_trade(namespace: "Namespace", name: str, needs: "Action", data: dict[str, Any]) -> None:
    """Note that something happened in the trade of a namespace, in the caller's transaction: `name` is `thing.deed`, `data` what is told.
    Only webhooks whose owner may do `needs` in the namespace at the time of sending hear of it. One query, and a row only if somebody
    watches."""
    if not WebhookWatch.objects.filter(namespace_id=namespace.pk, webhook__is_enabled=True).exists():
        return
    thing, _, deed = name.partition(".")
    payload = {
        "event": {"action": deed, "scope": f"market.{thing}", "name": name},
        "namespace": {"id": namespace.uuid.hex, "name": namespace.name},
        "data": data,
        "updatedAt": hub_time(now()),
    }
    event = RepoEvent.objects.create(namespace_id=namespace.pk, needs=str(needs), domain=MARKET, payload=payload)
    enqueue("registry.fan_out_event", event.pk, key=f"event:{event.pk}")


def announce_ref(repo: Repo, ref: str, before: str | None, after: str | None) -> None:
    """`announce` that a branch or tag came, moved or went: `ref` is its full name, the others are commit ids."""
    moved = {"ref": ref, "oldSha": before, "newSha": after}
    announce(repo, "update", "repo.content", head=after or "", updatedRefs=[moved])


def announce_discussion(repo: Repo, discussion: Discussion, action: str, event: DiscussionEvent | None = None) -> None:
    """`announce` something about a discussion; with `event`, a comment in it."""
    more: dict[str, Any] = {"discussion": _discussion(repo, discussion)}
    is_comment = event is not None and event.kind == EventKind.COMMENT
    if event is not None and is_comment:
        more["comment"] = {
            "id": event.uuid.hex,
            "hidden": event.hidden_at is not None,
            "content": event.text[:_TEXT_LIMIT],
            "author": _person(event.author),
        }
    scope = "discussion.comment" if is_comment else "discussion"
    announce(repo, action, scope, domain=DISCUSSION, **more)


def _addresses(repo: Repo, *parts: str) -> dict[str, str]:
    """Where people and programs find the repository, or something below it."""
    name, rest = f"{repo.namespace.name}/{repo.name}", "".join(f"/{part}" for part in parts)
    prefix = "" if repo.kind == "model" else f"{repo.kind}s/"
    return {
        "web": f"{settings.PUBLIC_URL}/{prefix}{name}{rest}",
        "api": f"{settings.PUBLIC_URL}/api/{repo.kind}s/{name}{rest}",
    }


def _repo(repo: Repo) -> dict[str, Any]:
    return {
        "type": repo.kind,
        "name": f"{repo.namespace.name}/{repo.name}",
        "id": repo.uuid.hex,
        "private": repo.visibility != "public",
        "url": _addresses(repo),
        "owner": {"id": repo.namespace.uuid.hex},
    }


def _discussion(repo: Repo, discussion: Discussion) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": discussion.uuid.hex,
        "num": discussion.number,
        "title": discussion.title,
        "status": discussion.state,
        "author": _person(discussion.author),
        "isPullRequest": discussion.is_pull_request,
        "url": _addresses(repo, "discussions", str(discussion.number)),
    }
    if discussion.is_pull_request:
        told["changes"] = {"base": f"refs/heads/{discussion.target}"}
        if discussion.merge_commit is not None:
            told["changes"]["mergeCommitId"] = discussion.merge_commit.oid
    return told


def _person(user: "User | None") -> dict[str, str]:
    return {"id": user.uuid.hex, "name": user.username} if user else {}
