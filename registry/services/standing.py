"""What happens to a version after its release: deprecation, withdrawal, the aliases that point to it. Names and files stay."""

from datetime import date

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Invalid, NotFound
from registry import version_names
from registry.models import (
    AliasMove,
    Branch,
    LatestVersion,
    Repo,
    Tag,
    Version,
    VersionAlias,
    VersionMark,
)
from registry.paths import check_alias
from registry.policies import require_repo_by_uuid
from registry.queries import version_named
from registry.standing import refuse_yanked, standing_of
from registry.states import MarkKind

REASON_LIMIT = 2000
ALIAS_LIMIT = 50


def deprecate(
    actor: Actor, version: Version, *, message: str, successor: str | None = None, due_on: date | None = None
) -> Version:
    """Tell everybody that the version should not be used any more, in favour of the version named `successor`, at the latest on
    `due_on`. Needs the right to write. It goes on working. Said again, the newer words count; the same words again change
    nothing. Raises Invalid, NotFound for a successor that is not there, Conflict for one that is withdrawn."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    message = _reason(message, "message")
    following = version_named(repo, successor) if successor else None
    if following is not None and following.pk == version.pk:
        raise Invalid("A version is not its own successor.", fields={"successor": "itself"})
    if following is not None:
        refuse_yanked(following, "named as a successor")
    with transaction.atomic():
        _lock(repo)
        present = standing_of(_fresh(version))
        wanted = (True, message, following.name if following else "", due_on)
        if (present.is_deprecated, present.message, present.successor, present.due_on) != wanted:
            _mark(actor, version, MarkKind.DEPRECATED, message, successor=following, due_on=due_on)
    return _fresh(version)


def support(actor: Actor, version: Version) -> Version:
    """Take a deprecation back. A second call changes nothing."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    with transaction.atomic():
        _lock(repo)
        if standing_of(_fresh(version)).is_deprecated:
            _mark(actor, version, MarkKind.SUPPORTED, "")
    return _fresh(version)


def yank(actor: Actor, version: Version, *, reason: str) -> Version:
    """Withdraw the version: by its name, who has it can still fetch it; it is the newest no more, aliases can't point to it, and
    nothing new is deployed or sold from it. Needs the right to write. A second call changes nothing. Raises Invalid without a
    reason, Conflict while an alias points to it."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    reason = _reason(reason, "reason")
    with transaction.atomic():
        _lock(repo)
        pointing = list(VersionAlias.objects.filter(version=version).order_by("name").values_list("name", flat=True))
        if pointing:
            raise Conflict(
                f"{', '.join(pointing)} points to {version.name}: move it to another version first.",
                code="alias_in_the_way",
                aliases=pointing,
            )
        if not standing_of(_fresh(version)).is_yanked:
            _mark(actor, version, MarkKind.YANKED, reason)
            refresh_latest(repo)
    return _fresh(version)


def restore(actor: Actor, version: Version) -> Version:
    """Take a withdrawal back. A second call changes nothing."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    with transaction.atomic():
        _lock(repo)
        if standing_of(_fresh(version)).is_yanked:
            _mark(actor, version, MarkKind.RESTORED, "")
            refresh_latest(repo)
    return _fresh(version)


