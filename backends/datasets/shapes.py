"""Holding an answer from the sandbox to its shape: the program may have been taken over by what it read."""

import math
from typing import Any

TEXT = 2000
ITEMS = 20_000


class Misshapen(ValueError):
    """The answer is not what the program gives."""


class Maybe:
    """A shape, or None."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Optionally:
    """The value of a key that may be missing."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


def held(value: Any, shape: Any) -> Any:
    """`value` as `shape` declares it, with texts cut and everything undeclared left out. A shape is a type (str, int, float, bool), a
    list of one shape, a tuple of shapes, a dict of shapes by key, or Maybe. Raises Misshapen."""
    if isinstance(shape, Maybe):
        return None if value is None else held(value, shape.shape)
    if isinstance(shape, dict):
        return _object(value, shape)
    if isinstance(shape, list):
        if not isinstance(value, list) or len(value) > ITEMS:
            raise Misshapen("not a list")
        return [held(each, shape[0]) for each in value]
    if isinstance(shape, tuple):
        if not isinstance(value, list) or len(value) != len(shape):
            raise Misshapen("not a list of that length")
        return [held(each, part) for each, part in zip(value, shape, strict=True)]
    return _scalar(value, shape)


def _object(value: Any, shape: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misshapen("not an object")
    found = {}
    for key, each in shape.items():
        if isinstance(each, Optionally):
            if key in value:
                found[key] = held(value[key], each.shape)
        elif key not in value:
            raise Misshapen(f"{key} is missing")
        else:
            found[key] = held(value[key], each)
    return found


def _scalar(value: Any, shape: type) -> Any:
    if shape is str and isinstance(value, str):
        return value.replace("\x00", "").encode(errors="replace").decode()[:TEXT]
    if shape is bool and isinstance(value, bool):
        return value
    if shape is int and type(value) is int and -(2**63) <= value < 2**63:
        return value
    if shape is float and type(value) in {int, float} and math.isfinite(value):
        return value
    raise Misshapen(f"{type(value).__name__} where {shape.__name__} should be")


_COUNTS = [(str, int)]
_HISTOGRAM = {"edges": [Maybe(float)], "counts": [int]}
_SUMMARY = {
    "count": int,
    **{name: Optionally(float) for name in ("min", "max", "mean", "std")},
    "quantiles": Optionally([float]),
    "histogram": Optionally(_HISTOGRAM),
}
_COLUMN = {
    "name": str, "type": str, "kind": str, "nulls": int, "distinct": int, "is_estimate": bool,
    "min": Optionally(Maybe(float)), "max": Optionally(Maybe(float)), "mean": Optionally(Maybe(float)),
    "std": Optionally(Maybe(float)), "not_finite": Optionally(int), "quantiles": Optionally([Maybe(float)]),
    "histogram": Optionally(_HISTOGRAM), "from": Optionally(Maybe(str)), "to": Optionally(Maybe(str)),
    "length": Optionally({"min": Maybe(int), "max": Maybe(int), "mean": Maybe(float)}), "top": Optionally(_COUNTS),
}  # fmt: skip
_PAIRS = {"count": int, "pairs": [(str, str)]}
_CORRUPT = [{"path": str, "problem": str}]
PROFILE = {
    "layout": str,
    "forms": _COUNTS,
    "problems": [str],
    "tables": [
        {
            "table": str, "split": str, "form": str, "files": [str], "file_count": int, "note": str, "rows": int,
            "column_count": int, "columns": [_COLUMN], "sample": [[Maybe(str)]],
        }
    ],
    "overlaps": [{"table": str, "left": str, "right": str, "rows": int, "examples": [int]}],
    "similar_texts": Optionally(
        [
            {
                "table": str, "column": str, "looked_at": int, "pairs": int, "between_splits": int,
                "examples": [{"left": str, "right": str, "text": str}],
            }
        ]
    ),
    "annotations": Maybe(
        {
            "format": str,
            "splits": [
                {
                    "split": str, "images": int, "objects": int, "without_objects": int, "odd_boxes": int, "classes": _COUNTS,
                    "per_image": _SUMMARY, "area": _SUMMARY,
                }
            ],
        }
    ),
    "images": Maybe(
        {
            "splits": [
                {
                    "split": str, "count": int, "corrupt": int, "blurred": int, "width": _SUMMARY, "height": _SUMMARY,
                    "sharpness": _SUMMARY, "modes": _COUNTS, "formats": _COUNTS, "classes": _COUNTS, "class_count": int,
                }
            ],
            "corrupt": _CORRUPT,
            "near_duplicates": _PAIRS,
            "leaks": _PAIRS,
            "samples": [{"path": str, "split": str, "label": str, "width": int, "height": int, "picture": int}],
        }
    ),
    "audio": Maybe(
        {
            "splits": [
                {
                    "split": str, "count": int, "corrupt": int, "silent": int, "total_s": float, "duration_s": _SUMMARY,
                    "rates": _COUNTS, "channels": _COUNTS, "formats": _COUNTS, "classes": _COUNTS, "class_count": int,
                }
            ],
            "corrupt": _CORRUPT,
            "samples": [
                {"path": str, "split": str, "label": str, "duration_s": float, "rate": int, "channels": int, "peaks": [float]}
            ],
        }
    ),
    "text": Maybe(
        {
            "splits": [{"split": str, "files": int, "lines": int, "words": int, "characters": int, "words_per_file": _SUMMARY}],
            "samples": [{"path": str, "split": str, "label": str, "text": str}],
        }
    ),
    "validation": [
        {
            "rule": int, "blocks": bool, "where": str, "demand": str, "passed": bool, "checked": int, "failed": int, "examples": [str], "problem": str,
        }
    ],
}  # fmt: skip
DERIVED = {
    "problem": str, "read": [str], "table": str, "rows": int, "files": [{"number": int, "split": str, "rows": int}],
}  # fmt: skip
DERIVED_MEDIA = {
    "problem": str, "total": int, "kept": int, "moves": [(str, str)], "removed": [str], "written": [{"number": int, "path": str}],
}  # fmt: skip
_ROWS = [[Maybe(str)]]
COMPARISON = {
    "problems": [str],
    "tables": [
        {
            "table": str, "split": str, "kind": str, "rows": Optionally(int), "rows_before": Optionally(int), "rows_after": Optionally(int),
            "schema": Optionally([{"column": str, "kind": str, "before": str, "after": str}]),
            "key": Optionally([str]), "problem": Optionally(str), "added": Optionally(int), "removed": Optionally(int),
            "changed": Optionally(int), "changed_columns": Optionally(_COUNTS), "columns": Optionally([str]),
            "changed_rows": Optionally([{"key": [str], "cells": [(str, Maybe(str), Maybe(str))]}]),
            "removed_rows": Optionally(_ROWS), "added_rows": Optionally(_ROWS),
            "drift": Optionally(
                [
                    {
                        "column": str, "test": str, "statistic": Maybe(float), "p_value": Maybe(float), "psi": Maybe(float),
                        "nulls": (float, float), "classes": Optionally([(str, int, int)]),
                        "histogram": Optionally({"edges": [Maybe(float)], "before": [int], "after": [int]}),
                    }
                ]
            ),
        }
    ],
}  # fmt: skip
