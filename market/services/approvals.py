"""Deciding a purchase that waits for an approval: approved it goes on exactly as one that was just placed, else nothing comes of it.
Every way locks the order, or the subscription of which another plan is wanted, first, so that of several at once one counts."""

from collections.abc import Callable, Iterable

from django.db import transaction

from accounts.actors import Actor, system
from accounts.directory import people_who
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.money import Money
from market.approval_policies import may_decide, require_approval
from market.models import Approval, Order, PlanSwitch
from market.services import coupons, plan_switches
from market.services.fulfilment import locked_order
from market.services.orders import carry_out
from market.services.subscription_periods import locked_subscription
from market.states import ORDERS, ApprovalOutcome, OrderState
from market.subscriptions import price_of_period
from notices.services import notify_users

COMMENT_LIMIT = 500
_SWEEP = system("approvals")


def approve(actor: Actor, approval: Approval, *, comment: str = "") -> Approval:
    """Let the purchase go on: what is on sale, price, coupon, licences and terms are looked at again, then it is paid and opened as if it
    had been placed now, in one transaction; another plan begins as if it had been taken now (`plan_switches.carry_out`). Repeated by
    anybody who may decide it changes nothing. Raises Forbidden; Conflict when it was decided otherwise or is over, and with the
    sentence of whatever does not fit any more; OverBudget when the wallet does not cover it: then it still waits."""
    comment = _checked(actor, approval, comment)
    with transaction.atomic():
        row = _locked(approval)
        if row.outcome == ApprovalOutcome.APPROVED:
            return row
        _require_waiting(row)
        if row.expires_at <= now():
            raise Conflict("Nobody decided in time: it has to be asked for anew.", code="approval_lapsed")
        _decide(actor, row, ApprovalOutcome.APPROVED, comment)
        if row.switch is not None:
            plan_switches.carry_out(actor, row.switch.subscription, row.switch)
        elif row.order is not None:
            ORDERS.ensure(OrderState(row.order.state), OrderState.PLACED)
            row.order.state = OrderState.PLACED
            carry_out(actor, row.order)
        _record(actor, row, total=_price(row), comment=comment)
        _tell(actor, row, lambda whose: f"{actor.label} approved {whose} {_what(row)}.")
    return row


def decline(actor: Actor, approval: Approval, *, comment: str = "") -> Approval:
    """End the purchase: the order is cancelled, its coupon is free again; a subscription stays as it is. Whoever asked is told. Repeated
    it changes nothing. Raises Forbidden; Conflict when it was decided otherwise."""
    comment = _checked(actor, approval, comment)
    return _end(actor, approval, ApprovalOutcome.DECLINED, comment)


def withdraw(actor: Actor, approval: Approval) -> Approval:
    """Take back one's own wish. Repeated it changes nothing. Raises Forbidden for another's; Conflict when it was decided."""
    by, buyer = approval.placed_by, approval.buyer
    if by is None or by.pk != actor.user_id:
        raise Forbidden("Only whoever asked for it can take it back; an approver declines it.")
    if not actor.may(Action.NAMESPACE_BUY, buyer.pk):
        raise Forbidden(f"You may not buy for {buyer.name}.", action=str(Action.NAMESPACE_BUY))
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
        row = _locked(approval)
        if row.outcome == outcome:
            return row
        _require_waiting(row)
        _decide(actor, row, outcome, comment)
        if row.order is not None:
            ORDERS.ensure(OrderState(row.order.state), OrderState.CANCELLED)
            row.order.state, row.order.closed_at = OrderState.CANCELLED, now()
            row.order.save(update_fields=["state", "closed_at"])
            coupons.give_back(row.order)
        _record(actor, row, comment=comment)
        said = f" “{comment}”" if comment else ""
        if outcome == ApprovalOutcome.LAPSED:
            _tell(actor, row, lambda whose: f"Nobody decided in time about {whose} {_what(row)}: nothing comes of it.")
        else:
            did = "declined" if outcome == ApprovalOutcome.DECLINED else "took back"
            _tell(actor, row, lambda whose: f"{actor.label} {did} {whose} {_what(row)}.{said}")
    return row


