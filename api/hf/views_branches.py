"""Branches and tags."""

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf import wire
from api.hf.bodies import json_object, text_of
from api.hf.routing import flag
from common.errors import Invalid
from registry import queries
from registry.policies import require_repo
from registry.services import commits
from registry.services import refs as refs_service


def refs(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Every branch and tag, and the branches of pull requests when they are asked for. There are no converted copies here; the client
    needs the list nevertheless."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    branches, tags = queries.refs_of(repo)
    data = {
        "branches": [wire.branch(item) for item in branches],
        "tags": [wire.tag(item) for item in tags],
        "converts": [],
    }
    if flag(request.GET.get("include_prs")):
        data["pullRequests"] = [wire.pull_branch(item) for item in queries.pull_branches_of(repo)]
    return wire.json_response(data)


def create_branch(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    repo = require_repo(actor, kind, namespace, name, Action.REPO_WRITE)
    start = text_of(json_object(request), "startingPoint", default="", max_length=300)
    refs_service.create_branch(actor, repo, rest, start or None)
    return wire.json_response({})


def delete_branch(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    repo = require_repo(actor, kind, namespace, name, Action.REPO_WRITE)
    refs_service.delete_branch(actor, repo, rest)
    return wire.json_response({})


def create_tag(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """Put the tag of the body on the revision of the address."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_WRITE)
    data = json_object(request)
    tag = text_of(data, "tag", max_length=300)
    refs_service.create_tag(actor, repo, tag, rest, message=text_of(data, "message", default=""))
    return wire.json_response({})


def delete_tag(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    repo = require_repo(actor, kind, namespace, name, Action.REPO_WRITE)
    refs_service.delete_tag(actor, repo, rest)
    return wire.json_response({})


def super_squash(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """One commit in place of a branch's history. A tag cannot be squashed, which is another error than a missing name."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    branch = rest.removeprefix("refs/heads/")
    message = text_of(json_object(request), "message", default=f"Super-squash branch '{branch}'", max_length=3000)
    if queries.is_tag_only(repo, branch):
        raise Invalid(f"Invalid reference for a branch: {branch} is a tag.")
    commits.squash_history(actor, repo, branch, message)
    return wire.json_response({})
