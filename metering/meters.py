"""What can be metered, and in which unit."""

from enum import StrEnum


class Meter(StrEnum):
    """One line each: the unit is in the name."""

    INFERENCE_CALLS = "inference_calls"
    INFERENCE_ROWS = "inference_rows"
    INFERENCE_MILLISECONDS = "inference_milliseconds"
    INFERENCE_TOKENS = "inference_tokens"
    JOB_CPU_SECONDS = "job_cpu_seconds"
    CAPPED_CALLS = "capped_calls"
    """Calls once more, as caps count them."""
    CAPPED_SPENDING = "capped_spending"
    """Millionths of a minor unit, as caps on money count calls."""
    STORAGE_BYTES = "storage_bytes"
