"""Recalling a version, freezing what is sold and called of it, handling what it reaches, closing and lifting. What takes item by item is
left to tasks (`recall_actions`)."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid, NotFound
from market.models import Listing, Recall, RecallAction, RecallEvent, RecallItem
from market.recall_policies import may_handle, require_decided, require_item, require_managed, require_recall
from market.recalls import (
    DONE,
    IN_FORCE,
    NEEDS_NOTE,
    NOTE_LIMIT,
    RECALLS,
    STATE_AFTER,
    ActionKind,
    Category,
    Deed,
    FreezeScope,
    ItemKind,
    ItemState,
    RecallState,
    Severity,
    advice_of,
    checked_text,
    word_of,
)
from market.services import follows
from market.services.recall_walk import find_items
from notices.services import notify
from registry.policies import require_version
from work.door import enqueue

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from registry.models import Version

_SYSTEM = system("recalls")
_AT_ONCE = 500


def open_recall(
    actor: Actor,
    *,
    version_uuid: UUID | str,
    category: str,
    severity: str,
    reason: str,
    advice: str = "",
    private_note: str = "",
    replacement: UUID | str | None = None,
) -> Recall:
    """Recall a version: for the owners and admins of its namespace, and staff. Writes the recall, its items as they are found now, an
    event, audit; with the severity `stop` a task holds back its files. `replacement`: a version to take instead. Raises Invalid per
    field, NotFound, Forbidden, Conflict while it is recalled already."""
    actor.require_authenticated()
    version = _recallable(actor, version_uuid)
    fields = {
        "category": word_of(Category, category, "category"),
        "severity": word_of(Severity, severity, "severity"),
        "reason": checked_text(reason, "reason"),
        "advice": checked_text(advice, "advice", needed=False) or advice_of(severity),
        "private_note": checked_text(private_note, "private_note", needed=False),
        "replacement": _replacement(actor, version, replacement),
    }
    repo = version.repo
    try:
        with transaction.atomic():
            recall = Recall.objects.create(
                version=version,
                namespace=repo.namespace,
                title=f"{repo.namespace.name}/{repo.name} {version.name}",
                is_by_staff=not actor.may(Action.RECALL_MANAGE, repo.namespace_id),
                opened_by_id=actor.user_id,
                opened_at=now(),
                **fields,
            )
            note(
                actor, recall, "opened", detail={"category": category, "severity": severity}, version=str(version.uuid)
            )
            _take_in(actor, recall)
            RecallItem.objects.filter(recall=recall, kind=ItemKind.VERSION, object_uuid=version.uuid).update(
                state=ItemState.HANDLED, action="recalled", changed_at=now(), changed_by_id=actor.user_id
            )
            own = RecallItem.objects.filter(recall=recall, kind=ItemKind.LISTING, owner=repo.namespace)
            follows.note_recalled(Listing.objects.filter(uuid__in=own.values("object_uuid")), str(recall.uuid))
            if recall.severity == Severity.STOP:
                start(actor, recall, ActionKind.HOLD)
            if recall.is_by_staff:
                notify(
                    repo.namespace_id,
                    "market:recall:opened",
                    f"The staff of this site have recalled {recall.title}: {recall.reason}",
                    url=f"/recalls/{recall.uuid}",
                    key=f"recall:{recall.uuid}:opened",
                )
    except IntegrityError as error:
        if Recall.objects.filter(version=version, state__in=IN_FORCE).exists():
            raise Conflict("This version is recalled already.", code="recalled_already") from error
        raise
    return recall


def change_recall(
    actor: Actor,
    uuid: UUID | str,
    *,
    reason: str | None = None,
    advice: str | None = None,
    private_note: str | None = None,
    replacement: UUID | str | None = None,
) -> Recall:
    """Say it better, or name a replacement. For those who decide about it. The words before stand in the audit trail; the same words again
    change nothing. Raises Invalid, NotFound, Forbidden, Conflict for one that was lifted."""
    with transaction.atomic():
        row = _locked(require_decided(actor, uuid))
        _require_in_force(row)
        wanted: dict[str, Any] = {}
        if reason is not None:
            wanted["reason"] = checked_text(reason, "reason")
        if advice is not None:
            wanted["advice"] = checked_text(advice, "advice")
        if private_note is not None:
            wanted["private_note"] = checked_text(private_note, "private_note", needed=False)
        if replacement is not None:
            wanted["replacement"] = _replacement(actor, row.version, replacement)
        changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if changed:
            before = {name: str(getattr(row, name))[:300] for name in changed if name != "private_note"}
            for name, value in changed.items():
                setattr(row, name, value)
            row.save(update_fields=list(changed))
            shown = sorted(set(changed) - {"private_note"})
            note(actor, row, "changed", detail={"fields": shown}, before=before)
    return row


def walk_recall(actor: Actor, recall: Recall) -> int:
    """Look again what the recall reaches, while it is open; returns how many items are new. What is new is frozen and told of as the others
    were; an endpoint, a listing or an order that is affected no longer is handled. Safe to repeat."""
    with transaction.atomic():
        row = _locked(recall)
        if row.state != RecallState.OPEN:
            return 0
        return _take_in(actor, row)


def ask_walk(actor: Actor, uuid: UUID | str) -> int:
    """`walk_recall` for a person who manages it. Raises NotFound, Forbidden, Conflict unless it is open."""
    recall = require_managed(actor, uuid)
    _require_open(recall)
    return walk_recall(actor, recall)


def freeze(actor: Actor, uuid: UUID | str, *, scope: str = FreezeScope.OWN) -> Recall:
    """Stop sales and calls of the recalled version and of what its namespace has made of it, or (`all`, for staff) of whatever anybody has.
    Holds in every process within seconds; nothing is written into listings and endpoints, so that lifting leaves them as they were. A
    second call changes nothing; with `all` it widens. Raises NotFound, Forbidden, Invalid, Conflict for one that was lifted."""
    wanted = word_of(FreezeScope, scope, "scope")
    if wanted == FreezeScope.ALL and not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff can stop what others have made of it: their owners are asked to.")
    with transaction.atomic():
        row = _locked(require_managed(actor, uuid))
        _require_in_force(row)
        if row.frozen_at is not None and row.freeze_scope in {wanted, FreezeScope.ALL}:
            return row
        row.freeze_scope, row.frozen_at = wanted, row.frozen_at or now()
        row.save(update_fields=["freeze_scope", "frozen_at"])
        count = _freeze_items(actor, row)
        bump_access_version()
        note(actor, row, "frozen", detail={"scope": wanted, "versions": count})
    return row


def unfreeze(actor: Actor, uuid: UUID | str) -> Recall:
    """Let sales and calls go on, and the items that were handled by the freeze alone are open again. For those who decide about the recall.
    A second call changes nothing."""
    with transaction.atomic():
        row = _locked(require_decided(actor, uuid))
        if row.frozen_at is None:
            return row
        _thaw(row)
        items = RecallItem.objects.filter(recall=row, state=ItemState.HANDLED, action="frozen")
        if items.update(state=ItemState.OPEN, action="", changed_at=now(), changed_by_id=actor.user_id):
            _reopen_if_closed(actor, row)
        note(actor, row, "unfrozen")
    return row


def handle_item(actor: Actor, uuid: UUID | str, item_uuid: UUID | str, deed: str, *, text: str = "") -> RecallItem:
    """Acknowledge an item, mark it handled, contest it, waive it (staff) or open it again. For its owner, who sold it, staff. Handling,
    contesting and waiving take a note. Waiving thaws what was frozen of it. The same again changes nothing. Raises Invalid, NotFound,
    Forbidden, Conflict unless the recall is open."""
    wanted = word_of(Deed, deed, "deed")
    said = checked_text(text, "note", limit=NOTE_LIMIT, needed=wanted in NEEDS_NOTE)
    with transaction.atomic():
        recall = _locked(require_recall(actor, uuid))
        _require_open(recall)
        item = require_item(actor, recall, item_uuid)
        item = RecallItem.objects.select_for_update(of=("self",)).select_related("owner").get(pk=item.pk)
        if wanted == Deed.WAIVE and not (actor.is_staff or actor.is_system):
            raise Forbidden("Only staff can waive an item: mark it handled, or contest it.")
        state = STATE_AFTER[wanted] or ItemState(item.state)
        if (item.state, item.action, item.note) == (state, _done_word(wanted), said):
            return item
        return settle(actor, recall, item, state, _done_word(wanted), said)


def handle_own(actor: Actor, uuid: UUID | str, deed: str, *, text: str = "") -> int:
    """`handle_item` for every open item that the actor may handle, all or none; returns how many."""
    with transaction.atomic():
        recall = _locked(require_recall(actor, uuid))
        _require_open(recall)
        wanted = word_of(Deed, deed, "deed")
        if wanted not in {Deed.ACKNOWLEDGE, Deed.HANDLE}:
            raise Invalid(
                "Acknowledge them or mark them handled; the rest is done one by one.", fields={"deed": "one by one"}
            )
        said = checked_text(text, "note", limit=NOTE_LIMIT, needed=wanted in NEEDS_NOTE)
        rows = RecallItem.objects.select_for_update(of=("self",)).filter(recall=recall).exclude(state__in=DONE)
        own = [pk for pk in actor.roles if actor.may(Action.NAMESPACE_READ, pk)]
        mine = [each for each in rows.filter(owner_id__in=own).order_by("pk") if may_handle(actor, recall, each)]
        for item in mine:
            settle(actor, recall, item, STATE_AFTER[wanted] or ItemState(item.state), _done_word(wanted), said)
    if not mine:
        raise NotFound("Nothing of yours is open in this recall.")
    return len(mine)


def settle(
    actor: Actor, recall: Recall, item: RecallItem, state: ItemState, action: str, said: str = "", **detail: Any
) -> RecallItem:
    """Write what became of an item, in the caller's transaction, which holds its lock."""
    item.state, item.action, item.note, item.problem = state, action, said[:NOTE_LIMIT], ""
    item.changed_at, item.changed_by_id = now(), actor.user_id
    fields = ["state", "action", "note", "problem", "changed_at", "changed_by"]
    if state == ItemState.WAIVED and item.frozen_at is not None:
        item.frozen_at = None
        fields.append("frozen_at")
        bump_access_version()
    item.save(update_fields=fields)
    note(actor, recall, action, item=item, said=said, detail=detail, state=str(state))
    return item


