"""What compute does later."""

from compute.services import lifecycle, steps
from work.door import task
from work.schedules import schedule


@task("compute.advance_job", queue="cpu", limit_s=3600, max_attempts=5)
def advance_job(job_id: int) -> None:
    lifecycle.advance(job_id)


@task("compute.clean_attempt", queue="cpu")
def clean_attempt(attempt_id: int) -> None:
    lifecycle.clean(attempt_id)


@task("compute.sweep_jobs", queue="fast")
def sweep_jobs() -> None:
    steps.sweep()


schedule("compute.sweep_jobs", "compute.sweep_jobs", 30)
