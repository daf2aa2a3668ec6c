"""Versions, what is said of them later, and the keys they are signed with, on the wire."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rest_framework import serializers

from market.recall_queries import Notice, notices_of
from registry.queries import SCANNERS
from registry.standing import standing_of
from registry.states import KeyAlgorithm, MeasurementKind, Verdict

if TYPE_CHECKING:
    from registry.models import AliasMove, Measurement, ScanReport, SigningKey, Version, VersionAlias
    from registry.services.environments import Environment
    from registry.services.signing import Checked

ALGORITHMS = [each.value for each in KeyAlgorithm]
HOLDERS = ["site", "owner"]


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


class VersionRecallWire(serializers.Serializer):
    """Why a version was recalled, and what to do. `severity`: `stop` when its files are not handed out."""

    uuid = serializers.UUIDField()
    category = serializers.CharField()
    severity = serializers.CharField()
    reason = serializers.CharField()
    advice = serializers.CharField()
    recalled_at = serializers.DateTimeField()


class VersionWire(serializers.Serializer):
    """`deprecation`, `yank` and `recall` are null for a version in good standing; `signed_with` names the algorithms of its signatures."""

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
    recall = VersionRecallWire(allow_null=True)
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


class WithdrawalWire(serializers.Serializer):
    reason = serializers.CharField()
    author = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class WithdrawalNew(serializers.Serializer):
    reason = serializers.CharField(max_length=500)


class MeasurementWire(serializers.Serializer):
    """`withdrawal` is null unless the measurement was found to be wrong."""

    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField([each.value for each in MeasurementKind])
    name = serializers.CharField()
    values = serializers.DictField()
    author = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    withdrawal = WithdrawalWire(allow_null=True)


class MeasurementNew(serializers.Serializer):
    """Of a metric, `values` are `{value, low, high, n, dataset, split, source}`, where `dataset` may be `owner/name@revision`; of
    hardware, those of `HardwareNew` and `source`. `source` is a line on where the figures come from."""

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
    """`key_id` is the SHA-256 (hex) of `public_pem`. `held_by`: who has the private half, this site or the owners of the namespace."""

    key_id = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    algorithm = serializers.ChoiceField(ALGORITHMS)
    held_by = serializers.ChoiceField(HOLDERS)
    author = serializers.CharField(allow_blank=True)
    version_count = serializers.IntegerField()
    public_pem = serializers.CharField()
    href = serializers.URLField()
    created_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    revocation_reason = serializers.CharField(allow_blank=True)


class KeysWire(serializers.Serializer):
    keys = KeyWire(many=True)


class KeyNew(serializers.Serializer):
    """`public_key`: PEM, Ed25519 or ECDSA P-256. The private half stays where it is."""

    name = serializers.CharField(max_length=80)
    public_key = serializers.CharField(max_length=4000, trim_whitespace=False)


class SignatureWire(serializers.Serializer):
    """`is_good` is null where the version has so many files that a signature is checked only as it comes. A signature came before
    `key_revoked_at`, which is null for a key in good standing."""

    key_id = serializers.CharField()
    key_name = serializers.CharField(allow_blank=True)
    algorithm = serializers.ChoiceField(ALGORITHMS)
    held_by = serializers.ChoiceField(HOLDERS)
    is_good = serializers.BooleanField(allow_null=True)
    created_at = serializers.DateTimeField()
    key_revoked_at = serializers.DateTimeField(allow_null=True)
    key_revocation_reason = serializers.CharField(allow_blank=True)


class SignaturesWire(serializers.Serializer):
    signatures = SignatureWire(many=True)


class PackageWire(serializers.Serializer):
    """`version` is empty where the file gives no single one; `wanted` is then what it says."""

    name = serializers.CharField()
    version = serializers.CharField(allow_blank=True)
    wanted = serializers.CharField(allow_blank=True)
    ecosystem = serializers.ChoiceField(["pypi", "conda", "other"])
    has_hash = serializers.BooleanField()


class EnvironmentWire(serializers.Serializer):
    """`path` is empty when the commit has no environment lock. `is_locked`: every package has just one version. `problem`: why it could
    not be read; `notes`: what was passed over; `others`: files that could have been it."""

    is_pending = serializers.BooleanField()
    path = serializers.CharField(allow_blank=True)
    format = serializers.CharField(allow_blank=True)
    problem = serializers.CharField(allow_blank=True)
    is_locked = serializers.BooleanField()
    is_cut = serializers.BooleanField()
    package_count = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField())
    others = serializers.ListField(child=serializers.CharField())
    packages = PackageWire(many=True)


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


def recall(notice: "Notice | None") -> dict[str, Any] | None:
    if notice is None:
        return None
    return {
        "uuid": notice.uuid,
        "category": notice.category,
        "severity": notice.severity,
        "reason": notice.reason,
        "advice": notice.advice,
        "recalled_at": notice.recalled_at,
    }


def version(row: "Version", recalls: "Mapping[UUID, Notice] | None" = None) -> dict[str, Any]:
    """Wants commit, tree, scans and marks fetched ahead, as `queries.versions_of` gives them. `recalls`: what is said of those of a list
    that were recalled; without it one query asks."""
    known = notices_of([row.uuid]) if recalls is None else recalls
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
        "recall": recall(known.get(row.uuid)),
        "signed_with": sorted({each.key.algorithm for each in row.signatures.all()}),
        "file_count": row.commit.tree.file_count,
        "size_bytes": row.commit.tree.total_bytes,
        "created_at": row.created_at,
    }


def measurement(row: "Measurement", author: str = "") -> dict[str, Any]:
    """Wants the withdrawal fetched ahead, as `queries.measurements_of` gives it. `author` stands where an import brought it along."""
    taken_back = getattr(row, "withdrawal", None)
    return {
        "uuid": row.uuid,
        "kind": row.kind,
        "name": row.name,
        "values": row.values,
        "author": row.created_by.username if row.created_by else author,
        "created_at": row.created_at,
        "withdrawal": {
            "reason": taken_back.reason,
            "author": taken_back.created_by.username if taken_back.created_by else "",
            "created_at": taken_back.created_at,
        }
        if taken_back
        else None,
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
        "name": row.name,
        "algorithm": row.algorithm,
        "held_by": HOLDERS[row.is_external],
        "author": row.created_by.username if row.created_by else "",
        # a new key has signed nothing
        "version_count": getattr(row, "version_count", 0),
        "public_pem": row.public_pem,
        "href": href,
        "created_at": row.created_at,
        "retired_at": row.retired_at,
        "revoked_at": row.revoked_at,
        "revocation_reason": row.revocation_reason,
    }


def signature(checked: "Checked") -> dict[str, Any]:
    row = checked.row
    return {
        "key_id": row.key.key_id,
        "key_name": row.key.name,
        "algorithm": row.key.algorithm,
        "held_by": HOLDERS[row.key.is_external],
        "is_good": checked.is_good,
        "created_at": row.created_at,
        "key_revoked_at": row.key.revoked_at,
        "key_revocation_reason": row.key.revocation_reason,
    }


def environment(found: "Environment") -> dict[str, Any]:
    return {
        "is_pending": found.is_pending,
        "path": found.path,
        "format": found.format,
        "problem": found.problem,
        "is_locked": found.is_locked,
        "is_cut": found.is_cut,
        "package_count": len(found.packages),
        "notes": found.notes,
        "others": found.others,
        "packages": [
            {
                "name": each.name,
                "version": each.version,
                "wanted": each.wanted,
                "ecosystem": each.ecosystem,
                "has_hash": each.has_hash,
            }
            for each in found.packages
        ],
    }
