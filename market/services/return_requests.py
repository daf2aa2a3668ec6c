"""Requests for money back: the buyer asks, the seller decides in time, else the operator does.

    open ──► accepted | declined | withdrawn
      └──(in the buyer's hands after declining, or by itself when the time is over)──► escalated ──► accepted | rejected | withdrawn

An order that ends otherwise (undone, lost to a dispute) closes what is asked of it."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor, system
from accounts.permissions import Action
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.money import Money
from market.models import Order, ReturnEntry, ReturnRequest
from market.policies import require_order
from market.return_policies import require_return, require_side
from market.services.fulfilment import locked_order
from market.services.partial_refunds import check_amount, give_back
from market.services.return_threads import record, tell, write
from market.states import RETURNS, WAITING_RETURNS, OrderState, ReturnSide, ReturnState, ReturnStep

TEXT_LIMIT = 5_000
_BATCH = 500
_PARTIES = (ReturnSide.BUYER, ReturnSide.SELLER, ReturnSide.OPERATOR)


def ask_for_return(actor: Actor, order: Order, amount_minor: int, *, text: str, key: str) -> ReturnRequest:
    """Ask the seller for `amount_minor` (1 to what is left of the order) back, with a reason. For those who may buy for the buyer. The
    seller has RETURN_DECISION_DAYS. Writes request, thread, audit, notices. Keyed by order and `key` (1 to 80 characters): a second
    call returns the first one's. Raises Invalid, Forbidden, NotFound; Conflict when the order is not open, when a request waits, or when
    one was declined or decided by the operator."""
    if not 1 <= len(key) <= 80:
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    words = _clean(text, "Say why.")
    seen = require_order(actor, order.uuid)
    if not actor.may(Action.NAMESPACE_BUY, seen.buyer_id):
        raise Forbidden("Only the buyer asks for money back.", code="wrong_side")
    with transaction.atomic():
        row = locked_order(seen.pk)
        earlier = ReturnRequest.objects.filter(order=row, key=key).first()
        if earlier is not None:
            if earlier.asked_minor != amount_minor:
                raise Conflict("This key was used to ask for another amount.", code="key_reused")
            return earlier
        _check_may_ask(row, amount_minor)
        request = ReturnRequest.objects.create(
            order=row,
            key=key,
            state=ReturnState.OPEN,
            asked_minor=amount_minor,
            decide_by=_deadline(),
            created_by_id=actor.user_id,
        )
        entry = write(actor, request, ReturnStep.ASKED, ReturnSide.BUYER, text=words, amount_minor=amount_minor)
        amount = str(Money(amount_minor, row.currency))
        record(actor, request, "market:return:asked", amount=amount)
        tell(
            request,
            entry,
            f"{row.buyer.name} asks for {amount} of {row.listing.title} back: decide by {request.decide_by:%Y-%m-%d %H:%M} UTC.",
        )
    return request


def write_on_return(actor: Actor, request: ReturnRequest, *, text: str) -> ReturnEntry:
    """Say something in the thread: buyer, seller or operator, also when it is decided. Every call adds a line. Raises Invalid, NotFound,
    Forbidden."""
    words = _clean(text, "Write something first.")
    seen = require_return(actor, request.uuid)
    side = require_side(actor, seen, *_PARTIES)
    with transaction.atomic():
        entry = write(actor, seen, ReturnStep.WROTE, side, text=words)
        is_theirs = seen.escalated_at is not None
        said = f"{actor.label} on the money asked back for {seen.order.listing.title}: {words[:200]}"
        tell(seen, entry, said, with_operator=is_theirs)
    return entry


def accept_return(
    actor: Actor, request: ReturnRequest, amount_minor: int, *, text: str = "", ends_access: bool = False
) -> ReturnRequest:
    """Give `amount_minor` (1 to what was asked) back: the seller while the request is open, staff once it is escalated. Moves the money in
    the same transaction (`refund_part`), writes thread, audit, notices. One that was accepted with this amount is returned as it
    is. Raises Invalid, Forbidden, NotFound, Conflict."""
    words = _clean(text)
    with transaction.atomic():
        row, side = _decider(actor, request)
        if row.state == ReturnState.ACCEPTED and row.refund is not None and row.refund.amount_minor == amount_minor:
            return row
        _ensure(row, ReturnState.ACCEPTED)
        if type(amount_minor) is not int or not 1 <= amount_minor <= row.asked_minor:
            most = Money(row.asked_minor, row.order.currency)
            raise Invalid(
                f"Enter an amount up to {most}, which is what was asked.", fields={"amount_minor": "too much"}
            )
        # before the money moves: an order that ends with it closes what still waits
        row.state, row.ended_at = ReturnState.ACCEPTED, now()
        row.save(update_fields=["state", "ended_at"])
        reason = "Asked for by the buyer."
        row.refund = give_back(
            actor, row.order, amount_minor, reason=reason, ends_access=ends_access, key=f"return:{row.uuid}"
        )
        row.save(update_fields=["refund"])
        entry = write(actor, row, ReturnStep.ACCEPTED, side, text=words, amount_minor=amount_minor)
        amount = str(Money(amount_minor, row.order.currency))
        record(actor, row, "market:return:accepted", amount=amount, by=side.value)
        access = "Access has ended." if row.refund.ended_access else "Access goes on."
        said = f"{amount} of {row.order.listing.title} are given back to {row.order.buyer.name}. {access}"
        tell(row, entry, said, with_operator=row.escalated_at is not None)
    return row


def decline_return(actor: Actor, request: ReturnRequest, *, text: str) -> ReturnRequest:
    """Decline a request with a sentence: the seller while it is open (the buyer may then ask the operator, for RETURN_DECISION_DAYS), staff
    once it is escalated, for good. Writes thread, audit, notices; one that is declined already is returned as it is. Raises Invalid,
    Forbidden, NotFound, Conflict."""
    words = _clean(text, "Say why it is declined.")
    with transaction.atomic():
        row, side = _decider(actor, request)
        is_final = side == ReturnSide.OPERATOR
        wanted = ReturnState.REJECTED if is_final else ReturnState.DECLINED
        if row.state == wanted:
            return row
        _ensure(row, wanted)
        row.state = wanted
        row.ended_at, row.decide_by = (now(), row.decide_by) if is_final else (None, _deadline())
        row.save(update_fields=["state", "ended_at", "decide_by"])
        step = ReturnStep.REJECTED if is_final else ReturnStep.DECLINED
        entry = write(actor, row, step, side, text=words)
        record(actor, row, f"market:return:{step.value}")
        title = row.order.listing.title
        until = f" The buyer can ask the operator until {row.decide_by:%Y-%m-%d %H:%M} UTC."
        by = "The operator" if is_final else row.order.seller.name
        tell(row, entry, f"{by} declined the money asked back for {title}: {words[:200]}{'' if is_final else until}")
    return row


def escalate_return(actor: Actor, request: ReturnRequest, *, text: str) -> ReturnRequest:
    """Take a request that the seller declined to the operator, who decides for good. For the buyer, in time. Writes thread, audit, notices;
    one that is escalated is returned as it is. Raises Invalid, Forbidden, NotFound, Conflict."""
    words = _clean(text, "Say why the operator should look at it.")
    with transaction.atomic():
        row = _locked(actor, request)
        require_side(actor, row, ReturnSide.BUYER)
        if row.state == ReturnState.ESCALATED:
            return row
        if row.state == ReturnState.OPEN:
            raise Conflict(
                f"The seller has until {row.decide_by:%Y-%m-%d %H:%M} UTC to decide; after that it goes to the operator by itself.",
                code="seller_has_time",
            )
        _ensure(row, ReturnState.ESCALATED)
        if now() > row.decide_by:
            raise Conflict("The time to take it to the operator is over.", code="too_late")
        if row.order.state != OrderState.FULFILLED:
            raise Conflict(f"The order is {row.order.state}: there is nothing to decide.", code="not_open")
        _escalate(actor, row, ReturnStep.ESCALATED, ReturnSide.BUYER, words)
    return row


def withdraw_return(actor: Actor, request: ReturnRequest) -> ReturnRequest:
    """Take a request back, as the buyer, while it waits for a decision. Writes thread, audit, notices; one that is withdrawn is returned
    as it is. Raises Forbidden, NotFound, Conflict."""
    with transaction.atomic():
        row = _locked(actor, request)
        require_side(actor, row, ReturnSide.BUYER)
        if row.state == ReturnState.WITHDRAWN:
            return row
        _ensure(row, ReturnState.WITHDRAWN)
        row.state, row.ended_at = ReturnState.WITHDRAWN, now()
        row.save(update_fields=["state", "ended_at"])
        entry = write(actor, row, ReturnStep.WITHDRAWN, ReturnSide.BUYER)
        record(actor, row, "market:return:withdrawn")
        said = f"{row.order.buyer.name} no longer asks for money back for {row.order.listing.title}."
        tell(row, entry, said, with_operator=row.escalated_at is not None)
    return row


def escalate_late() -> int:
    """Hand what sellers have not decided in time to the operator; returns how many. Runs every few minutes. Safe to repeat and beside a
    decision: the locked row's state and deadline say what is left to do, each in a transaction of its own."""
    late = ReturnRequest.objects.filter(state=ReturnState.OPEN, decide_by__lt=now()).order_by("decide_by", "pk")
    return sum(_escalate_late(pk) for pk in list(late.values_list("pk", flat=True)[:_BATCH]))


