"""The words that registry rows may hold."""

from collections.abc import Iterable
from enum import StrEnum

from common.states import StateMachine


class RepoKind(StrEnum):
    MODEL = "model"
    DATASET = "dataset"
    ALGORITHM = "algorithm"


class Visibility(StrEnum):
    """Who may discover a repository. Whether discovering is enough to read it is the gate's matter."""

    PRIVATE = "private"
    ORGANIZATION = "organization"
    PUBLIC = "public"


class Gate(StrEnum):
    """Open: who sees it reads it. Otherwise reading takes a role or a grant: bought, or asked for and accepted
    (`auto`: at once; `manual`: by a person)."""

    OPEN = ""
    AUTO = "auto"
    MANUAL = "manual"


class BlobState(StrEnum):
    """What the store has of some bytes. Absent: nothing that counts, though a broken upload or deletion may have left them."""

    ABSENT = "absent"
    STORED = "stored"
    ERASING = "erasing"
    """They are being deleted at this moment, and may be sent again in the next."""


class UploadState(StrEnum):
    OPEN = "open"
    RECEIVED = "received"
    ABORTED = "aborted"


UPLOADS = StateMachine(
    "upload",
    {
        UploadState.OPEN: frozenset({UploadState.RECEIVED, UploadState.ABORTED}),
        UploadState.RECEIVED: frozenset(),
        UploadState.ABORTED: frozenset(),
    },
)


class Verdict(StrEnum):
    """What scanning found, from good to bad (backends/contracts/scanners.py says what each means). Only what is proven to hold nothing
    but data is called data-only."""

    DATA_ONLY = "data-only"
    CODE = "code"
    UNKNOWN = "unknown"
    FLAGGED = "flagged"
    MALICIOUS = "malicious"


VERDICTS = tuple(Verdict)
"""In the order of the words, which is that of their weight."""
UNSELLABLE = frozenset({Verdict.FLAGGED, Verdict.MALICIOUS})


def worst(verdicts: Iterable[str]) -> Verdict:
    """The worst of several; data-only of none."""
    return max((Verdict(each) for each in verdicts), key=VERDICTS.index, default=Verdict.DATA_ONLY)


class Origin(StrEnum):
    """Who put something under quarantine. What scanning and staff hold back only staff can release; what a recall holds back, those who
    may write to the repository still get."""

    SCAN = "scan"
    LIST = "list"
    STAFF = "staff"
    OWNER = "owner"
    RECALL = "recall"


class AccessState(StrEnum):
    """What became of a wish to read a gated repository. Each may follow each: its owner can always think again."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class DiscussionState(StrEnum):
    """Discussions are open or closed; draft and merged are states of pull requests."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


DISCUSSIONS = StateMachine(
    "discussion",
    {
        DiscussionState.DRAFT: frozenset({DiscussionState.OPEN, DiscussionState.CLOSED, DiscussionState.MERGED}),
        DiscussionState.OPEN: frozenset({DiscussionState.CLOSED, DiscussionState.MERGED}),
        DiscussionState.CLOSED: frozenset({DiscussionState.OPEN}),
        DiscussionState.MERGED: frozenset(),
    },
)


class EventKind(StrEnum):
    """What happens in a discussion; the words are the Hugging Face protocol's."""

    COMMENT = "comment"
    STATUS = "status-change"
    TITLE = "title-change"
    COMMIT = "commit"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given-up"


class MarkKind(StrEnum):
    """What was said of a version after its release; `supported` takes a deprecation back, `restored` a withdrawal."""

    DEPRECATED = "deprecated"
    SUPPORTED = "supported"
    YANKED = "yanked"
    RESTORED = "restored"


class BuildFormat(StrEnum):
    """What a build is made for: ONNX Runtime or OpenVINO."""

    ONNX = "onnx"
    OPENVINO = "openvino"


class BuildMarkKind(StrEnum):
    """What was said of a build later."""

    WITHDRAWN = "withdrawn"
    RESTORED = "restored"


class MeasurementKind(StrEnum):
    METRIC = "metric"
    HARDWARE = "hardware"


class KeyAlgorithm(StrEnum):
    """How versions are signed: with Ed25519, and with the curve that the `model_signing` program understands."""

    ED25519 = "ed25519"
    P256 = "ecdsa-p256"


class DerivationState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


DERIVATIONS = StateMachine(
    "derivation",
    {
        DerivationState.WAITING: frozenset({DerivationState.DONE, DerivationState.FAILED}),
        DerivationState.DONE: frozenset(),
        DerivationState.FAILED: frozenset(),
    },
)


class SourceProtocol(StrEnum):
    """What is spoken where a repository comes from."""

    GIT = "git"
    HUB = "hub"
    """The Hugging Face protocol, with or without git beside it."""


class SourceState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """An import was given up."""
    STOPPED = "stopped"
    """A mirror was made an ordinary repository."""


SOURCES = StateMachine(
    "import",
    {
        SourceState.WAITING: frozenset({SourceState.RUNNING, SourceState.CANCELLED, SourceState.STOPPED}),
        SourceState.RUNNING: frozenset(
            {SourceState.WAITING, SourceState.DONE, SourceState.FAILED, SourceState.CANCELLED, SourceState.STOPPED}
        ),
        SourceState.DONE: frozenset({SourceState.WAITING, SourceState.STOPPED}),
        SourceState.FAILED: frozenset({SourceState.WAITING, SourceState.CANCELLED, SourceState.STOPPED}),
        SourceState.CANCELLED: frozenset(),
        SourceState.STOPPED: frozenset(),
    },
)


class PreparationState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


PREPARATIONS = StateMachine(
    "preparation",
    {
        PreparationState.WAITING: frozenset(
            {PreparationState.RUNNING, PreparationState.FAILED, PreparationState.CANCELLED}
        ),
        PreparationState.RUNNING: frozenset(
            {PreparationState.DONE, PreparationState.FAILED, PreparationState.CANCELLED}
        ),
        PreparationState.DONE: frozenset(),
        # tried again by a person
        PreparationState.FAILED: frozenset({PreparationState.WAITING}),
        PreparationState.CANCELLED: frozenset({PreparationState.WAITING}),
    },
)


class ExportState(StrEnum):
    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"
    GONE = "gone"
    """It was kept for its time, or removed before."""


class ImportState(StrEnum):
    """Open: its bytes are still to come."""

    OPEN = "open"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
