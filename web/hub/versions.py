"""What the pages about versions show: the list, and one version."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.conf import settings

from accounts.actors import Actor
from accounts.permissions import Action
from market import recall_queries
from registry import queries
from registry.queries import SCANNERS
from registry.services import environments, signing
from registry.services.cards import render_markdown
from registry.services.environments import Environment
from registry.services.profiles import known_profile
from registry.standing import Standing, standing_of
from registry.states import KeyAlgorithm, MeasurementKind, RepoKind
from web.hub.builds import BuildsView
from web.hub.data import validity_of
from web.hub.forms import CorrectionForm
from web.hub.heads import RepoHead
from web.hub.history import Trend
from web.hub.pages import Fact, figures_of
from web.links import repo_url, version_url, with_query
from web.market.recall_pages import Banner
from web.signing import ALGORITHM_TITLES, signing_commands
from web.templatetags.ui import number, size

if TYPE_CHECKING:
    from registry.models import ImportedRepo, Measurement, Repo, Version

VERSION_LIMIT = 200
MOVES_LIMIT = 20


@dataclass(frozen=True)
class VersionRow:
    name: str
    url: str
    uuid: str
    commit_oid: str
    commit_href: str
    tree_href: str
    figures: list[Fact]
    size_bytes: int
    file_count: int
    verdict: str
    created_at: datetime
    author: str
    aliases: list[str]
    standing: Standing
    is_latest: bool
    is_signed: bool

    @classmethod
    def of(cls, repo: "Repo", version: "Version", latest: str, author: str) -> "VersionRow":
        """`latest`: the name of the newest version."""
        return cls(
            name=version.name,
            url=repo_url(repo, "versions", version.name),
            uuid=str(version.uuid),
            commit_oid=version.commit.oid,
            commit_href=repo_url(repo, "commit", version.commit.oid),
            tree_href=repo_url(repo, "tree", version.name),
            figures=figures_of(version.metrics)[:3],
            size_bytes=version.commit.tree.total_bytes,
            file_count=version.commit.tree.file_count,
            verdict=verdict_of(version),
            created_at=version.created_at,
            author=author,
            aliases=[alias.name for alias in version.aliases.all()],
            standing=standing_of(version),
            is_latest=version.name == latest,
            is_signed=bool(version.signatures.all()),
        )


@dataclass(frozen=True)
class AliasMoveRow:
    name: str
    target: str
    target_href: str
    before: str
    author: str
    created_at: datetime


@dataclass(frozen=True)
class VersionsPage:
    title: str
    head: RepoHead
    versions: list[VersionRow]
    moves: list[AliasMoveRow]
    compare_href: str
    trend: Trend | None
    form: Any

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, form: Any, metric: str = "") -> "VersionsPage":
        head = RepoHead.of(repo, actor, "versions")
        versions = list(queries.versions_of(repo)[:VERSION_LIMIT])
        latest = queries.latest_name(repo)
        moves = queries.alias_moves_of(repo, limit=MOVES_LIMIT)
        authors, movers = queries.authors_of(repo, "version", versions), queries.authors_of(repo, "move", moves)
        return cls(
            title=f"Versions of {head.full_name}",
            head=head,
            versions=[VersionRow.of(repo, version, latest, authors[version.pk]) for version in versions],
            moves=[
                AliasMoveRow(
                    name=move.name,
                    target=move.version.name if move.version else "",
                    target_href=version_url(repo, move.version.name) if move.version else "",
                    before=move.before.name if move.before else "",
                    author=movers[move.pk],
                    created_at=move.created_at,
                )
                for move in moves
            ],
            compare_href=repo_url(repo, "compare") if len(versions) > 1 else "",
            trend=Trend.of(repo, versions, metric),
            form=form if head.can_write else None,
        )


@dataclass(frozen=True)
class Metric:
    """`source`: on which data; `origin`: where the figure comes from; `author`, `added_at`: who added it after the release and when."""

    name: str
    value: float
    low: float | None
    high: float | None
    n: int | None
    source: str
    origin: str = ""
    author: str = ""
    added_at: datetime | None = None
    correction: "Correction | None" = None


@dataclass(frozen=True)
class Correction:
    """How an entry that was added is withdrawn: `form` is None for those who may not."""

    href: str
    form: Any


@dataclass(frozen=True)
class Withdrawn:
    """An entry that was wrong."""

    name: str
    said: str
    author: str
    added_at: datetime
    reason: str
    withdrawn_by: str
    withdrawn_at: datetime


@dataclass(frozen=True)
class LockPart:
    """The environment lock in short. `file_href` is empty for those who may not read the files."""

    environment: Environment
    href: str
    file_href: str
    package_count: int
    loose_count: int
    loose: list[str]


@dataclass(frozen=True)
class Tensor:
    name: str
    datatype: str
    shape: str
    detail: str


@dataclass(frozen=True)
class Finding:
    path: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Machine:
    """What was measured on one piece of hardware; "" where nothing was."""

    name: str
    batch_size: str
    p50: str
    p99: str
    throughput: str
    memory_bytes: int | None
    runtime: str
    origin: str
    author: str
    added_at: datetime
    correction: Correction | None


@dataclass(frozen=True)
class Table:
    name: str
    fields: list[tuple[str, str, str]]
    """Name, type, description."""


@dataclass(frozen=True)
class Signed:
    """`verdict`: good, good when it came, or broken; `revoked_at`: when its key was revoked since. `command` lets anybody check it
    without this site."""

    algorithm: str
    key_id: str
    key_name: str
    is_external: bool
    verdict: str
    signed_at: datetime
    revoked_at: datetime | None
    reason: str
    key_href: str
    bundle_href: str
    command: str


@dataclass(frozen=True)
class VersionForms:
    """What can be done to a version; shown to those who may write. `opened` names the one that was refused."""

    alias: Any
    deprecation: Any
    withdrawal: Any
    metric: Any
    hardware: Any
    signature: Any
    opened: str = ""
    problem: str = ""


@dataclass(frozen=True)
class VersionPage:
    title: str
    head: RepoHead
    version: VersionRow
    notes_html: str
    use_html: str
    licence: str
    successor_href: str
    metrics: list[Metric]
    machines: list[Machine]
    withdrawn: list[Withdrawn]
    lock: LockPart
    task: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    tables: list[Table]
    example: str
    environment: list[tuple[str, str]]
    findings: list[Finding]
    scanned_at: datetime | None
    signed: list[Signed]
    origin: "ImportedRepo | None"
    brought: list[str]
    """Who has signed it at the site it came from."""
    brought_href: str
    downloads: list[Fact]
    validity: str | None
    data_href: str
    builds: BuildsView | None
    deploy_href: str
    use_href: str
    sign_commands: tuple[str, str]
    keys_href: str
    recall: Banner | None
    recall_href: str
    forms: VersionForms

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, version: "Version", forms: VersionForms) -> "VersionPage":
        head = RepoHead.of(repo, actor, "versions")
        signature = version.signature if isinstance(version.signature, Mapping) else {}
        scans = list(version.scans.all())
        example = signature.get("example")
        author = queries.authors_of(repo, "version", [version])[version.pk]
        row = VersionRow.of(repo, version, queries.latest_name(repo), author)
        brought = queries.brought_signatures(version)
        entries = queries.measurements_of(version, with_withdrawn=True)
        measurements = [each for each in entries if not hasattr(each, "withdrawal")]
        corrections = {
            each.pk: Correction(
                f"{row.url}/measurements/{each.uuid}/withdrawal", CorrectionForm(auto_id=f"correct-{each.pk}-%s")
            )
            for each in (measurements if head.can_write else ())
        }
        successor = row.standing.successor
        return cls(
            title=f"{head.full_name} {version.name}",
            head=head,
            version=row,
            notes_html=render_markdown(version.notes) if version.notes else "",
            use_html=render_markdown(version.intended_use) if version.intended_use else "",
            licence=version.licence,
            successor_href=version_url(repo, successor) if successor else "",
            metrics=metrics_of(version, measurements, corrections),
            machines=[
                _machine(each, corrections.get(each.pk))
                for each in measurements
                if each.kind == MeasurementKind.HARDWARE
            ],
            withdrawn=[_withdrawn(each) for each in entries if hasattr(each, "withdrawal")],
            lock=_lock(row, environments.environment_of(version), repo, can_read=head.can_read),
            task=str(signature.get("task", "")),
            inputs=tensors_of(signature.get("inputs")),
            outputs=tensors_of(signature.get("outputs")),
            tables=tables_of(signature.get("tables")),
            example=json.dumps(example)[:2000] if example else "",
            environment=environment_of(version.environment),
            findings=[
                Finding(str(each.get("path", "")), str(each.get("verdict", "")), str(each.get("reason", "")))
                for scan in scans[:3]
                for each in scan.findings[:100]
            ],
            scanned_at=scans[0].created_at if scans else None,
            signed=_signed(repo, version),
            origin=queries.origin_of(repo),
            brought=sorted({each.signer for each in brought}),
            brought_href=_api_address(repo, version, "brought-signatures"),
            downloads=_downloads(repo, version),
            # None where there is no data to hold against rules
            validity=validity_of(known_profile(version.commit)) if repo.kind == "dataset" else None,
            data_href=repo_url(repo, "data", version.name) if repo.kind == "dataset" and head.can_read else "",
            builds=BuildsView.of(
                repo,
                version,
                can_read=head.can_read,
                can_write=head.can_write,
                is_in_use=not row.standing.is_yanked,
            )
            if repo.kind == RepoKind.MODEL
            else None,
            deploy_href=with_query("/endpoints/new", version=str(version.uuid))
            if repo.kind == "model" and signature and not row.standing.is_yanked
            else "",
            use_href=with_query("/jobs/new", version=str(version.uuid)) if not row.standing.is_yanked else "",
            sign_commands=signing_commands(head.full_name, version.name, repo.kind),
            recall=Banner.of(recall_queries.notice_of(version)),
            recall_href=with_query("/recalls/new", version=str(version.uuid))
            if actor.is_staff or actor.may(Action.RECALL_MANAGE, repo.namespace_id)
            else "",
            keys_href="/account/keys"
            if repo.namespace_id == actor.namespace_id
            else f"/organizations/{quote(repo.namespace.name)}/keys",
            forms=forms,
        )


def _api_address(repo: "Repo", version: "Version", part: str) -> str:
    parts = (repo.kind, repo.namespace.name, repo.name, "versions", version.name, part)
    return "/api/v1/repos/" + "/".join(map(quote, parts))


def _downloads(repo: "Repo", version: "Version") -> list[Fact]:
    found = [Fact("CycloneDX", "Bill of materials", _api_address(repo, version, "bom"))]
    if repo.kind == RepoKind.DATASET:
        found.append(Fact("Croissant", "Description of the data", _api_address(repo, version, "croissant")))
    return found


def _signed(repo: "Repo", version: "Version") -> list[Signed]:
    """All signatures, those of keys in good standing first. The address of the files is the commit's: aliases move, the signature does
    not."""
    site = settings.PUBLIC_URL
    found = []
    kind = "" if repo.kind == RepoKind.MODEL else f" --repo-type {repo.kind}"
    for checked in signing.signatures_of(version):
        row, key = checked.row, checked.row.key
        key_href = f"/api/v1/namespaces/{quote(repo.namespace.name)}/keys/{key.key_id}.pem"
        bundle_href = with_query(_api_address(repo, version, "signature"), key=key.key_id)
        lines = [
            f"HF_ENDPOINT={site} hf download {repo.namespace.name}/{repo.name}{kind} --revision {version.name} --local-dir files",
            f"curl -o version.sig '{site}{bundle_href}'",
            f"curl -o key.pem {site}{key_href}",
        ]
        if key.algorithm == KeyAlgorithm.P256:
            lines += [
                "pip install model-signing pyopenssl",
                "model_signing verify key files --signature version.sig --public_key key.pem",
            ]
        else:
            lines += [
                f"curl -O {site}/static/tools/verify_version.py",
                "python verify_version.py files version.sig key.pem",
            ]
        verdict = {True: "good", False: "broken", None: "good when it came"}[checked.is_good]
        found.append(
            Signed(
                algorithm=ALGORITHM_TITLES[KeyAlgorithm(key.algorithm)],
                key_id=key.key_id,
                key_name=key.name or "key of this site",
                is_external=key.is_external,
                verdict=verdict,
                signed_at=row.created_at,
                revoked_at=key.revoked_at,
                reason=key.revocation_reason,
                key_href=key_href,
                bundle_href=bundle_href,
                command="\n".join(lines),
            )
        )
    return sorted(found, key=lambda each: each.revoked_at is not None)


def _lock(row: VersionRow, environment: Environment, repo: "Repo", *, can_read: bool) -> LockPart:
    file_href = repo_url(repo, "blob", row.name, environment.path) if environment.path and can_read else ""
    loose = [f"{each.name} {each.wanted}" for each in environment.loose[:5]]
    return LockPart(
        environment, f"{row.url}/environment", file_href, len(environment.packages), len(environment.loose), loose
    )


def _withdrawn(row: "Measurement") -> Withdrawn:
    taken_back = row.withdrawal
    if row.kind == MeasurementKind.METRIC:
        said = number(row.values.get("value"))
    else:
        each = _machine(row, None)
        memory = size(each.memory_bytes) if each.memory_bytes is not None else ""
        said = ", ".join(text for text in (each.p50, each.p99, each.throughput, memory) if text)
    return Withdrawn(
        name=row.name.replace("_", " ") if row.kind == MeasurementKind.METRIC else row.name,
        said=said,
        author=row.created_by.username if row.created_by else "",
        added_at=row.created_at,
        reason=taken_back.reason,
        withdrawn_by=taken_back.created_by.username if taken_back.created_by else "",
        withdrawn_at=taken_back.created_at,
    )


def _machine(row: "Measurement", correction: Correction | None) -> Machine:
    values = row.values

    def text(key: str, unit: str = "") -> str:
        return f"{values[key]:g}{unit}" if key in values else ""

    return Machine(
        name=row.name,
        batch_size=text("batch_size"),
        p50=text("p50_ms", " ms"),
        p99=text("p99_ms", " ms"),
        throughput=text("throughput_per_s", " / s"),
        memory_bytes=values.get("memory_bytes"),
        runtime=str(values.get("runtime", "")),
        origin=str(values.get("source", "")),
        author=row.created_by.username if row.created_by else "",
        added_at=row.created_at,
        correction=correction,
    )


def tables_of(value: object) -> list[Table]:
    found = []
    for each in value[:20] if isinstance(value, list) else []:
        if isinstance(each, Mapping) and isinstance(each.get("fields"), list):
            fields = [field for field in each["fields"][:200] if isinstance(field, Mapping)]
            rows = [tuple(str(field.get(key) or "") for key in ("name", "type", "description")) for field in fields]
            found.append(Table(str(each.get("name") or ""), rows))  # type: ignore[arg-type]
    return found


def metrics_of(
    version: "Version", measurements: "Sequence[Measurement]" = (), corrections: Mapping[int, Correction] | None = None
) -> list[Metric]:
    """The metrics of the release, then those that were added (`measurements`), with how each can be corrected."""
    added = [each for each in measurements if each.kind == MeasurementKind.METRIC]
    found = []
    for name, each, row in [
        *((name, each, None) for name, each in version.metrics.items()),
        *((row.name, row.values, row) for row in added),
    ]:
        if isinstance(each, Mapping) and isinstance(each.get("value"), int | float):
            source = ", ".join(str(each[key]) for key in ("dataset", "split") if each.get(key))
            found.append(
                Metric(
                    name.replace("_", " "),
                    each["value"],
                    each.get("low"),
                    each.get("high"),
                    each.get("n"),
                    source,
                    str(each.get("source") or "")[:300],
                    row.created_by.username if row and row.created_by else "",
                    row.created_at if row else None,
                    (corrections or {}).get(row.pk) if row else None,
                )
            )
    return found


def verdict_of(version: "Version") -> str:
    """What the newest report says; `not scanned yet` while there is none."""
    return next((scan.verdict for scan in version.scans.all() if scan.scanner == SCANNERS), "not scanned yet")


def tensors_of(value: object) -> list[Tensor]:
    found = []
    for each in value if isinstance(value, list) else []:
        if isinstance(each, Mapping):
            shape = " × ".join("any" if size == -1 else str(size) for size in each.get("shape") or [])
            names = each.get("columns") or each.get("classes") or []
            detail = ", ".join(map(str, names[:40])) + (" …" if len(names) > 40 else "")
            found.append(Tensor(str(each.get("name", "")), str(each.get("datatype", "")), shape, detail))
    return found


def environment_of(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, Mapping):
        return []
    flat: list[tuple[str, str]] = []
    for name, each in value.items():
        flat += (
            [(str(key), str(item)) for key, item in each.items()]
            if isinstance(each, Mapping)
            else [(str(name), str(each))]
        )
    return flat[:200]
