"""What is seen once inside: revisions, trees, histories, versions of a repository that the caller has obtained."""

import base64
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, Prefetch, Q, QuerySet, Subquery

from accounts.actors import Actor
from common.errors import Invalid, NotFound
from common.pagination import Page, keyset_page
from registry import trees, version_names
from registry.errors import EntryNotFound, RevisionNotFound
from registry.models import (
    AliasMove,
    Blob,
    BlobScan,
    Branch,
    Commit,
    ImportedAuthor,
    ImportedRepo,
    ImportedSignature,
    LatestVersion,
    Measurement,
    Quarantine,
    Repo,
    RepoBlob,
    RepoScan,
    RepoSource,
    ScanReport,
    Tag,
    Tree,
    Version,
    VersionAlias,
    VersionMark,
    VersionSignature,
)
from registry.paths import LATEST, PULL_PREFIX, is_alias
from registry.policies import visible_repos
from registry.services import storage
from registry.standing import standing_of
from registry.states import MarkKind, Verdict
from registry.trees import Node

_SHA = re.compile(r"[0-9a-f]{5,40}")
_AT_ONCE = 500
_IN_FORCE = Q(released_at__isnull=True)
SCANNERS = "all"
"""The name under which rows hold what all scanners together say."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of a commit. `oid` is git's; `sha256` is set for large files (git sees a pointer); `ref` is the primary
    key of the Blob (file) or Tree (folder); `commit_id` that of the commit that last touched it."""

    path: str
    is_dir: bool
    oid: str
    size_bytes: int
    sha256: str | None
    ref: int
    commit_id: int
    file_count: int

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def _entry(folder: str, node: Node) -> Entry:
    path = f"{folder}/{node.name}" if folder else node.name
    return Entry(path, node.is_dir, node.oid, node.size_bytes, node.sha256, node.ref, node.commit_id, node.file_count)


def resolve_revision(repo: Repo, text: str) -> Commit:
    """The commit that `text` names: a branch, a tag or version, an alias of a version, a commit id or five or more digits of its
    beginning, or a full ref. A branch wins over a tag of the same name. At most four queries. Raises RevisionNotFound."""
    branch, tag = text.removeprefix("refs/heads/"), text.removeprefix("refs/tags/")
    commits = Commit.objects.select_related("tree")
    if not text.startswith("refs/tags/"):
        # unique, so without the order that `first` would ask for
        for found in Branch.objects.select_related("head__tree").filter(repo=repo, name=branch):
            return found.head
    if not text.startswith("refs/heads/"):
        named = Tag.objects.select_related("commit__tree").filter(repo=repo, name=tag).first()
        if named:
            return named.commit
    if is_alias(text):
        alias = VersionAlias.objects.select_related("version__commit__tree").filter(repo=repo, name=text).first()
        if alias:
            return alias.version.commit
    if _SHA.fullmatch(text):
        matches = list(commits.filter(repo=repo, oid__startswith=text)[:2])
        if len(matches) == 1:
            return matches[0]
    raise RevisionNotFound(f"Invalid rev id: {text[:100]}", revision=text[:100])


def source_of(repo: Repo) -> RepoSource | None:
    """Where the repository comes from, if it was not made here. One query."""
    return RepoSource.objects.filter(repo=repo).first()


def entry_at(commit: Commit, path: str) -> Entry:
    """The file or folder at `path`; two small reads a level. Raises EntryNotFound."""
    tree, node, folder = commit.tree, None, ""
    parts = path.split("/")
    for index, part in enumerate(parts):
        node = trees.find(tree, part) if part else None
        if node is None or (index + 1 < len(parts) and not node.is_dir):
            raise EntryNotFound(f"{path[:200]} does not exist at this revision.", commit_oid=commit.oid)
        if index + 1 < len(parts):
            tree = Tree.objects.get(pk=node.ref)
            folder = f"{folder}/{part}" if folder else part
    assert node is not None
    return _entry(folder, node)


def entry_at_or_none(commit: Commit, path: str) -> Entry | None:
    """`entry_at`; None where there is nothing."""
    try:
        return entry_at(commit, path)
    except EntryNotFound:
        return None


