"""What is seen of likes, discussions, collections, access requests and webhooks once inside."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.cache import cache
from django.db.models import Count, Q

from accounts.actors import Actor
from common.errors import NotFound
from common.pagination import Page, keyset_page
from registry.models import (
    AccessRequest,
    Collection,
    CollectionItem,
    Discussion,
    DiscussionEvent,
    Repo,
    RepoLike,
    RepoTag,
    Webhook,
    WebhookDelivery,
)
from registry.policies import visible_collections, visible_repos, visible_webhooks
from registry.states import AccessState, DiscussionState, RepoKind, Visibility

NEWEST = ("-created_at", "-pk")
DISCUSSIONS_PER_PAGE = 50
EVENTS_LIMIT = 5000
"""Events of one discussion that are shown."""
_TAGS_LIMIT = 2000
_TAGS_KEPT_S = 600
COLLECTION_SORTS = {"lastModified": ("-updated_at", "-pk"), "position": ("position", "-pk")}


# access to gated repositories


def access_requests(
    repo: Repo, state: AccessState | str, *, cursor: str | None = None, limit: int = 100
) -> Page[AccessRequest]:
    """The requests in one state, newest first, with their holders."""
    requests = AccessRequest.objects.filter(repo=repo, state=state).select_related(
        "user", "organization__namespace", "team__organization__namespace", "asked_by"
    )
    return keyset_page(requests, order=NEWEST, cursor=cursor, limit=limit)


def own_access_requests(actor: Actor, repo: Repo) -> list[AccessRequest]:
    """What the actor, or an organisation or team of theirs, has asked of this repository, newest first. One query."""
    if actor.user_id is None:
        return []
    theirs = (
        Q(user_id=actor.user_id)
        | Q(organization__namespace__in=actor.member_namespaces())
        | Q(team__memberships__user_id=actor.user_id)
    )
    requests = AccessRequest.objects.filter(theirs, repo=repo).select_related(
        "user", "organization__namespace", "team__organization__namespace"
    )
    return list(requests.distinct().order_by(*NEWEST))


# likes


def has_liked(actor: Actor, repo: Repo) -> bool:
    """Whether the actor likes it. One query."""
    return actor.user_id is not None and RepoLike.objects.filter(repo=repo, user_id=actor.user_id).exists()


def likers_of(repo: Repo, *, cursor: str | None = None, limit: int = 100) -> Page[RepoLike]:
    """Who likes it, newest first, with the people."""
    likes = RepoLike.objects.filter(repo=repo, user__is_active=True).select_related("user")
    return keyset_page(likes, order=NEWEST, cursor=cursor, limit=limit)


def likes_of(actor: Actor, user_id: int, *, cursor: str | None = None, limit: int = 100) -> Page[RepoLike]:
    """What somebody likes, newest first, as far as `actor` may see it."""
    likes = RepoLike.objects.filter(user_id=user_id, repo__in=visible_repos(actor).order_by().values("pk"))
    return keyset_page(likes.select_related("repo__namespace"), order=NEWEST, cursor=cursor, limit=limit)


# discussions


def page_of_discussions(
    repo: Repo, *, kind: str = "all", state: str = "all", author: str = "", page: int = 0
) -> tuple[list[Discussion], int]:
    """Page `page` (from 0) of the discussions, the highest number first, and how many match in all. `kind`: all, discussion or
    pull_request; `state`: all, open (drafts too) or closed (merged ones too)."""
    found = Discussion.objects.filter(repo=repo)
    if kind != "all":
        found = found.filter(branch__isnull=kind == "discussion")
    if state != "all":
        is_open = Q(state__in=[DiscussionState.OPEN, DiscussionState.DRAFT])
        found = found.filter(is_open if state == "open" else ~is_open)
    if author:
        found = found.filter(author__username__iexact=author)
    start = page * DISCUSSIONS_PER_PAGE
    rows = found.select_related("author").order_by("-number")[start : start + DISCUSSIONS_PER_PAGE]
    return list(rows), found.count()


def discussion_of(repo: Repo, number: int) -> Discussion:
    """A discussion by its number, with what a pull request refers to. Raises NotFound."""
    discussion = (
        Discussion.objects.select_related("author", "branch__head__tree", "base__tree", "merge_commit")
        .filter(repo=repo, number=number)
        .first()
    )
    if discussion is None:
        raise NotFound(f"There is no discussion {number}.")
    discussion.repo = repo
    return discussion


def events_of(discussion: Discussion) -> list[DiscussionEvent]:
    """What happened, in order, with the people."""
    return list(
        DiscussionEvent.objects.filter(discussion=discussion).select_related("author").order_by("pk")[:EVENTS_LIMIT]
    )


# collections


def page_of_collections(
    actor: Actor,
    *,
    owners: Iterable[str] = (),
    repos: Iterable[tuple[str, str, str]] = (),
    sort: str = "lastModified",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Collection]:
    """Collections that the actor may see, with the first of their visible items. `owners`: names of namespaces; `repos`: kind,
    namespace and name of what they must hold, one of them at least."""
    found = visible_collections(actor)
    names = list(owners)
    if names:
        wanted = Q()
        for name in names:
            wanted |= Q(namespace__name__iexact=name)
        found = found.filter(wanted)
    held = Q()
    for kind, namespace, name in repos:
        held |= Q(
            items__repo__kind=kind, items__repo__namespace__name__iexact=namespace, items__repo__name__iexact=name
        )
    if held:
        visible = visible_repos(actor).order_by().values("pk")
        found = found.filter(held, items__repo__in=visible).distinct()
    page = keyset_page(found, order=COLLECTION_SORTS[sort], cursor=cursor, limit=limit)
    attach_items(actor, page.items)
    return page


def attach_items(actor: Actor, collections: Iterable[Collection]) -> None:
    """Load the items that `actor` may see, in their order, as `collection.visible_items`. Two queries."""
    rows = list(collections)
    visible = visible_repos(actor).filter(pk__in=CollectionItem.objects.filter(collection__in=rows).values("repo"))
    repos = {repo.pk: repo for repo in visible}
    by_collection: dict[int, list[CollectionItem]] = defaultdict(list)
    for item in CollectionItem.objects.filter(collection__in=rows, repo__in=repos).order_by("position", "pk"):
        item.repo = repos[item.repo_id]
        by_collection[item.collection_id].append(item)
    for collection in rows:
        collection.visible_items = by_collection[collection.pk]  # type: ignore[attr-defined]


# webhooks


def webhooks_of(actor: Actor) -> list[Webhook]:
    """The actor's webhooks, newest first, with what they watch."""
    return list(
        visible_webhooks(actor)
        .prefetch_related("watches__repo__namespace", "watches__namespace")
        .order_by("-created_at", "-pk")
    )


