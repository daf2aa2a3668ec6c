"""What the pages of invoices show: the list, one document, the billing details."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.countries import COUNTRIES
from common.money import Money
from market import invoice_queries
from market.invoice_queries import SIDES, Document, InvoiceFilter
from market.invoices import TITLES, Party
from market.services.billing_details import FIELDS
from market.states import DocumentKind
from web.exports import PAGE, Cell, amount, every
from web.links import invoice_url, order_url, with_query
from web.market.document_links import ACTIONS, Link
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Invoice

HEADINGS = [
    "date", "number", "kind", "seller", "seller's name", "buyer", "buyer's name", "buyer's tax number", "net", "tax", "total",
    "currency", "period from", "period to", "corrects", "order", "your reference",
]  # fmt: skip
_LABELS = {"received": "Received", "issued": "Issued"}


class FilterForm(forms.Form):
    """Which documents of the list."""

    year = forms.ChoiceField(label="Year", required=False)
    kind = forms.ChoiceField(
        label="Kind",
        required=False,
        choices=[("", "All kinds"), *((kind.value, TITLES[kind]) for kind in DocumentKind)],
    )

    def __init__(self, years: list[int], wanted: InvoiceFilter) -> None:
        super().__init__(initial={"year": str(wanted.year or ""), "kind": wanted.kind})
        offered = sorted({*years, *([wanted.year] if wanted.year else [])}, reverse=True)
        self.fields["year"].choices = [("", "All years"), *((str(year), str(year)) for year in offered)]  # type: ignore[attr-defined]


class BillingDetailsForm(forms.Form):
    legal_name = forms.CharField(
        max_length=200, required=False, label="Legal name", help_text="Empty: the name of the account."
    )
    address = forms.CharField(
        max_length=500,
        required=False,
        label="Address",
        help_text="Up to six lines, without the country.",
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "street-address"}),
    )
    country = forms.ChoiceField(
        required=False,
        label="Country",
        choices=[("", "–"), *sorted(COUNTRIES.items(), key=lambda each: each[1])],
    )
    tax_id = forms.CharField(max_length=40, required=False, label="Tax number", help_text="Such as a VAT number.")
    purchase_order = forms.CharField(
        max_length=80,
        required=False,
        label="Reference on what you buy",
        help_text="A purchase order or cost centre; it stands on every invoice you receive.",
    )
    email = forms.EmailField(max_length=254, required=False, label="E-mail for invoices")


@dataclass(frozen=True)
class Tab:
    label: str
    href: str
    is_current: bool
    icon: str = ""
    count: int | None = None


@dataclass(frozen=True)
class InvoiceRow:
    """`amount` is below zero on credit notes; `other` is who is on the other side of it."""

    href: str
    number: str
    kind: str
    other: str
    about: str
    amount: Money
    issued_at: datetime
    is_credit: bool

    @classmethod
    def of(cls, row: "Invoice", side: str) -> "InvoiceRow":
        is_credit = row.kind == DocumentKind.CREDIT_NOTE
        party = Party.of_json(row.issuer_details if side == "received" else row.recipient_details)
        about = row.order.listing.title if row.order else f"calls in {row.period_from:%Y-%m}, paid before"
        if row.corrects:
            about = f"corrects {row.corrects.number}"
        return cls(
            invoice_url(row.uuid),
            row.number,
            TITLES[DocumentKind(row.kind)],
            party.title,
            about,
            Money(-row.total_minor if is_credit else row.total_minor, row.currency),
            row.issued_at,
            is_credit,
        )


@dataclass(frozen=True)
class InvoicesPage:
    title: str
    owner: str
    side: str
    owners: list[OwnerChoice]
    tabs: list[Tab]
    form: FilterForm
    is_narrowed: bool
    invoices: list[InvoiceRow]
    details_href: str
    csv_href: str
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", wanted: InvoiceFilter, cursor: str) -> "InvoicesPage":
        found = invoice_queries.invoices_of(owner, wanted, cursor=cursor or None)
        asked = {"owner": owner.name, "side": wanted.side, "year": wanted.year or "", "kind": wanted.kind}
        years = invoice_queries.years_of(owner, wanted.side)
        return cls(
            title="Invoices",
            owner=owner.name,
            side=wanted.side,
            owners=owner_choices(actor, ACTIONS[wanted.side], f"/invoices?side={wanted.side}", owner.name),
            tabs=[
                Tab(_LABELS[side], with_query("/invoices", owner=owner.name, side=side), side == wanted.side)
                for side in SIDES
                if actor.may(ACTIONS[side], owner.pk)
            ],
            form=FilterForm(years, wanted),
            is_narrowed=bool(wanted.year or wanted.kind),
            invoices=[InvoiceRow.of(row, wanted.side) for row in found.items],
            details_href=with_query("/invoices/details", owner=owner.name),
            csv_href=with_query("/invoices/all.csv", **asked),
            next_href=with_query("/invoices", **asked, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=with_query("/invoices", **asked) if cursor else "",
        )


@dataclass(frozen=True)
class LineRow:
    description: str
    quantity: int
    unit: str
    unit_price: str
    total: Money


@dataclass(frozen=True)
class SumRow:
    label: str
    amount: Money
    is_last: bool


@dataclass(frozen=True)
class InvoicePage:
    """`links` lead to the order, the corrected invoice, the credit notes."""

    title: str
    number: str
    kind: str
    issuer: Party
    recipient: Party
    facts: list[tuple[str, str]]
    lines: list[LineRow]
    sums: list[SumRow]
    closing: str
    currency: str
    has_tax: bool
    file_href: str
    list_href: str
    links: list[Link]

    @classmethod
    def of(cls, actor: Actor, row: "Invoice") -> "InvoicePage":
        document = invoice_queries.document_of(row)
        sums = document.sums
        is_mine = actor.may(ACTIONS["received"], row.recipient_id) or not actor.may(ACTIONS["issued"], row.issuer_id)
        owner, side = (row.recipient, "received") if is_mine else (row.issuer, "issued")
        return cls(
            title=f"{document.title} {row.number}",
            number=row.number,
            kind=document.title,
            issuer=document.issuer,
            recipient=document.recipient,
            facts=document.facts,
            lines=[
                LineRow(line.description, line.quantity, line.unit, line.unit_price, document.money(line.total_minor))
                for line in document.lines
            ],
            sums=[
                SumRow(label, document.money(each), number == len(sums)) for number, (label, each) in enumerate(sums, 1)
            ],
            closing=document.closing,
            currency=row.currency,
            has_tax=bool(row.tax_minor),
            file_href=f"{invoice_url(row.uuid)}/file",
            list_href=with_query("/invoices", owner=owner.name, side=side),
            links=_links(document),
        )


@dataclass(frozen=True)
class BillingDetailsPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    form: forms.Form
    may_change: bool
    list_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", form: forms.Form | None) -> "BillingDetailsPage":
        row = invoice_queries.billing_details_of(owner)
        kept = BillingDetailsForm(initial={name: getattr(row, name) for name in FIELDS})
        may = actor.may(Action.NAMESPACE_MANAGE, owner.pk)
        shown = form or kept
        for field in shown.fields.values():
            field.disabled = not may
        return cls(
            title="Billing details",
            owner=owner.name,
            owners=owner_choices(actor, Action.NAMESPACE_WALLET, "/invoices/details", owner.name),
            form=shown,
            may_change=may,
            list_href=with_query("/invoices", owner=owner.name),
        )


def rows(owner: "Namespace", wanted: InvoiceFilter) -> Iterator[list[Cell]]:
    """The list as rows of a file, newest first; credit notes below zero, so that a column sums up."""
    for row in every(lambda cursor: invoice_queries.invoices_of(owner, wanted, cursor=cursor, limit=PAGE)):
        issuer, recipient = Party.of_json(row.issuer_details), Party.of_json(row.recipient_details)
        sign = -1 if row.kind == DocumentKind.CREDIT_NOTE else 1
        yield [
            row.issued_at.astimezone(UTC).date(),
            row.number,
            row.kind,
            row.issuer.name,
            issuer.title,
            row.recipient.name,
            recipient.title,
            recipient.tax_id,
            *(amount(Money(sign * each, row.currency)) for each in (row.net_minor, row.tax_minor, row.total_minor)),
            row.currency,
            row.period_from,
            row.period_to,
            row.corrects.number if row.corrects else None,
            str(row.order.uuid) if row.order else None,
            recipient.purchase_order,
        ]


def _links(document: Document) -> list[Link]:
    row = document.row
    orders = {line.order.uuid: None for line in document.lines if line.order}
    links = [Link("Order" if len(orders) == 1 else f"Order {n}", order_url(each)) for n, each in enumerate(orders, 1)]
    if row.corrects:
        links.append(Link(f"Invoice {row.corrects.number}", invoice_url(row.corrects.uuid)))
    notes = invoice_queries.credit_notes_of(row)
    return [*links, *(Link(f"Credit note {note.number}", invoice_url(note.uuid)) for note in notes)]
