"""`manage.py create_token USER --name N --scope S…`."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from accounts.actors import for_user
from accounts.permissions import Scope
from accounts.services import tokens
from common.clock import now
from config.management.base import OperatorCommand, user_called


class Command(OperatorCommand):
    help = "Make a token of USER and print it, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--name", required=True, help="what the token is for")
        parser.add_argument(
            "--scope",
            action="extend",
            nargs="+",
            required=True,
            metavar="SCOPE",
            help=f"what it may do: {', '.join(scope.value for scope in Scope)}",
        )
        parser.add_argument("--days", type=int, help="it expires after this many days (default: never)")

    def answer(self, *, user: str, name: str, scope: list[str], days: int | None, **_: Any) -> dict[str, Any]:
        expires_at = None if days is None else now() + timedelta(days=days)
        token, text = tokens.issue(for_user(user_called(user)), name=name, scopes=scope, expires_at=expires_at)
        return {
            "token": text,
            "uuid": token.uuid,
            "user": user,
            "name": name,
            "scopes": token.scopes,
            "expires_at": expires_at,
        }