def close_recall(actor: Actor, uuid: UUID | str) -> Recall:
    """Say that everything is handled. The version stays recalled. A second call changes nothing. Raises NotFound, Forbidden, Conflict
    while items or actions are left, with their number."""
    with transaction.atomic():
        row = _locked(require_decided(actor, uuid))
        if row.state == RecallState.CLOSED:
            return row
        if row.state == RecallState.OPEN:
            _take_in(actor, row)
        left = RecallItem.objects.filter(recall=row).exclude(state__in=DONE).count()
        if left:
            raise Conflict(
                f"{left} {'item is' if left == 1 else 'items are'} not handled yet: handle them, or have staff waive them.",
                code="items_left",
                left=left,
            )
        if RecallAction.objects.filter(recall=row, finished_at__isnull=True).exists():
            raise Conflict("An action is still under way: wait until it is done.", code="action_under_way")
        RECALLS.ensure(RecallState(row.state), RecallState.CLOSED)
        row.state, row.closed_at = RecallState.CLOSED, now()
        row.save(update_fields=["state", "closed_at"])
        note(actor, row, "closed")
    return row


def reopen_recall(actor: Actor, uuid: UUID | str) -> Recall:
    """Open a closed recall again, and look what it reaches now. A second call changes nothing. Raises NotFound, Forbidden, Conflict for
    one that was lifted."""
    with transaction.atomic():
        row = _locked(require_decided(actor, uuid))
        if row.state == RecallState.OPEN:
            return row
        RECALLS.ensure(RecallState(row.state), RecallState.OPEN)
        row.state, row.closed_at = RecallState.OPEN, None
        row.save(update_fields=["state", "closed_at"])
        note(actor, row, "reopened")
        _take_in(actor, row)
    return row


