"""What pages show of notices: the list by day, and how one wants to be told."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import forms

from accounts import queries
from accounts.actors import Actor
from common.clock import now
from notices.preferences import digest_time_of, preferences_of
from notices.queries import notices_of, unread_by_topic
from notices.topics import TOPICS, Delivery, Topic
from web.links import with_query

DELIVERIES = {
    Delivery.MAIL: "On the site, and a mail at once",
    Delivery.DAILY: "On the site, and in a daily mail",
    Delivery.WEEKLY: "On the site, and in a weekly mail",
    Delivery.SITE: "On the site only",
    Delivery.OFF: "Not at all",
}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class NoticeRow:
    uuid: str
    text: str
    href: str
    topic: str
    is_new: bool
    created_at: datetime


@dataclass(frozen=True)
class NoticeDay:
    title: str
    notices: list[NoticeRow]


@dataclass(frozen=True)
class TopicLink:
    label: str
    count: int
    href: str
    is_on: bool


@dataclass(frozen=True)
class NoticesPage:
    """`here`: the address of this page with its filters, to come back to."""

    title: str
    days: list[NoticeDay]
    topics: list[TopicLink]
    unread_href: str
    is_unread: bool
    is_filtered: bool
    has_new: bool
    here: str
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, *, topic: str, is_unread: bool, cursor: str) -> "NoticesPage":
        """Four queries, whatever the number of notices."""
        topic = topic if topic in list(Topic) else ""
        found = notices_of(actor, topic=topic, is_unread=is_unread, cursor=cursor or None)
        unread = unread_by_topic(actor)
        zone = _zone(queries.user_of(actor).timezone)
        rows = [
            NoticeRow(
                str(each.uuid),
                each.text,
                each.url,
                TOPICS[Topic(each.topic)].title,
                each.read_at is None,
                each.created_at,
            )
            for each in found.items
        ]
        today = now().astimezone(zone).date()
        days = groupby(rows, lambda row: row.created_at.astimezone(zone).date())
        flag = "1" if is_unread else ""
        here = with_query("/notices", topic=topic, unread=flag)
        return cls(
            title="Notices",
            days=[NoticeDay(_day_title(day, today), list(group)) for day, group in days],
            topics=[
                TopicLink(
                    described.title,
                    unread.get(name, 0),
                    with_query("/notices", topic="" if name == topic else name, unread=flag),
                    name == topic,
                )
                for name, described in TOPICS.items()
            ],
            unread_href=with_query("/notices", topic=topic, unread="" if is_unread else "1"),
            is_unread=is_unread,
            is_filtered=bool(topic) or is_unread,
            has_new=bool(unread),
            here=here,
            next_href=with_query("/notices", topic=topic, unread=flag, cursor=found.next_cursor)
            if found.next_cursor
            else "",
            first_href=here if cursor else "",
        )


def _day_title(day: date, today: date) -> str:
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day.day} {day:%B %Y}"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


class PreferencesForm(forms.Form):
    """One choice for each topic, then when digests come."""

    hour = forms.TypedChoiceField(
        label="Hour of the digests", coerce=int, choices=[(hour, f"{hour:02}:00") for hour in range(24)]
    )
    weekday = forms.TypedChoiceField(label="Day of the weekly one", coerce=int, choices=list(enumerate(WEEKDAYS)))

    def __init__(self, actor: Actor, data: Any = None) -> None:
        hour, weekday = digest_time_of(actor.person_id)
        super().__init__(data, initial={"hour": hour, "weekday": weekday})
        for topic, delivery in preferences_of(actor.person_id).items():
            described = TOPICS[topic]
            choices = [(value, words) for value, words in DELIVERIES.items() if described.can_be_off or value != "off"]
            self.fields[topic] = forms.ChoiceField(
                label=described.title, help_text=described.text, choices=choices, initial=delivery
            )
        self.order_fields([*TOPICS, "hour", "weekday"])

    @property
    def chosen(self) -> dict[str, str]:
        """The topics of a valid form."""
        return {topic: self.cleaned_data[topic] for topic in TOPICS}


@dataclass(frozen=True)
class PreferencesPage:
    title: str
    form: forms.Form
    zone: str


@dataclass(frozen=True)
class UnsubscribePage:
    """`ended`: what has been ended, in words; empty before the button is pressed."""

    title: str
    ended: str
