"""Copying repositories, and large files from one to another, without moving a byte."""

from collections.abc import Iterable

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.errors import Invalid
from lineage.services.record import Ref, record_edge
from registry.models import Blob, Repo
from registry.policies import require_repo_by_uuid
from registry.queries import all_files, blobs_of, head_of
from registry.services import holdings, repos
from registry.services.commits import AddFile, AddLfs, DeleteFile, Operation, create_commit
from registry.states import Visibility

FILES_LIMIT = 20_000
"""Files of a repository that can be copied at once: they become one commit."""
_AT_ONCE = 500


def duplicate_repo(
    actor: Actor, source: Repo, namespace_name: str, name: str, *, visibility: Visibility | str = Visibility.PRIVATE
) -> Repo:
    """A new repository with the files of another's default branch, in one commit, without its history. Needs the right to read the
    one and to publish where the other is to be. Notes where it comes from. Raises Invalid, RepoExists."""
    source = require_repo_by_uuid(actor, source.uuid, Action.REPO_READ)
    head = head_of(source)
    if head.tree.file_count > FILES_LIMIT:
        raise Invalid(f"Only repositories of up to {FILES_LIMIT} files can be copied: clone this one with git.")
    copy = repos.create_repo(
        actor, source.kind, namespace_name, name, visibility=visibility, description=source.description
    )
    try:
        files = list(all_files(head))
        blobs = blobs_of(files)
        operations: list[Operation] = [DeleteFile(".gitattributes")]
        for file in files:
            blob = blobs[file.ref]
            operations.append(
                AddLfs(file.path, file.sha256, file.size_bytes) if file.sha256 else AddFile(file.path, blob)
            )
        holdings.hold(copy, {blob.pk for blob in blobs.values()})
        origin = f"{source.namespace.name}/{source.name}"
        create_commit(
            actor, copy, copy.default_branch, operations, summary=f"Duplicate from {origin}", description=head.oid
        )
        with transaction.atomic():
            record_edge(Ref(source.kind, source.uuid), Ref(copy.kind, copy.uuid), "duplicated")
    except BaseException:
        # half a copy would look like a whole one
        repos.delete_repo(actor, copy)
        raise
    return copy


def duplicate_files(actor: Actor, source: Repo, target: Repo, digests: Iterable[str]) -> dict[str, str]:
    """Let `target` hold large files that `source` holds, by SHA-256; returns what could not be done, by digest. Needs the right to
    read the one and to write to the other. Safe to repeat."""
    source = require_repo_by_uuid(actor, source.uuid, Action.REPO_READ)
    target = require_repo_by_uuid(actor, target.uuid, Action.REPO_WRITE)
    wanted = list(dict.fromkeys(digests))
    held: dict[str, int] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        batch = wanted[start : start + _AT_ONCE]
        held |= dict(Blob.objects.filter(sha256__in=batch, repo_rows__repo=source).values_list("sha256", "pk"))
    holdings.hold(target, set(held.values()))
    if held:
        with transaction.atomic():
            audit.record(
                actor,
                "registry:files:duplicated",
                "repo",
                target.uuid,
                namespace_id=target.namespace_id,
                source=str(source.uuid),
                count=len(held),
            )
    return {digest: "The source does not hold this file." for digest in wanted if digest not in held}
