"""Bringing repositories from elsewhere, with their history: once, or again and again as a mirror.

What comes is taken as a push is: the same code checks paths, files, quotas and known malware, stores, moves the refs, has it scanned
and tells those who watch. The source decides on branches and tags as long as it is in charge (`policies.require_no_source`)."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

from django.db import transaction

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common import outgoing
from common.clock import now
from common.errors import Busy, Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable
from common.sealed import seal, unseal
from notices.services import notify
from registry.models import Branch, Commit, Repo, RepoSource, Version
from registry.policies import MIRRORING, can, require_repo_by_uuid
from registry.services import cards, facts, gitpush, refs, repos, scans
from registry.services.gitobjects import refs_of
from registry.services.gitpacks import BrokenPack, IncomingPack, Spool
from registry.services.gitpush import NO_OID, RefChange
from registry.services.sourcefetch import Found, Login, Source, Tell
from registry.services.sourcegit import GitSource, NoGit
from registry.services.sourcehub import HubSource
from registry.states import SOURCES, RepoKind, SourceProtocol, SourceState, Visibility
from work.door import enqueue, require_lease
from work.errors import LeaseLost
from work.loops import see_through

LONGEST_H = 24 * 30
LIMIT_S = 6 * 3600
"""Of one run. Large files that have come by then are there for the next."""
_NAME_LIMIT, _TOKEN_LIMIT = 200, 1000
_AT_ONCE = 1
"""A run may take hours, and a small site's worker does two things at a time: the other is for everybody else."""
_TURN_S = 30
_DEAD_AFTER = timedelta(seconds=LIMIT_S + 3600)
_PAUSES_S = (60, 600, 3600)
"""Between the attempts of an import whose source does not answer."""
_BROKEN_OFF = 5
_TOLD_AFTER = 3
"""Failures of a mirror in a row, before its owner hears of them: a source may be away for a night."""
_LONGEST_PAUSE = timedelta(days=7)
_FORGET_TOKEN = timedelta(days=7)
_TELL_S = 1.0
_REWRITTEN_KEPT = 20
_SKIPPED_SHOWN = 100


class _Ended(Exception):
    """Somebody has given the import up, or deleted the repository."""


@dataclass(frozen=True)
class Wanted:
    """What to bring from where. `remote_name` is for hubs: `owner/name`. `every_h`: hours, 0 for once."""

    protocol: str
    url: str
    remote_name: str = ""
    username: str = ""
    token: str = ""
    every_h: int = 0


def import_repo(
    actor: Actor,
    kind: RepoKind | str,
    namespace_name: str,
    name: str,
    wanted: Wanted,
    *,
    visibility: Visibility | str = Visibility.PRIVATE,
    description: str = "",
) -> Repo:
    """Make a repository and ask for the history that is elsewhere; the rest follows in a task. Needs the right to publish in the
    namespace. The token is kept encrypted: of a mirror until it is stopped, else until the import is done. Raises Invalid,
    RepoExists."""
    fields = _checked(kind, wanted)
    with transaction.atomic():
        repo = repos.create_repo(actor, kind, namespace_name, name, visibility=visibility, description=description)
        source = RepoSource.objects.create(repo=repo, user_id=actor.user_id, next_at=now(), **fields)
        _record(actor, "registry:import:asked", source, every_h=source.every_h)
        _ring(source)
    return repo


def source_of(repo: Repo) -> RepoSource:
    """Where the repository comes from. Raises NotFound for one that was made here."""
    source = RepoSource.objects.select_related("repo__namespace").filter(repo=repo).first()
    if source is None:
        raise NotFound("This repository was not imported.", code="no_source")
    return source


def bring_now(repo: Repo) -> RepoSource:
    """Bring what was asked for in this process, or wait for the worker that is bringing it; how it stands then. Not for requests:
    it may take hours. Raises NotFound."""
    see_through("registry.sync_source", _key(source_of(repo)))
    return source_of(repo)


