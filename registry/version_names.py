"""Names of versions: what one may look like, and which of two is the newer.

A name is a semantic version (https://semver.org/spec/v2.0.0.html), whose missing parts are zero (`1`, `v2`, `1.4`), or a date
(`2026-01-31`, `2026.01.31`, `2026-01`), with `.2` behind it for the second release of the day. Both have a place in one
total order: a date counts as year.month.day."""

import re
from dataclasses import dataclass, field
from datetime import date
from functools import total_ordering

from common.errors import Invalid

NAME_LIMIT = 80

_NUMBER = r"(?:0|[1-9][0-9]{0,11})"
_WORDS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMANTIC = re.compile(
    rf"[vV]?(?P<numbers>{_NUMBER}(?:\.{_NUMBER}){{0,2}})(?:-(?P<before>{_WORDS}))?(?:\+(?P<build>{_WORDS}))?"
)
_DATE = re.compile(
    r"(?P<year>[1-9][0-9]{3})(?P<dash>[-.])(?P<month>[0-9]{2})(?:(?P=dash)(?P<day>[0-9]{2})(?:\.(?P<serial>[1-9][0-9]{0,5}))?)?"
)
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class VersionName:
    """A name that was understood. Equal ones are one version written in two ways: `1`, `v1.0` and `1.0.0`."""

    text: str
    numbers: tuple[int, int, int, int]
    """Major, minor, patch, serial of the day."""
    before: tuple[str, ...] = ()
    """Parts of a pre-release: it comes before the release it leads to."""
    build: tuple[str, ...] = ()
    """Parts behind the plus. Semantic versioning gives them no rank; here they break the tie, so that the order is total."""
    is_date: bool = field(default=False)

    @property
    def is_prerelease(self) -> bool:
        return bool(self.before)

    @property
    def semantic(self) -> str:
        """The name written out: `1.0.0`, `2026.1.31`."""
        text = ".".join(map(str, self.numbers[:3]))
        build = [*([str(self.numbers[3])] if self.numbers[3] else []), *self.build]
        return text + (f"-{'.'.join(self.before)}" if self.before else "") + (f"+{'.'.join(build)}" if build else "")

    @property
    def _key(self) -> tuple[object, ...]:
        return self.numbers, not self.before, tuple(map(_rank, self.before)), tuple(map(_rank, self.build))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionName) and self._key == other._key

    def __lt__(self, other: "VersionName") -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


def parse(text: str) -> VersionName | None:
    """The name that `text` is; None when a version may not be called so."""
    if len(text) > NAME_LIMIT or _COMMIT_ID.fullmatch(text) or text.lower().endswith(".lock"):
        return None
    if dated := _DATE.fullmatch(text):
        return _dated(text, dated)
    semantic = _SEMANTIC.fullmatch(text)
    if semantic is None or text[-1] == "-":
        return None
    before, build = (tuple((semantic[part] or "").lower().split(".")) for part in ("before", "build"))
    if any(word.isdigit() and len(word) > 1 and word[0] == "0" for word in before):
        return None
    numbers = [int(number) for number in semantic["numbers"].split(".")]
    major, minor, patch = numbers + [0] * (3 - len(numbers))
    return VersionName(text, (major, minor, patch, 0), tuple(filter(None, before)), tuple(filter(None, build)))


def check_version(text: str) -> str:
    """`text` itself when a version may have it as its name. Raises Invalid, with a name that would do."""
    if parse(text) is None:
        shown = text[:40].encode("ascii", "backslashreplace").decode()
        raise Invalid(
            f"{shown!r} is not the name of a version: take a semantic version or a date, here perhaps {proposal(text)}.",
            fields={"name": f"like {proposal(text)} or 2026-01-31"},
        )
    return text


def proposal(text: str) -> str:
    """A valid name close to `text`: its numbers as a semantic version, `1.0.0` when it has none."""
    numbers = [str(int(digits)) for digits in re.findall(r"[0-9]{1,12}", text[:NAME_LIMIT], re.ASCII)[:3]]
    return ".".join(numbers + ["0"] * (3 - len(numbers))) if numbers else "1.0.0"


def _dated(text: str, dated: re.Match[str]) -> VersionName | None:
    year, month, day = int(dated["year"]), int(dated["month"]), int(dated["day"] or 1)
    try:
        date(year, month, day)
    except ValueError:
        return None
    return VersionName(text, (year, month, day if dated["day"] else 0, int(dated["serial"] or 0)), is_date=True)


def _rank(word: str) -> tuple[int, int, str]:
    """Numbers before words, numbers by value (semver 11.4)."""
    return (0, int(word), "") if word.isdigit() and (len(word) == 1 or word[0] != "0") else (1, 0, word)
