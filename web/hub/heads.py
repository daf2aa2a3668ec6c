"""The head that all pages of one repository share."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.actors import Actor
from accounts.permissions import Action
from registry import policies, queries
from registry.safety_queries import state_of_head
from registry.states import Gate, SourceState, Visibility
from web.links import namespace_url, repo_url

if TYPE_CHECKING:
    from registry.models import Repo, RepoSource

KIND_TITLES = {"model": "Models", "dataset": "Datasets", "algorithm": "Algorithms"}

_ENDED = {SourceState.CANCELLED, SourceState.STOPPED}


@dataclass(frozen=True)
class Tab:
    label: str
    href: str
    icon: str
    is_current: bool
    count: int | None = None


@dataclass(frozen=True)
class SourceLine:
    """Where a repository comes from. `is_live`: something is being brought. `href` leads to the page about it, and is empty there."""

    address: str
    state: str
    is_mirror: bool
    is_live: bool
    every_h: int
    progress: str
    problem: str
    succeeded_at: datetime | None
    href: str

    @classmethod
    def of(cls, repo: "Repo", source: "RepoSource", current: str) -> "SourceLine":
        return cls(
            address=source.address,
            state=source.state,
            is_mirror=source.is_mirror,
            is_live=source.state in {SourceState.WAITING, SourceState.RUNNING},
            every_h=source.every_h,
            progress=source.progress,
            problem=source.problem,
            succeeded_at=source.succeeded_at,
            href="" if current == "source" else repo_url(repo, "source"),
        )


@dataclass(frozen=True)
class RepoHead:
    """`full_name` is owner/name; `title` stands in the browser's tab."""

    title: str
    kind: str
    owner: str
    owner_url: str
    name: str
    full_name: str
    url: str
    seed: str
    description: str
    visibility: str
    visibility_icon: str
    is_gated: bool
    scan: str
    """What scanning says of the newest commit, in a word; empty without one."""
    safety_href: str
    """For who may read the reasons."""
    licence: str
    task: str
    library: str
    downloads: int
    updated_at: datetime
    default_branch: str
    can_read: bool
    can_write: bool
    can_commit: bool
    can_admin: bool
    source: SourceLine | None
    tabs: list[Tab]
    download_command: str
    upload_command: str

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, current: str) -> "RepoHead":
        """`current` is the name of the tab. At most seven queries: a grant of each level, the source, and the scan."""
        source = queries.source_of(repo)
        can_write = policies.can(actor, repo, Action.REPO_WRITE)
        can_read = can_write or policies.can(actor, repo, Action.REPO_READ)
        can_admin = can_write and policies.can(actor, repo, Action.REPO_ADMIN)
        full_name = f"{repo.namespace.name}/{repo.name}"
        url = repo_url(repo)
        places = [("Card", "", "book-open"), ("Files", "tree", "folder")]
        places += [("Data", "data", "database")] if repo.kind == "dataset" else []
        places += [("Versions", "versions", "tag")]
        places += [("Lineage", "lineage", "network"), ("Licence", "licence", "scale")]
        places += [("Safety", "safety", "shield")] if can_read else []
        places += [("Settings", "settings", "settings")] if can_admin else []
        flag = "" if repo.kind == "model" else f" --repo-type {repo.kind}"
        return cls(
            title=full_name,
            kind=repo.kind,
            owner=repo.namespace.name,
            owner_url=namespace_url(repo.namespace.name),
            name=repo.name,
            full_name=full_name,
            url=url,
            seed=str(repo.uuid),
            description=repo.description,
            visibility=repo.visibility,
            visibility_icon={Visibility.PUBLIC: "globe", Visibility.ORGANIZATION: "users"}.get(
                Visibility(repo.visibility), "lock"
            ),
            is_gated=repo.gate != Gate.OPEN,
            scan=state_of_head(repo),
            safety_href=f"{url}/safety" if can_read else "",
            licence=repo.licence,
            task=repo.task,
            library=repo.library,
            downloads=repo.downloads,
            updated_at=repo.updated_at,
            default_branch=repo.default_branch,
            can_read=can_read,
            can_write=can_write,
            can_commit=can_write and not (source and source.is_in_charge),
            can_admin=can_admin,
            source=SourceLine.of(repo, source, current) if source and source.state not in _ENDED else None,
            tabs=[
                Tab(label, f"{url}/{part}" if part else url, icon, label.lower() == current)
                for label, part, icon in places
            ],
            download_command=f"HF_ENDPOINT={settings.PUBLIC_URL} hf download {full_name}{flag}",
            upload_command=f"HF_ENDPOINT={settings.PUBLIC_URL} hf upload {full_name} .{flag}",
        )
