"""A source that speaks the Hugging Face protocol and no git. Its commits are made anew, one by one, with their messages, dates,
authors and files; so they have other ids, and each names the one it was made from in the last line of its message. The same source
always gives the same ids. Programs are not told from other files by this protocol, and merges are told as a line."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Self
from urllib.parse import quote, urljoin, urlsplit

from dulwich.objects import Commit as GitCommit
from dulwich.objects import ObjectID
from dulwich.objects import Tree as GitTree
from dulwich.pack import pack_header_chunks

from common import outgoing
from common.errors import Invalid, TooLarge
from registry import trees
from registry.models import Blob, Commit, Repo
from registry.paths import check_path
from registry.services import quotas, storage
from registry.services.gitobjects import BLOB, COMMIT, TREE, packed_object, spool_folder
from registry.services.gitpacks import MAX_FILE_BYTES, MAX_OBJECTS, OF_PUSHES, Spool, too_large_file
from registry.services.sourcefetch import (
    AGENT,
    ANSWER_S,
    FOLLOW,
    Found,
    Login,
    Tell,
    ask_json,
    keep_large_file,
    refusal,
)

ORIGIN = "Imported-from"
_ORIGIN = re.compile(rf"(?:\A|\n){ORIGIN}: ([0-9a-f]{{40}})\Z")
_OID = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
_AT_ONCE = 500
_MAX_PAGES = 100_000
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class _Told:
    """A commit as the hub tells of it, with the one before it."""

    oid: str
    before: str
    title: str
    message: str
    author: str
    seconds: int


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    oid: str
    size_bytes: int
    sha256: str
    """Of a large file; else empty."""


class HubSource:
    """The repository `name` of the hub at `url`; `kind` is model or dataset."""

    def __init__(self, url: str, kind: str, name: str, login: Login, tell: Tell) -> None:
        self._url = url.rstrip("/")
        self._api = f"{self._url}/api/{kind}s/{quote(name)}"
        self._files = f"{self._url}/{'datasets/' if kind == 'dataset' else ''}{quote(name)}/resolve"
        self._login = login
        self._tell = tell
        self._large: dict[str, tuple[str, str]] = {}

    def fetch(self, repo: Repo, spool: Spool) -> Found:
        """See `Source`."""
        named = self._refs()
        made = _made_before(repo)
        told: dict[str, _Told] = {}
        for target in dict.fromkeys(named.values()):
            self._walk(target, told, made)
        if told:
            with _Packing(spool) as packing:
                for number, commit in enumerate(told.values(), 1):
                    self._tell(f"Reading commit {number} of {len(told)}: {commit.title[:100]}")
                    tree = self._build(repo, commit.oid, packing)
                    made[commit.oid] = packing.add(COMMIT, _raw_commit(commit, tree, made.get(commit.before, "")))
        branches = sorted(name for name in named if name.startswith("refs/heads/"))
        default = "refs/heads/main" if "refs/heads/main" in branches else next(iter(branches), "")
        if any(oid not in made for oid in named.values()):
            raise self._strange()
        return Found({name: made[oid] for name, oid in named.items()}, default.removeprefix("refs/heads/"))

    def bring(self, repo: Repo, wanted: Sequence[tuple[str, str, int]]) -> None:
        quotas.require_room(repo.namespace_id, sum(size for _, _, size in wanted))
        for number, item in enumerate(wanted, 1):
            path, sha256, size = item
            # what a run before has packed is packed again, so every file that is wanted was seen in this run
            revision, at = self._large.get(sha256, ("", ""))
            if not revision:
                raise Invalid(f"{path[:200]} is a pointer of git lfs at the source, kept there as a plain file.")
            url = f"{self._files}/{revision}/{quote(at)}"

            def tell(count: int, path: str = path, size: int = size, number: int = number) -> None:
                self._tell(
                    f"Large file {number} of {len(wanted)}, {path[-120:]}: {count / _MB:.1f} of {size / _MB:.1f} MB"
                )

            keep_large_file(repo, url, self._login.bearer(url), item, tell)

    # What the hub tells

    def _refs(self) -> dict[str, str]:
        """Full names of branches and tags, the default branch first, with the hub's ids."""
        answer = self._object(self._ask(f"{self._api}/refs")[0])
        found: dict[str, str] = {}
        for part, prefix in (("branches", "refs/heads/"), ("tags", "refs/tags/")):
            for row in self._list(answer.get(part, [])):
                entry = self._object(row)
                found[f"{prefix}{self._text(entry, 'name')}"] = self._text(entry, "targetCommit", _OID)
        return dict(sorted(found.items(), key=lambda item: (item[0] != "refs/heads/main", item[0])))

    def _walk(self, target: str, told: dict[str, _Told], made: dict[str, str]) -> None:
        """Add the commits up to `target` that are new, older ones first."""
        rows: list[dict[str, Any]] = []
        before = ""
        for row in self._pages(f"{self._api}/commits/{target}?limit=1000"):
            oid = self._text(row, "id", _OID)
            if oid in made or oid in told:
                before = oid
                break
            rows.append(row)
            self._tell(f"Reading the history: {len(told) + len(rows)} commits")
            if len(told) + len(rows) > OF_PUSHES.commits:
                raise TooLarge(f"The source has more than {OF_PUSHES.commits} commits, more than one import takes.")
        if not rows and not before:
            raise self._strange()
        for row in reversed(rows):
            oid = row["id"]
            told[oid] = _Told(
                oid,
                before,
                self._text(row, "title") or "(no message)",
                self._text(row, "message"),
                self._author(row),
                self._seconds(row),
            )
            before = oid

    def _tree(self, revision: str) -> Iterator[_File]:
        for row in self._pages(f"{self._api}/tree/{revision}?recursive=true&limit=1000"):
            if row.get("type") != "file":
                continue
            lfs, path = row.get("lfs"), check_path(self._text(row, "path"))
            size = self._object(lfs).get("size") if lfs else row.get("size")
            if not isinstance(size, int) or size < 0:
                raise self._strange()
            sha256 = self._text(self._object(lfs), "oid", _SHA256) if lfs else ""
            yield _File(path, self._text(row, "oid", _OID), size, sha256)

    def _author(self, row: dict[str, Any]) -> str:
        names = [
            author.get("user") or author.get("name")
            for author in self._list(row.get("authors") or [])
            if isinstance(author, dict)
        ]
        text = ", ".join(name for name in names if isinstance(name, str) and name)
        return re.sub(r"[<>\x00-\x1f\x7f]", "", text).strip()[:150] or "unknown"

    def _seconds(self, row: dict[str, Any]) -> int:
        try:
            moment = datetime.fromisoformat(self._text(row, "date"))
        except ValueError as error:
            raise self._strange() from error
        return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))

    # Making commits of it

    def _build(self, repo: Repo, revision: str, packing: "_Packing") -> str:
        """Pack trees and files of a commit that nobody has; the id of its tree."""
        files = list(self._tree(revision))
        wanted = {file.oid for file in files if not file.sha256}
        here: set[str] = set()
        ordered = sorted(wanted)
        for start in range(0, len(ordered), _AT_ONCE):
            some = ordered[start : start + _AT_ONCE]
            here |= set(Blob.objects.filter(repo_rows__repo=repo, git_oid__in=some).values_list("git_oid", flat=True))
        folders: dict[str, GitTree] = {"": GitTree()}
        for file in files:
            if file.sha256:
                self._large.setdefault(file.sha256, (revision, file.path))
                oid = packing.add(BLOB, storage.pointer_of(file.sha256, file.size_bytes))
            else:
                oid = file.oid
                if oid not in here and not packing.has(oid):
                    packing.add(BLOB, self._content(revision, file))
            folder, _, name = file.path.rpartition("/")
            _folder(folders, folder).add(name.encode(), 0o100644, ObjectID(oid.encode()))
        # the deepest first: a folder's id is part of the one around it
        for path in sorted(folders, key=lambda each: -each.count("/") if each else 1):
            oid = packing.add(TREE, folders[path].as_raw_string())
            if path:
                folder, _, name = path.rpartition("/")
                folders[folder].add(name.encode(), 0o040000, ObjectID(oid.encode()))
        return oid

    def _content(self, revision: str, file: _File) -> bytes:
        if file.size_bytes > MAX_FILE_BYTES:
            raise TooLarge(too_large_file(file.path, file.size_bytes))
        url = f"{self._files}/{revision}/{quote(file.path)}"
        headers = {"User-Agent": AGENT, **self._login.bearer(url)}
        limits: dict[str, Any] = {"limit_bytes": file.size_bytes, "timeout_s": ANSWER_S, "follow": FOLLOW}
        with outgoing.stream("GET", url, headers=headers, **limits) as answer:
            if answer.status != 200:
                raise refusal(answer.status, answer.url)
            content = b"".join(answer)
        if trees.blob_oid(content) != file.oid:
            raise Invalid(
                f"What {self._host} sends for {file.path} is not the file that it lists: the source is damaged."
            )
        return content

    # Asking

    def _pages(self, url: str) -> Iterator[dict[str, Any]]:
        for _ in range(_MAX_PAGES):
            rows, link = self._ask(url)
            for row in self._list(rows):
                yield self._object(row)
            following = _NEXT.search(link)
            if following is None:
                return
            url = urljoin(url, following[1])
        raise self._strange()

    def _ask(self, url: str) -> tuple[Any, str]:
        return ask_json("GET", url, self._login.bearer(url))

    def _object(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._strange()
        return value

    def _list(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self._strange()
        return value

    def _text(self, row: dict[str, Any], key: str, form: re.Pattern[str] | None = None) -> str:
        value = row.get(key, "")
        if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
            raise self._strange()
        return value

    def _strange(self) -> Invalid:
        return Invalid(f"{self._host} does not answer as the Hugging Face protocol says: check the address of the hub.")

    @property
    def _host(self) -> str:
        return str(urlsplit(self._url).hostname)


class _Packing:
    """Gathers objects, each once, and writes them as a pack into the spool at the end."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: BinaryIO = tempfile.TemporaryFile(dir=spool_folder())  # noqa: SIM115 - closed in __exit__
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._write()
        finally:
            self._file.close()

    def has(self, oid: str) -> bool:
        return oid in self._seen

    def add(self, kind: int, content: bytes) -> str:
        """The id of the object."""
        name = {COMMIT: "commit", TREE: "tree", BLOB: "blob"}[kind]
        oid = hashlib.sha1(f"{name} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
        if oid not in self._seen and not (kind == TREE and oid == trees.EMPTY_TREE_OID):
            self._seen.add(oid)
            if len(self._seen) > MAX_OBJECTS:
                raise TooLarge(f"The history has more than {MAX_OBJECTS} objects, more than one import takes.")
            for piece in packed_object(kind, content):
                self._file.write(piece)
        return oid

    def _write(self) -> None:
        digest = hashlib.sha1(usedforsecurity=False)

        def put(piece: bytes) -> None:
            digest.update(piece)
            self._spool.write(piece)

        for piece in pack_header_chunks(len(self._seen)):
            put(piece)
        self._file.seek(0)
        while piece := self._file.read(1024 * 1024):
            put(piece)
        self._spool.write(digest.digest())


def _made_before(repo: Repo) -> dict[str, str]:
    """Ids here of the commits that were made by earlier runs, by the hub's ids."""
    rows = Commit.objects.filter(repo=repo, description__contains=f"{ORIGIN}: ").values_list("oid", "description")
    return {match[1]: oid for oid, text in rows.iterator(chunk_size=2000) if (match := _ORIGIN.search(text))}


def _folder(folders: dict[str, GitTree], path: str) -> GitTree:
    above = path
    while above not in folders:
        folders[above] = GitTree()
        above = above.rpartition("/")[0]
    return folders[path]


def _raw_commit(told: _Told, tree: str, before: str) -> bytes:
    git = GitCommit()
    git.tree = ObjectID(tree.encode())
    git.parents = [ObjectID(before.encode())] if before else []
    git.author = git.committer = f"{told.author} <{told.author}@users.noreply.invalid>".encode()
    git.author_time = git.commit_time = told.seconds
    git.author_timezone = git.commit_timezone = 0
    git.encoding = b"UTF-8"
    git.message = "\n\n".join(
        part for part in (told.title, told.message.strip(), f"{ORIGIN}: {told.oid}\n") if part
    ).encode()
    return git.as_raw_string()
