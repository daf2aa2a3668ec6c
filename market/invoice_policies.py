"""Who sees which documents, and whose billing details."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import NotFound
from market.models import Invoice


def visible_invoices(actor: Actor) -> QuerySet[Invoice]:
    """Documents received by namespaces whose wallet the actor may see, and those sent by namespaces it sells for, as with
    statements; sender, receiver, order and corrected invoice joined. Staff see all."""
    invoices = Invoice.objects.select_related("issuer", "recipient", "order", "corrects")
    if actor.is_system or actor.is_staff:
        return invoices
    return invoices.filter(
        Q(recipient_id__in=_namespaces_where(actor, Action.NAMESPACE_WALLET))
        | Q(issuer_id__in=_namespaces_where(actor, Action.NAMESPACE_SELL))
    )


def require_invoice(actor: Actor, uuid: UUID | str) -> Invoice:
    """A document that the actor may see. Raises NotFound."""
    invoice = visible_invoices(actor).filter(uuid=uuid).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    return invoice


def _namespaces_where(actor: Actor, action: Action) -> list[int]:
    return [pk for pk in actor.roles if actor.may(action, pk)]
