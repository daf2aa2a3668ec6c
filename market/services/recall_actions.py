"""What a recall does item by item: telling people, giving money back, holding files back. Each item is one transaction that asks
first whether it is done already, and the action stands until all are: whoever is killed is followed by somebody who goes on."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Q

from accounts.actors import Actor, system
from accounts.permissions import Action
from common.clock import now
from common.errors import Conflict, DomainError, Forbidden, Invalid
from common.money import Money
from market.models import Order, Recall, RecallAction, RecallItem
from market.recall_policies import HAD, require_managed, require_recall
from market.recall_queries import private_title
from market.recalls import IN_FORCE, ActionKind, ItemKind, ItemState, RecallState, Severity
from market.services import recall_retraining
from market.services.money_back import left_minor
from market.services.partial_refunds import refund_part
from market.services.recalls import locked_recall, note, settle, start, walk_recall
from market.services.refunds import refund_order
from market.states import OrderState
from notices.services import notify
from registry.services.recall_holds import hold_version, release_version
from registry.states import Visibility
from work.door import enqueue

if TYPE_CHECKING:
    from django.db.models import QuerySet

_SYSTEM = system("recalls")
STEPS_AT_ONCE = 100
"""Items that one task does before it asks for the next: none lasts long, and others get their turn."""
POLL_S = 60
"""Between looks at jobs that are under way."""
WHOLE = 100
_NOT_PAID_BACK = {
    OrderState.REFUNDED: "It was paid back before.",
    OrderState.DISPUTED: "The buyer's bank has taken the payment back for the time being.",
    OrderState.LOST: "The buyer's bank has taken the payment back for good.",
    OrderState.CANCELLED: "The order was cancelled.",
}


def tell_everybody(actor: Actor, uuid: UUID | str) -> RecallAction:
    """Have everybody told who owns something that the recall reaches: a notice and a mail with the public reason and what to do. Who was
    told already is told of what is new only. Raises NotFound, Forbidden, Conflict unless it is open."""
    return _ask(actor, uuid, ActionKind.NOTIFY)


def retrain_own(actor: Actor, uuid: UUID | str) -> RecallAction:
    """Have jobs opened that make anew what the recalling namespace has made by known recipes, from the replacement; the owners of the rest
    are told that they can do so. Raises NotFound, Forbidden, Invalid without a replacement, Conflict unless it is open."""
    recall = require_managed(actor, uuid)
    if recall.replacement_id is None:
        raise Invalid(
            "Name the version to take instead first: training on the recalled one again mends nothing.",
            fields={"replacement": "missing"},
        )
    return _ask(actor, uuid, ActionKind.RETRAIN)


def refund_holders(actor: Actor, uuid: UUID | str, *, seller: str = "", percent: int = WHOLE) -> RecallAction:
    """Have the holders' orders paid back, one by one, through refunds: as a whole, with access; or `percent` (1 to 99, rounded down) of what
    is left of each, and access goes on. For staff everybody's or one seller's; for others those of a seller
    that they sell for: the recalling namespace, or the owner of a derived listing. Orders that can't be paid back are listed with the
    reason; asking again tries those again. Raises NotFound, Forbidden, Invalid, Conflict unless it is open."""
    if type(percent) is not int or not 1 <= percent <= WHOLE:
        raise Invalid("Give 1 to 100 per cent back.", fields={"percent": "1 to 100"})
    recall = require_recall(actor, uuid)
    is_operator = actor.is_staff or actor.is_system
    # whose sales one may not pay back are not even told apart from those that are not there
    sellers: dict[str, int] = {
        each.seller.name.lower(): each.seller.pk
        for each in RecallItem.objects.filter(recall=recall, kind=ItemKind.HOLDER).select_related("seller")
        if each.seller is not None and (is_operator or actor.may(Action.NAMESPACE_SELL, each.seller.pk))
    }
    wanted = seller.strip().lower()
    if not sellers and not is_operator:
        actor.require_authenticated()
        raise Forbidden("You sell nothing that this recall reaches.", action=str(Action.NAMESPACE_SELL))
    if wanted and wanted not in sellers:
        raise Invalid(f"You can't pay back sales of {seller[:96]} here.", fields={"seller": "no sales"})
    if not wanted and not is_operator and len(sellers) > 1:
        raise Invalid("Say whose sales are paid back.", fields={"seller": "missing"})
    seller_id = sellers.get(wanted) if wanted or is_operator else next(iter(sellers.values()))
    with transaction.atomic():
        row = _open(recall)
        tried = _holders(row, seller_id)
        tried.exclude(problem="").update(problem="")
        # what others than the recalling namespace do is an event of an item of theirs: it names them
        is_others = seller_id not in {None, row.namespace_id}
        about = tried.order_by("pk").first() if is_others else None
        if about is not None or not is_others:
            note(actor, row, "refunds_asked", item=about, detail={"percent": percent})
        return start(actor, row, ActionKind.REFUND, seller_id=seller_id, percent=percent)


def advance_recall(recall_id: int) -> None:
    """Go on with the actions of a recall that are under way, and ask to be called again while any is. Safe beside itself and after a crash:
    the rows say what is left."""
    steps = 0
    waits = False
    for action in RecallAction.objects.filter(recall_id=recall_id, finished_at__isnull=True).order_by("pk"):
        step = _STEPS[ActionKind(action.kind)]
        left: bool | None = True
        while left and steps < STEPS_AT_ONCE:
            left = step(action)
            steps += 1
        if left is False:
            RecallAction.objects.filter(pk=action.pk, finished_at__isnull=True).update(finished_at=now())
        waits |= left is None
        if left:
            break
    if RecallAction.objects.filter(recall_id=recall_id, finished_at__isnull=True).exists():
        key = f"recall:{Recall.objects.values_list('uuid', flat=True).get(pk=recall_id)}"
        enqueue("market.advance_recall", recall_id, key=key, delay_s=POLL_S if waits else 0)


def walk_all() -> int:
    """Have every open recall look again what it reaches; returns how many. Runs hourly."""
    rows = list(Recall.objects.filter(state=RecallState.OPEN).order_by("pk").values_list("pk", "uuid"))
    for pk, uuid in rows:
        enqueue("market.walk_recall", pk, key=f"walk:{uuid}")
    return len(rows)


def walk_one(recall_id: int) -> None:
    """`walk_recall` of a task, and a look at the jobs that make its items anew."""
    recall = Recall.objects.get(pk=recall_id)
    walk_recall(_SYSTEM, recall)
    recall_retraining.collect(recall)


def _ask(actor: Actor, uuid: UUID | str, kind: ActionKind) -> RecallAction:
    recall = require_managed(actor, uuid)
    with transaction.atomic():
        row = _open(recall)
        words = {ActionKind.NOTIFY: "telling_asked", ActionKind.RETRAIN: "retraining_asked"}
        if not RecallAction.objects.filter(recall=row, kind=kind, finished_at__isnull=True).exists():
            note(actor, row, words[kind])
        return start(actor, row, kind)


def _open(recall: Recall) -> Recall:
    row = locked_recall(recall.pk)
    if row.state != RecallState.OPEN:
        raise Conflict(f"This recall is {row.state}.", code="recall_not_open", state=row.state)
    return row


def _tell_next(action: RecallAction) -> bool:
    """Tell the next owner of all that is new; False when there is nobody left."""
    recall = _recall_of(action)
    waiting = RecallItem.objects.filter(recall=recall, told_at__isnull=True).exclude(owner_id=recall.namespace_id)
    owner = (
        waiting.values("owner_id")
        .annotate(first=Min("pk"))
        .order_by("first")
        .values_list("owner_id", flat=True)
        .first()
    )
    if owner is None:
        return False
    with transaction.atomic():
        mine = list(waiting.select_for_update(of=("self",)).filter(owner_id=owner).order_by("pk"))
        if not mine:
            return True
        told = notify(owner, "market:recall:told", _told(recall, mine), url=_url(recall), key=f"recall:{mine[0].uuid}")
        RecallItem.objects.filter(pk__in=[each.pk for each in mine]).update(told_at=now())
        note(_SYSTEM, recall, "told", item=mine[0], detail={"items": len(mine), "people": told})
    return True


def _told(recall: Recall, items: list[RecallItem]) -> str:
    name = recall.title if _knows(recall, items) else f"{private_title(recall)} that yours was made from".capitalize()
    count = "1 thing" if len(items) == 1 else f"{len(items)} things"
    can_retrain = any(each.kind == ItemKind.VERSION for each in items) and recall.replacement_id is not None
    retrain = " You can retrain it with one click there." if can_retrain else ""
    start_of = f"{name} was recalled; it concerns {count} of yours."
    room = 400 - len(start_of) - len(retrain) - 2
    why = f"{recall.reason} {recall.advice}"
    return f"{start_of} {why if len(why) <= room else why[: room - 1] + '…'}{retrain}"


def _knows(recall: Recall, items: list[RecallItem]) -> bool:
    """Whether the owner of these items may read the name of what was recalled."""
    if recall.version.repo.visibility == Visibility.PUBLIC:
        return True
    return any(each.kind in HAD and each.version_uuid == recall.version.uuid for each in items)


def _refund_next(action: RecallAction) -> bool:
    """Pay the next order back, or note why not; False when none is left."""
    recall = _recall_of(action)
    with transaction.atomic():
        left = _holders(recall, action.seller_id).filter(problem="").order_by("pk")
        item = left.select_for_update(of=("self",)).select_related("order__listing").first()
        if item is None or recall.state == RecallState.LIFTED:
            return False
        assert item.order is not None
        _refund(recall, item, action.percent or WHOLE)
    return True


def _refund(recall: Recall, item: RecallItem, percent: int) -> None:
    order = item.order
    assert order is not None
    key = f"recall:{recall.uuid}"
    try:
        if order.state in _NOT_PAID_BACK and order.refund_key != key:
            raise Conflict(_NOT_PAID_BACK[OrderState(order.state)])
        amount = _pay_back(order, percent, reason=f"Recalled: {recall.reason}"[:300], key=key)
    except DomainError as error:
        item.problem = error.message[:300]
        item.save(update_fields=["problem"])
        note(_SYSTEM, recall, "refund_failed", item=item, said=error.message, detail={"order": str(order.uuid)})
        return
    item.refunded_at = now()
    item.save(update_fields=["refunded_at"])
    settle(_SYSTEM, recall, item, ItemState.HANDLED, "refunded", order=str(order.uuid), amount=amount)


def _pay_back(order: Order, percent: int, *, reason: str, key: str) -> str:
    """The whole of an order, or a part of what is left of it; returns how much, empty while calls are in flight."""
    if percent == WHOLE:
        paid = refund_order(_SYSTEM, order, reason=reason, key=key)
        return "" if paid.state == OrderState.REFUNDING else str(Money(paid.refunded_minor, paid.currency))
    part = refund_part(_SYSTEM, order, max(1, left_minor(order) * percent // WHOLE), reason=reason, key=key)
    return str(Money(part.amount_minor, order.currency))


def _holders(recall: Recall, seller_id: int | None) -> "QuerySet[RecallItem]":
    """Items of orders that were not paid back yet, also when they were handled otherwise."""
    rows = RecallItem.objects.filter(recall=recall, kind=ItemKind.HOLDER, refunded_at__isnull=True)
    rows = rows.exclude(Q(state=ItemState.WAIVED) | Q(action="access ended"))
    return rows if seller_id is None else rows.filter(seller_id=seller_id)


def _hold(action: RecallAction) -> bool:
    recall = _recall_of(action)
    count = hold_version(_SYSTEM, recall.version, recall.reason, recalled=_stopped_beside(recall))
    _note_files(recall, "held", count)
    return False


def _release(action: RecallAction) -> bool:
    recall = _recall_of(action)
    count = release_version(_SYSTEM, recall.version, recall.lift_reason, recalled=_stopped_beside(recall))
    _note_files(recall, "released", count)
    return False


def _note_files(recall: Recall, word: str, count: int) -> None:
    if count:
        with transaction.atomic():
            note(_SYSTEM, recall, word, detail={"files": count})


def _stopped_beside(recall: Recall) -> list[UUID]:
    """Other versions of the repository whose files are held back too."""
    rows = Recall.objects.filter(
        version__repo_id=recall.version.repo_id, state__in=IN_FORCE, severity=Severity.STOP
    ).exclude(pk=recall.pk)
    return list(rows.values_list("version__uuid", flat=True))


def _tell_lifted(action: RecallAction) -> bool:
    """Tell everybody who was told of the recall; `told_at` is set back as it goes, so that nobody is told twice."""
    recall = _recall_of(action)
    waiting = RecallItem.objects.filter(recall=recall, told_at__isnull=False)
    owner = waiting.order_by("pk").values_list("owner_id", flat=True).first()
    if owner is None:
        return False
    with transaction.atomic():
        mine = list(waiting.select_for_update(of=("self",)).filter(owner_id=owner).order_by("pk"))
        if not mine:
            return True
        name = recall.title if _knows(recall, mine) else private_title(recall).capitalize()
        said = f"The recall of {name} was lifted: it was a mistake, and all is open as before. {recall.lift_reason}"
        told = notify(owner, "market:recall:lifted", said, url=_url(recall), key=f"recall:{recall.uuid}:lifted:{owner}")
        RecallItem.objects.filter(pk__in=[each.pk for each in mine]).update(told_at=None)
        note(_SYSTEM, recall, "told_lifted", item=mine[0], detail={"items": len(mine), "people": told})
    return True


def _retrain_next(action: RecallAction) -> bool | None:
    recall = _recall_of(action)
    return False if recall.state != RecallState.OPEN else recall_retraining.retrain_next(recall, action.asked_by_id)


def _recall_of(action: RecallAction) -> Recall:
    rows = Recall.objects.select_related(
        "namespace", "version__repo__namespace", "version__commit__tree", "replacement"
    )
    return rows.get(pk=action.recall_id)


def _url(recall: Recall) -> str:
    return f"/recalls/{recall.uuid}"


_STEPS: dict[ActionKind, Callable[[RecallAction], bool | None]] = {
    ActionKind.HOLD: _hold,
    ActionKind.RELEASE: _release,
    ActionKind.NOTIFY: _tell_next,
    ActionKind.RETRAIN: _retrain_next,
    ActionKind.REFUND: _refund_next,
    ActionKind.TELL_LIFTED: _tell_lifted,
}
"""Each does one step; True: there may be more, False: done, None: it waits for something else."""
