"""The write half of content-addressed storage (Xet): xorbs are spooled, a shard turns them into plain stored files.

Current clients send every large file this way and have no other. Each upload session gets an address of its own, so the
client's memory of earlier uploads never leads it to refer to something that is not here.
"""

import functools
import json
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.core import signing
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action
from api.hf.authentication import bearer_token
from api.hf.bodies import Body
from api.hf.routing import base_url, flag, hub, nobody, place_of
from api.hf.views_commit import require_sender
from api.hf.wire import json_response
from api.hf.xet.rebuild import Xorbs
from api.hf.xet.shard import MAX_SHARD_BYTES, Shard
from api.hf.xet.spool import Session, spool_folder, sweep_if_due
from api.hf.xet.xorb import MAX_XORB_BYTES
from common.clock import now
from common.errors import DomainError, Invalid, NotFound, TooLarge, Unauthenticated
from registry.policies import require_contributor, require_repo, require_repo_by_uuid
from registry.services import quotas, storage, uploads

logger = logging.getLogger(__name__)

TOKEN_S = 60 * 60
"""Clients do not ask again before it ends, and treat a refusal as final."""
HEARTBEAT_S = 2.0
"""Clients give up a silent answer after two minutes; hashing a file may take longer."""
_SALT = "api.hf.cas"


@dataclass(frozen=True)
class Pass:
    """What an access token of ours says: who uploads where, through which address."""

    actor: Actor
    repo: Any
    session: Session


