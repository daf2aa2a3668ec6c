"""`manage.py scheduler`: keeps the calendar until SIGTERM or Ctrl-C. Two may run; each period is still started once."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from work import loops


class Command(BaseCommand):
    help = "Start what is due regularly, free tasks of lost workers, ring again what nobody heard."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        loops.run_scheduler(stop)