def lift_recall(actor: Actor, uuid: UUID | str, *, reason: str) -> Recall:
    """Take a recall back that was a mistake: sales, calls and downloads are open as they were before, and everybody who was told of it is
    told. What was refunded stays so. Actions under way end. A second call changes nothing. Raises NotFound, Forbidden, Invalid."""
    reason = checked_text(reason, "reason")
    with transaction.atomic():
        row = _locked(require_decided(actor, uuid))
        if row.state == RecallState.LIFTED:
            return row
        RECALLS.ensure(RecallState(row.state), RecallState.LIFTED)
        RecallAction.objects.filter(recall=row, finished_at__isnull=True).update(finished_at=now())
        _thaw(row)
        row.state, row.lifted_at, row.lift_reason = RecallState.LIFTED, now(), reason
        row.save(update_fields=["state", "lifted_at", "lift_reason"])
        bump_access_version()
        note(actor, row, "lifted", said=reason[:NOTE_LIMIT])
        if row.severity == Severity.STOP:
            start(actor, row, ActionKind.RELEASE)
        start(actor, row, ActionKind.TELL_LIFTED)
    return row


def start(
    actor: Actor, recall: Recall, kind: ActionKind, *, seller_id: int | None = None, percent: int | None = None
) -> RecallAction:
    """Have a task do something item by item, in the caller's transaction, which holds the recall's lock. One of its kind, and seller, at
    a time: while it is under way it is returned."""
    live = RecallAction.objects.filter(recall=recall, kind=kind, seller_id=seller_id, finished_at__isnull=True).first()
    if live is None:
        live = RecallAction.objects.create(
            recall=recall, kind=kind, seller_id=seller_id, percent=percent, asked_by_id=actor.user_id
        )
    enqueue("market.advance_recall", recall.pk, key=f"recall:{recall.uuid}")
    return live


