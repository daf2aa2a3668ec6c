"""Scanning what is committed. Bytes are parsed in the sandbox only; each blob is scanned once per state of the rules, for whichever
repository it comes to first."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts import actors
from accounts.services import audit
from backends import catalogue
from backends.contracts.scanners import FileReport, Finding
from backends.contracts.scanners import Verdict as Found
from backends.scanners.sandboxed import FAILED, rules_of, scan_files
from common.clock import now
from registry.errors import RevisionNotFound
from registry.models import Blob, BlobScan, Repo, RepoBlob, RepoScan, ScanReport, Version
from registry.queries import SCANNERS, Entry, all_files, blobs_of, head_of, verdicts_of_blobs, version_by_pk
from registry.services import quarantine
from registry.services.sandboxes import copied, folders, process_runner, sandbox
from registry.states import Verdict, worst
from work.door import enqueue

_BATCH = 200
"""Files a sandboxed run looks at: enough to share its start, few enough to stay far below its time limit."""
_BATCH_BYTES = 2 * 1024**3
MOST_BYTES = 64 * 1024**3
"""Larger files are not copied into a sandbox; they are unknown."""
_ROUND = 2000
"""Files that one task scans before it asks for another."""
_FINDINGS_LIMIT = 200
_COUNTED = 50_000
KEEP = timedelta(hours=1)
"""What a scan leaves is swept after this: a scan task is broken off after ten minutes."""


def ask_for_scan(repo: Repo) -> None:
    """Have scanned what a repository was given, soon, in the transaction of the commit. Many commits in a row are one scan."""
    enqueue("registry.scan_repo", repo.pk, key=f"scan-repo:{repo.pk}", delay_s=1)


@cache
def rules() -> str:
    """The state of the rules of all scanners, plugins included."""
    return rules_of(list(catalogue.listing("scanners")))


def scan_repo(repo_id: int) -> None:
    """Scan what a repository has been given and no scanner has seen with the present rules, hold back what is malicious, and note what the
    newest commit holds. Safe to repeat and beside itself; goes on in another task when there is much."""
    repo = Repo.objects.select_related("namespace").filter(pk=repo_id, deleted_at__isnull=True).first()
    if repo is None:
        return
    rows = list(_unscanned(RepoBlob.objects.filter(repo=repo)).select_related("blob").order_by("pk")[:_ROUND])
    newest = RepoBlob.objects.filter(repo=repo).order_by("-pk").values_list("pk", flat=True).first() or 0
    for blobs in _batches_of_blobs(row.blob for row in rows):
        _scan_blobs(blobs)
    is_done = len(rows) < _ROUND
    _note(repo, newest if is_done else rows[-1].pk)
    if not is_done:
        ask_for_scan(repo)


def scan_version(version_id: int) -> ScanReport:
    """Scan every file of a version and store the verdict, the worst of its files'. Safe to repeat: files scanned before, with the
    same rules, are not scanned again, and the report of a version is written once per state of the rules."""
    version = version_by_pk(version_id)
    known = ScanReport.objects.filter(version=version, scanner=SCANNERS, rules=rules()).first()
    if known is not None:
        return known
    verdicts: Counter[str] = Counter()
    findings: list[dict[str, str]] = []
    for entries in _batches(all_files(version.commit)):
        for entry, scan in _scan_entries(entries):
            verdicts[scan.verdict] += 1
            if scan.verdict != Verdict.DATA_ONLY and len(findings) < _FINDINGS_LIMIT:
                findings.append(
                    {"path": entry.path, "verdict": scan.verdict, "format": scan.format, "reason": reason_of(scan)}
                )
    findings.sort(key=lambda finding: (-_weight(finding["verdict"]), finding["path"]))
    with transaction.atomic():
        report, is_new = ScanReport.objects.get_or_create(
            version=version,
            scanner=SCANNERS,
            rules=rules(),
            defaults={"verdict": worst(verdicts), "findings": findings},
        )
        if is_new:
            audit.record(
                actors.system("scanner"),
                "registry:version:scanned",
                "version",
                version.uuid,
                namespace_id=version.repo.namespace_id,
                verdict=report.verdict,
                files=sum(verdicts.values()),
            )
    return report


def rescan() -> int:
    """After the rules have changed: scan again, some at a time, what the present rules have not seen; returns how many files. A changed
    verdict has the consequences of a first one. Safe to run beside itself and beside scans; goes on while there is something left."""
    rows = _unscanned(RepoBlob.objects.filter(repo__deleted_at__isnull=True)).select_related("blob").order_by("pk")
    found = list(rows[:_ROUND])
    for blobs in _batches_of_blobs({row.blob_id: row.blob for row in found}.values()):
        _scan_blobs(blobs)
    for repo in Repo.objects.filter(pk__in={row.repo_id for row in found}):
        ask_for_scan(repo)
    current = ScanReport.objects.filter(version=OuterRef("pk"), scanner=SCANNERS, rules=rules())
    stale = Version.objects.filter(~Exists(current), repo__deleted_at__isnull=True).order_by("-pk")
    for pk in stale.values_list("pk", flat=True)[:_ROUND]:
        enqueue("registry.scan_version", pk, key=f"scan-version:{pk}")
    if len(found) == _ROUND:
        enqueue("registry.rescan", key="rescan")
    return len(found)


def reason_of(scan: BlobScan) -> str:
    """The weightiest findings, as a few sentences."""
    worst_first = [str(found.get("message", "")) for found in scan.findings if isinstance(found, dict)]
    return " ".join(worst_first[:5]) or f"Not proven to be data only ({scan.format or 'unknown format'})."


def _unscanned(rows: QuerySet[RepoBlob]) -> QuerySet[RepoBlob]:
    seen = BlobScan.objects.filter(blob=OuterRef("blob"), scanner=SCANNERS, rules=rules())
    return rows.filter(~Exists(seen))


def _note(repo: Repo, reached: int) -> None:
    """Write how far the scanning has come and what the newest commit holds."""
    try:
        commit = head_of(repo)
    except RevisionNotFound:
        commit = None
    RepoScan.objects.get_or_create(repo=repo)
    # first how far, as what follows asks for it
    RepoScan.objects.filter(repo=repo, reached__lt=reached).update(reached=reached)
    counts: Counter[str] = Counter()
    if commit is not None:
        for entries in _batches(islice(all_files(commit), _COUNTED)):
            found = verdicts_of_blobs(repo, (entry.ref for entry in entries))
            counts.update(str(found.get(entry.ref, Verdict.UNKNOWN)) for entry in entries)
    if sum(counts.values()) == _COUNTED:
        counts[str(Verdict.UNKNOWN)] += 1
    RepoScan.objects.filter(repo=repo).update(
        commit=commit, verdict=worst(counts) if commit else "", counts=dict(counts), updated_at=now()
    )


def _scan_entries(entries: list[Entry]) -> Iterator[tuple[Entry, BlobScan]]:
    blobs = blobs_of(entries)
    scans = _known(blobs)
    for batch in _batches_of_blobs(blob for pk, blob in blobs.items() if pk not in scans):
        _scan_blobs(batch)
    scans = _known(blobs)
    for entry in entries:
        yield entry, scans[entry.ref]


def _known(blobs: Iterable[int]) -> dict[int, BlobScan]:
    rows = BlobScan.objects.filter(blob__in=list(blobs), scanner=SCANNERS, rules=rules())
    return {scan.blob_id: scan for scan in rows}


def _scan_blobs(blobs: list[Blob]) -> None:
    """Have some files scanned and write what is said of them, with its consequences. A file that brings the program down, or keeps it for
    too long, does so alone in the end: its neighbours are not unknown because of it."""
    for blob in blobs:
        if blob.size_bytes > MOST_BYTES:
            _record(blob, _TOO_LARGE)
    waiting = [[blob for blob in blobs if blob.size_bytes <= MOST_BYTES]]
    while waiting:
        batch = waiting.pop()
        if not batch:
            continue
        reports = _reports(batch)
        failed = [blob for blob in batch if reports[blob.sha256] == FAILED]
        for blob in batch:
            if blob not in failed or len(batch) == 1:
                _record(blob, reports[blob.sha256])
        if failed and len(batch) > 1:
            half = len(failed) // 2 if len(failed) == len(batch) else len(failed)
            waiting += [failed[:half], failed[half:]]


def _reports(blobs: list[Blob]) -> dict[str, FileReport]:
    """Run the scanners in the sandbox over local copies."""
    with sandbox("scan") as place:
        files = {blob.sha256: copied(blob, place.copies) for blob in blobs}
        names = list(catalogue.listing("scanners"))
        return scan_files(place.runner, place.work, files, key=place.key, scanners=names)


_TOO_LARGE = FileReport(
    Found.UNKNOWN, "", (Finding("scans.size", Found.UNKNOWN, "The file is larger than what can be scanned."),)
)


def _record(blob: Blob, report: FileReport) -> None:
    with transaction.atomic():
        findings = [_plain(finding) for finding in report.findings]
        BlobScan.objects.get_or_create(
            blob=blob,
            scanner=SCANNERS,
            rules=rules(),
            defaults={
                "verdict": report.verdict.value,
                "format": report.format.replace("\x00", ""),
                "findings": findings,
            },
        )
        if report.verdict is Found.MALICIOUS:
            reason = findings[0]["message"] if findings else "Scanning found it malicious."
            quarantine.hold_malicious(blob, str(reason))


def _plain(finding: Finding) -> dict[str, Any]:
    told = {
        "rule": finding.rule,
        "verdict": finding.verdict.value,
        "message": finding.message,
        "place": finding.place,
    }
    # what came from a file may hold what no database takes
    return {key: value.replace("\x00", "").encode(errors="replace").decode() for key, value in told.items()}


def sweep_scans() -> int:
    """Remove what scans and previews left whose worker was killed: the run, stopped when it still goes on, and the folder; returns how many. Those
    younger than KEEP are left alone. Safe to run beside itself and beside scans."""
    limit = (now() - KEEP).timestamp()
    swept = 0
    for folder in list(folders().iterdir()):
        try:
            is_old = folder.stat().st_mtime < limit
        except FileNotFoundError:
            continue  # its scan has just ended
        if is_old:
            process_runner().clean(folder.name)
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    return swept


def _weight(verdict: str) -> int:
    return list(Verdict).index(Verdict(verdict))


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _batches_of_blobs(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """A large file comes alone, so that it does not cost the others their time."""
    batch: list[Blob] = []
    size = 0
    for blob in blobs:
        if batch and (len(batch) == _BATCH or size + blob.size_bytes > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(blob)
        size += blob.size_bytes
    if batch:
        yield batch
