"""Large files by the git-lfs batch protocol. The addresses it gives out carry their own right, signed and short-lived, because
clients send no credentials to them."""

import re
from typing import Any
from uuid import UUID

from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action
from api.hf.bodies import Body, json_object, list_of, size_of, text_of
from api.hf.errors import NotHere
from api.hf.routing import base_url
from api.hf.views_resolve import send_blob
from api.hf.wire import LFS_TYPE, json_response, repo_path
from common.errors import DomainError, Gone, Invalid, NotFound, Unauthenticated
from registry.policies import require_contributor, require_repo, require_repo_by_uuid
from registry.services import quarantine, uploads

MAX_OBJECTS = 1000
"""Clients ask for 256 at a time, git-lfs for 100."""
PART_FROM_BYTES = 64 * 1024**2
"""Files from here on come in parts when the client can: a broken connection then costs one part."""
PART_BYTES = 32 * 1024**2
MAX_PARTS = 10_000
SIGNED_FOR_S = 24 * 60 * 60
"""As long as an upload stays open: a large file on a slow line takes hours."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SALT = "api.hf.lfs"
_DOWNLOAD_SALT = "api.hf.lfs.download"
DOWNLOAD_S = 60 * 60
"""A download must have begun by then; a client that comes later asks for a new address."""


def batch(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Where to send each object, or where to fetch it. For sending: one that this repository already holds has no action; one that
    another holds is sent again: a digest alone gives nothing. For fetching: only what this repository holds is there."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    data = json_object(request)
    operation = data.get("operation")
    if operation not in {"upload", "download"}:
        raise Invalid('"operation" must be "upload" or "download".')
    if operation == "download":
        repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_READ)
    else:
        # a batch does not say whether its files are for a pull request
        require_contributor(actor, repo)
    if data.get("hash_algo", "sha256") != "sha256":
        raise Invalid("The only digest of large files is sha256.")
    objects = list_of(data, "objects", max_length=MAX_OBJECTS)
    site = base_url(request)
    if operation == "download":
        answers = _downloads(actor, repo, objects, site=site)
        return json_response({"transfer": "basic", "objects": answers, "hash_algo": "sha256"}, content_type=LFS_TYPE)
    transfers = data.get("transfers")
    can_parts = isinstance(transfers, list) and "multipart" in transfers
    verify: dict[str, Any] = {"href": f"{site}{repo_path(repo)}.git/info/lfs/verify"}
    if authorization := request.headers.get("Authorization"):
        # git lfs sends there what stands here, and nothing else
        verify["header"] = {"Authorization": authorization}
    answers = [_answer(actor, repo, item, site=site, verify=verify, can_parts=can_parts) for item in objects]
    has_parts = any("chunk_size" in answer.get("actions", {}).get("upload", {}).get("header", {}) for answer in answers)
    answer = {"transfer": "multipart" if has_parts else "basic", "objects": answers, "hash_algo": "sha256"}
    return json_response(answer, content_type=LFS_TYPE)


def _downloads(actor: Actor, repo: Any, items: list[Any], *, site: str) -> list[dict[str, Any]]:
    named = [_named(item) for item in items]
    held = uploads.held(repo, [oid for oid, _ in named])
    stopped = quarantine.held_for(actor, repo, (blob.pk for blob in held.values()))
    answers = []
    for oid, size_bytes in named:
        answer: dict[str, Any] = {"oid": oid, "size": size_bytes}
        blob = held.get(oid)
        if blob is None or blob.size_bytes != size_bytes:
            answer["error"] = {"code": 404, "message": "This repository has no such object."}
        elif blob.pk in stopped:
            answer["error"] = {"code": 403, "message": f"This file is under quarantine: {stopped[blob.pk].reason}"}
        else:
            signed = signing.dumps([repo.uuid.hex, oid, actor.user_id, actor.token_id], salt=_DOWNLOAD_SALT)
            action = {"href": f"{site}/api/lfs/download/{signed}", "expires_in": DOWNLOAD_S}
            answer |= {"authenticated": True, "actions": {"download": action}}
        answers.append(answer)
    return answers


def _named(item: object) -> tuple[str, int]:
    if not isinstance(item, dict):
        raise Invalid('"objects" must be a list of objects.')
    return text_of(item, "oid", max_length=200), size_of(item, "size")


def _answer(
    actor: Actor, repo: Any, item: object, *, site: str, verify: dict[str, Any], can_parts: bool
) -> dict[str, Any]:
    oid, size_bytes = _named(item)
    answer: dict[str, Any] = {"oid": oid, "size": size_bytes}
    try:
        if not _SHA256.fullmatch(oid):
            raise Invalid("An object is named by its SHA-256: 64 lower-case hexadecimal digits.")
        part_bytes = _part_bytes(size_bytes) if can_parts and size_bytes >= PART_FROM_BYTES else None
        upload = uploads.begin(actor, repo, oid, size_bytes, part_bytes=part_bytes, for_proposal=True)
    except DomainError as error:
        status = 422 if isinstance(error, Invalid) else error.status
        return answer | {"error": {"code": status, "message": error.message}}
    if upload is None:
        return answer
    signed = signing.dumps(upload.uuid.hex, salt=_SALT)
    if part_bytes is None:
        action: dict[str, Any] = {"href": f"{site}/api/lfs/object/{signed}"}
    else:
        header = {"chunk_size": str(part_bytes)}
        for number in range(1, -(-size_bytes // part_bytes) + 1):
            header[f"{number:05d}"] = f"{site}/api/lfs/part/{signed}/{number}"
        action = {"href": f"{site}/api/lfs/completion/{signed}", "header": header}
    return answer | {"actions": {"upload": action, "verify": verify}}


def _part_bytes(size_bytes: int) -> int:
    """Of each part but the last: 32 MiB, or more where that would make too many, in whole MiB."""
    least = -(-size_bytes // MAX_PARTS)
    return max(PART_BYTES, -(-least // 1024**2) * 1024**2)


def put_object(request: HttpRequest, actor: Actor, signed: str) -> HttpResponse:
    """A whole file. Size and digest are checked while it arrives; nothing is kept of one that differs."""
    uploads.receive(_upload(signed), Body(request).chunks())
    return json_response({})


def put_part(request: HttpRequest, actor: Actor, signed: str, number: int) -> HttpResponse:
    """One part; sent again, the later one stands. The ETag is wanted back at the end."""
    etag = uploads.receive_part(_upload(signed), number, Body(request).chunks())
    response = json_response({})
    response["ETag"] = f'"{etag}"'
    return response


def complete(request: HttpRequest, actor: Actor, signed: str) -> HttpResponse:
    """Join the parts that have arrived; what the client says of them is not needed, because size and digest of the whole
    are checked. Sent again after success it succeeds again.
    """
    uploads.complete_parts(_upload(signed))
    return json_response({})


def verify(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Whether an object has arrived. Only for who may send files: others could probe for digests."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    require_contributor(actor, repo)
    data = json_object(request)
    oid, size_bytes = text_of(data, "oid", max_length=64), size_of(data, "size")
    if uploads.begin(actor, repo, oid, size_bytes, for_proposal=True) is not None:
        raise Invalid("This object has not arrived, or has another size.")
    return json_response({"oid": oid, "size": size_bytes}, content_type=LFS_TYPE)


def get_object(request: HttpRequest, actor: Actor, signed: str) -> HttpResponseBase:
    """The bytes of an object. The address says for whom it was made: their right is asked for again, so it ends with the right."""
    try:
        uuid, sha256, user_id, token_id = signing.loads(signed, salt=_DOWNLOAD_SALT, max_age=DOWNLOAD_S)
    except signing.BadSignature as error:
        raise Gone("This download address is not valid any more: ask for a new one.") from error
    reader = actors.anonymous() if user_id is None else actors.resumed(user_id, token_id)
    repo = require_repo_by_uuid(reader, uuid, Action.REPO_READ)
    blob = uploads.held(repo, [sha256]).get(sha256)
    if blob is None:
        raise NotFound("This repository has no such object.")
    quarantine.require_free(repo, [blob], actor=reader)
    return send_blob(request, blob, filename=sha256, headers={"ETag": f'"{sha256}"'})


def locks(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str = "") -> HttpResponse:
    """Refused: nobody can keep others from changing a file here; of two pushes at once, one is told to fetch first."""
    require_repo(actor, kind, namespace, name, Action.REPO_READ)
    raise NotHere(
        "This site has no file locks. Nothing is lost without: git config lfs.locksverify false ends this message."
    )


def _upload(signed: str) -> UUID:
    """The upload that a signed address is for. Raises Unauthenticated when the signature is not ours or too old."""
    try:
        return UUID(signing.loads(signed, salt=_SALT, max_age=SIGNED_FOR_S))
    except signing.BadSignature as error:
        raise Unauthenticated("This upload address is not valid any more: ask for a new one.") from error
