"""Exports of repositories and namespaces, and archives that are brought in."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import KEY_PARAMETER, View
from api.v1.registry.version_views import VersionView
from api.v1.registry.views import RawParser, RepoView
from registry import queries
from registry.services import exports, imports, signing
from registry.states import ExportState, ImportState

if TYPE_CHECKING:
    from registry.models import Export, Import

_TAGS = ["registry"]


class ExportCounts(serializers.Serializer):
    files = serializers.IntegerField()
    bytes = serializers.IntegerField()
    repositories = serializers.IntegerField()
    collections = serializers.IntegerField()
    lfs_objects = serializers.IntegerField()


class LeftOutWire(serializers.Serializer):
    repository = serializers.CharField()
    sha256 = serializers.CharField(help_text="Of a large file that is under quarantine.")
    reason = serializers.CharField()


class RefusedWire(serializers.Serializer):
    repository = serializers.CharField()
    reason = serializers.CharField()


class ExportSummary(serializers.Serializer):
    counts = ExportCounts()
    left_out = LeftOutWire(many=True)
    refused = RefusedWire(many=True)


class ExportWire(serializers.Serializer):
    """`href` is where the archive is downloaded; null while there is none."""

    uuid = serializers.UUIDField()
    namespace = serializers.CharField()
    repo = serializers.CharField(allow_null=True, help_text="owner/name; null for a whole namespace.")
    state = serializers.ChoiceField([each.value for each in ExportState])
    problem = serializers.CharField(allow_blank=True)
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField(allow_blank=True)
    summary = ExportSummary(allow_null=True)
    asked_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    href = serializers.URLField(allow_null=True)


class ExportList(serializers.Serializer):
    items = ExportWire(many=True)


class ImportNew(serializers.Serializer):
    namespace = serializers.CharField(max_length=96, help_text="Where the repositories go.")
    size_bytes = serializers.IntegerField(min_value=1, help_text="Of the archive, a tar.")
    name = serializers.CharField(
        max_length=96, required=False, default="", allow_blank=True, help_text="For the archive's only repository."
    )


class ImportedWire(serializers.Serializer):
    exported_as = serializers.CharField(help_text="owner/name there.")
    kind = serializers.CharField()
    outcome = serializers.ChoiceField(["imported", "same", "refused"])
    name = serializers.CharField(required=False, help_text="owner/name here.")
    reason = serializers.CharField(required=False)
    versions = serializers.IntegerField(required=False)
    left = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="What could not be brought along, by kind."
    )


class ImportWire(serializers.Serializer):
    """`href` takes the archive by PUT; null when it has come."""

    uuid = serializers.UUIDField()
    namespace = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    size_bytes = serializers.IntegerField()
    state = serializers.ChoiceField([each.value for each in ImportState])
    problem = serializers.CharField(allow_blank=True)
    repositories = ImportedWire(many=True)
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField()
    href = serializers.URLField(allow_null=True)


class BroughtSignatureWire(serializers.Serializer):
    """A signature that was made at the site from which the version was imported."""

    signer = serializers.CharField(help_text="The namespace there whose key it is.")
    algorithm = serializers.CharField()
    key_id = serializers.CharField()
    public_pem = serializers.CharField()
    bundle = serializers.DictField(help_text="A Sigstore bundle in the format of OpenSSF model signing.")
    created_at = serializers.DateTimeField()


class BroughtSignatures(VersionView):
    @extend_schema(responses=BroughtSignatureWire(many=True), tags=_TAGS)
    def get(self, request: Request, **names: str) -> Response:
        """The signatures that the version brought along when it was imported; they verify with the keys beside them."""
        rows = queries.brought_signatures(self.version(Action.REPO_DISCOVER))
        return Response(
            [
                {
                    "signer": row.signer,
                    "algorithm": row.algorithm,
                    "key_id": row.key_id,
                    "public_pem": row.public_pem,
                    "bundle": signing.bundle_from(row.key_id, bytes(row.statement), bytes(row.signature)),
                    "created_at": row.created_at,
                }
                for row in rows
            ]
        )


class RepoExports(RepoView):
    @extend_schema(responses=ExportList, tags=_TAGS)
    def get(self, request: Request, **names: str) -> Response:
        """The latest exports of the repository, newest first; for who administers it."""
        repo = self.repo(Action.REPO_ADMIN)
        return Response({"items": [_export(self, each) for each in exports.exports_of(self.actor, repo=repo)]})

    @extend_schema(request=None, responses={201: ExportWire}, parameters=[KEY_PARAMETER], tags=_TAGS)
    def post(self, request: Request, **names: str) -> Response:
        """Have an archive made: git, large files and JSON (docs/moves.md). While one is under way, it is that."""
        repo = self.repo(Action.REPO_ADMIN)
        return self.creating(lambda: _export(self, exports.ask_for_export(self.actor, repo=repo)))


class NamespaceExports(View):
    @extend_schema(responses=ExportList, tags=_TAGS)
    def get(self, request: Request, name: str) -> Response:
        """The latest exports of a whole namespace, newest first; for who manages it."""
        namespace = require_namespace(self.actor, name, Action.NAMESPACE_MANAGE)
        found = exports.exports_of(self.actor, namespace=namespace)
        return Response({"items": [_export(self, each) for each in found]})

    @extend_schema(request=None, responses={201: ExportWire}, parameters=[KEY_PARAMETER], tags=_TAGS)
    def post(self, request: Request, name: str) -> Response:
        """Have an archive made of all repositories and collections of the namespace. While one is under way, it is that."""
        namespace = require_namespace(self.actor, name, Action.NAMESPACE_MANAGE)
        return self.creating(lambda: _export(self, exports.ask_for_export(self.actor, namespace=namespace)))


class ExportOne(View):
    @extend_schema(responses=ExportWire, tags=_TAGS)
    def get(self, request: Request, uuid: UUID) -> Response:
        """An export, for who administers what it is of."""
        return Response(_export(self, exports.require_export(self.actor, uuid)))

    @extend_schema(responses={204: None}, tags=_TAGS)
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Delete the archive before its time."""
        exports.remove_export(self.actor, uuid)
        return Response(status=204)


