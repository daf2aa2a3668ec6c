"""`manage.py create_organization NAME --owner USER`."""

from argparse import ArgumentParser
from typing import Any

from accounts.actors import system
from accounts.services import identity
from config.management.base import OperatorCommand, user_called


class Command(OperatorCommand):
    help = "Make an organisation that USER owns."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--owner", required=True, metavar="USER")
        parser.add_argument("--display-name", default="")

    def answer(self, *, name: str, owner: str, display_name: str, **_: Any) -> dict[str, Any]:
        organization = identity.create_organization(
            system("operator"), name, owner=user_called(owner), display_name=display_name
        )
        return {"name": name, "uuid": organization.uuid, "owner": owner}
