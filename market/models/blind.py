"""Blind evaluations, and the certificates that say what came of them."""

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from market.models.catalogue import Listing
from market.states import EvaluationState


class BlindEvaluation(models.Model):
    """One run of the model of a listing on a test set of the buyer's. Nobody but the buyer sees it, until the buyer publishes it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="evaluations")
    buyer = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    model_uuid = models.UUIDField()
    """The version that was for sale when the evaluation was asked for."""
    model_name = models.CharField(max_length=80)
    data_uuid = models.UUIDField()
    """The version of the buyer's dataset."""
    data_title = models.CharField(max_length=300)
    """For the buyer alone."""
    metric = models.CharField(max_length=20)
    target = models.CharField(max_length=200, blank=True)
    file = models.CharField(max_length=1000, blank=True)
    key = models.CharField(max_length=120, null=True)
    """The caller's idempotency key, within the buyer."""

    state = models.CharField(max_length=12, default=EvaluationState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    """How often a worker began. Who reports another number than the present one was overtaken, and writes nothing."""
    problem = models.CharField(max_length=1000, blank=True)
    value = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    n = models.PositiveIntegerField(null=True)
    classes = models.JSONField(default=list)
    """`[{class, rows, precision, recall, f1}]`; see `backends.blind.scoring`."""

    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    touched_at = models.DateTimeField(default=now)
    """When it last got on; one that stands still is taken up again."""
    finished_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    """When the buyer made the certificate public."""
    shown_at = models.DateTimeField(null=True)
    """When the seller let it stand on the listing."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["buyer", "key"], name="blind_key_once"),
            models.CheckConstraint(condition=Q(state__in=[each.value for each in EvaluationState]), name="blind_state"),
            models.CheckConstraint(
                condition=~Q(state=EvaluationState.SUCCEEDED)
                | Q(value__isnull=False, low__isnull=False, high__isnull=False, n__isnull=False),
                name="blind_has_score",
            ),
            models.CheckConstraint(
                condition=Q(published_at__isnull=True) | Q(state=EvaluationState.SUCCEEDED), name="blind_published"
            ),
            models.CheckConstraint(
                condition=Q(shown_at__isnull=True) | Q(published_at__isnull=False), name="blind_shown"
            ),
        ]
        indexes = [
            models.Index(fields=["buyer", "-created_at", "-id"], name="blind_by_buyer"),
            models.Index(fields=["listing", "-created_at", "-id"], name="blind_by_listing"),
            models.Index(
                fields=["touched_at"],
                condition=Q(state__in=[EvaluationState.QUEUED, EvaluationState.RUNNING]),
                name="blind_live",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.model_name}"


class CertificateKey(models.Model):
    """An Ed25519 key of this site. The private half is sealed; of a retired key only the public half stays."""

    algorithm = models.CharField(max_length=12, default="ed25519")
    key_id = models.CharField(max_length=64, unique=True)
    """The SHA-256 of the public PEM, hex."""
    public_pem = models.TextField()
    sealed_private = models.TextField(blank=True)
    created_at = models.DateTimeField(default=now)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["algorithm"], condition=Q(retired_at__isnull=True), name="certificate_key_one"
            )
        ]

    def __str__(self) -> str:
        return self.key_id[:16]


class Certificate(models.Model):
    """What this site has signed about an evaluation. Append-only. Publishing it, or not, changes nothing of it."""

    evaluation = models.OneToOneField(BlindEvaluation, on_delete=models.PROTECT, related_name="certificate")
    key = models.ForeignKey(CertificateKey, on_delete=models.PROTECT, related_name="certificates")
    statement = models.JSONField()
    """The members of the certificate; what is signed is its canonical form (`market.certificates.canonical`)."""
    signature = models.CharField(max_length=88)
    """Base64 of 64 bytes."""
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return str(self.evaluation_id)
