"""What a payment provider has told us, and what we know of its objects. Payments themselves are columns of their orders."""

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from market.models.orders import Order
from market.states import DisputeStanding


class ProviderEvent(models.Model):
    """One event, stored before the provider gets its answer. It says where to look; what the event said beside that is not kept."""

    backend = models.CharField(max_length=40)
    event_id = models.CharField(max_length=120)
    type = models.CharField(max_length=80)
    topic = models.CharField(max_length=12)
    reference = models.CharField(max_length=120, blank=True)
    key = models.CharField(max_length=120, blank=True)
    happened_at = models.DateTimeField()
    """By the provider's clock."""
    received_at = models.DateTimeField(default=now)
    processed_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=300, blank=True)
    """Why it could not be taken in, in a sentence; empty when it was, or has not been tried."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["backend", "event_id"], name="provider_event_once")]
        indexes = [
            models.Index(fields=["id"], condition=Q(processed_at__isnull=True), name="provider_event_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.backend}:{self.event_id}"


class Dispute(models.Model):
    """A payment that a buyer's bank has taken back: for the time being, or for good."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="disputes")
    backend = models.CharField(max_length=40)
    reference = models.CharField(max_length=120)
    state = models.CharField(max_length=8, choices=[(each.value, each.value) for each in DisputeStanding])
    amount_minor = models.BigIntegerField()
    """Of the order's currency."""
    reason = models.CharField(max_length=60, blank=True)
    froze_access = models.BooleanField()
    """Whether access was open when it came: it is opened again when the dispute is won."""
    opened_at = models.DateTimeField(default=now)
    due_at = models.DateTimeField(null=True)
    """Until when evidence can be handed in at the provider."""
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["backend", "reference"], name="dispute_once"),
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="dispute_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.backend}:{self.reference}"


class ProviderAccount(models.Model):
    """What the provider calls a namespace: the account it is paid on as a seller, or the customer whose cards it keeps."""

    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    backend = models.CharField(max_length=40)
    role = models.CharField(max_length=8, choices=[("seller", "seller"), ("customer", "customer")])
    reference = models.CharField(max_length=120)
    is_ready = models.BooleanField(default=False)
    """Seller: money can be sent to it. Customer: true."""
    needs = models.JSONField(default=list)
    """What the provider still wants to know, in its own words."""
    created_at = models.DateTimeField(default=now)
    looked_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["namespace", "backend", "role"], name="provider_account_once"),
            models.UniqueConstraint(fields=["backend", "reference"], name="provider_account_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.backend}:{self.reference}"


class ReconciliationMark(models.Model):
    """Up to when the lists of a provider have been compared with what we know."""

    backend = models.CharField(max_length=40, unique=True)
    upto = models.DateTimeField()
    finished_at = models.DateTimeField(default=now)
    repaired = models.PositiveIntegerField(default=0)
    """What the last run put right."""

    def __str__(self) -> str:
        return self.backend