class ExportContent(View):
    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY}, tags=_TAGS)
    def get(self, request: Request, uuid: UUID) -> StreamingHttpResponse:
        """The archive, a tar."""
        export, reader = exports.open_export(self.actor, uuid)
        return StreamingHttpResponse(
            reader,
            content_type="application/x-tar",
            headers={
                "Content-Length": str(export.size_bytes),
                "Content-Disposition": f'attachment; filename="{export.filename}"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, no-store",
            },
        )


class Imports(View):
    @extend_schema(request=ImportNew, responses={201: ImportWire}, parameters=[KEY_PARAMETER], tags=_TAGS)
    def post(self, request: Request) -> Response:
        """Announce an export that is to be imported; then PUT the archive to `href`."""
        self.actor.require_authenticated()
        given = self.given(ImportNew)
        return self.creating(
            lambda: _import(
                self,
                imports.begin_import(self.actor, given["namespace"], given["size_bytes"], name=given["name"]),
            )
        )


class ImportOne(View):
    @extend_schema(responses=ImportWire, tags=_TAGS)
    def get(self, request: Request, uuid: UUID) -> Response:
        """An import of the caller's own, and what became of it."""
        return Response(_import(self, imports.require_import(self.actor, uuid)))


class ImportContent(View):
    parser_classes = (RawParser,)

    @extend_schema(request={"application/octet-stream": OpenApiTypes.BINARY}, responses=ImportWire, tags=_TAGS)
    def put(self, request: Request, uuid: UUID) -> Response:
        """The bytes of the announced archive, streamed; then it is checked and imported."""
        imports.require_import(self.actor, uuid)
        stream: Any = request.data
        row = imports.receive_import(self.actor, uuid, iter(lambda: stream.read(1024 * 1024), b""))
        return Response(_import(self, row))


def _export(view: View, row: "Export") -> dict[str, Any]:
    is_ready = row.state == ExportState.READY
    return {
        "uuid": row.uuid,
        "namespace": row.namespace.name,
        "repo": f"{row.repo.namespace.name}/{row.repo.name}" if row.repo else None,
        "state": row.state,
        "problem": row.problem,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "summary": row.summary or None,
        "asked_by": row.user.username if row.user else "",
        "created_at": row.created_at,
        "ready_at": row.ready_at,
        "expires_at": row.expires_at,
        "href": view.request.build_absolute_uri(f"/api/v1/exports/{row.uuid}/content") if is_ready else None,
    }


def _import(view: View, row: "Import") -> dict[str, Any]:
    is_open = row.state == ImportState.OPEN
    return {
        "uuid": row.uuid,
        "namespace": row.namespace.name,
        "name": row.name,
        "size_bytes": row.size_bytes,
        "state": row.state,
        "problem": row.problem,
        "repositories": row.result.get("repositories", []),
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "expires_at": row.expires_at,
        "href": view.request.build_absolute_uri(f"/api/v1/imports/{row.uuid}/content") if is_open else None,
    }
