"""Deciding a purchase that waits for an approval: approved it goes on exactly as one that was just placed, else it is cancelled.
Every way locks the order first, so that of several at once one counts."""

from django.db import transaction

from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.money import Money
from market.approval_policies import may_decide, require_approval
from market.models import Approval, Order
from market.services import coupons
from market.services.fulfilment import locked_order
from market.services.orders import carry_out
from market.states import ORDERS, ApprovalOutcome, OrderState
from notices.services import notify_users

COMMENT_LIMIT = 500
_SWEEP = system("approvals")


def approve(actor: Actor, approval: Approval, *, comment: str = "") -> Approval:
    """Let the purchase go on: what is on sale, price, coupon, licences and terms are looked at again, then it is paid and opened as if it
    had been placed now, in one transaction. Repeated by anybody who may decide it changes nothing. Raises Forbidden; Conflict when it
    was decided otherwise or is over, and with the sentence of whatever does not fit any more; OverBudget when the wallet does not
    cover it: then it still waits."""
    comment = _checked(actor, approval, comment)
    with transaction.atomic():
        order, row = _locked(approval)
        if row.outcome == ApprovalOutcome.APPROVED:
            return row
        _require_waiting(row)
        if row.expires_at <= now():
            raise Conflict("Nobody decided in time: it has to be ordered anew.", code="approval_lapsed")
        _decide(actor, row, ApprovalOutcome.APPROVED, comment)
        ORDERS.ensure(OrderState(order.state), OrderState.PLACED)
        order.state = OrderState.PLACED
        carry_out(actor, order)
        _tell(row, order, f"{actor.label} approved your purchase of {order.listing.title}.")
        audit.record(
            actor,
            "market:approval:approved",
            "order",
            order.uuid,
            namespace_id=order.buyer_id,
            total=str(Money(order.total_minor, order.currency)),
            comment=comment,
        )
    return row


def decline(actor: Actor, approval: Approval, *, comment: str = "") -> Approval:
    """End the purchase: the order is cancelled, its coupon is free again, whoever asked is told. Repeated it changes nothing. Raises
    Forbidden; Conflict when it was decided otherwise."""
    comment = _checked(actor, approval, comment)
    return _end(actor, approval, ApprovalOutcome.DECLINED, comment)


def withdraw(actor: Actor, approval: Approval) -> Approval:
    """Take back one's own wish. Repeated it changes nothing. Raises Forbidden for another's; Conflict when it was decided."""
    if approval.order.placed_by_id is None or approval.order.placed_by_id != actor.user_id:
        raise Forbidden("Only whoever asked for it can take it back; an approver declines it.")
    if not actor.may(Action.NAMESPACE_BUY, approval.order.buyer_id):
        raise Forbidden(f"You may not buy for {approval.order.buyer.name}.", action=str(Action.NAMESPACE_BUY))
    return _end(actor, approval, ApprovalOutcome.WITHDRAWN, "")


def lapse_approvals() -> int:
    """Cancel what nobody decided in time; returns how many. Safe to repeat and beside itself: the locked row decides."""
    over = Approval.objects.filter(outcome=ApprovalOutcome.WAITING, expires_at__lte=now()).order_by("pk")
    count = 0
    for approval in over:
        try:
            _end(_SWEEP, approval, ApprovalOutcome.LAPSED, "")
        except Conflict:  # somebody decided while this one was on its way
            continue
        count += 1
    return count


def _end(actor: Actor, approval: Approval, outcome: ApprovalOutcome, comment: str) -> Approval:
    with transaction.atomic():
        order, row = _locked(approval)
        if row.outcome == outcome:
            return row
        _require_waiting(row)
        _decide(actor, row, outcome, comment)
        ORDERS.ensure(OrderState(order.state), OrderState.CANCELLED)
        order.state, order.closed_at = OrderState.CANCELLED, now()
        order.save(update_fields=["state", "closed_at"])
        coupons.give_back(order)
        audit.record(
            actor,
            f"market:approval:{outcome}",
            "order",
            order.uuid,
            namespace_id=order.buyer_id,
            comment=comment,
        )
        said = f" “{comment}”" if comment else ""
        if outcome == ApprovalOutcome.DECLINED:
            _tell(row, order, f"{actor.label} declined your purchase of {order.listing.title}.{said}")
        elif outcome == ApprovalOutcome.LAPSED:
            _tell(row, order, f"Nobody decided in time about your purchase of {order.listing.title}: it is cancelled.")
    return row


def _checked(actor: Actor, approval: Approval, comment: str) -> str:
    found = require_approval(actor, approval.uuid)
    if not may_decide(actor, found):
        raise Forbidden(
            f"You may not approve what {found.order.buyer.name} buys: ask an owner, admin or approver.",
            action=str(Action.NAMESPACE_APPROVE),
        )
    if len(comment) > COMMENT_LIMIT or "\x00" in comment:
        raise Invalid(f"Use at most {COMMENT_LIMIT} characters.", fields={"comment": "too long"})
    return comment.strip()


def _locked(approval: Approval) -> tuple[Order, Approval]:
    order = locked_order(approval.order_id)
    row = Approval.objects.get(pk=approval.pk)
    row.order = order
    return order, row


def _require_waiting(row: Approval) -> None:
    if row.outcome != ApprovalOutcome.WAITING:
        raise Conflict(f"This purchase is {row.outcome} already.", code="decided_already", outcome=row.outcome)


def _decide(actor: Actor, row: Approval, outcome: ApprovalOutcome, comment: str) -> None:
    row.outcome, row.decided_at, row.decided_by_id, row.comment = outcome, now(), actor.user_id, comment
    row.save(update_fields=["outcome", "decided_at", "decided_by", "comment"])


def _tell(row: Approval, order: Order, text: str) -> None:
    if order.placed_by_id is not None:
        notify_users(
            [order.placed_by_id],
            f"market:approval:{row.outcome}",
            text,
            url=f"/orders/{order.uuid}",
            key=f"approval:{row.uuid}:{row.outcome}",
        )
