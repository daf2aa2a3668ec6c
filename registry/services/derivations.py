"""New versions from old ones: rows filtered and split by a declared recipe, in the sandbox, with the lineage to tell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from backends.datasets import media_recipes, recipes
from backends.datasets.layouts import ALL
from backends.datasets.sandboxed import derive_files, derive_media_files, read_output
from common.errors import Busy, Conflict, DomainError, Invalid, NotFound, Unavailable
from lineage.services.record import Ref, record_edge
from registry.models import Blob, Branch, Commit, DatasetDerivation, Repo, Version
from registry.paths import check_path
from registry.policies import require_repo_by_uuid
from registry.queries import version_named
from registry.services import quarantine, refs, storage, uploads
from registry.services.commits import AddFile, AddLfs, CopyFile, DeleteFile, Operation, create_commit
from registry.services.datafiles import BYTES_LIMIT, FILES_LIMIT, copy, select
from registry.services.profiles import has_blocking_rules, profile_dataset
from registry.services.sandboxes import sandbox
from registry.services.versions import publish_version
from registry.states import DERIVATIONS, DerivationState, RepoKind
from registry.version_names import check_version
from work.door import enqueue, require_lease

if TYPE_CHECKING:
    from pathlib import Path


def ask_for_derivation(actor: Actor, repo: Repo, source: str, *, name: str, recipe: Any) -> DatasetDerivation:
    """Ask for the version `name` of a dataset, made of the version `source` as `recipe` says (`backends.datasets.recipes`; of pictures
    and sounds `media_recipes`). Needs the right
    to write. Writes the derivation and audit; the rest follows in a task. Raises Invalid, NotFound, Conflict when the name is taken."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    if repo.kind != RepoKind.DATASET:
        raise Invalid("Only versions of datasets can be filtered and split.", fields={"kind": "dataset"})
    version = version_named(repo, source)
    check_version(name)
    try:
        if media_recipes.is_media(recipe):
            wanted = media_recipes.plain(media_recipes.parse(recipe))
        else:
            wanted = recipes.plain(recipes.parse(recipe))
    except recipes.Wrong as error:
        raise Invalid(str(error), fields={"recipe": str(error)}) from error
    if Version.objects.filter(repo=repo, name__iexact=name).exists():
        raise Conflict(f"{repo.namespace.name}/{repo.name} has a version {name} already.", code="version_exists")
    with transaction.atomic():
        derivation = DatasetDerivation.objects.create(
            repo=repo,
            source=version,
            recipe=wanted,
            version_name=name,
            user_id=actor.user_id,
            token_id=actor.token_id,
        )
        audit.record(
            actor,
            "registry:derivation:asked",
            "repo",
            repo.uuid,
            namespace_id=repo.namespace_id,
            derivation=str(derivation.uuid),
            source=version.name,
            name=name,
        )
        enqueue("registry.derive_dataset", derivation.pk, key=f"derive-dataset:{derivation.pk}")
    return derivation


def derivations_of(repo: Repo) -> QuerySet[DatasetDerivation]:
    """For a caller that may read the repository; unordered."""
    return DatasetDerivation.objects.filter(repo=repo).select_related("source", "version", "user")


