"""Caps: what a namespace lets be used in a month. Each month of a cap is a budget, held in slices and drawn on like those that were
bought; a call takes from all of its caps."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum

from accounts.directory import tokens_of_team
from accounts.services.access import bump_access_version
from common.clock import now
from metering.meters import Meter
from metering.models import Budget, Cap, UsageRecord

MICRO = 1_000_000
"""Millionths in a minor unit."""


def month_of(at: datetime) -> datetime:
    """The first instant of the month (UTC) that `at` is in."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(start: datetime) -> datetime:
    """The first instant of the next month, of the first of one."""
    return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def open_cap(
    *,
    holder: UUID,
    limit: int,
    currency: str = "",
    team: UUID | None = None,
    token: UUID | None = None,
    subject: UUID | None = None,
) -> Cap:
    """Let `holder` use at most `limit` calls, or minor units of `currency`, in each month: by the team, the token, on the subject that
    are given. In the caller's transaction. Takes the place of an earlier cap of the same scope; what was used this month counts. Every
    process knows it within a second. A second call with the same limit changes nothing."""
    scope = f"{team or ''}|{token or ''}|{subject or ''}|{currency}"
    with transaction.atomic():
        earlier = Cap.objects.select_for_update().filter(holder=holder, scope=scope, ended_at__isnull=True).first()
        if earlier is not None and earlier.limit == limit:
            return earlier
        if earlier is not None:
            end_cap(earlier)
        cap = Cap.objects.create(
            holder=holder, team=team, token=token, subject=subject, currency=currency, limit=limit, scope=scope
        )
        this = month_of(now())
        _open_month(cap, this, used=_used_since(cap, this))
        _open_month(cap, month_after(this))
        bump_access_version()
    return cap


def end_cap(cap: Cap) -> None:
    """Lift a cap, in the caller's transaction. A second call changes nothing."""
    if Cap.objects.filter(pk=cap.pk, ended_at__isnull=True).update(ended_at=now()):
        Budget.objects.filter(cap=cap, closed_at__isnull=True).update(closed_at=now())
        bump_access_version()


def open_months() -> int:
    """Make the budgets of this month and the next for every open cap; returns how many were new. Runs every hour, so that the month that
    begins is there long before. Safe to repeat: a source opens its budget once."""
    this = month_of(now())
    count = 0
    for start in (this, month_after(this)):
        ready = Budget.objects.filter(cap__isnull=False, valid_from=start).values("cap_id")
        for cap in Cap.objects.filter(ended_at__isnull=True).exclude(pk__in=ready).order_by("pk"):
            with transaction.atomic():
                count += _open_month(cap, start)
                bump_access_version()
    return count


def _open_month(cap: Cap, start: datetime, *, used: int = 0) -> bool:
    _, is_new = Budget.objects.get_or_create(
        source=f"cap:{cap.uuid}:{start:%Y-%m}",
        defaults={
            "holder": cap.holder,
            "subject": cap.subject or cap.holder,
            "meter": Meter.CAPPED_SPENDING if cap.currency else Meter.CAPPED_CALLS,
            "granted": cap.limit * MICRO if cap.currency else cap.limit,
            "used": used,
            "valid_from": start,
            "valid_until": month_after(start),
            "cap": cap,
        },
    )
    return is_new


def _used_since(cap: Cap, since: datetime) -> int:
    """What counts for the cap of the calls that were recorded since then, in its unit."""
    calls = UsageRecord.objects.filter(
        meter=Meter.INFERENCE_CALLS, payer=cap.holder, occurred_at__gte=since, **_narrowed(cap)
    )
    if not cap.currency:
        return calls.aggregate(total=Sum("quantity"))["total"] or 0
    paid = calls.filter(budget__currency=cap.currency)
    return paid.aggregate(total=Sum(F("units") * F("budget__price_micro")))["total"] or 0


def _narrowed(cap: Cap) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if cap.subject is not None:
        found["subject"] = cap.subject
    if cap.token is not None:
        found["detail__token"] = str(cap.token)
    elif cap.team is not None:
        found["detail__token__in"] = [str(uuid) for uuid in tokens_of_team(cap.team)]
    return found