def note(
    actor: Actor,
    recall: Recall,
    word: str,
    *,
    item: RecallItem | None = None,
    said: str = "",
    detail: dict[str, Any] | None = None,
    **audited: Any,
) -> RecallEvent:
    """Write an event and its record of the audit trail, in the caller's transaction."""
    about = {"item": str(item.uuid), "kind": item.kind} if item else {}
    record = audit.record(
        actor,
        f"market:recall:{'item' if item else word}",
        "recall",
        recall.uuid,
        namespace_id=item.owner_id if item else recall.namespace_id,
        word=word,
        **about,
        **(detail or {}),
        **audited,
        note=said[:300],
    )
    return RecallEvent.objects.create(
        recall=recall,
        item=item,
        word=word,
        note=said[:NOTE_LIMIT],
        detail=detail or {},
        by_id=actor.user_id,
        by_label=actor.label[:150],
        audit_sequence=record.sequence,
        audit_sha256=record.sha256,
        at=record.at,
    )


def _take_in(actor: Actor, recall: Recall) -> int:
    found, is_cut = find_items(recall)
    known = set(RecallItem.objects.filter(recall=recall).values_list("kind", "object_uuid"))
    fresh = [each for each in found if (each.kind, each.object_uuid) not in known]
    for start_at in range(0, len(fresh), _AT_ONCE):
        RecallItem.objects.bulk_create(fresh[start_at : start_at + _AT_ONCE], ignore_conflicts=True)
    _mark_gone(actor, recall, {(each.kind, each.object_uuid) for each in found})
    is_first = recall.walked_at is None
    recall.walked_at, recall.is_cut = now(), is_cut
    recall.save(update_fields=["walked_at", "is_cut"])
    if fresh or is_first:
        note(actor, recall, "walked", detail={"new": len(fresh)})
    if fresh and recall.frozen_at is not None:
        _freeze_items(actor, recall)
        bump_access_version()
    if fresh and RecallAction.objects.filter(recall=recall, kind=ActionKind.NOTIFY).exists():
        start(actor, recall, ActionKind.NOTIFY)
    return len(fresh)


def _mark_gone(actor: Actor, recall: Recall, found: set[tuple[str, UUID]]) -> None:
    """An endpoint that serves something else, a listing that leads elsewhere, an order that was undone: nothing is left to do there."""
    gone = {ItemKind.ENDPOINT: "moved on", ItemKind.LISTING: "moved on", ItemKind.HOLDER: "access ended"}
    left = RecallItem.objects.select_for_update(of=("self",)).filter(recall=recall, kind__in=list(gone))
    for item in left.exclude(state__in=DONE).order_by("pk"):
        if (item.kind, item.object_uuid) not in found:
            settle(actor, recall, item, ItemState.HANDLED, gone[ItemKind(item.kind)])


