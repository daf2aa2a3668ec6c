"""Exports on their way out: the files of some repositories, one after the other, then their digests, then the manifest. So what breaks
off has no manifest, and nobody takes it for an export."""

import hashlib
import os
import tarfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.actors import Actor
from common.clock import now
from common.errors import Conflict, DomainError, Gone, Invalid, Unavailable
from registry.errors import Quarantined
from registry.exports import gitdir, layout
from registry.exports.records import Snapshot, collections_of, time
from registry.exports.spooling import Member, Spooled
from registry.models import Blob, Repo
from registry.queries import held_back
from registry.services import storage
from registry.services.gitobjects import spool_database

_BLOCK = tarfile.BLOCKSIZE
_MODE = 0o644
_OCTAL = 8**11
_README = """This is an export of Mercato repositories, layout version {version}, made at {site} on {day}.

repositories/<uuid>/git       a bare repository: git clone -c lfs.storage=$PWD/lfs repositories/<uuid>/git NAME
repositories/<uuid>/*.json*   what the site knows of it: repository.json, then JSON Lines, a record each
lfs/objects                   large files by SHA-256, as git-lfs keeps them
collections.jsonl             repositories under a title
SHA256SUMS                    digests of all files: sha256sum -c SHA256SUMS
manifest.json                 what is in here, what was left out, the digest of SHA256SUMS
"""


