"""The files of a model or dataset at a revision, from another hub that speaks the Hugging Face protocol: another site of this kind, too."""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import quote, urljoin

from backends.contracts.sources import Door, Field, Source, SourceFile
from backends.errors import Rejected
from backends.sources import web

_REPO = re.compile(r"[\w.-]{1,96}(?:/[\w.-]{1,96})?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')
_PAGES = 100_000


class HubSource(Source):
    name = "hub"
    title = "Another hub"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("repo", "Repository", "owner/name", is_required=True),
        Field("kind", "Kind", default="dataset", choices=("dataset", "model")),
        Field("revision", "Revision", "A branch, tag or commit.", default="main"),
        Field("path", "Folder", "Only what lies in it; left empty, everything."),
        Field("endpoint", "Hub", "Its address.", default="https://huggingface.co"),
        Field("token", "Token", "For what is private or gated there.", is_secret=True),
    )

    def __init__(self, given: Mapping[str, str], door: Door) -> None:
        super().__init__(given, door)
        self._endpoint = web.base_of(given["endpoint"], "The address of the hub", "endpoint")
        self._repo, self._kind, self._path = given["repo"], given["kind"], given.get("path", "").strip("/")
        if not _REPO.fullmatch(self._repo) or ".." in self._repo:
            raise Rejected("A repository is named owner/name.", "repo")
        self._headers = {"Authorization": f"Bearer {given['token']}"} if given.get("token") else {}

    @property
    def address(self) -> str:
        prefix = "datasets/" if self._kind == "dataset" else ""
        at = f"{self._endpoint}/{prefix}{self._repo}/tree/{self.given['revision']}"
        return (f"{at}/{self._path}" if self._path else at)[:1000]

    def facts(self) -> dict[str, Any]:
        return {"commit": self._commit}

    def files(self) -> Iterator[SourceFile]:
        commit = self._commit
        place = f"{self._api}/tree/{commit}" + (f"/{web.escaped(self._path)}" if self._path else "")
        url: str | None = f"{place}?recursive=true&expand=false"
        seen: set[str] = set()
        while url is not None:
            # a name that ends this list would be asked with the token: it stays with the host that was named
            if url in seen or len(seen) > _PAGES or web.origin_of(url) != web.origin_of(self._endpoint):
                raise Rejected("The hub's list of files does not come to an end.")
            seen.add(url)
            rows, said = web.read_json(self.door, url, self._headers)
            if not isinstance(rows, list):
                raise Rejected("The hub does not answer as Hugging Face's does: is the address right?")
            for each in rows:
                if (found := self._file(each, commit)) is not None:
                    yield found
            following = _NEXT.search(said.get("link", ""))
            url = urljoin(url, following.group(1)) if following else None

    def open(self, file: SourceFile, limit_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        prefix = "datasets/" if self._kind == "dataset" else ""
        url = f"{self._endpoint}/{prefix}{self._repo}/resolve/{file.key['commit']}/{web.escaped(file.key['path'])}"
        return web.bytes_of(
            self.door,
            url,
            self._headers,
            limit_bytes=limit_bytes,
            size=file.size_bytes,
            sha256=file.sha256,
            git_oid=file.git_oid,
        )

    @property
    def _api(self) -> str:
        return f"{self._endpoint}/api/{self._kind}s/{self._repo}"

    @cached_property
    def _commit(self) -> str:
        """The commit that the revision names now: what is listed and what is fetched are of one state."""
        found, _ = web.read_json(
            self.door, f"{self._api}/revision/{quote(self.given['revision'], safe='')}", self._headers
        )
        commit = found.get("sha") if isinstance(found, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise Rejected("The hub does not answer as Hugging Face's does: is the address right?")
        return commit

    def _file(self, each: Any, commit: str) -> SourceFile | None:
        if not isinstance(each, dict) or not isinstance(each.get("path"), str):
            raise Rejected("The hub does not answer as Hugging Face's does: is the address right?")
        if each.get("type") != "file":
            return None
        path, size, large = each["path"], each.get("size"), each.get("lfs")
        if type(size) is not int or size < 0 or (self._path and not path.startswith(f"{self._path}/")):
            raise Rejected("The hub lists what was not asked for.")
        below = path[len(self._path) :].lstrip("/")
        key = {"path": path, "commit": commit}
        sha256 = str(large.get("oid", "")).removeprefix("sha256:") if isinstance(large, dict) else ""
        oid = str(each.get("oid", ""))
        if (not _SHA256.fullmatch(sha256)) if large else (not _COMMIT.fullmatch(oid)):
            raise Rejected(f"The hub gives no digest of {path[:100]}, so its bytes could not be checked.")
        return SourceFile(below, size, sha256=sha256, git_oid="" if large else oid, key=key)
