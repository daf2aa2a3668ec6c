"""What is seen of builds once inside the repository of their version."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import NotFound
from common.pagination import Page, keyset_page
from registry.models import Blob, Build, BuildFile, BuildMark, Quarantine, Version
from registry.policies import require_version, visible_repos
from registry.queries import entry_at_or_none, held_back
from registry.states import BuildFormat, BuildMarkKind

GRAPH = "model.onnx"
"""The file of a version, or of its ONNX build, that is served and asked."""
BUILD_LIMIT = 100
"""Builds of a version that pages and documents name."""


def builds_of(version: Version) -> QuerySet[Build]:
    """The builds of a version, newest first, with files, marks and who made them. Withdrawn ones are among them."""
    return _whole(Build.objects.filter(version=version)).order_by("-created_at", "-pk")


def page_of_builds(version: Version, *, cursor: str | None, limit: int) -> Page[Build]:
    """Builds, newest first, a keyset page."""
    return keyset_page(builds_of(version), order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def build_named(version: Version, uuid: UUID | str) -> Build:
    """The build of this version. Raises NotFound."""
    build = builds_of(version).filter(uuid=uuid).first()
    if build is None:
        raise NotFound(f"{version.name} has no such build.")
    return build


def build_by_uuid(uuid: UUID | str) -> Build:
    """For callers that hold a right already (a task, a job). Raises NotFound."""
    build = _whole(Build.objects.filter(uuid=uuid)).first()
    if build is None:
        raise NotFound("There is no such build.")
    return build


def require_build(actor: Actor, uuid: UUID | str, action: Action) -> Build:
    """The build on the repository of whose version `actor` may do `action`. Raises NotFound, AccessNeeded, Forbidden."""
    build = build_by_uuid(uuid)
    build.version = require_version(actor, build.version.uuid, action)
    return build


def visible_builds(actor: Actor) -> QuerySet[Build]:
    """Builds of versions of the repositories that the actor may discover."""
    builds = Build.objects.filter(version__repo__in=visible_repos(actor).values("pk"))
    return builds.select_related("version__repo__namespace")


def file_of(build: Build, path: str) -> Blob:
    """The bytes of one file. No query when the files are fetched ahead. Raises NotFound."""
    for each in build.files.all():
        if each.path == path:
            return each.blob
    raise NotFound(f"The build has no file {path[:200]}.")


def withdrawal_of(build: Build) -> BuildMark | None:
    """The mark by which the build is withdrawn, None when it is in use. No query when the marks are fetched ahead."""
    last = max(build.marks.all(), key=lambda mark: mark.pk, default=None)
    return last if last is not None and last.kind == BuildMarkKind.WITHDRAWN else None


def graph_build(version: Version) -> Build | None:
    """The build that stands in where the version has no `model.onnx`: its newest ONNX build that is neither withdrawn nor under
    quarantine. None when the version has its own graph, or no such build."""
    if entry_at_or_none(version.commit, GRAPH) is not None:
        return None
    for build in builds_of(version).filter(format=BuildFormat.ONNX)[:BUILD_LIMIT]:
        blobs = [each.blob_id for each in build.files.all()]
        if withdrawal_of(build) is None and not held_back(version.repo_id, blobs):
            return build
    return None


def held_back_in_builds(uuids: Iterable[UUID | str]) -> Quarantine | None:
    """A quarantine that holds back some file of one of these builds. One query."""
    files = BuildFile.objects.filter(build__uuid__in=list(uuids))
    keys = dict(files.values_list("blob_id", "build__version__repo_id"))
    rows = Quarantine.objects.filter(released_at__isnull=True, blob_id__in=list(keys)) if keys else ()
    return next((row for row in rows if row.repo_id is None or row.repo_id == keys[row.blob_id]), None)


def formats_of(versions: Iterable[Version]) -> dict[int, list[str]]:
    """The formats in which there are builds in use, by the version's primary key. Three queries."""
    found: dict[int, list[str]] = {}
    for build in _whole(Build.objects.filter(version__in=[version.pk for version in versions])).order_by("pk"):
        formats = found.setdefault(build.version_id, [])
        if withdrawal_of(build) is None and build.format not in formats:
            formats.append(build.format)
    return found


def graph_builds_of(versions: Iterable[Version]) -> dict[int, list[Build]]:
    """The ONNX builds in use of these versions, newest first, by the version's primary key. Three queries."""
    keys = [version.pk for version in versions]
    found: dict[int, list[Build]] = {}
    rows = _whole(Build.objects.filter(Q(version__in=keys), format=BuildFormat.ONNX)).order_by("-created_at", "-pk")
    for build in rows:
        if withdrawal_of(build) is None:
            found.setdefault(build.version_id, []).append(build)
    return found


def _whole(builds: QuerySet[Build]) -> QuerySet[Build]:
    return builds.select_related("version__repo__namespace", "version__commit__tree", "created_by").prefetch_related(
        Prefetch("files", queryset=BuildFile.objects.select_related("blob").order_by("path")),
        Prefetch("marks", queryset=BuildMark.objects.order_by("pk")),
    )
