"""Invoices, credit notes and usage statements, and what stands on them as sender and receiver. The truth it keeps: a document that
was issued says for ever what it said, and the numbers of a sender's year have no gap. The database enforces it (migration
`0013_invoices`)."""

from django.db import models
from django.db.models import F, Q

from common.clock import now
from common.ids import new_uuid
from market.models.orders import Order
from market.states import DocumentKind


class BillingDetails(models.Model):
    """How a namespace is written on documents from now on. Documents hold a copy: changing this changes none of them."""

    namespace = models.OneToOneField("accounts.Namespace", on_delete=models.PROTECT, related_name="billing_details")
    legal_name = models.CharField(max_length=200, blank=True)
    """Empty: the name of the namespace stands for it."""
    address = models.CharField(max_length=500, blank=True)
    """Up to six lines, without the country."""
    country = models.CharField(max_length=2, blank=True)
    """ISO 3166-1, two letters."""
    tax_id = models.CharField(max_length=40, blank=True)
    purchase_order = models.CharField(max_length=80, blank=True)
    """What the buyer's bookkeeping wants to read on every invoice that it receives."""
    email = models.CharField(max_length=254, blank=True)
    updated_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.legal_name


class InvoiceCounter(models.Model):
    """The last number of a sender's year. Moved under its lock in the transaction that issues the document, so that a number
    without a document can't be."""

    issuer = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    year = models.PositiveSmallIntegerField()
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "year"], name="invoice_counter_once")]

    def __str__(self) -> str:
        return f"{self.issuer_id} {self.year}: {self.last}"


class Invoice(models.Model):
    """One document of any kind. Amounts in minor units of `currency`, on a credit note what goes back; `total_minor` is the sum of
    its lines. Append-only."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in DocumentKind])
    issuer = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    """The seller of record."""
    recipient = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    year = models.PositiveSmallIntegerField()
    sequence = models.PositiveIntegerField()
    number = models.CharField(max_length=120)
    """`ACME-2026-000042`: the sender's name as it was, year and sequence."""
    source = models.CharField(max_length=160, unique=True)
    """What it documents; a second document of the same is refused for ever."""
    order = models.ForeignKey(Order, null=True, on_delete=models.PROTECT, related_name="documents")
    """Of a usage statement: null, its lines name theirs."""
    corrects = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="credit_notes")
    """Of a credit note: the invoice."""
    reason = models.CharField(max_length=300, blank=True)
    currency = models.CharField(max_length=3)
    net_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    """The tax within `total_minor`, as far as a payment provider has told it."""
    total_minor = models.BigIntegerField()
    line_count = models.PositiveIntegerField()
    """How many lines it has: the database takes no further one."""
    issued_at = models.DateTimeField(default=now)
    period_from = models.DateField()
    period_to = models.DateField()
    """First and last day (UTC) of what was delivered."""
    issuer_details = models.JSONField()
    recipient_details = models.JSONField()
    """What `market.invoices.Party` holds, as it was when the document was issued."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "year", "sequence"], name="invoice_number_once"),
            models.CheckConstraint(condition=Q(kind__in=[kind.value for kind in DocumentKind]), name="invoice_kind"),
            models.CheckConstraint(
                condition=Q(total_minor=F("net_minor") + F("tax_minor"))
                & Q(net_minor__gte=0, tax_minor__gte=0, total_minor__gt=0, sequence__gte=1, line_count__gte=1),
                name="invoice_amounts",
            ),
            models.CheckConstraint(
                condition=Q(kind=DocumentKind.CREDIT_NOTE, corrects__isnull=False)
                | (~Q(kind=DocumentKind.CREDIT_NOTE) & Q(corrects__isnull=True)),
                name="invoice_corrects",
            ),
        ]
        indexes = [
            models.Index(fields=["recipient", "-issued_at", "-id"], name="invoice_by_recipient"),
            models.Index(fields=["issuer", "-issued_at", "-id"], name="invoice_by_issuer"),
        ]

    def __str__(self) -> str:
        return self.number


class InvoiceLine(models.Model):
    """One line, in minor units of the document's currency; below zero where something is taken off. Append-only, and only as many
    as the document says."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    """From 1."""
    order = models.ForeignKey(Order, null=True, on_delete=models.PROTECT, related_name="+")
    description = models.CharField(max_length=300)
    quantity = models.BigIntegerField()
    unit = models.CharField(max_length=40, blank=True)
    """`calls`; empty: pieces."""
    unit_price = models.CharField(max_length=60, blank=True)
    """The price as the plan tells it, `2.50 EUR / 1,000 calls`; it may be below one minor unit for one piece."""
    net_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="invoice_line_once"),
            models.CheckConstraint(
                condition=Q(total_minor=F("net_minor") + F("tax_minor")) & Q(position__gte=1), name="invoice_line_sum"
            ),
        ]

    def __str__(self) -> str:
        return self.description
