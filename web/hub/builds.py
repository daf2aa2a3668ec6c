"""What the pages show of builds: a line for each, and the comparison with the original that a job made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from registry import build_queries, queries
from registry.safety_queries import HELD, NOT_SCANNED
from registry.states import BuildFormat, RepoKind
from web.hub.forms import YankForm
from web.links import job_url, version_url, with_query

if TYPE_CHECKING:
    from registry.models import Build, Repo, Version

TITLES = {BuildFormat.ONNX: "ONNX", BuildFormat.OPENVINO: "OpenVINO"}
RECIPES = {BuildFormat.ONNX: "convert-onnx", BuildFormat.OPENVINO: "convert-openvino"}
"""By which recipe each is made."""


@dataclass(frozen=True)
class Report:
    """A comparison with the original. `rows`: what was looked at, and what was found."""

    is_equivalent: bool
    rows: list[tuple[str, str]]

    @classmethod
    def of(cls, given: object) -> "Report | None":
        """None for what is no comparison: programs of jobs write it."""
        if not isinstance(given, Mapping) or "max_difference" not in given:
            return None

        def figure(key: str) -> str:
            value = given.get(key)
            return f"{value:.2g}" if isinstance(value, int | float) else "–"

        def count(key: str) -> str:
            value = given.get(key)
            return f"{value:,}" if isinstance(value, int) else "–"

        agreement = given.get("label_agreement")
        rows = [
            ("Compared on", f"{count('real_rows')} inputs of {given.get('dataset') or 'the evaluation data'}"),
            ("and on", f"{count('boundary_rows')} cases made up where it is hardest"),
            ("Largest difference", figure("max_absolute_difference")),
            ("relative to the answer", figure("max_relative_difference")),
            ("as judged", f"{figure('max_difference')} of {figure('tolerance')} allowed"),
            ("Labels agree", f"{agreement:.2%}" if isinstance(agreement, int | float) else "–"),
        ]
        return cls(given.get("is_equivalent") is True, rows)


@dataclass(frozen=True)
class FileRow:
    path: str
    size_bytes: int
    href: str
    verdict: str
    """As the badge of a file: a verdict, `quarantine`, or that it is not scanned yet."""


@dataclass(frozen=True)
class BuildRow:
    """`files` have no address for who may not read them; the rest is empty where it is not open to who looks."""

    uuid: str
    title: str
    target: str
    program: str
    program_sha256: str
    sha256: str
    size_bytes: int
    files: list[FileRow]
    report: Report | None
    came_from: str
    """The site that compared it, when that is another one."""
    author: str
    created_at: datetime
    withdrawn: str
    withdrawn_at: datetime | None
    job_href: str
    deploy_href: str
    withdrawal_href: str
    form: YankForm | None


@dataclass(frozen=True)
class BuildsView:
    """The section of a version's page. `makers`: (label, address) of the jobs that make one."""

    rows: list[BuildRow]
    makers: list[tuple[str, str]]

    @classmethod
    def of(cls, repo: "Repo", version: "Version", *, can_read: bool, can_write: bool, is_in_use: bool) -> "BuildsView":
        """A query for the builds and one each for files, marks, verdicts and quarantines, however many there are."""
        builds = list(build_queries.builds_of(version)[: build_queries.BUILD_LIMIT])
        refs = [each.blob_id for build in builds for each in build.files.all()]
        verdicts = queries.verdicts_of_blobs(repo, refs) if refs else {}
        held = queries.held_back(repo.pk, refs) if refs else {}
        badges = {ref: HELD if ref in held else str(verdicts.get(ref, NOT_SCANNED)) for ref in refs}
        rows = [
            _row(repo, version, build, badges, can_read=can_read, can_write=can_write, is_in_use=is_in_use)
            for build in builds
        ]
        makes = repo.kind == RepoKind.MODEL and can_write and is_in_use
        makers = [
            (TITLES[each], with_query(f"/jobs/new/{RECIPES[each]}", version=str(version.uuid))) for each in BuildFormat
        ]
        return cls(rows, makers if makes else [])


def _row(
    repo: "Repo",
    version: "Version",
    build: "Build",
    badges: Mapping[int, str],
    *,
    can_read: bool,
    can_write: bool,
    is_in_use: bool,
) -> BuildRow:
    mark = build_queries.withdrawal_of(build)
    files = [
        FileRow(
            each.path,
            each.blob.size_bytes,
            _file_href(repo, version, build, each.path) if can_read and badges[each.blob_id] != HELD else "",
            badges[each.blob_id],
        )
        for each in build.files.all()
    ]
    is_held = any(each.verdict == HELD for each in files)
    may_deploy = can_read and is_in_use and mark is None and not is_held and build.format == BuildFormat.ONNX
    return BuildRow(
        uuid=str(build.uuid),
        title=TITLES[BuildFormat(build.format)],
        target=build.target,
        program=build.program,
        program_sha256=build.program_sha256,
        sha256=build.sha256,
        size_bytes=build.size_bytes,
        files=files,
        report=Report.of(build.equivalence),
        came_from=build.came_from,
        author=build.created_by.username if build.created_by else "",
        created_at=build.created_at,
        withdrawn=mark.reason if mark else "",
        withdrawn_at=mark.created_at if mark else None,
        job_href=job_url(build.job_uuid) if build.job_uuid and can_write and not build.came_from else "",
        deploy_href=with_query("/endpoints/new", version=str(version.uuid), build=str(build.uuid))
        if may_deploy
        else "",
        withdrawal_href=f"{version_url(repo, version.name)}/builds/{build.uuid}/withdrawal" if can_write else "",
        form=YankForm(auto_id=f"id_{build.uuid}_%s") if can_write and mark is None else None,
    )


def _file_href(repo: "Repo", version: "Version", build: "Build", path: str) -> str:
    parts: list[Any] = [repo.kind, repo.namespace.name, repo.name, "versions", version.name, "builds", build.uuid]
    return "/api/v1/repos/" + "/".join(quote(str(part)) for part in (*parts, "files", path))
