"""One tree of expected errors. The class tells the caller what to do next; each URL space renders it in its own shape."""

from typing import ClassVar


class DomainError(Exception):
    """Something expected went wrong. `message` is a sentence for the person; `fields` carries structured detail."""

    status: ClassVar[int] = 400
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.fields = fields


class Invalid(DomainError):
    """The request can never succeed as it is. `fields` maps the name of an input to what is wrong with it."""

    status = 400
    default_code = "invalid"


class Unauthenticated(DomainError):
    """Sign in, or send a valid token."""

    status = 401
    default_code = "unauthenticated"


class PaymentRequired(DomainError):
    """The thing is for sale and the caller has not bought it."""

    status = 402
    default_code = "payment_required"


class OverBudget(DomainError):
    """The budget or the balance does not cover it: top up, or ask for less."""

    status = 402
    default_code = "over_budget"


class Forbidden(DomainError):
    """Visible, but this actor may not do it."""

    status = 403
    default_code = "forbidden"


class NotFound(DomainError):
    """Missing, or invisible to this actor: the two are told apart nowhere."""

    status = 404
    default_code = "not_found"


class Conflict(DomainError):
    """The present state does not allow it: look at the object, then decide."""

    status = 409
    default_code = "conflict"


class StaleParent(Conflict):
    """Somebody else changed it meanwhile: read again, then repeat."""

    default_code = "stale_parent"


class Gone(DomainError):
    """It existed and will not come back."""

    status = 410
    default_code = "gone"


class TooLarge(DomainError):
    """Larger than the stated limit."""

    status = 413
    default_code = "too_large"


class TooMany(DomainError):
    """Rate limit: repeat after `retry_after_s` seconds."""

    status = 429
    default_code = "too_many"

    def __init__(self, message: str, *, retry_after_s: int, code: str | None = None, **fields: object) -> None:
        super().__init__(message, code=code, **fields)
        self.retry_after_s = retry_after_s


class Busy(DomainError):
    """Cannot be done right now: the same request will succeed after `retry_after_s` seconds."""

    status = 503
    default_code = "busy"

    def __init__(self, message: str, *, retry_after_s: int = 2, code: str | None = None, **fields: object) -> None:
        super().__init__(message, code=code, **fields)
        self.retry_after_s = retry_after_s


def busy_database() -> Busy:
    """What to say when the database gives up: it waited too long for a lock, or does not answer. The transaction is undone."""
    return Busy("The database is busy or does not answer: nothing was saved. Try again in a moment.", retry_after_s=5)


class Unavailable(DomainError):
    """Something this installation depends on does not answer."""

    status = 503
    default_code = "unavailable"
