"""`manage.py backup FILE`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from config.backups import write_backup
from config.management.base import OperatorCommand


class Command(OperatorCommand):
    help = "Write everything this site holds to FILE; the site may be running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def answer(self, *, file: Path, **_: Any) -> dict[str, Any]:
        return write_backup(file.absolute())
