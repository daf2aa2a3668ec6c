"""What guarded models of every app are made with: grants, rights on one object, held by a person or a group. Each guarded model
has its own pair of tables made from these bases; no table is here."""

from typing import Any

from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase
from guardian.utils import get_group_obj_perms_model, get_user_obj_perms_model

from common.clock import now


class GrantColumns(models.Model):
    """What our grants know beyond guardian's: where they come from and how long they last.

    `source` names the fact that opened the right (`"share"`, `"entitlement:<uuid>"`); revoking goes by it. The same right
    may be held from several sources, and ends when the last of them does."""

    source = models.CharField(max_length=80)
    valid_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        abstract = True


class UserGrantBase(GrantColumns, UserObjectPermissionBase):
    class Meta:
        abstract = True
        unique_together = [("user", "permission", "content_object", "source")]


class GroupGrantBase(GrantColumns, GroupObjectPermissionBase):
    class Meta:
        abstract = True
        unique_together = [("group", "permission", "content_object", "source")]


def grant_tables(model: type[models.Model]) -> tuple[models.Manager[Any], models.Manager[Any]]:
    """Where the grants of a guarded model are: those of people, those of groups."""
    of_users, of_groups = get_user_obj_perms_model(model), get_group_obj_perms_model(model)  # type: ignore[arg-type]  # takes classes too
    return of_users._default_manager, of_groups._default_manager
