"""What namespaces store, and what was deleted."""

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import View
from api.v1.registry import wire
from registry import storage_queries
from registry.services import quotas, repos

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Namespace

LARGEST = 1000


class RepoStorageWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(wire.KINDS)
    name = serializers.CharField()
    files = serializers.IntegerField()
    stored_bytes = serializers.IntegerField(help_text="Of all commits, each file once.")
    now_bytes = serializers.IntegerField(help_text="Of the default branch as it is.")
    condemned_bytes = serializers.IntegerField(help_text="Nothing leads to it any more; it will be removed.")
    deleted_at = serializers.DateTimeField(allow_null=True, help_text="It can be brought back while it is listed here.")


class StorageWire(serializers.Serializer):
    namespace = serializers.CharField()
    used_bytes = serializers.IntegerField(help_text="Each file once, in however many repositories it is.")
    limit_bytes = serializers.IntegerField(allow_null=True, help_text="Null: no quota.")
    condemned_bytes = serializers.IntegerField()
    repositories = RepoStorageWire(many=True, help_text=f"The {LARGEST} largest.")


class QuotaWire(serializers.Serializer):
    limit_bytes = serializers.IntegerField(
        allow_null=True, min_value=0, max_value=quotas.LARGEST, help_text="Null: the default of the site."
    )


class Storage(View):
    @extend_schema(responses=StorageWire, tags=["registry"])
    def get(self, request: Request, name: str) -> Response:
        """What the namespace stores, by repository; for who manages it, and for staff."""
        return Response(_storage(self._owner(name)))

    def _owner(self, name: str) -> "Namespace":
        if self.actor.is_staff:
            return require_namespace(self.actor, name)
        return require_namespace(self.actor, name, Action.NAMESPACE_MANAGE)


class Quota(View):
    @extend_schema(request=QuotaWire, responses=StorageWire, tags=["registry"])
    def put(self, request: Request, name: str) -> Response:
        """Set how much the namespace may store; for staff. What is stored above it stays."""
        self.actor.require_authenticated()
        given = self.given(QuotaWire)
        namespace = require_namespace(self.actor, name)
        quotas.set_quota(self.actor, namespace, given["limit_bytes"])
        return Response(_storage(namespace))


class Restoration(View):
    @extend_schema(request=None, responses=wire.RepoWire, tags=["registry"])
    def post(self, request: Request, uuid: "UUID") -> Response:
        """Bring a deleted repository back while it still has its files."""
        self.actor.require_authenticated()
        return Response(wire.repo(repos.restore_repo(self.actor, uuid)))


def _storage(namespace: "Namespace") -> dict[str, Any]:
    sums = storage_queries.storage_of(namespace)
    return {
        "namespace": namespace.name,
        "used_bytes": sums.used_bytes,
        "limit_bytes": sums.limit_bytes,
        "condemned_bytes": sums.condemned_bytes,
        "repositories": [
            {
                "uuid": str(repo.uuid),
                "kind": repo.kind,
                "name": repo.name,
                "files": repo.held_files,  # type: ignore[attr-defined]
                "stored_bytes": repo.held_bytes,  # type: ignore[attr-defined]
                "now_bytes": repo.now_bytes,  # type: ignore[attr-defined]
                "condemned_bytes": repo.condemned_bytes,  # type: ignore[attr-defined]
                "deleted_at": repo.deleted_at,
            }
            for repo in storage_queries.repositories_by_size(namespace)[:LARGEST]
        ],
    }
