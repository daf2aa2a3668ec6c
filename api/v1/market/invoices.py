"""Invoices, credit notes, usage statements, and what is written on them."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import PAGE_PARAMETERS, View, page_of
from api.v1.market.views import NamespaceView
from common.pagination import keyset_page
from market import invoice_queries
from market.invoice_pdf import pdf_of
from market.invoice_policies import require_invoice, visible_invoices
from market.invoice_queries import SIDES, Document, InvoiceFilter
from market.services.billing_details import FIELDS, set_billing_details
from market.states import DocumentKind

KINDS = [each.value for each in DocumentKind]
_ACTIONS = {"received": Action.NAMESPACE_WALLET, "issued": Action.NAMESPACE_SELL}


class BillingDetailsWire(serializers.Serializer):
    legal_name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    address = serializers.CharField(max_length=500, required=False, allow_blank=True, help_text="Up to six lines.")
    country = serializers.CharField(max_length=2, required=False, allow_blank=True, help_text="ISO 3166-1.")
    tax_id = serializers.CharField(max_length=40, required=False, allow_blank=True)
    purchase_order = serializers.CharField(
        max_length=80, required=False, allow_blank=True, help_text="Stands on every invoice that is received."
    )
    email = serializers.CharField(max_length=254, required=False, allow_blank=True)


class InvoicePartyWire(serializers.Serializer):
    """As it was when the document was issued."""

    name = serializers.CharField(help_text="The namespace.")
    legal_name = serializers.CharField(allow_blank=True)
    address = serializers.CharField(allow_blank=True)
    country = serializers.CharField(allow_blank=True)
    tax_id = serializers.CharField(allow_blank=True)
    purchase_order = serializers.CharField(allow_blank=True)
    email = serializers.CharField(allow_blank=True)


class InvoiceLineWire(serializers.Serializer):
    description = serializers.CharField()
    quantity = serializers.IntegerField()
    unit = serializers.CharField(allow_blank=True)
    unit_price = serializers.CharField(allow_blank=True, help_text="In words: it may be below one minor unit.")
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    total_minor = serializers.IntegerField()
    order = serializers.UUIDField(allow_null=True)


class InvoiceWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(KINDS)
    number = serializers.CharField()
    issuer = serializers.CharField()
    recipient = serializers.CharField()
    currency = serializers.CharField()
    net_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    total_minor = serializers.IntegerField(help_text="On a credit note what goes back, above zero.")
    issued_at = serializers.DateTimeField()
    period_from = serializers.DateField()
    period_to = serializers.DateField()
    order = serializers.UUIDField(allow_null=True)
    corrects = serializers.UUIDField(allow_null=True, help_text="Of a credit note: the invoice.")
    reason = serializers.CharField(allow_blank=True)


class InvoiceDetailWire(InvoiceWire):
    issuer_details = InvoicePartyWire()
    recipient_details = InvoicePartyWire()
    lines = InvoiceLineWire(many=True)
    credit_notes = serializers.ListField(child=serializers.UUIDField())


class Invoices(View):
    @extend_schema(
        responses=page_of(InvoiceWire),
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("namespace", str, description="Whose; without it, all that the caller may see."),
            OpenApiParameter("side", str, enum=SIDES, description="Of that namespace: received (default) or issued."),
            OpenApiParameter("year", int),
            OpenApiParameter("kind", str, enum=KINDS),
        ],
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Documents, newest first."""
        self.actor.require_authenticated()
        params = request.query_params
        wanted = InvoiceFilter.parse(**{name: params.get(name, "") for name in ("side", "year", "kind")})
        name = params.get("namespace")
        if name:
            owner = require_namespace(self.actor, name, _ACTIONS[wanted.side])
            page = invoice_queries.invoices_of(owner, wanted, cursor=self.cursor, limit=self.page_limit())
        else:
            found = invoice_queries.narrowed(visible_invoices(self.actor), wanted)
            page = keyset_page(found, order=("-issued_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, _invoice)


class Invoice(View):
    @extend_schema(responses=InvoiceDetailWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One document with its lines and parties."""
        row = require_invoice(self.actor, uuid)
        document = invoice_queries.document_of(row)
        return Response(
            _invoice(row)
            | {
                "issuer_details": document.issuer.as_json(),
                "recipient_details": document.recipient.as_json(),
                "lines": _lines(document),
                "credit_notes": [note.uuid for note in invoice_queries.credit_notes_of(row)],
            }
        )


class InvoiceFile(View):
    @extend_schema(responses={(200, "application/pdf"): OpenApiResponse(OpenApiTypes.BINARY)}, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> HttpResponse:
        """The document as PDF, the same bytes each time."""
        row = require_invoice(self.actor, uuid)
        headers = {"Content-Disposition": f'attachment; filename="{row.number}.pdf"'}
        content = pdf_of(invoice_queries.document_of(row))
        return HttpResponse(content, content_type="application/pdf", headers=headers)


class Details(NamespaceView):
    @extend_schema(responses=BillingDetailsWire, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """How a namespace is written on documents from now on."""
        return Response(_details(invoice_queries.billing_details_of(self.namespace(Action.NAMESPACE_WALLET))))

    @extend_schema(request=BillingDetailsWire, responses=BillingDetailsWire, tags=["market"])
    def put(self, request: Request, name: str) -> Response:
        """Change it; what is not given stays. For owners and admins. Safe to repeat."""
        namespace = self.namespace(Action.NAMESPACE_MANAGE)
        return Response(_details(set_billing_details(self.actor, namespace, **self.given(BillingDetailsWire))))


def _invoice(row: Any) -> dict[str, Any]:
    """Wants sender, receiver, order and corrected invoice joined."""
    names = ("uuid", "kind", "number", "currency", "net_minor", "tax_minor", "total_minor", "issued_at", "reason")
    return {name: getattr(row, name) for name in names} | {
        "issuer": row.issuer.name,
        "recipient": row.recipient.name,
        "period_from": row.period_from,
        "period_to": row.period_to,
        "order": row.order.uuid if row.order else None,
        "corrects": row.corrects.uuid if row.corrects else None,
    }


def _lines(document: Document) -> list[dict[str, Any]]:
    names = ("description", "quantity", "unit", "unit_price", "net_minor", "tax_minor", "total_minor")
    return [
        {name: getattr(line, name) for name in names} | {"order": line.order.uuid if line.order else None}
        for line in document.lines
    ]


def _details(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in FIELDS}
