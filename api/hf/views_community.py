"""Likes, people and organisations."""

from django.http import HttpRequest, HttpResponse

from accounts import policies
from accounts import queries as account_queries
from accounts.actors import Actor
from accounts.permissions import Action
from api.hf import wire_community as wire
from api.hf.routing import linked, page_query
from api.hf.wire import json_response
from common.errors import NotFound
from registry import community_queries as queries
from registry.policies import require_repo
from registry.services import likes

PAGE_PEOPLE = 100


def like(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """The client only takes likes back; giving one is the same address with another method."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    return json_response({"liked": True, "isNew": likes.like(actor, repo)})


def unlike(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    likes.unlike(actor, repo)
    return json_response({"liked": False})


def likers(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """A page of who likes a repository."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    page = queries.likers_of(repo, **page_query(request, default=PAGE_PEOPLE, maximum=PAGE_PEOPLE))
    return linked(json_response([wire.face(row.user) for row in page.items]), request, page.next_cursor)


def likes_of_user(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """A page of what somebody likes, as far as the caller may see it."""
    person = _person(actor, name)
    page = queries.likes_of(actor, person.pk, **page_query(request, default=PAGE_PEOPLE, maximum=1000))
    return linked(json_response([wire.like(row) for row in page.items]), request, page.next_cursor)


def user_overview(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """A person, and what they have and have done in public. Organisations are named to those who share them."""
    person = _person(actor, name)
    namespace = policies.require_namespace(actor, name)
    shared = account_queries.organizations_shared(actor, person)
    held = queries.holdings_of(actor, namespace.pk, person.pk)
    return json_response(wire.user_overview(person, held, shared))


def organization_overview(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """An organisation and what it has; how many members is told to members."""
    organization = policies.require_organization(actor, name)
    namespace = organization.namespace
    is_member = actor.may(Action.NAMESPACE_READ, namespace.pk)
    people = account_queries.members_of(organization).count() if is_member else None
    held = queries.holdings_of(actor, namespace.pk, None)
    return json_response(wire.organization_overview(namespace, held, people))


def members(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """The members of an organisation, for its members."""
    organization = policies.require_organization(actor, name, Action.NAMESPACE_READ)
    rows = account_queries.members_of(organization)
    return json_response([wire.face(row.user) for row in rows])


def nobody_of_user(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Followers of a person, and whom they follow: nobody follows anybody here."""
    _person(actor, name)
    return json_response([])


def nobody_of_organization(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Followers of an organisation: see `nobody_of_user`."""
    policies.require_organization(actor, name)
    return json_response([])


def _person(actor: Actor, name: str):  # noqa: ANN202 - a user; the models of accounts are not imported here
    person = policies.require_namespace(actor, name).user
    if person is None:
        raise NotFound(f"There is no person named {name[:96]}.")
    return person
