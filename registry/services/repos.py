"""Creating, changing, renaming and deleting repositories."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet, Sum

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.clock import now
from common.errors import Gone, Invalid, NotFound
from common.ids import is_name
from registry.errors import RepoExists
from registry.models import Repo, RepoBlob, RepoRedirect
from registry.policies import deleted_repos, require_repo_by_uuid, visible_repos
from registry.services import events, quotas, storage
from registry.services.commits import first_commit
from registry.states import Gate, RepoKind, Visibility

_LARGE_PATTERNS = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lz4 *.mlmodel *.model *.msgpack *.npy *.npz *.onnx *.ot "
    "*.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite *.tgz *.wasm *.xz "
    "*.zip *.zst *tfevents* *.wav *.mp3 *.flac *.mp4"
).split()
GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LARGE_PATTERNS).encode()
"""What a new repository marks as large files, so that git stores pointers to them."""
TREND_OF_DOWNLOAD = 100


def create_repo(
    actor: Actor,
    kind: RepoKind | str,
    namespace_name: str,
    name: str,
    *,
    visibility: Visibility | str = Visibility.PRIVATE,
    description: str = "",
) -> Repo:
    """Make a repository with its first commit on `main`. Needs the right to publish in the namespace. Raises Invalid; RepoExists,
    which carries the present one, when the name is taken."""
    namespace = require_namespace(actor, namespace_name, Action.NAMESPACE_PUBLISH)
    kind, visibility = _choice(RepoKind, kind, "kind"), _choice(Visibility, visibility, "visibility")
    check_repo_name(name)
    if visibility == Visibility.ORGANIZATION and not namespace.is_organization:
        raise Invalid(
            "Only an organisation can share with its members.", fields={"visibility": "not in a person's namespace"}
        )
    attributes = storage.store_blob([GITATTRIBUTES])
    storage.git_oid_of(attributes)
    try:
        with transaction.atomic():
            repo = Repo.objects.create(
                namespace=namespace,
                kind=kind,
                name=name,
                visibility=visibility,
                description=description.strip()[:400],
                created_by_id=actor.user_id,
            )
            # the name leads here now, and no longer to a repository that once had it
            redirects_from(namespace.pk, kind, name).delete()
            first_commit(actor, repo, [(".gitattributes", attributes)], "initial commit")
            audit.record(
                actor,
                "registry:repo:created",
                "repo",
                repo.uuid,
                namespace_id=namespace.pk,
                kind=kind,
                name=name,
                visibility=visibility,
            )
            events.announce(repo, "create", "repo")
    except IntegrityError as error:
        raise _exists(actor, kind, namespace.name, name) from error
    return repo


def update_settings(
    actor: Actor,
    repo: Repo,
    *,
    visibility: Visibility | str | None = None,
    gate: Gate | str | None = None,
    description: str | None = None,
) -> Repo:
    """Change what is given. Needs the right to administer. Rights that follow from it end or begin with the commit of this
    transaction. Raises Invalid."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    changes: dict[str, str] = {}
    if visibility is not None:
        changes["visibility"] = _choice(Visibility, visibility, "visibility")
        if visibility == Visibility.ORGANIZATION and not repo.namespace.is_organization:
            raise Invalid(
                "Only an organisation can share with its members.", fields={"visibility": "not in a person's namespace"}
            )
    if gate is not None:
        changes["gate"] = _choice(Gate, gate, "gate")
    if description is not None:
        changes["description"] = description.strip()[:400]
    before = {field: getattr(repo, field) for field in changes}
    changed = {field: value for field, value in changes.items() if before[field] != value}
    if changed:
        with transaction.atomic():
            Repo.objects.filter(pk=repo.pk).update(**changed, updated_at=now())
            audit.record(
                actor,
                "registry:repo:changed",
                "repo",
                repo.uuid,
                namespace_id=repo.namespace_id,
                before={field: before[field] for field in changed},
                after=changed,
            )
            bump_access_version()
            for field, value in changed.items():
                setattr(repo, field, value)
            events.announce(repo, "update", "repo.config", updatedConfig=_told(repo, changed))
    return repo


