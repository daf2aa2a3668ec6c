"""Commit and tag objects that strangers push: what the registry shows of them. Their bytes are kept as they came, so that ids,
signatures and time zones stay true."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dulwich.errors import ChecksumMismatch, ObjectFormatException
from dulwich.objects import Commit as GitCommit
from dulwich.objects import Tag as GitTag

from common.errors import Invalid
from registry.models import new_commit_id

MAX_PARENTS = 64
_SUMMARY_LIMIT, _NAME_LIMIT, _DESCRIPTION_LIMIT = 300, 150, 100_000
_LAST_SECOND = 253_402_300_799
"""Of the year 9999, the last that a database can hold."""
_LATIN = {"iso-8859-1", "iso8859-1", "latin-1", "latin1", "cp1252", "windows-1252"}
_BROKEN = (
    ObjectFormatException, ChecksumMismatch, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError,
    OverflowError,
)  # fmt: skip


@dataclass(slots=True)
class NewCommit:
    """`key` is the primary key that its row will have, 0 until it is given one."""

    oid: str
    raw: bytes
    tree: str
    parents: list[str]
    summary: str
    description: str
    author_name: str
    committed_at: datetime
    key: int = 0

    def take_key(self, taken: set[int]) -> None:
        """Give it a key that none of `taken` is, and add that: commits of one push are made within the same millisecond."""
        while not self.key or self.key in taken:
            self.key = new_commit_id()
        taken.add(self.key)


@dataclass(frozen=True, slots=True)
class NewTag:
    oid: str
    raw: bytes
    commit: str
    message: str


def parse_commit(oid: str, raw: bytes) -> NewCommit:
    """Raises Invalid unless git itself would read the same."""
    try:
        git = GitCommit.from_string(raw)
        git.check()
        parents = [parent.decode("ascii") for parent in git.parents]
        author, tree, message, seconds = git.author, git.tree.decode("ascii"), git.message or b"", git.commit_time
        encoding = (git.encoding or b"").decode("ascii", "replace").lower()
    except _BROKEN as error:
        raise Invalid(
            f"The commit {oid[:10]} is malformed ({_reason(error)}): git fsck on your side tells more."
        ) from error
    if len(parents) > MAX_PARENTS:
        raise Invalid(f"The commit {oid[:10]} has {len(parents)} parents; {MAX_PARENTS} are the limit.")
    text = _text(message, encoding).strip("\n")
    summary, _, rest = text.partition("\n")
    name, _, email = _text(author, encoding).partition(" <")
    return NewCommit(
        oid=oid,
        raw=raw,
        tree=tree,
        parents=parents,
        summary=summary.strip()[:_SUMMARY_LIMIT] or "(no message)",
        description=rest.strip()[:_DESCRIPTION_LIMIT],
        author_name=(name.strip() or email.rstrip(">").strip() or "unknown")[:_NAME_LIMIT],
        committed_at=datetime.fromtimestamp(max(0, min(seconds, _LAST_SECOND)), UTC),
    )


def parse_tag(oid: str, raw: bytes) -> NewTag:
    """Raises Invalid unless it is the tag of a commit."""
    try:
        git = GitTag.from_string(raw)
        git.check()
        kind, target = git.object
        message = git.message or b""
    except _BROKEN as error:
        raise Invalid(f"The tag object {oid[:10]} is malformed ({_reason(error)}).") from error
    if kind is not GitCommit:
        raise Invalid("Only commits can be tagged here, not files, trees or other tags.")
    return NewTag(oid, raw, target.decode("ascii"), _text(message, "").strip()[:_DESCRIPTION_LIMIT])


def _text(raw: bytes, encoding: str) -> str:
    """As text that a database can hold. Only encodings that were in use for commits are known; the name of an encoding is a
    stranger's."""
    text = raw.decode("latin-1") if encoding in _LATIN else raw.decode("utf-8", "replace")
    return text.replace("\x00", "")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