def write_token(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """The right to upload into one repository for an hour, and the address to do so."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    is_proposal = flag(request.GET.get("create_pr")) or rest == "None"
    require_sender(actor, repo, rest, is_proposal=is_proposal)
    if rest != "None":
        place_of(request, repo, rest)
    quotas.require_room(repo.namespace_id, 1, is_early=True)
    sweep_if_due(spool_folder())
    claims = {"repo": repo.uuid.hex, "user": actor.user_id, "token": actor.token_id}
    token = signing.dumps(claims, salt=_SALT)
    expires_at = int(now().timestamp()) + TOKEN_S
    address = f"{base_url(request)}/cas/{secrets.token_hex(16)}"
    response = json_response({"accessToken": token, "exp": expires_at, "casUrl": address})
    response["X-Xet-Access-Token"] = token
    response["X-Xet-Token-Expiration"] = str(expires_at)
    response["X-Xet-Cas-Url"] = address
    return response


def cas(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A POST under /cas/ with an access token of ours; any other method is 404, because 405 would end the client's upload."""

    @functools.wraps(view)
    def checked(request: HttpRequest, actor: Actor, session: str, **parts: str) -> HttpResponseBase:
        return view(request, _pass_of(request, session), **parts)

    return hub(read_actor=nobody, POST=checked, GET=_missing, PUT=_missing, PATCH=_missing, DELETE=_missing)


def _missing(request: HttpRequest, actor: Actor, **_parts: str) -> HttpResponseBase:
    raise NotFound("There is no such thing in this storage.")


missing = hub(read_actor=nobody, GET=_missing, POST=_missing, PUT=_missing, PATCH=_missing, DELETE=_missing)
"""Whatever else a client tries under /cas/, grants and chunk look-ups among it: 404, after which it simply uploads."""


def _pass_of(request: HttpRequest, session: str) -> Pass:
    try:
        claims = signing.loads(bearer_token(request), salt=_SALT, max_age=TOKEN_S)
    except signing.BadSignature as error:
        raise Unauthenticated("This upload token is not valid any more: ask for a new one.") from error
    actor = actors.resumed(claims["user"], claims["token"])
    repo = require_contributor(actor, require_repo_by_uuid(actor, claims["repo"], Action.REPO_DISCOVER))
    return Pass(actor, repo, Session(spool_folder(), f"{claims['repo']} {claims['user']}", session))


def receive_xorb(request: HttpRequest, holder: Pass, prefix: str, xorb: str) -> HttpResponse:
    """Keep one xorb until its shard comes. Its chunk headers are checked now, so that a broken upload fails early."""
    body = Body(request)
    if body.size_bytes is None:
        raise Invalid("Content-Length is missing.")
    if body.size_bytes > MAX_XORB_BYTES:
        raise TooLarge(f"A xorb has at most {MAX_XORB_BYTES} bytes.")
    is_new = holder.session.receive_xorb(xorb, body.chunks(), body.size_bytes)
    return json_response({"was_inserted": is_new})


def receive_shard(request: HttpRequest, holder: Pass) -> HttpResponse:
    """Store the files of a shard; answered when all are stored."""
    with _spooled(request) as body:
        _Storing(holder, Shard(body, body.tell())).run()
    return json_response({"result": 1})


def stream_shard(request: HttpRequest, holder: Pass) -> HttpResponseBase:
    """The same, with a line about the progress every two seconds, because a large file takes longer than clients wait."""
    body = _spooled(request)
    try:
        storing = _Storing(holder, Shard(body, body.tell()))
    except BaseException:
        body.close()
        raise
    response = StreamingHttpResponse(_progress(storing, body), content_type="application/x-ndjson")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _spooled(request: HttpRequest) -> BinaryIO:
    """The body of the request in a nameless file, read to its end."""
    spool_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        file: BinaryIO = stack.enter_context(tempfile.TemporaryFile(dir=spool_folder()))
        source = Body(request)
        for piece in source.chunks():
            if source.received_bytes > MAX_SHARD_BYTES:
                raise TooLarge(f"A shard has at most {MAX_SHARD_BYTES} bytes.")
            file.write(piece)
        file.flush()
        stack.pop_all()
        return file


class _Storing:
    """The work on one shard: every file is rebuilt, hashed and stored, and then given to the repository. Done twice, nothing
    more happens: what is stored is named by its digest."""

    def __init__(self, holder: Pass, shard: Shard) -> None:
        self._holder, self._shard = holder, shard
        self._cancelled = threading.Event()
        self._touched_at = 0.0
        self.file_count = shard.file_count
        self.stored_count = 0

    def run(self) -> None:
        """Raises Invalid for a file that does not have its stated digest, refers to unknown chunks, or is cut off."""
        session = self._holder.session
        with session.reading(), Xorbs(session.open_xorb) as xorbs:
            for file in self._shard.files():
                plain = self._watched(xorbs.plain_bytes(self._shard.terms(file)))
                blob = storage.store_blob(plain, size_bytes=file.size_bytes, sha256=file.sha256)
                uploads.attach(self._holder.repo, blob)
                self.stored_count += 1
        session.finish(self._shard.xorbs())

    def cancel(self) -> None:
        """Nobody waits for the answer any more: stop at the next chunk."""
        self._cancelled.set()

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self._cancelled.is_set():
                raise Invalid("The client has gone.")
            if time.monotonic() - self._touched_at > HEARTBEAT_S:
                self._touched_at = time.monotonic()
                self._holder.session.touch()
            yield piece


def _progress(storing: _Storing, body: BinaryIO) -> Iterator[bytes]:
    """Lines of JSON about `storing`, which runs in a thread of its own; the last one says how it ended."""
    outcome: dict[str, Any] = {
        "type": "error",
        "message": "The upload could not be finished on this server; please try again.",
    }

    def work() -> None:
        try:
            storing.run()
            outcome.update(type="result", result=1, message=None)
        except DomainError as error:
            outcome["message"] = error.message
        except Exception:
            logger.exception("Unforeseen error while a shard was stored")
        finally:
            connections.close_all()

    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            yield _line({"type": "validating", "verified": storing.stored_count, "total": storing.file_count})
            thread.join(HEARTBEAT_S)
        yield _line({name: value for name, value in outcome.items() if value is not None})
    finally:
        storing.cancel()
        thread.join()
        body.close()


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"
