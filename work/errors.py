from common.errors import Conflict


class LeaseLost(Conflict):
    """The running task no longer owns its row: another worker has it. Whatever it was about to write must not be written."""

    default_code = "lease_lost"

    def __init__(self) -> None:
        super().__init__("Another worker has taken over this task.")


class TimeLimitReached(BaseException):
    """Raised inside a task that runs longer than its `limit_s`. Not an Exception: `except Exception` must not swallow it."""