def _freeze_items(actor: Actor, recall: Recall) -> int:
    """Freeze what is in scope and not yet; items of endpoints and listings that stop by it are handled. Returns how many versions."""
    things = RecallItem.objects.filter(
        recall=recall, kind__in=[ItemKind.VERSION, ItemKind.BUILD], frozen_at__isnull=True
    )
    things = things.exclude(state=ItemState.WAIVED)
    if recall.freeze_scope == FreezeScope.OWN:
        things = things.filter(owner_id=recall.namespace_id)
    count = things.update(frozen_at=now())
    frozen = RecallItem.objects.filter(recall=recall, kind=ItemKind.VERSION, frozen_at__isnull=False)
    stopped: QuerySet[RecallItem] = RecallItem.objects.select_for_update(of=("self",)).filter(
        recall=recall,
        kind__in=[ItemKind.ENDPOINT, ItemKind.LISTING],
        state__in=[ItemState.OPEN, ItemState.CONTESTED],
        version_uuid__in=frozen.values("object_uuid"),
    )
    for item in stopped.order_by("pk"):
        settle(actor, recall, item, ItemState.HANDLED, "frozen")
    return count


def _thaw(recall: Recall) -> None:
    recall.frozen_at, recall.freeze_scope = None, ""
    recall.save(update_fields=["frozen_at", "freeze_scope"])
    RecallItem.objects.filter(recall=recall, frozen_at__isnull=False).update(frozen_at=None)
    bump_access_version()


def _reopen_if_closed(actor: Actor, recall: Recall) -> None:
    if recall.state == RecallState.CLOSED:
        recall.state, recall.closed_at = RecallState.OPEN, None
        recall.save(update_fields=["state", "closed_at"])
        note(actor, recall, "reopened")


def _done_word(deed: Deed) -> str:
    return {
        Deed.ACKNOWLEDGE: "acknowledged",
        Deed.HANDLE: "handled",
        Deed.CONTEST: "contested",
        Deed.WAIVE: "waived",
        Deed.REOPEN: "reopened",
    }[deed]


def _recallable(actor: Actor, uuid: UUID | str) -> "Version":
    """Staff recall what they may not even see: they are told of it from outside."""
    version = require_version(_SYSTEM if actor.is_staff else actor, uuid, Action.REPO_DISCOVER)
    if not (actor.is_staff or actor.is_system or actor.may(Action.RECALL_MANAGE, version.repo.namespace_id)):
        raise Forbidden("Only owners and admins of its namespace, and the staff of this site, can recall a version.")
    return version


def _replacement(actor: Actor, version: "Version", uuid: UUID | str | None) -> "Version | None":
    if not uuid:
        return None
    try:
        found = require_version(actor, uuid, Action.REPO_READ)
    except (NotFound, ValueError) as error:
        raise Invalid("There is no such version to take instead.", fields={"replacement": "unknown"}) from error
    if found.pk == version.pk or found.repo.kind != version.repo.kind:
        raise Invalid(f"Name another version, of a {version.repo.kind}.", fields={"replacement": "does not fit"})
    if Recall.objects.filter(version=found, state__in=IN_FORCE).exists():
        raise Invalid("That version is recalled itself.", fields={"replacement": "recalled"})
    return found


def _locked(recall: Recall) -> Recall:
    rows = Recall.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("namespace", "version__repo__namespace", "replacement__repo__namespace").get(
        pk=recall.pk
    )


def locked_recall(pk: int) -> Recall:
    """The recall as it is now, locked until the caller's transaction ends."""
    return _locked(Recall(pk=pk))


def _require_open(recall: Recall) -> None:
    if recall.state != RecallState.OPEN:
        raise Conflict(f"This recall is {recall.state}.", code="recall_not_open", state=recall.state)


def _require_in_force(recall: Recall) -> None:
    if not recall.is_in_force:
        raise Conflict("This recall was lifted: it holds nothing any more.", code="recall_lifted")
