"""Invoices: the list, one document on a page and as a file, and what is written on them."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods

from accounts.permissions import Action
from accounts.policies import require_namespace
from market.invoice_pdf import pdf_of
from market.invoice_policies import require_invoice
from market.invoice_queries import InvoiceFilter, document_of
from market.services.billing_details import set_billing_details
from web.exports import csv_response
from web.forms import submit
from web.links import with_query
from web.market import invoice_pages
from web.market.invoice_pages import BillingDetailsForm, BillingDetailsPage, InvoicePage, InvoicesPage
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from accounts.models import Namespace


@require_GET
def invoices(request: Request) -> HttpResponse:
    owner, wanted = _asked(request)
    page = InvoicesPage.of(request.actor, owner, wanted, request.GET.get("cursor", ""))
    return render(request, "market/invoices.html", page)


@require_GET
def invoices_csv(request: Request) -> HttpResponseBase:
    owner, wanted = _asked(request)
    rows = invoice_pages.rows(owner, wanted)
    return csv_response(f"invoices-{wanted.side}-{owner.name}", invoice_pages.HEADINGS, rows)


@require_GET
def invoice(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "market/invoice.html", InvoicePage.of(request.actor, require_invoice(request.actor, uuid)))


@require_GET
def invoice_file(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found = require_invoice(request.actor, uuid)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.number}.pdf"',
        "Cache-Control": "private, no-store",
    }
    return HttpResponse(pdf_of(document_of(found)), content_type="application/pdf", headers=headers)


@require_http_methods(["GET", "POST"])
def billing_details(request: Request) -> HttpResponse:
    """How a namespace is written on documents. Those with its wallet see it, those who manage it change it."""
    request.actor.require_authenticated()
    owner = require_namespace(
        request.actor, request.GET.get("owner") or request.actor.username, Action.NAMESPACE_WALLET
    )
    form = BillingDetailsForm(request.POST) if request.method == "POST" else None
    if form is not None and submit(form, set_billing_details, request.actor, owner):
        messages.success(request, "Documents that are issued from now on say this.")
        return HttpResponseRedirect(with_query("/invoices/details", owner=owner.name))
    page = BillingDetailsPage.of(request.actor, owner, form)
    return render(request, "market/billing_details.html", page, status=form_status(request))


def _asked(request: Request) -> "tuple[Namespace, InvoiceFilter]":
    request.actor.require_authenticated()
    given = {name: request.GET.get(name, "") for name in ("side", "year", "kind")}
    wanted = InvoiceFilter.parse(**given)
    name = request.GET.get("owner") or request.actor.username
    return require_namespace(request.actor, name, invoice_pages.ACTIONS[wanted.side]), wanted
