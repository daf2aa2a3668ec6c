"""What the pages about storage show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.clock import now
from registry import storage_queries
from registry.policies import deleted_repos
from registry.services import garbage
from registry.storage_queries import NamespaceLine, NamespaceStorage
from web.links import repo_address, with_query
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace
    from registry.models import Repo

SHOWN = 100


@dataclass(frozen=True)
class RepoLine:
    name: str
    kind: str
    href: str
    held_bytes: int
    now_bytes: int
    past_bytes: int
    condemned_bytes: int
    files: int


@dataclass(frozen=True)
class DeletedLine:
    name: str
    kind: str
    uuid: str
    deleted_at: datetime
    held_bytes: int
    until: datetime


@dataclass(frozen=True)
class StoragePage:
    """The report of one owner. `can_restore`: whether the reader may bring deleted repositories back."""

    title: str
    owner: str
    owners: list[OwnerChoice]
    sums: NamespaceStorage
    used_share: int
    repositories: list[RepoLine]
    is_cut: bool
    deleted: list[DeletedLine]
    window_days: int
    csv_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace") -> "StoragePage":
        sums = storage_queries.storage_of(owner)
        rows = list(storage_queries.repositories_by_size(owner)[: SHOWN + 1])
        mine = {repo.pk for repo in deleted_repos(actor).filter(namespace=owner, purged_at=None)}
        return cls(
            title="Storage",
            owner=owner.name,
            owners=owner_choices(actor, Action.NAMESPACE_MANAGE, "/storage", owner.name),
            sums=sums,
            used_share=round(100 * sums.used_bytes / sums.limit_bytes) if sums.limit_bytes else 0,
            repositories=[line(owner, repo) for repo in rows[:SHOWN] if repo.deleted_at is None],
            is_cut=len(rows) > SHOWN,
            deleted=[_deleted(owner, repo) for repo in rows[:SHOWN] if repo.pk in mine and repo.deleted_at],
            window_days=garbage.window().days,
            csv_href=with_query("/storage/repositories.csv", owner=owner.name),
        )


def line(owner: "Namespace", repo: "Repo") -> RepoLine:
    """A repository of `repositories_by_size`. Files that a branch holds twice count once as held, so its past is never negative."""
    held, present = repo.held_bytes, repo.now_bytes  # type: ignore[attr-defined]
    return RepoLine(
        name=f"{owner.name}/{repo.name}",
        kind=repo.kind,
        href=repo_address(repo.kind, owner.name, repo.name),
        held_bytes=held,
        now_bytes=min(held, present),
        past_bytes=max(0, held - present),
        condemned_bytes=repo.condemned_bytes,  # type: ignore[attr-defined]
        files=repo.held_files,  # type: ignore[attr-defined]
    )


def _deleted(owner: "Namespace", repo: "Repo") -> DeletedLine:
    deleted_at = repo.deleted_at or now()
    return DeletedLine(
        f"{owner.name}/{repo.name}",
        repo.kind,
        str(repo.uuid),
        deleted_at,
        repo.held_bytes,  # type: ignore[attr-defined]
        deleted_at + garbage.window(),
    )


@dataclass(frozen=True)
class OverviewLine:
    line: NamespaceLine
    href: str


@dataclass(frozen=True)
class OverviewPage:
    """Who stores most; for staff."""

    title: str
    form: forms.Form
    namespaces: list[OverviewLine]

    @classmethod
    def of(cls, form: forms.Form) -> "OverviewPage":
        found = storage_queries.largest_namespaces(SHOWN)
        return cls("Storage by owner", form, [OverviewLine(each, f"/{each.name}") for each in found])
