"""Who may discover, read, write and administer which repository: one condition for lists, details, search and downloads."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import LEVEL_OF_ACTION, LEVEL_OF_ROLE, SCOPE_OF_ACTION, Action, Level, Scope
from accounts.policies import granted, require_namespace
from common.errors import Conflict, Forbidden, NotFound
from registry.errors import AccessNeeded, RepoMoved, RepoNotFound, RevisionNotFound
from registry.models import Collection, Discussion, Preparation, Repo, RepoSource, Version, Webhook
from registry.paths import PULL_PREFIX
from registry.states import DiscussionState, Gate, RepoKind, Visibility

MIRRORING = "mirror"
"""The name of the system's own actor that writes what comes from a source."""


def visible_repos(actor: Actor) -> QuerySet[Repo]:
    """The repositories that the actor may discover, with their namespaces joined."""
    repos = _live_repos()
    if actor.is_system:
        return repos
    public = Q(visibility=Visibility.PUBLIC)
    if not actor.can_scope(Scope.REPO_READ) or not actor.is_authenticated:
        return repos.filter(public)
    return repos.filter(
        public
        | Q(namespace_id__in=actor.namespaces_with_level(Level.DISCOVER))
        | Q(visibility=Visibility.ORGANIZATION, namespace_id__in=actor.member_namespaces())
        | granted(actor, Repo, Level.DISCOVER)
    )


def readable_repos(actor: Actor) -> QuerySet[Repo]:
    """The repositories whose content the actor may read."""
    repos = visible_repos(actor)
    if actor.is_system:
        return repos
    return repos.filter(
        Q(gate=Gate.OPEN, visibility=Visibility.PUBLIC)
        | Q(gate=Gate.OPEN, visibility=Visibility.ORGANIZATION, namespace_id__in=actor.member_namespaces())
        | Q(namespace_id__in=actor.namespaces_with_level(Level.READ))
        | granted(actor, Repo, Level.READ)
    )


def administered_repos(actor: Actor) -> QuerySet[Repo]:
    """The repositories that the actor administers."""
    repos = visible_repos(actor)
    if actor.is_system:
        return repos
    if not actor.is_authenticated or not actor.can_scope(Scope.REPO_WRITE):
        return repos.none()
    return repos.filter(
        Q(namespace_id__in=actor.namespaces_with_level(Level.ADMIN)) | granted(actor, Repo, Level.ADMIN)
    )


def deleted_repos(actor: Actor) -> QuerySet[Repo]:
    """The deleted repositories that the actor administered by a role in their namespace, with the namespaces joined; newest first.
    Half-made ones, whose import has not finished, are nobody's."""
    is_whole = Q(imported=None) | Q(imported__finished_at__isnull=False)
    repos = Repo.objects.filter(is_whole, deleted_at__isnull=False).select_related("namespace")
    repos = repos.order_by("-deleted_at", "-pk")
    if actor.is_system:
        return repos
    if not actor.is_authenticated or not actor.can_scope(Scope.REPO_WRITE):
        return repos.none()
    return repos.filter(namespace_id__in=actor.namespaces_with_level(Level.ADMIN))


def require_repo(actor: Actor, kind: RepoKind | str, namespace: str, name: str, action: Action) -> Repo:
    """The repository, by its names in any case, on which `actor` may do `action`. Raises RepoNotFound when it is not there or
    not visible, RepoMoved when this was its name and it has another now, AccessNeeded when its content takes a grant, Forbidden
    otherwise. One query for what is public or opened by a role; up to four else."""
    named = {"kind": str(kind), "namespace__name__iexact": namespace, "name__iexact": name}
    repo = next(iter(_live_repos().filter(**named)[:1]), None)
    if repo is not None and _is_plainly_visible(actor, repo):
        return _require(actor, repo, action)
    repos = visible_repos(actor)
    repo = repos.filter(**named).first()
    if repo is None:
        moved = repos.filter(
            redirects__kind=str(kind), redirects__namespace__name__iexact=namespace, redirects__name__iexact=name
        ).first()
        if moved is not None:
            raise RepoMoved(
                f"The {kind} {namespace}/{name} is now {moved.namespace.name}/{moved.name}.",
                kind=moved.kind,
                namespace=moved.namespace.name,
                name=moved.name,
            )
        raise RepoNotFound(f"There is no {kind} {namespace}/{name}.")
    return _require(actor, repo, action)


