from datetime import timedelta

from common.clock import now
from work.claims import forget_finished
from work.door import task
from work.schedules import schedule

_KEPT_DAYS = 7
_BATCH = 5000


@task("work.forget_finished", queue="slow")
def forget_finished_tasks() -> None:
    """Harmless twice: what is deleted is gone."""
    while forget_finished(now() - timedelta(days=_KEPT_DAYS), batch=_BATCH) == _BATCH:
        pass


schedule("forget finished tasks", "work.forget_finished", 3600)
