"""`manage.py export_repository NAMESPACE/NAME --to FOLDER_OR_TAR`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from config.management.base import OperatorCommand
from config.moving import export_to


class Command(OperatorCommand):
    help = (
        "Write a repository, a namespace or everything in an open layout (docs/moves.md): git, large files, JSON. The site may be "
        "running. A name that ends in .tar makes a tar, any other a folder."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "repository", nargs="?", help="NAMESPACE/NAME, or KIND/NAMESPACE/NAME when kinds share a name"
        )
        what.add_argument("--namespace", help="all repositories and collections of this person or organisation")
        what.add_argument("--everything", action="store_true", help="all repositories and collections of the site")
        parser.add_argument("--to", type=Path, required=True, metavar="FOLDER_OR_TAR")
        parser.add_argument("--resume", action="store_true", help="go on with a folder that an earlier run has begun")

    def answer(self, **options: Any) -> dict[str, Any]:
        return export_to(
            options["to"].absolute(),
            repository=options["repository"] or "",
            namespace=options["namespace"] or "",
            resume=options["resume"],
        )
