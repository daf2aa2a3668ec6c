"""Exports and imports from the command line: whole sites, by their operators (docs/moves.md)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts import actors
from accounts.models import Namespace
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.errors import Invalid
from registry.exports.reading import archive_at
from registry.exports.writing import write_folder, write_tar
from registry.models import Repo
from registry.policies import require_repo, visible_repos
from registry.services.exports import outgoing_of
from registry.services.importing import Wish, import_archive
from registry.states import RepoKind

OPERATOR = actors.system("operator")


def export_to(target: Path, *, repository: str = "", namespace: str = "", resume: bool = False) -> dict[str, Any]:
    """Write an export of a repository, of a namespace or, without either, of everything to a folder or a tar. Writes audit. Raises
    NotFound, Conflict, Invalid, Unavailable; a tar is then not there, a folder has no manifest."""
    is_tar = target.suffix == ".tar"
    if is_tar and resume:
        raise Invalid("A tar is written in one go: --resume goes on with a folder.")
    repos = visible_repos(OPERATOR).order_by("namespace", "pk")
    if repository:
        repo = _repo(repository)
        outgoing = outgoing_of(OPERATOR, [repo], "repository", f"{repo.namespace.name}/{repo.name}")
    elif namespace:
        owner = require_namespace(OPERATOR, namespace)
        outgoing = outgoing_of(OPERATOR, list(repos.filter(namespace=owner)), "namespace", owner.name, [owner.pk])
    else:
        every = list(Namespace.objects.order_by("pk").values_list("pk", flat=True))
        outgoing = outgoing_of(OPERATOR, list(repos), "everything", "", every)
    if is_tar:
        write_tar(outgoing.members(), outgoing.created_at.timestamp(), target)
    else:
        write_folder(outgoing.members(), target, resume=resume)
    with transaction.atomic():
        audit.record(
            OPERATOR, "registry:repo:exported", "export", None, scope=outgoing.scope, **outgoing.summary["counts"]
        )
    return {"to": str(target), **outgoing.summary}


def import_from(
    source: Path, *, into: str = "", renames: Sequence[str] = (), people: Sequence[str] = (), is_dry: bool = False
) -> dict[str, Any]:
    """Make what an export has. See `import_archive`."""
    wish = Wish(into, _pairs(renames, "--rename"), _pairs(people, "--map"), is_dry)
    with archive_at(source) as archive:
        return import_archive(OPERATOR, archive, wish)


def _repo(text: str) -> Repo:
    *kinds, owner, name = text.split("/") if text.count("/") in {1, 2} else ("", "", "")
    if kinds:
        return require_repo(OPERATOR, kinds[0], owner, name, Action.REPO_ADMIN)
    found = list(visible_repos(OPERATOR).filter(namespace__name__iexact=owner, name__iexact=name))
    if len(found) > 1:
        raise Invalid(
            f"There are several kinds of {text}: write {' or '.join(f'{each.kind}/{text}' for each in found)}."
        )
    if not found:
        return require_repo(OPERATOR, RepoKind.MODEL, owner, name, Action.REPO_ADMIN)
    return found[0]


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise Invalid(f"{option} takes OLD=NEW, not {text[:80]}.")
        found[old] = new
    return found