def _checked(actor: Actor, approval: Approval, comment: str) -> str:
    found = require_approval(actor, approval.uuid)
    if not may_decide(actor, found):
        raise Forbidden(
            f"You may not approve what {found.buyer.name} buys: ask an owner, admin or approver.",
            action=str(Action.NAMESPACE_APPROVE),
        )
    if len(comment) > COMMENT_LIMIT or "\x00" in comment:
        raise Invalid(f"Use at most {COMMENT_LIMIT} characters.", fields={"comment": "too long"})
    return comment.strip()


def _locked(approval: Approval) -> Approval:
    """As it is now, with its order, or with its switch and the subscription, locked."""
    if approval.order_id is not None:
        order = locked_order(approval.order_id)
        row = Approval.objects.get(pk=approval.pk)
        row.order = order
        return row
    switch = PlanSwitch.objects.select_related("plan__listing__namespace", "former", "placed_by").get(approval=approval)
    switch.subscription = locked_subscription(switch.subscription_id)
    row = Approval.objects.get(pk=approval.pk)
    row.switch = switch
    return row


def _require_waiting(row: Approval) -> None:
    if row.outcome != ApprovalOutcome.WAITING:
        raise Conflict(f"This request is {row.outcome} already.", code="decided_already", outcome=row.outcome)


def _decide(actor: Actor, row: Approval, outcome: ApprovalOutcome, comment: str) -> None:
    row.outcome, row.decided_at, row.decided_by_id, row.comment = outcome, now(), actor.user_id, comment
    row.save(update_fields=["outcome", "decided_at", "decided_by", "comment"])


def _about(row: Approval) -> Order | PlanSwitch:
    about = row.switch or row.order
    assert about is not None, "the database lets it be of one thing"
    return about


def _what(row: Approval) -> str:
    if row.switch is not None:
        return f"change of {row.listing.title} from {row.switch.former.name} to {row.switch.plan.name}"
    return f"purchase of {row.listing.title}"


def _price(row: Approval) -> str:
    """What was paid, or will be with the next period."""
    about = _about(row)
    if isinstance(about, PlanSwitch):
        if about.order is None:
            return str(Money(price_of_period(about.plan.price_minor, about.subscription.quantity), row.currency))
        about = about.order
    return str(Money(about.total_minor, about.currency))


def _record(actor: Actor, row: Approval, **detail: str) -> None:
    about = _about(row)
    kind, uuid = "order", about.uuid
    if isinstance(about, PlanSwitch):
        kind, uuid = "subscription", about.subscription.uuid
        detail["plan"] = str(about.plan.uuid)
    audit.record(actor, f"market:approval:{row.outcome}", kind, uuid, namespace_id=row.buyer.pk, **detail)


def _tell(actor: Actor, row: Approval, text: Callable[[str], str]) -> None:
    """Those on both sides, whoever asked and whoever may decide, except `actor`, who knows."""
    about, asker = _about(row), row.placed_by
    page = f"/subscriptions/{about.subscription.uuid}" if isinstance(about, PlanSwitch) else f"/orders/{about.uuid}"
    deciding = set(people_who(row.buyer.pk, Action.NAMESPACE_APPROVE))
    if asker is not None and asker.pk != actor.user_id:
        deciding.discard(asker.pk)
        _notify(row, [asker.pk], text("your"), page)
    whose = "a" if asker is None else "the" if asker.pk == actor.user_id else f"{asker.username}'s"
    _notify(row, deciding - {actor.user_id}, text(whose), f"/approvals/{row.uuid}")


def _notify(row: Approval, people: Iterable[int], text: str, url: str) -> None:
    notify_users(people, f"market:approval:{row.outcome}", text, url=url, key=f"approval:{row.uuid}:{row.outcome}")
