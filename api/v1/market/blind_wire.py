"""Blind evaluations and certificates on the wire. Each side gets a shape of its own."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from backends.blind.metrics import METRICS
from market.services.blind import MOST_RUNS
from market.states import EvaluationState

if TYPE_CHECKING:
    from market.models import BlindEvaluation, CertificateKey
    from market.services.certificates import Verified


class EvaluationNew(serializers.Serializer):
    buyer = serializers.CharField(max_length=96)
    seller = serializers.CharField(max_length=96)
    listing = serializers.CharField(max_length=96, help_text="The slug of the listing.")
    test_set = serializers.UUIDField(help_text="A version of a dataset of the buyer's.")
    metric = serializers.ChoiceField(list(METRICS))
    target = serializers.CharField(
        max_length=200, required=False, default="", allow_blank=True, help_text="Column of the answers."
    )
    file = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True)


class BlindClassWire(serializers.Serializer):
    vars()["class"] = serializers.CharField(allow_null=True, help_text="Null: the small classes together.")
    rows = serializers.IntegerField()
    precision = serializers.FloatField(allow_null=True)
    recall = serializers.FloatField(allow_null=True)
    f1 = serializers.FloatField(allow_null=True)


class BlindEvaluationWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    buyer = serializers.CharField()
    seller = serializers.CharField()
    listing = serializers.CharField()
    model_version = serializers.CharField()
    test_set = serializers.UUIDField()
    test_set_title = serializers.CharField()
    metric = serializers.ChoiceField(list(METRICS))
    state = serializers.ChoiceField([each.value for each in EvaluationState])
    problem = serializers.CharField(allow_blank=True)
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True)
    classes = BlindClassWire(many=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    shown_at = serializers.DateTimeField(allow_null=True)


class TookPlaceWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    model_version = serializers.CharField()
    finished_at = serializers.DateTimeField()
    certificate = serializers.UUIDField(allow_null=True, help_text="Null until the buyer publishes it.")
    is_shown = serializers.BooleanField()


class ShownWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    buyer = serializers.CharField()
    model_version = serializers.CharField()
    metric = serializers.ChoiceField(list(METRICS))
    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    n = serializers.IntegerField()
    evaluated_at = serializers.DateTimeField()


class ShownList(serializers.Serializer):
    items = ShownWire(many=True)


class EvaluationTermsWire(serializers.Serializer):
    is_open = serializers.BooleanField()
    runs_per_month = serializers.IntegerField()


class TermsNew(serializers.Serializer):
    runs_per_month = serializers.IntegerField(
        min_value=0, max_value=MOST_RUNS, allow_null=True, help_text="For each buyer; null: as the site says."
    )


class CertificateWire(serializers.Serializer):
    certificate = serializers.DictField()
    key_id = serializers.CharField()
    signature = serializers.CharField(help_text="Base64 of the Ed25519 signature over the canonical form.")


class CertificateKeyWire(serializers.Serializer):
    key_id = serializers.CharField()
    public_key = serializers.CharField(help_text="PEM")
    created_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)


class KeyList(serializers.Serializer):
    items = CertificateKeyWire(many=True)


class VerificationNew(serializers.Serializer):
    document = serializers.CharField(max_length=70_000, help_text="The certificate's file, as text.")
    public_key = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class VerificationWire(serializers.Serializer):
    is_good = serializers.BooleanField()
    reason = serializers.CharField()
    key_id = serializers.CharField(allow_blank=True)
    is_key_retired = serializers.BooleanField()


def evaluation(row: "BlindEvaluation") -> dict[str, Any]:
    """For the buyer. Wants listing, seller and buyer joined."""
    return {
        "uuid": row.uuid,
        "buyer": row.buyer.name,
        "seller": row.listing.namespace.name,
        "listing": row.listing.slug,
        "model_version": row.model_name,
        "test_set": row.data_uuid,
        "test_set_title": row.data_title,
        "metric": row.metric,
        "state": row.state,
        "problem": row.problem,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "n": row.n,
        "classes": row.classes,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "published_at": row.published_at,
        "shown_at": row.shown_at,
    }


def took_place(row: "BlindEvaluation") -> dict[str, Any]:
    """For the seller: that there was one, and no more."""
    return {
        "uuid": row.uuid,
        "model_version": row.model_name,
        "finished_at": row.finished_at,
        "certificate": row.uuid if row.published_at else None,
        "is_shown": row.shown_at is not None,
    }


def shown(row: "BlindEvaluation") -> dict[str, Any]:
    """For everybody: what stands on the listing."""
    return {
        "uuid": row.uuid,
        "buyer": row.buyer.name,
        "model_version": row.model_name,
        "metric": row.metric,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "n": row.n,
        "evaluated_at": row.finished_at,
    }


def key(row: "CertificateKey") -> dict[str, Any]:
    return {
        "key_id": row.key_id,
        "public_key": row.public_pem,
        "created_at": row.created_at,
        "retired_at": row.retired_at,
    }


def verification(found: "Verified") -> dict[str, Any]:
    return {
        "is_good": found.is_good,
        "reason": found.reason,
        "key_id": found.key_id,
        "is_key_retired": found.is_retired,
    }
