"""Jobs: the list, one with its live parts, a new one from a recipe."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action
from backends.programs.catalogue import RECIPES
from common.errors import Forbidden, Invalid, NotFound
from compute import queries
from compute.policies import require_job
from compute.services import jobs
from web.exports import csv_response
from web.forms import put_into
from web.links import job_url
from web.render import Request, form_status, render, render_part
from web.work.job_forms import JobForm
from web.work.job_pages import JobPage, JobsPage, JobStatus, LogPiece, NewJobPage


@require_GET
def job_list(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "work/jobs.html", JobsPage.of(request.actor, request.GET.get("cursor", "")))


@require_GET
def job(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found = require_job(request.actor, uuid, Action.JOB_READ)
    return render(request, "work/job.html", JobPage.of(request.actor, found))


@require_GET
def job_status(request: Request, uuid: UUID) -> HttpResponse:
    """The live part of the page, as a fragment."""
    found = require_job(request.actor, uuid, Action.JOB_READ)
    return render_part("work/_status.html", JobStatus.of(found))


@require_GET
def job_log(request: Request, uuid: UUID) -> HttpResponse:
    """The log from a byte on, as a fragment that asks for the next one."""
    found = require_job(request.actor, uuid, Action.JOB_READ)
    offset = request.GET.get("offset", "0")
    return render_part("work/_log.html", LogPiece.of(found, int(offset) if offset.isdecimal() else 0))


@require_GET
def job_metrics(request: Request, uuid: UUID) -> HttpResponseBase:
    """The curves of the newest attempt, a row for each value."""
    found = require_job(request.actor, uuid, Action.JOB_READ)
    rows = ((name, step, value) for name, points in queries.job_metrics(found).items() for step, value in points)
    return csv_response(f"metrics-{uuid}", ["metric", "step", "value"], rows)


@require_GET
def new_job(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "work/new_job.html", NewJobPage.of(request.GET.get("version", "")))


@require_http_methods(["GET", "POST"])
def new_job_of(request: Request, recipe_name: str) -> HttpResponse:
    request.actor.require_authenticated()
    recipe = RECIPES.get(recipe_name)
    if recipe is None:
        raise NotFound("There is no such recipe.")
    version = request.GET.get("version", "")
    initial = {f"input_{each.name}": version for each in recipe.inputs} if version else {}
    form = JobForm(request.actor, recipe, request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid() and (uuid := _submit(request, form)):
        return HttpResponseRedirect(job_url(uuid))
    return render(request, "work/new_job.html", NewJobPage.of(version, recipe, form), status=form_status(request))


@require_POST
def cancellation(request: Request, uuid: UUID) -> HttpResponse:
    jobs.cancel(request.actor, require_job(request.actor, uuid, Action.JOB_MANAGE))
    messages.success(request, "The job ends.")
    return HttpResponseRedirect(job_url(uuid))


@require_POST
def retry(request: Request, uuid: UUID) -> HttpResponse:
    jobs.retry(request.actor, require_job(request.actor, uuid, Action.JOB_MANAGE))
    messages.success(request, "The job is queued again.")
    return HttpResponseRedirect(job_url(uuid))


def _submit(request: Request, form: JobForm) -> UUID | None:
    """A refused parameter or input shows at its own field."""
    try:
        made = jobs.submit(
            request.actor,
            namespace=form.cleaned_data["namespace"],
            recipe=form.recipe.name,
            parameters=form.parameters,
            inputs=form.inputs,
            target=form.target,
            version_name=form.cleaned_data.get("version_name") or None,
        )
    except Invalid as error:
        named = error.fields.get("fields")
        for name, why in named.items() if isinstance(named, dict) else ():
            for field in (name, f"p_{name}", f"input_{name}"):
                if field in form.fields:
                    form.add_error(field, str(why))
        if not form.errors:
            put_into(form, error)
        return None
    except Forbidden as error:
        put_into(form, error)
        return None
    return made.uuid
