"""What the pages of imports and mirrors show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from common.clock import now
from registry.services.gitpacks import MAX_FILE_BYTES
from registry.services.gitpush import kept_tag
from registry.states import SourceProtocol, SourceState
from web.hub.forms import LoginForm, MirrorForm
from web.hub.heads import RepoHead
from web.links import repo_url

if TYPE_CHECKING:
    from registry.models import Repo, RepoSource

_LIVE = {SourceState.WAITING, SourceState.RUNNING}


@dataclass(frozen=True)
class ImportPage:
    title: str
    form: forms.Form
    largest_bytes: int
    command: str

    @classmethod
    def of(cls, form: forms.Form) -> "ImportPage":
        return cls("Import a repository", form, MAX_FILE_BYTES, "manage.py import_repo OWNER/NAME URL --as USER")


@dataclass(frozen=True)
class Rewritten:
    branch: str
    before: str
    href: str
    tag: str
    at: datetime


@dataclass(frozen=True)
class SourcePage:
    title: str
    head: RepoHead
    here: str
    is_mirror: bool
    is_live: bool
    state: str
    progress: str
    problem: str
    problem_title: str
    address: str
    protocol: str
    login: str
    started_at: datetime | None
    succeeded_at: datetime | None
    next_text: str
    skipped: list[tuple[str, str]]
    rewritten: list[Rewritten]
    keeps_ids: bool
    run_label: str
    login_form: forms.Form | None
    mirror_form: forms.Form | None
    stop_label: str
    stop_question: str
    stop_text: str
    stop_href: str

    @classmethod
    def of(
        cls,
        repo: "Repo",
        actor: Actor,
        source: "RepoSource",
        *,
        login_form: forms.Form | None = None,
        mirror_form: forms.Form | None = None,
    ) -> "SourcePage":
        head = RepoHead.of(repo, actor, "source")
        is_failed_import = source.state == SourceState.FAILED and not source.is_mirror
        can_run = head.can_write and (
            is_failed_import or (source.is_mirror and source.state in {SourceState.DONE, SourceState.FAILED})
        )
        can_stop = head.can_admin and source.is_in_charge
        return cls(
            title=f"Source of {head.full_name}",
            head=head,
            here=repo_url(repo, "source"),
            is_mirror=source.every_h > 0,
            is_live=source.state in _LIVE,
            state=source.state,
            progress=source.progress or "Waits for its turn",
            problem=source.problem if source.state not in {SourceState.DONE, SourceState.STOPPED} else "",
            problem_title="The last attempt failed; it is tried again."
            if source.state in _LIVE
            else "The last run failed.",
            address=source.address,
            protocol=_protocol(source),
            login="kept, encrypted" if source.sealed_token else "none",
            started_at=source.started_at,
            succeeded_at=source.succeeded_at,
            next_text=_next(source),
            skipped=[(ref, reason) for ref, reason in source.skipped],
            rewritten=[_rewritten(repo, row) for row in source.rewritten],
            keeps_ids=not source.is_without_git,
            run_label=("Sync now" if source.is_mirror else "Try again") if can_run else "",
            login_form=(login_form or LoginForm(initial={"username": source.username}))
            if can_run and is_failed_import
            else None,
            mirror_form=(mirror_form or MirrorForm(initial={"every_h": source.every_h, "username": source.username}))
            if head.can_admin and source.is_mirror
            else None,
            stop_label=("Stop mirroring" if source.every_h else "Give the import up") if can_stop else "",
            stop_question="Stop following the source?" if source.every_h else "Give this import up?",
            stop_text="Then this is an ordinary repository, and you can commit here."
            if source.every_h
            else "Then nothing more comes, and you can commit here or delete the repository.",
            stop_href=repo_url(repo, "source", "stopping"),
        )


def _protocol(source: "RepoSource") -> str:
    if source.protocol == SourceProtocol.GIT:
        return "git"
    return "the Hugging Face protocol, without git" if source.is_without_git else "the Hugging Face protocol"


def _next(source: "RepoSource") -> str:
    """When it is looked at again, in words."""
    if not source.is_mirror or source.next_at is None or source.state in _LIVE:
        return ""
    minutes = max(0, round((source.next_at - now()).total_seconds() / 60))
    return f"in {minutes} min" if minutes < 120 else f"in {round(minutes / 60)} h"


def _rewritten(repo: "Repo", row: dict[str, str]) -> Rewritten:
    return Rewritten(
        row["branch"],
        row["before"],
        repo_url(repo, "commit", row["before"]),
        kept_tag(row["branch"], row["before"]),
        datetime.fromisoformat(row["at"]),
    )
