"""What the pages of repositories show: browsing, the card, folders, files, commits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from accounts.actors import Actor
from market.queries import listing_for
from registry import queries
from registry.services.cards import card_of, render_markdown
from web.hub.addresses import Place
from web.hub.heads import KIND_TITLES, RepoHead
from web.hub.previews import Preview, preview_of
from web.hub.safety import FileSafety, badges_of
from web.links import repo_address, repo_url, with_query
from web.market.cards import ListingCard

if TYPE_CHECKING:
    from registry.models import Commit, Repo

PAGE_REPOS = 30
PAGE_ENTRIES = 200
PAGE_COMMITS = 50
SORTS = {"updated": "Recently updated", "downloads": "Most downloaded", "created": "Newest"}


@dataclass(frozen=True)
class RepoRow:
    kind: str
    full_name: str
    url: str
    seed: str
    description: str
    visibility: str
    licence: str
    task: str
    downloads: int
    updated_at: datetime
    verdict: str = ""
    """The worst of the newest commit that was scanned; empty before."""

    @classmethod
    def all_of(cls, repos: "Iterable[Repo]") -> "list[RepoRow]":
        """With what scanning says of each, in one query."""
        listed = list(repos)
        verdicts = queries.repo_verdicts(repo.pk for repo in listed)
        return [cls.of(repo, verdicts.get(repo.pk, "")) for repo in listed]

    @classmethod
    def of(cls, repo: "Repo", verdict: str = "") -> "RepoRow":
        return cls(
            repo.kind,
            f"{repo.namespace.name}/{repo.name}",
            repo_url(repo),
            str(repo.uuid),
            repo.description,
            repo.visibility,
            repo.licence,
            repo.task,
            repo.downloads,
            repo.updated_at,
            verdict,
        )


@dataclass(frozen=True)
class Option:
    value: str
    label: str
    is_on: bool


@dataclass(frozen=True)
class BrowsePage:
    """All repositories of a kind that the actor may discover."""

    title: str
    kind: str
    text: str
    tag: str
    sorts: list[Option]
    repos: list[RepoRow]
    next_href: str
    first_href: str
    has_filters: bool
    clear_href: str

    @classmethod
    def of(cls, actor: Actor, kind: str, asked: Mapping[str, str]) -> "BrowsePage":
        text, tag, sort, cursor = (asked.get(name, "").strip()[:200] for name in ("q", "tag", "sort", "cursor"))
        sort = sort if sort in SORTS else "updated"
        found = queries.search_repos(
            actor,
            kind=kind,
            words=text.split()[:8],
            tags=[tag] if tag else [],
            sort=sort,
            cursor=cursor or None,
            limit=PAGE_REPOS,
        )
        here = f"/{kind}s"
        more = with_query(here, q=text, tag=tag, sort=sort, cursor=found.next_cursor) if found.next_cursor else ""
        return cls(
            title=KIND_TITLES[kind],
            kind=kind,
            text=text,
            tag=tag,
            sorts=[Option(value, label, value == sort) for value, label in SORTS.items()],
            repos=RepoRow.all_of(found.items),
            next_href=more,
            first_href=with_query(here, q=text, tag=tag, sort=sort) if cursor else "",
            has_filters=bool(text or tag),
            clear_href=here,
        )


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    href: str = ""


@dataclass(frozen=True)
class VersionLine:
    name: str
    url: str
    created_at: datetime
    figures: list[Fact]

    @classmethod
    def of(cls, repo: "Repo", version: Any) -> "VersionLine":
        return cls(
            version.name, repo_url(repo, "versions", version.name), version.created_at, figures_of(version.metrics)[:3]
        )


@dataclass(frozen=True)
class CardPage:
    title: str
    head: RepoHead
    html: str
    problems: list[str]
    facts: list[Fact]
    tags: list[Fact]
    latest: VersionLine | None
    file_count: int
    size_bytes: int
    is_empty: bool
    offer: ListingCard | None

    @classmethod
    def of(cls, repo: "Repo", actor: Actor) -> "CardPage":
        head = RepoHead.of(repo, actor, "card")
        commit = queries.head_of(repo)
        card = card_of(commit)
        latest = queries.latest_version(repo)
        listing = listing_for(actor, repo.uuid)
        return cls(
            title=head.title,
            head=head,
            html=render_markdown(card.body) if card.body.strip() else "",
            problems=list(card.errors) if head.can_write else [],
            facts=_card_facts(repo, card.data),
            tags=[Fact("", tag, with_query(f"/{repo.kind}s", tag=tag)) for tag in _texts(card.data.get("tags"))[:20]],
            latest=VersionLine.of(repo, latest) if latest else None,
            file_count=commit.tree.file_count,
            size_bytes=commit.tree.total_bytes,
            is_empty=commit.tree.file_count <= 1 and not card.body.strip(),
            offer=ListingCard.of(listing, listing.offers) if listing else None,  # type: ignore[attr-defined]
        )


@dataclass(frozen=True)
class EntryRow:
    name: str
    href: str
    is_dir: bool
    size_bytes: int
    file_count: int
    is_large: bool
    summary: str
    changed_at: datetime | None
    commit_href: str
    badge: str
    """What scanning says of the file; empty for folders."""


@dataclass(frozen=True)
class FolderPage:
    title: str
    head: RepoHead
    revision: str
    revisions: list[Option]
    crumbs: list[tuple[str, str]]
    entries: list[EntryRow]
    summary: str
    author: str
    committed_at: datetime
    commit_oid: str
    commit_href: str
    commits_href: str
    upload_href: str
    import_href: str
    up_href: str
    next_href: str
    first_href: str
    file_count: int
    size_bytes: int

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, place: Place, cursor: str) -> "FolderPage":
        """The folder at `place`; its commits in one query, whatever their number."""
        head = RepoHead.of(repo, actor, "files")
        entries, more = queries.list_tree(place.commit, place.path, cursor=cursor or None, limit=PAGE_ENTRIES)
        commits = queries.commits_by_id(entry.commit_id for entry in entries)
        badges = badges_of(repo, entries)
        branches, tags = queries.refs_of(repo)
        here = repo_url(repo, "tree", place.revision, place.path)
        is_changeable = head.can_commit and any(branch.name == place.revision for branch in branches)
        names = [branch.name for branch in branches] + [tag.name for tag in tags[:50]]
        if place.revision not in names:
            names.insert(0, place.revision)
        return cls(
            title=f"{place.path or head.title} at {place.revision}",
            head=head,
            revision=place.revision,
            revisions=[Option(repo_url(repo, "tree", name), name, name == place.revision) for name in names],
            crumbs=_crumbs(repo, place),
            entries=[
                _entry_row(
                    repo,
                    place.revision,
                    entry,
                    commits.get(entry.commit_id),
                    "" if entry.is_dir else badges[entry.ref],
                )
                for entry in sorted(entries, key=lambda each: not each.is_dir)
            ],
            summary=place.commit.summary,
            author=place.commit.author_name,
            committed_at=place.commit.created_at,
            commit_oid=place.commit.oid,
            commit_href=repo_url(repo, "commit", place.commit.oid),
            commits_href=repo_url(repo, "commits", place.revision),
            upload_href=with_query(repo_url(repo, "upload", place.revision), folder=place.path)
            if is_changeable
            else "",
            import_href=with_query(repo_url(repo, "import"), branch=place.revision, folder=place.path)
            if is_changeable
            else "",
            up_href=repo_url(repo, "tree", place.revision, place.path.rpartition("/")[0]) if place.path else "",
            next_href=with_query(here, cursor=more) if more else "",
            first_href=here if cursor else "",
            file_count=place.commit.tree.file_count,
            size_bytes=place.commit.tree.total_bytes,
        )


@dataclass(frozen=True)
class FilePage:
    title: str
    head: RepoHead
    revision: str
    crumbs: list[tuple[str, str]]
    name: str
    size_bytes: int
    digest_name: str
    digest: str
    preview: Preview
    preview_href: str
    download_href: str
    image_href: str
    delete_href: str
    hidden: list[tuple[str, str]]
    safety: FileSafety
    held_fields: list[tuple[str, str]]

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, place: Place) -> "FilePage":
        head = RepoHead.of(repo, actor, "files")
        entry = queries.entry_at(place.commit, place.path)
        safety = FileSafety.of(repo, actor, head, entry)
        return cls(
            title=place.path,
            head=head,
            revision=place.revision,
            crumbs=_crumbs(repo, place),
            name=entry.name,
            size_bytes=entry.size_bytes,
            digest_name="SHA-256" if entry.sha256 else "git SHA-1",
            digest=entry.sha256 or entry.oid,
            preview=Preview("held") if safety.held else preview_of(entry.name, queries.blob_of(entry)),
            preview_href=repo_url(repo, "preview", place.commit.oid, place.path),
            download_href="" if safety.held else repo_url(repo, "resolve", place.revision, place.path),
            image_href=repo_url(repo, "image", place.commit.oid, place.path),
            delete_href=repo_url(repo, "deletions", place.revision) if head.can_commit else "",
            hidden=[("path", place.path)],
            safety=safety,
            held_fields=[("path", place.path), ("revision", place.commit.oid)],
        )


@dataclass(frozen=True)
class CommitRow:
    oid: str
    summary: str
    description: str
    author: str
    created_at: datetime
    href: str
    tree_href: str


@dataclass(frozen=True)
class CommitsPage:
    title: str
    head: RepoHead
    revision: str
    commits: list[CommitRow]
    next_href: str

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, place: Place) -> "CommitsPage":
        commits, more = queries.history(place.commit, limit=PAGE_COMMITS)
        return cls(
            title=f"Commits of {repo.namespace.name}/{repo.name}",
            head=RepoHead.of(repo, actor, "files"),
            revision=place.revision,
            commits=[
                CommitRow(
                    commit.oid,
                    commit.summary,
                    commit.description,
                    commit.author_name,
                    commit.created_at,
                    repo_url(repo, "commit", commit.oid),
                    repo_url(repo, "tree", commit.oid),
                )
                for commit in commits
            ],
            next_href=repo_url(repo, "commits", more) if more else "",
        )


def figures_of(metrics: Mapping[str, Any]) -> list[Fact]:
    """`accuracy` → `0.972 (0.958–0.986)`; the href is empty, the label the metric's name."""
    found = []
    for name, metric in metrics.items():
        if isinstance(metric, Mapping) and isinstance(metric.get("value"), int | float):
            value, low, high = metric["value"], metric.get("low"), metric.get("high")
            text = f"{value:.4g}"
            if isinstance(low, int | float) and isinstance(high, int | float):
                text += f" ({low:.3g}–{high:.3g})"
            found.append(Fact(name.replace("_", " "), text))
    return found