def find_entries(tree: Tree, paths: Iterable[str]) -> dict[str, Node]:
    """The entries among `paths` (no slash at the ends) that exist below `tree`, by path; a few queries a folder level and
    folder, none per file."""
    by_folder: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        by_folder.setdefault(folder, set()).add(name)
        while folder:
            folder, _, name = folder.rpartition("/")
            by_folder.setdefault(folder, set()).add(name)
    found: dict[str, Node] = {}
    opened: dict[str, Tree] = {"": tree}
    for folder in sorted(by_folder, key=lambda text: (text.count("/") if text else -1, text)):
        if folder not in opened:
            node = found.get(folder)
            if node is None or not node.is_dir:
                continue
            opened[folder] = Tree.objects.get(pk=node.ref)
        for name, node in trees.find_many(opened[folder], by_folder[folder]).items():
            found[f"{folder}/{name}" if folder else name] = node
    return found


def entries_for(commit: Commit, paths: Iterable[str]) -> list[Entry]:
    """The entries at `paths` that exist, in the order asked."""
    asked = [path.strip("/") for path in paths]
    found = find_entries(commit.tree, (path for path in asked if path))
    return [_entry(path.rpartition("/")[0], found[path]) for path in dict.fromkeys(asked) if path in found]


def list_tree(
    commit: Commit, path: str = "", *, recursive: bool = False, cursor: str | None = None, limit: int = 1000
) -> tuple[list[Entry], str | None]:
    """Up to `limit` entries of a folder in git's order, and the cursor of the rest. Recursive lists hold folders too, each
    before what is in it. Raises EntryNotFound when `path` is missing or a file; Invalid for a foreign cursor."""
    tree = commit.tree
    if path:
        entry = entry_at(commit, path)
        if not entry.is_dir:
            raise EntryNotFound(f"{path} is a file.", commit_oid=commit.oid)
        tree = Tree.objects.get(pk=entry.ref)
    after = _decode(cursor)
    entries: list[Entry] = []
    for entry in _walk(tree, path, after, recursive=recursive):
        if len(entries) == limit:
            return entries, _encode(entries[-1], path)
        entries.append(entry)
    return entries, None


def all_files(commit: Commit, path: str = "") -> Iterator[Entry]:
    """Every file of the commit below `path`, lazily."""
    tree = commit.tree
    if path:
        tree = Tree.objects.get(pk=entry_at(commit, path).ref)
    return (entry for entry in _walk(tree, path, [], recursive=True) if not entry.is_dir)


def _walk(tree: Tree, folder: str, after: list[str], *, recursive: bool) -> Iterator[Entry]:
    """Entries above the position `after`: sort keys from the folder down to the last entry seen."""
    key = after[0].encode() if after else None
    if key is not None and recursive and key.endswith(b"/"):
        # the last entry seen is this folder itself or lies in it: go on inside, then after it
        node = trees.find(tree, key.decode().rstrip("/"))
        if node is not None and node.is_dir:
            yield from _walk(Tree.objects.get(pk=node.ref), _entry(folder, node).path, after[1:], recursive=True)
    for node in trees.children(tree, key):
        entry = _entry(folder, node)
        yield entry
        if recursive and node.is_dir:
            yield from _walk(Tree.objects.get(pk=node.ref), entry.path, [], recursive=True)


def _encode(last: Entry, base: str) -> str:
    below = last.path[len(base) + 1 :] if base else last.path
    return base64.urlsafe_b64encode((below + ("/" if last.is_dir else "")).encode()).decode().rstrip("=")


def _decode(cursor: str | None) -> list[str]:
    if not cursor:
        return []
    try:
        path = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise Invalid(
            "The cursor is not one of ours: start from the first page.", fields={"cursor": "invalid"}
        ) from error
    parts = path.rstrip("/").split("/")
    return [f"{part}/" for part in parts[:-1]] + [parts[-1] + ("/" if path.endswith("/") else "")]


def blob_of(entry: Entry) -> Blob:
    """The bytes of a file entry."""
    return Blob.objects.get(pk=entry.ref)


def blobs_of(entries: Iterable[Entry]) -> dict[int, Blob]:
    """Blobs by primary key for many file entries: one query per 500."""
    refs = sorted({entry.ref for entry in entries if not entry.is_dir})
    found: dict[int, Blob] = {}
    for start in range(0, len(refs), 500):
        found |= Blob.objects.in_bulk(refs[start : start + 500])
    return found


