"""Content for a repository from elsewhere, on the wire."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, page_of
from api.v1.registry.views import RepoView
from common.pagination import keyset_page
from registry.services import preparations, uploads
from registry.states import PreparationState

if TYPE_CHECKING:
    from registry.models import Preparation


class PreparationNew(serializers.Serializer):
    """`source`: url, s3, mlflow, hub, or archive (one in this repository); `options`: what it must be told, secrets included, as
    docs/datasets.md lists it. `unpack`: the file at the address is an archive. `folder`: where the files go. `archive`: for the source of
    that name, in place of a path, the SHA-256 of a file that was sent by `uploads` and is in no commit."""

    source = serializers.CharField(max_length=24)  # type: ignore[assignment]  # hides the name of the inner field only
    options = serializers.DictField(child=serializers.CharField(max_length=4000, allow_blank=True), default=dict)
    branch = serializers.CharField(max_length=200, default="", allow_blank=True)
    folder = serializers.CharField(max_length=1000, default="", allow_blank=True)
    summary = serializers.CharField(max_length=300, default="", allow_blank=True)
    unpack = serializers.BooleanField(default=False)
    archive = serializers.RegexField(r"\A[0-9a-f]{64}\Z", required=False)


class PreparationAgain(serializers.Serializer):
    """`secrets`: those that were given at first; they are thrown away when a preparation ends."""

    secrets = serializers.DictField(child=serializers.CharField(max_length=4000), default=dict)


class PreparationWire(serializers.Serializer):
    """`file_count` and `size_bytes` are null while they are not known. `secrets` names those that a retry needs. `facts`: what the source
    knows of how the files came about."""

    uuid = serializers.UUIDField()
    state = serializers.ChoiceField([each.value for each in PreparationState])
    problem = serializers.CharField(allow_blank=True)
    source = serializers.CharField()  # type: ignore[assignment]
    options = serializers.DictField()
    secrets = serializers.ListField(child=serializers.CharField())
    address = serializers.CharField()
    branch = serializers.CharField()
    folder = serializers.CharField(allow_blank=True)
    file_count = serializers.IntegerField(allow_null=True)
    files_done = serializers.IntegerField()
    size_bytes = serializers.IntegerField(allow_null=True)
    bytes_done = serializers.IntegerField()
    facts = serializers.DictField()
    commit = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class Preparations(RepoView):
    @extend_schema(responses=page_of(PreparationWire), parameters=PAGE_PARAMETERS, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Content that was asked for from elsewhere, newest first. For those who may write."""
        rows = preparations.preparations_of(self.repo(Action.REPO_WRITE))
        page = keyset_page(rows, order=("-id",), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, preparation)

    @extend_schema(
        request=PreparationNew, responses={201: PreparationWire}, parameters=[KEY_PARAMETER], tags=["registry"]
    )
    def post(self, request: Request, **names: str) -> Response:
        """Ask for files from an address, a bucket, a run of MLflow, another hub or an archive, in one commit on a branch."""
        repo, given = self.repo(Action.REPO_WRITE), self.given(PreparationNew)
        source, options = given.pop("source"), given.pop("options")
        if digest := given.pop("archive", None):
            given["archive"] = uploads.require_held(repo, digest)
        return self.creating(
            lambda: preparation(preparations.ask_for_preparation(self.actor, repo, source, options, **given))
        )


class PreparationOne(RepoView):
    @extend_schema(responses=PreparationWire, tags=["registry"])
    def get(self, request: Request, uuid: UUID, **names: str) -> Response:
        """How far a preparation is."""
        return Response(preparation(preparations.require_preparation(self.repo(Action.REPO_WRITE), uuid)))


class PreparationRetry(RepoView):
    @extend_schema(request=PreparationAgain, responses=PreparationWire, tags=["registry"])
    def post(self, request: Request, uuid: UUID, **names: str) -> Response:
        """Try again what failed or was cancelled."""
        row = preparations.require_preparation(self.repo(Action.REPO_WRITE), uuid)
        secrets = self.given(PreparationAgain)["secrets"]
        return Response(preparation(preparations.retry_preparation(self.actor, row, secrets)))


class PreparationCancellation(RepoView):
    @extend_schema(request=None, responses=PreparationWire, tags=["registry"])
    def post(self, request: Request, uuid: UUID, **names: str) -> Response:
        """Stop a preparation; nothing is committed then."""
        row = preparations.require_preparation(self.repo(Action.REPO_WRITE), uuid)
        return Response(preparation(preparations.cancel_preparation(self.actor, row)))


def preparation(row: "Preparation") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "state": row.state,
        "problem": row.problem,
        "source": row.source,
        "options": row.options,
        "secrets": row.secrets,
        "address": row.address,
        "branch": row.branch,
        "folder": row.folder,
        "file_count": row.file_count,
        "files_done": row.files_done,
        "size_bytes": row.size_bytes,
        "bytes_done": row.bytes_done,
        "facts": row.facts,
        "commit": row.commit_oid or None,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
    }
