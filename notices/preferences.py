"""How people want to be told. No row of theirs: as `TOPICS` says."""

from collections.abc import Iterable

from notices.models import DigestTime, NoticePreference
from notices.topics import TOPICS, Delivery, Topic

HOUR, WEEKDAY = 8, 0
"""When digests come until somebody chooses: at 8 in the morning, the weekly one on Mondays."""


def deliveries_of(user_ids: Iterable[int], topic: Topic) -> dict[int, Delivery]:
    """How each of these people hears of a topic. One query."""
    chosen = NoticePreference.objects.filter(user_id__in=list(user_ids), topic=topic)
    return {user_id: Delivery(delivery) for user_id, delivery in chosen.values_list("user_id", "delivery")}


def preferences_of(user_id: int) -> dict[Topic, Delivery]:
    """How somebody hears of each topic, in the order of the page. One query."""
    chosen = dict(NoticePreference.objects.filter(user_id=user_id).values_list("topic", "delivery"))
    return {topic: Delivery(chosen.get(topic, described.usual)) for topic, described in TOPICS.items()}


def digest_time_of(user_id: int) -> tuple[int, int]:
    """The hour (0–23) and the weekday (0 Monday–6 Sunday) at which somebody wants digests, in their time zone. One query."""
    row = DigestTime.objects.filter(pk=user_id).first()
    return (row.hour, row.weekday) if row else (HOUR, WEEKDAY)
