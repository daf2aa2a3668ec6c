"""What a repository's `.gitattributes` and `.gitignore` say of a path, within limits: both are anybody's text."""

import io
import re
import time

from dulwich.attrs import compile_gitattributes_patterns, match_path, parse_git_attributes
from dulwich.ignore import IgnoreFilter, read_ignore_patterns

from common.errors import Invalid

MAX_TEXT_BYTES = 64 * 1024
_MAX_PATTERNS = 500
_MAX_PATTERN_BYTES = 256
_MAX_WILDCARDS = 3
"""Matching backtracks over every run of stars: with three, the worst path found takes 0.2 s (measured); usual ones microseconds."""
_BUDGET_S = 2.0
_STARS = re.compile(rb"\*+")


class Rules:
    """`attributes` and `ignore`: the texts of the two files, "" where there is none. Patterns beyond the limits match nothing."""

    def __init__(self, attributes: str, ignore: str) -> None:
        entries = [
            (pattern, values)
            for pattern, values in parse_git_attributes(io.BytesIO(attributes.encode()))
            if b"filter" in values and _is_modest(pattern)
        ]
        self._attributes = compile_gitattributes_patterns(entries[:_MAX_PATTERNS])
        lines = [line for line in read_ignore_patterns(io.BytesIO(ignore.encode())) if _is_modest(line)]
        self._ignore = IgnoreFilter(lines[:_MAX_PATTERNS])
        self._spent_s = 0.0

    def is_lfs(self, path: str) -> bool:
        """Whether `path` is marked `filter=lfs`."""
        if not self._attributes:
            return False
        with _Clocked(self):
            return match_path(self._attributes, path.encode()).get(b"filter") == b"lfs"

    def is_ignored(self, path: str) -> bool:
        """Whether `path` is left out of uploads."""
        if not self._ignore.patterns:
            return False
        with _Clocked(self):
            return bool(self._ignore.is_ignored(path))

    def spend(self, seconds: float) -> None:
        """Raises Invalid when these rules have cost more than one request may."""
        self._spent_s += seconds
        if self._spent_s > _BUDGET_S:
            raise Invalid(
                "The patterns in .gitattributes and .gitignore take too long to match: use fewer and simpler ones."
            )


class _Clocked:
    def __init__(self, rules: Rules) -> None:
        self._rules, self._began = rules, time.monotonic()

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._rules.spend(time.monotonic() - self._began)


def _is_modest(pattern: bytes) -> bool:
    return len(pattern) <= _MAX_PATTERN_BYTES and len(_STARS.findall(pattern)) <= _MAX_WILDCARDS
