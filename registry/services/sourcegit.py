"""A source that speaks git: its refs and objects by git's smart protocol over HTTP, large files by the batch protocol of git lfs."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from dulwich.client import AbstractHttpGitClient
from dulwich.errors import GitProtocolError, NotGitRepository
from dulwich.objects import ObjectID
from dulwich.refs import HEADREF, Ref

from common import outgoing
from common.errors import Invalid, NotFound, TooLarge
from registry.models import Branch, Commit, Repo, Tag
from registry.services import quotas
from registry.services.gitpacks import MAX_PACK_BYTES, Spool
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

MAX_REFS = 20_000
_REFS_BYTES = 32 * 1024**2
_PACK_S = 3600.0
_HAVES = 256
"""As many as are said in one request without hearing an answer."""
_LFS_AT_ONCE = 100
_LFS_TYPE = "application/vnd.git-lfs+json"
_ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
_MB = 1_000_000
_BROKEN = (GitProtocolError, NotGitRepository, AssertionError, ValueError, KeyError, IndexError)
"""What the client raises for answers that are not git's."""


class NoGit(NotFound):
    """Whatever answers there does not speak git."""

    default_code = "no_git"


class GitSource:
    """A git repository at `url`."""

    def __init__(self, url: str, login: Login, tell: Tell) -> None:
        self._url = url.rstrip("/")
        self._login = login
        self._tell = tell

    def fetch(self, repo: Repo, spool: Spool) -> Found:
        """See `Source`. Raises NoGit when nobody speaks git there."""
        client = _Client(self._url, self._login)
        host = urlsplit(self._url).hostname

        def keep(piece: bytes) -> int:
            spool.write(piece)
            self._tell(f"Receiving commits and files: {spool.size_bytes / _MB:.1f} MB")
            return len(piece)

        try:
            result = client.fetch_pack(
                "",
                lambda refs, depth=None: _wants(repo, refs),  # noqa: ARG005 - the library's signature
                _Haves(repo),
                keep,
                lambda _: self._tell("The source is packing its history"),
                ref_prefix=[b"HEAD", b"refs/heads/", b"refs/tags/"],
            )
        except _BROKEN as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise Invalid(f"{host} does not answer as git does: {said}") from error
        found = Found({}, "")
        for raw, oid in result.refs.items():
            name = raw.decode("utf-8", "replace")
            if oid is None or not name.startswith(("refs/heads/", "refs/tags/")):
                continue
            if name.encode() != raw:
                found.skipped.append((name, "Its name is not UTF-8."))
            else:
                found.refs[name] = oid.decode("ascii")
        head = (result.symrefs or {}).get(HEADREF, Ref(b"")).decode("utf-8", "replace")
        found.default_branch = _default(found.refs, head)
        return found

    def bring(self, repo: Repo, wanted: Sequence[tuple[str, str, int]]) -> None:
        quotas.require_room(repo.namespace_id, sum(size for _, _, size in wanted))
        for start in range(0, len(wanted), _LFS_AT_ONCE):
            some = wanted[start : start + _LFS_AT_ONCE]
            actions = self._actions(some)
            for number, item in enumerate(some, start + 1):
                path, sha256, size = item
                href, headers = _action(actions.get(sha256), path)

                def tell(count: int, path: str = path, size: int = size, number: int = number) -> None:
                    self._tell(
                        f"Large file {number} of {len(wanted)}, {path[-120:]}: {count / _MB:.1f} of {size / _MB:.1f} MB"
                    )

                keep_large_file(repo, href, headers, item, tell)

    def _actions(self, wanted: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
        """What the batch protocol says of each file, by SHA-256."""
        url = f"{self._url.removesuffix('.git')}.git/info/lfs/objects/batch"
        body = {
            "operation": "download",
            "transfers": ["basic"],
            "hash_algo": "sha256",
            "objects": [{"oid": sha256, "size": size} for _, sha256, size in wanted],
        }
        headers = {"Accept": _LFS_TYPE, "Content-Type": _LFS_TYPE, **self._login.basic(url)}
        answer, _ = ask_json("POST", url, headers, json.dumps(body).encode())
        rows = answer.get("objects") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise Invalid(f"{urlsplit(url).hostname} does not answer as git lfs does.")
        return {str(row.get("oid")): row for row in rows if isinstance(row, dict)}


def _default(refs: dict[str, str], head: str) -> str:
    """The branch that the source shows first."""
    names = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    wanted = [head.removeprefix("refs/heads/"), "main", "master", *sorted(names)]
    return next((name for name in wanted if name in names), "")


def _wants(repo: Repo, refs: Mapping[Ref, ObjectID]) -> list[ObjectID]:
    """The objects that refs lead to and the repository has not."""
    if len(refs) > MAX_REFS:
        raise TooLarge(f"The source has {len(refs)} branches and tags; {MAX_REFS} are the limit.")
    wanted = {
        oid.decode("ascii") for name, oid in refs.items() if name.startswith((b"refs/heads/", b"refs/tags/")) and oid
    }
    ordered = sorted(wanted)
    for start in range(0, len(ordered), 500):
        some = ordered[start : start + 500]
        wanted.difference_update(Commit.objects.filter(repo=repo, oid__in=some).values_list("oid", flat=True))
        wanted.difference_update(Tag.objects.filter(repo=repo, oid__in=some).values_list("oid", flat=True))
    return [ObjectID(oid.encode()) for oid in sorted(wanted)]


class _Haves:
    """Says which commits are here: the heads, then the newest."""

    def __init__(self, repo: Repo) -> None:
        self._rest = self._all(repo)

    def _all(self, repo: Repo) -> Iterator[ObjectID]:
        heads = Branch.objects.filter(repo=repo).values_list("head__oid", flat=True)[:_HAVES]
        newest = Commit.objects.filter(repo=repo, lost=None).order_by("-pk").values_list("oid", flat=True)[:_HAVES]
        for oid in dict.fromkeys([*heads, *newest]):
            yield ObjectID(oid.encode())

    def __next__(self) -> ObjectID | None:
        return next(self._rest, None)

    def ack(self, sha: ObjectID) -> None:
        """All is said in one request: nothing follows from the answer."""

    def nak(self) -> None:
        """As `ack`."""


class _Client(AbstractHttpGitClient):
    """The library's client, over requests that are checked. It takes no packs that lean on objects outside of them."""

    def __init__(self, url: str, login: Login) -> None:
        super().__init__(url, thin_packs=False)
        self._login = login

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,  # noqa: FBT001, FBT002 - the library's signature
    ) -> tuple[Any, Callable[[int], bytes]]:
        sent = {name: value for name, value in (headers or {}).items() if name.lower() != "content-length"}
        sent |= {"User-Agent": AGENT, **self._login.basic(url)}
        body = b"" if data is None else data if isinstance(data, bytes) else b"".join(data)
        is_first = data is None
        with ExitStack() as stack:
            answer = stack.enter_context(
                outgoing.stream(
                    "GET" if is_first else "POST",
                    url,
                    headers=sent,
                    body=body,
                    limit_bytes=_REFS_BYTES if is_first else MAX_PACK_BYTES + MAX_PACK_BYTES // 64,
                    timeout_s=ANSWER_S if is_first else _PACK_S,
                    follow=FOLLOW,
                )
            )
            _check_answer(answer, is_first=is_first)
            # open until the library has read it
            return _Response(answer, url, stack.pop_all()), io.BufferedReader(_Raw(answer)).read
        raise AssertionError("the stack swallows nothing")