def run_now(actor: Actor, repo: Repo, *, username: str | None = None, token: str | None = None) -> RepoSource:
    """Look at the source of a mirror now, or try a failed import again, with another login where one is given. Needs the right to
    write. While it waits or runs, nothing changes. Raises Conflict for an import that has ended."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    login = _checked_login(username, token)
    with transaction.atomic():
        source = _locked(repo)
        if source.state == SourceState.RUNNING and not login:
            return source_of(repo)
        if source.state == SourceState.DONE and not source.is_mirror:
            raise Conflict(
                "This import is done: it cannot be run again. To go on following the source, import it as a mirror."
            )
        if source.state != SourceState.WAITING:
            # one that runs with a former login ends when it finds itself waiting
            SOURCES.ensure(SourceState(source.state), SourceState.WAITING)
        # whoever asks stands for it from now on, as who asked first may have left
        values = {
            "state": SourceState.WAITING,
            "progress": "",
            "next_at": now(),
            "user_id": actor.user_id or source.user_id,
        }
        if not source.is_mirror:
            values["failures_in_a_row"] = 0
        RepoSource.objects.filter(pk=source.pk).update(**values, **login)
        _record(actor, "registry:import:repeated", source)
        _ring(source)
    return source_of(repo)


def update_mirror(
    actor: Actor, repo: Repo, *, every_h: int | None = None, username: str | None = None, token: str | None = None
) -> RepoSource:
    """Change how often the source is looked at, or the login there; an empty token removes it. Needs the right to administer.
    Raises Invalid, Conflict for what is no mirror."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    values: dict[str, Any] = _checked_login(username, token)
    if every_h is not None:
        values["every_h"] = _checked_hours(every_h, least=1)
    with transaction.atomic():
        source = _locked(repo)
        if not source.is_mirror:
            raise Conflict("This repository is no mirror: there is nothing to change.")
        if every_h is not None and source.state in {SourceState.DONE, SourceState.FAILED}:
            since = source.ended_at or now()
            values["next_at"] = max(now(), since + timedelta(hours=every_h))
        if actor.user_id is not None:
            values["user_id"] = actor.user_id
        RepoSource.objects.filter(pk=source.pk).update(**values)
        _record(actor, "registry:mirror:changed", source, every_h=values.get("every_h", source.every_h))
    return source_of(repo)


