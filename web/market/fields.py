"""Form fields of selling that forms of Django don't have: an instant in a person's time zone, prices by volume."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone

from common.errors import Invalid
from common.money import parse_amount


class LocalDateTimeField(forms.DateTimeField):
    """What somebody's clock shows, as an aware instant. `zone` is the time zone of the person's account."""

    input_formats = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")

    def __init__(self, *, zone: str = "UTC", **kwargs: Any) -> None:
        self.zone = zone
        super().__init__(widget=forms.DateTimeInput(attrs={"type": "datetime-local"}), **kwargs)

    def to_python(self, value: Any) -> datetime | None:
        with timezone.override(ZoneInfo(self.zone)):
            return super().to_python(value)


def zone_of(user: object) -> str:
    """The time zone of somebody's account."""
    return getattr(user, "timezone", "UTC")


def tiers_from(text: str, currency: str) -> list[tuple[int | None, int]]:
    """`1000: 0.20` on a line, the last one `rest: 0.10`, as (up_to_units or None, price_minor). Raises Invalid."""
    found: list[tuple[int | None, int]] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        bound, separator, price = line.partition(":")
        calls = bound.strip().replace(",", "").lower()
        is_number = calls.isascii() and calls.isdigit() and len(calls) < 12
        if not separator or not (is_number or calls == "rest"):
            raise Invalid(
                "Write a step a line: 1000: 0.20, and rest: 0.10 as the last one.", fields={"tiers": "unknown"}
            )
        found.append((int(calls) if is_number else None, parse_amount(price, currency).amount_minor))
    return found