def require_derivation(repo: Repo, uuid: UUID) -> DatasetDerivation:
    """A derivation of this repository, for a caller that may read it. Raises NotFound."""
    found = DatasetDerivation.objects.select_related("source", "version").filter(repo=repo, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such derivation.")
    return found


def derive_dataset(derivation_id: int) -> DatasetDerivation:
    """Make the version that was asked for, on a branch of its own. Safe to repeat, and beside itself: branch and commit are one
    transaction, version, edge and end another; each locks the row and does nothing when it was done. What cannot be done is the row's `problem`."""
    derivation = (
        DatasetDerivation.objects.select_related("repo__namespace", "source__commit__tree")
        .filter(pk=derivation_id)
        .first()
    )
    if derivation is None:
        raise NotFound("This derivation is gone.")
    if DERIVATIONS.is_final(DerivationState(derivation.state)):
        return derivation
    try:
        return _made(derivation)
    except (Busy, Unavailable):
        raise
    except DomainError as error:
        return _ended(derivation, DerivationState.FAILED, problem=error.message)


def _made(derivation: DatasetDerivation) -> DatasetDerivation:
    if derivation.user_id is None:
        raise Invalid("Whoever asked for this version has left.")
    actor = actors.resumed(derivation.user_id, derivation.token_id)
    require_repo_by_uuid(actor, derivation.repo.uuid, Action.REPO_WRITE)
    operations, told, notes = (_media if media_recipes.is_media(derivation.recipe) else _tables)(derivation)
    commit = _committed(actor, derivation, operations, told)
    if has_blocking_rules(commit):
        # it takes a sandbox and time, so it stands between the two transactions
        profile_dataset(commit.pk)
    with transaction.atomic():
        require_lease()
        locked = DatasetDerivation.objects.select_for_update().get(pk=derivation.pk)
        if DERIVATIONS.is_final(DerivationState(locked.state)):
            return locked
        version = publish_version(
            actor,
            derivation.repo,
            commit.oid,
            name=derivation.version_name,
            notes=notes,
            key=f"derivation:{derivation.uuid}",
        )
        record_edge(Ref("version", derivation.source.uuid), Ref("version", version.uuid), "derived")
        return _ended(locked, DerivationState.DONE, version=version)


def _tables(derivation: DatasetDerivation) -> tuple[list[Operation], str, str]:
    """What the recipe changes, what it does in words, and what came of it: rows of tables."""
    recipe = recipes.parse(derivation.recipe)
    chosen = select(derivation.source.commit, only_tables=True)
    if not chosen.is_whole:
        raise Invalid(f"Tables of up to {BYTES_LIMIT // 1024**3} GiB can be filtered and split.")
    quarantine.require_free(derivation.repo, [entry.ref for entry in chosen.entries])
    with sandbox("derive") as place:
        local = copy(chosen.entries, place.copies)
        found = derive_files(place.runner, place.work, place.copies, local, recipe, key=place.key)
        if found["problem"]:
            raise Invalid(found["problem"])
        blobs = [(each, _stored(derivation.repo, place.work, each["number"])) for each in found["files"]]
    # the program may have been taken over: it removes nothing but tables
    present = {entry.path for entry in chosen.entries}
    operations: list[Operation] = [DeleteFile(path) for path in sorted({*found["read"]} & present)]
    for each, blob in blobs:
        path = f"{found['table']}.parquet" if each["split"] == ALL else f"{found['table']}/{each['split']}.parquet"
        check_path(path)
        operations.append(AddLfs(path, blob.sha256, blob.size_bytes))
    told = recipes.sentence(recipe)
    kept = sum(each["rows"] for each in found["files"])
    return operations, told, f"{kept:,} of {found['rows']:,} rows of {derivation.source.name}: {told}."


def _media(derivation: DatasetDerivation) -> tuple[list[Operation], str, str]:
    """The same of pictures and sounds: files are moved by digest, annotations written anew."""
    recipe = media_recipes.parse(derivation.recipe)
    commit = derivation.source.commit
    chosen = select(commit)
    if not chosen.is_whole:
        raise Invalid(
            f"Sets of up to {FILES_LIMIT:,} files and {BYTES_LIMIT // 1024**3} GiB can be filtered and split."
        )
    quarantine.require_free(derivation.repo, [entry.ref for entry in chosen.entries])
    with sandbox("derive") as place:
        local = copy(chosen.entries, place.copies)
        found = derive_media_files(place.runner, place.work, place.copies, local, recipe, key=place.key)
        if found["problem"]:
            raise Invalid(found["problem"])
        written = [(each["path"], _stored(derivation.repo, place.work, each["number"])) for each in found["written"]]
    # the program may have been taken over: what it names must be there, and nothing of it is more than a path
    present = {entry.path for entry in chosen.entries}
    gone = {*found["removed"], *(old for old, _ in found["moves"])}
    if not gone <= present:
        raise Invalid("The program named files that are not there.")
    operations: list[Operation] = [DeleteFile(path) for path in sorted(gone)]
    operations += [CopyFile(old, check_path(new), commit.oid) for old, new in found["moves"]]
    for path, blob in written:
        is_large = blob.size_bytes > uploads.TEXT_BYTES
        operations.append(AddLfs(path, blob.sha256, blob.size_bytes) if is_large else AddFile(check_path(path), blob))
    told = media_recipes.sentence(recipe)
    return operations, told, f"{found['kept']:,} of {found['total']:,} files of {derivation.source.name}: {told}."


def _committed(
    actor: Actor, derivation: DatasetDerivation, operations: Sequence[Operation], description: str
) -> Commit:
    """The files on the derivation's own branch; branch and commit at once, so that the branch is there when the commit is."""
    branch = f"derived-{derivation.uuid.hex[:12]}"
    with transaction.atomic():
        require_lease()
        locked = DatasetDerivation.objects.select_for_update().get(pk=derivation.pk)
        made = Branch.objects.select_related("head__tree").filter(repo=derivation.repo, name=branch).first()
        if made is not None or DERIVATIONS.is_final(DerivationState(locked.state)):
            return made.head if made is not None else derivation.source.commit
        refs.create_branch(actor, derivation.repo, branch, derivation.source.commit.oid)
        return create_commit(
            actor,
            derivation.repo,
            branch,
            operations,
            summary=f"Derive from {derivation.source.name}",
            description=description,
        )


def _stored(repo: Repo, work: "Path", number: int) -> Blob:
    try:
        blob = storage.store_blob(read_output(work, number))
    except OSError as error:
        raise Invalid("The program did not leave the rows it told of.") from error
    uploads.attach(repo, blob)
    return blob


def _ended(
    derivation: DatasetDerivation, state: DerivationState, *, problem: str = "", version: Version | None = None
) -> DatasetDerivation:
    DatasetDerivation.objects.filter(pk=derivation.pk, state=DerivationState.WAITING).update(
        state=state, problem=problem[:2000], version=version
    )
    derivation.refresh_from_db()
    return derivation