class Outgoing:
    """One export, read once by `members`; afterwards `summary` says what it was. `actor` is who will have it: what they may not see
    of other repositories is not named. The caller has checked the right to administer each of `repos`."""

    def __init__(
        self, actor: Actor, repos: Sequence[Repo], *, scope: dict[str, str], namespaces: Collection[int] = ()
    ) -> None:
        self.actor, self.repos, self.scope, self.namespaces = actor, repos, scope, namespaces
        self.created_at = now()
        self.manifest: dict[str, Any] = {}
        self._counts = {"files": 0, "bytes": 0, "repositories": 0, "collections": 0, "lfs_objects": 0}
        self._listed: list[dict[str, Any]] = []
        self._left_out: list[dict[str, str]] = []
        self._refused: list[dict[str, str]] = []

    @property
    def summary(self) -> dict[str, Any]:
        """Counts, and what was left out, for people."""
        return {"counts": self._counts, "left_out": self._left_out, "refused": self._refused}

    def members(self) -> Iterator[Member]:
        """Every file in the order of the archive; each must be read before the next is asked for. Raises what made a repository
        impossible when there is no other."""
        with closing(spool_database("CREATE TABLE large (sha256 TEXT PRIMARY KEY) WITHOUT ROWID;")) as seen:
            with Spooled() as sums:
                for member in self._content(seen):
                    counted = _Counted(member)
                    yield Member(member.name, member.size_bytes, counted, member.sha256)
                    sums.file.write(f"{counted.digest()}  {member.name}\n".encode())
                    self._counts["files"] += 1
                    self._counts["bytes"] += member.size_bytes
                listed = sums.member(layout.CHECKSUMS)
                digest = _Counted(listed)
                yield Member(listed.name, listed.size_bytes, digest)
            self.manifest = {
                "format": layout.FORMAT,
                "version": layout.VERSION,
                "created_at": time(self.created_at),
                "site": settings.PUBLIC_URL,
                "scope": self.scope,
                "repositories": self._listed,
                "checksums": digest.digest(),
                **self.summary,
            }
            yield Member.of_bytes(layout.MANIFEST, layout.document(layout.check("manifest", self.manifest, "It")))

    def _content(self, seen: Any) -> Iterator[Member]:
        text = _README.format(version=layout.VERSION, site=settings.PUBLIC_URL, day=self.created_at.date())
        yield Member.of_bytes("README.txt", text.encode())
        for repo in self.repos:
            try:
                snapshot = Snapshot(repo)
                plan = gitdir.plan_of(snapshot)
            except (Quarantined, Gone) as error:
                self._refuse(repo, error)
                continue
            try:
                yield from self._repository(snapshot, plan, seen)
            finally:
                if plan is not None:
                    plan.table.close()
        single = [repo.pk for repo in self.repos] if not self.namespaces else []
        with Spooled() as spool:
            records = collections_of(self.actor, single, self.namespaces)
            spool.fill(layout.lines(records))
            self._counts["collections"] = spool.count
            yield spool.member(layout.COLLECTIONS)

    def _repository(self, snapshot: Snapshot, plan: Any, seen: Any) -> Iterator[Member]:
        repo, counts = snapshot.repo, {}
        for member in gitdir.members(snapshot, plan):
            yield member.below(layout.repo_name(repo.uuid, "git"))
        with Spooled() as spool:
            for nodes in gitdir.large_files(plan) if plan is not None else ():
                yield from self._large_files(repo, nodes, seen, spool)
            yield from self._files_of_builds(snapshot, seen, spool)
            counts["large_files"] = spool.count
            yield spool.member(layout.repo_name(repo.uuid, "large_files.jsonl"))
        for document, records in snapshot.records(self.actor).items():
            with Spooled() as spool:
                spool.fill(layout.lines(records()))
                counts[document] = spool.count
                yield spool.member(layout.repo_name(repo.uuid, f"{document}.jsonl"))
        yield Member.of_bytes(layout.repo_name(repo.uuid, layout.REPOSITORY), layout.document(snapshot.settings()))
        self._counts["repositories"] += 1
        self._listed.append(
            {
                "uuid": str(repo.uuid),
                "kind": repo.kind,
                "namespace": repo.namespace.name,
                "name": repo.name,
                "counts": counts,
            }
        )

    def _large_files(self, repo: Repo, nodes: Sequence[Any], seen: Any, listed: Spooled) -> Iterator[Member]:
        held = held_back(repo.pk, (node.ref for node in nodes))
        blobs = Blob.objects.in_bulk([node.ref for node in nodes])
        listed.fill(
            layout.lines(
                {"sha256": node.sha256, "size_bytes": node.size_bytes, "is_left_out": node.ref in held}
                for node in nodes
            )
        )
        for node in nodes:
            if node.ref in held:
                name = f"{repo.namespace.name}/{repo.name}"
                self._left_out.append(
                    {"repository": name, "sha256": node.sha256, "reason": held[node.ref].reason[:400]}
                )
            else:
                yield from self._stored_once(blobs[node.ref], seen)

    def _files_of_builds(self, snapshot: Snapshot, seen: Any, listed: Spooled) -> Iterator[Member]:
        held = {file.build_id for file in snapshot.build_files if file.blob_id in snapshot.held}
        blobs = {file.blob_id: file.blob for file in snapshot.build_files if file.build_id not in held}
        listed.fill(
            layout.lines(
                {"sha256": blob.sha256, "size_bytes": blob.size_bytes, "is_left_out": False} for blob in blobs.values()
            )
        )
        for blob in blobs.values():
            yield from self._stored_once(blob, seen)
        name = f"{snapshot.repo.namespace.name}/{snapshot.repo.name}"
        for file in snapshot.build_files:
            if file.blob_id in snapshot.held:
                reason = f"The build stays here: {snapshot.held[file.blob_id].reason}"[:400]
                self._left_out.append({"repository": name, "sha256": file.blob.sha256, "reason": reason})

    def _stored_once(self, blob: Blob, seen: Any) -> Iterator[Member]:
        """The bytes, unless this export has them already."""
        if seen.execute("INSERT OR IGNORE INTO large VALUES (?)", (blob.sha256,)).rowcount:
            self._counts["lfs_objects"] += 1
            yield Member(layout.lfs_name(blob.sha256), blob.size_bytes, _stored(blob), blob.sha256)

    def _refuse(self, repo: Repo, error: DomainError) -> None:
        """One repository that cannot be exported keeps no other from it."""
        if self.scope["kind"] == "repository":
            raise error
        self._refused.append({"repository": f"{repo.namespace.name}/{repo.name}", "reason": error.message[:1000]})


