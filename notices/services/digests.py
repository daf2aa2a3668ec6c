"""Digests: one mail a day or a week with what has come together, at the hour that its reader has chosen, in their time zone."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Min, Q
from django.template import loader

from common.clock import now
from common.errors import Unavailable
from notices.models import Digest, DigestTime, Notice
from notices.preferences import HOUR, WEEKDAY
from notices.services.unsubscribing import unsubscribe_headers, unsubscribe_url
from notices.topics import TOPICS, Delivery, Topic
from work.door import enqueue

SHOWN = 100
"""Notices that a digest names; of the others it tells the number."""
_SENDING = timedelta(minutes=10)
"""Longer than a mail server is waited for: whoever began before has died."""
_BATCH = 1_000


@dataclass(frozen=True)
class Section:
    """The notices of one topic in a digest."""

    title: str
    notices: list[Notice]


def last_due(at: datetime, zone: ZoneInfo, frequency: str, *, hour: int, weekday: int) -> tuple[date, datetime]:
    """When a digest was due last, at the latest at `at`: the day in `zone`, which names the period, and the instant. An hour that the
    clock skips in spring is the one after it; one that it has twice in autumn is the first."""
    day, step = at.astimezone(zone).date(), timedelta(days=1)
    if frequency == Delivery.WEEKLY:
        day, step = day - timedelta(days=(day.weekday() - weekday) % 7), timedelta(days=7)
    due = datetime.combine(day, time(hour), tzinfo=zone)
    return (day, due) if due <= at else (day - step, datetime.combine(day - step, time(hour), tzinfo=zone))


def plan_digests() -> int:
    """Make the digests that are due, and have those sent that somebody began and did not finish; returns how many were made. Runs every
    quarter of an hour. Safe to repeat and beside itself: there is one digest for each person, frequency and day."""
    unsent = Digest.objects.filter(sent_at__isnull=True, created_at__lt=now() - _SENDING)
    for pk in unsent.values_list("pk", flat=True)[:_BATCH]:
        enqueue("notices.send_digest", pk, key=f"digest:{pk}")
    waiting = (
        Notice.objects.filter(digest__isnull=True)
        .exclude(awaits="")
        .values_list("user_id", "user__timezone", "awaits")
        .annotate(oldest=Min("created_at"))
        .order_by()
    )
    rows = list(waiting)
    times = DigestTime.objects.in_bulk([user_id for user_id, *_ in rows])
    made = 0
    for user_id, zone, frequency, oldest in rows:
        chosen = times.get(user_id)
        hour, weekday = (chosen.hour, chosen.weekday) if chosen else (HOUR, WEEKDAY)
        day, due = last_due(now(), _zone(zone), frequency, hour=hour, weekday=weekday)
        if oldest <= due:
            made += _make(user_id, frequency, day, due)
    return made


def send_digest(digest_id: int) -> None:
    """Send a digest, once: whoever notes first that they are sending it does. What its reader has seen on the site meanwhile is left
    out; if that is all, no mail goes. A crash between the sending and the note of it sends a second mail ten minutes later; a lost one
    would be worse. Raises Unavailable, to be tried again, when the mail server does not answer."""
    free = Q(sending_at__isnull=True) | Q(sending_at__lt=now() - _SENDING)
    if not Digest.objects.filter(free, pk=digest_id, sent_at__isnull=True).update(sending_at=now()):
        return
    digest = Digest.objects.select_related("user").get(pk=digest_id)
    unread = Notice.objects.filter(digest=digest, read_at__isnull=True).order_by("-created_at", "-pk")
    shown = list(unread[:SHOWN])
    if shown and digest.user.is_active:
        try:
            _letter(digest, shown, unread.count() - len(shown)).send()
        except OSError as error:
            Digest.objects.filter(pk=digest_id).update(sending_at=None)
            raise Unavailable("The mail server does not answer.") from error
    with transaction.atomic():
        Digest.objects.filter(pk=digest_id).update(sent_at=now())
        Notice.objects.filter(digest=digest, mailed_at__isnull=True).update(mailed_at=now())


def _make(user_id: int, frequency: str, day: date, due: datetime) -> bool:
    with transaction.atomic():
        digest, is_new = Digest.objects.get_or_create(user_id=user_id, frequency=frequency, period_on=day)
        if not is_new:
            return False
        own = Notice.objects.filter(user_id=user_id, awaits=frequency, digest__isnull=True, created_at__lte=due)
        own.update(digest=digest)
        enqueue("notices.send_digest", digest.pk, key=f"digest:{digest.pk}")
    return True


def _letter(digest: Digest, shown: list[Notice], more: int) -> EmailMultiAlternatives:
    grouped: dict[str, list[Notice]] = defaultdict(list)
    for notice in shown:
        grouped[notice.topic].append(notice)
    frequency = Delivery(digest.frequency)
    context = {
        "sections": [Section(TOPICS[topic].title, grouped[topic]) for topic in Topic if topic in grouped],
        "more": more,
        "site": settings.PUBLIC_URL,
        "frequency": digest.frequency,
        "name": digest.user.display_name or digest.user.username,
        "unsubscribe_url": unsubscribe_url(digest.user_id, frequency),
        "zone": digest.user.timezone,
    }
    count = len(shown) + more
    period = f"{digest.period_on.day} {digest.period_on:%B}"
    letter = EmailMultiAlternatives(
        f"{count} notice{'' if count == 1 else 's'}, {'week to ' if frequency == Delivery.WEEKLY else ''}{period}",
        loader.render_to_string("emails/digest.txt", context),
        settings.DEFAULT_FROM_EMAIL,
        [digest.user.email],
        headers=unsubscribe_headers(digest.user_id, frequency),
    )
    letter.attach_alternative(loader.render_to_string("emails/digest.html", context), "text/html")
    return letter


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
