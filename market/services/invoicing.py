"""Issuing documents: an invoice for what was paid, credit notes for what went back, a statement for each month's prepaid calls.

Numbers have no gap because the counter of a sender's year is moved in the transaction of the document. Its lock is the last one
that is taken, after money and audit, so nobody who holds it waits for anything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import QuerySet, Sum

from accounts.actors import system
from accounts.services import audit
from common.clock import now
from common.errors import Conflict
from common.ids import new_uuid
from common.money import Money
from market import invoices
from market.invoices import Bought, Line, Month
from market.models import (
    AccountKind,
    Entitlement,
    Invoice,
    InvoiceCounter,
    InvoiceLine,
    LedgerEntry,
    Order,
    TransactionKind,
)
from market.prices import unit_price_in_words
from market.services import ledger
from market.services.billing_details import party_of
from market.services.entitlements import pack_of
from market.states import DocumentKind, PlanKind
from market.tiers import tiers_of
from notices.services import notify

if TYPE_CHECKING:
    from accounts.models import Namespace

CLOSES_AFTER = timedelta(hours=1)
"""After the end of a month: calls of its last minutes have been counted and charged by then."""
_ACTOR = system("invoicing")


def issue_for(order: Order) -> Invoice | None:
    """The invoice of a paid order, in the caller's transaction, which holds the order's lock; None for one that cost nothing. A
    second call returns the first invoice. Wants listing, plan, buyer and seller joined."""
    if not order.total_minor:
        return None
    source = f"order:{order.uuid}"
    earlier = Invoice.objects.filter(source=source).first()
    if earlier is not None:
        return earlier
    day = (order.paid_at or now()).astimezone(UTC).date()
    draft = _Draft(
        DocumentKind.INVOICE, order.seller, order.buyer, order.currency, source, period=(day, day), order=order
    )
    return _issue(draft, invoices.order_lines(_bought(order)))


def credit_upto(order: Order, returned_minor: int, *, reason: str = "") -> Invoice | None:
    """A credit note for what of `returned_minor` (everything that has gone back of an order so far, in minor units) has none yet, in
    the caller's transaction, which holds the order's lock; None when there is nothing new. So a second call does nothing, and
    however many refunds there are, what is credited is what was returned and never more than was invoiced. An order that was
    paid before there were invoices gets its invoice first."""
    invoice = issue_for(order) if returned_minor else None
    if invoice is None:
        return None
    invoice = Invoice.objects.select_for_update(no_key=True).get(pk=invoice.pk)
    before = Invoice.objects.filter(corrects=invoice).aggregate(sum=Sum("total_minor"))["sum"] or 0
    amount = min(returned_minor, invoice.total_minor) - before
    if amount <= 0:
        return None
    line = invoices.credit_line(
        invoice.number,
        total_minor=invoice.total_minor,
        tax_minor=invoice.tax_minor,
        before_minor=before,
        amount_minor=amount,
    )
    draft = _Draft(
        DocumentKind.CREDIT_NOTE,
        order.seller,
        order.buyer,
        order.currency,
        f"credit:{order.uuid}:{before + amount}",
        period=(invoice.period_from, invoice.period_to),
        order=order,
        corrects=invoice,
        reason=reason[:300],
    )
    return _issue(draft, [line])


def close_period(payer: "Namespace", period: Month) -> list[Invoice]:
    """A usage statement for each seller and currency whose prepaid calls `payer` used in a month that is over: the calls that the
    ledger charged in it, by order and tier, with what they cost; the lines sum to what the ledger moved. They were paid before,
    so nothing is due. One per payer, seller, currency and month, for ever: a second call returns the first ones. Raises Conflict
    while the month is not over."""
    if now() < period.until + CLOSES_AFTER:
        raise Conflict(f"{period} is not over.", code="period_open")
    charged: dict[tuple[int, str], list[LedgerEntry]] = {}
    charges = _charges(period).filter(transaction__order__buyer=payer).order_by("transaction__order_id", "pk")
    for entry in charges.select_related("transaction__order__seller", "transaction__order__listing"):
        order = _order_of(entry)
        charged.setdefault((order.seller_id, order.currency), []).append(entry)
    return [_state_usage(payer, period, charged[key]) for key in sorted(charged)]


def close_month(period: Month | None = None) -> int:
    """`close_period` for every payer; by default for the last month that is over. Returns how many statements there are for it. Run
    again at will."""
    period = period or Month.of(now() - CLOSES_AFTER).previous
    charged = Order.objects.filter(pk__in=_charges(period).values("transaction__order"))
    payers = {order.buyer_id: order.buyer for order in charged.select_related("buyer").iterator()}
    return sum(len(close_period(payers[pk], period)) for pk in sorted(payers))


@dataclass(frozen=True)
class _Draft:
    """Everything of a document but its number and its lines."""

    kind: DocumentKind
    issuer: "Namespace"
    recipient: "Namespace"
    currency: str
    source: str
    period: tuple[date, date]
    order: Order | None = None
    corrects: Invoice | None = None
    reason: str = ""


def _issue(draft: _Draft, lines: Sequence[Line]) -> Invoice:
    """Number and write a document, in the caller's transaction."""
    uuid, total = new_uuid(), sum(line.total_minor for line in lines)
    # before the counter: whoever holds the counter's lock waits for nothing more
    audit.record(
        _ACTOR,
        "market:invoice:credited" if draft.corrects else "market:invoice:issued",
        "invoice",
        uuid,
        namespace_id=draft.issuer.pk,
        kind=draft.kind.value,
        recipient=draft.recipient.name,
        total=str(Money(total, draft.currency)),
    )
    parties = party_of(draft.issuer), party_of(draft.recipient)
    counter, issued_at = _next(draft.issuer), now()
    invoice = Invoice.objects.create(
        uuid=uuid,
        kind=draft.kind,
        issuer=draft.issuer,
        recipient=draft.recipient,
        year=counter.year,
        sequence=counter.last,
        number=invoices.number_of(draft.issuer.name, counter.year, counter.last),
        source=draft.source,
        order=draft.order,
        corrects=draft.corrects,
        reason=draft.reason,
        currency=draft.currency,
        net_minor=sum(line.net_minor for line in lines),
        tax_minor=sum(line.tax_minor for line in lines),
        total_minor=total,
        line_count=len(lines),
        issued_at=issued_at,
        period_from=draft.period[0],
        period_to=draft.period[1],
        issuer_details=parties[0].as_json(),
        recipient_details=parties[1].as_json(),
    )
    InvoiceLine.objects.bulk_create(
        InvoiceLine(
            invoice=invoice,
            position=position,
            order_id=line.order_id or (draft.order.pk if draft.order else None),
            description=line.description[:300],
            quantity=line.quantity,
            unit=line.unit,
            unit_price=line.unit_price[:60],
            net_minor=line.net_minor,
            tax_minor=line.tax_minor,
            total_minor=line.total_minor,
        )
        for position, line in enumerate(lines, 1)
    )
    return invoice


