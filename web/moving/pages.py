"""What the pages of exports and imports show."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings

from accounts.actors import Actor
from accounts.permissions import Action
from registry.services import exports
from registry.states import ExportState, ImportState
from web.links import repo_address, with_query
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace
    from registry.models import Export, Import, Repo


@dataclass(frozen=True)
class ExportRow:
    uuid: str
    state: str
    problem: str
    size_bytes: int
    asked_by: str
    created_at: datetime
    expires_at: datetime | None
    download_href: str
    removal_href: str
    left_out: list[dict[str, str]]
    refused: list[dict[str, str]]
    repositories: int
    large_files: int

    @classmethod
    def of(cls, row: "Export") -> "ExportRow":
        is_ready = row.state == ExportState.READY
        counts = row.summary.get("counts", {})
        return cls(
            str(row.uuid),
            row.state,
            row.problem,
            row.size_bytes,
            row.user.username if row.user else "",
            row.ready_at or row.created_at,
            row.expires_at,
            f"/exports/{row.uuid}/archive" if is_ready else "",
            f"/exports/{row.uuid}/removal",
            row.summary.get("left_out", []),
            row.summary.get("refused", []),
            counts.get("repositories", 0),
            counts.get("lfs_objects", 0),
        )


@dataclass(frozen=True)
class Exports:
    """The card of exports on a page of settings. `ask_href`: where a new one is asked for."""

    rows: list[ExportRow]
    ask_href: str
    owner: str
    days: int
    is_waiting: bool

    @classmethod
    def of(
        cls, actor: Actor, ask_href: str, *, repo: "Repo | None" = None, namespace: "Namespace | None" = None
    ) -> "Exports":
        rows = [ExportRow.of(each) for each in exports.exports_of(actor, repo=repo, namespace=namespace)]
        waiting = any(row.state == ExportState.WAITING for row in rows)
        owner = "" if namespace is None else namespace.name
        return cls(rows, ask_href, owner, exports.KEPT_FOR.days, waiting)


@dataclass(frozen=True)
class ExportsPage:
    """Exports of a whole namespace."""

    title: str
    owner: str
    owners: list[OwnerChoice]
    exports: Exports

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace") -> "ExportsPage":
        href = with_query("/exports", owner=owner.name)
        owners = owner_choices(actor, Action.NAMESPACE_MANAGE, "/exports", owner.name)
        return cls("Exports", owner.name, owners, Exports.of(actor, href, namespace=owner))


@dataclass(frozen=True)
class NewImportPage:
    title: str
    form: forms.Form
    announce_command: str
    send_command: str

    @classmethod
    def of(cls, form: forms.Form) -> "NewImportPage":
        site = f"{settings.PUBLIC_URL}/api/v1/imports"
        login = "-H 'Authorization: Bearer TOKEN'"
        return cls(
            "Import from an export",
            form,
            f'curl {login} -H \'Content-Type: application/json\' -d \'{{"namespace": "OWNER", "size_bytes": SIZE}}\' {site}',
            f"curl {login} -T ARCHIVE.tar {site}/UUID/content",
        )


@dataclass(frozen=True)
class ImportedLine:
    source: str
    name: str
    href: str
    outcome: str
    reason: str
    left: str


@dataclass(frozen=True)
class ImportPage:
    """`poll_href` while it is under way."""

    title: str
    state: str
    size_bytes: int
    owner: str
    problem: str
    created_at: datetime
    poll_href: str
    lines: list[ImportedLine] = field(default_factory=list)

    @classmethod
    def of(cls, row: "Import") -> "ImportPage":
        is_live = row.state == ImportState.WAITING
        return cls(
            "Import",
            row.state,
            row.size_bytes,
            row.namespace.name,
            row.problem,
            row.created_at,
            f"/imports/{row.uuid}?part=1" if is_live else "",
            [_line(each) for each in row.result.get("repositories", ())],
        )


def _line(said: dict[str, Any]) -> ImportedLine:
    name = said.get("name", "")
    owner, _, short = name.partition("/")
    href = repo_address(said["kind"], owner, short) if name else ""
    left = ", ".join(f"{count} {what}" for what, count in sorted(said.get("left", {}).items()))
    return ImportedLine(said["exported_as"], name, href, said["outcome"], said.get("reason", ""), left)