def _escalate_late(request_id: int) -> bool:
    site = system("returns")
    with transaction.atomic():
        row = _locked(site, ReturnRequest.objects.get(pk=request_id))
        if row.state != ReturnState.OPEN or row.decide_by >= now():
            return False
        _escalate(site, row, ReturnStep.ESCALATED_LATE, ReturnSide.SITE, "")
    return True


def _escalate(actor: Actor, row: ReturnRequest, step: ReturnStep, side: ReturnSide, text: str) -> None:
    RETURNS.ensure(ReturnState(row.state), ReturnState.ESCALATED)
    row.state, row.escalated_at = ReturnState.ESCALATED, now()
    row.save(update_fields=["state", "escalated_at"])
    entry = write(actor, row, step, side, text=text)
    record(actor, row, "market:return:escalated", is_late=step == ReturnStep.ESCALATED_LATE)
    amount = Money(row.asked_minor, row.order.currency)
    why = "the seller has not decided in time" if step == ReturnStep.ESCALATED_LATE else "the seller declined"
    said = f"The operator decides on {amount} asked back for {row.order.listing.title}: {why}."
    tell(row, entry, said, with_operator=True)


def _check_may_ask(order: Order, amount_minor: int) -> None:
    if order.state != OrderState.FULFILLED:
        raise Conflict(f"An order that is {order.state} has nothing to give back.", code="not_open")
    earlier = list(ReturnRequest.objects.filter(order=order))
    if any(each.state in WAITING_RETURNS for each in earlier):
        raise Conflict("A request about this order waits for a decision already.", code="one_waits")
    if any(each.state in {ReturnState.DECLINED, ReturnState.REJECTED} for each in earlier):
        raise Conflict("Money back for this order was declined: that stands.", code="declined_before")
    if any(each.escalated_at is not None and each.state == ReturnState.ACCEPTED for each in earlier):
        raise Conflict("The operator has decided about this order: that stands.", code="decided_before")
    check_amount(order, amount_minor)


