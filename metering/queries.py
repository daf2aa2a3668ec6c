"""Reading usage and budgets. The caller has obtained the subject or the payer."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import TruncDate

from common.clock import now
from metering.meters import Meter
from metering.models import Budget, Cap, UsageRecord


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
    meter: Meter, *, subject: UUID | None = None, payer: UUID | None = None, days: int = 30, source: str = ""
) -> list[tuple[date, int]]:
    """Units used per day (UTC), the last `days` days, oldest first, days without use included; with `source` only those drawn
    from budgets whose source begins so."""
    today = now().date()
    first = today - timedelta(days=days - 1)
    since = now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    records = _records(meter, subject, payer, since, None)
    rows = (
        (records.filter(budget__source__startswith=source) if source else records)
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
    subjects: list[UUID] | None = None, *, holder: UUID | None = None, meters: Sequence[Meter] | None = None
) -> QuerySet[Budget]:
    """Budgets that can still be drawn on, oldest first: not closed, not over."""
    budgets = Budget.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=now()), closed_at__isnull=True
    ).order_by("pk")
    if subjects is not None:
        budgets = budgets.filter(subject__in=subjects)
    if holder is not None:
        budgets = budgets.filter(holder=holder)
    return budgets if meters is None else budgets.filter(meter__in=meters)


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


def open_cap_months() -> QuerySet[Budget]:
    """The months of caps that are not over, those that begin later too; caps joined."""
    months = Budget.objects.filter(
        cap__isnull=False, cap__ended_at__isnull=True, closed_at__isnull=True, valid_until__gt=now()
    )
    return months.select_related("cap").order_by("pk")


def caps_of(holder: UUID) -> QuerySet[Cap]:
    """The open caps of a namespace."""
    return Cap.objects.filter(holder=holder, ended_at__isnull=True)


def months_of(caps: Iterable[Cap], start: datetime) -> dict[int, Budget]:
    """The budgets of caps in the month that begins at `start`, by primary key of the cap. One query."""
    rows = Budget.objects.filter(cap__in=list(caps), valid_from=start)
    return {each.cap_id: each for each in rows if each.cap_id is not None}


def weights_of(budget_ids: Iterable[int]) -> dict[int, tuple[Meter, int]]:
    """(meter, price of a unit in millionths of a minor unit) of budgets by primary key. One query."""
    rows = Budget.objects.filter(pk__in=set(budget_ids)).values_list("pk", "meter", "price_micro")
    return {pk: (Meter(meter), price) for pk, meter, price in rows}


def budgets_to_warn(thresholds: Iterable[int], *, limit: int = 500) -> list[tuple[Budget, int]]:
    """Open budgets of which more is used than people have been told, each with the highest threshold (per cent) that it is above."""
    found: dict[int, tuple[Budget, int]] = {}
    alive = Budget.objects.filter(closed_at__isnull=True, granted__gt=0, warned_percent__lt=100)
    for percent in sorted(thresholds):
        # about: the exact comparison follows, in whole numbers that the database's own would overflow
        rows = alive.filter(warned_percent__lt=percent, used__gte=F("granted") / 100.0 * (percent * 0.999999))
        for row in rows.select_related("cap").order_by("pk")[:limit]:
            if row.granted and row.used * 100 >= row.granted * percent:
                found[row.pk] = (row, percent)
    return [found[pk] for pk in sorted(found)]


def usage_by_token(payer: UUID, sources: Iterable[str], *, since: datetime) -> dict[tuple[str, str], int]:
    """Calls that a payer made since then on the budgets that these sources opened, by source and token (text of its uuid, empty when it
    was not noted). One query."""
    records = _records(Meter.INFERENCE_CALLS, None, payer, since, None).filter(budget__source__in=list(sources))
    rows = records.values_list("budget__source", "detail__token").annotate(total=Sum("quantity")).order_by()
    return {(source, token or ""): total for source, token, total in rows}


def calls_by_version(sources: Iterable[str]) -> dict[UUID | None, int]:
    """Calls made on the budgets that these sources opened, by the version that answered (None: not noted). One query."""
    records = UsageRecord.objects.filter(meter=Meter.INFERENCE_CALLS, budget__source__in=list(sources))
    return dict(records.values_list("version").annotate(total=Sum("quantity")).order_by())


def cap_by_uuid(uuid: UUID | str) -> Cap | None:
    """An open cap."""
    return Cap.objects.filter(uuid=uuid, ended_at__isnull=True).first()


def tokens_used(payer: UUID, *, since: datetime, limit: int = 200) -> list[UUID]:
    """The tokens that a payer's calls were made with since then, the busiest first. One query."""
    records = _records(Meter.INFERENCE_CALLS, None, payer, since, None)
    rows = records.values("detail__token").annotate(total=Sum("quantity")).order_by("-total")
    return [UUID(row["detail__token"]) for row in rows[:limit] if row["detail__token"]]


