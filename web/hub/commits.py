"""One commit: who, when, why, and what it changed, with the text of small files side by side."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.actors import Actor
from registry import queries
from registry.changes import Change, changes_of
from registry.services import storage
from web.hub.diffs import Diff, diff_of
from web.hub.heads import RepoHead
from web.links import namespace_url, repo_url

if TYPE_CHECKING:
    from registry.models import Blob, Commit, Repo

DIFF_BYTES = 64 * 1024
"""Files up to this size are compared; of large files only the sizes are told."""
DIFFS = 20
"""Files that are compared on a page."""


@dataclass(frozen=True)
class ChangeRow:
    """`diff` is None where text is not compared; `note` says why, when it is not plain to see."""

    kind: str
    path: str
    href: str
    before_bytes: int | None
    after_bytes: int | None
    is_large: bool
    diff: Diff | None
    note: str


@dataclass(frozen=True)
class CommitPage:
    title: str
    head: RepoHead
    oid: str
    summary: str
    description: str
    author: str
    author_href: str
    created_at: datetime
    parents: list[tuple[str, str]]
    changes: list[ChangeRow]
    added: int
    changed: int
    removed: int
    is_cut: bool
    tree_href: str
    history_href: str
    versions: list[tuple[str, str]]

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, commit: "Commit") -> "CommitPage":
        """Reads two blobs for each of up to DIFFS small files."""
        changes, is_cut = changes_of(commit)
        kinds = [change.kind for change in changes]
        return cls(
            title=f"{commit.summary[:80]} · {repo.namespace.name}/{repo.name}",
            head=RepoHead.of(repo, actor, "files"),
            oid=commit.oid,
            summary=commit.summary,
            description=commit.description,
            author=commit.author.username if commit.author else commit.author_name,
            author_href=namespace_url(commit.author.username) if commit.author else "",
            created_at=commit.created_at,
            parents=[(oid, repo_url(repo, "commit", oid)) for oid in commit.parents],
            changes=_rows(repo, commit, changes),
            added=kinds.count("added"),
            changed=kinds.count("changed"),
            removed=kinds.count("removed"),
            is_cut=is_cut,
            tree_href=repo_url(repo, "tree", commit.oid),
            history_href=repo_url(repo, "commits", commit.oid),
            versions=[
                (each.name, repo_url(repo, "versions", each.name)) for each in queries.versions_of_commit(commit)
            ],
        )


def _rows(repo: "Repo", commit: "Commit", changes: list[Change]) -> list[ChangeRow]:
    compared = [change for change in changes if _is_small(change)][:DIFFS]
    blobs = queries.blobs_of(entry for change in compared for entry in (change.before, change.after) if entry)
    held = queries.held_back(repo.pk, blobs)
    chosen = {change.path: change for change in compared}
    rows = []
    for change in changes:
        diff, note = _compared(change, blobs, held) if change is chosen.get(change.path) else (None, "")
        where = commit.oid if change.after else commit.parents[0]
        rows.append(
            ChangeRow(
                kind=change.kind,
                path=change.path,
                href=repo_url(repo, "blob", where, change.path),
                before_bytes=change.before.size_bytes if change.before else None,
                after_bytes=change.after.size_bytes if change.after else None,
                is_large=any(entry.sha256 for entry in (change.before, change.after) if entry),
                diff=diff,
                note=note,
            )
        )
    return rows


def _is_small(change: Change) -> bool:
    return all(
        entry.sha256 is None and entry.size_bytes <= DIFF_BYTES for entry in (change.before, change.after) if entry
    )


def _compared(change: Change, blobs: "dict[int, Blob]", held: Container[int]) -> tuple[Diff | None, str]:
    texts = []
    for entry in (change.before, change.after):
        if entry and entry.ref in held:
            return None, "under quarantine"
        raw = storage.read_blob(blobs[entry.ref], DIFF_BYTES) if entry else b""
        if b"\0" in raw:
            return None, "not text"
        texts.append(raw.decode(errors="replace"))
    return diff_of(*texts), ""
