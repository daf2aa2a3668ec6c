"""`manage.py quota NAMESPACE [GIGABYTES]`."""

from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from accounts.actors import system
from accounts.models import Namespace
from common.errors import Invalid, NotFound
from config.management.base import OperatorCommand
from registry import storage_queries
from registry.services import quotas


class Command(OperatorCommand):
    help = "Say how much NAMESPACE stores and may store; with GIGABYTES (or `default`), set its quota first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("namespace")
        parser.add_argument("gigabytes", nargs="?", help="such as 50 or 0.5; `default`: what the site gives to all")

    def answer(self, *, namespace: str, gigabytes: str | None, **_: Any) -> dict[str, Any]:
        holder = Namespace.objects.filter(name__iexact=namespace).first()
        if holder is None:
            raise NotFound(f"There is no user or organisation called {namespace}.", code="namespace_not_found")
        if gigabytes is not None:
            quotas.set_quota(system("operator"), holder, None if gigabytes == "default" else _bytes_of(gigabytes))
        found = storage_queries.storage_of(holder)
        return {
            "namespace": holder.name,
            "used_bytes": found.used_bytes,
            "limit_bytes": found.limit_bytes,
            "condemned_bytes": found.condemned_bytes,
        }


def _bytes_of(text: str) -> int:
    try:
        return int(Decimal(text) * 1000**3)
    except (InvalidOperation, ValueError, OverflowError):
        raise Invalid(f"{text} is no number of gigabytes: write 50 or 0.5.") from None
