"""Recalls: a version is called back; what was made from it, who has it, and what became of each."""

from enum import StrEnum

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from market.recalls import ActionKind, Category, FreezeScope, ItemKind, ItemState, RecallState, Severity


def _one_of(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


class Recall(models.Model):
    """One version, called back with a reason. While it is not lifted it holds: closing only says that everything is handled."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    version = models.ForeignKey("registry.Version", on_delete=models.PROTECT, related_name="+")
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    """Whose the version was when it was recalled."""
    title = models.CharField(max_length=300)
    """Namespace, name and version as they were then."""
    category = models.CharField(max_length=12)
    severity = models.CharField(max_length=8)
    reason = models.TextField()
    """For everybody who sees the version or has something of it."""
    advice = models.TextField()
    """What to do, for the same people."""
    private_note = models.TextField(blank=True)
    """For those who manage the recall."""
    is_by_staff = models.BooleanField(default=False)
    """Staff opened it: only they close and lift it, and read its note."""
    replacement = models.ForeignKey("registry.Version", null=True, on_delete=models.PROTECT, related_name="+")
    """What to take instead, and what retrained models are made from."""
    state = models.CharField(max_length=8, default=RecallState.OPEN)
    freeze_scope = models.CharField(max_length=4, blank=True)
    """Empty: sales and calls go on."""
    frozen_at = models.DateTimeField(null=True)
    walked_at = models.DateTimeField(null=True)
    is_cut = models.BooleanField(default=False)
    """There is more below it than one walk takes."""
    opened_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    opened_at = models.DateTimeField(default=now)
    closed_at = models.DateTimeField(null=True)
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=~Q(state=RecallState.LIFTED), name="recall_once_in_force"
            ),
            models.CheckConstraint(condition=Q(state__in=_one_of(RecallState)), name="recall_state"),
            models.CheckConstraint(condition=Q(category__in=_one_of(Category)), name="recall_category"),
            models.CheckConstraint(condition=Q(severity__in=_one_of(Severity)), name="recall_severity"),
            models.CheckConstraint(
                condition=Q(freeze_scope__in=["", *_one_of(FreezeScope)]), name="recall_freeze_scope"
            ),
        ]
        indexes = [models.Index(fields=["namespace", "-opened_at", "-id"], name="recall_in_namespace")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_in_force(self) -> bool:
        return self.state != RecallState.LIFTED


class RecallItem(models.Model):
    """One thing that the recall reaches, as it was found; who found it again changes nothing but what was done about it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    recall = models.ForeignKey(Recall, on_delete=models.PROTECT, related_name="items")
    kind = models.CharField(max_length=8)
    object_uuid = models.UUIDField()
    """Of the version, build, endpoint or listing; of a holder's order; of a copy: of the order or of the duplicate repository."""
    title = models.CharField(max_length=300)
    owner = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    """Who handles it: of holders and copies, who has it."""
    seller = models.ForeignKey("accounts.Namespace", null=True, on_delete=models.PROTECT, related_name="+")
    """Of holders and copies: who sold it."""
    order = models.ForeignKey("market.Order", null=True, on_delete=models.PROTECT, related_name="+")
    version_uuid = models.UUIDField()
    """The version by which it is reached: the nearest one on the way, itself where it is one."""
    path = models.JSONField(default=list)
    """The shortest way from the recalled version: `[[relation, kind, uuid], …]`."""
    state = models.CharField(max_length=10, default=ItemState.OPEN)
    action = models.CharField(max_length=40, blank=True)
    """What was done, in a word: `frozen`, `refunded`, `retrained`, `handled`, …"""
    note = models.CharField(max_length=500, blank=True)
    problem = models.CharField(max_length=300, blank=True)
    """Why the last action on it came to nothing."""
    changed_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    changed_at = models.DateTimeField(null=True)
    frozen_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)
    refunded_at = models.DateTimeField(null=True)
    job_uuid = models.UUIDField(null=True)
    """The job that makes it anew."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["recall", "kind", "object_uuid"], name="recall_item_once"),
            models.CheckConstraint(condition=Q(kind__in=_one_of(ItemKind)), name="recall_item_kind"),
            models.CheckConstraint(condition=Q(state__in=_one_of(ItemState)), name="recall_item_state"),
        ]
        indexes = [
            models.Index(fields=["recall", "kind", "state"], name="recall_item_tally"),
            models.Index(fields=["owner", "recall"], name="recall_item_by_owner"),
            models.Index(fields=["object_uuid"], condition=Q(frozen_at__isnull=False), name="recall_frozen"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.title}"


class RecallEvent(models.Model):
    """Something that happened to a recall or to one of its items, with the record of the audit trail that tells of it. Append-only."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    recall = models.ForeignKey(Recall, on_delete=models.PROTECT, related_name="events")
    item = models.ForeignKey(RecallItem, null=True, on_delete=models.PROTECT, related_name="events")
    word = models.CharField(max_length=40)
    note = models.CharField(max_length=500, blank=True)
    detail = models.JSONField(default=dict)
    by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    by_label = models.CharField(max_length=150)
    audit_sequence = models.BigIntegerField()
    audit_sha256 = models.CharField(max_length=64)
    at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["recall", "id"], name="recall_event_order")]

    def __str__(self) -> str:
        return f"{self.word} ({self.recall_id})"


class RecallAction(models.Model):
    """Something that a task does item by item. It stands until all is done, so whoever goes on after a crash finds it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    recall = models.ForeignKey(Recall, on_delete=models.PROTECT, related_name="actions")
    kind = models.CharField(max_length=12)
    seller = models.ForeignKey("accounts.Namespace", null=True, on_delete=models.PROTECT, related_name="+")
    """Whose sales are given back; null: everybody's."""
    percent = models.PositiveSmallIntegerField(null=True)
    asked_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=_one_of(ActionKind)), name="recall_action_kind"),
            models.CheckConstraint(
                condition=Q(percent__isnull=True) | Q(percent__gte=1, percent__lte=100), name="recall_action_percent"
            ),
        ]
        indexes = [
            models.Index(fields=["recall", "id"], condition=Q(finished_at__isnull=True), name="recall_action_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.recall_id})"