class _Counted:
    """The pieces of a member, hashed and counted as they pass."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._digest = hashlib.sha256()
        self._is_read = False

    def __iter__(self) -> Iterator[bytes]:
        left = self._member.size_bytes
        for chunk in self._member.chunks:
            self._digest.update(chunk)
            left -= len(chunk)
            yield chunk
        self._is_read = True
        wanted = self._member.sha256
        if left or (wanted and self._digest.hexdigest() != wanted):
            raise Unavailable(
                f"The stored bytes of {self._member.name} are damaged: the operator finds more with fsck."
            )

    def digest(self) -> str:
        """Of the bytes; of a file that was there already and is called by its digest, that."""
        return self._digest.hexdigest() if self._is_read else self._member.sha256


def _stored(blob: Blob) -> Iterator[bytes]:
    with storage.open_blob(blob) as reader:
        yield from reader


def tar(members: Iterable[Member], moment: float) -> Iterator[bytes]:
    """The files as a tar: a header of one block before each, no extensions, so that a reader needs none. `moment`: seconds since
    1970, the time of all of them."""
    for member in members:
        yield _header(member, int(moment))
        yield from member.chunks
        yield bytes(-member.size_bytes % _BLOCK)
    yield bytes(2 * _BLOCK)


def _header(member: Member, moment: int) -> bytes:
    """A ustar header (POSIX.1-1988), which holds names of 255 characters. Sizes from 8 GiB on are written in binary, as all tars do:
    tarfile would put another member before it for either."""
    folder, _, name = member.name.rpartition("/")
    size = member.size_bytes
    fields = [
        name.encode("ascii").ljust(100, b"\0"),
        b"%07o\0%07o\0%07o\0" % (_MODE, 0, 0),
        b"%011o\0" % size if size < _OCTAL else b"\x80" + size.to_bytes(11, "big"),
        b"%011o\0" % moment,
        b" " * 8,
        tarfile.REGTYPE + bytes(100) + tarfile.POSIX_MAGIC + bytes(80),
        folder.encode("ascii").ljust(155, b"\0"),
    ]
    block = b"".join(fields).ljust(_BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def write_tar(members: Iterable[Member], moment: float, target: Path) -> None:
    """Write them to `target`, which is there when it is whole. Raises Conflict when something is there."""
    if target.exists():
        raise Conflict(f"{target} exists already: name a new file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with draft.open("xb") as out:
            out.writelines(tar(members, moment))
            out.flush()
            os.fsync(out.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)


def write_folder(members: Iterable[Member], target: Path, *, resume: bool = False) -> None:
    """Write them below `target`, an empty folder or none. With `resume`, a folder that an earlier call has begun: large files that
    are there in full are kept, all else is written anew. Raises Conflict for another folder, and for one that is whole."""
    target.mkdir(parents=True, exist_ok=True)
    if (target / layout.MANIFEST).exists():
        raise Conflict(f"{target} is a whole export already: name a new folder.")
    if not resume and next(target.iterdir(), None) is not None:
        raise Conflict(f"{target} is not empty: name a new folder, or go on with what was begun there with --resume.")
    if resume:
        _require_begun(target)
    for member in members:
        # the name is one of the layout's own: no part of it is anybody's choice
        place = target.joinpath(*member.name.split("/"))
        if member.sha256 and place.is_file() and _digest_of(place) == member.sha256:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f"{place.name}.part")
        with draft.open("wb") as out:
            out.writelines(member.chunks)
            out.flush()
            if member.name == layout.MANIFEST:
                os.fsync(out.fileno())
        draft.rename(place)


def _digest_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _require_begun(target: Path) -> None:
    """Nothing but what an export consists of; packs and parts of a run before are cleared away, because they may be of another moment."""
    for folder, _, names in os.walk(target):
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(target).as_posix()
            if not layout.is_member(relative.removesuffix(".part")):
                raise Invalid(f"{path} does not belong into an export: --resume goes on with what an export has begun.")
            if not relative.startswith("lfs/") or relative.endswith(".part"):
                with suppress(FileNotFoundError):
                    path.unlink()
