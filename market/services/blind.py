"""Asking for a blind evaluation, giving it up, and making its certificate public. What happens in the sandbox is in `blind_runs`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from backends.blind.metrics import METRICS
from common.clock import now
from common.errors import Conflict, Invalid, NotFound, TooMany
from compute.endpoint_policies import visible_endpoints
from market.blind_policies import evaluations_that_took_place, require_evaluation
from market.blind_queries import can_be_evaluated, runs_allowed, runs_of
from market.models import BlindEvaluation, Listing
from market.policies import require_listing_by_uuid
from market.states import EVALUATIONS, EvaluationState, SubjectKind
from notices.services import notify
from registry.build_queries import GRAPH, graph_build
from registry.errors import AccessNeeded
from registry.policies import require_version, visible_repos
from registry.queries import entry_at_or_none, held_back_in, latest_version, verdict_of, version_by_uuid
from registry.standing import refuse_yanked, standing_of
from registry.states import UNSELLABLE, RepoKind
from work.door import enqueue

if TYPE_CHECKING:
    from registry.models import Version

MOST_RUNS = 1000
"""The largest figure that a seller may set."""
_SYSTEM = system("market")


def ask_for_evaluation(
    actor: Actor,
    listing: Listing,
    *,
    buyer: str,
    data_uuid: UUID,
    metric: str,
    target: str = "",
    file: str = "",
    key: str | None = None,
) -> BlindEvaluation:
    """Queue a run of the listing's present model on a version of a dataset that belongs to `buyer`. Needs the right to run things for
    the buyer and to read the data; the model stays closed. Takes one of the buyer's runs of this month. Writes the evaluation and
    audit, and asks for its task; tells nobody. With a `key` a second call returns what the first made. Raises Invalid per field,
    NotFound, Forbidden, Conflict when the listing cannot be evaluated, TooMany (with the seconds until next month) when the runs are
    used up."""
    owner = require_namespace(actor, buyer, Action.NAMESPACE_RUN)
    if key is not None and (known := BlindEvaluation.objects.filter(buyer=owner, key=key).first()):
        return known
    if metric not in METRICS:
        raise Invalid("There is no such metric.", fields={"metric": f"one of {', '.join(METRICS)}"})
    for name, value, limit in (("target", target, 200), ("file", file, 1000)):
        if len(value) > limit or not value.isprintable():
            raise Invalid(f"Use plain text of at most {limit} characters.", fields={name: "not plain text"})
    if owner.pk == listing.namespace_id or actor.may(Action.LISTING_MANAGE, listing.namespace_id):
        raise Conflict(
            "This is your own model: a blind evaluation is between two parties. Evaluate it with a job.",
            code="own_listing",
        )
    data = _data(actor, owner.pk, data_uuid)
    if not can_be_evaluated(listing):
        raise Conflict("This listing is not open to blind evaluation.", code="not_evaluable")
    model = model_for_sale(listing)
    try:
        with transaction.atomic():
            # one after the other, so that two requests at the same time do not both take the last run
            row = Listing.objects.select_for_update(of=("self",), no_key=True).get(pk=listing.pk)
            if not can_be_evaluated(row):
                raise Conflict("This listing is not open to blind evaluation.", code="not_evaluable")
            runs = runs_of(owner, actor.user_id, row)
            if not runs.left:
                raise TooMany(
                    f"All {runs.allowed} blind evaluations of this listing in this month are used: more could copy the model. There are "
                    "new ones on the first day of the next month.",
                    retry_after_s=_until_next_month_s(),
                    code="no_runs_left",
                )
            made = BlindEvaluation.objects.create(
                listing=row,
                buyer=owner,
                model_uuid=model.uuid,
                model_name=model.name,
                data_uuid=data.uuid,
                data_title=f"{owner.name}/{data.repo.name}@{data.name}",
                metric=metric,
                target=target,
                file=file,
                key=key,
                created_by_id=actor.user_id,
            )
            audit.record(
                actor,
                "market:evaluation:asked",
                "evaluation",
                made.uuid,
                namespace_id=owner.pk,
                listing=str(row.uuid),
                model=str(model.uuid),
                data=str(data.uuid),
                metric=metric,
            )
            enqueue("market.run_evaluation", made.pk, key=f"evaluation:{made.pk}")
    except IntegrityError:
        if key is None:
            raise
        return BlindEvaluation.objects.get(buyer=owner, key=key)
    return made


def model_for_sale(listing: Listing) -> "Version":
    """The version that an order would open: the newest of the repository, or the one that the endpoint serves. Raises Conflict when
    there is none that can be evaluated, without a word about what is not public."""
    version: Version | None = None
    if listing.subject_kind == SubjectKind.MODEL:
        repo = visible_repos(_SYSTEM).filter(uuid=listing.subject_uuid).first()
        version = latest_version(repo) if repo else None
    elif listing.subject_kind == SubjectKind.ENDPOINT:
        endpoint = visible_endpoints(_SYSTEM).filter(uuid=listing.subject_uuid).first()
        version = version_by_uuid(endpoint.version_uuid) if endpoint and endpoint.version_uuid else None
    if version is None:
        raise Conflict("There is no version of this model to evaluate now.", code="not_evaluable")
    if standing_of(version).is_yanked or verdict_of(version) in UNSELLABLE or held_back_in([version.uuid]) is not None:
        raise Conflict("The present version of this model is held back: it cannot be evaluated.", code="not_evaluable")
    if entry_at_or_none(version.commit, GRAPH) is None and graph_build(version) is None:
        raise Conflict(
            f"The present version of this model has no {GRAPH} and no ONNX build: it cannot be evaluated blindly.",
            code="not_evaluable",
        )
    return version


def cancel_evaluation(actor: Actor, evaluation: BlindEvaluation) -> BlindEvaluation:
    """Give up an evaluation that has not ended; the run comes back, and a program that runs is stopped within seconds. A cancelled one
    stays as it is. Raises Conflict for one that has ended, NotFound, Forbidden."""
    with transaction.atomic():
        row = _locked(require_evaluation(actor, evaluation.uuid, to_change=True))
        if row.state == EvaluationState.CANCELLED:
            return row
        EVALUATIONS.ensure(EvaluationState(row.state), EvaluationState.CANCELLED)
        row.state, row.finished_at, row.touched_at = EvaluationState.CANCELLED, now(), now()
        row.save(update_fields=["state", "finished_at", "touched_at"])
        audit.record(actor, "market:evaluation:cancelled", "evaluation", row.uuid, namespace_id=row.buyer_id)
    return row


def publish_certificate(actor: Actor, evaluation: BlindEvaluation) -> BlindEvaluation:
    """Make the certificate public: it gets a page, and the seller sees the score and may show it on the listing. Safe to repeat. Raises
    Conflict while there is no certificate, NotFound, Forbidden."""

    def publish(row: BlindEvaluation) -> None:
        row.published_at = now()
        notify(
            row.listing.namespace_id,
            "certificate-published",
            f"{row.buyer.name} has published the certificate of a blind evaluation of {row.listing.title}. You can show it on the "
            "listing.",
            url=f"/sell/{row.listing.uuid}/evaluations",
            key=f"certificate:{row.uuid}:{row.published_at.isoformat()}",
        )

    return _change(actor, evaluation, lambda row: row.published_at is None, publish, "published")


def withdraw_certificate(actor: Actor, evaluation: BlindEvaluation) -> BlindEvaluation:
    """Take the certificate off its page and off the listing. Copies that somebody has made stay valid: a signature cannot be taken back.
    Safe to repeat. Raises NotFound, Forbidden."""

    def withdraw(row: BlindEvaluation) -> None:
        row.published_at = row.shown_at = None

    return _change(actor, evaluation, lambda row: row.published_at is not None, withdraw, "withdrawn")


def show_certificate(actor: Actor, listing: Listing, uuid: UUID, *, is_shown: bool) -> BlindEvaluation:
    """Let a published certificate stand on the listing, or take it off; its own page stays. Needs the right to manage the listing. Safe
    to repeat. Raises NotFound for an evaluation whose certificate the buyer has not published, Forbidden."""
    listing = require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    with transaction.atomic():
        found = (
            evaluations_that_took_place(actor).filter(listing=listing, uuid=uuid, published_at__isnull=False).first()
        )
        row = _locked(found) if found else None
        if row is None or row.published_at is None:
            raise NotFound("There is no such certificate, or its buyer has not published it.")
        if (row.shown_at is not None) != is_shown:
            row.shown_at = now() if is_shown else None
            row.save(update_fields=["shown_at"])
            tag = "market:certificate:shown" if is_shown else "market:certificate:hidden"
            audit.record(actor, tag, "evaluation", row.uuid, namespace_id=listing.namespace_id)
    return row


def set_runs(actor: Actor, listing: Listing, runs: int | None) -> Listing:
    """How many blind evaluations a buyer may have of the listing in a month: None for the site's figure, 0 for none. Needs the right to
    manage it. Safe to repeat. Raises Invalid, NotFound, Forbidden."""
    if runs is not None and not 0 <= runs <= MOST_RUNS:
        raise Invalid(f"Give 0 to {MOST_RUNS} runs.", fields={"runs_per_month": "out of range"})
    require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    with transaction.atomic():
        row = (
            Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)
        )
        if row.blind_runs != runs:
            row.blind_runs, row.updated_at = runs, now()
            row.save(update_fields=["blind_runs", "updated_at"])
            audit.record(
                actor, "market:evaluation:limited", "listing", row.uuid, namespace_id=row.namespace_id, runs=runs
            )
    return row


def terms_of(listing: Listing) -> dict[str, Any]:
    """What a buyer can have, for whoever sees the listing. No query."""
    return {"is_open": can_be_evaluated(listing), "runs_per_month": runs_allowed(listing)}


def _data(actor: Actor, buyer_id: int, uuid: UUID) -> "Version":
    """The test set. It has to be the buyer's own: what others may read, they may publish."""
    field = {"test_set": "not a dataset of the buyer"}
    try:
        version = require_version(actor, uuid, Action.REPO_READ)
    except (NotFound, AccessNeeded) as error:
        raise Invalid("Choose a version of a dataset that you may read.", fields={"test_set": "not found"}) from error
    if version.repo.kind != RepoKind.DATASET or version.repo.namespace_id != buyer_id:
        raise Invalid("The test set is a version of a dataset that belongs to the buyer.", fields=field)
    refuse_yanked(version, "evaluated on")
    if (held := held_back_in([version.uuid])) is not None:
        raise Invalid(f"A file of this version is under quarantine: {held.reason}", fields={"test_set": "quarantined"})
    return version


def _change(
    actor: Actor,
    evaluation: BlindEvaluation,
    is_due: Callable[[BlindEvaluation], bool],
    deed: Callable[[BlindEvaluation], None],
    tag: str,
) -> BlindEvaluation:
    with transaction.atomic():
        row = _locked(require_evaluation(actor, evaluation.uuid, to_change=True))
        if row.state != EvaluationState.SUCCEEDED:
            raise Conflict(f"This evaluation is {row.state}: it has no certificate.", code="no_certificate")
        if is_due(row):
            deed(row)
            row.save(update_fields=["published_at", "shown_at"])
            audit.record(actor, f"market:certificate:{tag}", "evaluation", row.uuid, namespace_id=row.buyer_id)
    return row


def _locked(evaluation: BlindEvaluation) -> BlindEvaluation:
    rows = BlindEvaluation.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("listing__namespace", "buyer").get(pk=evaluation.pk)


def _until_next_month_s() -> int:
    present = now()
    years, month = divmod(present.month, 12)
    first = present.replace(
        year=present.year + years, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return int((first - present).total_seconds()) + 1
