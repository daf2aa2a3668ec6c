"""What is told later."""

from notices import services
from notices.services import digests
from work.door import task
from work.schedules import schedule


@task("notices.mail_notice", queue="slow", max_attempts=8)
def mail_notice(notice_id: int) -> None:
    services.mail_notice(notice_id)


@task("notices.plan_digests", queue="slow")
def plan_digests() -> None:
    digests.plan_digests()


@task("notices.send_digest", queue="slow", max_attempts=8)
def send_digest(digest_id: int) -> None:
    digests.send_digest(digest_id)


# some time zones lie a quarter of an hour beside the others
schedule("notices.plan_digests", "notices.plan_digests", 900)
