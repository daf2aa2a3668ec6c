"""How one state of a table becomes another: a declared filter and declared splits. Nothing in it is code: columns are quoted, values are
parameters, and what the reader does not know it refuses."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

CONDITIONS = 50
SPLITS = 10
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "matches", "is null", "is not null")
_SPLIT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Wrong(ValueError):
    """The recipe cannot be followed; the message says why."""


@dataclass(frozen=True)
class Condition:
    """`column` `is_` `value`; the last is a list for in and not in, and None for is null and is not null."""

    column: str
    is_: str
    value: Any = None


@dataclass(frozen=True)
class Recipe:
    """`table`: the one to read, may be empty where there is one. `where`: all must hold. `columns`: kept, in this order; empty: all.
    `drop_duplicates`: of equal rows the first stays. `splits`: name → part of the rows, summing to 1; empty: rows stay in their splits.
    `group`: a column whose equal values go to one split together; without it equal rows do. `seed` chooses another assignment."""

    table: str = ""
    where: tuple[Condition, ...] = ()
    columns: tuple[str, ...] = ()
    drop_duplicates: bool = False
    splits: dict[str, float] = field(default_factory=dict)
    group: str = ""
    seed: int = 0


def parse(data: Any) -> Recipe:
    """The recipe that JSON declares. Raises Wrong."""
    known = {"table", "where", "columns", "drop_duplicates", "splits", "group", "seed"}
    if not isinstance(data, dict):
        raise Wrong("The recipe must be an object.")
    if odd := sorted(set(data) - known):
        raise Wrong(f"`{odd[0][:60]}` is not known; a recipe may have {', '.join(sorted(known))}.")
    where = data.get("where", [])
    if not isinstance(where, list) or len(where) > CONDITIONS:
        raise Wrong(f"`where` must be a list of up to {CONDITIONS} conditions.")
    columns = data.get("columns", [])
    if not isinstance(columns, list) or not all(_is_name(each) for each in columns) or len(set(columns)) < len(columns):
        raise Wrong("`columns` must be a list of different names.")
    for key in ("table", "group"):
        if not (isinstance(data.get(key, ""), str) and len(data.get(key, "")) <= 400):
            raise Wrong(f"`{key}` must be a name.")
    if not isinstance(data.get("drop_duplicates", False), bool):
        raise Wrong("`drop_duplicates` must be true or false.")
    if type(data.get("seed", 0)) is not int or not 0 <= data.get("seed", 0) < 2**31:
        raise Wrong("`seed` must be a whole number from 0 on.")
    splits = checked_splits(data.get("splits", {}))
    if data.get("group") and not splits:
        raise Wrong("`group` says what must stay together in `splits`, and there are none.")
    return Recipe(
        data.get("table", ""),
        tuple(_condition(number, each) for number, each in enumerate(where, 1)),
        tuple(columns),
        data.get("drop_duplicates", False),
        splits,
        data.get("group", ""),
        data.get("seed", 0),
    )


def plain(recipe: Recipe) -> dict[str, Any]:
    """For JSON; `parse` reads it again."""
    return {
        "table": recipe.table,
        "where": [{"column": each.column, "is": each.is_, "value": each.value} for each in recipe.where],
        "columns": list(recipe.columns),
        "drop_duplicates": recipe.drop_duplicates,
        "splits": recipe.splits,
        "group": recipe.group,
        "seed": recipe.seed,
    }


def sentence(recipe: Recipe) -> str:
    """What it does, for people."""
    parts = [f"{each.column} {each.is_}{'' if each.value is None else f' {each.value!r}'}" for each in recipe.where]
    said = [f"rows where {' and '.join(parts)}"] if parts else ["all rows"]
    said += ["without repeated rows"] if recipe.drop_duplicates else []
    said += [f"columns {', '.join(recipe.columns)}"] if recipe.columns else []
    if recipe.splits:
        said.append("split into " + ", ".join(f"{name} {part:.0%}" for name, part in recipe.splits.items()))
        said += [f"together by {recipe.group}"] if recipe.group else []
    return "; ".join(said)[:1000]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 400 and "\x00" not in value


def _is_value(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 2000 and "\x00" not in value
    return (
        isinstance(value, bool)
        or (type(value) is int and abs(value) < 2**63)
        or (isinstance(value, float) and math.isfinite(value))
    )


def _condition(number: int, given: Any) -> Condition:
    if not isinstance(given, dict) or set(given) - {"column", "is", "value"} or not _is_name(given.get("column")):
        raise Wrong(f"Condition {number} must have `column`, `is` and `value`.")
    operator, value = given.get("is"), given.get("value")
    if operator not in OPERATORS:
        raise Wrong(f"Condition {number}: `is` must be one of {', '.join(OPERATORS)}.")
    if operator in {"in", "not in"}:
        is_right = isinstance(value, list) and 0 < len(value) <= 10_000 and all(_is_value(each) for each in value)
    elif operator in {"is null", "is not null"}:
        is_right = value is None
    elif operator in {"contains", "matches"}:
        is_right = isinstance(value, str) and _is_value(value)
    else:
        is_right = _is_value(value)
    if not is_right:
        raise Wrong(f"Condition {number}: the value does not fit `{operator}`.")
    return Condition(given["column"], operator, value)


def checked_splits(given: Any) -> dict[str, float]:
    """Splits by name and part, summing to 1; empty for none. Raises Wrong."""
    if not isinstance(given, dict) or len(given) > SPLITS:
        raise Wrong(f"`splits` must name up to {SPLITS} splits and their parts.")
    for name, part in given.items():
        if not isinstance(name, str) or not _SPLIT_NAME.fullmatch(name):
            raise Wrong("Names of splits are small letters, digits and _, such as train.")
        if isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part <= 1:
            raise Wrong(f"The part of {name} must be above 0 and at most 1.")
    if given and abs(sum(given.values()) - 1) > 1e-6:
        raise Wrong("The parts of the splits must sum to 1.")
    return {name: float(part) for name, part in given.items()}
