"""What is seen of documents once inside."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from common.errors import Invalid
from common.money import Money
from common.pagination import Page, keyset_page
from market.invoices import TITLES, Party
from market.models import BillingDetails, Invoice, InvoiceLine, Order
from market.states import DocumentKind

if TYPE_CHECKING:
    from accounts.models import Namespace

SIDES = ("received", "issued")
YEARS = range(1970, 9999)


@dataclass(frozen=True)
class Document:
    """One document with its lines, as it is drawn on a page and in a file."""

    row: Invoice
    lines: list[InvoiceLine]

    @property
    def title(self) -> str:
        return TITLES[DocumentKind(self.row.kind)]

    @property
    def issuer(self) -> Party:
        return Party.of_json(self.row.issuer_details)

    @property
    def recipient(self) -> Party:
        return Party.of_json(self.row.recipient_details)

    @property
    def issued_on(self) -> date:
        return self.row.issued_at.astimezone(UTC).date()

    @property
    def is_credit(self) -> bool:
        return self.row.kind == DocumentKind.CREDIT_NOTE

    def money(self, amount_minor: int) -> Money:
        return Money(amount_minor, self.row.currency)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What stands in the head: label and value."""
        row = self.row
        period = row.period_from.isoformat()
        if row.period_to != row.period_from:
            period = f"{period} to {row.period_to.isoformat()}"
        facts = [("Number", row.number), ("Date", self.issued_on.isoformat()), ("Period", period)]
        if row.corrects:
            facts.append(("Corrects", row.corrects.number))
        if row.order:
            facts.append(("Order", str(row.order.uuid)))
        if self.recipient.purchase_order:
            facts.append(("Your reference", self.recipient.purchase_order))
        return facts

    @property
    def sums(self) -> list[tuple[str, int]]:
        """Label and minor units, the total last."""
        row = self.row
        parts = [("Net", row.net_minor), ("Tax", row.tax_minor)] if row.tax_minor else []
        if row.kind == DocumentKind.USAGE_STATEMENT:
            return [*parts, ("Used", row.total_minor), ("Paid before", -row.total_minor), ("To be paid", 0)]
        return [*parts, ("Credited" if self.is_credit else "Total", row.total_minor)]

    @property
    def closing(self) -> str:
        """The sentence below the sum."""
        if self.row.kind == DocumentKind.USAGE_STATEMENT:
            return "These calls were paid and invoiced when they were bought. Nothing is to be paid."
        if self.is_credit:
            reason = f" Reason: {self.row.reason}" if self.row.reason else ""
            return f"The amount goes back to where it was paid from.{reason}"
        return f"Paid in full on {self.issued_on.isoformat()}. Nothing is to be paid."


def document_of(invoice: Invoice) -> Document:
    """Wants order and corrected invoice joined. One query."""
    return Document(invoice, list(invoice.lines.select_related("order").order_by("position")))


@dataclass(frozen=True)
class InvoiceFilter:
    """What a list of documents is narrowed by; empty: not."""

    side: str = "received"
    year: int | None = None
    kind: str = ""

    @classmethod
    def parse(cls, *, side: str = "", year: str = "", kind: str = "") -> "InvoiceFilter":
        """Raises Invalid with a sentence."""
        side = side or SIDES[0]
        if side not in SIDES:
            raise Invalid("side is received or issued.", fields={"side": "unknown"})
        if kind and kind not in set(DocumentKind):
            raise Invalid(f"kind is one of {', '.join(DocumentKind)}.", fields={"kind": "unknown"})
        if year and not (year.isascii() and year.isdigit() and len(year) == 4 and int(year) in YEARS):
            raise Invalid("Write the year as 2026.", fields={"year": "not a year"})
        return cls(side, int(year) if year else None, kind)


def invoices_of(
    namespace: "Namespace", wanted: InvoiceFilter, *, cursor: str | None = None, limit: int = 30
) -> Page[Invoice]:
    """Documents that a namespace received or issued, newest first; sender, receiver, order with listing and corrected invoice joined."""
    found = Invoice.objects.select_related("issuer", "recipient", "order__listing", "corrects")
    found = found.filter(recipient=namespace) if wanted.side == "received" else found.filter(issuer=namespace)
    return keyset_page(narrowed(found, wanted), order=("-issued_at", "-pk"), cursor=cursor, limit=limit)


def narrowed(found: "QuerySet[Invoice]", wanted: InvoiceFilter) -> "QuerySet[Invoice]":
    """Of the year and kind that are wanted."""
    if wanted.kind:
        found = found.filter(kind=wanted.kind)
    if wanted.year:
        start = datetime(wanted.year, 1, 1, tzinfo=UTC)
        found = found.filter(issued_at__gte=start, issued_at__lt=start.replace(year=wanted.year + 1))
    return found


def years_of(namespace: "Namespace", side: str) -> list[int]:
    """Years in which a namespace received or issued documents, newest first."""
    owner = {"recipient": namespace} if side == "received" else {"issuer": namespace}
    return list(Invoice.objects.filter(**owner).order_by("-year").values_list("year", flat=True).distinct())


def documents_about(order: Order) -> list[Invoice]:
    """The documents of an order, oldest first."""
    return list(Invoice.objects.filter(order=order).order_by("pk"))


def credit_notes_of(invoice: Invoice) -> list[Invoice]:
    """What was taken back of it, oldest first."""
    return list(Invoice.objects.filter(corrects=invoice).order_by("pk"))


def billing_details_of(namespace: "Namespace") -> BillingDetails:
    """What is written on documents of a namespace; an unsaved, empty row before anything was said."""
    return BillingDetails.objects.filter(namespace=namespace).first() or BillingDetails(namespace=namespace)