def _card_facts(repo: "Repo", data: Mapping[str, Any]) -> list[Fact]:
    facts = [Fact("Licence", repo.licence), Fact("Task", repo.task), Fact("Library", repo.library)]
    facts += [Fact("Language", ", ".join(_texts(data.get("language"))))]
    facts += [Fact("Data", name, _card_link("dataset", name)) for name in _full_names(data.get("datasets"))]
    facts += [Fact("Base model", name, _card_link("model", name)) for name in _full_names(data.get("base_model"))]
    return [fact for fact in facts if fact.value]


def _card_link(kind: str, name: str) -> str:
    """Of `owner/name` or `owner/name@version`."""
    full_name, _, version = name.partition("@")
    return repo_address(kind, *full_name.split("/"), *(["versions", version] if version else []))


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(each)[:120] for each in values if isinstance(each, str | int | float) and str(each)]


def _full_names(value: object) -> list[str]:
    return [name for name in _texts(value)[:10] if name.count("/") == 1]


def _crumbs(repo: "Repo", place: Place) -> list[tuple[str, str]]:
    parts = place.path.split("/") if place.path else []
    crumbs = [(repo.name, repo_url(repo, "tree", place.revision))]
    return crumbs + [
        (part, repo_url(repo, "tree", place.revision, "/".join(parts[: index + 1]))) for index, part in enumerate(parts)
    ]


