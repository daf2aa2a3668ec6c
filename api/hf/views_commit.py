"""Uploading: checking a card, deciding how each file is sent, and the commit itself."""

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf.bodies import Body, json_object, list_of, size_of, text_of
from api.hf.commit_body import Line, read_lines, sample_of
from api.hf.routing import base_url, flag, place_of
from api.hf.wildcards import MAX_TEXT_BYTES, Rules
from api.hf.wire import json_response, repo_path
from common.errors import Invalid, StaleParent
from registry import queries
from registry.errors import EntryNotFound
from registry.policies import is_pull_branch, require_branch_write, require_contributor, require_repo
from registry.services import cards, commits, pulls, quotas, storage
from registry.services.commits import AddFile, AddLfs, DeleteFile, DeleteFolder, Operation

if TYPE_CHECKING:
    from registry.models import Commit

MAX_PREUPLOAD_FILES = 5000
"""Clients ask for 256 at a time."""
LFS_BYTES = 10 * 1024**2
"""Larger files never go through the body of a commit."""
LFS_BINARY_BYTES = 1024**2
"""Binary files above this neither: base64 would make them a third longer."""
SMALL_BYTES = 64 * 1024
"""Files up to this are stored many at a time."""
_BATCH_FILES = 256
_BATCH_BYTES = 4 * 1024**2
_SHORTEST_ID = 5


