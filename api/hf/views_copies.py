"""Copying repositories and large files; and the words that lists are filtered by."""

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf import wire
from api.hf.bodies import json_object, list_of, text_of
from api.hf.routing import base_url
from api.hf.views_repos import named_visibility, pair_of, taken_answer
from common.errors import Invalid
from registry import community_queries
from registry.errors import RepoExists
from registry.policies import require_repo
from registry.services import duplicates

MAX_FILES = 1000
_TYPES = {
    "license": "license", "language": "language", "dataset": "dataset", "base_model": "base_model", "region": "region",
    "task_categories": "task_categories", "task_ids": "task_ids", "size_categories": "size_categories",
    "multilinguality": "multilinguality", "language_creators": "language_creators", "benchmark": "benchmark",
}  # fmt: skip


def duplicate(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """A copy without history, public unless asked for otherwise, as repositories are made here. Nothing is left to be copied later."""
    actor.require_authenticated()
    source = require_repo(actor, kind, namespace, name, Action.REPO_READ)
    data = json_object(request)
    owner, new_name = pair_of(text_of(data, "repository", max_length=200))
    try:
        copy = duplicates.duplicate_repo(
            actor, source, owner, new_name, visibility=named_visibility(data) or source.visibility
        )
    except RepoExists as error:
        return taken_answer(request, error, kind, owner, new_name)
    return wire.json_response({"url": base_url(request) + wire.repo_path(copy), "filesCopyPending": False})


def duplicate_files(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Large files of this repository for another one."""
    source = require_repo(actor, kind, namespace, name, Action.REPO_READ)
    data = json_object(request)
    target = data.get("target")
    if not isinstance(target, dict):
        raise Invalid('"target" must be an object with "type" and "name".', fields={"target": "not an object"})
    owner, rest = pair_of(text_of(target, "name", max_length=200))
    other = require_repo(actor, text_of(target, "type", max_length=20), owner, rest, Action.REPO_WRITE)
    files = list_of(data, "files", max_length=MAX_FILES)
    if not all(isinstance(file, dict) for file in files):
        raise Invalid('"files" must be a list of objects.')
    digests = [text_of(file, "sha256", max_length=64) for file in files]
    failed = duplicates.duplicate_files(actor, source, other, digests)
    return wire.json_response({"failed": [{"sha256": digest, "error": why} for digest, why in failed.items()]})


def tags_by_type(request: HttpRequest, actor: Actor, kind: str) -> HttpResponse:
    """The tags of public repositories, sorted by what they say."""
    found: dict[str, list[dict[str, str]]] = {}
    for tag in community_queries.public_tags(kind):
        prefix, colon, label = tag.partition(":")
        sort = _TYPES.get(prefix, "other") if colon else "other"
        found.setdefault(sort, []).append({"id": tag, "label": label if sort != "other" else tag, "type": sort})
    return wire.json_response(found)
