"""Reading usage and budgets. The caller has obtained the subject or the payer."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from common.clock import now
from metering.meters import Meter
from metering.models import Budget, UsageRecord


def usage_total(
    meter: Meter,
    *,
    subject: UUID | None = None,
    payer: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Units used, of a subject, by a payer, in [since, until)."""
    return _records(meter, subject, payer, since, until).aggregate(total=Sum("quantity"))["total"] or 0


def daily_usage(
    meter: Meter, *, subject: UUID | None = None, payer: UUID | None = None, days: int = 30
) -> list[tuple[date, int]]:
    """Units used per day (UTC), the last `days` days, oldest first, days without use included."""
    today = now().date()
    first = today - timedelta(days=days - 1)
    since = now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    rows = (
        _records(meter, subject, payer, since, None)
        .annotate(day=TruncDate("occurred_at"))
        .values("day")
        .annotate(total=Sum("quantity"))
    )
    totals = {row["day"]: row["total"] for row in rows}
    return [(day, totals.get(day, 0)) for day in (first + timedelta(days=n) for n in range(days))]


def usage_by_subject(meter: Meter, payer: UUID, *, since: datetime) -> dict[UUID, tuple[int, int]]:
    """What a payer used since then: subject → (units, records)."""
    rows = (
        _records(meter, None, payer, since, None).values("subject").annotate(total=Sum("quantity"), count=Count("pk"))
    )
    return {row["subject"]: (row["total"], row["count"]) for row in rows}


def open_budgets(
    subjects: list[UUID] | None = None, *, holder: UUID | None = None, meter: Meter | None = None
) -> QuerySet[Budget]:
    """Budgets that can still be drawn on, oldest first: not closed, not over."""
    budgets = Budget.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=now()), closed_at__isnull=True
    ).order_by("pk")
    if subjects is not None:
        budgets = budgets.filter(subject__in=subjects)
    if holder is not None:
        budgets = budgets.filter(holder=holder)
    return budgets.filter(meter=meter) if meter else budgets


def budget_of(source: str) -> Budget | None:
    """The budget that `source` opened."""
    return Budget.objects.filter(source=source).first()


def records_of_budget(budget_id: int, *, after_id: int = 0, limit: int = 1000) -> list[UsageRecord]:
    """The records drawn from a budget in the order they were written, above `after_id`: how billing walks them."""
    return list(UsageRecord.objects.filter(budget_id=budget_id, pk__gt=after_id).order_by("pk")[:limit])


def _records(
    meter: Meter, subject: UUID | None, payer: UUID | None, since: datetime | None, until: datetime | None
) -> QuerySet[UsageRecord]:
    records = UsageRecord.objects.filter(meter=meter)
    if subject is not None:
        records = records.filter(subject=subject)
    if payer is not None:
        records = records.filter(payer=payer)
    if since is not None:
        records = records.filter(occurred_at__gte=since)
    return records.filter(occurred_at__lt=until) if until is not None else records


def used_of_sources(sources: Iterable[str]) -> dict[str, int]:
    """Units used of the budgets that these sources opened, by source. One query."""
    return dict(Budget.objects.filter(source__in=list(sources)).values_list("source", "used"))
