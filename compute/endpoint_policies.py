"""Who may discover, call and manage which endpoint: one condition for pages, lists and the table that the inference process
serves from (see endpoint_serving.py, which decides the same from memory)."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import LEVEL_OF_ACTION, LEVEL_OF_ROLE, SCOPE_OF_ACTION, Action, Level
from accounts.policies import granted
from common.errors import Forbidden, NotFound
from compute.endpoint_states import EndpointVisibility
from compute.models import Endpoint


def visible_endpoints(actor: Actor) -> QuerySet[Endpoint]:
    """The endpoints that the actor may discover, with their namespaces joined."""
    endpoints = Endpoint.objects.filter(deleted_at__isnull=True).select_related("namespace")
    if actor.is_system:
        return endpoints
    public = Q(visibility=EndpointVisibility.PUBLIC)
    if not actor.is_authenticated or not actor.can_scope(SCOPE_OF_ACTION[Action.ENDPOINT_DISCOVER]):
        return endpoints.filter(public)
    return endpoints.filter(
        public
        | Q(namespace_id__in=actor.namespaces_with_level(Level.DISCOVER))
        | Q(visibility=EndpointVisibility.ORGANIZATION, namespace_id__in=actor.member_namespaces())
        | granted(actor, Endpoint, Level.DISCOVER)
    )


def usable_endpoints(actor: Actor) -> QuerySet[Endpoint]:
    """The endpoints that the actor may call, budgets aside."""
    endpoints = visible_endpoints(actor)
    if actor.is_system:
        return endpoints
    if not actor.is_authenticated or not actor.can_scope(SCOPE_OF_ACTION[Action.ENDPOINT_USE]):
        return endpoints.none()
    return endpoints.filter(
        Q(namespace_id__in=actor.namespaces_with_level(Level.USE))
        | Q(visibility=EndpointVisibility.ORGANIZATION, namespace_id__in=actor.member_namespaces())
        | granted(actor, Endpoint, Level.USE)
    )


def require_endpoint(actor: Actor, namespace: str, name: str, action: Action) -> Endpoint:
    """The endpoint, by its names in any case, on which `actor` may do `action`. Raises NotFound when it is not there or not
    visible, Unauthenticated or Forbidden when it is visible."""
    endpoint = visible_endpoints(actor).filter(namespace__name__iexact=namespace, name__iexact=name).first()
    return _require(actor, endpoint, action)


def require_endpoint_by_uuid(actor: Actor, uuid: UUID | str, action: Action) -> Endpoint:
    """`require_endpoint` for a caller that knows the uuid."""
    return _require(actor, visible_endpoints(actor).filter(uuid=uuid).first(), action)


def can(actor: Actor, endpoint: Endpoint, action: Action) -> bool:
    """Whether `actor` may do `action` on an endpoint it can see. At most one query."""
    if actor.is_system or action == Action.ENDPOINT_DISCOVER:
        return True
    if not actor.can_scope(SCOPE_OF_ACTION[action]) or not actor.is_authenticated:
        return False
    needed = LEVEL_OF_ACTION[action]
    role = actor.role_in(endpoint.namespace_id)
    by_role = LEVEL_OF_ROLE[role] if role else None
    if by_role is not None and by_role >= needed:
        return True
    if role and needed <= Level.USE and endpoint.visibility == EndpointVisibility.ORGANIZATION:
        return True
    return Endpoint.objects.filter(granted(actor, Endpoint, needed), pk=endpoint.pk).exists()


def _require(actor: Actor, endpoint: Endpoint | None, action: Action) -> Endpoint:
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    if can(actor, endpoint, action):
        return endpoint
    actor.require_authenticated()
    actor.require_scope(SCOPE_OF_ACTION[action])
    raise Forbidden(f"You may not do this to {endpoint.namespace.name}/{endpoint.name}.", action=str(action))