def rename_repo(actor: Actor, repo: Repo, namespace_name: str, name: str) -> Repo:
    """Give the repository another name, or another namespace where the actor may publish. The old name leads to it until somebody
    takes it anew. Raises Invalid, RepoExists."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    namespace = require_namespace(actor, namespace_name, Action.NAMESPACE_PUBLISH)
    check_repo_name(name)
    if repo.visibility == Visibility.ORGANIZATION and not namespace.is_organization:
        raise Invalid("It is shared with an organisation: make it private first, then move it to a person.")
    try:
        with transaction.atomic():
            if namespace.pk != repo.namespace_id:
                held = RepoBlob.objects.filter(repo=repo).values_list("blob_id", flat=True)
                quotas.require_room_for(namespace.pk, held)
            Repo.objects.filter(pk=repo.pk).update(namespace=namespace, name=name, updated_at=now())
            redirects_from(namespace.pk, repo.kind, name).delete()
            if (namespace.pk, name.lower()) != (repo.namespace_id, repo.name.lower()):
                RepoRedirect.objects.create(repo=repo, namespace_id=repo.namespace_id, kind=repo.kind, name=repo.name)
            events.announce(
                repo, "move", "repo", movedTo={"name": f"{namespace.name}/{name}", "owner": {"id": namespace.uuid.hex}}
            )
            audit.record(
                actor,
                "registry:repo:renamed",
                "repo",
                repo.uuid,
                namespace_id=namespace.pk,
                before=f"{repo.namespace.name}/{repo.name}",
                after=f"{namespace.name}/{name}",
            )
            bump_access_version()
    except IntegrityError as error:
        raise _exists(actor, repo.kind, namespace.name, name) from error
    repo.namespace, repo.name = namespace, name
    return repo


def delete_repo(actor: Actor, repo: Repo) -> None:
    """Take the repository away from everybody, at once. It can be brought back until, GARBAGE_WINDOW_DAYS later, its files are
    given up. The name is free again. A second call changes nothing."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    with transaction.atomic():
        if Repo.objects.filter(pk=repo.pk, deleted_at__isnull=True).update(deleted_at=now()):
            audit.record(
                actor,
                "registry:repo:deleted",
                "repo",
                repo.uuid,
                namespace_id=repo.namespace_id,
                name=f"{repo.namespace.name}/{repo.name}",
            )
            events.announce(repo, "delete", "repo")
            bump_access_version()


def restore_repo(actor: Actor, uuid: UUID) -> Repo:
    """Bring a deleted repository back as it was. Needs a role that administers its namespace. Raises NotFound, Gone when its files
    have been given up, RepoExists when another has its name by now."""
    repo = deleted_repos(actor).filter(uuid=uuid).first()
    if repo is None:
        raise NotFound("There is no such deleted repository.")
    name = f"{repo.namespace.name}/{repo.name}"
    try:
        with transaction.atomic():
            # the statement decides: the collection may take it at this moment
            if not Repo.objects.filter(pk=repo.pk, purged_at=None).update(deleted_at=None, updated_at=now()):
                raise Gone(f"The files of {name} were removed for good; it cannot be brought back.")
            audit.record(actor, "registry:repo:restored", "repo", repo.uuid, namespace_id=repo.namespace_id, name=name)
            events.announce(repo, "create", "repo")
            bump_access_version()
    except IntegrityError as error:
        raise _exists(actor, repo.kind, repo.namespace.name, repo.name) from error
    repo.deleted_at = None
    return repo


def count_download(repo: Repo) -> None:
    """One more download. A counter for people, not for money: it may miss one when the process dies."""
    Repo.objects.filter(pk=repo.pk).update(downloads=F("downloads") + 1, trend=F("trend") + TREND_OF_DOWNLOAD)


def fade_trends() -> None:
    """Let a tenth of every repository's trend fade: what nobody has looked at for a week counts half. Run once a day; a run too
    many fades a little more."""
    Repo.objects.filter(trend__gt=0).update(trend=F("trend") * 9 / 10)


def storage_of(repo: Repo) -> int:
    """Bytes of all files that the repository holds, in any commit, each counted once."""
    return RepoBlob.objects.filter(repo=repo).aggregate(total=Sum("blob__size_bytes"))["total"] or 0


def redirects_from(namespace_id: int, kind: str, name: str) -> QuerySet[RepoRedirect]:
    """Where a name leads that a repository once had; deleted by whoever takes it anew."""
    return RepoRedirect.objects.filter(namespace_id=namespace_id, kind=kind, name__iexact=name)


def _told(repo: Repo, changed: Mapping[str, str]) -> dict[str, Any]:
    """Changed settings in the words of the Hugging Face protocol."""
    told: dict[str, Any] = {}
    if "visibility" in changed:
        told["private"] = repo.visibility != Visibility.PUBLIC
    if "gate" in changed:
        told["gated"] = repo.gate or False
    return told


def check_repo_name(name: str) -> None:
    """Raises Invalid unless a repository may be called so."""
    if not is_name(name):
        raise Invalid(
            "Use 1 to 96 letters, digits, dots, dashes or underscores; begin and end with a letter, digit or underscore; "
            "no double dash or dots; not ending in .git.",
            fields={"name": "not a valid name"},
        )


def _choice(choices: type[StrEnum], value: object, field: str) -> str:
    if value not in list(choices):
        raise Invalid(
            f"{field} must be one of: {', '.join(each.value or 'open' for each in choices)}.", fields={field: "unknown"}
        )
    return str(choices(str(value)).value)


def _exists(actor: Actor, kind: str, namespace: str, name: str) -> RepoExists:
    present = visible_repos(actor).filter(kind=kind, namespace__name__iexact=namespace, name__iexact=name).first()
    return RepoExists(f"A {kind} repository called {namespace}/{name} already exists", repo=present)
