"""`manage.py inference`: the process that answers model calls."""

from argparse import ArgumentParser
from typing import Any

import uvicorn
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    # what `manage.py up` has checked is not checked again: the urls alone take a second to import
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's attribute
    help = "Serve the deployed models through the Open Inference Protocol."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8001)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        uvicorn.run(
            "api.inference.app:app",
            host=host,
            port=port,
            http="httptools",
            loop="uvloop",
            # Every call is metered and counted; a line for each would cost more than the call.
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=8,
        )
