"""What the pages tell of scanning: the badge of a file with its reasons, and what is held back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.actors import Actor
from registry import queries
from registry.safety_queries import HELD, NOT_SCANNED
from registry.states import Origin
from web.hub.forms import QuarantineForm
from web.hub.heads import RepoHead
from web.links import repo_url

if TYPE_CHECKING:
    from registry.models import Quarantine, Repo

_SHOWN = 20
_WHO = {
    Origin.SCAN: "by scanning, everywhere",
    Origin.LIST: "as known malware, everywhere",
    Origin.STAFF: "by the staff of this site, everywhere",
    Origin.OWNER: "by its owner, in this repository",
}
_MEANINGS = {
    "data-only": "Every byte was read, and it holds nothing but data.",
    "code": "Opening it runs code, as is usual for files of its kind. Open it only if you trust who made it.",
    "unknown": "Nobody could prove what it holds, so it is not called safe.",
    "flagged": "Something in it is suspicious. Read the reasons before you open it.",
    "malicious": "It would act on the machine of whoever opens it.",
    NOT_SCANNED: "It is scanned within minutes of the commit.",
}


@dataclass(frozen=True)
class Reason:
    verdict: str
    message: str
    place: str
    rule: str


@dataclass(frozen=True)
class Held:
    """A quarantine. `form` is there for who may release it."""

    reason: str
    who: str
    digest: str
    since: datetime
    released_at: datetime | None
    release_reason: str
    release_href: str
    form: QuarantineForm | None

    @classmethod
    def of(cls, repo: "Repo", row: "Quarantine", *, may_release: bool) -> "Held":
        return cls(
            row.reason,
            _WHO[Origin(row.origin)],
            row.blob.sha256,
            row.created_at,
            row.released_at,
            row.release_reason,
            repo_url(repo, "quarantines", str(row.uuid), "release"),
            QuarantineForm(auto_id=f"id_{row.uuid}_%s") if may_release and row.released_at is None else None,
        )


@dataclass(frozen=True)
class FileSafety:
    """Of one file. `form` is there for who may hold it back."""

    verdict: str
    meaning: str
    format: str
    reasons: list[Reason]
    held: Held | None
    quarantine_href: str
    form: QuarantineForm | None

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, head: RepoHead, entry: queries.Entry) -> "FileSafety":
        scan = queries.scans_of_blobs(repo, [entry.ref]).get(entry.ref)
        row = queries.held_back(repo.pk, [entry.ref]).get(entry.ref)
        may_hold = head.can_admin or actor.is_staff
        verdict = scan.verdict if scan else NOT_SCANNED
        found = [each for each in scan.findings if isinstance(each, dict)] if scan else []
        return cls(
            verdict=verdict,
            meaning=_MEANINGS[verdict],
            format=scan.format if scan else "",
            reasons=[
                Reason(str(each["verdict"]), str(each["message"]), str(each["place"]), str(each["rule"]))
                for each in found[:_SHOWN]
            ],
            held=Held.of(repo, row, may_release=_may_release(actor, head, row)) if row else None,
            quarantine_href=repo_url(repo, "quarantines") if may_hold and row is None else "",
            form=QuarantineForm() if may_hold and row is None else None,
        )


@dataclass(frozen=True)
class Count:
    verdict: str
    meaning: str
    files: int


@dataclass(frozen=True)
class SafetyPage:
    """Of a repository: what its newest commit holds, and what is or was held back."""

    title: str
    head: RepoHead
    verdict: str
    counts: list[Count]
    is_current: bool
    scanned_at: datetime | None
    held: list[Held]
    released: list[Held]

    @classmethod
    def of(cls, repo: "Repo", actor: Actor) -> "SafetyPage":
        head = RepoHead.of(repo, actor, "safety")
        scan = queries.repo_scan(repo)
        counts = scan.counts if scan else {}
        rows = queries.quarantines_of(repo)
        listed = [Held.of(repo, row, may_release=_may_release(actor, head, row)) for row in rows]
        return cls(
            title=f"Safety of {head.title}",
            head=head,
            verdict=(scan.verdict or NOT_SCANNED) if scan else NOT_SCANNED,
            counts=[
                Count(verdict, _MEANINGS[verdict], counts[verdict]) for verdict in _MEANINGS if counts.get(verdict)
            ],
            is_current=scan is not None and scan.commit_id == queries.head_of(repo).pk,
            scanned_at=scan.updated_at if scan else None,
            held=[each for each in listed if each.released_at is None],
            released=[each for each in listed if each.released_at is not None],
        )


def badges_of(repo: "Repo", entries: Iterable[queries.Entry]) -> dict[int, str]:
    """The badge of each file by its blob: a verdict, `quarantine`, or that it is not scanned yet. Three queries."""
    refs = [entry.ref for entry in entries if not entry.is_dir]
    verdicts = queries.verdicts_of_blobs(repo, refs)
    held = queries.held_back(repo.pk, refs)
    return {ref: HELD if ref in held else str(verdicts.get(ref, NOT_SCANNED)) for ref in refs}


def _may_release(actor: Actor, head: RepoHead, row: "Quarantine") -> bool:
    return actor.is_staff or (head.can_admin and row.origin == Origin.OWNER)
