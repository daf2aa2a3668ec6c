"""Builds of a version: what they are, their files, their withdrawal. They are made by jobs: `POST /jobs` with a recipe that makes one."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.hf.views_resolve import send_blob
from api.v1.base import PAGE_PARAMETERS, page_of
from api.v1.registry import builds_wire as wire
from api.v1.registry.version_views import VersionView
from registry import build_queries
from registry.services import builds, quarantine


class BuildView(VersionView):
    """A view of one build of the version in the address."""

    def build(self, action: Action) -> Any:
        return build_queries.build_named(self.version(action), self.kwargs["build"])


class Builds(VersionView):
    @extend_schema(responses=page_of(wire.BuildWire), parameters=PAGE_PARAMETERS, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """The builds of the version, the newest first, withdrawn ones too."""
        version = self.version(Action.REPO_DISCOVER)
        page = build_queries.page_of_builds(version, cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.build)


class Build(BuildView):
    @extend_schema(responses=wire.BuildWire, tags=["registry"])
    def get(self, request: Request, build: UUID, **names: str) -> Response:
        """One build with the comparison that proves it."""
        return Response(wire.build(self.build(Action.REPO_DISCOVER)))


class BuildFile(BuildView):
    @extend_schema(
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
        },
        parameters=[OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range: `bytes=0-1023`.")],
        tags=["registry"],
    )
    def get(self, request: Request, build: UUID, path: str, **names: str) -> HttpResponseBase:
        """The bytes of a file of a build, or a range of them."""
        found = self.build(Action.REPO_READ)
        blob = build_queries.file_of(found, path)
        quarantine.require_free(found.version.repo, [blob], actor=self.actor)
        return send_blob(request, blob, filename=path.rpartition("/")[2], headers={"ETag": f'"{blob.sha256}"'})


class Withdrawal(BuildView):
    @extend_schema(request=wire.BuildWithdrawalNew, responses=wire.BuildWire, tags=["registry"])
    def put(self, request: Request, build: UUID, **names: str) -> Response:
        """Withdraw the build: its address still fetches it, and nothing new is made with it. A second call changes nothing."""
        found, given = self.build(Action.REPO_WRITE), self.given(wire.BuildWithdrawalNew)
        return Response(wire.build(builds.withdraw_build(self.actor, found, reason=given["reason"])))

    @extend_schema(responses=wire.BuildWire, tags=["registry"])
    def delete(self, request: Request, build: UUID, **names: str) -> Response:
        """Take the withdrawal back."""
        return Response(wire.build(builds.restore_build(self.actor, self.build(Action.REPO_WRITE))))
