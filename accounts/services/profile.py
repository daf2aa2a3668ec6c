"""What people and organisations say about themselves."""

import zoneinfo

from django.db import transaction

from accounts.actors import Actor
from accounts.models import Organization, User
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.errors import Invalid


def update_profile(actor: Actor, *, display_name: str, timezone: str) -> User:
    """Change the actor's own name for people and time zone. Raises Invalid."""
    actor.require_authenticated()
    if len(display_name) > 120:
        raise Invalid("Use at most 120 characters.", fields={"display_name": "at most 120 characters"})
    if timezone not in zoneinfo.available_timezones():
        raise Invalid("This time zone is not known.", fields={"timezone": "unknown"})
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=actor.person_id)
        user.display_name, user.timezone = display_name.strip(), timezone
        user.save(update_fields=["display_name", "timezone"])
        audit.record(actor, "accounts:user:changed", "user", user.uuid, namespace_id=actor.namespace_id)
    return user


def update_organization(
    actor: Actor, organization: Organization, *, display_name: str, description: str
) -> Organization:
    """Change what an organisation says about itself. Needs the right to manage. Raises Invalid, Forbidden."""
    require_namespace(actor, organization.namespace.name, Action.NAMESPACE_MANAGE)
    label = display_name.strip()
    if not label or len(label) > 120:
        raise Invalid("Use 1 to 120 characters.", fields={"display_name": "1 to 120 characters"})
    if len(description) > 2000:
        raise Invalid("Use at most 2000 characters.", fields={"description": "at most 2000 characters"})
    with transaction.atomic():
        Organization.objects.filter(pk=organization.pk).update(display_name=label, description=description.strip())
        audit.record(
            actor,
            "accounts:organization:changed",
            "organization",
            organization.uuid,
            namespace_id=organization.namespace.pk,
        )
    organization.display_name, organization.description = label, description.strip()
    return organization
