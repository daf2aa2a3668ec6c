"""Large files on their way in. An upload is announced by digest and size, received once, checked, and attached to its
repository. A digest alone never gives access: bytes are skipped only when the caller could read them already."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.actors import Actor
from accounts.permissions import Action
from backends.errors import Missing
from common.clock import now
from common.errors import Conflict, Gone, Invalid, NotFound, TooLarge
from registry.models import Blob, Repo, RepoBlob, Upload, UploadPart
from registry.policies import readable_repos, require_contributor, require_repo_by_uuid
from registry.services import holdings, quarantine, quotas, storage
from registry.states import UPLOADS, UploadState

LIFETIME = timedelta(hours=24)
"""An upload that has not finished by then is thrown away."""
SIZE_LIMIT = 5 * 1024**4
"""S3's largest object."""
PART_LIMIT = 10_000
"""S3's largest number of parts."""
TEXT_BYTES = 1024**2
SAMPLE_BYTES = 8192


def begin(
    actor: Actor,
    repo: Repo,
    sha256: str,
    size_bytes: int,
    *,
    part_bytes: int | None = None,
    for_proposal: bool = False,
) -> Upload | None:
    """Announce a file; None when its bytes need not be sent, because the repository has them or another has that the actor may
    read. Needs the right to write or, for what may become a pull request (`for_proposal`), to take part. Safe to repeat: an open
    upload of the same file is returned again."""
    if for_proposal:
        require_contributor(actor, repo)
    else:
        require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    check_digest(sha256)
    if not 0 <= size_bytes <= SIZE_LIMIT:
        raise TooLarge(f"A file may have at most {SIZE_LIMIT} bytes.")
    quarantine.refuse_known([("This file", sha256)])
    blob = _known_to(actor, repo, sha256, size_bytes)
    if blob is not None:
        attach(repo, blob)
        return None
    quotas.require_room(repo.namespace_id, size_bytes, is_early=True)
    if part_bytes and -(-size_bytes // part_bytes) > PART_LIMIT:
        raise TooLarge(f"An upload may have at most {PART_LIMIT} parts.")
    with transaction.atomic():
        upload = Upload.objects.filter(
            repo=repo,
            sha256=sha256,
            size_bytes=size_bytes,
            user_id=actor.person_id,
            state=UploadState.OPEN,
            expires_at__gt=now(),
        ).first()
        if upload is None or upload.part_bytes != part_bytes:
            upload = Upload.objects.create(
                repo=repo,
                user_id=actor.user_id,
                sha256=sha256,
                size_bytes=size_bytes,
                part_bytes=part_bytes,
                expires_at=now() + LIFETIME,
            )
    return upload


def require_upload(repo: Repo, uuid: UUID) -> Upload:
    """An upload into this repository, for a caller that may write there. Raises NotFound."""
    upload = Upload.objects.filter(repo=repo, uuid=uuid).first()
    if upload is None:
        raise NotFound("There is no such upload.")
    return upload


def receive(uuid: UUID, chunks: Iterable[bytes]) -> Blob:
    """The bytes of an announced upload, in one piece. The caller has checked the signed address that names the upload.
    Raises Invalid when size or digest are not as announced; nothing is kept then. Safe to repeat."""
    upload = _open_upload(uuid)
    blob = storage.store_blob(capped(chunks, upload.size_bytes), size_bytes=upload.size_bytes, sha256=upload.sha256)
    _finish(upload, blob)
    return blob


def receive_part(uuid: UUID, number: int, chunks: Iterable[bytes]) -> str:
    """Part `number` (from 1) of an upload in parts; returns its SHA-256 hex, which serves as its entity tag. A repeated part
    replaces the earlier one. Raises Invalid for a wrong number or size."""
    upload = _open_upload(uuid)
    if not upload.part_bytes or not 1 <= number <= part_count(upload):
        raise Invalid("There is no such part in this upload.")
    expected = min(upload.part_bytes, upload.size_bytes - (number - 1) * upload.part_bytes)
    part = UploadPart(upload=upload, number=number)
    with storage.storage_errors():
        stored = storage.store().put(part.key, capped(chunks, expected), size=expected)
    UploadPart.objects.update_or_create(
        upload=upload, number=number, defaults={"size_bytes": stored.size_bytes, "sha256": stored.sha256_hex}
    )
    return stored.sha256_hex


def complete_parts(uuid: UUID) -> Blob:
    """Join the parts of an upload. Raises Conflict while parts are missing, Invalid when the whole has another digest than was
    announced: the upload is over then. Safe to repeat."""
    upload = Upload.objects.select_related("repo").filter(uuid=uuid).first()
    if upload is not None and upload.state == UploadState.RECEIVED:
        return Blob.objects.get(sha256=upload.sha256)
    upload = _open_upload(uuid)
    parts = list(upload.parts.order_by("number"))
    if [part.number for part in parts] != list(range(1, part_count(upload) + 1)):
        raise Conflict(
            f"{part_count(upload) - len(parts)} parts of this upload are still missing.", code="parts_missing"
        )
    try:
        blob = storage.store_blob(_joined(parts), size_bytes=upload.size_bytes, sha256=upload.sha256)
    except Missing as error:
        # the same completion, sent twice at once: the other one is through, and has removed the parts
        if Upload.objects.filter(pk=upload.pk, state=UploadState.RECEIVED).exists():
            return Blob.objects.get(sha256=upload.sha256)
        raise Gone("Parts of this upload are not there any more: begin it again.") from error
    _finish(upload, blob)
    for part in parts:
        storage.discard(part.key)
    return blob


def part_count(upload: Upload) -> int:
    """Number of parts that an upload in parts has."""
    return max(1, -(-upload.size_bytes // upload.part_bytes)) if upload.part_bytes else 0


def goes_large(size_bytes: int, sample: bytes) -> bool:
    """Whether a file is kept as a large one, of which git sees a pointer: when it is long or no text, as the command-line client decides.
    `sample`: its first SAMPLE_BYTES."""
    return size_bytes > TEXT_BYTES or b"\0" in sample


def attach(repo: Repo, blob: Blob) -> None:
    """Note that the repository holds these bytes. Only for callers that received them, or that know the actor may read them.
    Raises QuotaExceeded."""
    holdings.hold(repo, [blob.pk])


def held(repo: Repo, digests: Iterable[str]) -> dict[str, Blob]:
    """Those of the files, by SHA-256, that the repository has been given; one query. For callers that checked the right to read it."""
    return {blob.sha256: blob for blob in Blob.objects.filter(sha256__in=set(digests), repo_rows__repo=repo)}


def require_held(repo: Repo, sha256: str) -> Blob:
    """A file that the repository has been given. For callers that checked the right to read it. Raises NotFound."""
    blob = held(repo, [sha256]).get(sha256)
    if blob is None:
        raise NotFound("This repository has been given no such file: upload it first.")
    return blob


def check_digest(sha256: str) -> None:
    """Raises Invalid unless `sha256` is 64 lower-case hex digits."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise Invalid("A SHA-256 has 64 lower-case hex digits.", fields={"sha256": "not a digest"})


def sweep_uploads(limit: int = 500) -> int:
    """Throw away uploads that have expired, with their parts; returns how many. Safe to run beside itself."""
    expired = list(
        Upload.objects.filter(state=UploadState.OPEN, expires_at__lte=now()).prefetch_related("parts")[:limit]
    )
    for upload in expired:
        for part in upload.parts.all():
            part.upload = upload
            storage.discard(part.key)
        Upload.objects.filter(pk=upload.pk, state=UploadState.OPEN).update(state=UploadState.ABORTED)
    return len(expired)


def _known_to(actor: Actor, repo: Repo, sha256: str, size_bytes: int) -> Blob | None:
    """The bytes, when `repo` or any repository that the actor may read holds them. One query, whether or not somebody else has them:
    the time of an answer tells nothing either."""
    holdings_of_it = RepoBlob.objects.filter(blob=OuterRef("pk"))
    ours, readable = (
        holdings_of_it.filter(repo=repo),
        holdings_of_it.filter(repo__in=readable_repos(actor).values("pk")),
    )
    return Blob.objects.filter(Exists(ours) | Exists(readable), sha256=sha256, size_bytes=size_bytes).first()


def _open_upload(uuid: UUID) -> Upload:
    upload = Upload.objects.select_related("repo").filter(uuid=uuid).first()
    if upload is None:
        raise NotFound("There is no such upload.")
    if upload.state == UploadState.ABORTED or (upload.state == UploadState.OPEN and upload.expires_at <= now()):
        raise Gone("This upload has expired: begin it again.")
    return upload


def _finish(upload: Upload, blob: Blob) -> None:
    with transaction.atomic():
        locked = Upload.objects.select_for_update().get(pk=upload.pk)
        attach(locked.repo, blob)
        if locked.state != UploadState.RECEIVED:
            UPLOADS.ensure(UploadState(locked.state), UploadState.RECEIVED)
            Upload.objects.filter(pk=locked.pk).update(state=UploadState.RECEIVED)


def capped(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """`chunks`, refusing the first byte above `limit` rather than storing an endless stream."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > limit:
            raise Invalid(f"More than the announced {limit} bytes were sent.", code="wrong_size")
        yield chunk


def _joined(parts: list[UploadPart]) -> Iterator[bytes]:
    for part in parts:
        with storage.store().open(part.key) as reader:
            yield from reader
