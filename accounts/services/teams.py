"""Teams: members of an organisation who are granted things together."""

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from accounts import membership_changes
from accounts.actors import Actor
from accounts.models import Membership, Organization, Team, TeamMembership
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.errors import Conflict, Invalid, NotFound
from common.ids import is_name, new_uuid


def create_team(actor: Actor, organization: Organization, name: str) -> Team:
    """Make an empty team. Needs the right to manage. Raises Invalid, Conflict when the name is taken."""
    require_namespace(actor, organization.namespace.name, Action.NAMESPACE_MANAGE)
    if not is_name(name):
        raise Invalid("Use letters, digits, dots, dashes or underscores.", fields={"name": "not a valid name"})
    try:
        with transaction.atomic():
            group = Group.objects.create(name=f"team:{new_uuid()}")
            team = Team.objects.create(organization=organization, name=name, group=group)
            _record(actor, organization, "accounts:team:created", team=name)
    except IntegrityError as error:
        raise Conflict(f"There is a team {name} already.", code="team_exists") from error
    return team


def delete_team(actor: Actor, team: Team) -> None:
    """Remove a team with every grant it holds. A second call changes nothing."""
    organization = team.organization
    require_namespace(actor, organization.namespace.name, Action.NAMESPACE_MANAGE)
    with transaction.atomic():
        if Team.objects.filter(pk=team.pk).delete()[0]:
            Group.objects.filter(pk=team.group_id).delete()
            _record(actor, organization, "accounts:team:deleted", team=team.name)
            membership_changes.tell(actor, team.organization.namespace.pk)
            bump_access_version()


def add_to_team(actor: Actor, team: Team, username: str) -> TeamMembership:
    """Put a member of the organisation into the team. Safe to repeat. Raises NotFound for somebody who is not a member."""
    require_namespace(actor, team.organization.namespace.name, Action.NAMESPACE_MANAGE)
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=team.organization_id)
        member = (
            Membership.objects.select_related("user")
            .filter(organization_id=team.organization_id, user__username__iexact=username)
            .first()
        )
        if member is None:
            raise NotFound(f"{username} is not a member of the organisation.")
        row, is_new = TeamMembership.objects.get_or_create(team=team, user=member.user)
        if is_new:
            member.user.groups.add(team.group_id)
            _record(actor, team.organization, "accounts:team:joined", team=team.name, user=member.user.username)
            membership_changes.tell(actor, team.organization.namespace.pk)
            bump_access_version()
    return row


def remove_from_team(actor: Actor, team: Team, username: str) -> None:
    """Take a person out of the team. Managers remove others; everybody may leave. Raises NotFound when they are not in it."""
    if username.lower() != actor.username.lower():
        require_namespace(actor, team.organization.namespace.name, Action.NAMESPACE_MANAGE)
    with transaction.atomic():
        row = TeamMembership.objects.select_related("user").filter(team=team, user__username__iexact=username).first()
        if row is None:
            raise NotFound(f"{username} is not in the team.")
        row.user.groups.remove(team.group_id)
        row.delete()
        _record(actor, team.organization, "accounts:team:left", team=team.name, user=row.user.username)
        membership_changes.tell(actor, team.organization.namespace.pk)
        bump_access_version()


def _record(actor: Actor, organization: Organization, tag: str, **detail: str) -> None:
    audit.record(actor, tag, "organization", organization.uuid, namespace_id=organization.namespace.pk, **detail)
