"""What git calls upload-pack: telling which refs there are, and sending what a client has not. Protocol version 2, and version 0
for the clients that know no other. Both are stateless here: each request says all that is needed."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from django.http import HttpRequest

from accounts.actors import Actor
from api.git.pktlines import DATA, DELIMITER, FATAL, FLUSH, PROGRESS, Lines, Mark, band, gathered, line
from common.errors import DomainError, Invalid, TooLarge
from registry.services import reading, repos
from registry.services.gitobjects import Cut, Fetch, Filter, GitRef, full_name, pack, refs_of

if TYPE_CHECKING:
    from registry.models import Repo

logger = logging.getLogger(__name__)

AGENT = "agent=mercato"
MAX_REQUEST_BYTES = 16 * 1024**2
_MAX_WANTS = 200_000
_MAX_PREFIXES = 1000
"""As many names of refs are looked for; a client that asks for more gets all."""
_V0_CAPABILITIES = (
    "multi_ack_detailed side-band-64k ofs-delta shallow deepen-since deepen-not deepen-relative no-progress include-tag "
    "allow-tip-sha1-in-want allow-reachable-sha1-in-want filter object-format=sha1"
)
_FIRST_WANT = len("want ") + 40
_OID = re.compile(r"[0-9a-f]{40}")
_LIMIT = re.compile(r"blob:limit=([0-9]{1,15})([kmg]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def version_of(request: HttpRequest) -> int:
    """2 when the client knows it, else 0."""
    return 2 if "version=2" in request.headers.get("Git-Protocol", "").split(":") else 0


# Which refs there are


def advertisement(request: HttpRequest, repo: "Repo") -> bytes:
    """The first answer to a client that wants to fetch."""
    if version_of(request) == 2:
        offered = ("version 2", AGENT, "ls-refs=unborn", "fetch=shallow filter", "object-format=sha1")
        return b"".join(line(each) for each in offered) + FLUSH
    refs = refs_of(repo)
    head = _head(repo, refs)
    capabilities = f"{_V0_CAPABILITIES} {AGENT}"
    if head is not None:
        capabilities += f" symref=HEAD:{full_name(repo.default_branch)}"
        refs = [replace(head, name="HEAD"), *refs]
    return line("# service=git-upload-pack") + FLUSH + advertised(refs, capabilities, peeled=True)


def advertised(refs: Sequence[GitRef], capabilities: str, *, peeled: bool) -> bytes:
    """Refs as version 0 lists them, with the capabilities behind the first."""
    rows = []
    for ref in refs or [GitRef("capabilities^{}", "0" * 40)]:
        rows.append(f"{ref.oid} {ref.name}")
        if peeled and ref.peeled:
            rows.append(f"{ref.peeled} {ref.name}^{{}}")
    rows[0] += f"\0{capabilities}"
    return b"".join(line(row) for row in rows) + FLUSH


def _head(repo: "Repo", refs: Iterable[GitRef]) -> GitRef | None:
    wanted = full_name(repo.default_branch)
    return next((ref for ref in refs if ref.name == wanted), None)


def _ls_refs(repo: "Repo", arguments: Iterable[bytes]) -> Iterator[bytes]:
    words = set(arguments)
    prefixes = [word.removeprefix(b"ref-prefix ") for word in words if word.startswith(b"ref-prefix ")]
    chosen = tuple(prefixes) if 0 < len(prefixes) <= _MAX_PREFIXES else (b"",)
    refs = refs_of(repo)
    head = _head(repo, refs)
    target = f" symref-target:{full_name(repo.default_branch)}" if b"symrefs" in words else ""
    if b"HEAD".startswith(chosen):
        if head is not None:
            yield line(f"{head.oid} HEAD{target}")
        elif b"unborn" in words:
            yield line(f"unborn HEAD{target}")
    for ref in refs:
        if ref.name.encode().startswith(chosen):
            peeled = f" peeled:{ref.peeled}" if ref.peeled and b"peel" in words else ""
            yield line(f"{ref.oid} {ref.name}{peeled}")
    yield FLUSH


# Sending


@dataclass
class _Wish:
    """What a client asks for, in either version."""

    reader: Actor
    wants: list[str] = field(default_factory=list)
    haves: list[str] = field(default_factory=list)
    shallow: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    depth: int = 0
    since: int = 0
    without: list[str] = field(default_factory=list)
    keep: Filter | None = None

    def take(self, text: str) -> None:
        """Note one line. Unknown ones are left to newer servers."""
        word, _, rest = text.partition(" ")
        match word:
            case "want":
                self.wants.append(_oid(rest))
                if len(self.wants) > _MAX_WANTS:
                    raise TooLarge(f"At most {_MAX_WANTS} objects can be asked for at once.")
            case "have":
                self.haves.append(_oid(rest))
            case "shallow":
                self.shallow.append(_oid(rest))
            case "deepen":
                self.depth = _number(rest)
            case "deepen-since":
                self.since = _number(rest)
            case "deepen-not":
                self.without.append(rest)
            case "filter":
                self.keep = _filter(rest)
            case _:
                self.words.add(text)

    def fetch(self, repo: "Repo") -> Fetch:
        cut = None
        if self.depth or self.since or self.without:
            cut = Cut(self.depth, "deepen-relative" in self.words, self.since, tuple(self.without))
        return Fetch(repo, self.wants, self.shallow, cut=cut, keep=self.keep, with_tags="include-tag" in self.words)


def _oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise Invalid("The request is not in git's protocol: an object id was expected.")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Invalid("The request is not in git's protocol: a number was expected.")
    return int(text)


def _filter(text: str) -> Filter:
    if text == "blob:none":
        return Filter(0)
    if match := _LIMIT.fullmatch(text):
        return Filter(int(match[1]) * _UNITS[match[2].lower()])
    raise Invalid("The filters known here are blob:none and blob:limit=<bytes>.")


def answer(request: HttpRequest, actor: Actor, repo: "Repo") -> Iterator[bytes]:
    """The answer to one request, whose body is read at once. What is wrong with it is said in git's way, which git shows."""
    lines = Lines(request, MAX_REQUEST_BYTES)
    try:
        pieces = (_version_2 if version_of(request) == 2 else _version_0)(actor, repo, lines)
    except DomainError as error:
        pieces = iter([line(f"ERR {error.message}")])
    return pieces


