"""The state of files in a word, for badges: what scanning says, that some are held back, or that nobody has looked yet."""

from typing import TYPE_CHECKING

from registry.models import Branch, RepoScan
from registry.queries import SCANNERS, held_back_at

if TYPE_CHECKING:
    from registry.models import Repo, Version

NOT_SCANNED = "not scanned yet"
HELD = "quarantine"


def state_of_head(repo: "Repo") -> str:
    """Of the newest commit of the default branch: the worst verdict of its files, HELD when one of them is under quarantine,
    NOT_SCANNED until the scan has reached it; empty without a commit. Three queries, and a walk when something is held back."""
    branch = (
        Branch.objects.filter(repo=repo, name=repo.default_branch)
        .select_related("head__tree")
        .defer("head__raw")
        .first()
    )
    if branch is None:
        return ""
    if held_back_at(branch.head) is not None:
        return HELD
    scan = RepoScan.objects.filter(repo=repo, commit_id=branch.head_id).values_list("verdict", flat=True).first()
    return scan or NOT_SCANNED


def state_of_version(version: "Version") -> str:
    """The same of a version whose scans are fetched ahead, newest first."""
    if held_back_at(version.commit) is not None:
        return HELD
    return next((scan.verdict for scan in version.scans.all() if scan.scanner == SCANNERS), NOT_SCANNED)


def is_scanned(version: "Version") -> bool:
    """Whether any scan of the version has come to an end: before that its verdict is unknown for want of one."""
    return version.scans.filter(scanner=SCANNERS).exists()
