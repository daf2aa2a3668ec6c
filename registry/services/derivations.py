"""New versions from old ones: rows filtered and split by a declared recipe, in the sandbox, with the lineage to tell."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from backends.datasets import recipes
from backends.datasets.layouts import ALL
from backends.datasets.sandboxed import derive_files, read_output
from common.errors import Busy, Conflict, DomainError, Invalid, NotFound, Unavailable
from lineage.services.record import Ref, record_edge
from registry.models import Blob, DatasetDerivation, Repo, Version
from registry.paths import check_path
from registry.policies import require_repo_by_uuid
from registry.queries import version_named
from registry.services import refs, storage, uploads
from registry.services.commits import AddLfs, DeleteFile, Operation, create_commit
from registry.services.datafiles import BYTES_LIMIT, copy, select
from registry.services.sandboxes import sandbox
from registry.services.versions import publish_version
from registry.states import DERIVATIONS, DerivationState, RepoKind
from registry.version_names import check_version
from work.door import enqueue, require_lease

if TYPE_CHECKING:
    from pathlib import Path


def ask_for_derivation(actor: Actor, repo: Repo, source: str, *, name: str, recipe: Any) -> DatasetDerivation:
    """Ask for the version `name` of a dataset, made of the version `source` as `recipe` says (`backends.datasets.recipes`). Needs the right
    to write. Writes the derivation and audit; the rest follows in a task. Raises Invalid, NotFound, Conflict when the name is taken."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    if repo.kind != RepoKind.DATASET:
        raise Invalid("Only versions of datasets can be filtered and split.", fields={"kind": "dataset"})
    version = version_named(repo, source)
    check_version(name)
    try:
        wanted = recipes.parse(recipe)
    except recipes.Wrong as error:
        raise Invalid(str(error), fields={"recipe": str(error)}) from error
    if Version.objects.filter(repo=repo, name__iexact=name).exists():
        raise Conflict(f"{repo.namespace.name}/{repo.name} has a version {name} already.", code="version_exists")
    with transaction.atomic():
        derivation = DatasetDerivation.objects.create(
            repo=repo,
            source=version,
            recipe=recipes.plain(wanted),
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


def require_derivation(repo: Repo, uuid: UUID) -> DatasetDerivation:
    """A derivation of this repository, for a caller that may read it. Raises NotFound."""
    found = DatasetDerivation.objects.select_related("source", "version").filter(repo=repo, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such derivation.")
    return found


def derive_dataset(derivation_id: int) -> DatasetDerivation:
    """Make the version that was asked for, on a branch of its own. Safe to repeat, and beside itself: branch, commit, version, edge and end
    are one transaction, which locks the row and does nothing when another has ended it. What cannot be done is the row's `problem`."""
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
    recipe = recipes.parse(derivation.recipe)
    chosen = select(derivation.source.commit, only_tables=True)
    if not chosen.is_whole:
        raise Invalid(f"Tables of up to {BYTES_LIMIT // 1024**3} GiB can be filtered and split.")
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
    notes = f"{kept:,} of {found['rows']:,} rows of {derivation.source.name}: {told}."
    with transaction.atomic():
        require_lease()
        locked = DatasetDerivation.objects.select_for_update().get(pk=derivation.pk)
        if DERIVATIONS.is_final(DerivationState(locked.state)):
            return locked
        branch = f"derived-{derivation.uuid.hex[:12]}"
        refs.create_branch(actor, derivation.repo, branch, derivation.source.commit.oid)
        commit = create_commit(
            actor,
            derivation.repo,
            branch,
            operations,
            summary=f"Derive from {derivation.source.name}",
            description=told,
        )
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
