"""Who may discover, call and manage which endpoint: one condition for pages, lists and the table that the inference process
serves from (see endpoint_serving.py, which decides the same from memory)."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.guarded import grant_tables
from accounts.permissions import LEVEL_OF_ACTION, LEVEL_OF_ROLE, SCOPE_OF_ACTION, Action, Level
from accounts.policies import granted
from common.clock import now
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


def sources_of_use(actor: Actor, endpoint: Endpoint) -> set[str]:
    """Where the actor's own rights to call it come from: `share`, `entitlement:<uuid>`, `trial:<uuid>`. Two queries."""
    if not actor.is_authenticated or not actor.reaches(endpoint.namespace_id):
        return set()
    live = Q(valid_until__isnull=True) | Q(valid_until__gt=now())
    codenames = [f"{level.codename}_endpoint" for level in Level if level >= Level.USE]
    of_users, of_groups = (
        table.filter(live, content_object=endpoint, permission__codename__in=codenames)
        for table in grant_tables(Endpoint)
    )
    people = of_users.filter(user_id=actor.person_id).values_list("source", flat=True)
    groups = of_groups.filter(group_id__in=actor.group_ids).values_list("source", flat=True)
    return {*people, *groups}


def calls_by_role(actor: Actor, endpoint: Endpoint) -> bool:
    """Whether the actor calls it as one of its owner's people. No query."""
    if actor.is_system:
        return True
    role = actor.role_in(endpoint.namespace_id)
    by_role = LEVEL_OF_ROLE[role] if role else None
    in_house = role is not None and endpoint.visibility == EndpointVisibility.ORGANIZATION
    return in_house or (by_role is not None and by_role >= Level.USE)


def _require(actor: Actor, endpoint: Endpoint | None, action: Action) -> Endpoint:
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    if can(actor, endpoint, action):
        return endpoint
    actor.require_authenticated()
    actor.require_scope(SCOPE_OF_ACTION[action])
    raise Forbidden(f"You may not do this to {endpoint.namespace.name}/{endpoint.name}.", action=str(action))
