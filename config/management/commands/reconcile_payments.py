"""`manage.py reconcile_payments`: compare with the payment provider now, and repair what differs."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import get_default_timezone, is_naive, make_aware, now

from common.errors import Invalid
from config.management.base import OperatorCommand
from market.services.reconciliation import reconcile


class Command(OperatorCommand):
    help = (
        "Read the payment provider's lists and repair what its events did not bring. Runs every five minutes by itself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", default="", help="a day or an instant (2026-11-01, 2026-11-01T12:00+01:00), or days back (30d)"
        )

    def answer(self, *, since: str, **_: Any) -> dict[str, Any]:
        found = reconcile(since=_instant(since) if since else None)
        return {"backends": [each.as_json() for each in found]}


def _instant(text: str) -> Any:
    if text.endswith("d") and text[:-1].isascii() and text[:-1].isdigit() and len(text) <= 5:
        return now() - timedelta(days=int(text[:-1]))
    try:
        day = parse_date(text)
        found = parse_datetime(f"{day}T00:00") if day else parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise Invalid(
            "Write --since as 2026-11-01, as 2026-11-01T12:00+01:00, or as 30d.", fields={"since": "unreadable"}
        )
    return make_aware(found, get_default_timezone()) if is_naive(found) else found
