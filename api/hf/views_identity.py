"""Who am I, and what clients report of themselves."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts import policies
from accounts.actors import Actor
from accounts.permissions import Role, Scope
from api.hf.wire import json_response
from common.clock import hub_time
from common.errors import Unauthenticated

_ROLE_IN_ORG = {Role.OWNER: "admin", Role.ADMIN: "admin", Role.PUBLISHER: "write"}


def whoami(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The person behind the token, their organisations, and what the token may do. Three queries."""
    actor.require_authenticated()
    namespaces = policies.visible_namespaces(actor).filter(pk__in=actor.member_namespaces()).order_by("name")
    organizations = [
        {
            "type": "org",
            "name": namespace.name,
            "fullname": namespace.organization.display_name or namespace.name,
            "roleInOrg": _ROLE_IN_ORG.get(actor.roles[namespace.pk], "read"),
        }
        for namespace in namespaces
        if namespace.organization is not None
    ]
    own = policies.require_namespace(actor, actor.username)
    person = own.user
    if person is None:
        raise Unauthenticated("Sign in as a person.")
    data: dict[str, Any] = {
        "type": "user",
        "id": actor.user_uuid,
        "name": own.name,
        "fullname": person.display_name or own.name,
        "email": person.email if actor.can_scope(Scope.ACCOUNT_READ) else None,
        "orgs": organizations,
        "auth": {"type": "session"},
    }
    if token := next((each for each in policies.visible_tokens(actor) if each.pk == actor.token_id), None):
        role = "write" if actor.can_scope(Scope.REPO_WRITE) else "read"
        access = {"displayName": token.name, "role": role, "createdAt": hub_time(token.created_at)}
        data["auth"] = {"type": "access_token", "accessToken": access}
    return json_response(data)


def agent_harnesses(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Asked at the start of every client process; this answer is cached there for a day, a 404 would be asked again each time."""
    return json_response({"standardEnvVars": [], "harnesses": {}})


def telemetry(request: HttpRequest, actor: Actor, rest: str = "") -> HttpResponse:
    """Taken and forgotten."""
    return HttpResponse(status=204)
