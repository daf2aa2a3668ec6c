"""Importing repositories, and mirrors."""

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.base import KEY_PARAMETER, View
from api.v1.registry.views import RepoView
from api.v1.registry.wire import KINDS, VISIBILITIES
from registry.services import sources
from registry.services.sources import LONGEST_H, Wanted
from registry.states import SourceProtocol, SourceState, Visibility

if TYPE_CHECKING:
    from registry.models import RepoSource

_PROTOCOLS = [each.value for each in SourceProtocol]


class SourceNew(serializers.Serializer):
    """`protocol` git: `url` is what `git clone` takes. `hub`: `url` is the hub's own address, and `remote_name` the repository there.
    `every_h` makes it a mirror."""

    kind = serializers.ChoiceField(KINDS)
    namespace = serializers.CharField(max_length=96)
    name = serializers.CharField(max_length=96)
    visibility = serializers.ChoiceField(VISIBILITIES, default=Visibility.PRIVATE.value)
    description = serializers.CharField(max_length=400, required=False, default="", allow_blank=True)
    protocol = serializers.ChoiceField(_PROTOCOLS, default=SourceProtocol.GIT.value)
    url = serializers.CharField(max_length=500)
    remote_name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    username = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    token = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True, write_only=True)
    every_h = serializers.IntegerField(min_value=0, max_value=LONGEST_H, required=False, default=0)


class LoginNew(serializers.Serializer):
    """Another login at the source; without fields the present one stays."""

    username = serializers.CharField(max_length=200, required=False, allow_blank=True)
    token = serializers.CharField(max_length=1000, required=False, allow_blank=True, write_only=True)


class MirrorChange(LoginNew):
    every_h = serializers.IntegerField(min_value=1, max_value=LONGEST_H, required=False)


class SkippedWire(serializers.Serializer):
    ref = serializers.CharField()
    reason = serializers.CharField()


class RewrittenWire(serializers.Serializer):
    """A branch whose commits the source has dropped: it led to `before`."""

    branch = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    at = serializers.DateTimeField()


class SourceWire(serializers.Serializer):
    """`keeps_ids`: commits have the ids of the source; without git there, they are made anew. `problem`: why the last run failed."""

    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(KINDS)
    namespace = serializers.CharField()
    name = serializers.CharField()
    protocol = serializers.ChoiceField(_PROTOCOLS)
    url = serializers.CharField()
    remote_name = serializers.CharField(allow_blank=True)
    has_login = serializers.BooleanField()
    is_mirror = serializers.BooleanField()
    every_h = serializers.IntegerField()
    keeps_ids = serializers.BooleanField()
    state = serializers.ChoiceField([each.value for each in SourceState])
    progress = serializers.CharField(allow_blank=True)
    problem = serializers.CharField(allow_blank=True)
    failures_in_a_row = serializers.IntegerField()
    skipped = SkippedWire(many=True)
    rewritten = RewrittenWire(many=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    succeeded_at = serializers.DateTimeField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True)


class Sources(View):
    @extend_schema(request=SourceNew, responses={201: SourceWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request) -> Response:
        """Make a repository of what is elsewhere, with its history; it arrives by and by."""
        self.actor.require_authenticated()
        given = self.given(SourceNew)
        place = {name: given.pop(name) for name in ("kind", "namespace", "name", "visibility", "description")}

        def make() -> dict[str, Any]:
            repo = sources.import_repo(
                self.actor,
                place["kind"],
                place["namespace"],
                place["name"],
                Wanted(**given),
                visibility=place["visibility"],
                description=place["description"],
            )
            return _source(sources.source_of(repo))

        return self.creating(make)


class Source(RepoView):
    @extend_schema(responses=SourceWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Where the repository comes from, and how far its import is."""
        return Response(_source(sources.source_of(self.repo(Action.REPO_READ))))

    @extend_schema(request=MirrorChange, responses=SourceWire, tags=["registry"])
    def patch(self, request: Request, **names: str) -> Response:
        """Change how often a mirror looks at its source, or its login there."""
        repo = self.repo(Action.REPO_ADMIN)
        return Response(_source(sources.update_mirror(self.actor, repo, **self.given(MirrorChange))))

    @extend_schema(responses={204: None}, tags=["registry"])
    def delete(self, request: Request, **names: str) -> Response:
        """Stop mirroring, or give the import up. What has arrived stays."""
        sources.stop(self.actor, self.repo(Action.REPO_ADMIN))
        return Response(status=204)


class SourceRuns(RepoView):
    @extend_schema(request=LoginNew, responses={201: SourceWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request, **names: str) -> Response:
        """Look at a mirror's source now, or try a failed import again."""
        repo = self.repo(Action.REPO_WRITE)
        given = self.given(LoginNew)
        return self.creating(lambda: _source(sources.run_now(self.actor, repo, **given)))


def _source(row: "RepoSource") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "kind": row.repo.kind,
        "namespace": row.repo.namespace.name,
        "name": row.repo.name,
        "protocol": row.protocol,
        "url": row.url,
        "remote_name": row.remote_name,
        "has_login": bool(row.sealed_token),
        "is_mirror": row.is_mirror,
        "every_h": row.every_h,
        "keeps_ids": not row.is_without_git,
        "state": row.state,
        "progress": row.progress,
        "problem": row.problem,
        "failures_in_a_row": row.failures_in_a_row,
        "skipped": [{"ref": ref, "reason": reason} for ref, reason in row.skipped],
        "rewritten": row.rewritten,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "succeeded_at": row.succeeded_at,
        "next_at": row.next_at if row.is_mirror else None,
    }
