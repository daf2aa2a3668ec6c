"""`manage.py create_user NAME --email E --password P [--staff]`."""

from argparse import ArgumentParser
from typing import Any

from accounts.actors import system
from accounts.services import identity
from config.management.base import OperatorCommand


class Command(OperatorCommand):
    help = "Make an account with a confirmed e-mail address."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--email", required=True)
        parser.add_argument("--password", required=True)
        parser.add_argument("--staff", action="store_true", help="may use the administration pages")

    def answer(self, *, name: str, email: str, password: str, staff: bool, **_: Any) -> dict[str, Any]:
        user = identity.create_user(system("operator"), name, email, password, is_staff=staff, is_verified=True)
        return {"name": user.username, "uuid": user.uuid, "email": user.email, "is_staff": user.is_staff}