def read_text(commit: Commit, path: str, *, limit: int = 512 * 1024) -> str:
    """The beginning of a text file, at most `limit` bytes, undecodable bytes replaced. Raises EntryNotFound."""
    entry = entry_at(commit, path)
    if entry.is_dir:
        raise EntryNotFound(f"{path} is a folder.", commit_oid=commit.oid)
    return storage.read_blob(blob_of(entry), limit).decode(errors="replace")


def commits_by_id(ids: Iterable[int]) -> dict[int, Commit]:
    """Commits by primary key, for showing who touched what; one query."""
    return Commit.objects.defer("raw").in_bulk(set(ids))


def pull_branches_of(repo: Repo) -> list[Branch]:
    """The branches of pull requests, the newest first; their names are full ones, `refs/pr/<number>`."""
    branches = Branch.objects.filter(repo=repo, name__startswith=PULL_PREFIX)
    return list(branches.select_related("head").order_by("-pk"))


def is_tag_only(repo: Repo, name: str) -> bool:
    """Whether a tag has this name and no branch. At most two queries."""
    return (
        Tag.objects.filter(repo=repo, name=name).exists() and not Branch.objects.filter(repo=repo, name=name).exists()
    )


def refs_of(repo: Repo) -> tuple[list[Branch], list[Tag]]:
    """All branches but those of pull requests, the default one first, and all tags, newest first."""
    branches = sorted(
        Branch.objects.filter(repo=repo).exclude(name__startswith=PULL_PREFIX).select_related("head"),
        key=lambda each: (each.name != repo.default_branch, each.name),
    )
    return branches, list(Tag.objects.filter(repo=repo).select_related("commit").order_by("-created_at", "-pk"))


def head_of(repo: Repo) -> Commit:
    """The head of the default branch."""
    return resolve_revision(repo, f"refs/heads/{repo.default_branch}")


def heads_of(repos: Iterable[Repo]) -> dict[int, Commit]:
    """The heads of the default branches of many repositories, by the repository's primary key; one query."""
    branches = Branch.objects.filter(repo__in=[repo.pk for repo in repos], name=F("repo__default_branch"))
    return {branch.repo_id: branch.head for branch in branches.select_related("head__tree")}


def history(commit: Commit, *, limit: int = 50) -> tuple[list[Commit], str | None]:
    """`commit` and its first parents, newest first, and the id where the next page begins. A query a commit would follow the
    chain; one query by depth does it, and the chain then picks its members."""
    found: list[Commit] = []
    wanted: int | None = commit.pk
    depth = commit.depth
    while wanted is not None and len(found) <= limit:
        window = Commit.objects.filter(repo_id=commit.repo_id, depth__lte=depth, depth__gt=depth - limit - 1).defer(
            "raw"
        )
        by_id = {each.pk: each for each in window.select_related("author")}
        before = len(found)
        while wanted is not None and wanted in by_id and len(found) <= limit:
            found.append(by_id[wanted])
            wanted = found[-1].first_parent_id
        if len(found) == before:
            break
        depth = found[-1].depth - 1
    return found[:limit], found[limit].oid if len(found) > limit else None


def latest_version(repo: Repo) -> Version | None:
    """The newest version by the order of names: a release before any pre-release, and none that is withdrawn."""
    return versions_of(repo).filter(latest_of__repo=repo).first()


def latest_name(repo: Repo) -> str:
    """The name of `latest_version`; "" when there is none."""
    return LatestVersion.objects.filter(repo=repo).values_list("version__name", flat=True).first() or ""


def versions_of(repo: Repo) -> QuerySet[Version]:
    """Versions, the last published first, with commit, scans, marks, aliases and whether they are signed."""
    return (
        Version.objects.filter(repo=repo)
        .select_related("repo__namespace", "commit__tree", "created_by")
        .prefetch_related(
            Prefetch("scans", queryset=ScanReport.objects.order_by("-pk")),
            Prefetch("marks", queryset=VersionMark.objects.select_related("successor").order_by("pk")),
            Prefetch("aliases", queryset=VersionAlias.objects.order_by("name")),
            Prefetch(
                "signatures",
                queryset=VersionSignature.objects.filter(key__revoked_at__isnull=True)
                .select_related("key")
                .defer("statement", "signature")
                .order_by("-pk"),
            ),
        )
        .order_by("-created_at", "-pk")
    )


