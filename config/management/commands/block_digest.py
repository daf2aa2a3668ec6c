"""`manage.py block_digest SHA256 --reason "…"`."""

from argparse import ArgumentParser
from typing import Any

from accounts.actors import system
from config.management.base import OperatorCommand
from registry.services import quarantine


class Command(OperatorCommand):
    help = "Refuse a file that is known to be malware in every commit, and hold back what is here of it; or take it off the list."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("sha256", help="of the file: 64 lower-case hex digits")
        parser.add_argument("--reason", required=True, help="a sentence that people who commit it will read")
        parser.add_argument("--source", default="", help="where it is known from, such as the address of an advisory")
        parser.add_argument("--remove", action="store_true", help="take it off the list and release what it held back")

    def answer(self, *, sha256: str, reason: str, source: str, remove: bool, **_: Any) -> dict[str, Any]:
        operator = system("operator")
        if remove:
            was_listed = quarantine.unblock_digest(operator, sha256, reason)
            return {"sha256": sha256, "blocked": False, "was_blocked": was_listed}
        row, held = quarantine.block_digest(operator, sha256, reason, source=source)
        return {"sha256": row.sha256, "blocked": True, "reason": row.reason, "files_held_back": held}
