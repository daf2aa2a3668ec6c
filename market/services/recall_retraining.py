"""Making anew what was made from a recalled version: the same job with the same parameters, and the replacement in its place."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from accounts.actors import Actor, resumed, system
from accounts.permissions import Action
from backends.programs.catalogue import RECIPES
from common.errors import Conflict, DomainError, Invalid, Unauthenticated
from compute.policies import require_job, visible_jobs
from compute.services import jobs
from compute.states import ENDED, JobState
from market.models import Recall, RecallItem
from market.recall_policies import require_item, require_recall
from market.recalls import DONE, ItemKind, ItemState, RecallState
from market.services.recalls import note, settle

if TYPE_CHECKING:
    from compute.models import Job

_SYSTEM = system("recalls")
MADE = (ItemKind.VERSION, ItemKind.BUILD)
"""What a job can make anew."""


def retrain_item(
    actor: Actor, uuid: UUID | str, item_uuid: UUID | str, *, replacement: UUID | str | None = None
) -> RecallItem:
    """Open the job that makes an item anew, by the recipe that made it, with `replacement` (default: the recall's) in the place of the
    recalled version. For its owner, who needs the right to run there and to read all inputs. The same job is opened once; a failed
    one is queued again. Raises NotFound, Forbidden, Invalid, Conflict when no recipe is known or something upstream of it waits."""
    recall = require_recall(actor, uuid)
    if recall.state != RecallState.OPEN:
        raise Conflict(f"This recall is {recall.state}.", code="recall_not_open", state=recall.state)
    item = require_item(actor, recall, item_uuid)
    if item.kind not in MADE:
        raise Invalid("Only versions and builds are made by jobs.", fields={"item": "not made by a job"})
    return _open_job(actor, recall, item, replacement or _replacement(recall))


def retrain_next(recall: Recall, user_id: int | None) -> bool | None:
    """Open the next job for something of the recalling namespace, in the name of who asked. True: there may be more; None: jobs are under
    way; False: nothing is left to do. Why an item can't be made anew is noted at it."""
    collect(recall)
    rows = RecallItem.objects.filter(recall=recall, kind__in=MADE, owner_id=recall.namespace_id, problem="")
    left = rows.exclude(state__in=DONE)
    for item in left.filter(job_uuid__isnull=True).order_by("pk"):
        try:
            actor = resumed(user_id or 0, None)
            _open_job(actor, recall, item, _replacement(recall))
        except _Waits:
            continue
        except (DomainError, Unauthenticated) as error:
            with transaction.atomic():
                RecallItem.objects.filter(pk=item.pk).update(problem=error.message[:300])
                note(_SYSTEM, recall, "retraining_failed", item=item, said=error.message)
        return True
    return None if left.filter(job_uuid__isnull=False).exists() else False


def collect(recall: Recall) -> int:
    """Items whose job has ended well are handled; of one that has not, the reason is noted. Returns how many. Safe to repeat."""
    rows = RecallItem.objects.filter(recall=recall, job_uuid__isnull=False).exclude(state__in=DONE)
    waiting = {each.job_uuid: each.pk for each in rows}
    handled = 0
    for job in visible_jobs(_SYSTEM).filter(uuid__in=list(waiting), state__in=ENDED):
        with transaction.atomic():
            item = RecallItem.objects.select_for_update(of=("self",)).get(pk=waiting[job.uuid])
            if item.state in DONE or item.job_uuid != job.uuid:
                continue
            if job.state == JobState.SUCCEEDED:
                made = {"version": str(job.version.uuid)} if job.version else {}
                settle(_SYSTEM, recall, item, ItemState.HANDLED, "retrained", job=str(job.uuid), **made)
                handled += 1
            elif not item.problem:
                item.problem = (job.problem or f"The job was {job.state}.")[:300]
                item.save(update_fields=["problem"])
                note(_SYSTEM, recall, "retraining_failed", item=item, said=item.problem, detail={"job": str(job.uuid)})
    return handled


class _Waits(Conflict):
    """Something that it is made from is being made anew first."""


def _open_job(actor: Actor, recall: Recall, item: RecallItem, replacement: UUID | str | None) -> RecallItem:
    job = _job_of(item)
    job = require_job(actor, job.uuid, Action.JOB_READ)
    inputs = _inputs(recall, job, replacement)
    again = jobs.submit(
        actor,
        namespace=job.namespace.name,
        recipe=job.recipe,
        parameters=job.parameters,
        inputs=inputs,
        target={"kind": job.target.kind, "name": job.target.name} if job.target else None,
        key=f"recall:{item.uuid}",
    )
    if again.state in {JobState.FAILED, JobState.CANCELLED}:
        again = jobs.retry(actor, again)
    with transaction.atomic():
        row = RecallItem.objects.select_for_update(of=("self",)).get(pk=item.pk)
        if row.job_uuid != again.uuid or row.problem:
            row.job_uuid, row.problem = again.uuid, ""
            row.save(update_fields=["job_uuid", "problem"])
            note(actor, recall, "retraining", item=row, detail={"job": str(again.uuid)})
    return row


def _job_of(item: RecallItem) -> "Job":
    made: dict[str, Any] = (
        {"version__uuid": item.object_uuid} if item.kind == ItemKind.VERSION else {"build__uuid": item.object_uuid}
    )
    job = visible_jobs(_SYSTEM).filter(**made).order_by("pk").first()
    if job is None or job.recipe not in RECIPES:
        raise Conflict("No recipe is known that made it: make it anew by hand.", code="no_recipe")
    return job


def _inputs(recall: Recall, job: "Job", replacement: UUID | str | None) -> dict[str, UUID | str]:
    """The job's inputs with what is recalled replaced: the version itself, and what was made anew of it meanwhile."""
    given = {name: UUID(each["version_uuid"]) for name, each in job.inputs.items()}
    rows = RecallItem.objects.filter(recall=recall, kind=ItemKind.VERSION, object_uuid__in=list(given.values()))
    affected = {each.object_uuid: each for each in rows}
    found: dict[str, UUID | str] = {}
    for name, uuid in given.items():
        if uuid == recall.version.uuid:
            if not replacement:
                raise Invalid("Name the version to take instead.", fields={"replacement": "missing"})
            found[name] = replacement
        elif uuid in affected:
            found[name] = _made_anew(affected[uuid])
        else:
            found[name] = uuid
    return found


def _made_anew(item: RecallItem) -> UUID:
    job = visible_jobs(_SYSTEM).filter(uuid=item.job_uuid).first() if item.job_uuid else None
    if job is not None and job.version is not None:
        return job.version.uuid
    if item.problem or item.state in DONE:
        raise Conflict(
            "Something that it was made from was not made anew: name its inputs by hand.", code="upstream_left"
        )
    raise _Waits(
        "Something that it was made from is being made anew first: try again when that is done.", code="upstream_waits"
    )


def _replacement(recall: Recall) -> UUID | None:
    return recall.replacement.uuid if recall.replacement else None