def _version_2(actor: Actor, repo: "Repo", lines: Lines) -> Iterator[bytes]:
    command, arguments = b"", []
    while not isinstance(read := lines.read(), Mark):
        if read.startswith(b"command="):
            command = read.removeprefix(b"command=")
        elif read.startswith(b"object-format=") and read != b"object-format=sha1":
            raise Invalid("The objects of this repository have SHA-1 ids.")
    if read is Mark.DELIMITER:
        arguments = list(lines.until_flush())
    match command:
        case b"ls-refs":
            return _ls_refs(repo, arguments)
        case b"fetch":
            wish = _Wish(actor)
            for argument in arguments:
                wish.take(_text(argument))
            return _fetch_2(repo, wish)
        case b"":
            return iter(())
        case _:
            raise Invalid("The commands known here are ls-refs and fetch.")


def _fetch_2(repo: "Repo", wish: _Wish) -> Iterator[bytes]:
    try:
        fetch = wish.fetch(repo)
        if wish.haves and "done" not in wish.words:
            common = fetch.common(wish.haves)
            yield line("acknowledgments")
            yield b"".join(line(f"ACK {oid}") for oid in common) or line("NAK")
            if not fetch.is_ready(common):
                yield FLUSH
                return
            yield line("ready") + DELIMITER
        if fetch.cut is not None:
            yield line("shallow-info") + _shallow(fetch) + DELIMITER
    except DomainError as error:
        yield line(f"ERR {error.message}")
        return
    yield line("packfile")
    yield from _packed(repo, fetch, wish, is_banded=True)


def _version_0(actor: Actor, repo: "Repo", lines: Lines) -> Iterator[bytes]:
    wish = _Wish(actor)
    for raw in lines.until_flush():
        text = _text(raw)
        if not wish.wants:
            # behind the first object stand the capabilities
            text, capabilities = text[:_FIRST_WANT], text[_FIRST_WANT:]
            wish.words.update(capabilities.split())
        wish.take(text)
    if not wish.wants:
        return iter(())
    said: list[str | Mark] = []
    while not said or said[-1] is not Mark.END:
        read = lines.read()
        said.append(read if isinstance(read, Mark) else _text(read))
    return _fetch_0(repo, wish, said)


def _fetch_0(repo: "Repo", wish: _Wish, said: Sequence[str | Mark]) -> Iterator[bytes]:
    is_detailed = "multi_ack_detailed" in wish.words
    try:
        fetch = wish.fetch(repo)
        if fetch.cut is not None:
            yield _shallow(fetch) + FLUSH
        common: list[str] = []
        for text in said:
            if text is Mark.END:
                # the client has asked, and comes back with more
                return
            if isinstance(text, Mark):
                if is_detailed and common and fetch.is_ready(common):
                    yield line(f"ACK {common[-1]} ready")
                if is_detailed or not common:
                    yield line("NAK")
                continue
            if text == "done":
                break
            wish.take(text)
            if found := fetch.common(wish.haves[-1:]):
                common += found
                if is_detailed:
                    yield line(f"ACK {found[0]} common")
                elif len(common) == 1:
                    yield line(f"ACK {found[0]}")
        if not common:
            yield line("NAK")
        elif is_detailed:
            yield line(f"ACK {common[-1]}")
    except DomainError as error:
        yield line(f"ERR {error.message}")
        return
    yield from _packed(repo, fetch, wish, is_banded="side-band-64k" in wish.words)


def _shallow(fetch: Fetch) -> bytes:
    ends, not_any_more = fetch.shallow_changes()
    return b"".join([line(f"shallow {oid}") for oid in ends] + [line(f"unshallow {oid}") for oid in not_any_more])


def _packed(repo: "Repo", fetch: Fetch, wish: _Wish, *, is_banded: bool) -> Iterator[bytes]:
    """The pack. An error on the way is said where git shows it; without a side band the stream just ends, and git sees that."""
    try:
        plan = fetch.plan(wish.haves)
        try:
            if not wish.haves:
                repos.count_download(repo)
            reading.note_fetched(wish.reader, repo, wish.wants)
            if not is_banded:
                yield from gathered(pack(plan))
                return
            if "no-progress" not in wish.words:
                yield from band(PROGRESS, f"Sending {len(plan)} objects\n".encode())
            for piece in gathered(pack(plan)):
                yield from band(DATA, piece)
            yield FLUSH
        finally:
            plan.table.close()
    except DomainError as error:
        if is_banded:
            yield from band(FATAL, f"{error.message}\n".encode())
    except Exception:
        logger.exception("Unforeseen error in a fetch")
        if is_banded:
            yield from band(FATAL, b"Something went wrong on this server; it has been noted.\n")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Invalid("The request is not in git's protocol: a line is not UTF-8.") from error
