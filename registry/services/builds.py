"""Builds of a version: added by the job that made them, with the comparison that proves them; withdrawn and brought back by their owner.
The version itself never changes."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from backends.programs.catalogue import MIN_COMPARED, TOLERANCE
from common.clock import now
from common.errors import Conflict, Invalid
from lineage.services.record import Ref, record_node
from registry.build_queries import build_by_uuid, withdrawal_of
from registry.measurements import bounded_object
from registry.models import Build, BuildFile, BuildMark, Version
from registry.paths import check_path
from registry.policies import require_repo_by_uuid
from registry.queries import version_named
from registry.services.holdings import hold
from registry.services.quarantine import refuse_known_blobs
from registry.services.scans import ask_for_scan
from registry.standing import refuse_yanked
from registry.states import BuildFormat, BuildMarkKind, RepoKind

if TYPE_CHECKING:
    from registry.models import Blob

REASON_LIMIT = 2000
_FIGURES = ("max_difference", "max_absolute_difference", "max_relative_difference", "label_agreement", "tolerance")


def add_build(
    actor: Actor,
    version: Version,
    files: "Sequence[tuple[str, Blob]]",
    *,
    format: BuildFormat,
    target: str,
    program: str,
    program_sha256: str,
    equivalence: Mapping[str, Any],
    signature: Mapping[str, Any],
    environment: Mapping[str, Any],
    job_uuid: UUID,
    key: str,
) -> Build:
    """Add `files` (path, stored bytes) to the version as a build that `program` has made and compared. Needs the right to write.
    Writes the build, its lineage node (the job adds the edges), audit; the repository holds the bytes, and they are scanned. A second
    call with the same `key` returns what the first made. Raises Invalid for a report that is not whole or shows another answer than
    the version's (`not_equivalent`), Conflict for a withdrawn version, KnownMalware, QuotaExceeded."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    if repo.kind != RepoKind.MODEL:
        raise Invalid("Only versions of models have builds.")
    report = proven(equivalence)
    for path, _ in files:
        check_path(path)
    if not files:
        raise Invalid("A build without a file is none.")
    refuse_known_blobs([(path, blob.pk) for path, blob in files])
    try:
        with transaction.atomic():
            if (known := Build.objects.filter(key=key).first()) is not None:
                return known
            refuse_yanked(version_named(repo, version.name), "converted")
            hold(repo, (blob.pk for _, blob in files))
            build = Build.objects.create(
                version=version,
                format=format,
                target=target,
                program=program,
                program_sha256=program_sha256,
                sha256=digest_of((path, blob.sha256) for path, blob in files),
                size_bytes=sum(blob.size_bytes for _, blob in files),
                equivalence=report,
                signature=bounded_object(signature, "signature"),
                environment=bounded_object(environment, "environment"),
                job_uuid=job_uuid,
                key=key,
                created_by_id=actor.user_id,
                created_at=now(),
            )
            BuildFile.objects.bulk_create([BuildFile(build=build, path=path, blob=blob) for path, blob in files])
            record_node(Ref("build", build.uuid))
            _audit(actor, build, "added", sha256=build.sha256, format=str(build.format))
            ask_for_scan(repo)
    except IntegrityError:
        # two at once with one key: one has written it
        return Build.objects.get(key=key)
    return build


def withdraw_build(actor: Actor, build: Build, *, reason: str) -> Build:
    """Withdraw the build: by its address, who has it can still fetch it, and nothing new is deployed from it or made with it. Needs the
    right to write. A second call changes nothing. Raises Invalid without a reason."""
    require_repo_by_uuid(actor, build.version.repo.uuid, Action.REPO_WRITE)
    reason = reason.strip().replace("\x00", "")
    if not reason:
        raise Invalid("Say why: people who use the build will read it.", fields={"reason": "empty"})
    if len(reason) > REASON_LIMIT:
        raise Invalid(f"Say it in {REASON_LIMIT} characters.", fields={"reason": "too long"})
    return _mark(actor, build, BuildMarkKind.WITHDRAWN, reason)


def restore_build(actor: Actor, build: Build) -> Build:
    """Take the withdrawal of a build back. Needs the right to write. A second call changes nothing."""
    require_repo_by_uuid(actor, build.version.repo.uuid, Action.REPO_WRITE)
    return _mark(actor, build, BuildMarkKind.RESTORED, "")


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """SHA-256 (hex) of a list of files (path, SHA-256), as `sha256sum` writes it, in the order of the paths."""
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def proven(given: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a comparison, which a program or another site wrote: whole, and a proof. Raises Invalid (`no_equivalence`,
    `not_equivalent`)."""
    report = bounded_object(given, "equivalence")
    rows = report.get("real_rows")
    figures = [report.get(name) for name in _FIGURES]
    is_whole = type(rows) is int and all(
        isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each) and each >= 0
        for each in figures
    )
    if not is_whole:
        raise Invalid(
            "The comparison with the original is missing or not whole, so there is no build.", code="no_equivalence"
        )
    difference, agreement, tolerance = report["max_difference"], report["label_agreement"], report["tolerance"]
    if type(rows) is int and rows < MIN_COMPARED:
        raise Invalid(
            f"The comparison was made on {rows} inputs: it takes at least {MIN_COMPARED}.", code="no_equivalence"
        )
    if report.get("is_equivalent") is not True or difference > min(tolerance, TOLERANCE) or agreement != 1.0:
        raise Invalid(
            f"The build differs from the original by up to {difference:.2g} (allowed: {min(tolerance, TOLERANCE):g}) and agrees on "
            f"{agreement:.2%} of the labels, so it was refused.",
            code="not_equivalent",
        )
    return report


def refuse_withdrawn(build: Build, deed: str) -> None:
    """Raises Conflict for a withdrawn build; `deed` says what it can't be used for: `deployed`."""
    mark = withdrawal_of(build)
    if mark is not None:
        raise Conflict(
            f"This build of {build.version.name} was withdrawn ({mark.reason}) and can't be {deed}: take another one.",
            code="build_withdrawn",
            build=str(build.uuid),
        )


def _mark(actor: Actor, build: Build, kind: BuildMarkKind, reason: str) -> Build:
    with transaction.atomic():
        # one after the other: a lock on the row, which itself never changes
        Build.objects.select_for_update(of=("self",), no_key=True).only("pk").get(pk=build.pk)
        if (withdrawal_of(build_by_uuid(build.uuid)) is not None) != (kind == BuildMarkKind.WITHDRAWN):
            BuildMark.objects.create(
                build=build, kind=kind, reason=reason, created_by_id=actor.user_id, created_at=now()
            )
            _audit(actor, build, kind.value, reason=reason[:300])
    return build_by_uuid(build.uuid)


def _audit(actor: Actor, build: Build, deed: str, **detail: str) -> None:
    version = build.version
    audit.record(
        actor,
        f"registry:build:{deed}",
        "build",
        build.uuid,
        namespace_id=version.repo.namespace_id,
        repo=str(version.repo.uuid),
        version=version.name,
        **detail,
    )