def validate_yaml(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is wrong with a README's front matter: 400 when it could not be saved, else 200 with warnings."""
    data = json_object(request, max_bytes=4 * 1024**2)
    content = text_of(data, "content", max_length=2 * 1024**2)
    card = cards.parse_card(content)
    answer = {
        "errors": [{"message": text} for text in card.errors],
        "warnings": [{"message": text} for text in card.warnings],
    }
    return json_response(answer, status=400 if card.errors else 200)


def preupload(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """For each file: in the commit's body or as a large file, left out or not, and what is at its path now."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    require_sender(actor, repo, rest, is_proposal=flag(request.GET.get("create_pr")))
    quotas.require_room(repo.namespace_id, 1, is_early=True)
    place = place_of(request, repo, rest)
    data = json_object(request, max_bytes=8 * 1024**2)
    files = list_of(data, "files", max_length=MAX_PREUPLOAD_FILES)
    if not all(isinstance(file, dict) for file in files):
        raise Invalid('"files" must be a list of objects.')
    paths = [text_of(file, "path", max_length=4096) for file in files]
    ignore = text_of(data, "gitIgnore", default="", max_length=MAX_TEXT_BYTES) or _text(place.commit, ".gitignore")
    rules = Rules(_text(place.commit, ".gitattributes"), ignore)
    present = {entry.path: entry for entry in queries.entries_for(place.commit, paths) if not entry.is_dir}
    answers = []
    for file, path in zip(files, paths, strict=True):
        is_lfs = _is_lfs(rules, path, size_of(file, "size"), sample_of(file.get("sample")))
        answer = {"path": path, "uploadMode": "lfs" if is_lfs else "regular", "shouldIgnore": rules.is_ignored(path)}
        if entry := present.get(path):
            answer["oid"] = entry.sha256 or entry.oid
        answers.append(answer)
    return json_response({"files": answers})


def commit(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """Read the operations as they arrive, store the bytes of each file, then make one commit of them or none: on the branch, or on
    that of a pull request which is opened for it."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    is_proposal = flag(request.GET.get("create_pr"))
    branch = rest.removeprefix("refs/heads/")
    require_sender(actor, repo, branch, is_proposal=is_proposal)
    head = queries.resolve_revision(repo, branch if is_pull_branch(branch) else f"refs/heads/{branch}")
    keeper = SmallFiles()
    lines = read_lines(Body(request), keeper.keep)
    header = next(lines, None)
    if header is None or header.key != "header":
        raise Invalid('The first line of a commit must be its "header".')
    parent = text_of(header.value, "parentCommit", default="", max_length=64)
    if parent and not is_proposal and not (len(parent) >= _SHORTEST_ID and head.oid.startswith(parent.lower())):
        raise StaleParent("The branch has moved on.")
    read = list(lines)
    keeper.flush()
    operations = [_operation(line) for line in read]
    message = {
        "summary": text_of(header.value, "summary", max_length=3000),
        "description": text_of(header.value, "description", default="", max_length=100_000),
    }
    page = f"{base_url(request)}{repo_path(repo)}"
    answer = {"success": True, "hookOutput": ""}
    if is_proposal:
        pull, made = pulls.propose_commit(actor, repo, branch, operations, **message, parent=parent.lower() or None)
        answer["pullRequestUrl"] = f"{page}/discussions/{pull.number}"
    else:
        made = commits.create_commit(actor, repo, branch, operations, **message, parent=parent or None)
    return json_response(answer | {"commitOid": made.oid, "commitUrl": f"{page}/commit/{made.oid}"})


def require_sender(actor: Actor, repo: Any, revision: str, *, is_proposal: bool) -> None:
    """Whether the actor may send files for `revision`: who may write to it, and for a pull request everybody who may read."""
    if is_proposal:
        require_contributor(actor, repo)
    else:
        require_branch_write(actor, repo, revision.removeprefix("refs/heads/"))


class SmallFiles:
    """Stores what comes in the body of a commit: long files one by one as they arrive, short ones many at a time, because each
    alone would wait for the disk. What `keep` returns stands for the file, and is its Blob after `flush`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Stored, bytes]] = []
        self._waiting_bytes = 0

    def keep(self, pieces: Iterator[bytes]) -> "Stored":
        """Take one file. Whole in memory only up to `SMALL_BYTES`."""
        first, rest = _split(pieces, SMALL_BYTES)
        stored = Stored()
        if rest is not None:
            stored.blob = storage.store_blob(rest)
            return stored
        self._waiting.append((stored, first))
        self._waiting_bytes += len(first)
        if len(self._waiting) >= _BATCH_FILES or self._waiting_bytes >= _BATCH_BYTES:
            self.flush()
        return stored

    def flush(self) -> None:
        """Store what waits."""
        blobs = storage.store_many([content for _, content in self._waiting])
        for (stored, _), blob in zip(self._waiting, blobs, strict=True):
            stored.blob = blob
        self._waiting, self._waiting_bytes = [], 0


class Stored:
    """A file of a commit on its way into the store."""

    blob: Any = None


def _split(pieces: Iterator[bytes], limit: int) -> tuple[bytes, Iterator[bytes] | None]:
    """All of a short file, and None; or nothing, and all of a long one in pieces."""
    head: list[bytes] = []
    size = 0
    for piece in pieces:
        head.append(piece)
        size += len(piece)
        if size > limit:
            return b"", chain(head, pieces)
    return b"".join(head), None


def _operation(line: Line) -> Operation:
    path = text_of(line.value, "path", max_length=4096)
    match line.key:
        case "file":
            return AddFile(path, line.content.blob)
        case "lfsFile":
            if line.value.get("algo", "sha256") != "sha256":
                raise Invalid("The only digest of large files is sha256.")
            size = size_of(line.value, "size") if line.value.get("size") is not None else None
            return AddLfs(path, text_of(line.value, "oid", max_length=64), size)
        case "deletedFile":
            return DeleteFile(path)
        case "deletedFolder":
            return DeleteFolder(path)
        case _:
            raise Invalid(f"{line.key[:40]!r} is not an operation of a commit.")


def _is_lfs(rules: Rules, path: str, size_bytes: int, sample: bytes) -> bool:
    if size_bytes == 0:
        return False
    return size_bytes > LFS_BYTES or rules.is_lfs(path) or (size_bytes > LFS_BINARY_BYTES and b"\0" in sample)


def _text(commit: "Commit", path: str) -> str:
    try:
        return queries.read_text(commit, path, limit=MAX_TEXT_BYTES)
    except EntryNotFound:
        return ""
