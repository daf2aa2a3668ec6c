"""What accounts does later."""

from accounts.services import devices, idempotency
from work.door import task
from work.schedules import schedule


@task("accounts.forget_answers", queue="slow")
def forget_answers() -> None:
    idempotency.forget_old()


@task("accounts.forget_device_logins", queue="slow")
def forget_device_logins() -> None:
    devices.forget_old_logins()


schedule("accounts.forget_answers", "accounts.forget_answers", 3600)
schedule("accounts.forget_device_logins", "accounts.forget_device_logins", 3600)