def _check_answer(answer: outgoing.Stream, *, is_first: bool) -> None:
    if answer.status != 200:
        error = refusal(answer.status, answer.url)
        raise NoGit(error.message) if is_first and answer.status in {404, 405, 410} else error
    if is_first and answer.headers.get("content-type", "").split(";")[0] != _ADVERTISEMENT:
        host = urlsplit(answer.url).hostname
        raise NoGit(f"{host} does not speak git at this address: give the one that git clone takes.")


class _Response:
    """An answer with the attributes that the library looks at."""

    def __init__(self, answer: outgoing.Stream, url: str, stack: ExitStack) -> None:
        self.status = answer.status
        self.content_type = answer.headers.get("content-type")
        self.redirect_location = answer.url if answer.url != url else ""
        self.close = stack.close


class _Raw(io.RawIOBase):
    """A stream as a file, so that as many bytes come as are asked for."""

    def __init__(self, answer: outgoing.Stream) -> None:
        super().__init__()
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._answer.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _action(row: Any, path: str) -> tuple[str, dict[str, str]]:
    """Where a file is fetched, and with which headers."""
    row = row if isinstance(row, dict) else {}
    if isinstance(error := row.get("error"), dict):
        said = " ".join(str(error.get("message", "")).split())[:200]
        raise NotFound(f"The source does not give out the large file {path[:200]}: {said or 'it says not why'}")
    actions = row.get("actions")
    action = actions.get("download") if isinstance(actions, dict) else None
    href = action.get("href") if isinstance(action, dict) else None
    headers = (action.get("header") or {}) if isinstance(action, dict) else {}
    if not isinstance(href, str) or not isinstance(headers, dict):
        raise NotFound(f"The source does not have the large file {path[:200]} any more, which its history names.")
    return href, {str(name): str(value) for name, value in headers.items() if str(name).lower() != "host"}