def usage_by_subject_and_day(
    meter: Meter, subjects: Iterable[UUID], *, since: datetime, until: datetime, zone: tzinfo
) -> list[tuple[UUID, date, int]]:
    """Units used of each of these subjects on each day (in `zone`) of [since, until); days without use are left out. One query, none
    for no subjects."""
    pks = list(subjects)
    if not pks:
        return []
    records = _records(meter, None, None, since, until).filter(subject__in=pks)
    days = records.annotate(day=TruncDate("occurred_at", tzinfo=zone)).order_by()
    return list(days.values_list("subject", "day").annotate(total=Sum("quantity")))


@dataclass(frozen=True)
class BudgetUse:
    """Calls of one subject that drew on one budget (`source`; empty: on none) in a period. `units_before`: what was drawn before it.
    By day, and by token (text of its uuid; empty: not noted): (calls, units)."""

    source: str
    subject: UUID
    units_before: int
    by_day: dict[date, tuple[int, int]]
    by_token: dict[str, tuple[int, int]]


def use_of_payer(payer: UUID, *, since: datetime, until: datetime, zone: tzinfo) -> list[BudgetUse]:
    """The calls that a payer made in [since, until), by budget, the oldest first; days are those of `zone`. Four queries."""
    records = _records(Meter.INFERENCE_CALLS, None, payer, since, until).order_by()
    sums = {"calls": Sum("quantity"), "drawn": Sum("units")}
    days: dict[tuple[int, UUID], dict[date, tuple[int, int]]] = defaultdict(dict)
    rows = records.annotate(day=TruncDate("occurred_at", tzinfo=zone)).values_list("budget", "subject", "day")
    for budget, subject, day, calls, drawn in rows.annotate(**sums):
        days[(budget or 0, subject)][day] = (calls, drawn)
    tokens: dict[tuple[int, UUID], dict[str, tuple[int, int]]] = defaultdict(dict)
    named = records.annotate(token=KeyTextTransform("token", "detail")).values_list("budget", "subject", "token")
    for budget, subject, token, calls, drawn in sorted(named.annotate(**sums), key=lambda row: row[2] or ""):
        earlier = tokens[(budget or 0, subject)].get(token or "", (0, 0))
        tokens[(budget or 0, subject)][token or ""] = (earlier[0] + calls, earlier[1] + drawn)
    pks = {budget for budget, _ in days if budget}
    known = {
        pk: (source, used) for pk, source, used in Budget.objects.filter(pk__in=pks).values_list("pk", "source", "used")
    }
    # what came later is less to read than what was before
    later = UsageRecord.objects.filter(budget__in=pks, meter=Meter.INFERENCE_CALLS, occurred_at__gte=until)
    after = dict(later.order_by().values_list("budget").annotate(drawn=Sum("units")))
    found = []
    for key in sorted(days):
        source, used = known.get(key[0], ("", 0))
        during = sum(drawn for _, drawn in days[key].values())
        before = max(used - during - after.get(key[0], 0), 0)
        found.append(BudgetUse(source, key[1], before, days[key], tokens[key]))
    return found
