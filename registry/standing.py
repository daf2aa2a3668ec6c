"""How a version stands: in use, deprecated, withdrawn. Worked out from its marks, of which the newest of each pair governs."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from common.errors import Conflict
from registry.states import MarkKind

if TYPE_CHECKING:
    from registry.models import Version, VersionMark


@dataclass(frozen=True, slots=True)
class Standing:
    """`message` is why it is deprecated; `successor` the name of the version to take instead, "" when none was named."""

    is_deprecated: bool = False
    message: str = ""
    successor: str = ""
    due_on: date | None = None
    deprecated_at: datetime | None = None
    is_yanked: bool = False
    yank_reason: str = ""
    yanked_at: datetime | None = None


def standing_of(version: "Version") -> Standing:
    """Of a version whose marks, with their successors, are fetched ahead; else one query."""
    marks = sorted(version.marks.all(), key=lambda mark: mark.pk)
    deprecation = _newest(marks, MarkKind.DEPRECATED, MarkKind.SUPPORTED)
    withdrawal = _newest(marks, MarkKind.YANKED, MarkKind.RESTORED)
    return Standing(
        is_deprecated=deprecation is not None,
        message=deprecation.reason if deprecation else "",
        successor=deprecation.successor.name if deprecation and deprecation.successor else "",
        due_on=deprecation.due_on if deprecation else None,
        deprecated_at=deprecation.created_at if deprecation else None,
        is_yanked=withdrawal is not None,
        yank_reason=withdrawal.reason if withdrawal else "",
        yanked_at=withdrawal.created_at if withdrawal else None,
    )


def refuse_yanked(version: "Version", deed: str) -> None:
    """Raises Conflict for a withdrawn version; `deed` says what it can't be used for: `deployed`."""
    standing = standing_of(version)
    if standing.is_yanked:
        raise Conflict(
            f"Version {version.name} was withdrawn ({standing.yank_reason}) and can't be {deed}: take another version.",
            code="version_yanked",
            version=version.name,
        )


def _newest(marks: "list[VersionMark]", on: MarkKind, off: MarkKind) -> "VersionMark | None":
    """The newest mark of the pair when it is `on`."""
    last = next((mark for mark in reversed(marks) if mark.kind in {on, off}), None)
    return last if last is not None and last.kind == on else None
