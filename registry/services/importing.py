"""Bringing an export in: repository by repository, each hidden until it is whole.

Everything in the archive was checked before (registry/exports/reading.py). Bytes and history then come in as a push brings them,
under the same checks, into a repository that nobody sees and that cannot be brought back like a deleted one; one transaction
at the end writes the rest and shows it. What fails is given up to the collection of garbage."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.clock import now
from common.errors import Busy, Conflict, DomainError, Invalid, NotFound, Unavailable
from registry.errors import RepoExists
from registry.exports import layout
from registry.exports.reading import Archive
from registry.exports.records import Snapshot
from registry.models import Blob, Branch, Collection, CollectionItem, ImportedRepo, Repo, Version
from registry.services import cards, events, facts, gitpush, holdings, quarantine, quotas, scans, storage
from registry.services.collections import THEMES
from registry.services.gitpacks import OF_ARCHIVES, IncomingPack, Spool
from registry.services.imported import Coming, check_refs, documents_of, free_uuid, instant
from registry.services.repos import check_repo_name, redirects_from
from registry.services.standing import refresh_latest
from registry.states import BlobState, RepoKind, Visibility
from work.door import enqueue, require_lease

if TYPE_CHECKING:
    from accounts.models import Namespace

_FILES_AT_ONCE = 200
_COMPARED = (
    "refs", "versions", "marks", "aliases", "alias_moves", "measurements", "discussions", "discussion_events",
    "builds",
)  # fmt: skip
"""Documents by which a repository that is here is told to be the same. The rest depends on the site."""
_PERSONAL = {"uuid", "created_by", "author", "compared_at"}
"""What may differ between a repository and its import."""


@dataclass(frozen=True)
class Wish:
    """How an archive is to come in. `into`: one namespace for all of it; `renames`: `owner/name` or an owner there → the same
    here; `people`: a name there → a person, organisation or team here, which only an operator says."""

    into: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    is_dry: bool = False

    def place_of(self, namespace: str, name: str) -> tuple[str, str]:
        """Owner and name here."""
        renamed = self.renames.get(f"{namespace}/{name}")
        if renamed is not None:
            owner, slash, new = renamed.partition("/")
            return (owner, new) if slash else (self.into or self.renames.get(namespace, namespace), renamed)
        return self.into or self.renames.get(namespace, namespace), name


def import_archive(actor: Actor, archive: Archive, wish: Wish) -> dict[str, Any]:
    """Make the repositories and collections of a checked archive. Needs the right to publish where they go. Says of each what became
    of it: `imported`, `same` (it is here already, and equal), `refused` with the reason; with `is_dry`, `new` for what would be
    imported. Safe to repeat, also after it was broken off. Raises what stands in the way of an archive's only repository."""
    if wish.people and not actor.is_system:
        raise Invalid("Only an operator says who is who.")
    outcomes: list[dict[str, Any]] = []
    repos: dict[str, Repo] = {}
    for entry in archive.manifest["repositories"]:
        outcome = {"exported_as": f"{entry['namespace']}/{entry['name']}", "kind": entry["kind"]}
        try:
            repo, said = _bring(actor, archive, entry, wish)
        except (Busy, Unavailable):
            raise
        except DomainError as error:
            if len(archive.manifest["repositories"]) == 1:
                raise
            outcome |= {"outcome": "refused", "reason": error.message}
        else:
            outcome |= said
            if repo is not None:
                repos[entry["uuid"]] = repo
        outcomes.append(outcome)
    result: dict[str, Any] = {"repositories": outcomes, "refused_there": archive.manifest["refused"]}
    if not wish.is_dry:
        result |= _collections(actor, archive, wish, repos)
    return result


