"""Repositories, their files, history and versions."""

import base64
import binascii
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import holder_by_uuid
from api.standing import standing_headers
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, entity_tag, page_of
from api.v1.registry import wire
from api.v1.sharing import RepoShareNew, SharesWire, share_with, shares
from common.errors import Invalid
from registry import policies, queries
from registry.services import commits, quarantine, refs, repos, sharing, storage, uploads

REVISION = OpenApiParameter(
    "revision", str, description="Branch, tag, version or commit id; the default branch by default."
)
PATH = OpenApiParameter("path", str, description="Path from the root of the repository.")


class RepoView(View):
    """A view of one repository, named by kind, namespace and name."""

    def repo(self, action: Action) -> Any:
        """The repository in the address, on which the caller may do `action`."""
        names = self.kwargs
        return policies.require_repo(self.actor, names["kind"], names["namespace"], names["name"], action)

    def commit(self, repo: Any) -> Any:
        """The commit that `?revision=` names."""
        revision = self.request.query_params.get("revision") or f"refs/heads/{repo.default_branch}"
        return queries.resolve_revision(repo, revision)


class Repos(View):
    @extend_schema(
        responses=page_of(wire.RepoWire),
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("kind", str, enum=wire.KINDS),
            OpenApiParameter("namespace", str),
            OpenApiParameter("search", str, description="Words that must stand in the name."),
            OpenApiParameter("tag", str, many=True),
            OpenApiParameter("sort", str, enum=list(queries.SORTS)),
        ],
        tags=["registry"],
    )
    def get(self, request: Request) -> Response:
        """The repositories that the caller may discover."""
        params = request.query_params
        kind, sort = params.get("kind"), params.get("sort", "updated")
        if kind is not None and kind not in wire.KINDS:
            raise Invalid("There is no such kind.", fields={"kind": f"one of {', '.join(wire.KINDS)}"})
        if sort not in queries.SORTS:
            raise Invalid("There is no such order.", fields={"sort": f"one of {', '.join(queries.SORTS)}"})
        page = queries.search_repos(
            self.actor,
            kind=kind,
            words=params.get("search", "").split()[:10],
            tags=params.getlist("tag")[:10],
            namespace=params.get("namespace"),
            sort=sort,
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        return self.paged(page, wire.repo)

    @extend_schema(request=wire.RepoNew, responses={201: wire.RepoWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request) -> Response:
        """Create a repository with an empty first commit."""
        self.actor.require_authenticated()
        given = self.given(wire.RepoNew)
        return self.creating(
            lambda: wire.repo(
                repos.create_repo(
                    self.actor,
                    given["kind"],
                    given["namespace"],
                    given["name"],
                    visibility=given["visibility"],
                    description=given["description"],
                )
            )
        )


class RepoOne(RepoView):
    @extend_schema(responses=wire.RepoWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """One repository. Its `ETag` goes into the `If-Match` of a change."""
        repo = self.repo(Action.REPO_DISCOVER)
        return Response(wire.repo(repo), headers={"ETag": f'"{_tag(repo)}"'})

    @extend_schema(request=wire.RepoChange, responses=wire.RepoWire, tags=["registry"])
    def patch(self, request: Request, **names: str) -> Response:
        """Change visibility, gate or description."""
        repo = self.repo(Action.REPO_ADMIN)
        self.check_match(_tag(repo))
        return Response(wire.repo(repos.update_settings(self.actor, repo, **self.given(wire.RepoChange, partial=True))))

    @extend_schema(responses={204: None}, tags=["registry"])
    def delete(self, request: Request, **names: str) -> Response:
        """Take the repository away from everybody, at once."""
        repos.delete_repo(self.actor, self.repo(Action.REPO_ADMIN))
        return Response(status=204)


class RepoName(RepoView):
    @extend_schema(request=wire.RepoPlace, responses=wire.RepoWire, tags=["registry"])
    def put(self, request: Request, **names: str) -> Response:
        """Give it another name or namespace."""
        given = self.given(wire.RepoPlace)
        repo = self.repo(Action.REPO_ADMIN)
        return Response(wire.repo(repos.rename_repo(self.actor, repo, given["namespace"], given["name"])))


class Shares(RepoView):
    @extend_schema(responses=SharesWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Whom it is shared with; for those who administer it."""
        return Response(shares(self.repo(Action.REPO_ADMIN)))

    @extend_schema(request=RepoShareNew, responses=SharesWire, tags=["registry"])
    def put(self, request: Request, **names: str) -> Response:
        """Share it, in place of an earlier share with the same holder. A second call changes nothing."""
        return Response(share_with(self, self.repo(Action.REPO_ADMIN), RepoShareNew, sharing.share))


class Share(RepoView):
    @extend_schema(responses={204: None}, tags=["registry"])
    def delete(self, request: Request, holder_kind: str, holder: UUID, **names: str) -> Response:
        """Take a share back; roles and bought rights stay."""
        sharing.unshare(self.actor, self.repo(Action.REPO_ADMIN), holder_by_uuid(holder_kind, holder))
        return Response(status=204)


class Tree(RepoView):
    @extend_schema(
        responses=page_of(wire.EntryWire),
        parameters=[*PAGE_PARAMETERS, REVISION, PATH, OpenApiParameter("recursive", bool)],
        tags=["registry"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """Files and folders below a path."""
        repo = self.repo(Action.REPO_DISCOVER)
        commit = self.commit(repo)
        entries, following = queries.list_tree(
            commit,
            request.query_params.get("path", "").strip("/"),
            recursive=request.query_params.get("recursive", "") in {"1", "true"},
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        files = [each.ref for each in entries if not each.is_dir]
        scans, held = queries.scans_of_blobs(repo, files), queries.held_back(repo.pk, files)
        rows = [
            wire.entry(each) if each.is_dir else wire.entry(each, scans.get(each.ref), is_held=each.ref in held)
            for each in entries
        ]
        return self.listed(rows, following)


class File(RepoView):
    @extend_schema(
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
        parameters=[REVISION, PATH],
        tags=["registry"],
    )
    def get(self, request: Request, **names: str) -> StreamingHttpResponse:
        """The bytes of a file, as a download."""
        repo = self.repo(Action.REPO_READ)
        commit = self.commit(repo)
        entry = queries.entry_at(commit, request.query_params.get("path", ""))
        if entry.is_dir:
            raise Invalid("This is a folder: list it with /tree.", fields={"path": "a folder"})
        quarantine.require_free(repo, [entry.ref], actor=self.actor)
        reader = storage.open_blob(queries.blob_of(entry))
        return StreamingHttpResponse(
            reader,
            content_type="application/octet-stream",
            headers={
                "Content-Length": str(entry.size_bytes),
                "Content-Disposition": "attachment",
                "X-Content-Type-Options": "nosniff",
                "ETag": f'"{entry.sha256 or entry.oid}"',
            }
            | standing_headers(repo, request.query_params.get("revision", "")),
        )


class Safety(RepoView):
    @extend_schema(responses=wire.SafetyWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """What scanning says of the newest commit, and what is or was under quarantine."""
        repo = self.repo(Action.REPO_READ)
        held = queries.quarantines_of(repo)
        return Response(wire.safety(queries.repo_scan(repo), queries.head_of(repo).oid, held))


class FileSafety(RepoView):
    @extend_schema(responses=wire.FileScanWire, parameters=[REVISION, PATH], tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """What scanning says of one file, with its reasons."""
        repo = self.repo(Action.REPO_READ)
        entry = queries.entry_at(self.commit(repo), request.query_params.get("path", ""))
        if entry.is_dir:
            raise Invalid("This is a folder: /tree says what its files are.", fields={"path": "a folder"})
        scan = queries.scans_of_blobs(repo, [entry.ref]).get(entry.ref)
        return Response(wire.file_scan(entry.path, scan, queries.held_back(repo.pk, [entry.ref]).get(entry.ref)))


class Quarantines(RepoView):
    @extend_schema(
        request=wire.QuarantineNew,
        responses={201: wire.QuarantineWire},
        parameters=[KEY_PARAMETER],
        tags=["registry"],
    )
    def post(self, request: Request, **names: str) -> Response:
        """Hold a file back: nobody downloads, serves or runs it. By its owner in this repository, by staff everywhere."""
        repo = self.repo(Action.REPO_READ if self.actor.is_staff else Action.REPO_ADMIN)
        given = self.given(wire.QuarantineNew)
        revision = given["revision"] or f"refs/heads/{repo.default_branch}"
        entry = queries.entry_at(queries.resolve_revision(repo, revision), given["path"])
        return self.creating(
            lambda: wire.quarantine(quarantine.quarantine_file(self.actor, repo, entry, given["reason"]))
        )


class Release(RepoView):
    @extend_schema(request=wire.ReleaseNew, responses=wire.QuarantineWire, tags=["registry"])
    def post(self, request: Request, *, uuid: UUID, **names: str) -> Response:
        """Let a file go again, with a reason. What scanning or staff hold back only staff can release."""
        self.repo(Action.REPO_READ if self.actor.is_staff else Action.REPO_ADMIN)
        return Response(wire.quarantine(quarantine.release(self.actor, uuid, self.given(wire.ReleaseNew)["reason"])))


class Commits(RepoView):
    @extend_schema(responses=page_of(wire.CommitWire), parameters=[*PAGE_PARAMETERS, REVISION], tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """History, newest first."""
        repo = self.repo(Action.REPO_DISCOVER)
        start = queries.resolve_revision(repo, self.cursor) if self.cursor else self.commit(repo)
        rows, following = queries.history(start, limit=self.page_limit())
        return self.listed([wire.commit(row) for row in rows], following)

    @extend_schema(
        request=wire.CommitNew, responses={201: wire.CommitWire}, parameters=[KEY_PARAMETER], tags=["registry"]
    )
    def post(self, request: Request, **names: str) -> Response:
        """Make a commit of up to 1000 operations, all or nothing. `parent` must be the head, when given."""
        repo = self.repo(Action.REPO_WRITE)
        given = self.given(wire.CommitNew)
        return self.creating(
            lambda: wire.commit(
                commits.create_commit(
                    self.actor,
                    repo,
                    given["branch"],
                    [_operation(each, given["branch"]) for each in given["operations"]],
                    summary=given["summary"],
                    description=given["description"],
                    parent=given["parent"],
                )
            )
        )


class Refs(RepoView):
    @extend_schema(responses=wire.RefsWire, tags=["registry"])
    def get(self, request: Request, **names: str) -> Response:
        """Branches and tags."""
        branches, tags = queries.refs_of(self.repo(Action.REPO_DISCOVER))
        return Response({"branches": [wire.branch(row) for row in branches], "tags": [wire.tag(row) for row in tags]})


class Branches(RepoView):
    @extend_schema(request=wire.BranchNew, responses={201: wire.RefWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request, **names: str) -> Response:
        """Make a branch."""
        repo, given = self.repo(Action.REPO_WRITE), self.given(wire.BranchNew)
        return self.creating(
            lambda: wire.branch(refs.create_branch(self.actor, repo, given["name"], given["revision"]))
        )


class Branch(RepoView):
    @extend_schema(responses={204: None}, tags=["registry"])
    def delete(self, request: Request, ref: str, **names: str) -> Response:
        """Remove a branch."""
        refs.delete_branch(self.actor, self.repo(Action.REPO_WRITE), ref)
        return Response(status=204)


class Tags(RepoView):
    @extend_schema(request=wire.TagNew, responses={201: wire.RefWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request, **names: str) -> Response:
        """Make a tag."""
        repo, given = self.repo(Action.REPO_WRITE), self.given(wire.TagNew)
        return self.creating(
            lambda: wire.tag(
                refs.create_tag(self.actor, repo, given["name"], given["revision"], message=given["message"])
            )
        )


class Tag(RepoView):
    @extend_schema(responses={204: None}, tags=["registry"])
    def delete(self, request: Request, ref: str, **names: str) -> Response:
        """Remove a tag that is not a version's."""
        refs.delete_tag(self.actor, self.repo(Action.REPO_WRITE), ref)
        return Response(status=204)


class Uploads(RepoView):
    @extend_schema(request=wire.UploadNew, responses={201: wire.UploadWire}, tags=["registry"])
    def post(self, request: Request, **names: str) -> Response:
        """Announce a large file; repeated, it is the same upload."""
        repo, given = self.repo(Action.REPO_WRITE), self.given(wire.UploadNew)
        upload = uploads.begin(self.actor, repo, given["sha256"], given["size_bytes"])
        if upload is None:
            return Response({**given, "uuid": None, "href": None, "expires_at": None}, status=201)
        href = request.build_absolute_uri(f"{request.path}/{upload.uuid}/content")
        return Response(wire.upload(upload, href), status=201)


class RawParser(BaseParser):
    """The body as it comes: the view streams it."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream


class UploadContent(RepoView):
    parser_classes = (RawParser,)

    @extend_schema(request={"application/octet-stream": OpenApiTypes.BINARY}, responses={204: None}, tags=["registry"])
    def put(self, request: Request, uuid: UUID, **names: str) -> Response:
        """The bytes of an announced file; size and digest must be as announced."""
        repo = self.repo(Action.REPO_WRITE)
        upload = uploads.require_upload(repo, uuid)
        stream: Any = request.data
        uploads.receive(upload.uuid, iter(lambda: stream.read(1024 * 1024), b""))
        return Response(status=204)


def _operation(given: dict[str, Any], branch: str) -> commits.Operation:
    path = given["path"]
    match given["op"]:
        case "delete":
            return commits.DeleteFile(path)
        case "copy":
            if "source_path" not in given:
                raise Invalid("A copy needs source_path.", fields={"source_path": "missing"})
            return commits.CopyFile(given["source_path"], path, given.get("source_revision") or branch)
    if "sha256" in given:
        return commits.AddLfs(path, given["sha256"], given.get("size_bytes"))
    if "content" not in given:
        raise Invalid("An added file needs content or sha256.", fields={"content": "missing"})
    try:
        content = base64.b64decode(given["content"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("content must be base64.", fields={"content": "not base64"}) from error
    return commits.AddFile(path, storage.store_bytes(content))


def _tag(repo: Any) -> str:
    return entity_tag(repo.uuid, repo.visibility, repo.gate, repo.description)
