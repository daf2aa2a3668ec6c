"""Builds on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from api.v1.registry.version_wire import YankWire
from registry.build_queries import withdrawal_of
from registry.states import BuildFormat

if TYPE_CHECKING:
    from registry.models import Build


class BuildFileWire(serializers.Serializer):
    path = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class BuildWire(serializers.Serializer):
    """`sha256` is that of the list of files, as `sha256sum` writes it, by path; `program_sha256` that of the sources of the program.
    `equivalence`: `real_rows` and `boundary_rows` compared, differences (`max_difference` is in units of `scale`, and judged by
    `tolerance`), `label_agreement` 0–1, `is_equivalent`, `dataset`. `withdrawal` is null for a build in use."""

    uuid = serializers.UUIDField()
    version = serializers.UUIDField()
    format = serializers.ChoiceField([each.value for each in BuildFormat])
    target = serializers.CharField(allow_blank=True)
    program = serializers.CharField()
    program_sha256 = serializers.CharField()
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()
    files = BuildFileWire(many=True)
    equivalence = serializers.DictField()
    signature = serializers.DictField()
    environment = serializers.DictField()
    came_from = serializers.CharField(
        allow_blank=True, help_text="The site that made and compared it, when it was imported."
    )
    job = serializers.UUIDField(allow_null=True)
    author = serializers.CharField(allow_blank=True)
    withdrawal = YankWire(allow_null=True)
    created_at = serializers.DateTimeField()


class BuildWithdrawalNew(serializers.Serializer):
    reason = serializers.CharField(max_length=2000)


def build(row: "Build") -> dict[str, Any]:
    """Wants version, files and marks fetched ahead, as `build_queries` gives them."""
    mark = withdrawal_of(row)
    return {
        "uuid": row.uuid,
        "version": row.version.uuid,
        "format": row.format,
        "target": row.target,
        "program": row.program,
        "program_sha256": row.program_sha256,
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        "files": [
            {"path": each.path, "size_bytes": each.blob.size_bytes, "sha256": each.blob.sha256}
            for each in row.files.all()
        ],
        "equivalence": row.equivalence,
        "signature": row.signature,
        "environment": row.environment,
        "came_from": row.came_from,
        "job": row.job_uuid,
        "author": row.created_by.username if row.created_by else "",
        "withdrawal": {"reason": mark.reason, "created_at": mark.created_at} if mark else None,
        "created_at": row.created_at,
    }
