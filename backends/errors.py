"""Errors of backends, named by what the caller does next. They never leave the service that called the backend."""


class BackendError(Exception):
    """A backend could not do what it was asked. The message is a sentence for the operator's log."""


class Missing(BackendError):
    """The object named does not exist: create it, or treat it as gone."""


class NoCapacity(BackendError):
    """There is no room now (disk full, no free slot): keep the work queued and ask again later."""


class Transient(BackendError):
    """A passing fault (network, time-out, 503): repeat the same step; it is safe to repeat."""


class Lost(BackendError):
    """What was started has vanished without a result: open a new attempt."""


class Rejected(BackendError):
    """The request can never succeed as it is: tell the person who made it."""


class ConfigError(BackendError):
    """The installation is set up wrongly: tell the operator, stop the boot."""