def newest_metrics(repos: QuerySet[Repo]) -> dict[UUID, dict[str, Any]]:
    """What was measured of the newest version of each of these repositories, by the repository's uuid. One query."""
    versions = Version.objects.filter(latest_of__repo__in=repos.order_by().values("pk"))
    return dict(versions.values_list("repo__uuid", "metrics"))


def measurements_of(version: Version, *, with_withdrawn: bool = False) -> list[Measurement]:
    """What was measured beside the metrics of the release, oldest first; what was withdrawn as wrong only when asked for."""
    rows = Measurement.objects.filter(version=version).select_related("created_by", "withdrawal__created_by")
    return list((rows if with_withdrawn else rows.filter(withdrawal=None)).order_by("pk"))


def authors_of(repo: Repo, kind: str, rows: Iterable[Any]) -> dict[int, str]:
    """Who made each row (`created_by` or `author`, fetched with it), by primary key: an account, or a name from an import. One query."""
    people = {row.pk: row.author if hasattr(row, "author") else row.created_by for row in rows}
    found = {pk: user.username if user is not None else "" for pk, user in people.items()}
    unknown = [pk for pk, name in found.items() if not name]
    if unknown:
        came = ImportedAuthor.objects.filter(repo=repo, kind=kind, row__in=unknown)
        found |= {row: f"{name} (imported)" for row, name in came.values_list("row", "name")}
    return found


def origin_of(repo: Repo) -> ImportedRepo | None:
    """Where the repository was imported from; None for one that was made here."""
    return ImportedRepo.objects.filter(repo=repo, finished_at__isnull=False).first()


def brought_signatures(version: Version) -> list[ImportedSignature]:
    """The signatures that a version brought along from another site, in the order they were made."""
    return list(ImportedSignature.objects.filter(version=version).order_by("pk"))


def aliases_of(repo: Repo) -> list[VersionAlias]:
    """By name, with the versions they point to."""
    return list(VersionAlias.objects.filter(repo=repo).select_related("version").order_by("name"))


def alias_named(repo: Repo, name: str) -> VersionAlias:
    """Raises NotFound."""
    alias = VersionAlias.objects.filter(repo=repo, name=name).select_related("version").first()
    if alias is None:
        raise NotFound(f"There is no alias {name[:40]}.")
    return alias


def alias_moves_of(repo: Repo, name: str | None = None, *, limit: int = 100) -> list[AliasMove]:
    """Where the aliases pointed, newest first."""
    moves = AliasMove.objects.filter(repo=repo).select_related("version", "before", "created_by").order_by("-pk")
    return list((moves.filter(name=name) if name else moves)[:limit])


def in_use(versions: QuerySet[Version]) -> QuerySet[Version]:
    """Those that are not withdrawn."""
    marks = VersionMark.objects.filter(version=OuterRef("pk"), kind__in=[MarkKind.YANKED, MarkKind.RESTORED])
    newest = Subquery(marks.order_by("-pk").values("kind")[:1])
    return versions.annotate(last_mark=newest).exclude(last_mark=MarkKind.YANKED, last_mark__isnull=False)


def names_to_succeed(version: Version, *, limit: int = 100) -> list[str]:
    """The versions that could take the place of this one, the last published first: its siblings that are not withdrawn."""
    siblings = versions_of(version.repo).exclude(pk=version.pk)[:limit]
    return [each.name for each in siblings if not standing_of(each).is_yanked]


def version_at(repo: Repo, revision: str) -> Version | None:
    """The version that `revision` names, itself or by an alias, with its marks; None for anything else. Names that no version
    can have cost no query, others at most three."""
    if is_alias(revision):
        by_name = Q(aliases__name=revision)
    elif version_names.parse(revision) is not None:
        by_name = Q(name=revision)
    else:
        return None
    marks = Prefetch("marks", queryset=VersionMark.objects.select_related("successor").order_by("pk"))
    return Version.objects.filter(by_name, repo=repo).prefetch_related(marks).first()


def versions_of_commit(commit: Commit) -> list[Version]:
    """The versions that release just this commit, oldest first."""
    return list(Version.objects.filter(repo_id=commit.repo_id, commit=commit).order_by("pk")[:20])


