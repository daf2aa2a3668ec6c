"""What the rest of a repository's address means: a revision, which may hold slashes, and a path."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry import queries
from registry.errors import RevisionNotFound

if TYPE_CHECKING:
    from registry.models import Commit, Repo

REVISION_SEGMENTS = 4
"""A branch of more segments is not looked for: each takes up to three queries."""


@dataclass(frozen=True)
class Place:
    """`revision` as it was written, the commit it names, and the path behind it ("" for the root)."""

    revision: str
    commit: "Commit"
    path: str


def place_of(repo: "Repo", rest: str) -> Place:
    """The shortest beginning of `rest` that names a revision wins. Raises RevisionNotFound."""
    parts = [part for part in rest.split("/") if part] or [repo.default_branch]
    for length in range(1, min(len(parts), REVISION_SEGMENTS) + 1):
        revision = "/".join(parts[:length])
        try:
            return Place(revision, queries.resolve_revision(repo, revision), "/".join(parts[length:]))
        except RevisionNotFound:
            continue
    raise RevisionNotFound(f"This repository has no branch, tag or commit {parts[0][:80]}.")
