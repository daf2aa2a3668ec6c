"""What fetching from elsewhere has in common, over git or the Hugging Face protocol: who asks, what answers mean, and large files,
which are kept only if their bytes are the ones that the history names."""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from common import outgoing, strict_json
from common.errors import DomainError, Forbidden, Invalid, NotFound, TooLarge, Unavailable
from registry.models import Repo
from registry.services import holdings, storage
from registry.services.gitpacks import Spool

AGENT = "git/mercato"
"""Some servers answer git only when a client calls itself so."""
JSON_BYTES = 16 * 1024**2
ANSWER_S = 120.0
FOLLOW = 5
_LEAST_BYTES_PER_S = 256 * 1024
"""Slower than this, a file is not waited for: others wait for their turn."""

Tell = Callable[[str], None]
"""Notes in a sentence how far it is; raises when nobody wants the rest any more."""


@dataclass(frozen=True)
class Login:
    """What the source wants to see, sent to its own host only."""

    url: str
    username: str = ""
    token: str = ""

    def basic(self, url: str) -> dict[str, str]:
        """The header with which git shows it, for a request to `url`."""
        pair = base64.b64encode(f"{self.username or 'git'}:{self.token}".encode()).decode()
        return self._header(url, f"Basic {pair}")

    def bearer(self, url: str) -> dict[str, str]:
        """The header with which programs of the hub show it, for a request to `url`."""
        return self._header(url, f"Bearer {self.token}")

    def _header(self, url: str, value: str) -> dict[str, str]:
        return {"Authorization": value} if self.token and origin(url) == origin(self.url) else {}


@dataclass
class Found:
    """What the source has: full names of branches and tags with the ids that they have here, and the default branch."""

    refs: dict[str, str]
    default_branch: str
    skipped: list[tuple[str, str]] = field(default_factory=list)


class Source(Protocol):
    """A place that a repository comes from."""

    def fetch(self, repo: Repo, spool: Spool) -> Found:
        """What there is; the objects that `repo` has not go into `spool` as a pack. Raises DomainError."""

    def bring(self, repo: Repo, wanted: Sequence[tuple[str, str, int]]) -> None:
        """Make `repo` hold large files: paths, SHA-256 and sizes. Raises DomainError."""


def origin(url: str) -> tuple[str, str]:
    """What decides whether an address may see a credential."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def refusal(status: int, url: str) -> DomainError:
    """The error that an answer other than 200 is, with what to do about it."""
    host = urlsplit(url).hostname
    if status in {401, 403}:
        return Forbidden(
            f"{host} refuses ({status}): the source is private, or not there. Give a user name and a token that may read it, then try again."
        )
    if status in {404, 410}:
        return NotFound(
            f"{host} has nothing at this address ({status}): check it; if the source is private, give a token that may read it."
        )
    if status == 429 or status >= 500:
        return Unavailable(f"{host} answers {status}: it is overloaded or broken at present.")
    return Invalid(f"{host} answers {status}, which is not what a source answers: check the address.")


def ask_json(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> tuple[Any, str]:
    """The JSON that an address answers with, and its `Link` header. Raises DomainError, after `refusal` for another status than 200."""
    limits: dict[str, Any] = {"limit_bytes": JSON_BYTES, "timeout_s": ANSWER_S, "follow": FOLLOW}
    with outgoing.stream(method, url, headers={"User-Agent": AGENT, **headers}, body=body, **limits) as answer:
        if answer.status != 200:
            raise refusal(answer.status, answer.url)
        try:
            return strict_json.loads(b"".join(answer), max_bytes=JSON_BYTES), answer.headers.get("link", "")
        except Invalid as error:
            raise Invalid(f"{urlsplit(url).hostname} answers something that is no JSON: check the address.") from error


def keep_large_file(
    repo: Repo, url: str, headers: dict[str, str], wanted: tuple[str, str, int], tell: Callable[[int], None]
) -> None:
    """Fetch a large file and make the repository hold it; `tell` hears how many bytes have come. Nothing is kept of bytes with
    another digest or length. Raises DomainError."""
    path, sha256, size_bytes = wanted
    with outgoing.stream(
        "GET",
        url,
        headers={"User-Agent": AGENT, **headers},
        limit_bytes=size_bytes,
        timeout_s=300 + size_bytes / _LEAST_BYTES_PER_S,
        follow=FOLLOW,
    ) as answer:
        if answer.status != 200:
            raise refusal(answer.status, answer.url)
        try:
            blob = storage.store_blob(_counted(answer, tell), size_bytes=size_bytes, sha256=sha256)
        except (Invalid, TooLarge) as error:
            if error.code not in {"wrong_size", "wrong_digest", "too_large"}:
                raise
            raise Invalid(
                f"What {urlsplit(answer.url).hostname} sends for {path[:200]} is not the file that its history names: the source is damaged."
            ) from error
    holdings.hold(repo, [blob.pk])


def _counted(answer: outgoing.Stream, tell: Callable[[int], None]) -> Iterator[bytes]:
    count = 0
    for piece in answer:
        count += len(piece)
        tell(count)
        yield piece