def set_alias(actor: Actor, repo: Repo, name: str, version_name: str) -> VersionAlias:
    """Point the alias at a version, wherever it pointed before; where it pointed stays on record. Needs the right to write. A second
    call changes nothing. Raises Invalid, NotFound, Conflict for a withdrawn version and for the name of a branch or a tag."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    check_alias(name)
    version = version_named(repo, version_name)
    with transaction.atomic():
        _lock(repo)
        refuse_yanked(_fresh(version), f"called {name}")
        if Branch.objects.filter(repo=repo, name=name).exists() or Tag.objects.filter(repo=repo, name=name).exists():
            raise Conflict(
                f"{name} is a branch or a tag already: as an alias it would never be reached.", code="reference_exists"
            )
        alias = VersionAlias.objects.filter(repo=repo, name=name).select_related("version").first()
        before = alias.version if alias else None
        if before == version:
            assert alias is not None
            return alias
        if alias is None:
            if VersionAlias.objects.filter(repo=repo).count() >= ALIAS_LIMIT:
                raise Invalid(f"A repository has at most {ALIAS_LIMIT} aliases: remove some first.")
            alias = VersionAlias(repo=repo, name=name)
        alias.version, alias.moved_at = version, now()
        alias.save()
        _moved(actor, repo, name, version, before)
    return alias


def remove_alias(actor: Actor, repo: Repo, name: str) -> None:
    """Remove the alias; where it pointed stays on record. Needs the right to write. Raises NotFound."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    with transaction.atomic():
        _lock(repo)
        alias = VersionAlias.objects.filter(repo=repo, name=name).select_related("version").first()
        if alias is None:
            raise NotFound(f"There is no alias {name[:40]}.")
        alias.delete()
        _moved(actor, repo, name, None, alias.version)


def refresh_latest(repo: Repo) -> None:
    """Name the newest version anew, in the caller's transaction, which holds the repository's row: by the order of names, a release
    before any pre-release, and none that is withdrawn."""
    withdrawn: dict[int, bool] = {}
    marks = VersionMark.objects.filter(version__repo=repo, kind__in=[MarkKind.YANKED, MarkKind.RESTORED]).order_by("pk")
    for version_id, kind in marks.values_list("version_id", "kind"):
        withdrawn[version_id] = kind == MarkKind.YANKED
    found = [
        (parsed is not None, parsed is not None and not parsed.is_prerelease, parsed or _OLDEST, pk)
        for pk, name in Version.objects.filter(repo=repo).values_list("pk", "name")
        for parsed in [version_names.parse(name)]
        if not withdrawn.get(pk)
    ]
    if found:
        LatestVersion.objects.update_or_create(repo=repo, defaults={"version_id": max(found)[-1]})
    else:
        LatestVersion.objects.filter(repo=repo).delete()


_OLDEST = version_names.VersionName("", (0, 0, 0, 0))
"""For names from before there were rules: they come before all others, the last published one last."""


def lock_repo(repo: Repo) -> None:
    """Whoever gives names in a repository comes one after the other: no two tables can be unique together."""
    _lock(repo)


def _lock(repo: Repo) -> None:
    Repo.objects.select_for_update(of=("self",), no_key=True).only("pk").get(pk=repo.pk)


def _fresh(version: Version) -> Version:
    """The version with its marks as they are now."""
    return version_named(version.repo, version.name)


def _reason(text: str, field: str) -> str:
    text = text.strip().replace("\x00", "")
    if not text:
        raise Invalid("Say why: people who use the version will read it.", fields={field: "empty"})
    if len(text) > REASON_LIMIT:
        raise Invalid(f"Say it in {REASON_LIMIT} characters.", fields={field: "too long"})
    return text


def _mark(
    actor: Actor,
    version: Version,
    kind: MarkKind,
    reason: str,
    *,
    successor: Version | None = None,
    due_on: date | None = None,
) -> None:
    VersionMark.objects.create(
        version=version,
        kind=kind,
        reason=reason,
        successor=successor,
        due_on=due_on,
        created_by_id=actor.user_id,
        created_at=now(),
    )
    audit.record(
        actor,
        f"registry:version:{kind.value}",
        "version",
        version.uuid,
        namespace_id=version.repo.namespace_id,
        repo=str(version.repo.uuid),
        name=version.name,
        reason=reason[:300],
        successor=successor.name if successor else "",
        due_on=due_on.isoformat() if due_on else "",
    )


def _moved(actor: Actor, repo: Repo, name: str, version: Version | None, before: Version | None) -> None:
    AliasMove.objects.create(
        repo=repo, name=name, version=version, before=before, created_by_id=actor.user_id, created_at=now()
    )
    audit.record(
        actor,
        "registry:alias:moved" if version else "registry:alias:removed",
        "repo",
        repo.uuid,
        namespace_id=repo.namespace_id,
        name=name,
        version=version.name if version else "",
        before=before.name if before else "",
    )
