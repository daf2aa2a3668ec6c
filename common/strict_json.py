"""JSON from outside, read strictly: what Python's parser lets through and a database or a reply chokes on is refused."""

import json
import re
from typing import Any

from common.errors import Invalid, TooLarge

_INTEGER_DIGITS = 19
"""Longer integers fit no 64-bit column."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(raw: bytes | str, *, max_bytes: int = 8 * 1024**2, max_depth: int = 64) -> Any:
    """The value of `raw` (UTF-8). Raises TooLarge above `max_bytes`; Invalid for malformed text, NaN and Infinity, integers
    beyond 64 bits, numbers that overflow a float, nesting beyond `max_depth`, duplicate keys, lone surrogates and NUL."""
    if len(raw) > max_bytes:
        raise TooLarge(f"The JSON body is larger than {max_bytes} bytes.")
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        raise Invalid("The body is not UTF-8 text.") from error
    _check_depth(text, max_depth)
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_float, object_pairs_hook=_unique
        )
    except json.JSONDecodeError as error:
        raise Invalid(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    _check_text(value)
    return value


def loads_object(raw: bytes | str, **limits: int) -> dict[str, Any]:
    """`loads`, for a body that must be an object."""
    value = loads(raw, **limits)
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")
    return value


def dumps(value: Any) -> bytes:
    """Canonical bytes of `value`: sorted keys, no spaces, UTF-8; NaN raises ValueError. Hashes rest on it: never alter it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check_depth(text: str, max_depth: int) -> None:
    depth, inside, escaped = 0, False, False
    for character in text if text.count("[") + text.count("{") > max_depth else "":
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > max_depth:
                raise Invalid(f"The JSON is nested more than {max_depth} levels deep.")
        elif character in "]}":
            depth -= 1


def _refuse_constant(name: str) -> None:
    raise Invalid(f"{name} is not a JSON number.")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _INTEGER_DIGITS or not -(2**63) <= (value := int(digits)) < 2**63:
        raise Invalid("An integer in the JSON does not fit 64 bits.")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise Invalid("A number in the JSON is too large.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Invalid("The JSON has the same key twice in one object.")
    return value


def _check_text(value: Any) -> None:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\x00" in item or _SURROGATE.search(item):
                raise Invalid("A text in the JSON holds a character that cannot be stored.")
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
