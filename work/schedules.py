"""What is due regularly. Declared beside the task, kept as rows, started by whichever scheduler comes first."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction

from common.clock import now
from work.door import KINDS, Argument, enqueue
from work.models import Schedule


@dataclass(frozen=True)
class Declared:
    task: str
    every_s: int
    args: tuple[Argument, ...]


DECLARED: dict[str, Declared] = {}


def schedule(name: str, task: str, every_s: int, *args: Argument) -> None:
    """Declare, in a `tasks` module, that `task` runs every `every_s` seconds with `args`: on the grid of multiples of
    `every_s` since 1970 UTC, so a daily one runs at midnight. It becomes a row when a scheduler starts."""
    if every_s <= 0:
        raise ValueError("a period is at least one second")
    DECLARED[name] = Declared(task, every_s, args)


def write_declared() -> None:
    """Bring the rows in line with what is declared; new ones wait for their next period. Harmless twice and beside itself."""
    present = now()
    with transaction.atomic():
        kept = {row.name: row for row in Schedule.objects.select_for_update().order_by("pk")}
        for name, declared in DECLARED.items():
            if declared.task not in KINDS:
                raise LookupError(f"the schedule {name} names the unknown task {declared.task}")
            row = kept.pop(name, None)
            wanted = {"task": declared.task, "every_s": declared.every_s, "args": list(declared.args)}
            if row is None:
                first = {**wanted, "next_at": next_period(present, declared.every_s)}
                Schedule.objects.get_or_create(name=name, defaults=first)
            elif any(getattr(row, field) != value for field, value in wanted.items()):
                next_at = min(row.next_at, next_period(present, declared.every_s))
                Schedule.objects.filter(pk=row.pk).update(**wanted, next_at=next_at)
        Schedule.objects.filter(pk__in=[row.pk for row in kept.values()]).delete()


def start_due() -> int:
    """Enqueue what is due; returns how many. Each period is started once however many schedulers run, because only one of
    them moves `next_at` from the value both have read. After a standstill the missed periods are made up for by one run."""
    started = 0
    present = now()
    for row in Schedule.objects.filter(next_at__lte=present).order_by("next_at"):
        if row.task not in KINDS:
            continue
        with transaction.atomic():
            moved = Schedule.objects.filter(pk=row.pk, next_at=row.next_at).update(
                next_at=next_period(present, row.every_s), last_at=present
            )
            if moved:
                enqueue(row.task, *row.args, key=f"schedule:{row.name}")
                started += 1
    return started


def next_period(after: datetime, every_s: int) -> datetime:
    """The first instant later than `after` that is a whole multiple of `every_s` seconds since 1970 UTC."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + timedelta(seconds=((after - epoch) // timedelta(seconds=every_s) + 1) * every_s)
