"""Versions, what is said of them later, and the keys they are signed with, on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from registry.queries import SCANNERS
from registry.standing import standing_of
from registry.states import KeyAlgorithm, MeasurementKind, Verdict

if TYPE_CHECKING:
    from registry.models import AliasMove, Measurement, ScanReport, SigningKey, Version, VersionAlias

ALGORITHMS = [each.value for each in KeyAlgorithm]


class ScanWire(serializers.Serializer):
    scanner = serializers.CharField()
    rules = serializers.CharField()
    verdict = serializers.ChoiceField([each.value for each in Verdict])
    findings = serializers.ListField(child=serializers.DictField())
    created_at = serializers.DateTimeField()


class DeprecationWire(serializers.Serializer):
    message = serializers.CharField()
    successor = serializers.CharField(allow_blank=True)
    due_on = serializers.DateField(allow_null=True)
    created_at = serializers.DateTimeField()


class DeprecationNew(serializers.Serializer):
    """`successor` is the name of the version to take instead; `due_on` the day after which nobody should use this one."""

    message = serializers.CharField(max_length=2000)
    successor = serializers.CharField(required=False, allow_null=True, default=None, max_length=80)
    due_on = serializers.DateField(required=False, allow_null=True, default=None)


class YankWire(serializers.Serializer):
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class YankNew(serializers.Serializer):
    reason = serializers.CharField(max_length=2000)


class VersionWire(serializers.Serializer):
    """`deprecation` and `yank` are null for a version in good standing; `signed_with` names the algorithms of its signatures."""

    uuid = serializers.UUIDField()
    name = serializers.CharField()
    commit = serializers.CharField()
    notes = serializers.CharField(allow_blank=True)
    intended_use = serializers.CharField(allow_blank=True)
    licence = serializers.CharField(allow_blank=True)
    metrics = serializers.DictField()
    signature = serializers.DictField()
    environment = serializers.DictField()
    verdict = serializers.ChoiceField([each.value for each in Verdict])
    scans = ScanWire(many=True)
    aliases = serializers.ListField(child=serializers.CharField())
    deprecation = DeprecationWire(allow_null=True)
    yank = YankWire(allow_null=True)
    signed_with = serializers.ListField(child=serializers.ChoiceField(ALGORITHMS))
    file_count = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class HardwareNew(serializers.Serializer):
    """`name` of the machine; `values`: at least one of `p50_ms`, `p99_ms`, `throughput_per_s`, `memory_bytes`; also `batch_size`, `runtime`."""

    name = serializers.CharField(max_length=120)
    values = serializers.DictField()


class VersionNew(serializers.Serializer):
    """`name`: a semantic version or a date. `metrics`: `{name: {value, low, high, n, dataset, split}}`, low and high being the
    ends of the 95 % interval. Licence, intended use and a dataset's tables are read from card and documents when not given."""

    name = serializers.CharField(max_length=80)
    revision = serializers.CharField(max_length=200, default="main")
    notes = serializers.CharField(required=False, default="", allow_blank=True, max_length=20_000)
    intended_use = serializers.CharField(required=False, default="", allow_blank=True, max_length=20_000)
    licence = serializers.CharField(required=False, default="", allow_blank=True, max_length=80)
    metrics = serializers.DictField(required=False, default=dict)
    signature = serializers.DictField(required=False, default=dict)
    environment = serializers.DictField(required=False, default=dict)
    hardware = HardwareNew(many=True, required=False, default=list)


class MeasurementWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField([each.value for each in MeasurementKind])
    name = serializers.CharField()
    values = serializers.DictField()
    author = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class MeasurementNew(serializers.Serializer):
    """Of a metric, `values` are `{value, low, high, n, dataset, split}`, where `dataset` may be `owner/name@revision`; of
    hardware, those of `HardwareNew`."""

    kind = serializers.ChoiceField([each.value for each in MeasurementKind])
    name = serializers.CharField(max_length=120)
    values = serializers.DictField()


class AliasWire(serializers.Serializer):
    name = serializers.CharField()
    version = serializers.CharField()
    moved_at = serializers.DateTimeField()


class AliasNew(serializers.Serializer):
    version = serializers.CharField(max_length=80)


class AliasMoveWire(serializers.Serializer):
    """`version` is null when the alias was removed, `before` when it was new."""

    name = serializers.CharField()
    version = serializers.CharField(allow_null=True)
    before = serializers.CharField(allow_null=True)
    author = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class AliasesWire(serializers.Serializer):
    aliases = AliasWire(many=True)
    moves = AliasMoveWire(many=True)


class KeyWire(serializers.Serializer):
    """`key_id` is the SHA-256 (hex) of `public_pem`."""

    key_id = serializers.CharField()
    algorithm = serializers.ChoiceField(ALGORITHMS)
    public_pem = serializers.CharField()
    href = serializers.URLField()
    created_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    revocation_reason = serializers.CharField(allow_blank=True)


class KeysWire(serializers.Serializer):
    keys = KeyWire(many=True)


class RevocationNew(serializers.Serializer):
    reason = serializers.CharField(max_length=500)


def scan(row: "ScanReport") -> dict[str, Any]:
    return {
        "scanner": row.scanner,
        "rules": row.rules,
        "verdict": row.verdict,
        "findings": row.findings,
        "created_at": row.created_at,
    }


def version(row: "Version") -> dict[str, Any]:
    """Wants commit, tree, scans and marks fetched ahead, as `queries.versions_of` gives them."""
    scans = list(row.scans.all())
    verdict = next((each.verdict for each in scans if each.scanner == SCANNERS), Verdict.UNKNOWN)
    standing = standing_of(row)
    return {
        "uuid": row.uuid,
        "name": row.name,
        "commit": row.commit.oid,
        "notes": row.notes,
        "intended_use": row.intended_use,
        "licence": row.licence,
        "metrics": row.metrics,
        "signature": row.signature,
        "environment": row.environment,
        "verdict": verdict,
        "scans": [scan(each) for each in scans],
        "aliases": [each.name for each in row.aliases.all()],
        "deprecation": {
            "message": standing.message,
            "successor": standing.successor,
            "due_on": standing.due_on,
            "created_at": standing.deprecated_at,
        }
        if standing.is_deprecated
        else None,
        "yank": {"reason": standing.yank_reason, "created_at": standing.yanked_at} if standing.is_yanked else None,
        "signed_with": sorted({each.key.algorithm for each in row.signatures.all()}),
        "file_count": row.commit.tree.file_count,
        "size_bytes": row.commit.tree.total_bytes,
        "created_at": row.created_at,
    }


def measurement(row: "Measurement", author: str = "") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "kind": row.kind,
        "name": row.name,
        "values": row.values,
        "author": row.created_by.username if row.created_by else author,
        "created_at": row.created_at,
    }


def alias(row: "VersionAlias") -> dict[str, Any]:
    return {"name": row.name, "version": row.version.name, "moved_at": row.moved_at}


def alias_move(row: "AliasMove", author: str = "") -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.version.name if row.version else None,
        "before": row.before.name if row.before else None,
        "author": row.created_by.username if row.created_by else author,
        "created_at": row.created_at,
    }


def key(row: "SigningKey", href: str) -> dict[str, Any]:
    return {
        "key_id": row.key_id,
        "algorithm": row.algorithm,
        "public_pem": row.public_pem,
        "href": href,
        "created_at": row.created_at,
        "retired_at": row.retired_at,
        "revoked_at": row.revoked_at,
        "revocation_reason": row.revocation_reason,
    }