def _bring(actor: Actor, archive: Archive, entry: dict[str, Any], wish: Wish) -> tuple[Repo | None, dict[str, Any]]:
    where = layout.repo_name(entry["uuid"], layout.REPOSITORY)
    told = layout.parse(archive.read(where, layout.LINE_BYTES), "repository", where)
    if any(told[key] != entry[key] for key in ("uuid", "kind", "namespace", "name")):
        raise Invalid(f"{where} is of another repository than {layout.MANIFEST} says.")
    owner, name = wish.place_of(told["namespace"], told["name"])
    namespace = _namespace(actor, owner)
    check_repo_name(name)
    place = f"{namespace.name}/{name}"
    _require_place(namespace, told)
    documents = documents_of(archive, entry["uuid"])
    present = Repo.objects.filter(namespace=namespace, kind=told["kind"], name__iexact=name, deleted_at=None).first()
    if present is not None:
        _require_same(actor, present, documents, place)
        return present, {"name": place, "outcome": "same"}
    refs = list(documents("refs"))
    check_refs(record["ref"] for record in refs)
    if f"refs/heads/{told['default_branch']}" not in {record["ref"] for record in refs}:
        raise Invalid(f"{told['default_branch']} is to be the default branch, and there is no such branch.")
    large = _large_files(archive, documents)
    if wish.is_dry:
        needed = _missing_bytes(large)
        quotas.require_room(namespace.pk, needed)
        return None, {"name": place, "outcome": "new", "bytes_to_store": needed}
    hidden = _hidden(actor, namespace, name, told, archive)
    try:
        coming = _fill(actor, archive, hidden, told, refs, large, wish)
        _show(coming, told, archive)
    except (Busy, Unavailable):
        raise  # tried again, it goes on where it was
    except DomainError:
        Repo.objects.filter(pk=hidden.pk, deleted_at__isnull=False).update(purged_at=now())
        raise
    return hidden, {
        "name": place,
        "outcome": "imported",
        "versions": len(coming.versions),
        "left": coming.left,
    }


def _namespace(actor: Actor, name: str) -> "Namespace":
    try:
        return require_namespace(actor, name, Action.NAMESPACE_PUBLISH)
    except NotFound as error:
        raise NotFound(
            f"There is no user or organisation {name} here, and an import makes no accounts: create it first, or import into "
            "another namespace."
        ) from error


# What is here already


def _require_place(namespace: "Namespace", told: Mapping[str, Any]) -> None:
    if told["visibility"] == Visibility.ORGANIZATION and not namespace.is_organization:
        raise Invalid(
            f"{told['namespace']}/{told['name']} is shared with an organisation: import it into one, or make it private there "
            "and export it again."
        )
    RepoKind(told["kind"])


def _require_same(actor: Actor, present: Repo, documents: Any, place: str) -> None:
    """Raises RepoExists, which says what differs, unless the repository is what the archive has."""
    ours = Snapshot(present).records(actor)
    for document in _COMPARED:
        for here, there in zip_longest(ours[document](), documents(document)):
            if _plain(here) != _plain(there):
                which = (there or here or {}).get("ref") or (there or here or {}).get("name") or ""
                raise RepoExists(
                    f"There is another {present.kind} {place} here: its {document.replace('_', ' ')} differ"
                    f"{f' at {which}' if which else ''}. Give the imported one another name.",
                    repo=present,
                )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in _PERSONAL}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


# Its bytes and its history


def _large_files(archive: Archive, documents: Any) -> dict[str, int]:
    """The large files of a repository, SHA-256 → size. Raises Invalid for one that is not in the archive, KnownMalware."""
    found: dict[str, int] = {}
    for record in documents("large_files"):
        if record["is_left_out"]:
            raise Invalid(
                f"The large file {record['sha256'][:12]} was left out of the export, because it was under quarantine there: have it "
                "released or removed from the history, and export again."
            )
        if archive.size_of(layout.lfs_name(record["sha256"])) != record["size_bytes"]:
            raise Invalid(f"The large file {record['sha256'][:12]} has another size than its record says.")
        found[record["sha256"]] = record["size_bytes"]
    quarantine.refuse_known((f"The large file {sha256[:12]}", sha256) for sha256 in found)
    return found


