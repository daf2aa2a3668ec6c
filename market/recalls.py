"""Recalls in words and numbers: what may follow what, how far one is, how something is reached. Pure: no database, no clock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from common.errors import Invalid
from common.states import StateMachine

TEXT_LIMIT = 2000
"""Characters of the public reason, the advice and the private note."""
NOTE_LIMIT = 500
REASON_LIMIT = 300


class Category(StrEnum):
    SAFETY = "safety"
    LICENCE = "licence"
    DATA_RIGHTS = "data_rights"
    QUALITY = "quality"
    SECURITY = "security"


class Severity(StrEnum):
    """`warn`: pages and downloads say it; `stop`: its files are handed out to nobody but who may write to it."""

    WARN = "warn"
    STOP = "stop"


class RecallState(StrEnum):
    """`open`: items are left; `closed`: all are handled, and it stays recalled; `lifted`: it was a mistake."""

    OPEN = "open"
    CLOSED = "closed"
    LIFTED = "lifted"


RECALLS = StateMachine(
    "recall",
    {
        RecallState.OPEN: frozenset({RecallState.CLOSED, RecallState.LIFTED}),
        RecallState.CLOSED: frozenset({RecallState.OPEN, RecallState.LIFTED}),
        RecallState.LIFTED: frozenset(),
    },
)
IN_FORCE = (RecallState.OPEN.value, RecallState.CLOSED.value)


class ItemKind(StrEnum):
    """`holder`: an order that opens one of the things; `copy`: bytes that may be elsewhere, with who could download them, or in a
    duplicate of the repository."""

    VERSION = "version"
    BUILD = "build"
    ENDPOINT = "endpoint"
    LISTING = "listing"
    HOLDER = "holder"
    COPY = "copy"


class ItemState(StrEnum):
    OPEN = "open"
    CONTESTED = "contested"
    HANDLED = "handled"
    WAIVED = "waived"


DONE = frozenset({ItemState.HANDLED, ItemState.WAIVED})


class Deed(StrEnum):
    """What a person does to an item."""

    ACKNOWLEDGE = "acknowledge"
    HANDLE = "handle"
    CONTEST = "contest"
    WAIVE = "waive"
    REOPEN = "reopen"


STATE_AFTER: Mapping[Deed, ItemState | None] = {
    Deed.ACKNOWLEDGE: None,
    Deed.HANDLE: ItemState.HANDLED,
    Deed.CONTEST: ItemState.CONTESTED,
    Deed.WAIVE: ItemState.WAIVED,
    Deed.REOPEN: ItemState.OPEN,
}
"""None: the state stays."""
NEEDS_NOTE = frozenset({Deed.HANDLE, Deed.CONTEST, Deed.WAIVE})


class ActionKind(StrEnum):
    """What a task does item by item; `hold` and `release` are about the files of the version itself."""

    HOLD = "hold"
    RELEASE = "release"
    NOTIFY = "notify"
    RETRAIN = "retrain"
    REFUND = "refund"
    TELL_LIFTED = "tell_lifted"


class FreezeScope(StrEnum):
    """`own`: what the recalling namespace has made of it; `all`: whatever anybody has, for staff."""

    OWN = "own"
    ALL = "all"


@dataclass(frozen=True)
class Step:
    """One step of a way from the version down: through `relation` to a thing."""

    relation: str
    kind: str
    uuid: UUID

    def as_list(self) -> list[str]:
        return [self.relation, self.kind, str(self.uuid)]

    @classmethod
    def of(cls, row: Sequence[str]) -> "Step":
        return cls(row[0], row[1], UUID(row[2]))


Way = tuple[Step, ...]


@dataclass(frozen=True)
class Tally:
    """How many items of a kind there are, and how many are done."""

    kind: str
    done: int
    total: int

    @property
    def fraction(self) -> float:
        return self.done / self.total if self.total else 1.0


def tallies(counted: Iterable[tuple[str, str, int]]) -> list[Tally]:
    """Of `(kind, state, number)`: one for each kind that there is, in the order of `ItemKind`, others last."""
    totals: dict[str, int] = {}
    done: dict[str, int] = {}
    for kind, state, number in counted:
        totals[kind] = totals.get(kind, 0) + number
        done[kind] = done.get(kind, 0) + (number if state in DONE else 0)
    ranks = {each.value: rank for rank, each in enumerate(ItemKind)}
    return [
        Tally(kind, done[kind], totals[kind]) for kind in sorted(totals, key=lambda each: (ranks.get(each, 99), each))
    ]


def checked_text(text: str, field: str, *, limit: int = TEXT_LIMIT, needed: bool = True) -> str:
    """The text without NUL and outer blanks. Raises Invalid at `field` for an empty one that is needed and for one that is too long."""
    text = text.replace("\x00", "").strip()
    if needed and not text:
        raise Invalid("Say why: people who use it will read this.", fields={field: "empty"})
    if len(text) > limit:
        raise Invalid(f"Say it in {limit} characters.", fields={field: "too long"})
    return text


def word_of(words: type[StrEnum], text: str, field: str) -> Any:
    """The word of `words` that is meant. Raises Invalid at `field`."""
    if text not in list(words):
        raise Invalid(f"{field.replace('_', ' ')} is one of {', '.join(words)}.", fields={field: "unknown"})
    return words(text)


def advice_of(severity: str) -> str:
    """What to do where the recaller said nothing."""
    return (
        "Stop using it, and delete your copies."
        if severity == Severity.STOP
        else "Check whether what you make with it is affected."
    )
