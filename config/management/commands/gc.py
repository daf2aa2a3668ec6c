"""`manage.py gc`: collect what nothing leads to any more."""

from typing import Any

from django.core.management.base import CommandParser

from accounts import actors
from config.management.base import OperatorCommand
from registry.services import garbage


class Command(OperatorCommand):
    help = "Mark files that nothing leads to, and remove those that have been marked for GARBAGE_WINDOW_DAYS. Runs daily by itself."

    def add_arguments(self, parser: CommandParser) -> None:
        deed = parser.add_mutually_exclusive_group()
        deed.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
        deed.add_argument("--undo", action="store_true", help="take back all marks: what is not gone yet waits anew")
        deed.add_argument("--many", action="store_true", help="remove however many files it are")

    def answer(self, *, dry_run: bool, undo: bool, many: bool, **_: Any) -> dict[str, Any]:
        if undo:
            return dict(garbage.undo(actors.system("gc")))
        if not dry_run:
            garbage.finish_erasing()
        return dict(garbage.collect(dry_run=dry_run, may_erase_many=many))