def deliveries_of(webhook: Webhook, *, cursor: str | None = None, limit: int = 50) -> Page[WebhookDelivery]:
    """What was sent, or is on its way, newest first."""
    deliveries = WebhookDelivery.objects.filter(webhook=webhook).select_related("event")
    return keyset_page(deliveries, order=NEWEST, cursor=cursor, limit=limit)


# people and tags


@dataclass(frozen=True)
class Holdings:
    """How much of what somebody has, as far as the asker may see it."""

    models: int
    datasets: int
    discussions: int
    likes: int


def holdings_of(actor: Actor, namespace_id: int, user_id: int | None) -> Holdings:
    """Counts for the overview of a person or an organisation (`user_id` None). Three queries."""
    repos = visible_repos(actor).filter(namespace_id=namespace_id)
    kinds = dict(repos.order_by().values_list("kind").annotate(count=Count("pk")))
    if user_id is None:
        return Holdings(kinds.get("model", 0), kinds.get("dataset", 0), 0, 0)
    public = Q(repo__visibility=Visibility.PUBLIC, repo__deleted_at__isnull=True)
    return Holdings(
        kinds.get("model", 0),
        kinds.get("dataset", 0),
        Discussion.objects.filter(public, author_id=user_id).count(),
        RepoLike.objects.filter(public, user_id=user_id).count(),
    )


def children_of(repos: Iterable[Repo]) -> dict[int, int]:
    """How many public models name each of these as what they were made of, by primary key; one query."""
    by_tag = {f"base_model:{repo.namespace.name}/{repo.name}": repo.pk for repo in repos}
    rows = RepoTag.objects.filter(
        tag__in=by_tag, repo__kind=RepoKind.MODEL, repo__visibility=Visibility.PUBLIC, repo__deleted_at__isnull=True
    )
    return {by_tag[tag]: count for tag, count in rows.values_list("tag").annotate(count=Count("pk")).order_by()}


def public_tags(kind: str) -> list[str]:
    """The tags that public repositories of a kind carry, the most frequent ones, at most ten minutes old."""
    key = f"tags:{kind}"
    found: list[str] | None = cache.get(key)
    if found is None:
        rows = RepoTag.objects.filter(
            repo__kind=kind, repo__visibility=Visibility.PUBLIC, repo__deleted_at__isnull=True
        )
        counted = rows.values_list("tag").annotate(count=Count("pk")).order_by("-count", "tag")
        found = [tag for tag, _ in counted[:_TAGS_LIMIT]]
        cache.set(key, found, _TAGS_KEPT_S)
    return found
