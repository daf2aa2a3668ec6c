"""Who may see and do what with namespaces, organisations, teams and tokens; and the one condition for guarded objects."""

from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from accounts.actors import Actor
from accounts.directory import holder_of
from accounts.guarded import grant_tables
from accounts.models import AuditRecord, Namespace, Organization, Team, Token, User
from accounts.permissions import Action, Level, Role
from common.clock import now
from common.errors import Forbidden, Invalid, NotFound


def visible_namespaces(actor: Actor) -> QuerySet[Namespace]:
    """Every namespace: names are public, what is inside is not. Nobody's deactivated account is listed."""
    return Namespace.objects.filter(Q(user__isnull=True) | Q(user__is_active=True)).select_related(
        "user", "organization"
    )


def require_namespace(actor: Actor, name: str, action: Action | None = None) -> Namespace:
    """The namespace called `name` (case does not matter), where `actor` may do `action`. Raises NotFound, Forbidden."""
    namespace = visible_namespaces(actor).filter(name__iexact=name).first()
    if namespace is None:
        raise NotFound(f"There is no user or organisation named {name}.")
    if action is not None and not actor.may(action, namespace.pk):
        actor.require_authenticated()
        raise Forbidden(f"You may not do this in {namespace.name}.", action=str(action))
    return namespace


def require_organization(actor: Actor, name: str, action: Action | None = None) -> Organization:
    """The organisation whose namespace is called `name`. Raises NotFound (also for a person's name), Forbidden."""
    organization = require_namespace(actor, name, action).organization
    if organization is None:
        raise NotFound(f"There is no organisation named {name}.")
    return organization


def require_team(actor: Actor, organization: Organization, name: str) -> Team:
    """A team of an organisation the caller has obtained; teams are visible to its members only."""
    team = Team.objects.filter(organization=organization, name__iexact=name).first()
    if team is None or role_in(actor, organization.namespace) is None:
        raise NotFound(f"There is no team named {name}.")
    return team


def require_holder(actor: Actor, text: str) -> User | Organization | Team:
    """Who is to hold a right: `anna`, `acme` or, for a team, `acme/vision`, in any case. Teams can be named by members of their
    organisation. Raises Invalid, at the field `holder`, for anybody who is not there: the name was somebody's to type."""
    name, slash, team_name = text.strip().partition("/")
    namespace = visible_namespaces(actor).filter(name__iexact=name).first() if name else None
    if namespace is None:
        raise Invalid(
            f"There is no person or organisation called {name[:96] or 'that'}. Write a name as it stands in addresses, or "
            "organisation/team.",
            fields={"holder": "unknown"},
        )
    if not slash:
        return holder_of(namespace)
    teams = Team.objects.filter(organization=namespace.organization, name__iexact=team_name)
    team = teams.first() if namespace.organization and role_in(actor, namespace) else None
    if team is None:
        raise Invalid(
            f"You know of no team {team_name[:96]} in {namespace.name}: teams are seen by members of their organisation.",
            fields={"holder": "unknown"},
        )
    return team


def holder_by_uuid(kind: str, uuid: UUID) -> User | Organization | Team:
    """A holder of rights by the reference that lists of rights show, for whoever administers the object. Raises NotFound."""
    found: User | Organization | Team | None = None
    if kind == "user":
        found = User.objects.filter(uuid=uuid).first()
    elif kind == "organization":
        found = Organization.objects.filter(uuid=uuid).first()
    elif kind == "team":
        found = Team.objects.filter(uuid=uuid).first()
    if found is None:
        raise NotFound("Nobody by that reference holds a right.")
    return found


def role_in(actor: Actor, namespace: Namespace) -> Role | None:
    """The actor's role in the namespace, None for strangers."""
    return actor.role_in(namespace.pk)


def visible_tokens(actor: Actor) -> QuerySet[Token]:
    """The actor's own tokens, newest first; nobody sees another's."""
    return Token.objects.filter(user_id=actor.person_id).order_by("-created_at", "-pk")


def visible_audit(actor: Actor) -> QuerySet[AuditRecord]:
    """The records of the namespaces whose trail the actor may read; all of them for staff."""
    if actor.is_staff or actor.is_system:
        return AuditRecord.objects.all()
    return AuditRecord.objects.filter(
        namespace_id__in=[pk for pk in actor.roles if actor.may(Action.NAMESPACE_AUDIT, pk)]
    )


def granted(actor: Actor, model: type[Model], level: Level) -> Q:
    """The condition "a live grant of at least `level` on this row is held by the actor or a group of theirs", for the
    queryset of any guarded model. Two EXISTS on the grant tables' own indexes; nothing when nobody is signed in."""
    if actor.user_id is None:
        return Q(pk__in=())
    codenames = [f"{each.codename}_{model._meta.model_name}" for each in Level if each >= level]
    live = Q(valid_until__isnull=True) | Q(valid_until__gt=now())
    common = {"content_object": OuterRef("pk"), "permission__codename__in": codenames}
    of_users, of_groups = grant_tables(model)
    user_grants = of_users.filter(live, user_id=actor.person_id, **common)
    condition = Q(Exists(user_grants))
    if actor.group_ids:
        group_grants = of_groups.filter(live, group_id__in=actor.group_ids, **common)
        condition |= Q(Exists(group_grants))
    if actor.allowed_namespace_ids is not None:
        condition &= Q(namespace_id__in=actor.allowed_namespace_ids)
    return condition
