"""What metering does later."""

from metering.services import budgets, caps
from work.door import task
from work.schedules import schedule


@task("metering.release_expired", queue="fast")
def release_expired() -> None:
    budgets.release_expired()


@task("metering.open_months", queue="fast")
def open_months() -> None:
    caps.open_months()


schedule("metering.open_months", "metering.open_months", 3600)
schedule("metering.release_expired", "metering.release_expired", 60)
