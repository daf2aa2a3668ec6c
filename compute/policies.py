"""Who may see and manage which job: what one's role in the job's namespace opens, and nothing else."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.actors import Actor
from accounts.permissions import SCOPE_OF_ACTION, Action
from common.errors import Forbidden, NotFound
from compute.models import Job


def visible_jobs(actor: Actor) -> QuerySet[Job]:
    """The jobs that the actor may read, with what a list shows joined."""
    jobs = Job.objects.select_related(
        "namespace", "target__namespace", "version", "build__version__repo__namespace", "created_by"
    )
    if actor.is_system:
        return jobs
    return jobs.filter(namespace_id__in=[pk for pk in actor.member_namespaces() if actor.may(Action.JOB_READ, pk)])


def require_job(actor: Actor, uuid: UUID | str, action: Action) -> Job:
    """The job on which `actor` may do `action`. Raises NotFound when it is not there or not visible, Forbidden when visible."""
    job = visible_jobs(actor).filter(uuid=uuid).first()
    if job is None:
        raise NotFound("There is no such job.")
    if not actor.may(action, job.namespace_id):
        actor.require_scope(SCOPE_OF_ACTION[action])
        raise Forbidden("You may not do this to this job.", action=str(action))
    return job
