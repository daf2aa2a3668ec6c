"""Branches and tags."""

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden
from registry.errors import RevisionNotFound
from registry.models import Branch, Repo, Tag, Version, VersionAlias
from registry.paths import check_ref, is_alias
from registry.policies import require_no_source, require_repo_by_uuid
from registry.queries import resolve_revision
from registry.services import events
from registry.services.holdings import keep_commits

KEPT_PREFIX = "kept/"
"""Tags below it name the former heads of branches that a mirror's source has rewritten; who may write may remove them."""


def create_branch(actor: Actor, repo: Repo, name: str, revision: str | None = None) -> Branch:
    """A branch at `revision` (default: the head of the default branch). Raises Conflict when it exists, RevisionNotFound."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    require_no_source(actor, repo)
    check_ref(name)
    _refuse_folder(Branch, repo, name)
    commit = resolve_revision(repo, revision or f"refs/heads/{repo.default_branch}")
    try:
        with transaction.atomic():
            _refuse_alias(repo, name)
            keep_commits(repo, [commit])
            branch = Branch.objects.create(repo=repo, name=name, head=commit)
            _record(actor, repo, "registry:branch:created", name, commit.oid)
            events.announce_ref(repo, f"refs/heads/{name}", None, commit.oid)
    except IntegrityError as error:
        raise Conflict(f"Reference refs/heads/{name} already exists", code="reference_exists") from error
    return branch


def delete_branch(actor: Actor, repo: Repo, name: str) -> None:
    """Remove a branch; its commits stay reachable by id. The default branch can't be removed (Forbidden)."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    require_no_source(actor, repo)
    if name.startswith("refs/"):
        raise RevisionNotFound(f"Invalid rev id: {name}")
    if name == repo.default_branch:
        raise Forbidden(f"Cannot delete refs/heads/{name}")
    with transaction.atomic():
        branch = Branch.objects.select_related("head").filter(repo=repo, name=name).first()
        if branch is None:
            raise RevisionNotFound(f"Invalid rev id: refs/heads/{name}")
        branch.delete()
        _record(actor, repo, "registry:branch:deleted", name, branch.head.oid)
        events.announce_ref(repo, f"refs/heads/{name}", branch.head.oid, None)


def create_tag(
    actor: Actor, repo: Repo, name: str, revision: str, *, message: str = "", oid: str = "", raw: bytes = b""
) -> Tag:
    """A tag at `revision`; `oid` and `raw` are git's object of an annotated one. Raises Conflict when it exists, Invalid,
    RevisionNotFound."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    require_no_source(actor, repo)
    check_ref(name)
    _refuse_folder(Tag, repo, name)
    commit = resolve_revision(repo, revision)
    try:
        with transaction.atomic():
            _refuse_alias(repo, name)
            keep_commits(repo, [commit])
            tag = Tag.objects.create(
                repo=repo,
                name=name,
                commit=commit,
                message=message.replace("\x00", ""),
                oid=oid,
                raw=raw,
                created_at=now(),
            )
            _record(actor, repo, "registry:tag:created", name, commit.oid)
            events.announce_ref(repo, f"refs/tags/{name}", None, commit.oid)
    except IntegrityError as error:
        raise Conflict(f"Reference refs/tags/{name} already exists", code="reference_exists") from error
    return tag


def delete_tag(actor: Actor, repo: Repo, name: str) -> None:
    """Remove a tag. The tag of a published version stays (Forbidden): versions are immutable."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    if not name.startswith(KEPT_PREFIX):
        require_no_source(actor, repo)
    if Version.objects.filter(repo=repo, name=name).exists():
        raise Forbidden(f"{name} is a published version; its tag can't be removed.")
    with transaction.atomic():
        tag = Tag.objects.select_related("commit").filter(repo=repo, name=name).first()
        if tag is None:
            raise RevisionNotFound(f"Invalid rev id: refs/tags/{name}")
        tag.delete()
        _record(actor, repo, "registry:tag:deleted", name, tag.commit.oid)
        events.announce_ref(repo, f"refs/tags/{name}", tag.commit.oid, None)


def _refuse_folder(kind: type[Branch] | type[Tag], repo: Repo, name: str) -> None:
    """Git keeps refs as files: with `a` there can be no `a/b`, and nobody could clone both. Raises Conflict."""
    parts = name.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    clash = kind.objects.filter(Q(name__in=above) | Q(name__startswith=f"{name}/"), repo=repo).first()
    if clash is not None:
        raise Conflict(
            f"{name} can't be there together with {clash.name}: to git, one is a folder and the other a file.",
            code="reference_exists",
        )


def _refuse_alias(repo: Repo, name: str) -> None:
    """An alias of the name would never be reached again. In the caller's transaction, which holds the repository's row from here on:
    no two tables can be unique together. Raises Conflict."""
    if is_alias(name):
        Repo.objects.select_for_update(of=("self",), no_key=True).only("pk").get(pk=repo.pk)
        if VersionAlias.objects.filter(repo=repo, name=name).exists():
            raise Conflict(
                f"{name} is an alias of a version: remove the alias first, or take another name.",
                code="reference_exists",
            )


def _record(actor: Actor, repo: Repo, deed: str, name: str, oid: str) -> None:
    audit.record(actor, deed, "repo", repo.uuid, namespace_id=repo.namespace_id, name=name, commit=oid)
