"""Opening and closing rights on single objects."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction

from accounts.actors import Actor
from accounts.guarded import grant_tables
from accounts.models import Organization, Team, User
from accounts.permissions import Level
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.errors import Invalid

Holder = User | Organization | Team

SHARE = "share"
"""The source of rights that an administrator of an object gives by hand; what is bought has sources of its own."""


def share(actor: Actor, obj: models.Model, holder: Holder, level: Level) -> bool:
    """Give `holder` the right `level` on `obj` by hand, in place of what an earlier call gave. The caller has checked that `actor`
    may. Writes the grant and audit records; a second call with the same level changes nothing and returns False. Raises Invalid
    for the owner of the object."""
    namespace = getattr(obj, "namespace", None)
    if namespace is not None and holder in (namespace.user, namespace.organization):
        raise Invalid(f"It belongs to {namespace.name} already.", fields={"holder": "the owner"})
    table, key = _held_by(obj, holder)
    with transaction.atomic():
        # one after the other, so that nobody ends up with two levels
        type(obj)._default_manager.select_for_update(of=("self",)).get(pk=obj.pk)
        present = table.filter(content_object=obj, source=SHARE, **key).values_list("permission_id", flat=True)
        if list(present) == [permission_of(type(obj), level).pk]:
            return False
        revoke_for(actor, obj, holder, source=SHARE)
        grant(actor, obj, holder, level, source=SHARE)
    return True


def grant(
    actor: Actor,
    obj: models.Model,
    holder: Holder,
    level: Level,
    *,
    source: str,
    valid_until: datetime | None = None,
) -> None:
    """Open `level` on `obj` for `holder`. The caller has checked that `actor` may. Writes one grant row and an audit record; a
    second call with the same source only moves `valid_until`."""
    permission = permission_of(type(obj), level)
    table, key = _held_by(obj, holder)
    with transaction.atomic():
        table.update_or_create(
            content_object=obj, permission=permission, source=source, **key, defaults={"valid_until": valid_until}
        )
        audit.record(
            actor,
            "accounts:grant:opened",
            type(obj)._meta.model_name or "",
            getattr(obj, "uuid", obj.pk),
            namespace_id=getattr(obj, "namespace_id", None),
            level=level.codename,
            holder=f"{type(holder).__name__.lower()}:{holder.uuid}",
            source=source,
        )
        bump_access_version()


def revoke(actor: Actor, model: type[models.Model], source: str) -> int:
    """Close every grant on objects of `model` that came from `source`; returns how many. A second call closes none."""
    with transaction.atomic():
        closed = 0
        for table in grant_tables(model):
            closed += table.filter(source=source).delete()[0]
        if closed:
            audit.record(actor, "accounts:grant:closed", model._meta.model_name or "", source, count=closed)
            bump_access_version()
    return closed


def revoke_for(actor: Actor, obj: models.Model, holder: Holder, *, source: str) -> int:
    """Close the grants on one object that one holder has from `source`; returns how many."""
    table, key = _held_by(obj, holder)
    with transaction.atomic():
        closed: int = table.filter(content_object=obj, source=source, **key).delete()[0]
        if closed:
            audit.record(
                actor,
                "accounts:grant:closed",
                type(obj)._meta.model_name or "",
                getattr(obj, "uuid", obj.pk),
                namespace_id=getattr(obj, "namespace_id", None),
                holder=f"{type(holder).__name__.lower()}:{holder.uuid}",
                source=source,
            )
            bump_access_version()
    return closed


def permission_of(model: type[models.Model], level: Level) -> Permission:
    """Guardian's permission row for a level on a model: codename `<level>_<model>`."""
    return Permission.objects.select_related("content_type").get(
        content_type=ContentType.objects.get_for_model(model), codename=f"{level.codename}_{model._meta.model_name}"
    )


def _held_by(obj: models.Model, holder: Holder) -> tuple[models.Manager[Any], dict[str, Any]]:
    """The table of a holder's grants, and the columns that name the holder there."""
    of_users, of_groups = grant_tables(type(obj))
    return (of_users, {"user": holder}) if isinstance(holder, User) else (of_groups, {"group": holder.group})