def require_repo_by_uuid(actor: Actor, uuid: UUID | str, action: Action) -> Repo:
    """`require_repo` for a caller that knows the uuid."""
    repo = visible_repos(actor).filter(uuid=uuid).first()
    if repo is None:
        raise RepoNotFound("There is no such repository.")
    return _require(actor, repo, action)


def require_version(actor: Actor, uuid: UUID | str, action: Action) -> Version:
    """The version on whose repository `actor` may do `action`; joined with repository, namespace and commit."""
    version = Version.objects.select_related("repo__namespace", "commit").filter(uuid=uuid).first()
    if version is None:
        raise NotFound("There is no such version.")
    repo = visible_repos(actor).filter(pk=version.repo_id).first()
    if repo is None:
        raise NotFound("There is no such version.")
    version.repo = _require(actor, repo, action)
    return version


def visible_versions(actor: Actor) -> QuerySet[Version]:
    """Versions of the repositories that the actor may discover."""
    return Version.objects.filter(repo__in=visible_repos(actor).values("pk")).select_related(
        "repo__namespace", "commit"
    )


def visible_preparations(actor: Actor) -> QuerySet[Preparation]:
    """Preparations of the repositories to which the actor may write: their addresses are nobody else's matter."""
    rows = Preparation.objects.filter(repo__in=visible_repos(actor).values("pk")).select_related("repo__namespace")
    if actor.is_system:
        return rows
    if not actor.is_authenticated or not actor.can_scope(Scope.REPO_WRITE):
        return rows.none()
    granted_repos = Repo.objects.filter(granted(actor, Repo, Level.WRITE)).values("pk")
    return rows.filter(Q(repo__namespace_id__in=actor.namespaces_with_level(Level.WRITE)) | Q(repo__in=granted_repos))


def require_participant(actor: Actor, repo: Repo) -> Repo:
    """The repository, whose content `actor` may read, for taking part in what people say and propose there. Takes a person
    and the scope to write. Raises Unauthenticated, AccessNeeded, Forbidden, RepoNotFound."""
    actor.require_authenticated()
    actor.require_scope(Scope.REPO_WRITE)
    if actor.user_id is None:
        raise Forbidden("Only a person can take part in discussions.")
    return require_repo_by_uuid(actor, repo.uuid, Action.REPO_READ)


def require_branch_write(actor: Actor, repo: Repo, branch: str) -> Repo:
    """The repository, on whose branch `actor` may commit: who may write, and on the branch of a pull request also who opened it
    and may still read. Raises RevisionNotFound for a pull request that is not there, Conflict for one that is over."""
    if not branch.startswith("refs/"):
        repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
        require_no_source(actor, repo)
        return repo
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_READ)
    pull = Discussion.objects.filter(repo=repo, branch__name=branch).first()
    if pull is None:
        raise RevisionNotFound(f"Invalid rev id: {branch[:100]}", revision=branch[:100])
    if actor.user_id is not None and pull.author_id == actor.user_id:
        repo = require_participant(actor, repo)
    else:
        repo = _require(actor, repo, Action.REPO_WRITE)
    if pull.state not in {DiscussionState.DRAFT, DiscussionState.OPEN}:
        raise Conflict(f"Pull request {pull.number} is {pull.state}: nothing can be added to it.", state=pull.state)
    return repo


def require_no_source(actor: Actor, repo: Repo) -> None:
    """Raises Conflict, for everybody but the mirroring itself, while the repository takes its branches and tags from elsewhere:
    what somebody did to them would be undone by the next look at the source. One query."""
    if actor.system_name == MIRRORING:
        return
    source = RepoSource.objects.filter(repo=repo).first()
    if source is None or not source.is_in_charge:
        return
    if source.is_mirror:
        raise Conflict(
            f"This repository mirrors {source.address}: what changes there changes here. Commit there, or stop mirroring in "
            "the settings.",
            code="mirror",
        )
    raise Conflict(
        f"This repository is being imported from {source.address}: wait until it is done, or give the import up.",
        code="importing",
    )


