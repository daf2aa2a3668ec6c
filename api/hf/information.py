"""What is told about a repository: one function per property, so that only what was asked for is looked up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db.models import prefetch_related_objects

from api.hf import wire
from common.clock import hub_time
from registry import community_queries, queries
from registry.services.repos import TREND_OF_DOWNLOAD

if TYPE_CHECKING:
    from registry.models import Commit, Repo

MAX_SIBLINGS = 50_000
"""Clients distrust longer lists and page through the tree; so beyond this the list is left out instead of being cut."""

_SHARED = {
    "author", "cardData", "createdAt", "disabled", "downloads", "downloadsAllTime", "gated", "lastModified", "likes", "private",
    "resourceGroup", "sha", "siblings", "tags", "trendingScore", "usedStorage",
}  # fmt: skip
OF_COMMIT = {"mainSize", "sha", "siblings", "usedStorage"}
EXPANDABLE = {
    "model": _SHARED
    | {
        "baseModels", "childrenModelCount", "config", "evalResults", "gguf", "inference", "inferenceProviderMapping",
        "library_name", "mask_token", "model-index", "pipeline_tag", "safetensors", "spaces", "transformersInfo", "widgetData",
    },
    "dataset": _SHARED | {"citation", "description", "mainSize", "paperswithcode_id"},
}  # fmt: skip
"""Names that `expand` may ask for. Those without a value here are simply not in the answer, as on the public Hub."""

_STANDARD = {
    "author", "cardData", "createdAt", "disabled", "downloads", "gated", "lastModified", "likes", "private", "sha", "siblings",
    "tags", "usedStorage",
}  # fmt: skip
_STANDARD_OF = {
    "model": _STANDARD | {"library_name", "model-index", "pipeline_tag", "spaces", "config"},
    "dataset": _STANDARD | {"description"},
}

_CONSTANT: dict[str, Any] = {"disabled": False, "spaces": []}
"""What this site has no other value for, and clients expect to be there."""

_SIMPLE: dict[str, Callable[["Repo"], Any]] = {
    "author": lambda repo: repo.namespace.name,
    "baseModels": lambda repo: _names(repo.card.get("base_model")) or None,
    "cardData": lambda repo: repo.card or None,
    "config": lambda repo: repo.facts.get("config", {}),
    "createdAt": lambda repo: hub_time(repo.created_at),
    "description": lambda repo: repo.description or None,
    "downloads": lambda repo: repo.downloads,
    "downloadsAllTime": lambda repo: repo.downloads,
    "gated": lambda repo: repo.gate or False,
    "lastModified": lambda repo: hub_time(repo.updated_at),
    "library_name": lambda repo: repo.library or None,
    "likes": lambda repo: repo.likes,
    "model-index": lambda repo: repo.card.get("model-index"),
    "pipeline_tag": lambda repo: repo.task or None,
    "private": lambda repo: repo.visibility != "public",
    "safetensors": lambda repo: repo.facts.get("safetensors"),
    "trendingScore": lambda repo: repo.trend // TREND_OF_DOWNLOAD,
    "tags": lambda repo: sorted(row.tag for row in repo.tag_rows.all()),
}


@dataclass
class Known:
    """What was looked up for a page of repositories at once: by primary key their heads and the number of models made of them."""

    heads: "dict[int, Commit]" = field(default_factory=dict)
    children: dict[int, int] = field(default_factory=dict)


def prepare(repos: "list[Repo]", wanted: set[str], heads: "dict[int, Commit] | None" = None) -> Known:
    """Look up at once what the lines of a list need: the tags, the heads when something follows from them, and so on. `heads`, when
    given, are the commits that were asked for."""
    if "tags" in wanted:
        prefetch_related_objects(repos, "tag_rows")
    if heads is None:
        heads = queries.heads_of(repos) if wanted & OF_COMMIT else {}
    children = community_queries.children_of(repos) if "childrenModelCount" in wanted else {}
    return Known(heads, children)


def information_of(
    repo: "Repo", known: Known, wanted: set[str] | None, *, blobs: bool = False, with_security: bool = False
) -> dict[str, Any]:
    """The properties `wanted` (None: the usual ones) of `repo`; what follows from a commit that is not known is left out."""
    names = _STANDARD_OF[repo.kind] if wanted is None else wanted
    identity = wire.repo_id(repo)
    data: dict[str, Any] = {"_id": repo.uuid.hex, "id": identity}
    if wanted is None and repo.kind == "model":
        data["modelId"] = identity
    data |= {name: _CONSTANT[name] for name in sorted(names & _CONSTANT.keys())}
    for name in sorted(names & _SIMPLE.keys()):
        value = _SIMPLE[name](repo)
        if value is not None:
            data[name] = value
    if "childrenModelCount" in names:
        data["childrenModelCount"] = known.children.get(repo.pk, 0)
    commit = known.heads.get(repo.pk)
    if commit is not None:
        data |= _of_commit(commit, names, blobs=blobs)
        if with_security:
            data["securityRepoStatus"] = _security(repo, commit)
    return data


def _of_commit(commit: "Commit", names: set[str], *, blobs: bool) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if "sha" in names:
        data["sha"] = commit.oid
    for name in ("usedStorage", "mainSize"):
        if name in names:
            data[name] = commit.tree.total_bytes
    if "siblings" in names and commit.tree.file_count <= MAX_SIBLINGS:
        files = islice(queries.all_files(commit), MAX_SIBLINGS)
        data["siblings"] = [wire.sibling(entry, blobs=blobs) for entry in files]
    return data


def _security(repo: "Repo", commit: "Commit") -> dict[str, Any]:
    """What scanning says of the files. Those that nobody has looked at yet are not done."""
    files = list(islice(queries.all_files(commit), MAX_SIBLINGS))
    verdicts = queries.verdicts_of_blobs(repo, (file.ref for file in files))
    issues = [
        {"path": file.path, "level": level}
        for file in files
        if (level := wire.security_status(verdicts.get(file.ref))) not in {"safe", "unscanned"}
    ]
    return {"scansDone": all(file.ref in verdicts for file in files), "filesWithIssues": issues}


def _names(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]
