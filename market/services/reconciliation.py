"""Comparing a provider's lists with what we know, and repairing what events did not bring: lost ones, a receiver that was down,
a task that gave up, money that others returned."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db.models import Exists, OuterRef, Q

from backends.contracts.payments import Capability, Change, Listing, Topic
from backends.errors import BackendError
from common.clock import now
from common.errors import DomainError, Unavailable
from market.models import Dispute, LedgerTransaction, Order, ProviderAccount, ProviderEvent, ReconciliationMark
from market.services import provider_accounts
from market.services.payment_backend import asked, backend, is_in_ledger, provider_name
from market.services.payments import cancel_lapsed, look_at_payment, order_of
from market.services.provider_events import follow, store_event, take_in_event
from market.services.returns import owed_minor, return_payment
from market.states import DisputeStanding, OrderState

_log = structlog.get_logger("market.reconciliation")

OVERLAP = timedelta(hours=1)
"""Lists are read again from a little before the last mark: providers date an event by when it happened, and list it later."""
_FIRST = timedelta(days=30)
"""How far back the first run looks; Stripe lists events for 30 days."""
_FEE_PATIENCE = timedelta(days=7)
_KEPT = timedelta(days=90)
_PAGES = 10_000


@dataclass
class Reconciled:
    """What a run found. `repaired`: orders, disputes and refunds that it brought in line. `problems`: sentences, at most 100."""

    backend: str
    events: int = 0
    new_events: int = 0
    looked_at: int = 0
    repaired: int = 0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "problems": self.problems[:100]}


def reconcile(*, since: datetime | None = None) -> list[Reconciled]:
    """Compare the provider's events, payments, refunds and disputes since `since` (default: the last run's mark, with an overlap) with
    ours, page by page, and repair what differs; then look at every order that waits. For the provider in use and for every other
    that still has waiting orders. Moves the mark only when everything could be read. Safe to repeat, beside itself and beside
    events: it takes the same steps as they do. Raises Unavailable when a provider does not answer; what was repaired stays."""
    waiting = Order.objects.filter(_waits()).values_list("payment_backend", flat=True).distinct()
    names = {provider_name(), *waiting} - {""}
    return [_reconcile(name, since) for name in sorted(names) if not is_in_ledger(name)]


def _reconcile(name: str, since: datetime | None) -> Reconciled:
    started, found = now(), Reconciled(name)
    mark = ReconciliationMark.objects.filter(backend=name).first()
    start = since or (mark.upto - OVERLAP if mark else started - _FIRST)
    if Capability.EVENTS in backend(name).capabilities:
        _read_events(name, start, found)
        _read_lists(name, start, found)
    _look_at_waiting(name, found)
    ReconciliationMark.objects.update_or_create(
        backend=name, defaults={"upto": started, "finished_at": now(), "repaired": found.repaired}
    )
    ProviderEvent.objects.filter(backend=name, processed_at__lt=started - _KEPT).delete()
    if found.new_events or found.repaired or found.problems:
        _log.warning("payments_reconciled", **found.as_json())
    return found


def _read_events(name: str, since: datetime, found: Reconciled) -> None:
    for change in _listed(name, Listing.EVENTS, since):
        found.events += 1
        if not ProviderEvent.objects.filter(backend=name, event_id=change.event_id).exists():
            found.new_events += 1
            store_event(name, change)
    for pk in list(ProviderEvent.objects.filter(backend=name, processed_at__isnull=True).values_list("pk", flat=True)):
        event = ProviderEvent.objects.get(pk=pk)
        before = _standing(order_of(name, event.reference, event.key))
        if _try(found, take_in_event, pk):
            found.repaired += before != _standing(order_of(name, event.reference, event.key))


def _read_lists(name: str, since: datetime, found: Reconciled) -> None:
    """Objects themselves, for what happened longer ago than events are listed: only those that do not look alike on both sides."""
    for change in _listed(name, Listing.PAYMENTS, since):
        order = order_of(name, change.reference, change.key)
        if order is not None and (not order.payment_reference or order.state == OrderState.CANCELLED):
            _look(order, found, change.reference)
    for change in _listed(name, Listing.REFUNDS, since):
        order = order_of(name, "", change.key)
        if order is not None and order.state in {OrderState.FULFILLED, OrderState.REFUNDED}:
            _look(order, found)
    for change in _listed(name, Listing.DISPUTES, since):
        _look_at_dispute(name, change.reference, found)


def _look_at_waiting(name: str, found: Reconciled) -> None:
    """What has to change some day, whenever it began."""
    orders = Order.objects.filter(payment_backend=name).order_by("pk")
    fee = LedgerTransaction.objects.filter(order=OuterRef("pk"), kind="provider_fee", source="order")
    for order in orders.filter(state=OrderState.PLACED):
        _look(order, found)
    recent = orders.filter(state=OrderState.FULFILLED, paid_at__gte=now() - _FEE_PATIENCE)
    for order in recent.filter(~Exists(fee)):
        _look(order, found)
    for order in orders.filter(_waits() & ~Q(state=OrderState.PLACED)):
        if owed_minor(order) and _try(found, return_payment, order.pk):
            found.repaired += Order.objects.filter(pk=order.pk, returned_at__isnull=False).exists()
    for reference in Dispute.objects.filter(backend=name, state=DisputeStanding.OPEN).values_list(
        "reference", flat=True
    ):
        _look_at_dispute(name, reference, found)
    unready = ProviderAccount.objects.filter(backend=name, is_ready=False, role=provider_accounts.SELLER)
    for reference in unready.values_list("reference", flat=True):
        _try(found, provider_accounts.look_at_account, name, reference)


def _waits() -> Q:
    """Orders whose provider has something to do, or has done it unseen. A cancelled one was paid only if it has a return to come, which
    `look_at_payment` finds."""
    owed = Q(refunded_minor__gt=0, returned_at__isnull=True) & ~Q(payment_reference__startswith="credits:")
    return Q(state=OrderState.PLACED) | (owed & ~Q(payment_reference=""))


def _look(order: Order, found: Reconciled, told_reference: str = "") -> None:
    before = _standing(order)
    found.looked_at += 1
    deed = look_at_payment if told_reference else cancel_lapsed
    if _try(found, deed, order.pk, **({"told_reference": told_reference} if told_reference else {})):
        found.repaired += before != _standing(Order.objects.get(pk=order.pk))


def _look_at_dispute(name: str, reference: str, found: Reconciled) -> None:
    known = Dispute.objects.filter(backend=name, reference=reference)
    before = known.values_list("state", flat=True).first()
    if before in {DisputeStanding.WON, DisputeStanding.LOST}:
        return
    found.looked_at += 1
    if _try(found, follow, name, Topic.DISPUTE, reference, ""):
        found.repaired += before != known.values_list("state", flat=True).first()


def _listed(name: str, listing: Listing, since: datetime) -> Iterator[Change]:
    cursor = ""
    for _ in range(_PAGES):
        page = asked(backend(name).changes, listing, since=int(since.timestamp()), cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if not cursor:
            return


def _try(found: Reconciled, deed: object, *arguments: object, **named: object) -> bool:
    """One thing that cannot be repaired is told of, and does not hold up the others; a provider that is away ends the run."""
    try:
        deed(*arguments, **named)  # type: ignore[operator]  # each caller names a function of ours
    except Unavailable:
        raise
    except DomainError as error:
        found.problems.append(error.message)
        return False
    return True


def _standing(order: Order | None) -> tuple[object, ...]:
    return () if order is None else (order.state, order.refunded_minor, order.returned_at is None)


@dataclass(frozen=True)
class Standing:
    is_well: bool
    sentence: str


def provider_standing() -> Standing:
    """How it stands with the payment provider, for the operator: asks it one small question, changes nothing."""
    name = provider_name()
    try:
        if is_in_ledger(name):
            return Standing(is_well=True, sentence="Payments come out of wallets; no payment provider is configured.")
        asked(backend(name).changes, Listing.PAYMENTS, since=int(now().timestamp()))
    except (DomainError, BackendError) as error:
        cause = error.__cause__ or error
        return Standing(is_well=False, sentence=f"The payment provider {name} cannot be used: {cause}")
    waiting = ProviderEvent.objects.filter(
        backend=name, processed_at__isnull=True, received_at__lt=now() - OVERLAP
    ).count()
    if waiting:
        return Standing(
            is_well=False,
            sentence=f"{waiting} events of {name} could not be taken in: their reasons are in the administration pages.",
        )
    mark = ReconciliationMark.objects.filter(backend=name).first()
    if mark is None or mark.finished_at < now() - OVERLAP:
        return Standing(
            is_well=False,
            sentence=f"{name} answers, but nothing was compared with it in the last hour: is a worker running?",
        )
    return Standing(is_well=True, sentence=f"{name} answers, and everything that it reported is taken in.")
