"""`manage.py worker`: runs background tasks until SIGTERM or Ctrl-C."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from work.claims import LEASE_S
from work.loops import QUEUES, run_broker_worker, run_worker


class Command(BaseCommand):
    help = "Run tasks until stopped: told by the broker when one is configured, otherwise straight from the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queues", default=",".join(QUEUES), help="which queues (default: %(default)s)")
        parser.add_argument("--concurrency", type=int, default=2, help="tasks at the same time (default: %(default)s)")
        parser.add_argument(
            "--lease",
            type=float,
            default=LEASE_S,
            help="seconds until a silent worker loses its tasks (default: %(default)s)",
        )

    def handle(self, *args: Any, queues: str, concurrency: int, lease: float, **options: Any) -> None:
        names = [name for name in queues.split(",") if name]
        if unknown := set(names) - set(QUEUES):
            self.stderr.write(f"no such queue: {', '.join(sorted(unknown))}")
            raise SystemExit(2)
        stop = threading.Event()
        if settings.BROKER_URL:
            # Celery sets its own signal handlers: a first SIGTERM lets running tasks end.
            run_broker_worker(names, stop, concurrency=concurrency, lease_s=lease)
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        run_worker(names, stop, concurrency=concurrency, lease_s=lease)