def _entry_row(repo: "Repo", revision: str, entry: queries.Entry, commit: "Commit | None", badge: str) -> EntryRow:
    return EntryRow(
        name=entry.name,
        href=repo_url(repo, "tree" if entry.is_dir else "blob", revision, entry.path),
        is_dir=entry.is_dir,
        size_bytes=entry.size_bytes,
        file_count=entry.file_count,
        is_large=entry.sha256 is not None,
        summary=commit.summary if commit else "",
        changed_at=commit.created_at if commit else None,
        commit_href=repo_url(repo, "commit", commit.oid) if commit else "",
        badge=badge,
    )


@dataclass(frozen=True)
class NamespacePage:
    """A person or an organisation: what they publish, as far as the actor may discover it."""

    title: str
    name: str
    kind: str
    display_name: str
    about: str
    role: str
    manage_href: str
    is_own: bool
    sections: list[tuple[str, str, list[RepoRow]]]
    has_repos: bool

    @classmethod
    def of(cls, actor: Actor, namespace: Any) -> "NamespacePage":
        sections = []
        for kind, title in KIND_TITLES.items():
            found = queries.search_repos(actor, kind=kind, namespace=namespace.name, limit=PAGE_REPOS)
            sections.append((title, kind, RepoRow.all_of(found.items)))
        organization = namespace.organization
        role = actor.role_in(namespace.pk)
        return cls(
            title=namespace.name,
            name=namespace.name,
            kind="organization" if organization else "user",
            display_name=organization.display_name if organization else namespace.user.display_name or namespace.name,
            about=organization.description if organization else "",
            role=str(role) if role and organization else "",
            manage_href=f"/organizations/{namespace.name}" if organization and role else "",
            is_own=namespace.pk == actor.namespace_id,
            sections=sections,
            has_repos=any(rows for _, _, rows in sections),
        )