def require_contributor(actor: Actor, repo: Repo) -> Repo:
    """The repository, which the caller has obtained, for whoever may send it files: who may write, and who may propose changes."""
    return repo if can(actor, repo, Action.REPO_WRITE) else require_participant(actor, repo)


def is_pull_branch(name: str) -> bool:
    """Whether a branch of this name belongs to a pull request."""
    return name.startswith(PULL_PREFIX)


def visible_collections(actor: Actor) -> QuerySet[Collection]:
    """Public collections, and the private ones of the namespaces where the actor has a role."""
    collections = Collection.objects.select_related("namespace")
    if actor.is_system:
        return collections
    if not actor.can_scope(Scope.REPO_READ) or not actor.is_authenticated:
        return collections.filter(is_private=False)
    return collections.filter(Q(is_private=False) | Q(namespace_id__in=actor.member_namespaces()))


def require_collection(actor: Actor, uuid: UUID | str, action: Action | None = None) -> Collection:
    """A collection that `actor` may see, and may change when `action` (on its namespace) is given. Raises NotFound, Forbidden."""
    collection = visible_collections(actor).filter(uuid=uuid).first()
    if collection is None:
        raise NotFound("There is no such collection.")
    if action is not None:
        require_namespace(actor, collection.namespace.name, action)
    return collection


def visible_webhooks(actor: Actor) -> QuerySet[Webhook]:
    """The actor's own webhooks; nobody sees another's."""
    return Webhook.objects.filter(user_id=actor.person_id)


def require_webhook(actor: Actor, uuid: UUID | str) -> Webhook:
    """A webhook of the actor's own. Raises Unauthenticated, Forbidden, NotFound."""
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    webhook = visible_webhooks(actor).filter(uuid=uuid).first()
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


def can(actor: Actor, repo: Repo, action: Action) -> bool:
    """Whether `actor` may do `action` on a repository it can see. At most one query."""
    needed = LEVEL_OF_ACTION[action]
    if actor.is_system:
        return True
    if needed <= _level_of_visibility(actor, repo):
        return True
    if not actor.can_scope(SCOPE_OF_ACTION[action]):
        return False
    role = actor.role_in(repo.namespace_id)
    by_role = LEVEL_OF_ROLE[role] if role else None
    if by_role is not None and by_role >= needed:
        return True
    return Repo.objects.filter(granted(actor, Repo, needed), pk=repo.pk).exists()


def _live_repos() -> QuerySet[Repo]:
    return Repo.objects.filter(deleted_at__isnull=True).select_related("namespace")


def _is_plainly_visible(actor: Actor, repo: Repo) -> bool:
    """Whether a repository is among `visible_repos` for what its own row and the actor's roles say. False leaves it open: a grant may
    show it, and that takes a query."""
    if actor.is_system or repo.visibility == Visibility.PUBLIC:
        return True
    if not actor.is_authenticated or not actor.can_scope(Scope.REPO_READ):
        return False
    role = actor.role_in(repo.namespace_id)
    return role is not None and (LEVEL_OF_ROLE[role] is not None or repo.visibility == Visibility.ORGANIZATION)


def _level_of_visibility(actor: Actor, repo: Repo) -> Level | int:
    """What the repository's own settings open to this actor, without role or grant."""
    is_open = repo.visibility == Visibility.PUBLIC or (
        repo.visibility == Visibility.ORGANIZATION and actor.role_in(repo.namespace_id) is not None
    )
    if not is_open:
        return 0
    return Level.READ if repo.gate == Gate.OPEN else Level.DISCOVER


def _require(actor: Actor, repo: Repo, action: Action) -> Repo:
    if can(actor, repo, action):
        return repo
    if action == Action.REPO_READ:
        raise AccessNeeded(
            f"Access to {repo.kind} {repo.namespace.name}/{repo.name} is restricted and you are not in the authorized list. "
            "Ask for access or buy it on its page.",
            repo=str(repo.uuid),
        )
    actor.require_authenticated()
    if not actor.can_scope(SCOPE_OF_ACTION[action]):
        actor.require_scope(SCOPE_OF_ACTION[action])
    raise Forbidden(f"You may not do this to {repo.namespace.name}/{repo.name}.", action=str(action))
