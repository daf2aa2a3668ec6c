"""Repositories, files, commits and versions on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from registry.states import Gate, Origin, RepoKind, Verdict, Visibility

if TYPE_CHECKING:
    from registry.models import BlobScan, Branch, Commit, Quarantine, Repo, RepoScan, Tag, Upload
    from registry.queries import Entry

KINDS = [kind.value for kind in RepoKind]
VISIBILITIES = [each.value for each in Visibility]
GATES = [each.value for each in Gate]
CONTENT_LIMIT = 1024 * 1024
"""Characters of base64 in one operation of a commit; larger files go through an upload."""


class RepoWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(KINDS)
    namespace = serializers.CharField()
    name = serializers.CharField()
    visibility = serializers.ChoiceField(VISIBILITIES)
    gate = serializers.ChoiceField(GATES, allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    licence = serializers.CharField(allow_blank=True)
    task = serializers.CharField(allow_blank=True)
    library = serializers.CharField(allow_blank=True)
    card = serializers.DictField()
    default_branch = serializers.CharField()
    downloads = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class RepoNew(serializers.Serializer):
    kind = serializers.ChoiceField(KINDS)
    namespace = serializers.CharField(max_length=96)
    name = serializers.CharField(max_length=96)
    visibility = serializers.ChoiceField(VISIBILITIES, default=Visibility.PRIVATE.value)
    description = serializers.CharField(max_length=400, required=False, default="", allow_blank=True)


class RepoChange(serializers.Serializer):
    visibility = serializers.ChoiceField(VISIBILITIES, required=False)
    gate = serializers.ChoiceField(GATES, required=False, allow_blank=True)
    description = serializers.CharField(max_length=400, required=False, allow_blank=True)


class RepoPlace(serializers.Serializer):
    namespace = serializers.CharField(max_length=96)
    name = serializers.CharField(max_length=96)


class EntryWire(serializers.Serializer):
    path = serializers.CharField()
    is_dir = serializers.BooleanField()
    oid = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField(allow_null=True)
    file_count = serializers.IntegerField()
    verdict = serializers.ChoiceField([each.value for each in Verdict], allow_null=True)
    is_quarantined = serializers.BooleanField()


class OperationNew(serializers.Serializer):
    """One step of a commit: `add` (with `content` in base64, or `sha256` of an upload), `delete`, `copy` (with `source_path`)."""

    op = serializers.ChoiceField(["add", "delete", "copy"])
    path = serializers.CharField(max_length=1000, trim_whitespace=False)
    content = serializers.CharField(required=False, allow_blank=True, max_length=CONTENT_LIMIT, trim_whitespace=False)
    sha256 = serializers.CharField(required=False, max_length=64)
    size_bytes = serializers.IntegerField(required=False, min_value=0)
    source_path = serializers.CharField(required=False, max_length=1000, trim_whitespace=False)
    source_revision = serializers.CharField(required=False, max_length=200)


class CommitNew(serializers.Serializer):
    branch = serializers.CharField(max_length=200, default="main")
    summary = serializers.CharField(max_length=300)
    description = serializers.CharField(required=False, default="", allow_blank=True, max_length=20_000)
    parent = serializers.CharField(required=False, allow_null=True, default=None, max_length=40)  # type: ignore[assignment]  # the name is the wire's
    operations = OperationNew(many=True, max_length=1000)  # type: ignore[call-arg]  # with many=True it is that of the list


class CommitWire(serializers.Serializer):
    oid = serializers.CharField()
    parents = serializers.ListField(child=serializers.CharField())
    summary = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    author = serializers.CharField()
    created_at = serializers.DateTimeField()


class RefWire(serializers.Serializer):
    name = serializers.CharField()
    commit = serializers.CharField()


class RefsWire(serializers.Serializer):
    branches = RefWire(many=True)
    tags = RefWire(many=True)


class BranchNew(serializers.Serializer):
    name = serializers.CharField(max_length=200)
    revision = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)


class TagNew(serializers.Serializer):
    name = serializers.CharField(max_length=200)
    revision = serializers.CharField(max_length=200)
    message = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class UploadNew(serializers.Serializer):
    sha256 = serializers.CharField(max_length=64)
    size_bytes = serializers.IntegerField(min_value=0)


class UploadWire(serializers.Serializer):
    """`href` takes the bytes by PUT; null when they need not be sent."""

    uuid = serializers.UUIDField(allow_null=True)
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()
    href = serializers.URLField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)


class FindingWire(serializers.Serializer):
    rule = serializers.CharField()
    verdict = serializers.ChoiceField([each.value for each in Verdict])
    message = serializers.CharField()
    place = serializers.CharField(allow_blank=True)


class QuarantineNew(serializers.Serializer):
    path = serializers.CharField(max_length=4096)
    revision = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=400)


class ReleaseNew(serializers.Serializer):
    reason = serializers.CharField(max_length=400)


class QuarantineWire(serializers.Serializer):
    """`origin`: who holds the file back; `everywhere`: not in this repository alone. `released_at` is null while it is in force."""

    uuid = serializers.UUIDField()
    sha256 = serializers.CharField()
    origin = serializers.ChoiceField([each.value for each in Origin])
    everywhere = serializers.BooleanField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    released_at = serializers.DateTimeField(allow_null=True)
    release_reason = serializers.CharField(allow_blank=True)


class FileScanWire(serializers.Serializer):
    """What scanning says of a file; `verdict` is null while it has not been scanned."""

    path = serializers.CharField()
    verdict = serializers.ChoiceField([each.value for each in Verdict], allow_null=True)
    format = serializers.CharField(allow_blank=True)
    rules = serializers.CharField(allow_blank=True)
    findings = FindingWire(many=True)
    quarantine = QuarantineWire(allow_null=True)
    scanned_at = serializers.DateTimeField(allow_null=True)


class SafetyWire(serializers.Serializer):
    """`verdict`: the worst of the files of `commit`, null while it has not been scanned; `counts`: its files by verdict."""

    verdict = serializers.ChoiceField([each.value for each in Verdict], allow_null=True)
    commit = serializers.CharField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField())
    is_current = serializers.BooleanField()
    quarantines = QuarantineWire(many=True)
    scanned_at = serializers.DateTimeField(allow_null=True)


def repo(row: "Repo") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "kind": row.kind,
        "namespace": row.namespace.name,
        "name": row.name,
        "visibility": row.visibility,
        "gate": row.gate,
        "description": row.description,
        "licence": row.licence,
        "task": row.task,
        "library": row.library,
        "card": row.card,
        "default_branch": row.default_branch,
        "downloads": row.downloads,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def entry(row: "Entry", scan: "BlobScan | None" = None, *, is_held: bool = False) -> dict[str, Any]:
    return {
        "path": row.path,
        "is_dir": row.is_dir,
        "oid": row.oid,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "file_count": row.file_count,
        "verdict": scan.verdict if scan else None,
        "is_quarantined": is_held,
    }


def quarantine(row: "Quarantine") -> dict[str, Any]:
    """Wants the blob joined."""
    return {
        "uuid": row.uuid,
        "sha256": row.blob.sha256,
        "origin": row.origin,
        "everywhere": row.repo_id is None,
        "reason": row.reason,
        "created_at": row.created_at,
        "released_at": row.released_at,
        "release_reason": row.release_reason,
    }


def file_scan(path: str, row: "BlobScan | None", held: "Quarantine | None") -> dict[str, Any]:
    return {
        "path": path,
        "verdict": row.verdict if row else None,
        "format": row.format if row else "",
        "rules": row.rules if row else "",
        "findings": row.findings if row else [],
        "quarantine": quarantine(held) if held else None,
        "scanned_at": row.created_at if row else None,
    }


def safety(row: "RepoScan | None", head: str, held: "list[Quarantine]") -> dict[str, Any]:
    commit = row.commit.oid if row and row.commit else None
    return {
        "verdict": (row.verdict or None) if row else None,
        "commit": commit,
        "counts": row.counts if row else {},
        "is_current": commit == head,
        "quarantines": [quarantine(each) for each in held],
        "scanned_at": row.updated_at if row else None,
    }


def commit(row: "Commit") -> dict[str, Any]:
    return {
        "oid": row.oid,
        "parents": row.parents,
        "summary": row.summary,
        "description": row.description,
        "author": row.author_name,
        "created_at": row.created_at,
    }


def branch(row: "Branch") -> dict[str, Any]:
    return {"name": row.name, "commit": row.head.oid}


def tag(row: "Tag") -> dict[str, Any]:
    return {"name": row.name, "commit": row.commit.oid}


def upload(row: "Upload", href: str) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        "href": href,
        "expires_at": row.expires_at,
    }
