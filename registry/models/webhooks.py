"""Telling programs elsewhere what happens to repositories, and in the trade of namespaces."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from registry.models.repos import Repo
from registry.states import DeliveryState


class Webhook(models.Model):
    """An address that is told about the repositories and namespaces it watches. What is sent about a repository is what its
    owner, `user`, may see at that moment."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    url = models.CharField(max_length=500)
    domains = models.JSONField(default=list)
    """Of `repo`, `discussion`, `market`: what it wants to hear of."""
    events = models.JSONField(default=list)
    """Of the domain `market` the names that it wants to hear of (`order.paid`, …); empty: all."""
    sealed_secret = models.TextField(blank=True)
    """Encrypted (common.sealed); deliveries carry it and are signed with it."""
    is_enabled = models.BooleanField(default=True)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    """Deliveries given up since the last one that arrived."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="webhook_of_user")]

    def __str__(self) -> str:
        return self.url


class WebhookWatch(models.Model):
    """Something that a webhook watches: one repository, or all of a namespace."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="watches")
    repo = models.ForeignKey(Repo, null=True, on_delete=models.CASCADE, related_name="+")
    namespace = models.ForeignKey("accounts.Namespace", null=True, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "repo"], name="webhook_watch_repo_once"),
            models.UniqueConstraint(fields=["webhook", "namespace"], name="webhook_watch_namespace_once"),
            models.CheckConstraint(
                condition=models.Q(repo__isnull=False, namespace__isnull=True)
                | models.Q(repo__isnull=True, namespace__isnull=False),
                name="webhook_watch_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.webhook_id} watches {self.repo_id or self.namespace_id}"


class RepoEvent(models.Model):
    """Something that happened to a repository, or in the trade of a namespace, as it is told to webhooks; kept only if somebody watches,
    and for some weeks."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.ForeignKey(Repo, null=True, on_delete=models.CASCADE, related_name="+")
    namespace = models.ForeignKey("accounts.Namespace", null=True, on_delete=models.CASCADE, related_name="+")
    """Whose trade it is of; null: it is of a repository."""
    needs = models.CharField(max_length=60, blank=True)
    """What a webhook's owner must be allowed to do in `namespace` to hear of it."""
    domain = models.CharField(max_length=12)
    payload = models.JSONField()
    created_at = models.DateTimeField(default=now, db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(repo__isnull=False, namespace__isnull=True, needs="")
                | (models.Q(repo__isnull=True, namespace__isnull=False) & ~models.Q(needs="")),
                name="event_of_one",
            )
        ]

    def __str__(self) -> str:
        return f"{self.payload.get('event')} of {self.repo_id or self.namespace_id}"


class WebhookDelivery(models.Model):
    """One event on its way to one webhook."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(RepoEvent, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, default=DeliveryState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    status = models.PositiveIntegerField(null=True)
    """What the other side answered last; null when it did not."""
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["webhook", "event"], name="webhook_delivery_once")]
        indexes = [models.Index(fields=["webhook", "-created_at", "-id"], name="webhook_delivery_newest")]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook_id} ({self.state})"
