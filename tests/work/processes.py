"""Real worker and scheduler processes on the database of the running test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

_BOOT = (
    "import sys, django; django.setup(); import tests.work.playground; "
    "from django.core.management import call_command; call_command(*sys.argv[1:])"
)


def database_url() -> str:
    """Names the database that the test itself uses."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{given['NAME']}"
    return f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


@contextmanager
def started(folder: Path, *command: str, broker_url: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py <command>` that knows the tasks of the tests; killed at the end if it still runs."""
    environment = {
        **os.environ,  # noqa: TID251 - handed on to the process that the test starts
        "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        "MERCATO_DATA": str(folder),
        "DATABASE_URL": database_url(),
        "BROKER_URL": broker_url,
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    with (folder / f"{command[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, *command], env=environment, cwd=settings.BASE_DIR, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(10)


def until(condition: Callable[[], object], limit_s: float = 60) -> object:
    """The first true value of `condition()`; fails after `limit_s`."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {limit_s} s")
