"""The life of a task row.

queued ──claim──▶ leased ──done──▶ done ─┐
  ▲  ▲              │ │                  │ rung again while it ran
  │  └──────────────│─│──────────────────┘
  │   lease lapsed, │ ├──refused for good──▶ failed ──┐
  └───will retry ───┘ └──attempts used up──▶ parked ──┤
  ▲                                                   │
  └───────────────staff: queue again──────────────────┘
"""

from enum import StrEnum


class TaskState(StrEnum):
    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    """An expected error said that repeating is of no use."""
    PARKED = "parked"
    """Every attempt ended in a surprise, or in "not now": a person must look."""


LIVE = (TaskState.QUEUED, TaskState.LEASED)


class Queue(StrEnum):
    """What a worker must have to take a task."""

    CPU = "cpu"
    GPU = "gpu"
    FAST = "fast"
    """Seconds at most, and a person may be waiting."""
    SLOW = "slow"
    """Minutes of waiting for others, little computing."""
