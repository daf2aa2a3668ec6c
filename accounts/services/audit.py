"""Writing and checking the audit trail. A record is written in the transaction of the deed it tells of, or not at all."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from accounts.actors import Actor
from accounts.models import AuditHead, AuditRecord
from common import strict_json
from common.clock import now

_BATCH = 2000


def record(
    actor: Actor, tag: str, subject_kind: str, subject_id: object, *, namespace_id: int | None = None, **detail: Any
) -> AuditRecord:
    """Append one record `tag` (`app:part:deed`) about a subject. Must run inside the caller's transaction, so that deed and
    record stand or fall together. `detail` must be plain JSON and hold no secret."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("audit.record belongs into the transaction of the deed")
    head, _ = AuditHead.objects.select_for_update().get_or_create(pk=1)
    entry = AuditRecord(
        sequence=head.sequence + 1,
        at=now(),
        actor=actor.identity,
        actor_label=actor.label[:150],
        tag=tag,
        subject_kind=subject_kind,
        subject_id=str(subject_id)[:80],
        namespace_id=namespace_id,
        detail=detail,
        previous_sha256=head.sha256,
    )
    entry.sha256 = _digest(entry)
    entry.save(force_insert=True)
    AuditHead.objects.filter(pk=1).update(sequence=entry.sequence, sha256=entry.sha256)
    return entry


@dataclass(frozen=True)
class Verification:
    """`first_bad` is the sequence of the first record that does not fit, None when the whole chain holds."""

    checked: int
    first_bad: int | None
    reason: str
    head_sha256: str


def verify() -> Verification:
    """Walk the chain from the first record: numbers without gap, each hash right and joined to the one before, the end equal
    to the head. Reads in batches; changes nothing."""
    previous, checked = "0" * 64, 0
    for entry in _all_records():
        if entry.sequence != checked + 1:
            return Verification(checked, checked + 1, "missing or out of order", previous)
        if entry.previous_sha256 != previous or _digest(entry) != entry.sha256:
            return Verification(checked, entry.sequence, "altered", previous)
        previous, checked = entry.sha256, entry.sequence
    head = AuditHead.objects.filter(pk=1).first() or AuditHead()
    if (head.sequence, head.sha256) != (checked, previous):
        return Verification(checked, checked + 1, "the end was cut or the head altered", previous)
    return Verification(checked, None, "", previous)


def _all_records() -> Iterator[AuditRecord]:
    after = 0
    while batch := list(AuditRecord.objects.filter(sequence__gt=after).order_by("sequence")[:_BATCH]):
        yield from batch
        after = batch[-1].sequence


def _digest(entry: AuditRecord) -> str:
    """SHA-256 in hex over the canonical JSON of every column and the previous hash. Never alter it: old chains rest on it."""
    at: datetime = entry.at.astimezone(UTC)
    parts = [
        entry.sequence,
        at.isoformat(timespec="microseconds"),
        entry.actor,
        entry.actor_label,
        entry.tag,
        entry.subject_kind,
        entry.subject_id,
        entry.namespace_id,
        entry.detail,
        entry.previous_sha256,
    ]
    return hashlib.sha256(strict_json.dumps(parts)).hexdigest()
