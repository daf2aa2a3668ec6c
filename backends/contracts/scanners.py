"""A scanner says what it finds in a file, by its content. The one truth: only what is proven to be data is called data-only."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


class Verdict(enum.StrEnum):
    """Five words, from good to bad. "Unknown" is treated like "flagged" wherever it matters: nothing is loaded or served that is not
    data-only."""

    DATA_ONLY = "data-only"
    """Read to the last byte and proven to hold nothing but data."""
    CODE = "code"
    """Runs or describes code when it is opened, of a kind that is usual for such files."""
    UNKNOWN = "unknown"
    """Nobody could say: not recognised, not read to its end, over a limit, or the scanner failed."""
    FLAGGED = "flagged"
    """Something in it is suspicious, and a person should look."""
    MALICIOUS = "malicious"
    """It would do what only an attack does. Such bytes are put under quarantine."""


_ORDER = tuple(Verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several; of none at all: data-only, as nothing is there."""
    return max(verdicts, key=_ORDER.index, default=Verdict.DATA_ONLY)


@dataclass(frozen=True)
class Finding:
    """One thing that one scanner says. Of secrets it never repeats the text."""

    rule: str
    """`scanner.rule`: stable, for programs."""
    verdict: Verdict
    message: str
    """A sentence for people."""
    place: str = ""
    """Where: members of archives divided by `!`, then a line or a name; empty for the file as a whole."""


@dataclass(frozen=True)
class FileReport:
    """What is known of one file: the worst that any scanner says."""

    verdict: Verdict
    format: str
    """What the content is: `safetensors`, `onnx`, `pickle`, `text`, `zip of pickle` …; empty when not recognised."""
    findings: tuple[Finding, ...] = ()
    """The worst first; at most 50."""


@dataclass(frozen=True)
class Content:
    """Some bytes to be looked at: a file, or a member that was unpacked from one. Its name is not told, as it proves nothing."""

    path: Path
    size: int
    head: bytes
    """The first 4096 bytes."""
    data: memoryview
    """All bytes, mapped: what is read takes memory that the system can take back."""
    format: str
    """What it begins as (`backends.scanners.formats`): a guess, not a proof; empty when nothing is recognised."""


class Scanner(ABC):
    """Looks at some bytes. It parses hostile input: run it through `backends.scanners.run` in a sandbox, never in a process of the site."""

    name: ClassVar[str]
    rules_version: ClassVar[str]
    """Raised with every change of the rules; verdicts of older rules are asked again."""

    @abstractmethod
    def look(self, content: Content) -> Iterable[Finding]:
        """What it finds. A finding with the verdict data-only is a proof: the bytes were read to the last one; without such a proof from
        any scanner they are unknown. A scanner that has no opinion finds nothing. Never executes, imports or unpickles anything.
        Memory does not grow with the file; time does, linearly. May raise anything for bad content, which makes it unknown.
        Repeatable: the same bytes and rules give the same findings. Archives are unpacked by the caller, who shows each member."""
