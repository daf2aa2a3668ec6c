"""`manage.py record_calls`: ingest the spool of served calls. The inference process starts it and ends it."""

import signal
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from api.inference.recorder import Recorder


class Command(BaseCommand):
    # what `manage.py up` has checked is not checked again: the urls alone take a second to import
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's attribute
    help = (
        "Record the served calls that wait in the spool, until standard input ends (the inference process starts this)."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        # Ctrl-C reaches the whole group; the end of the inference process is what ends this one
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ended = threading.Event()

        def watch() -> None:
            sys.stdin.buffer.read()
            ended.set()

        threading.Thread(target=watch, name="parent-watch", daemon=True).start()
        Recorder(settings.DATA / "inference-spool").run(ended)