def _next(issuer: "Namespace") -> InvoiceCounter:
    """The counter of the sender's year, moved by one and locked until the caller's transaction ends."""
    year = now().astimezone(UTC).year
    InvoiceCounter.objects.bulk_create([InvoiceCounter(issuer=issuer, year=year)], ignore_conflicts=True)
    counter = InvoiceCounter.objects.select_for_update(no_key=True).get(issuer=issuer, year=year)
    counter.last += 1
    counter.save(update_fields=["last"])
    return counter


def _bought(order: Order) -> Bought:
    plan = order.plan
    is_calls = plan.kind == PlanKind.PAY_PER_USE
    return Bought(
        title=f"{order.listing.title}: {plan.name}",
        currency=order.currency,
        quantity=order.quantity,
        total_minor=order.total_minor,
        discount_minor=order.discount_minor,
        coupon=order.coupon_code,
        # what a provider says of tax keeps nobody from getting what was paid
        tax_minor=min(max(order.tax_minor or 0, 0), order.total_minor),
        unit=plan.unit,
        unit_size=plan.unit_size if is_calls else 0,
        price_minor=plan.price_minor,
        tiers=tiers_of(plan) if is_calls else (),
    )


def _state_usage(payer: "Namespace", period: Month, charges: list[LedgerEntry]) -> Invoice:
    """The statement over `charges`: of one seller in one currency, those of an order together, oldest first."""
    first = _order_of(charges[0])
    source = f"usage:{payer.uuid}:{first.seller.uuid}:{first.currency}:{period}"
    with transaction.atomic():
        # two that close the same month wait for each other here
        ledger.lock([ledger.wallet(payer, first.currency)])
        earlier = Invoice.objects.filter(source=source).first()
        if earlier is not None:
            return earlier
        lines = [
            line
            for _, entries in groupby(charges, key=lambda each: _order_of(each).pk)
            for line in _usage(list(entries))
        ]
        days = period.first_day, period.last_day
        draft = _Draft(DocumentKind.USAGE_STATEMENT, first.seller, payer, first.currency, source, period=days)
        statement = _issue(draft, lines)
        notify(
            payer.pk,
            "market:usage:stated",
            f"Calls of {first.seller.name} that you used in {period}: {Money(statement.total_minor, first.currency)}, "
            "paid before.",
            url=f"/invoices/{statement.uuid}",
            key=f"invoice:{statement.uuid}",
        )
    return statement


def _usage(charges: list[LedgerEntry]) -> list[Line]:
    """The lines of one order. What the ledger moved is what counts: when the prices of now do not come to it (the price was lowered
    meanwhile), one line says it for all calls."""
    order = _order_of(charges[0])
    moved = -sum(charge.amount_minor for charge in charges)
    calls = [found for charge in charges if (found := invoices.use_of(charge.transaction.memo))]
    if calls:
        entitlement = Entitlement.objects.select_related("order__plan").get(order=order)
        lines = invoices.usage_lines(
            order.listing.title,
            order.plan.unit,
            pack_of(entitlement),
            used_before=calls[0][0] - 1,
            used=calls[-1][1],
            say=lambda price: unit_price_in_words(order.plan.unit, price, order.currency),
        )
        if sum(line.total_minor for line in lines) == moved:
            return [replace(line, order_id=order.pk) for line in lines]
    first, last = (calls[0][0], calls[-1][1]) if calls else (1, 1)
    unit = invoices.counted_in(order.plan.unit)
    words = f"{order.listing.title}: {unit} {first:,} to {last:,}" if calls else f"{order.listing.title}: use"
    return [Line(words, last - first + 1, unit if calls else "", "", moved, order_id=order.pk)]


def _order_of(entry: LedgerEntry) -> Order:
    order = entry.transaction.order
    assert order is not None, "calls are charged to an order"
    return order


def _charges(period: Month) -> QuerySet[LedgerEntry]:
    """What left held accounts for calls in a month."""
    return LedgerEntry.objects.filter(
        account__kind=AccountKind.HELD,
        transaction__kind=TransactionKind.USAGE,
        transaction__at__gte=period.since,
        transaction__at__lt=period.until,
    )
