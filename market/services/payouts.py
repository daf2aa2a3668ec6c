"""Paying sellers: out of their earnings once, to where they said, or back into their earnings."""

from typing import Any

import structlog
from django.db import transaction

from accounts.actors import Actor, system
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.money import Money
from market.models import AccountKind, LedgerTransaction, Payout, PayoutAccount, TransactionKind
from market.payable import payable, present_run
from market.services import ledger, market_events, payout_transfers
from market.services.ledger import AccountRef, Leg
from market.services.payout_accounts import describe, destination_of, hold_on
from market.states import PAYOUTS, PayoutMethod, PayoutState
from notices.services import notify
from work.door import enqueue
from work.errors import LeaseLost

log = structlog.get_logger(__name__)

_BATCH = 500
_SYSTEM = system("payouts")


def run_payouts(run: str | None = None) -> int:
    """Pay every seller what is due (see `market.payable`), each in a transaction of its own; returns to how many payouts there
    are for this run. `run` names it (1 to 80 characters); by default
    after the period, so a run that was killed or started twice goes on where it was and pays nobody twice. A seller who can't be
    paid for a reason that nobody expected keeps nobody else waiting: the others are paid, then the first such error is raised."""
    run, after, count = run or present_run(), 0, 0
    surprises: list[Exception] = []
    while True:
        accounts = PayoutAccount.objects.filter(retired_at__isnull=True, pk__gt=after).order_by("pk")
        batch = list(accounts.values_list("pk", flat=True)[:_BATCH])
        if not batch:
            break
        for pk in batch:
            try:
                count += pay_out(pk, run=run) is not None
            except LeaseLost:
                raise
            except Exception as error:
                log.exception("a seller was not paid", payout_account=pk)
                surprises.append(error)
        after = batch[-1]
    if surprises:
        raise surprises[0]
    return count


def pay_out(account_id: int, *, run: str) -> Payout | None:
    """Take what is due to the owner of a payout account out of the earnings and set it on its way, in one transaction with ledger,
    audit and notice: to the wallet at once, to the operator's list, or to a task that asks the provider. None when nothing is
    due: too recent, below the minimum, below zero, held. Keyed by seller, currency and `run` for ever: a second call returns
    the first payout."""
    with transaction.atomic():
        rows = PayoutAccount.objects.select_for_update(of=("self",), no_key=True).select_related("namespace")
        account = rows.filter(pk=account_id, retired_at__isnull=True).first()
        if account is None or hold_on(account.namespace_id) is not None:
            return None
        namespace, currency = account.namespace, account.currency
        earlier = Payout.objects.filter(namespace=namespace, currency=currency, key=run).first()
        if earlier is not None:
            return earlier
        if not payable(namespace, currency).due_minor:
            return None
        ledger.lock([ledger.earnings(namespace, currency), _on_the_way(currency), _target(account)])
        amount = payable(namespace, currency).due_minor
        if not amount:
            return None
        payout = Payout.objects.create(
            namespace=namespace, account=account, currency=currency, amount_minor=amount, key=run
        )
        _post(payout, "reserved", ledger.earnings(namespace, currency), _on_the_way(currency))
        _record(_SYSTEM, payout, "market:payout:made", method=account.method)
        if account.method == PayoutMethod.WALLET:
            _settle(_SYSTEM, payout)
        elif account.method == PayoutMethod.PROVIDER:
            enqueue("market.send_payout", payout.pk, key=f"payout:{payout.uuid}")
    return payout


def send_later() -> None:
    """Have tasks ask the provider for each transfer that has no answer yet. Harmless twice: one live task for each payout."""
    unsent = Payout.objects.filter(
        state__in=[PayoutState.WAITING, PayoutState.SENDING], account__method=PayoutMethod.PROVIDER
    )
    for pk, uuid in unsent.values_list("pk", "uuid").iterator():
        enqueue("market.send_payout", pk, key=f"payout:{uuid}")


def send_payout(payout_id: int) -> Payout:
    """Ask the provider for the transfer of a payout and note what it answers. Safe to repeat and to kill anywhere: the payout's
    uuid is the provider's key, the state says what is left to do. A refusal puts the money back into the earnings. Outside of
    any transaction. Raises Unavailable when the provider does not answer."""
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout.state == PayoutState.WAITING:
            if payout.account.method != PayoutMethod.PROVIDER or hold_on(payout.namespace_id) is not None:
                return payout
            _move(payout, PayoutState.SENDING)
        if payout.state != PayoutState.SENDING:
            return payout
    try:
        sent = payout_transfers.transfer(
            key=str(payout.uuid),
            account=destination_of(payout.account),
            amount_minor=payout.amount_minor,
            currency=payout.currency,
        )
    except payout_transfers.Refused as refusal:
        return _close(_SYSTEM, payout_id, failure=f"The payment provider refused: {refusal}")
    return _close(_SYSTEM, payout_id, reference=sent.reference)


