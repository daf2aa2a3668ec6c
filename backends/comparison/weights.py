"""How far the weights of two builds lie apart, tensor by tensor."""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from backends.comparison.limits import TENSORS_SHOWN
from backends.comparison.tensorfiles import OTHER, PIECE, Tensor

_NAME_LIMIT = 200


def compare(before: list[Tensor], after: list[Tensor]) -> dict[str, Any]:
    """The distance of each tensor of `after` from the one it is matched with, and of all together.

    Matched are tensors of one name, shape and family; what is left is matched in the order of the files with the next one of the
    same shape and family. For each pair: `l2` = ‖after − before‖, `relative` = that over ‖before‖ (None when that is 0 and they
    differ), `cosine` of the angle between them (None when one is all zeros), `changed`: elements that are not equal. NaN equals
    NaN and counts for nothing else. Takes memory for one piece of each side."""
    pairs, only_before, only_after = match(before, after)
    rows, total = [], _Sums()
    for one, two, how in pairs:
        sums = _Sums.of(one, two)
        total.add(sums, one.family)
        rows.append(
            {
                "name": two.name[:_NAME_LIMIT],
                "matched": one.name[:_NAME_LIMIT] if how == "shape" else "",
                "shape": list(two.shape)[:8],
                "dtype": two.dtype if one.dtype == two.dtype else f"{one.dtype} → {two.dtype}",
                "count": two.count,
                **sums.described(one.family),
            }
        )
    rows.sort(key=lambda row: (-_weight(row), row["name"]))
    return {
        "tensors": rows[:TENSORS_SHOWN],
        "matched": len(rows),
        "by_shape": sum(1 for _, _, how in pairs if how == "shape"),
        "identical": sum(1 for row in rows if not row["changed"]),
        "only_before": _names(only_before),
        "only_after": _names(only_after),
        "only_before_count": len(only_before),
        "only_after_count": len(only_after),
        "parameters_before": sum(each.count for each in before),
        "parameters_after": sum(each.count for each in after),
        "total": {"count": total.count, **total.described("float")},
    }


def match(
    before: list[Tensor], after: list[Tensor]
) -> tuple[list[tuple[Tensor, Tensor, str]], list[Tensor], list[Tensor]]:
    """Pairs with how they were found (name or shape), in the order of `after`, then what is left of each side."""
    named: dict[object, deque[Tensor]] = defaultdict(deque)
    for each in before:
        named[each.name, each.shape, each.family].append(each)
    found: dict[int, tuple[Tensor, str]] = {}
    for place, each in enumerate(after):
        same = named.get((each.name, each.shape, each.family))
        if same:
            found[place] = (same.popleft(), "name")
    taken = {id(one) for one, _ in found.values()}
    waiting: dict[object, deque[Tensor]] = defaultdict(deque)
    for each in before:
        if id(each) not in taken:
            waiting[each.shape, each.family].append(each)
    for place, each in enumerate(after):
        alike = waiting.get((each.shape, each.family))
        if place not in found and alike:
            found[place] = (alike.popleft(), "shape")
            taken.add(id(found[place][0]))
    pairs = [(found[place][0], each, found[place][1]) for place, each in enumerate(after) if place in found]
    return (
        pairs,
        [each for each in before if id(each) not in taken],
        [each for place, each in enumerate(after) if place not in found],
    )


class _Sums:
    """Sums over elements: enough for norms, angle and count."""

    def __init__(self) -> None:
        self.count = self.changed = 0
        self.difference = self.before = self.after = self.product = 0.0

    @classmethod
    def of(cls, one: Tensor, two: Tensor) -> "_Sums":
        sums = cls()
        for start in range(0, one.count, PIECE):
            stop = min(start + PIECE, one.count)
            a, b = one.read(start, stop), two.read(start, stop)
            sums.count += len(a)
            sums.changed += int((~((a == b) | (np.isnan(a) & np.isnan(b)))).sum())
            usable = np.isfinite(a) & np.isfinite(b)
            if not usable.all():
                a, b = a[usable], b[usable]
            with np.errstate(over="ignore"):
                sums.difference += float(((b - a) ** 2).sum())
                sums.before += float(a @ a)
                sums.after += float(b @ b)
                sums.product += float(a @ b)
        return sums

    def add(self, other: "_Sums", family: str) -> None:
        self.count += other.count
        self.changed += other.changed
        if family != OTHER:
            self.difference += other.difference
            self.before += other.before
            self.after += other.after
            self.product += other.product

    def described(self, family: str) -> dict[str, Any]:
        if family == OTHER:
            return {"changed": self.changed, "l2": None, "relative": None, "cosine": None}
        l2 = math.sqrt(self.difference)
        relative = l2 / math.sqrt(self.before) if self.before else 0.0 if l2 == 0 else None
        norms = math.sqrt(self.before) * math.sqrt(self.after)
        cosine = min(1.0, max(-1.0, self.product / norms)) if norms and math.isfinite(norms) else None
        return {"changed": self.changed, "l2": _finite(l2), "relative": _finite(relative), "cosine": _finite(cosine)}


def _weight(row: dict[str, Any]) -> float:
    """Where a row stands: those that differ and whose relative distance has no number come first."""
    if row["relative"] is None:
        return math.inf if row["changed"] else -1.0
    return float(row["relative"])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _names(left: Iterable[Tensor]) -> list[str]:
    def shown() -> Iterator[str]:
        for each in left:
            size = "×".join(map(str, each.shape[:8])) or "one number"
            yield f"{each.name[:_NAME_LIMIT]} ({each.dtype}, {size})"

    return [text for text, _ in zip(shown(), range(50), strict=False)]