def _missing_bytes(large: Mapping[str, int]) -> int:
    missing = 0
    for batch in _batches(list(large)):
        stored = set(Blob.objects.filter(sha256__in=batch, state=BlobState.STORED).values_list("sha256", flat=True))
        missing += sum(large[sha256] for sha256 in batch if sha256 not in stored)
    return missing


def _hidden(actor: Actor, namespace: "Namespace", name: str, told: Mapping[str, Any], archive: Archive) -> Repo:
    """The repository that is being filled: one that was begun before, or a new one."""
    begun = ImportedRepo.objects.select_related("repo__namespace").filter(
        source_uuid=told["uuid"],
        finished_at=None,
        repo__namespace=namespace,
        repo__kind=told["kind"],
        repo__name__iexact=name,
        repo__purged_at=None,
        exported_at=instant(archive.manifest["created_at"]),
    )
    row = begun.first()
    if row is not None:
        return row.repo
    with transaction.atomic():
        repo = Repo.objects.create(
            uuid=free_uuid(Repo, told["uuid"]),
            namespace=namespace,
            kind=told["kind"],
            name=name,
            visibility=Visibility.PRIVATE,
            default_branch=told["default_branch"],
            created_by_id=actor.user_id,
            deleted_at=now(),
        )
        ImportedRepo.objects.create(
            repo=repo,
            source_uuid=told["uuid"],
            source_name=f"{told['namespace']}/{told['name']}",
            source_site=archive.manifest["site"],
            exported_at=instant(archive.manifest["created_at"]),
            imported_by_id=actor.user_id,
            carried={
                "likes": told["likes"],
                "downloads": told["downloads"],
                "created_by": told["created_by"],
                "origin": told["origin"],
            },
        )
    return repo


def _fill(
    actor: Actor,
    archive: Archive,
    repo: Repo,
    told: Mapping[str, Any],
    refs: list[dict[str, Any]],
    large: Mapping[str, int],
    wish: Wish,
) -> Coming:
    for batch in _batches(list(large)):
        stored = Blob.objects.in_bulk(batch, field_name="sha256")
        keys = []
        for sha256 in batch:
            blob = stored.get(sha256)
            if blob is None or blob.state != BlobState.STORED or not storage.exists(blob):
                quotas.require_room(repo.namespace_id, large[sha256], is_early=True)
                chunks = archive.chunks(layout.lfs_name(sha256))
                blob = storage.store_blob(chunks, size_bytes=large[sha256], sha256=sha256)
            keys.append(blob.pk)
        holdings.hold(repo, keys)
    packs = [name for name in archive.names_below(layout.pack_prefix(told["uuid"])) if name.endswith(".pack")]
    if len(packs) != 1:
        raise Invalid(f"The repository {told['namespace']}/{told['name']} has {len(packs)} packs instead of one.")
    with closing(Spool(OF_ARCHIVES)) as spool:
        for chunk in archive.chunks(packs[0]):
            spool.write(chunk)
        with IncomingPack(spool) as pack:
            push = gitpush.bring_history(repo, pack, [record["object"] or record["commit"] for record in refs])
    coming = Coming(actor, repo, told["uuid"], push, documents_of(archive, told["uuid"]), wish.people)
    coming.check()
    return coming


# What shows it


def _show(coming: Coming, told: Mapping[str, Any], archive: Archive) -> None:
    """Write all records and show the repository, or nothing."""
    repo, actor = coming.repo, coming.actor
    try:
        with transaction.atomic():
            require_lease()
            locked = Repo.objects.select_for_update(of=("self",), no_key=True).get(pk=repo.pk)
            if locked.purged_at is not None or locked.deleted_at is None:
                raise Conflict("This import was ended, or made, by another one at this moment.")
            holdings.keep_commits(repo, coming.heads())
            coming.write()
            _take_settings(repo, told)
            _note_origin(coming)
            audit.record(
                actor,
                "registry:repo:imported",
                "repo",
                repo.uuid,
                namespace_id=repo.namespace_id,
                name=f"{repo.namespace.name}/{repo.name}",
                source=f"{told['namespace']}/{told['name']}",
                site=archive.manifest["site"],
                export=archive.manifest["checksums"],
            )
            _follow_up(repo)
    except IntegrityError as error:
        raise RepoExists(f"A {repo.kind} repository called {repo.namespace.name}/{repo.name} already exists") from error


