"""The shapes of the Hugging Face protocol, written field by field; the names are the protocol's."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpResponse

from common.clock import hub_time

if TYPE_CHECKING:
    from registry.models import Branch, Commit, Repo, Tag
    from registry.queries import Entry

LFS_TYPE = "application/vnd.git-lfs+json"


def json_response(data: Any, *, status: int = 200, content_type: str = "application/json") -> HttpResponse:
    """`data` as JSON. `/` and quotes stay as they are; nothing in it is ever read as a page."""
    response = HttpResponse(json.dumps(data, separators=(",", ":")), status=status, content_type=content_type)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def next_link(url: str, query: Iterable[tuple[str, str]], cursor: str) -> str:
    """The `Link` header of the next page: the whole query again, with another cursor."""
    pairs = [*((name, value) for name, value in query if name != "cursor"), ("cursor", cursor)]
    return f'<{url}?{urlencode(pairs)}>; rel="next"'


def repo_id(repo: "Repo") -> str:
    return f"{repo.namespace.name}/{repo.name}"


def repo_path(repo: "Repo") -> str:
    """The address of the repository's page, which is also where the client expects it."""
    return f"/{'' if repo.kind == 'model' else repo.kind + 's/'}{repo_id(repo)}"


def pointer_size(sha256: str, size_bytes: int) -> int:
    """Bytes of the git-lfs pointer text that stands for the file in git."""
    return len(f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size_bytes}\n")


_SECURITY = {
    "data-only": "safe",
    "code": "caution",
    "unknown": "caution",
    "flagged": "suspicious",
    "malicious": "unsafe",
}


def security_status(verdict: str | None) -> str:
    """A verdict in the words of the protocol."""
    return "unscanned" if verdict is None else _SECURITY.get(verdict, "caution")


def entry(item: "Entry", last_commit: "Commit | None" = None, verdict: str | None = None) -> dict[str, Any]:
    """A line of a tree. `lastCommit` and what scanning found only when asked for."""
    if item.is_dir:
        data: dict[str, Any] = {"type": "directory", "oid": item.oid, "size": 0, "path": item.path}
    else:
        data = {"type": "file", "oid": item.oid, "size": item.size_bytes, "path": item.path}
        if item.sha256 is not None:
            pointer = pointer_size(item.sha256, item.size_bytes)
            data["lfs"] = {"oid": item.sha256, "size": item.size_bytes, "pointerSize": pointer}
    if last_commit is not None:
        title = last_commit.summary
        data["lastCommit"] = {"id": last_commit.oid, "title": title, "date": hub_time(last_commit.created_at)}
        if not item.is_dir:
            status = {"status": security_status(verdict), "avScan": None, "pickleImportScan": None}
            data["securityFileStatus"] = status
    return data


def sibling(item: "Entry", *, blobs: bool) -> dict[str, Any]:
    """A file in the information about a repository. Here the digest is called `sha256`, in a tree it is `oid`."""
    data: dict[str, Any] = {"rfilename": item.path}
    if blobs:
        data |= {"size": item.size_bytes, "blobId": item.oid}
        if item.sha256 is not None:
            pointer = pointer_size(item.sha256, item.size_bytes)
            data["lfs"] = {"size": item.size_bytes, "sha256": item.sha256, "pointerSize": pointer}
    return data


def commit(item: "Commit", *, formatted: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": item.oid,
        "title": item.summary,
        "message": item.description,
        "authors": [{"user": item.author_name}],
        "date": hub_time(item.created_at),
    }
    if formatted:
        data["formatted"] = {"title": _escaped(item.summary), "message": _escaped(item.description)}
    return data


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def branch(item: "Branch") -> dict[str, str]:
    return {"name": item.name, "ref": f"refs/heads/{item.name}", "targetCommit": item.head.oid}


def pull_branch(item: "Branch") -> dict[str, str]:
    return {"name": item.name, "ref": item.name, "targetCommit": item.head.oid}


def tag(item: "Tag") -> dict[str, str]:
    return {"name": item.name, "ref": f"refs/tags/{item.name}", "targetCommit": item.commit.oid}


def storage_line(repo: "Repo", size_bytes: int, total_bytes: int) -> dict[str, Any]:
    """A line in the list of what somebody has; `storagePercent` of all lines on the page."""
    return {
        "id": repo_id(repo),
        "type": repo.kind,
        "visibility": "public" if repo.visibility == "public" else "private",
        "updatedAt": hub_time(repo.updated_at),
        "storage": size_bytes,
        "storagePercent": size_bytes / total_bytes,
    }


def recall(notice: Any) -> dict[str, Any]:
    """Why the version at a revision was recalled; clients that do not know the field ignore it."""
    return {
        "uuid": str(notice.uuid),
        "category": notice.category,
        "severity": notice.severity,
        "reason": notice.reason,
        "advice": notice.advice,
        "recalledAt": notice.recalled_at.isoformat(),
    }
