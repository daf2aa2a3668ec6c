"""Charging calls that were made: from what was put aside for them to seller, owners upstream and platform."""

from django.db import transaction

from common.clock import now
from common.errors import DomainError
from market import rating
from market.invoices import use_memo
from market.models import Entitlement, TransactionKind
from market.services import ledger, royalties
from market.services.entitlements import pack_of
from market.services.ledger import Leg
from market.states import PlanKind
from metering.queries import used_of_sources

_BATCH = 500
_PREPAID = PlanKind.PAY_PER_USE


def bill_usage() -> int:
    """Charge everything that was used and not yet charged; returns how many entitlements had something. Looks at prepaid ones that
    are not used up, 500 at a time; each is charged in a transaction of its own. Safe to run twice, late or beside itself:
    see `settle_entitlement`."""
    count, after = 0, 0
    while True:
        waiting = Entitlement.objects.filter(settled_up_at__isnull=True, pk__gt=after, order__plan__kind=_PREPAID)
        open_ones = waiting.order_by("pk")[:_BATCH]
        batch = {entitlement.source: entitlement for entitlement in open_ones}
        if not batch:
            return count
        for source, used in used_of_sources(batch).items():
            if used > batch[source].settled_units:
                settle_entitlement(batch[source].pk)
                count += 1
        after = max(entitlement.pk for entitlement in batch.values())


def settle_entitlement(entitlement_id: int) -> int:
    """Charge the calls of one prepaid entitlement above its watermark; returns minor units. Writes one ledger transaction, keyed
    by order and watermark, and moves the watermark, together and under the entitlement's lock: no call is charged twice and
    none is left out. A second call finds nothing to do."""
    with transaction.atomic():
        rows = Entitlement.objects.select_for_update(of=("self",), no_key=True).select_related(
            "order__buyer", "order__seller", "order__plan"
        )
        entitlement = rows.get(pk=entitlement_id)
        return settle_upto(entitlement, used_of_sources([entitlement.source])[entitlement.source])


def settle_upto(entitlement: Entitlement, used_units: int) -> int:
    """`settle_entitlement` for a caller that holds the lock and knows how many calls were made. Calls beyond what was bought are
    not charged: the budget is there to keep them from being served. Nothing is charged while the payment is disputed: the money
    is not there, and when it comes back the calls are charged from the same watermark."""
    pack, order = pack_of(entitlement), entitlement.order
    used = min(used_units, pack.granted_units)
    if entitlement.settled_up_at is not None or entitlement.frozen_at is not None or used <= entitlement.settled_units:
        return 0
    due = rating.settle(pack, order.fee_percent, settled_units=entitlement.settled_units, used_units=used)
    if due.charged_minor:
        ledger.post(
            TransactionKind.USAGE,
            "usage",
            f"{order.uuid}:{entitlement.settled_units}",
            [
                Leg(ledger.held(order.buyer, order.currency, order.uuid), -due.charged_minor),
                *royalties.shared(order, due.seller_before_minor, due.seller_before_minor + due.seller_minor),
                Leg(ledger.fees(order.currency), due.fee_minor),
            ],
            order=order,
            memo=use_memo(entitlement.order.plan.unit, entitlement.settled_units + 1, used),
        )
    entitlement.settled_units = used
    if used == pack.granted_units:
        entitlement.settled_up_at = now()
    entitlement.save(update_fields=["settled_units", "settled_up_at"])
    return due.charged_minor


class LedgerUnsound(DomainError):
    """The ledger does not add up: nothing an actor did can cause it, and an operator has to look."""

    status = 500
    default_code = "ledger_unsound"


def check_ledger() -> None:
    """Recount the ledger. Raises LedgerUnsound with the first faults."""
    report = ledger.verify_ledger()
    if not report.is_sound:
        raise LedgerUnsound("; ".join(map(str, report.faults[:5])))