def _decider(actor: Actor, request: ReturnRequest) -> tuple[ReturnRequest, ReturnSide]:
    """The row, locked, and the side that decides it now: the seller, or the operator once it is theirs."""
    row = _locked(actor, request)
    is_operators = row.escalated_at is not None
    side = require_side(actor, row, ReturnSide.OPERATOR if is_operators else ReturnSide.SELLER)
    return row, side


def _locked(actor: Actor, request: ReturnRequest) -> ReturnRequest:
    """The order first, then the request: as everything that moves an order's money does."""
    seen = require_return(actor, request.uuid)
    order = locked_order(seen.order_id)
    row = ReturnRequest.objects.select_for_update(of=("self",), no_key=True).select_related("refund").get(pk=seen.pk)
    row.order = order
    return row


def _ensure(row: ReturnRequest, wanted: ReturnState) -> None:
    if wanted not in RETURNS.table[ReturnState(row.state)]:
        raise Conflict(f"This request is {row.state} already.", code="decided_already")


def _deadline() -> datetime:
    return now() + timedelta(days=settings.RETURN_DECISION_DAYS)


def _clean(text: str, missing: str = "") -> str:
    words = text.strip()
    if missing and not words:
        raise Invalid(missing, fields={"text": "needed"})
    if len(words) > TEXT_LIMIT or "\x00" in words:
        raise Invalid(f"Use at most {TEXT_LIMIT} characters.", fields={"text": f"at most {TEXT_LIMIT} characters"})
    return words
