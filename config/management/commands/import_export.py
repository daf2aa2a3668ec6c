"""`manage.py import_export FOLDER_OR_TAR`."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from config.management.base import OperatorCommand
from config.moving import import_from


class Command(OperatorCommand):
    help = (
        "Make the repositories and collections of an export (docs/moves.md). Every file is checked first. Repeated, it goes on where it "
        "was; what is here already and equal is left alone. Exit code 1 when some repository was refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, metavar="FOLDER_OR_TAR")
        parser.add_argument(
            "--into", default="", metavar="NAMESPACE", help="put everything there; by default, where it was"
        )
        parser.add_argument(
            "--rename", action="append", default=[], metavar="OLD=NEW",
            help="a namespace, or NAMESPACE/NAME, that is called otherwise here; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--map", action="append", default=[], metavar="OLD=NEW",
            help="a person, organisation or team there that is this one here; all others stay plain names; may be repeated",
        )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="check everything and say what would be made")

    def answer(self, **options: Any) -> dict[str, Any]:
        result = import_from(
            options["source"].absolute(),
            into=options["into"],
            renames=options["rename"],
            people=options["map"],
            is_dry=options["dry_run"],
        )
        if any(each["outcome"] == "refused" for each in result["repositories"]):
            self.stdout.write(json.dumps(result))
            sys.exit(1)
        return result