def stop(actor: Actor, repo: Repo) -> RepoSource:
    """Make a mirror an ordinary repository, or give an import up; what has arrived stays, the login is forgotten. Needs the right to
    administer. A second call changes nothing."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    with transaction.atomic():
        source = _locked(repo)
        if source.state in {SourceState.CANCELLED, SourceState.STOPPED}:
            return source
        wanted = SourceState.STOPPED if source.every_h else SourceState.CANCELLED
        SOURCES.ensure(SourceState(source.state), wanted)
        _update(source, state=wanted, progress="", next_at=None, ended_at=now(), **_NO_LOGIN)
        _record(actor, "registry:mirror:stopped" if source.every_h else "registry:import:cancelled", source)
    return source_of(repo)


def start_due() -> int:
    """Ask for what is due: mirrors whose time has come, and runs that are overdue because their worker died; returns how many.
    Forgets the logins of imports that failed a week ago. Safe beside itself: one task per source is alive."""
    moment = now()
    RepoSource.objects.filter(every_h=0, state=SourceState.FAILED, ended_at__lt=moment - _FORGET_TOKEN).exclude(
        sealed_token=""
    ).update(**_NO_LOGIN)
    due = RepoSource.objects.filter(next_at__lte=moment, repo__deleted_at__isnull=True)
    count = 0
    for source in due.order_by("next_at")[:500]:
        with transaction.atomic():
            RepoSource.objects.filter(
                pk=source.pk, next_at__lte=moment, state__in=[SourceState.DONE, SourceState.FAILED]
            ).update(state=SourceState.WAITING, progress="")
            _ring(source)
        count += 1
    return count


def sync_source(source_id: int) -> None:
    """Bring what the source has, and move branches and tags to where they are there. Safe to repeat and after a crash: what has
    come is found there, and refs move last. Notes how it ended and plans the next run, if there is one."""
    source = _begin(source_id)
    if source is None:
        return
    try:
        found = _brought(source, _Teller(source))
    except _Ended:
        pass
    except LeaseLost:
        raise
    except DomainError as error:
        _failed(source, error)
    else:
        _succeeded(source, found)
    _ring_next()


# Asking


_NO_LOGIN = {"username": "", "sealed_token": ""}


def _checked(kind: RepoKind | str, wanted: Wanted) -> dict[str, Any]:
    if wanted.protocol not in list(SourceProtocol):
        raise Invalid(f"protocol must be one of: {', '.join(SourceProtocol)}.", fields={"protocol": "unknown"})
    url = wanted.url.strip().rstrip("/")
    outgoing.check_url(url)
    if "?" in url or "#" in url:
        raise Invalid("The address of a source has no ? and no #.", fields={"url": "not allowed"})
    name = wanted.remote_name.strip().strip("/")
    if wanted.protocol == SourceProtocol.HUB:
        if kind not in {RepoKind.MODEL, RepoKind.DATASET}:
            raise Invalid("Hubs have models and datasets.", fields={"kind": "not at a hub"})
        if (
            not 0 < len(name) <= _NAME_LIMIT
            or any(part in {"", ".", ".."} for part in name.split("/"))
            or not name.isprintable()
        ):
            raise Invalid("Name the repository as the hub does: owner/name.", fields={"remote_name": "not a name"})
    elif name:
        raise Invalid("A git repository is named by its address alone.", fields={"remote_name": "not for git"})
    return {
        "protocol": str(wanted.protocol),
        "url": url,
        "remote_name": name,
        "every_h": _checked_hours(wanted.every_h, least=0),
        **_checked_login(wanted.username, wanted.token),
    }


def _checked_hours(hours: int, *, least: int) -> int:
    if not least <= hours <= LONGEST_H:
        raise Invalid(
            f"A mirror looks at its source every 1 to {LONGEST_H} hours.", fields={"every_h": "not a number of hours"}
        )
    return hours


def _checked_login(username: str | None, token: str | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for field, text, limit in (("username", username, _NAME_LIMIT), ("token", token, _TOKEN_LIMIT)):
        if text is not None and (len(text) > limit or not (text or "x").isprintable()):
            raise Invalid(f"The {field} has at most {limit} printable characters.", fields={field: "not valid"})
    if ":" in (username or ""):
        raise Invalid("A user name has no colon.", fields={"username": "not valid"})
    if username is not None:
        values["username"] = username.strip()
    if token is not None:
        values["sealed_token"] = seal(token.strip()) if token.strip() else ""
    return values


def _locked(repo: Repo) -> RepoSource:
    source = RepoSource.objects.select_for_update(of=("self",)).filter(repo=repo).first()
    if source is None:
        raise NotFound("This repository was not imported.", code="no_source")
    source.repo = repo
    return source


def _ring(source: RepoSource, *, delay_s: float = 0) -> None:
    enqueue("registry.sync_source", source.pk, key=_key(source), delay_s=delay_s)


def _key(source: RepoSource) -> str:
    return f"source:{source.pk}"


def _record(actor: Actor, tag: str, source: RepoSource, **more: Any) -> None:
    repo = source.repo
    audit.record(actor, tag, "repo", repo.uuid, namespace_id=repo.namespace_id, source=source.address, **more)


def _update(source: RepoSource, **values: Any) -> None:
    RepoSource.objects.filter(pk=source.pk).update(**values)


def _ring_next() -> None:
    """Let the one come next that has waited longest for its turn."""
    waiting = RepoSource.objects.filter(state=SourceState.WAITING, next_at__lte=now(), repo__deleted_at__isnull=True)
    if following := waiting.order_by("next_at").first():
        _ring(following)


# One run


def _begin(source_id: int) -> RepoSource | None:
    """The source, which is running now; None when there is nothing to do, or others are before it."""
    with transaction.atomic():
        # the source first, then the task: whoever asks for a run takes them in this order
        source = (
            RepoSource.objects.select_for_update(of=("self",))
            .filter(pk=source_id, repo__deleted_at__isnull=True, state__in=[SourceState.WAITING, SourceState.RUNNING])
            .first()
        )
        if source is None:
            return None
        require_lease()
        source.repo = Repo.objects.select_related("namespace").get(pk=source.repo_id)
        moment = now()
        others = RepoSource.objects.filter(state=SourceState.RUNNING, next_at__gt=moment).exclude(pk=source.pk)
        if others.count() >= _AT_ONCE:
            _update(source, progress="Waits until another import is done")
            _ring(source, delay_s=_TURN_S)
            return None
        if source.state == SourceState.RUNNING:
            # whoever ran it is gone: the lease was free
            source.failures_in_a_row += 1
        is_hopeless = source.state == SourceState.RUNNING and source.failures_in_a_row >= _BROKEN_OFF
        source.state = SourceState.RUNNING
        _update(
            source,
            state=source.state,
            failures_in_a_row=source.failures_in_a_row,
            progress="Asking the source",
            started_at=moment,
            next_at=moment + _DEAD_AFTER,
        )
    if is_hopeless:
        _failed(
            source,
            Invalid(
                "It was broken off again and again, each time before it was done: ask the operator to look at the worker."
            ),
        )
        return None
    return source


class _Teller:
    """Writes down how far a run is, and ends it when somebody has given it up."""

    def __init__(self, source: RepoSource) -> None:
        self._source = source
        self._next = 0.0

    def __call__(self, sentence: str) -> None:
        if monotonic() < self._next:
            return
        with transaction.atomic():
            running = RepoSource.objects.filter(
                pk=self._source.pk, state=SourceState.RUNNING, repo__deleted_at__isnull=True
            )
            if not running.update(progress=sentence[:300]):
                raise _Ended
            require_lease()
        self._next = monotonic() + _TELL_S


def _brought(source: RepoSource, tell: Tell) -> Found:
    actor = _require_right(source)
    repo = source.repo
    spool = Spool()
    try:
        found, place = _fetched(source, spool, tell)
        if not any(name.startswith("refs/heads/") for name in found.refs):
            raise Invalid(
                "The source has no branch: there is nothing to bring. Commit something there, then try again."
            )
        # a tag that has moved goes first: tags stay where they were put otherwise
        moved = _moved_tags(repo, found)
        if moved:
            for sentence in gitpush.receive(actor, repo, moved, None):
                tell(sentence)
        changes = _changes(repo, found)
        # what a new repository begins with is nobody's work
        has_history = source.succeeded_at is not None
        with ExitStack() as stack:
            pack = stack.enter_context(IncomingPack(spool)) if spool.size_bytes else None
            for sentence in gitpush.receive(
                actor, repo, changes, pack, bring=partial(place.bring, repo), keeps_rewritten=has_history
            ):
                tell(sentence)
    except BrokenPack as error:
        raise Unavailable("The pack that the source sent was cut off or damaged on its way.") from error
    finally:
        spool.close()
    _settle_default_branch(actor, repo, found.default_branch)
    if former := _changes(repo, found, only_gone=True):
        for sentence in gitpush.receive(actor, repo, former, None):
            tell(sentence)
    refused = {change.name: change.refusal for change in [*moved, *changes, *former] if change.refusal}
    found.skipped += refused.items()
    _note_rewritten(source, changes if has_history else [])
    if problem := refused.get(f"refs/heads/{found.default_branch}"):
        raise Invalid(f"The branch {found.default_branch} could not be taken: {problem}")
    return found


def _require_right(source: RepoSource) -> Actor:
    """The actor that writes, if whoever asked may still write. Raises Forbidden."""
    if source.user is None or not can(actors.for_user(source.user), source.repo, Action.REPO_WRITE):
        raise Forbidden(
            "Whoever set this up may not write to the repository any more: somebody who may must start it again, and stands for it then."
        )
    return actors.system(MIRRORING)


def _fetched(source: RepoSource, spool: Spool, tell: Tell) -> tuple[Found, Source]:
    login = Login(source.url, source.username, unseal(source.sealed_token) if source.sealed_token else "")
    if source.protocol == SourceProtocol.GIT:
        git = GitSource(source.url, login, tell)
        return git.fetch(source.repo, spool), git
    if not source.is_without_git:
        prefix = "datasets/" if source.repo.kind == RepoKind.DATASET else ""
        git = GitSource(f"{source.url}/{prefix}{source.remote_name}.git", login, tell)
        try:
            return git.fetch(source.repo, spool), git
        except NoGit:
            if source.succeeded_at is not None:
                raise
    hub = HubSource(source.url, source.repo.kind, source.remote_name, login, tell)
    found = hub.fetch(source.repo, spool)
    _update(source, is_without_git=True)
    return found, hub


def _changes(repo: Repo, found: Found, *, only_gone: bool = False) -> list[RefChange]:
    """What makes branches and tags those of the source. The tags of published versions stay, and so do the former heads of branches,
    the branches of pull requests, and the default branch until another has taken its place."""
    here = {ref.name: ref.oid for ref in refs_of(repo) if ref.name.startswith(("refs/heads/", "refs/tags/"))}
    stays = {f"refs/tags/{name}" for name in Version.objects.filter(repo=repo).values_list("name", flat=True)}
    stays.add(f"refs/heads/{repo.default_branch}")
    changes = [
        RefChange(name, here.get(name, NO_OID), oid)
        for name, oid in found.refs.items()
        if here.get(name) != oid and not only_gone
    ]
    for name, oid in here.items():
        if name not in found.refs and name not in stays and not name.startswith(f"refs/tags/{refs.KEPT_PREFIX}"):
            changes.append(RefChange(name, oid, NO_OID))
    return changes


def _moved_tags(repo: Repo, found: Found) -> list[RefChange]:
    tags = {ref.name: ref.oid for ref in refs_of(repo) if ref.name.startswith("refs/tags/")}
    return [RefChange(name, oid, NO_OID) for name, oid in tags.items() if found.refs.get(name, oid) != oid]


def _settle_default_branch(actor: Actor, repo: Repo, name: str) -> None:
    """Show the branch first that the source shows first, and let the former one go if the source has none of its name."""
    former = repo.default_branch
    if not name or name == former:
        return
    head = (
        Commit.objects.select_related("tree")
        .filter(pk__in=Branch.objects.filter(repo=repo, name=name).values("head"))
        .first()
    )
    if head is None:
        return
    with transaction.atomic():
        Repo.objects.filter(pk=repo.pk).update(default_branch=name, updated_at=now())
        repo.default_branch = name
        audit.record(
            actor,
            "registry:repo:changed",
            "repo",
            repo.uuid,
            namespace_id=repo.namespace_id,
            before={"default_branch": former},
            after={"default_branch": name},
        )
        cards.refresh_card(repo, head)
        facts.ask_for_refresh(repo)
        scans.ask_for_scan(repo)


def _note_rewritten(source: RepoSource, changes: Sequence[RefChange]) -> None:
    moment = now().isoformat()
    rows = [
        {"branch": change.branch, "before": change.old, "after": change.new, "at": moment}
        for change in changes
        if change.is_rewrite and not change.refusal
    ]
    if rows:
        _update(source, rewritten=[*rows, *source.rewritten][:_REWRITTEN_KEPT])


# How it ended


def _succeeded(source: RepoSource, found: Found) -> None:
    moment = now()
    values: dict[str, Any] = {
        "state": SourceState.DONE,
        "progress": "",
        "problem": "",
        "skipped": [[name[:200], reason[:500]] for name, reason in found.skipped[:_SKIPPED_SHOWN]],
        "failures_in_a_row": 0,
        "ended_at": moment,
        "succeeded_at": moment,
        "next_at": moment + timedelta(hours=source.every_h) if source.every_h else None,
    }
    if not source.every_h:
        values |= _NO_LOGIN
    if not _end(source, values):
        return
    full_name = _full_name(source)
    if source.succeeded_at is None:
        _tell_owner(
            source, f"{full_name} is here: it was imported from {source.address}.", key=f"source:{source.uuid}:done"
        )
    elif source.failures_in_a_row >= _TOLD_AFTER:
        _tell_owner(source, f"The mirror {full_name} follows {source.address} again.")


def _failed(source: RepoSource, error: DomainError) -> None:
    failures = source.failures_in_a_row + 1
    moment = now()
    values: dict[str, Any] = {"problem": error.message[:1000], "failures_in_a_row": failures, "progress": ""}
    if source.every_h:
        pause = min(timedelta(hours=source.every_h) * 2 ** min(failures - 1, 16), _LONGEST_PAUSE)
        values |= {"state": SourceState.FAILED, "ended_at": moment, "next_at": moment + max(pause, timedelta(hours=1))}
        if _end(source, values) and failures == _TOLD_AFTER:
            _tell_owner(
                source,
                f"The mirror {_full_name(source)} has failed {failures} times in a row to follow {source.address}: {error.message}",
            )
        return
    if isinstance(error, Busy | Unavailable) and failures <= len(_PAUSES_S):
        pause_s = _PAUSES_S[failures - 1]
        values |= {"state": SourceState.WAITING, "next_at": moment + timedelta(seconds=pause_s)}
        if _end(source, values):
            _ring(source, delay_s=pause_s)
        return
    values |= {"state": SourceState.FAILED, "ended_at": moment, "next_at": None}
    if _end(source, values):
        _tell_owner(source, f"The import of {_full_name(source)} failed: {error.message}")


def _end(source: RepoSource, values: dict[str, Any]) -> bool:
    """Write how a run ended, unless it was given up or taken over meanwhile."""
    with transaction.atomic():
        is_noted = RepoSource.objects.filter(pk=source.pk, state=SourceState.RUNNING).update(**values)
        require_lease()
    return bool(is_noted)


def _tell_owner(source: RepoSource, text: str, *, key: str | None = None) -> None:
    repo = source.repo
    url = f"/{'' if repo.kind == 'model' else repo.kind + 's/'}{_full_name(source)}/source"
    with transaction.atomic():
        notify(repo.namespace_id, "import", text, url=url, key=key)


def _full_name(source: RepoSource) -> str:
    return f"{source.repo.namespace.name}/{source.repo.name}"
