"""Who is behind a namespace, for apps that know only its key."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models.functions import Lower

from accounts.models import Membership, Namespace, Organization, Team, TeamMembership, Token, User
from accounts.permissions import ACTIONS_OF_ROLE, Action, Role


def people_of(namespace_id: int) -> list[int]:
    """Primary keys of the people who answer for a namespace: its person, or the owners and admins of its organisation."""
    namespace = Namespace.objects.get(pk=namespace_id)
    if namespace.user_id is not None:
        return [namespace.user_id]
    return list(
        Membership.objects.filter(
            organization__namespace=namespace, role__in=[Role.OWNER, Role.ADMIN], user__is_active=True
        ).values_list("user_id", flat=True)
    )


def people_who(namespace_id: int, action: Action) -> list[int]:
    """Primary keys of the active people whose role in a namespace allows `action`."""
    namespace = Namespace.objects.get(pk=namespace_id)
    if namespace.user_id is not None:
        return [namespace.user_id]
    roles = [role for role, actions in ACTIONS_OF_ROLE.items() if action in actions]
    return list(
        Membership.objects.filter(organization__namespace=namespace, role__in=roles, user__is_active=True).values_list(
            "user_id", flat=True
        )
    )


def staff() -> list[int]:
    """Primary keys of the active people who run the site."""
    return list(User.objects.filter(is_staff=True, is_active=True).values_list("pk", flat=True))


def names_of(user_ids: Iterable[int]) -> dict[int, str]:
    """The names of people by primary key, one query."""
    return dict(User.objects.filter(pk__in=set(user_ids)).values_list("pk", "username"))


def people_named(names: Iterable[str]) -> list[User]:
    """The active people with these names, in any case. One query."""
    wanted = {name.lower() for name in names}
    people = User.objects.annotate(small=Lower("username")).filter(small__in=wanted, is_active=True)
    return list(people.order_by("pk"))


def holder_of(namespace: Namespace) -> User | Organization:
    """Who holds grants for a namespace."""
    holder = namespace.organization or namespace.user
    assert holder is not None
    return holder


def people_behind(holder: User | Organization | Team) -> list[int]:
    """Primary keys of the people to tell of a right that `holder` was given: the person, who answers for the organisation, the
    members of the team."""
    if isinstance(holder, User):
        return [holder.pk]
    if isinstance(holder, Organization):
        return people_of(holder.namespace.pk)
    return list(TeamMembership.objects.filter(team=holder).values_list("user_id", flat=True))


def namespaces_by_uuid(uuids: list[UUID]) -> dict[UUID, Namespace]:
    """Namespaces by uuid, one query."""
    return {each.uuid: each for each in Namespace.objects.filter(uuid__in=uuids)}


def members_by_id(namespace_id: int) -> dict[int, User]:
    """The active members of an organisation's namespace by primary key, by name; of a person's, that person. One query."""
    found = User.objects.filter(is_active=True)
    members = found.filter(memberships__organization__namespace=namespace_id) | found.filter(namespace=namespace_id)
    return {each.pk: each for each in members.distinct().order_by("username")}


def rosters_of(team_ids: Iterable[int]) -> dict[int, list[tuple[int, datetime]]]:
    """Who is in these teams and since when, whoever was there first comes first: primary key of the team → people. One query."""
    found: dict[int, list[tuple[int, datetime]]] = {pk: [] for pk in team_ids}
    rows = TeamMembership.objects.filter(team_id__in=list(found), user__is_active=True).order_by("created_at", "pk")
    for team_id, user_id, since in rows.values_list("team_id", "user_id", "created_at"):
        found[team_id].append((user_id, since))
    return found


def people_by_id(user_ids: Iterable[int]) -> dict[int, User]:
    """People by primary key, one query."""
    return {each.pk: each for each in User.objects.filter(pk__in=set(user_ids))}


def tokens_of_team(team: UUID) -> list[UUID]:
    """The tokens of everybody who is in a team now, revoked ones too. One query."""
    return list(Token.objects.filter(user__team_memberships__team__uuid=team).values_list("uuid", flat=True))


def tokens_by_uuid(uuids: Iterable[UUID]) -> dict[UUID, Token]:
    """Tokens with their owners, one query. For the namespace that pays their calls: it learns name and owner, never the secret."""
    return {each.uuid: each for each in Token.objects.filter(uuid__in=set(uuids)).select_related("user")}


def teams_by_uuid(uuids: Iterable[UUID]) -> dict[UUID, Team]:
    """Teams by uuid, one query."""
    return {each.uuid: each for each in Team.objects.filter(uuid__in=set(uuids))}


def teams_of_members(organization_id: int) -> dict[int, tuple[str, ...]]:
    """The names of the teams of an organisation that each of its people is in, by name: primary key of the person → teams. One query."""
    found: dict[int, tuple[str, ...]] = {}
    rows = TeamMembership.objects.filter(team__organization=organization_id).order_by("team__name", "pk")
    for user_id, name in rows.values_list("user_id", "team__name"):
        found[user_id] = (*found.get(user_id, ()), name)
    return found
