"""Who may see a recall, manage it, and handle what it reaches."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import SCOPE_OF_ACTION, Action
from common.errors import Forbidden, NotFound
from market.models import Recall, RecallItem
from market.recalls import ItemKind
from registry.policies import visible_versions

HAD = frozenset({ItemKind.HOLDER, ItemKind.COPY})
"""Items that somebody has, and that somebody else sold."""


def visible_recalls(actor: Actor) -> QuerySet[Recall]:
    """Recalls of versions that the actor may discover, of the namespaces whose recalls it manages, and those that reach something of a
    namespace in which it reads. Staff see all. Version, repository and namespace joined."""
    recalls = Recall.objects.select_related(
        "namespace", "version__repo__namespace", "replacement__repo__namespace", "opened_by"
    )
    if actor.is_system or actor.is_staff:
        return recalls
    seen = Q(version_id__in=visible_versions(actor).values("pk"))
    if not actor.is_authenticated:
        return recalls.filter(seen)
    reached = RecallItem.objects.filter(own_items(actor), recall=OuterRef("pk"))
    return recalls.filter(seen | Q(namespace_id__in=_where(actor, Action.RECALL_MANAGE)) | Exists(reached))


def require_recall(actor: Actor, uuid: UUID | str) -> Recall:
    """A recall that the actor may see. Raises NotFound."""
    recall = visible_recalls(actor).filter(uuid=uuid).first()
    if recall is None:
        raise NotFound("There is no such recall.")
    return recall


def manages(actor: Actor, recall: Recall) -> bool:
    """Whether the actor sees its progress and acts for the recalling namespace: its owners and admins, and staff."""
    return actor.is_staff or actor.is_system or actor.may(Action.RECALL_MANAGE, recall.namespace_id)


def decides(actor: Actor, recall: Recall) -> bool:
    """Whether the actor closes, reopens and lifts it and reads its private note: of what staff recalled, staff alone."""
    if actor.is_staff or actor.is_system:
        return True
    return not recall.is_by_staff and actor.may(Action.RECALL_MANAGE, recall.namespace_id)


def require_managed(actor: Actor, uuid: UUID | str) -> Recall:
    """A recall that the actor manages. Raises NotFound, Unauthenticated, Forbidden."""
    recall = require_recall(actor, uuid)
    if not manages(actor, recall):
        _refuse(actor)
    return recall


def require_decided(actor: Actor, uuid: UUID | str) -> Recall:
    """A recall that the actor may close, reopen and lift. Raises NotFound, Unauthenticated, Forbidden."""
    recall = require_managed(actor, uuid)
    if not decides(actor, recall):
        raise Forbidden("The staff of this site have opened this recall: they close and lift it.")
    return recall


def may_handle(actor: Actor, recall: Recall, item: RecallItem) -> bool:
    """Whether the actor says what became of an item: its owner, staff, and, of what somebody has bought, who sold it."""
    if actor.is_staff or actor.is_system:
        return True
    action = Action.NAMESPACE_BUY if item.kind in HAD else Action.RECALL_MANAGE
    if actor.may(action, item.owner_id):
        return True
    return item.seller_id is not None and actor.may(Action.RECALL_MANAGE, item.seller_id)


def require_item(actor: Actor, recall: Recall, uuid: UUID | str) -> RecallItem:
    """An item that the actor may handle. Raises NotFound for one that it may not know of, Forbidden."""
    item = RecallItem.objects.select_related("owner", "order").filter(recall=recall, uuid=uuid).first()
    if item is None or not (may_handle(actor, recall, item) or _reads(item, actor)):
        actor.require_authenticated()
        raise NotFound("There is no such item.")
    if not may_handle(actor, recall, item):
        _refuse(actor)
    return item


def own_items(actor: Actor) -> Q:
    """Items that the actor reads whatever else it may see: what the namespaces whose recalls it manages own, what those in which it reads
    have bought, and what those that it sells for have sold."""
    return (
        Q(owner_id__in=_where(actor, Action.RECALL_MANAGE))
        | Q(owner_id__in=_where(actor, Action.NAMESPACE_READ), kind__in=[each.value for each in HAD])
        | Q(seller_id__in=_where(actor, Action.NAMESPACE_SELL))
    )


def _reads(item: RecallItem, actor: Actor) -> bool:
    return RecallItem.objects.filter(own_items(actor), pk=item.pk).exists()


def _where(actor: Actor, action: Action) -> list[int]:
    return [pk for pk in actor.roles if actor.may(action, pk)]


def _refuse(actor: Actor) -> None:
    actor.require_authenticated()
    actor.require_scope(SCOPE_OF_ACTION[Action.RECALL_MANAGE])
    raise Forbidden("You may not manage this recall.", action=str(Action.RECALL_MANAGE))
