"""How versions are named in links and by programs, and found again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Invalid
from registry import queries
from registry.comparison.shape import LIMIT
from registry.errors import RepoMoved
from registry.policies import require_repo
from registry.states import RepoKind

if TYPE_CHECKING:
    from registry.models import Version

_KIND_OF_PREFIX = {"datasets": RepoKind.DATASET, "algorithms": RepoKind.ALGORITHM, "models": RepoKind.MODEL}


def ref_of(version: "Version") -> str:
    """`acme/digits@1.0`, `datasets/acme/wine@1.0`: how links and programs name a version."""
    repo = version.repo
    prefix = "" if repo.kind == RepoKind.MODEL else f"{repo.kind}s/"
    return f"{prefix}{repo.namespace.name}/{repo.name}@{version.name}"


def named_versions(actor: Actor, refs: Sequence[str]) -> "list[Version]":
    """The versions of these names that the actor may discover, each once, in the order given. Raises Invalid for what is no name, too
    many or different kinds, NotFound."""
    wanted = list(dict.fromkeys(ref.strip().strip("/") for ref in refs if ref.strip()))
    if len(wanted) > LIMIT:
        raise Invalid(f"At most {LIMIT} versions are compared at a time.", fields={"v": "too many"})
    found = {version.pk: version for version in (_named(actor, ref) for ref in wanted)}
    versions = list(found.values())
    if len({version.repo.kind for version in versions}) > 1:
        raise Invalid("Compare models with models and datasets with datasets.", fields={"v": "different kinds"})
    return versions


def _named(actor: Actor, ref: str) -> "Version":
    path, at, name = ref.partition("@")
    parts = path.split("/")
    kind = RepoKind.MODEL
    if len(parts) == 3 and parts[0] in _KIND_OF_PREFIX:
        kind = _KIND_OF_PREFIX[parts.pop(0)]
    if not at or not name or len(parts) != 2 or not all(parts) or not ref.isprintable():
        raise Invalid(
            "Name a version like acme/digits@1.0 or datasets/acme/wine@1.0.", fields={"v": f"{ref[:100]} is no version"}
        )
    try:
        repo = require_repo(actor, kind, parts[0], parts[1], Action.REPO_DISCOVER)
    except RepoMoved as error:
        to = {key: str(error.fields[key]) for key in ("kind", "namespace", "name")}
        repo = require_repo(actor, to["kind"], to["namespace"], to["name"], Action.REPO_DISCOVER)
    version = queries.version_named(repo, name)
    version.repo = repo
    return version
