"""Who belongs to an organisation, and as what. Leaving ends every right that came with it, at once."""

from django.db import IntegrityError, transaction

from accounts import membership_changes
from accounts.actors import Actor
from accounts.models import Membership, Organization, TeamMembership, User
from accounts.permissions import Action, Role
from accounts.policies import require_namespace
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.errors import Conflict, Forbidden, Invalid, NotFound


def add_member(actor: Actor, organization: Organization, user: User, role: Role | str) -> Membership:
    """Make `user` a member. Only staff and the system may do it without the person's consent; others invite. Raises Conflict when
    they are one already."""
    if not (actor.is_staff or actor.is_system):
        raise Forbidden("Invite people instead: they join when they accept.")
    return join(actor, organization, user, check_role(role))


def join(actor: Actor, organization: Organization, user: User, role: Role) -> Membership:
    """Write a membership that the caller has decided on: row, group, audit. Raises Conflict when there is one already."""
    try:
        with transaction.atomic():
            membership = Membership.objects.create(organization=organization, user=user, role=role)
            user.groups.add(organization.group)
            _record(actor, organization, "accounts:member:added", user, role=role)
            bump_access_version()
    except IntegrityError as error:
        raise Conflict(f"{user.username} is a member already.", code="member_exists") from error
    return membership


def change_role(actor: Actor, organization: Organization, username: str, role: Role | str) -> Membership:
    """Give a member another role. Needs the right to manage; only an owner may make or unmake owners, and the last owner stays one.
    Raises NotFound, Forbidden, Conflict."""
    role = check_role(role)
    require_namespace(actor, organization.namespace.name, Action.NAMESPACE_MANAGE)
    with transaction.atomic():
        membership = _locked(organization, username)
        if Role.OWNER in (role, membership.role):
            _require_owner(actor, organization)
        if membership.role == Role.OWNER and role != Role.OWNER:
            _keep_an_owner(organization, membership)
        before = membership.role
        if before != role:
            Membership.objects.filter(pk=membership.pk).update(role=role)
            _record(actor, organization, "accounts:member:changed", membership.user, before=before, after=role)
            bump_access_version()
            membership.role = role
    return membership


def remove_member(actor: Actor, organization: Organization, username: str) -> None:
    """End a membership, the teams that came with it, and with them every grant held through them. Managers remove others; everybody
    may leave; the last owner can't. Raises NotFound, Forbidden, Conflict."""
    if username.lower() != actor.username.lower():
        require_namespace(actor, organization.namespace.name, Action.NAMESPACE_MANAGE)
    with transaction.atomic():
        membership = _locked(organization, username)
        user = membership.user
        if membership.role == Role.OWNER:
            if user.pk != actor.user_id:
                _require_owner(actor, organization)
            _keep_an_owner(organization, membership)
        teams = TeamMembership.objects.filter(user=user, team__organization=organization)
        groups = [organization.group_id, *teams.values_list("team__group_id", flat=True)]
        teams.delete()
        membership.delete()
        user.groups.remove(*groups)
        _record(actor, organization, "accounts:member:removed", user)
        membership_changes.tell(actor, organization.namespace.pk)
        bump_access_version()


def check_role(role: Role | str) -> Role:
    """Raises Invalid unless `role` is one."""
    if role not in list(Role):
        raise Invalid(f"A role is one of: {', '.join(Role)}.", fields={"role": "unknown"})
    return Role(role)


def _locked(organization: Organization, username: str) -> Membership:
    # the organisation's row is the lock of its membership: two owners can't both leave at once
    Organization.objects.select_for_update().get(pk=organization.pk)
    membership = (
        Membership.objects.select_related("user")
        .filter(organization=organization, user__username__iexact=username)
        .first()
    )
    if membership is None:
        raise NotFound(f"{username} is not a member.")
    return membership


def _require_owner(actor: Actor, organization: Organization) -> None:
    if not (actor.is_staff or actor.is_system) and actor.role_in(organization.namespace.pk) != Role.OWNER:
        raise Forbidden("Only an owner may do this.")


def _keep_an_owner(organization: Organization, leaving: Membership) -> None:
    if not Membership.objects.filter(organization=organization, role=Role.OWNER).exclude(pk=leaving.pk).exists():
        raise Conflict("An organisation needs an owner: make somebody else one first.", code="last_owner")


def _record(actor: Actor, organization: Organization, tag: str, user: User, **detail: str) -> None:
    audit.record(
        actor,
        tag,
        "organization",
        organization.uuid,
        namespace_id=organization.namespace.pk,
        user=user.username,
        **detail,
    )
