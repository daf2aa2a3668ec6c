"""Submitting, cancelling and retrying jobs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from backends.programs.catalogue import RECIPES, Recipe, validate_parameters
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from compute.models import Job
from compute.policies import require_job
from compute.services.steps import Overtaken, applying, ask_for_step, hurry, say, wake_next
from compute.states import ENDED, JOBS, JobState
from registry.build_queries import GRAPH, build_by_uuid, graph_build
from registry.errors import RepoNotFound
from registry.policies import require_repo, require_repo_by_uuid, require_version
from registry.queries import held_back_in, versions_of
from registry.services.builds import refuse_withdrawn
from registry.services.repos import create_repo
from registry.standing import refuse_yanked, standing_of
from registry.version_names import check_version

if TYPE_CHECKING:
    from accounts.models import Namespace
    from registry.models import Repo, Version

BUILT = "model"
"""The input whose version gets the build, of a recipe that makes one."""


def submit(
    actor: Actor,
    *,
    namespace: str,
    recipe: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, UUID | str],
    target: Mapping[str, str] | None = None,
    version_name: str | None = None,
    key: str | None = None,
) -> Job:
    """Queue a run of `recipe` on behalf of `namespace`. Needs the right to run there, to read every input (`{name: version uuid}`)
    and, with a `target` (`{"kind", "name"}`, made private when it does not exist), to write it; of a recipe that makes a build, to
    write the version that is built. Withdrawn versions are refused, deprecated ones noted. Writes the job, its first event, audit,
    and asks for its first step. With a `key`, a second call returns what the first made. Raises Invalid whose fields name what is
    wrong, NotFound, Forbidden, Conflict when the version name is taken."""
    owner = require_namespace(actor, namespace, Action.NAMESPACE_RUN)
    if key is not None and (known := Job.objects.filter(namespace=owner, key=key).first()):
        return known
    plan = RECIPES.get(recipe)
    if plan is None:
        raise Invalid(f"There is no recipe {recipe[:60]!r}.", fields={"recipe": f"one of {', '.join(RECIPES)}"})
    values = validate_parameters(plan, dict(parameters))
    given, notes = _inputs(actor, plan, inputs)
    if version_name:
        check_version(version_name)
    # after everything that can be wrong with the question: it may make the repository
    repo = _target(actor, owner, plan, target)
    if version_name:
        if repo is None:
            raise Invalid("Only what is published as a version has a name.", fields={"version_name": "no target"})
        if versions_of(repo).filter(name__iexact=version_name).exists():
            raise Conflict(f"{owner.name}/{repo.name} has a version {version_name} already.", code="version_exists")
    try:
        with transaction.atomic():
            job = Job.objects.create(
                namespace=owner,
                recipe=plan.name,
                title=_title(plan, given)[:200],
                parameters=values,
                inputs=given,
                target=repo,
                version_name=version_name or "",
                key=key,
                created_by_id=actor.user_id,
            )
            say(job, f"Submitted by {actor.label}.")
            for note in notes:
                say(job, note)
            _audit(actor, job, "submitted", recipe=plan.name)
            hurry(job)
    except IntegrityError:
        if key is None:
            raise
        return Job.objects.get(namespace=owner, key=key)
    return job


def cancel(actor: Actor, job: Job) -> Job:
    """Ask a job to end. One that waits ends at once, one that runs within seconds: its program is stopped, nothing is published
    and nothing used from then on is metered. Needs the right to manage it. An ended job stays as it is; a second call changes
    nothing."""
    job = require_job(actor, job.uuid, Action.JOB_MANAGE)
    while job.state not in ENDED and job.cancel_requested_at is None:
        try:
            with applying(job) as locked:
                locked.cancel_requested_at = now()
                say(locked, f"Cancelled by {actor.label}.")
                _audit(actor, locked, "cancelled")
                if locked.state == JobState.QUEUED:
                    locked.state = JobState.CANCELLED
                    locked.finished_at = now()
                    ask_for_step(locked)
                    wake_next()
                else:
                    # the same number: whoever is at work on this step finds the wish when it writes
                    locked.save(update_fields=["cancel_requested_at"])
                    hurry(locked)
        except Overtaken:
            pass
        job = require_job(actor, job.uuid, Action.JOB_MANAGE)
    return job


def retry(actor: Actor, job: Job) -> Job:
    """Queue a failed or cancelled job again, with the same inputs and parameters; the next attempt starts from nothing. Needs the
    right to manage it and, still, to read its inputs and write its target or the version that is built. Raises Conflict for any
    other state and for inputs that were withdrawn meanwhile."""
    job = require_job(actor, job.uuid, Action.JOB_MANAGE)
    for given in job.inputs.values():
        refuse_yanked(require_version(actor, given["version_uuid"], Action.REPO_READ), "given to a job")
        if "build_uuid" in given:
            refuse_withdrawn(build_by_uuid(given["build_uuid"]), "given to a job")
    if job.recipe in RECIPES and RECIPES[job.recipe].produces == "build":
        require_version(actor, job.inputs[BUILT]["version_uuid"], Action.REPO_WRITE)
    if job.target is not None:
        require_repo(actor, job.target.kind, job.target.namespace.name, job.target.name, Action.REPO_WRITE)
    try:
        with applying(job) as locked:
            JOBS.ensure(JobState(locked.state), JobState.QUEUED)
            locked.state = JobState.QUEUED
            locked.cancel_requested_at = locked.started_at = locked.finished_at = None
            locked.problem = locked.message = ""
            locked.fraction = 0.0
            locked.created_by_id = actor.user_id
            say(locked, f"Queued again by {actor.label}.")
            _audit(actor, locked, "retried")
            ask_for_step(locked)
    except Overtaken:
        raise Conflict("The job changed at this moment: look again.") from None
    return require_job(actor, job.uuid, Action.JOB_MANAGE)


def _inputs(
    actor: Actor, recipe: Recipe, given: Mapping[str, UUID | str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What the job is given, and what is to be said about it."""
    known = {each.name: each for each in recipe.inputs}
    wrong = {name: "This recipe has no such input." for name in given if name not in known}
    wrong |= {
        each.name: "This input is needed." for each in recipe.inputs if each.required and not given.get(each.name)
    }
    found: dict[str, dict[str, str]] = {}
    notes = []
    for name, uuid in given.items():
        if name in wrong:
            continue
        version = require_version(actor, _uuid(uuid, name), Action.REPO_READ)
        title = f"{version.repo.namespace.name}/{version.repo.name}@{version.name}"
        standing = standing_of(version)
        if version.repo.kind != known[name].kind:
            wrong[name] = f"A {known[name].kind} is needed here, not a {version.repo.kind}."
        elif standing.is_yanked:
            wrong[name] = f"{title} was withdrawn ({standing.yank_reason}): take another version."
        elif (held := held_back_in([version.uuid])) is not None:
            wrong[name] = f"A file of it is under quarantine: {held.reason}"
        found[name] = {"version_uuid": str(version.uuid), "kind": version.repo.kind, "title": title}
        if standing.is_deprecated:
            instead = f" Take {standing.successor} instead." if standing.successor else ""
            notes.append(f"{title} is deprecated: {standing.message}{instead}")
        if name not in wrong and known[name].needs_graph and (build := graph_build(version)) is not None:
            found[name]["build_uuid"] = str(build.uuid)
            notes.append(f"{title} has no {GRAPH}: its {build.format} build stands in.")
        if name not in wrong and name == BUILT and recipe.produces == "build":
            _require_write(actor, version)
    if wrong:
        raise Invalid(f"The inputs of «{recipe.title}» are not right.", fields=wrong)
    return found, notes


