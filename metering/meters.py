"""What can be metered, and in which unit."""

from enum import StrEnum


class Meter(StrEnum):
    """One line each: the unit is in the name."""

    INFERENCE_CALLS = "inference_calls"
    JOB_CPU_SECONDS = "job_cpu_seconds"
    STORAGE_BYTES = "storage_bytes"
