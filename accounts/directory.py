"""Who is behind a namespace, for apps that know only its key."""

from collections.abc import Iterable
from uuid import UUID

from accounts.models import Membership, Namespace, Organization, Team, TeamMembership, User
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