def _require_write(actor: Actor, version: "Version") -> None:
    try:
        require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    except Forbidden as error:
        name = f"{version.repo.namespace.name}/{version.repo.name}"
        raise Forbidden(
            f"A build belongs to its version, so only who may write to {name} can add one: ask its owner for it."
        ) from error


def _uuid(given: UUID | str, name: str) -> UUID:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise Invalid("An input is named by the uuid of a version.", fields={name: "not a uuid"}) from None


def _target(actor: Actor, owner: "Namespace", recipe: Recipe, target: Mapping[str, str] | None) -> "Repo | None":
    if recipe.produces == "build" and target is not None:
        raise Invalid(
            f"«{recipe.title}» adds a build to the version that it is given: leave the target out.",
            fields={"target": "Not needed."},
        )
    if target is None:
        if recipe.produces == "model":
            raise Invalid(
                f"«{recipe.title}» makes a model: name the repository it goes to.", fields={"target": "This is needed."}
            )
        return None
    kind, name = target.get("kind", "model"), target.get("name", "")
    if kind != recipe.produces:
        raise Invalid(f"«{recipe.title}» does not make a {kind[:20]}.", fields={"target": "wrong kind"})
    try:
        return require_repo(actor, kind, owner.name, name, Action.REPO_WRITE)
    except RepoNotFound:
        return create_repo(actor, kind, owner.name, name)


def _title(recipe: Recipe, inputs: Mapping[str, Mapping[str, str]]) -> str:
    first = next(iter(inputs.values()), None)
    return f"{recipe.title}: {first['title']}" if first else recipe.title


def _audit(actor: Actor, job: Job, deed: str, **detail: str) -> None:
    audit.record(actor, f"compute:job:{deed}", "job", job.uuid, namespace_id=job.namespace_id, **detail)
