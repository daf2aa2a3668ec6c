"""The life of a job.

queued ──▶ starting ──▶ running ──▶ collecting ──▶ succeeded      queued:     waits for a free place
▲  ▲        │            │            │                         starting:   its folder is prepared and its program started
│  └────────┴────────────┘            │                         running:    the program runs
│     the machine lost the run        ▼                         collecting: what it made is stored and published
└──────────── retry ──────────── failed | cancelled             (from anywhere before the end)
"""

from enum import StrEnum

from common.states import StateMachine


class JobState(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COLLECTING = "collecting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


JOBS = StateMachine(
    "job",
    {
        JobState.QUEUED: frozenset({JobState.STARTING, JobState.FAILED, JobState.CANCELLED}),
        JobState.STARTING: frozenset({JobState.RUNNING, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
        JobState.RUNNING: frozenset({JobState.COLLECTING, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
        JobState.COLLECTING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
        JobState.SUCCEEDED: frozenset(),
        JobState.FAILED: frozenset({JobState.QUEUED}),
        JobState.CANCELLED: frozenset({JobState.QUEUED}),
    },
)

ACTIVE = frozenset({JobState.STARTING, JobState.RUNNING, JobState.COLLECTING})
"""States in which a job takes a place."""
ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class Outcome(StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The machine lost it; the job itself goes on with another attempt."""
