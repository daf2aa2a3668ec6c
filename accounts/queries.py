"""What is seen of organisations, teams, invitations and the holders of rights once inside."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Model, Q, QuerySet

from accounts.actors import Actor
from accounts.guarded import grant_tables
from accounts.models import Invitation, Membership, Namespace, Organization, Team, TeamMembership, User
from accounts.permissions import Level
from common.clock import now


def members_of(organization: Organization) -> QuerySet[Membership]:
    """Members with their people, owners first."""
    return (
        Membership.objects.filter(organization=organization).select_related("user").order_by("role", "user__username")
    )


def teams_of(organization: Organization) -> QuerySet[Team]:
    """Teams with the number of people in each."""
    return Team.objects.filter(organization=organization).annotate(size=Count("memberships")).order_by("name")


def people_in(team: Team) -> QuerySet[TeamMembership]:
    return TeamMembership.objects.filter(team=team).select_related("user").order_by("user__username")


def open_invitations(organization: Organization) -> QuerySet[Invitation]:
    """Invitations that can still be accepted, newest first."""
    return Invitation.objects.filter(
        organization=organization, accepted_at__isnull=True, withdrawn_at__isnull=True, expires_at__gt=now()
    ).order_by("-created_at")


def namespaces_of(actor: Actor) -> list[Namespace]:
    """The namespaces where the actor has a role, the own one first."""
    namespaces = Namespace.objects.filter(pk__in=actor.member_namespaces()).select_related("organization", "user")
    return sorted(namespaces, key=lambda each: (each.pk != actor.namespace_id, each.name.lower()))


def namespace_by_pk(pk: int) -> Namespace:
    """For callers that hold a namespace's key from an object they may see."""
    return Namespace.objects.select_related("organization", "user").get(pk=pk)


def organizations_shared(actor: Actor, user: User) -> list[Namespace]:
    """The organisations that `user` is a member of and `actor` too, by name: who belongs where is not everybody's business."""
    shared = Namespace.objects.filter(pk__in=actor.member_namespaces(), organization__memberships__user=user)
    return list(shared.select_related("organization").order_by("name"))


def user_of(actor: Actor) -> User:
    """The row of the person who acts."""
    return User.objects.get(pk=actor.person_id)


def people_by_team(organization: Organization) -> dict[int, list[str]]:
    """Usernames by primary key of the team, for all teams of an organisation in one query."""
    found: dict[int, list[str]] = {}
    rows = TeamMembership.objects.filter(team__organization=organization).order_by("user__username")
    for team_id, username in rows.values_list("team_id", "user__username"):
        found.setdefault(team_id, []).append(username)
    return found


SHARES_LIMIT = 500


@dataclass(frozen=True)
class Share:
    """A right that somebody holds on an object. `kind` is user, organization or team; `name` is what `require_holder` takes."""

    kind: str
    uuid: UUID
    name: str
    level: Level
    since: datetime


def shares_of(obj: Model, source: str) -> list[Share]:
    """Who holds a right on `obj` from `source`, by name; at most SHARES_LIMIT of people and as many of groups. Two queries."""
    of_users, of_groups = grant_tables(type(obj))
    wanted = {"content_object": obj, "source": source}
    people = of_users.filter(**wanted).select_related("user", "permission").order_by("user__username")
    groups = of_groups.filter(**wanted).select_related(
        "permission", "group__organization__namespace", "group__team__organization__namespace"
    )
    found = [_share(row, "user", row.user.uuid, row.user.username) for row in people[:SHARES_LIMIT]]
    for row in groups.order_by("pk")[:SHARES_LIMIT]:
        team = getattr(row.group, "team", None)
        organization = team.organization if team else row.group.organization
        name = organization.namespace.name
        if team:
            found.append(_share(row, "team", team.uuid, f"{name}/{team.name}"))
        else:
            found.append(_share(row, "organization", organization.uuid, name))
    return sorted(found, key=lambda share: share.name.lower())


def count_other_holders(obj: Model, source: str) -> int:
    """How many people and groups hold a live right on `obj` that does not come from `source`. Two queries."""
    live = Q(valid_until__isnull=True) | Q(valid_until__gt=now())
    of_users, of_groups = grant_tables(type(obj))
    rows = [table.filter(live, content_object=obj).exclude(source=source) for table in (of_users, of_groups)]
    return rows[0].values("user").distinct().count() + rows[1].values("group").distinct().count()


def _share(row: Any, kind: str, uuid: UUID, name: str) -> Share:
    return Share(kind, uuid, name, Level[row.permission.codename.partition("_")[0].upper()], row.created_at)
