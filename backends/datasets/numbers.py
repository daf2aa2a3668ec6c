"""Figures about many numbers, fit for JSON: nothing that is not finite leaves here."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 20
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def finite(value: Any) -> float | int | None:
    """The number, or None for what JSON cannot hold."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else float(value)
    number = float(value)
    return number if math.isfinite(number) else None


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Count, ends, mean, deviation, quantiles and histogram of what is in memory."""
    numbers = np.asarray([value for value in values if math.isfinite(value)], dtype=np.float64)
    if not len(numbers):
        return {"count": 0}
    low, high = float(numbers.min()), float(numbers.max())
    counts, edges = np.histogram(
        numbers, bins=BINS if high > low else 1, range=(low, high) if high > low else (low - 0.5, low + 0.5)
    )
    return {
        "count": len(numbers),
        "min": low,
        "max": high,
        "mean": float(numbers.mean()),
        "std": float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0,
        "quantiles": [float(each) for each in np.quantile(numbers, QUANTILES)],
        "histogram": {"edges": [float(each) for each in edges], "counts": [int(each) for each in counts]},
    }


def top(counts: dict[str, int], limit: int) -> list[list[Any]]:
    """The most frequent names, the most frequent first: `[[name, count]]`."""
    return [[name, n] for name, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]]
