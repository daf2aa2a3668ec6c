"""What metering does later."""

from metering.services import budgets
from work.door import task
from work.schedules import schedule


@task("metering.release_expired", queue="fast")
def release_expired() -> None:
    budgets.release_expired()


schedule("metering.release_expired", "metering.release_expired", 60)
