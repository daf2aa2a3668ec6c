"""Logs: one event a line, with the id of the request or of the task that it belongs to; for people or as JSON."""

import logging.config
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def dictionary(log_format: str, level: str) -> dict[str, Any]:
    """The `logging` configuration for `log_format` (`console` or `json`): everything goes to standard error."""
    # Plain tracebacks: the decorated ones take seconds and print local variables, secrets among them.
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = structlog.processors.JSONRenderer() if log_format == "json" else console
    tail = [structlog.processors.format_exc_info, renderer] if log_format == "json" else [renderer]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Each request is one event of ours (config/middleware.py); these would tell it again.
            "django.request": {"level": "ERROR"},
            "django.server": {"level": "ERROR"},
            "uvicorn.access": {"level": "ERROR"},
            "gunicorn.access": {"level": "ERROR"},
            # tells of every table of a typeface, some hundred lines for each invoice
            "fontTools": {"level": "WARNING"},
        },
    }


def configure(log_format: str, level: str) -> None:
    """Set up `structlog` and `logging` for this process; harmless twice."""
    logging.config.dictConfig(dictionary(log_format, level))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
