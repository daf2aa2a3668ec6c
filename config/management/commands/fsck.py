"""`manage.py fsck`: is everything stored that should be, and unharmed?"""

import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from config.management.base import OperatorCommand
from registry.services import integrity


class Command(OperatorCommand):
    help = "Compare the database with the storage; exit code 1 when something is missing or harmed. Changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bytes", action="store_true", help="read every file, too, and check its SHA-256")

    def answer(self, **options: Any) -> dict[str, Any]:
        found = integrity.check(with_bytes=options["bytes"])
        if not found.is_sound:
            self.stdout.write(json.dumps(found.report()))
            sys.exit(1)
        return found.report()