def mark_paid(actor: Actor, payout: Payout, *, reference: str) -> Payout:
    """Staff have paid a waiting payout elsewhere; `reference` is what their bank calls it. The same again changes nothing. Raises
    Forbidden, Invalid, Conflict when it is not theirs to pay, was paid under another reference, or is held."""
    _check_staff(actor)
    reference = reference.strip()
    if not 1 <= len(reference) <= 120:
        raise Invalid(
            "Write the reference of the transfer, at most 120 characters.", fields={"reference": "1 to 120 characters"}
        )
    with transaction.atomic():
        row = _locked(payout.pk)
        if row.account.method != PayoutMethod.OUTSIDE:
            raise Conflict("Only payouts to accounts elsewhere are paid by hand.", code="not_by_hand")
        if row.state == PayoutState.PAID and row.reference == reference:
            return row
        PAYOUTS.ensure(PayoutState(row.state), PayoutState.PAID)
        hold = hold_on(row.namespace_id)
        if hold is not None:
            raise Conflict(f"Payouts to {row.namespace.name} are held: {hold.reason}", code="held")
        return _settle(actor, row, reference=reference)


def mark_failed(actor: Actor, payout: Payout, *, reason: str) -> Payout:
    """Staff say that a payout will not arrive, or came back: reversing transactions put the money into the earnings again. The same
    again changes nothing. Raises Forbidden, Invalid, Conflict for one that is in the wallet or with the provider."""
    _check_staff(actor)
    reason = reason.strip()
    if not 1 <= len(reason) <= 300:
        raise Invalid(
            "Say why, in at most 300 characters: the seller reads it.", fields={"reason": "1 to 300 characters"}
        )
    with transaction.atomic():
        row = _locked(payout.pk)
        if row.state == PayoutState.FAILED and row.failure == reason:
            return row
        if row.account.method == PayoutMethod.WALLET:
            raise Conflict("This is in the seller's wallet already.", code="in_wallet")
        if row.state == PayoutState.SENDING:
            raise Conflict("The provider has been asked for this transfer: wait for its answer.", code="sending")
        return _return(actor, row, reason)


def _close(actor: Actor, payout_id: int, *, reference: str = "", failure: str = "") -> Payout:
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout.state != PayoutState.SENDING:
            return payout
        return _return(actor, payout, failure) if failure else _settle(actor, payout, reference=reference)


def _settle(actor: Actor, payout: Payout, *, reference: str = "") -> Payout:
    """It has arrived: out of what is on the way, in the caller's transaction."""
    _post(payout, "paid", _on_the_way(payout.currency), _target(payout.account))
    payout.reference, payout.paid_at = reference[:120], now()
    _move(payout, PayoutState.PAID, "reference", "paid_at")
    _record(actor, payout, "market:payout:paid", reference=payout.reference)
    _tell(payout, f"{_amount(payout)} of earnings were paid {describe(payout.account)}.")
    market_events.tell_of_payout(payout)
    return payout


def _return(actor: Actor, payout: Payout, reason: str) -> Payout:
    """It will not arrive: what was posted is reversed, newest first, in the caller's transaction."""
    ledger.lock(
        [ledger.earnings(payout.namespace, payout.currency), _on_the_way(payout.currency), _target(payout.account)]
    )
    for step in ("paid", "reserved") if payout.state == PayoutState.PAID else ("reserved",):
        original = LedgerTransaction.objects.get(source="payout", source_id=f"{payout.uuid}:{step}")
        ledger.reverse(original, "payout", f"{payout.uuid}:{step}-reversed", memo=describe(payout.account))
    payout.failure, payout.failed_at = reason[:300], now()
    _move(payout, PayoutState.FAILED, "failure", "failed_at")
    _record(actor, payout, "market:payout:failed", reason=payout.failure)
    _tell(payout, f"A payout of {_amount(payout)} did not arrive; the money is in the earnings again. {payout.failure}")
    return payout


def _post(payout: Payout, step: str, giver: AccountRef, taker: AccountRef) -> None:
    legs = [Leg(giver, -payout.amount_minor), Leg(taker, payout.amount_minor)]
    memo = describe(payout.account)
    ledger.post(TransactionKind.PAYOUT, "payout", f"{payout.uuid}:{step}", legs, memo=memo)


def _on_the_way(currency: str) -> AccountRef:
    return ledger.platform(AccountKind.PAYOUTS, currency)


def _target(account: PayoutAccount) -> AccountRef:
    if account.method == PayoutMethod.WALLET:
        return ledger.wallet(account.namespace, account.currency)
    if account.method == PayoutMethod.PROVIDER:
        return ledger.provider(account.currency)
    return ledger.platform(AccountKind.OUTSIDE, account.currency)


def _move(payout: Payout, state: PayoutState, *fields: str) -> None:
    PAYOUTS.ensure(PayoutState(payout.state), state)
    payout.state = state
    payout.save(update_fields=["state", *fields])


def _locked(payout_id: int) -> Payout:
    rows = Payout.objects.select_for_update(of=("self",), no_key=True).select_related("account__namespace", "namespace")
    return rows.get(pk=payout_id)


def _amount(payout: Payout) -> Money:
    return Money(payout.amount_minor, payout.currency)


def _record(actor: Actor, payout: Payout, tag: str, **detail: Any) -> None:
    audit.record(
        actor, tag, "payout", payout.uuid, namespace_id=payout.namespace_id, amount=str(_amount(payout)), **detail
    )


def _tell(payout: Payout, text: str) -> None:
    notify(
        payout.namespace_id,
        f"market:payout:{payout.state}",
        text,
        url=f"/payouts/{payout.uuid}",
        key=f"payout:{payout.uuid}:{payout.state}",
    )


def _check_staff(actor: Actor) -> None:
    if not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff may settle payouts.")
