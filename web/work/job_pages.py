"""What the pages of jobs show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from backends.programs.catalogue import RECIPES, Recipe
from compute import queries
from compute.policies import visible_jobs
from compute.states import ENDED, JobState
from registry.services.cards import render_markdown
from registry.states import BuildFormat
from web.hub.builds import TITLES, Report
from web.hub.pages import figures_of
from web.links import job_url, repo_url, version_url, with_query
from web.templatetags.ui import duration

if TYPE_CHECKING:
    from compute.models import Job

LOG_BYTES = 128 * 1024
CHART_POINTS = 400


@dataclass(frozen=True)
class JobRow:
    title: str
    href: str
    recipe: str
    owner: str
    state: str
    fraction: float
    message: str
    is_live: bool
    created_at: datetime
    target: str

    @classmethod
    def of(cls, job: "Job") -> "JobRow":
        return cls(
            title=job.title,
            href=job_url(job.uuid),
            recipe=job.recipe,
            owner=job.namespace.name,
            state=job.state,
            fraction=job.fraction,
            message=job.message,
            is_live=job.state not in ENDED,
            created_at=job.created_at,
            target=f"{job.target.namespace.name}/{job.target.name}" if job.target else "",
        )


@dataclass(frozen=True)
class JobsPage:
    title: str
    jobs: list[JobRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, cursor: str) -> "JobsPage":
        found = queries.job_list(visible_jobs(actor), cursor=cursor or None, limit=30)
        more = with_query("/jobs", cursor=found.next_cursor) if found.next_cursor else ""
        return cls("Jobs", [JobRow.of(job) for job in found.items], more, "/jobs" if cursor else "")


@dataclass(frozen=True)
class RecipeCard:
    name: str
    title: str
    summary: str
    href: str
    produces: str


@dataclass(frozen=True)
class NewJobPage:
    """Without a form: the recipes to choose from."""

    title: str
    recipes: list[RecipeCard]
    recipe: Recipe | None
    form: forms.Form | None

    @classmethod
    def of(cls, version: str, recipe: Recipe | None = None, form: forms.Form | None = None) -> "NewJobPage":
        cards = [
            RecipeCard(
                each.name,
                each.title,
                each.summary,
                with_query(f"/jobs/new/{each.name}", version=version),
                each.produces,
            )
            for each in RECIPES.values()
        ]
        return cls(recipe.title if recipe else "New job", cards, recipe, form)


@dataclass(frozen=True)
class Chart:
    """What `components/chart.html` names."""

    id: str
    title: str
    x_label: str
    y_label: str
    series: list[str]
    rows: list[list[Any]]
    csv_href: str = ""


@dataclass(frozen=True)
class LogPiece:
    """A piece of a log, and where the next one is asked for; empty when no more will come."""

    text: str
    next_href: str
    is_first: bool

    @classmethod
    def of(cls, job: "Job", offset: int) -> "LogPiece":
        piece = queries.job_log(job, offset, LOG_BYTES)
        following = with_query(f"{job_url(job.uuid)}/log", offset=str(piece.next_offset))
        return cls(piece.text, "" if piece.is_final else following, offset == 0)


@dataclass(frozen=True)
class JobStatus:
    """The live part of the page. `poll_href` is empty once the job has ended."""

    state: str
    fraction: float | None
    message: str
    left: str
    elapsed: str
    problem: str
    events: list[tuple[datetime, str]]
    charts: list[Chart]
    poll_href: str

    @classmethod
    def of(cls, job: "Job") -> "JobStatus":
        progress = queries.job_progress(job)
        is_live = job.state not in ENDED
        return cls(
            state=job.state,
            fraction=progress.fraction if job.state in {JobState.RUNNING, JobState.COLLECTING} else None,
            message=progress.message or {"queued": "Waits for a free place"}.get(job.state, job.state.capitalize()),
            left=f"about {duration(progress.left_s)} left" if progress.left_s is not None else "",
            elapsed=duration(progress.elapsed_s) if job.started_at else "",
            problem=job.problem,
            events=[(event.at, event.text) for event in queries.job_events(job)],
            charts=charts_of(queries.job_metrics(job), f"{job_url(job.uuid)}/metrics.csv"),
            poll_href=f"{job_url(job.uuid)}/status" if is_live else "",
        )


@dataclass(frozen=True)
class JobPage:
    title: str
    job: JobRow
    status: JobStatus
    log: LogPiece
    inputs: list[tuple[str, str, str]]
    parameters: list[tuple[str, str]]
    figures: list[Any]
    summary_html: str
    target_href: str
    version_name: str
    version_href: str
    build_title: str
    build_href: str
    report: Report | None
    cpu: str
    memory_bytes: int
    created_by: str
    cancel_href: str
    retry_href: str

    @classmethod
    def of(cls, actor: Actor, job: "Job") -> "JobPage":
        row = JobRow.of(job)
        can_manage = actor.may(Action.JOB_MANAGE, job.namespace_id)
        cost = queries.job_cost(job)
        version, build = job.version, job.build
        return cls(
            title=job.title,
            job=row,
            status=JobStatus.of(job),
            log=LogPiece.of(job, 0),
            inputs=[(name, each["kind"], each["title"]) for name, each in job.inputs.items()],
            parameters=[(name.replace("_", " "), str(value)) for name, value in job.parameters.items() if value != ""],
            figures=figures_of(job.result.get("metrics", {})),
            summary_html=render_markdown(str(job.result.get("summary", ""))),
            target_href=repo_url(job.target) if job.target else "",
            version_name=version.name if version else "",
            version_href=repo_url(job.target, "versions", version.name) if version and job.target else "",
            build_title=TITLES[BuildFormat(build.format)] if build else "",
            build_href=f"{version_url(build.version.repo, build.version.name)}#build-{build.uuid}" if build else "",
            report=Report.of(job.result.get("equivalence")),
            cpu=duration(cost.cpu_s),
            memory_bytes=cost.peak_memory_bytes,
            created_by=job.created_by.username if job.created_by else "",
            cancel_href=f"{row.href}/cancellation"
            if can_manage and row.is_live and not job.cancel_requested_at
            else "",
            retry_href=f"{row.href}/retry" if can_manage and job.state in {JobState.FAILED, JobState.CANCELLED} else "",
        )


def charts_of(series: dict[str, list[list[float]]], csv_href: str = "") -> list[Chart]:
    """One chart for each quantity: `training loss` and `validation loss` share one. Long curves are thinned; the CSV file at
    `csv_href` has every value."""
    groups: dict[str, dict[str, list[list[float]]]] = {}
    for name, points in series.items():
        quantity = name.partition(",")[0].rsplit(" ", 1)[-1]
        groups.setdefault(quantity, {})[name] = points
    charts = []
    for number, (quantity, curves) in enumerate(groups.items()):
        steps = sorted({step for points in curves.values() for step, _ in points})
        steps = steps[:: max(1, len(steps) // CHART_POINTS)]
        values: list[dict[float, Any]] = [{point[0]: point[1] for point in points} for points in curves.values()]
        rows = [[f"{step:g}", *(each.get(step) for each in values)] for step in steps]
        charts.append(Chart(f"curve-{number}", quantity.capitalize(), "step", quantity, list(curves), rows, csv_href))
    return charts
