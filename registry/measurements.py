"""What may be said to have been measured: shapes and bounds, before any of it is stored for good."""

import math
from collections.abc import Mapping
from typing import Any

from common import strict_json
from common.errors import Invalid

METRIC_FIELDS = ("value", "low", "high", "n", "dataset", "split", "dataset_version", "source")
HARDWARE_FIELDS = ("batch_size", "p50_ms", "p99_ms", "throughput_per_s", "memory_bytes", "runtime", "source")
LIMIT = 200
_NAME_LIMIT = 120
_SOURCE_LIMIT = 300
_BYTES_LIMIT = 256 * 1024


def check_metrics(metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metrics of a release: `{name: {value, low, high, n, dataset, split, …}}`. Other keys are kept. Raises Invalid."""
    given = _bounded(metrics, "metrics")
    return {check_name(name, "metrics"): check_metric(name, each) for name, each in given.items()}


def check_metric(name: str, given: Any) -> dict[str, Any]:
    """One metric. A bare number is its value. Raises Invalid for what is no number, and for an interval that ends before it
    begins."""
    if _is_number(given):
        given = {"value": given}
    if not isinstance(given, Mapping) or not _is_number(given.get("value")):
        raise Invalid(f"The metric {name[:80]} needs a number as its value.", fields={"metrics": "no value"})
    low, high = given.get("low"), given.get("high")
    if (low is None) != (high is None):
        raise Invalid(
            f"The interval of {name[:80]} needs both ends, low and high.", fields={"metrics": "half interval"}
        )
    if low is not None and not (_is_number(low) and _is_number(high) and low <= high):
        raise Invalid(f"The interval of {name[:80]} must run from low to high.", fields={"metrics": "no interval"})
    count = given.get("n")
    if count is not None and (type(count) is not int or count < 0):
        raise Invalid(f"n of {name[:80]} is how many samples it was measured on.", fields={"metrics": "n"})
    return dict(given)


def check_hardware(name: str, given: Any) -> dict[str, Any]:
    """What one machine did: at least one figure, none below zero, and no median above the 99th percentile. Raises Invalid."""
    if not isinstance(given, Mapping) or set(given) - set(HARDWARE_FIELDS):
        raise Invalid(
            f"A measurement on hardware has {', '.join(HARDWARE_FIELDS)}.", fields={"values": "unknown fields"}
        )
    values = {key: value for key, value in given.items() if value not in (None, "")}
    figures = {key: value for key, value in values.items() if key not in {"runtime", "batch_size", "source"}}
    if not figures:
        raise Invalid(f"Nothing was measured on {name[:80]}: give a latency, a throughput or a memory.")
    for key in {*figures, *(values.keys() & {"batch_size"})}:
        if not _is_number(values[key]) or values[key] < 0 or values[key] >= 2**62:
            raise Invalid(f"{key} is a number, not below zero.", fields={"values": key})
    for key in values.keys() & {"batch_size", "memory_bytes"}:
        if type(values[key]) is not int:
            raise Invalid(f"{key} is a whole number.", fields={"values": key})
    if "p50_ms" in values and "p99_ms" in values and values["p50_ms"] > values["p99_ms"]:
        raise Invalid("The median latency can't be above the 99th percentile.", fields={"values": "p50_ms"})
    runtime = values.get("runtime", "")
    if not isinstance(runtime, str) or len(runtime) > _NAME_LIMIT:
        raise Invalid(f"runtime is a text of at most {_NAME_LIMIT} characters.", fields={"values": "runtime"})
    check_source(values)
    return values


def check_source(values: Mapping[str, Any]) -> None:
    """`source` says in a line where the figures come from: a report, a run, an address. Raises Invalid."""
    source = values.get("source", "")
    if not isinstance(source, str) or len(source) > _SOURCE_LIMIT or not (source or "x").isprintable():
        raise Invalid(
            f"The source is one line of at most {_SOURCE_LIMIT} characters.", fields={"source": "not a line of text"}
        )


def check_name(name: str, field: str = "name") -> str:
    name = name.strip()
    if not 0 < len(name) <= _NAME_LIMIT or not name.isprintable():
        raise Invalid(f"A name has 1 to {_NAME_LIMIT} characters.", fields={field: "not valid"})
    return name


def bounded_object(given: Mapping[str, Any] | None, field: str) -> dict[str, Any]:
    """A signature or an environment: any JSON object that is not endless. Raises Invalid."""
    return _bounded(given, field)


def _bounded(given: Mapping[str, Any] | None, field: str) -> dict[str, Any]:
    try:
        size = len(strict_json.dumps(given or {}))
    except (ValueError, TypeError) as error:
        raise Invalid(f"{field} must be plain JSON, without NaN.", fields={field: "not JSON"}) from error
    if size > _BYTES_LIMIT or len(given or {}) > LIMIT:
        raise Invalid(f"{field} may have {LIMIT} entries and {_BYTES_LIMIT} bytes.", fields={field: "too large"})
    return dict(given or {})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
