"""Rules that a dataset must keep: read from `data-rules.yaml` strictly, and held against what a version holds.

The file is a list under `rules`; docs/datasets.md shows every kind. What the reader does not know it refuses: a rule with a
slip of the pen must not pass in silence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PATH = "data-rules.yaml"
RULES_LIMIT = 200
TYPES = ("integer", "number", "boolean", "time", "text", "nested", "bytes")


class Wrong(ValueError):
    """The rules cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Rule:
    """`subject` is column, rows, images, audio, files or leakage. `table` and `split` narrow it; empty means every one. `wants`
    is what was declared, by key. `blocks`: a version that breaks it is not published."""

    subject: str
    column: str = ""
    table: str = ""
    split: str = ""
    wants: Mapping[str, Any] = field(default_factory=dict)
    blocks: bool = False


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _words(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= 10_000
        and all(isinstance(each, str | int | float | bool) for each in value)
    )


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


_CHECKS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "column": {
        "type": (lambda value: value in TYPES, f"one of {', '.join(TYPES)}"),
        "nulls": (_flag, "true or false"),
        "unique": (_flag, "true or false"),
        "min": (_number, "a number"),
        "max": (_number, "a number"),
        "min_length": (_whole, "a whole number"),
        "max_length": (_whole, "a whole number"),
        "allowed": (_words, "a list of values"),
        "pattern": (lambda value: isinstance(value, str) and 0 < len(value) <= 500, "a regular expression (RE2)"),
    },
    "rows": {"min": (_whole, "a whole number"), "max": (_whole, "a whole number")},
    "files": {"min": (_whole, "a whole number"), "max": (_whole, "a whole number")},
    "images": {
        "readable": (_flag, "true or false"),
        "min_width": (_whole, "pixels"),
        "min_height": (_whole, "pixels"),
        "max_width": (_whole, "pixels"),
        "max_height": (_whole, "pixels"),
        "min_sharpness": (_number, "a number; 0.01 finds what looks blurred"),
        "formats": (_words, "a list such as [jpeg, png]"),
        "modes": (_words, "a list such as [RGB, L]"),
        "classes": (_words, "a list of names"),
        "duplicates": (_flag, "true or false"),
    },
    "audio": {
        "readable": (_flag, "true or false"),
        "rate": (_whole, "hertz"),
        "channels": (_whole, "a whole number"),
        "min_duration_s": (_number, "seconds"),
        "max_duration_s": (_number, "seconds"),
        "classes": (_words, "a list of names"),
    },
    "leakage": {"near_texts": (_flag, "true or false")},
}


def parse(data: Any) -> list[Rule]:
    """The rules of a file whose YAML has been read. Raises Wrong with the number of the rule and what it may say."""
    if not isinstance(data, dict) or set(data) - {"version", "rules"} or not isinstance(data.get("rules"), list):
        raise Wrong(f"{PATH} must have a list under `rules`, and may have `version: 1`; nothing else.")
    if data.get("version", 1) != 1:
        raise Wrong(f"{PATH} says version {data['version']!r}; this site knows version 1.")
    if not 0 < len(data["rules"]) <= RULES_LIMIT:
        raise Wrong(f"{PATH} must have 1 to {RULES_LIMIT} rules.")
    return [_rule(number, each) for number, each in enumerate(data["rules"], 1)]


def _rule(number: int, given: Any) -> Rule:
    if not isinstance(given, dict):
        raise Wrong(f"Rule {number} is not a list of `key: value` lines.")
    subjects = [name for name in _CHECKS if name in given]
    if len(subjects) != 1:
        raise Wrong(f"Rule {number} must have exactly one of {', '.join(_CHECKS)}.")
    subject = subjects[0]
    named = given[subject]
    rest = {key: value for key, value in given.items() if key not in {subject, "table", "split", "block"}}
    if subject == "column":
        if not isinstance(named, str) or not named:
            raise Wrong(f"Rule {number}: `column` must be the name of a column.")
        wants = rest
    elif subject == "leakage":
        if named is not False:
            raise Wrong(f"Rule {number}: write `leakage: false`.")
        wants = rest
    else:
        if not isinstance(named, dict) or rest:
            raise Wrong(
                f"Rule {number}: what {subject} must keep to stands below `{subject}`, with `table` and `split` beside it."
            )
        wants = named
    for key, value in wants.items():
        if key not in _CHECKS[subject]:
            known = ", ".join(_CHECKS[subject]) or "nothing more"
            raise Wrong(f"Rule {number}: `{key}` is not known for {subject}; it may say {known}.")
        is_right, meaning = _CHECKS[subject][key]
        if not is_right(value):
            raise Wrong(f"Rule {number}: `{key}` must be {meaning}.")
    if subject not in {"leakage", "column"} and not wants:
        raise Wrong(f"Rule {number} asks for nothing: it may say {', '.join(_CHECKS[subject])}.")
    _check_scope(number, given)
    column = named if subject == "column" else ""
    return Rule(subject, column, given.get("table", ""), given.get("split", ""), wants, given.get("block", False))


def _check_scope(number: int, given: Mapping[str, Any]) -> None:
    for key in ("table", "split"):
        if key in given and (not isinstance(given[key], str) or not given[key]):
            raise Wrong(f"Rule {number}: `{key}` must be a name.")
    if not _flag(given.get("block", False)):
        raise Wrong(f"Rule {number}: `block` must be true or false.")


def plain(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "subject": rule.subject,
            "column": rule.column,
            "table": rule.table,
            "split": rule.split,
            "wants": dict(rule.wants),
            "blocks": rule.blocks,
        }
        for rule in rules
    ]