def page_of_versions(repo: Repo, *, cursor: str | None, limit: int) -> Page[Version]:
    """Versions, newest first, a keyset page."""
    return keyset_page(versions_of(repo), order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def version_named(repo: Repo, name: str) -> Version:
    """The version of that name, in any case, else the one that this alias points to (`latest`: the newest). Raises NotFound."""
    version = versions_of(repo).filter(name__iexact=name).first()
    if version is None and name == LATEST:
        version = latest_version(repo)
    elif version is None and is_alias(name):
        version = versions_of(repo).filter(aliases__name=name).first()
    if version is None:
        raise NotFound(f"There is no version {name[:80]}.")
    return version


def version_by_uuid(uuid: UUID | str) -> Version:
    """For callers that hold a right already (a task, a job). Raises NotFound."""
    return _version(uuid=uuid)


def versions_by_uuids(uuids: Iterable[UUID]) -> list[Version]:
    """Those of them that are there, with repository and namespace. For the product itself: not filtered by rights."""
    return list(Version.objects.select_related("repo__namespace").filter(uuid__in=list(uuids)))


def version_by_pk(pk: int) -> Version:
    """For tasks. Raises NotFound."""
    return _version(pk=pk)


def _version(**key: Any) -> Version:
    version = Version.objects.select_related("repo__namespace", "commit__tree").filter(**key).first()
    if version is None:
        raise NotFound("There is no such version.")
    return version


def verdict_of(version: Version) -> Verdict:
    """What the newest report says; unknown while there is none."""
    report = ScanReport.objects.filter(version=version, scanner=SCANNERS).order_by("-pk").first()
    return Verdict(report.verdict) if report else Verdict.UNKNOWN


def verdict_of_blob(blob: Blob) -> Verdict | None:
    """What the newest scan of these bytes says; None while they have not been scanned."""
    scan = BlobScan.objects.filter(blob=blob, scanner=SCANNERS).order_by("-pk").first()
    return Verdict(scan.verdict) if scan else None


def scans_of_blobs(repo: Repo, blob_ids: Iterable[int]) -> dict[int, BlobScan]:
    """The newest scan of each of these files, as far as the scanning of this repository has come; those that it has not reached are left
    out, also when the same bytes were scanned for another. Two queries per 500."""
    reached = RepoScan.objects.filter(repo=repo).values_list("reached", flat=True).first() or 0
    found: dict[int, BlobScan] = {}
    wanted = sorted(set(blob_ids))
    for start in range(0, len(wanted), _AT_ONCE):
        held = RepoBlob.objects.filter(repo=repo, blob_id__in=wanted[start : start + _AT_ONCE], pk__lte=reached)
        scans = BlobScan.objects.filter(blob_id__in=held.values("blob_id"), scanner=SCANNERS).order_by("pk")
        found |= {scan.blob_id: scan for scan in scans}
    return found


def verdicts_of_blobs(repo: Repo, blob_ids: Iterable[int]) -> dict[int, Verdict]:
    """`scans_of_blobs`, the verdicts alone."""
    return {blob_id: Verdict(scan.verdict) for blob_id, scan in scans_of_blobs(repo, blob_ids).items()}


def repo_verdicts(repo_ids: Iterable[int]) -> dict[int, str]:
    """The worst verdict of the newest scanned commit of each repository, for lists; those not scanned are left out. One query."""
    rows = RepoScan.objects.filter(repo_id__in=list(repo_ids)).exclude(verdict="")
    return dict(rows.values_list("repo_id", "verdict"))


def repo_scan(repo: Repo) -> RepoScan | None:
    """How far the scanning of a repository has come."""
    return RepoScan.objects.filter(repo=repo).select_related("commit").first()


def held_back(repo_pk: int, blob_ids: Iterable[int]) -> dict[int, Quarantine]:
    """Those of the files that are under quarantine, everywhere or in this repository, by blob. A query per 500."""
    found: dict[int, Quarantine] = {}
    wanted = sorted(set(blob_ids))
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Quarantine.objects.filter(_IN_FORCE, blob_id__in=wanted[start : start + _AT_ONCE])
        # one that staff or scanning has set, which is for everywhere, is the weightier: it comes last
        rows = rows.filter(Q(repo__isnull=True) | Q(repo_id=repo_pk))
        found |= {row.blob_id: row for row in sorted(rows, key=lambda row: row.repo_id is None)}
    return found


def quarantines_of(repo: Repo, *, limit: int = 200) -> list[Quarantine]:
    """What is or was held back of the bytes that the repository has, newest first."""
    rows = Quarantine.objects.filter(Q(repo__isnull=True) | Q(repo=repo), blob__repo_rows__repo=repo)
    return list(rows.select_related("blob", "created_by", "released_by").order_by("released_at", "-pk")[:limit])


def quarantines_of_blob(blob: Blob) -> list[Quarantine]:
    """What holds these bytes back now, everywhere and in single repositories."""
    return list(Quarantine.objects.filter(_IN_FORCE, blob=blob))


def blob_by_digest(sha256: str) -> Blob | None:
    """For operators: the stored bytes of that SHA-256, in whichever repository."""
    return Blob.objects.filter(sha256=sha256).first()


def held_back_models(served: Collection[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    """Those of the models (version, SHA-256 of the file that is served) whose file is under quarantine. One query, or two."""
    rows = Quarantine.objects.filter(_IN_FORCE, blob__sha256__in={sha256 for _, sha256 in served})
    held = list(rows.values_list("blob__sha256", "repo_id"))
    if not held:
        return set()
    everywhere = {sha256 for sha256, repo_id in held if repo_id is None}
    repos = dict(Version.objects.filter(uuid__in={uuid for uuid, _ in served}).values_list("uuid", "repo_id"))
    return {each for each in served if each[1] in everywhere or (each[1], repos.get(each[0])) in held}


def held_back_in(version_uuids: Iterable[UUID | str]) -> Quarantine | None:
    """A quarantine that holds back some file of one of these versions. One query when nothing of their repositories is held back; a walk
    through the files otherwise."""
    versions = Version.objects.filter(uuid__in=list(version_uuids)).select_related("commit__tree")
    for version in versions:
        if (found := held_back_at(version.commit)) is not None:
            return found
    return None


def held_back_at(commit: Commit) -> Quarantine | None:
    """A quarantine that holds back some file of the commit; the cost of `held_back_in`."""
    rows = Quarantine.objects.filter(_IN_FORCE, blob__repo_rows__repo_id=commit.repo_id)
    held = {row.blob_id: row for row in rows.filter(Q(repo__isnull=True) | Q(repo_id=commit.repo_id))}
    if held:
        for entry in all_files(commit):
            if entry.ref in held:
                return held[entry.ref]
    return None


SORTS = {
    "updated": ("-updated_at", "-pk"),
    "created": ("-created_at", "-pk"),
    "downloads": ("-downloads", "-pk"),
    "likes": ("-likes", "-pk"),
    "trend": ("-trend", "-pk"),
}


def search_repos(
    actor: Actor,
    *,
    kind: str | None = None,
    words: Iterable[str] = (),
    tags: Iterable[str] = (),
    namespace: str | None = None,
    gated: bool | None = None,
    parameters: tuple[int | None, int | None] = (None, None),
    sort: str = "updated",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Repo]:
    """Repositories the actor may discover, a keyset page in the order of SORTS. Every word must stand in the name or the
    namespace's; every tag must be on the card; `parameters` are the least and the greatest number of them, or None."""
    repos = visible_repos(actor)
    if kind:
        repos = repos.filter(kind=kind)
    if namespace:
        repos = repos.filter(namespace__name__iexact=namespace)
    for word in words:
        owner, slash, name = word.partition("/")
        by_both = Q(namespace__name__icontains=owner, name__icontains=name) if slash else Q()
        repos = repos.filter(by_both or Q(name__icontains=word) | Q(namespace__name__icontains=word))
    for tag in tags:
        repos = repos.filter(tag_rows__tag=tag)
    if gated is not None:
        repos = repos.exclude(gate="") if gated else repos.filter(gate="")
    least, greatest = parameters
    if least is not None:
        repos = repos.filter(parameter_count__gte=least)
    if greatest is not None:
        repos = repos.filter(parameter_count__lte=greatest)
    return keyset_page(repos, order=SORTS.get(sort, SORTS["updated"]), cursor=cursor, limit=limit)
