"""`manage.py check_ledger [--json]`: does the ledger add up?"""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from config.management.base import OperatorCommand
from market.services import ledger


class Command(OperatorCommand):
    help = (
        "Count the whole ledger again and name the first wrong posting; exit code 1 when there is one. Changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of sentences")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["json"]:
            super().handle(*args, **options)
            return
        begun = time.monotonic()
        report = ledger.verify_ledger()
        self.stdout.write(
            f"{report.entries:,} postings of {report.transactions:,} transactions on {report.accounts:,} accounts,"
            f" counted in {time.monotonic() - begun:.1f} s"
        )
        for fault in report.faults[:20]:
            self.stdout.write(f"{'first: ' if fault is report.first else ''}{fault}")
        self.stdout.write("The ledger is sound." if report.is_sound else f"{len(report.faults)} faults.")
        if not report.is_sound:
            sys.exit(1)

    def answer(self, **_: Any) -> dict[str, Any]:
        begun = time.monotonic()
        report = ledger.verify_ledger()
        found = {
            "sound": report.is_sound,
            "transactions": report.transactions,
            "entries": report.entries,
            "accounts": report.accounts,
            "seconds": round(time.monotonic() - begun, 2),
            "first": asdict(report.first) if report.first else None,
            "faults": [asdict(fault) for fault in report.faults],
        }
        if not report.is_sound:
            self.stdout.write(json.dumps(found))
            sys.exit(1)
        return found
