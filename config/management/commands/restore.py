"""`manage.py restore FILE`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from config.backups import restore_backup
from config.management.base import OperatorCommand


class Command(OperatorCommand):
    help = "Bring the site in FILE back into an empty data folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def answer(self, *, file: Path, **_: Any) -> dict[str, Any]:
        return restore_backup(file.absolute())
