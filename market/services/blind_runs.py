"""A blind evaluation in the sandbox: the seller's graph and the buyer's rows are copied to where one program sees both, and a score
comes back.

One evaluation counts once, however often a worker dies over it: the score, the state and the certificate are written in one
transaction by whoever began last, and only while the evaluation still runs."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db import transaction

from accounts.actors import system
from accounts.services import audit
from backends.blind import sandboxed
from backends.blind.metrics import METRICS
from backends.blind.sandboxed import Score
from backends.errors import ConfigError, NoCapacity, Rejected, Transient
from common import strict_json
from common.clock import now
from common.errors import Busy, DomainError, NotFound, Unavailable
from market.models import BlindEvaluation
from market.services import certificates
from market.states import EVALUATIONS, EvaluationState, ListingState
from notices.services import notify, notify_users
from registry.build_queries import GRAPH, graph_build
from registry.queries import Entry, blobs_of, list_tree, version_by_uuid
from registry.services import datafiles
from registry.services.quarantine import require_free
from registry.services.sandboxes import Sandbox, copy_to, sandbox
from registry.services.signing import resources_of, root_of
from work.door import enqueue, require_lease

if TYPE_CHECKING:
    from registry.models import Blob, Version

log = structlog.get_logger(__name__)

ROWS_MIN = 50
"""A score over fewer rows says more about the rows than about the model."""
DATA_BYTES = 1024**3
MODEL_BYTES = 1024**3
MOST_ATTEMPTS = 3
STANDS_STILL = timedelta(minutes=20)
"""Longer than a run takes: an evaluation that has not got on for so long has lost its worker and its task."""
_LIVE = (EvaluationState.QUEUED, EvaluationState.RUNNING)
_BESIDE_GRAPH = {"signature.json", "training.json"}
_FILES_LOOKED_AT = 1000
_SYSTEM = system("blind-evaluation")


class Unfit(Exception):
    """It cannot be evaluated. The message is for the buyer, and tells nothing of the model that is not public."""


class Overtaken(Exception):
    """It was cancelled, or another worker has begun it again: whoever finds out writes nothing."""


def run_evaluation(evaluation_id: int) -> None:
    """Evaluate, and end as succeeded or failed. Safe to repeat, and beside itself: an ended evaluation stays as it is. Raises Busy and
    Unavailable when another try is worth it."""
    number = _begin(evaluation_id)
    if number is None:
        return
    evaluation = BlindEvaluation.objects.select_related("listing__namespace", "buyer").get(pk=evaluation_id)
    try:
        with sandbox("blind") as place:
            model, data = _prepare(place, evaluation)
            score = sandboxed.evaluate(
                place.runner,
                place.work,
                metric=evaluation.metric,
                target=evaluation.target,
                file=evaluation.file,
                rows_min=ROWS_MIN,
                rows_max=settings.BLIND_ROWS_MAX,
                key=place.key,
                keep_going=_keep_going(evaluation_id, number),
            )
        if score.problem:
            _fail(evaluation_id, number, score.problem)
        else:
            _succeed(evaluation_id, number, score, model, data)
    except Overtaken:
        log.info("evaluation_overtaken", evaluation=str(evaluation.uuid))
    except Unfit as error:
        _fail(evaluation_id, number, str(error))
    except (NoCapacity, Transient) as error:
        _give_back(evaluation_id, number)
        raise Busy("The machine that runs evaluations is full: it is tried again.") from error
    except (Rejected, ConfigError):
        log.exception("evaluation_impossible", evaluation=str(evaluation.uuid))
        _fail(
            evaluation_id,
            number,
            "This site cannot isolate programs now, so it evaluates nothing blindly. Tell its operator.",
        )
    except (Busy, Unavailable):
        _give_back(evaluation_id, number)
        raise
    except DomainError as error:
        _fail(evaluation_id, number, error.message)


def sweep_evaluations() -> int:
    """Take up again what stands still: its worker and its task are gone. Returns how many. Safe to run beside itself."""
    lost = list(
        BlindEvaluation.objects.filter(state__in=_LIVE, touched_at__lt=now() - STANDS_STILL).values_list(
            "pk", flat=True
        )
    )
    for pk in lost:
        with transaction.atomic():
            enqueue("market.run_evaluation", pk, key=f"evaluation:{pk}")
    return len(lost)


def _begin(evaluation_id: int) -> int | None:
    """The number of this attempt; None when there is nothing to do. The attempt after the last one fails the evaluation."""
    with transaction.atomic():
        row = _locked(evaluation_id)
        if row is None or row.state not in _LIVE:
            return None
        if row.attempts >= MOST_ATTEMPTS:
            _end(row, EvaluationState.FAILED, problem="It was given up: every worker that began it stopped answering.")
            return None
        if row.listing.state != ListingState.PUBLISHED:
            _end(row, EvaluationState.FAILED, problem="The listing was withdrawn before the evaluation began.")
            return None
        EVALUATIONS.ensure(EvaluationState(row.state), EvaluationState.RUNNING)
        row.state, row.touched_at = EvaluationState.RUNNING, now()
        row.attempts += 1
        row.save(update_fields=["state", "touched_at", "attempts"])
        return row.attempts


def _give_back(evaluation_id: int, number: int) -> None:
    """An attempt that found no room does not count as one."""
    BlindEvaluation.objects.filter(pk=evaluation_id, attempts=number, state=EvaluationState.RUNNING).update(
        attempts=number - 1, touched_at=now()
    )


def _prepare(place: Sandbox, evaluation: BlindEvaluation) -> tuple[dict[str, str], dict[str, str]]:
    """Copy both sides into the work folder. Returns what the certificate says of model and data. Raises Unfit, Quarantined."""
    inputs = place.work / "inputs"
    for name in ("model", "data"):
        (inputs / name).mkdir(parents=True)
    try:
        model, data = version_by_uuid(evaluation.model_uuid), version_by_uuid(evaluation.data_uuid)
    except NotFound as error:
        raise Unfit("The version of the model or of the test set is no longer there.") from error
    told = _bring_model(model, inputs / "model")
    chosen = datafiles.select(data.commit)
    if not chosen.is_whole or chosen.size_bytes > DATA_BYTES:
        raise Unfit(
            f"The test set may have {datafiles.FILES_LIMIT:,} files and {DATA_BYTES // 1024**3} GiB: give a smaller one."
        )
    _bring(data, ((entry.path, entry) for entry in chosen.entries), inputs / "data")
    about_model = {"version": str(model.uuid), "name": model.name, "digest": f"sha256:{_digest(model)}", **told}
    return about_model, {"digest": f"sha256:{_digest(data)}"}


def _bring_model(version: "Version", folder: Path) -> dict[str, str]:
    """The graph, what belongs to it, and the signature: of the version, of the build that stands in, or as it was published."""
    entries, _ = list_tree(version.commit, limit=_FILES_LOOKED_AT)
    wanted = [
        entry for entry in entries if not entry.is_dir and (entry.name in _BESIDE_GRAPH or entry.name.startswith(GRAPH))
    ]
    if sum(entry.size_bytes for entry in wanted) > MODEL_BYTES:
        raise Unfit(f"The model is larger than {MODEL_BYTES // 1024**3} GiB: it is not evaluated here.")
    _bring(version, ((entry.name, entry) for entry in wanted), folder)
    told: dict[str, str] = {}
    signature = version.signature
    if (build := graph_build(version)) is not None:
        files = {each.path: each.blob for each in build.files.all()}
        require_free(version.repo, list(files.values()))
        for path, blob in files.items():
            _place(folder, path, blob)
        signature = build.signature or signature
        told = {"build": str(build.uuid)}
    if signature and not (folder / "signature.json").exists():
        (folder / "signature.json").write_bytes(strict_json.dumps(signature))
    return told


def _bring(version: "Version", files: Iterable[tuple[str, Entry]], folder: Path) -> None:
    named = dict(files)
    blobs = blobs_of(named.values())
    require_free(version.repo, list(blobs.values()))
    for path, entry in named.items():
        _place(folder, path, blobs[entry.ref])


def _place(folder: Path, path: str, blob: "Blob") -> None:
    """A copy, never the stored file: what runs in the sandbox must not reach that."""
    target = folder / PurePosixPath(path)
    if not target.resolve().is_relative_to(folder.resolve()) or target.exists():
        raise Unfit(f"The path {path[:200]!r} cannot be given to a program.")
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_to(blob, target)


def _digest(version: "Version") -> str:
    """The one digest of all files, the same that the signature of a version is over (`registry.services.signing`)."""
    return root_of(resources_of(version.commit))


def _keep_going(evaluation_id: int, number: int) -> Callable[[], None]:
    """A check to be called once a second: raises Overtaken when the evaluation was cancelled or begun again."""
    looked = time.monotonic()

    def check() -> None:
        nonlocal looked
        rows = BlindEvaluation.objects.filter(pk=evaluation_id, attempts=number, state=EvaluationState.RUNNING)
        if not rows.exists():
            raise Overtaken
        if time.monotonic() - looked > STANDS_STILL.total_seconds() / 10:
            rows.update(touched_at=now())
            looked = time.monotonic()

    return check


def _succeed(evaluation_id: int, number: int, score: Score, model: dict[str, str], data: dict[str, str]) -> None:
    key = certificates.current_key()
    with transaction.atomic():
        require_lease()
        row = _own(evaluation_id, number)
        row.value, row.low, row.high, row.n, row.classes = score.value, score.low, score.high, score.n, score.classes
        _end(row, EvaluationState.SUCCEEDED)
        certificates.issue(row, key, model=model, data=data)
        # that it took place, and no more; without a mail, whose time would tell as much as an address
        notify(
            row.listing.namespace_id,
            "evaluation",
            f"A blind evaluation of {row.listing.title} took place.",
            url=f"/sell/{row.listing.uuid}/evaluations",
            key=f"evaluation:{row.uuid}",
            with_mail=False,
        )


def _fail(evaluation_id: int, number: int, problem: str) -> None:
    try:
        with transaction.atomic():
            _end(_own(evaluation_id, number), EvaluationState.FAILED, problem=problem)
    except Overtaken:
        pass  # it ended otherwise


def _own(evaluation_id: int, number: int) -> BlindEvaluation:
    row = _locked(evaluation_id)
    if row is None or row.state != EvaluationState.RUNNING or row.attempts != number:
        raise Overtaken
    return row


def _end(row: BlindEvaluation, state: EvaluationState, *, problem: str = "") -> None:
    """Write the end of the locked row, tell the person who asked, and audit it; in the caller's transaction."""
    EVALUATIONS.ensure(EvaluationState(row.state), state)
    row.state, row.problem = state, problem[:1000]
    row.finished_at = row.touched_at = now()
    row.save()
    is_done = state == EvaluationState.SUCCEEDED
    tag = "market:evaluation:succeeded" if is_done else "market:evaluation:failed"
    audit.record(_SYSTEM, tag, "evaluation", row.uuid, namespace_id=row.buyer_id)
    if row.created_by_id is not None:
        title = METRICS[row.metric].title
        text = (
            f"Your blind evaluation of {row.listing.title} is done: see {title} and the certificate."
            if is_done
            else f"Your blind evaluation of {row.listing.title} failed, and did not count: {row.problem}"
        )
        notify_users(
            [row.created_by_id], "evaluation", text, url=f"/evaluations/{row.uuid}", key=f"evaluated:{row.uuid}"
        )


def _locked(evaluation_id: int) -> BlindEvaluation | None:
    rows = BlindEvaluation.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("listing__namespace", "buyer").filter(pk=evaluation_id).first()
