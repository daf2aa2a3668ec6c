"""What people are told, how they want to be told, and the digests they were sent."""

from enum import StrEnum

from django.conf import settings
from django.db import models

from common.clock import now
from common.ids import new_uuid
from notices.topics import DIGESTS, Delivery, Topic


def _one_of(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


class Digest(models.Model):
    """One mail with what came together for one person in one period. Its row is made with the notices it holds, before it is sent."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    frequency = models.CharField(max_length=6, choices=[(word.value, word.value) for word in DIGESTS])
    period_on = models.DateField()
    """The day, in the person's time zone, on which it was due."""
    created_at = models.DateTimeField(default=now)
    sending_at = models.DateTimeField(null=True)
    """When somebody last set about sending it; null: nobody does now."""
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "frequency", "period_on"], name="digest_once")]
        indexes = [models.Index(fields=["id"], condition=models.Q(sent_at__isnull=True), name="digest_unsent")]

    def __str__(self) -> str:
        return f"{self.frequency} {self.period_on} for {self.user_id}"


class Notice(models.Model):
    """A sentence to one person, with the page it is about."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=40)
    topic = models.CharField(max_length=12, default=Topic.PURCHASES, choices=[(each, each) for each in _one_of(Topic)])
    text = models.CharField(max_length=400)
    url = models.CharField(max_length=300, blank=True)
    key = models.CharField(max_length=160, null=True)
    """Names the event, so that telling it again tells it once."""
    awaits = models.CharField(max_length=6, blank=True)
    """The digest it waits for: `daily` or `weekly`; empty: none."""
    digest = models.ForeignKey(Digest, null=True, on_delete=models.SET_NULL, related_name="notices")
    created_at = models.DateTimeField(default=now)
    read_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="notice_once")]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="notice_newest"),
            models.Index(fields=["user"], condition=models.Q(read_at__isnull=True), name="notice_unread"),
            models.Index(fields=["awaits", "user"], condition=~models.Q(awaits=""), name="notice_awaits_digest"),
        ]

    def __str__(self) -> str:
        return self.text[:60]


class NoticePreference(models.Model):
    """How somebody wants to hear of a topic. No row: as `TOPICS` says."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    topic = models.CharField(max_length=12, choices=[(each, each) for each in _one_of(Topic)])
    delivery = models.CharField(max_length=6, choices=[(each, each) for each in _one_of(Delivery)])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "topic"], name="notice_preference_once")]

    def __str__(self) -> str:
        return f"{self.topic}: {self.delivery}"


class DigestTime(models.Model):
    """When somebody wants digests, in the time zone of their account. No row: at 8, on Mondays."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="+")
    hour = models.PositiveSmallIntegerField(default=8)
    """0 to 23."""
    weekday = models.PositiveSmallIntegerField(default=0)
    """0 Monday to 6 Sunday: when the weekly one comes."""

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(hour__lte=23, weekday__lte=6), name="digest_time")]

    def __str__(self) -> str:
        return f"{self.weekday} {self.hour}:00"
