"""For whom one may act: what the "owner" and "buyer" menus of forms offer."""

from typing import TYPE_CHECKING

from accounts import policies
from accounts.actors import Actor
from accounts.permissions import Action

if TYPE_CHECKING:
    from accounts.models import Namespace


def acting_namespaces(actor: Actor, action: Action) -> "list[Namespace]":
    """Namespaces in which the actor may do `action`, one's own first. One query."""
    allowed = [pk for pk in actor.roles if actor.may(action, pk)]
    found = policies.visible_namespaces(actor).filter(pk__in=allowed)
    return sorted(found, key=lambda each: (each.pk != actor.namespace_id, each.name.lower()))


def namespace_choices(actor: Actor, action: Action) -> list[tuple[str, str]]:
    return [(each.name, each.name) for each in acting_namespaces(actor, action)]
