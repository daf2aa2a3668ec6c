"""What git calls receive-pack: a client names the refs that it wants moved, sends the objects behind them, and is told of each ref
whether it has moved or why not."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import OperationalError
from django.http import HttpRequest
from dulwich.protocol import pkt_line

from accounts.actors import Actor
from api.git.pktlines import DATA, FATAL, FLUSH, PROGRESS, Lines, band, line
from api.git.upload_pack import AGENT, advertised
from common.errors import DomainError, Invalid, TooLarge, busy_database
from registry.services import gitpush
from registry.services.gitobjects import refs_of
from registry.services.gitpacks import MAX_PACK_BYTES, IncomingPack, Spool
from registry.services.gitpush import NO_OID, RefChange

if TYPE_CHECKING:
    from registry.models import Repo

logger = logging.getLogger(__name__)

MAX_COMMANDS = 1000
_COMMAND_BYTES = 2 * 1024**2
_READ_BYTES = 4 * MAX_PACK_BYTES
"""More is not even read and dropped; up to there a client is told in a sentence that its push is too large."""
_CAPABILITIES = f"report-status delete-refs side-band-64k quiet atomic ofs-delta no-thin object-format=sha1 {AGENT}"
"""`no-thin`: packs that refer to objects outside of them are not taken."""


def advertisement(repo: "Repo") -> bytes:
    """The first answer to a client that wants to push."""
    return line("# service=git-receive-pack") + FLUSH + advertised(refs_of(repo), _CAPABILITIES, peeled=False)


@dataclass
class _Command:
    change: RefChange
    name: bytes
    """As the client wrote it, for the report."""


def answer(request: HttpRequest, actor: Actor, repo: "Repo") -> Iterator[bytes]:
    """Read the whole request, then the pieces of the answer: progress while the push is taken in, and the report. Raises Invalid,
    TooLarge for a request that can't be read."""
    lines = Lines(request, _COMMAND_BYTES)
    commands, capabilities = _commands(lines)
    if not commands:
        # git tries out whether it may push before it sends something long
        return iter(())
    changes = [command.change for command in commands]
    gitpush.check(actor, repo, changes)
    spool = _spooled(lines, changes)
    return _taken(actor, repo, commands, capabilities, spool)


def _commands(lines: Lines) -> tuple[list[_Command], set[str]]:
    commands: list[_Command] = []
    capabilities: set[str] = set()
    for read in lines.until_flush():
        text, _, words = read.partition(b"\0")
        if words:
            capabilities.update(words.decode("utf-8", "replace").split())
        if text.startswith(b"shallow "):
            continue  # a shallow clone says where it ends; that the commits before are here is found out anyway
        if text.startswith(b"push-cert"):
            raise Invalid("Signed pushes are not offered here: push without --signed.")
        old, _, rest = text.partition(b" ")
        new, _, name = rest.partition(b" ")
        if not name:
            raise Invalid("The request is not in git's protocol: a command was expected.")
        change = RefChange(
            name.decode("utf-8", "replace"), old.decode("ascii", "replace"), new.decode("ascii", "replace")
        )
        if change.name.encode() != name:
            change.refusal = "The name of a branch or tag must be UTF-8."
        commands.append(_Command(change, name))
        if len(commands) > MAX_COMMANDS:
            raise TooLarge(f"At most {MAX_COMMANDS} branches and tags can be pushed at once.")
    if "object-format=sha256" in capabilities:
        raise Invalid("The objects of this repository have SHA-1 ids.")
    return commands, capabilities


def _spooled(lines: Lines, changes: Sequence[RefChange]) -> Spool | None:
    """The pack, when one comes and something is to be done with it. A client listens only when it has sent everything."""
    if all(change.new == NO_OID for change in changes):
        return None
    spool = None if all(change.refusal for change in changes) else Spool()
    count = 0
    for piece in lines.rest():
        count += len(piece)
        if count > _READ_BYTES:
            raise TooLarge(f"A push has at most {MAX_PACK_BYTES // 1024**2} MB. Send large files with git lfs.")
        if spool is not None:
            spool.write(piece)
    return spool


def _taken(
    actor: Actor, repo: "Repo", commands: Sequence[_Command], capabilities: set[str], spool: Spool | None
) -> Iterator[bytes]:
    is_banded = "side-band-64k" in capabilities
    changes = [command.change for command in commands]
    unpacked = "ok"
    try:
        steps = _steps(actor, repo, changes, spool, atomic="atomic" in capabilities)
        for sentence in steps:
            if is_banded and "quiet" not in capabilities:
                yield from band(PROGRESS, f"{sentence}\n".encode())
    except DomainError as error:
        unpacked = _one_line(error.message)
        for change in changes:
            change.refusal = change.refusal or error.message
    except OperationalError:
        # before any ref was touched: where refs move, each is told its own
        logger.exception("The database gave up in a push")
        unpacked = busy_database().message
        for change in changes:
            change.refusal = change.refusal or unpacked
    except Exception:
        logger.exception("Unforeseen error in a push")
        if is_banded:
            yield from band(FATAL, b"Something went wrong on this server; it has been noted.\n")
        return
    finally:
        if spool is not None:
            spool.close()
    report = _report(unpacked, commands) if "report-status" in capabilities else b""
    if is_banded:
        yield from band(DATA, report)
        yield FLUSH
    else:
        yield report


def _steps(
    actor: Actor, repo: "Repo", changes: Sequence[RefChange], spool: Spool | None, *, atomic: bool
) -> Iterator[str]:
    if spool is None:
        yield from gitpush.receive(actor, repo, changes, None, atomic=atomic)
        return
    with IncomingPack(spool) as pack:
        yield from gitpush.receive(actor, repo, changes, pack, atomic=atomic)


def _report(unpacked: str, commands: Sequence[_Command]) -> bytes:
    rows = [line(f"unpack {unpacked}")]
    for command in commands:
        refusal = _one_line(command.change.refusal)
        rows.append(
            pkt_line(b"ng %b %b\n" % (command.name, refusal.encode()) if refusal else b"ok %b\n" % command.name)
        )
    return b"".join(rows) + FLUSH


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1000]