def _take_settings(repo: Repo, told: Mapping[str, Any]) -> None:
    redirects_from(repo.namespace_id, repo.kind, repo.name).delete()
    refresh_latest(repo)
    repo.description = told["description"]
    head = Branch.objects.select_related("head__tree").get(repo=repo, name=repo.default_branch).head
    cards.refresh_card(repo, head)
    repo.visibility, repo.gate = told["visibility"], told["gate"]
    repo.created_at, repo.updated_at = instant(told["created_at"]), instant(told["updated_at"])
    repo.deleted_at = None
    repo.save(update_fields=["visibility", "gate", "created_at", "updated_at", "deleted_at"])
    bump_access_version()


def _note_origin(coming: Coming) -> None:
    row = ImportedRepo.objects.get(repo=coming.repo)
    row.carried = {**row.carried, "grants": coming.grant()}
    row.finished_at = now()
    row.save(update_fields=["carried", "finished_at"])


def _follow_up(repo: Repo) -> None:
    """What a release and a commit have made later: scans, signatures with the keys of this namespace, facts, a profile."""
    scans.ask_for_scan(repo)
    facts.ask_for_refresh(repo)
    for pk, commit in Version.objects.filter(repo=repo).order_by("pk").values_list("pk", "commit_id"):
        enqueue("registry.scan_version", pk, key=f"scan-version:{pk}")
        enqueue("registry.sign_version", pk, key=f"sign-version:{pk}")
        if repo.kind == RepoKind.DATASET:
            enqueue("registry.profile_dataset", commit, key=f"profile-dataset:{commit}")
    events.announce(repo, "create", "repo")


# Collections


def _collections(actor: Actor, archive: Archive, wish: Wish, repos: Mapping[str, Repo]) -> dict[str, Any]:
    """Collections by their titles, with those of their items that are in this archive. One that is here gets the items that it has not."""
    made, left = 0, 0
    for record in archive.records(layout.COLLECTIONS, "collections"):
        here = [item for item in record["items"] if item["repository"] in repos]
        left += len(record["items"]) - len(here)
        owner = wish.into or wish.renames.get(record["namespace"], record["namespace"])
        if not here:
            continue
        namespace = _namespace(actor, owner)
        with transaction.atomic():
            collection, is_new = _collection(actor, namespace, record)
            made += is_new
            last = CollectionItem.objects.filter(collection=collection).count()
            for number, item in enumerate(here):
                CollectionItem.objects.get_or_create(
                    collection=collection,
                    repo=repos[item["repository"]],
                    defaults={"note": item["note"], "position": last + number},
                )
    return {"collections": made, "collection_items_left": left}


def _collection(actor: Actor, namespace: "Namespace", record: Mapping[str, Any]) -> tuple[Collection, bool]:
    present = Collection.objects.select_for_update().filter(namespace=namespace, title__iexact=record["title"]).first()
    if present is not None:
        return present, False
    if record["theme"] not in THEMES:
        raise Invalid(f"The collection {record['title']} has an unknown theme.")
    collection = Collection.objects.create(
        uuid=free_uuid(Collection, record["uuid"]),
        namespace=namespace,
        title=record["title"],
        description=record["description"],
        theme=record["theme"],
        is_private=record["is_private"],
        position=record["position"],
        created_at=instant(record["created_at"]),
        updated_at=instant(record["updated_at"]),
    )
    audit.record(
        actor,
        "registry:collection:created",
        "collection",
        collection.uuid,
        namespace_id=namespace.pk,
        title=collection.title,
    )
    return collection, True


def _batches(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), _FILES_AT_ONCE):
        yield items[start : start + _FILES_AT_ONCE]
