"""What is told later."""

from notices import services
from work.door import task


@task("notices.mail_notice", queue="slow", max_attempts=8)
def mail_notice(notice_id: int) -> None:
    services.mail_notice(notice_id)
