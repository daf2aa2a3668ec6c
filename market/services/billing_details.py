"""What stands on documents as sender and receiver."""

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.countries import COUNTRIES
from common.errors import Forbidden, Invalid
from market.invoices import Party
from market.models import BillingDetails

if TYPE_CHECKING:
    from accounts.models import Namespace

FIELDS = ("legal_name", "address", "country", "tax_id", "purchase_order", "email")
_LIMITS = {"legal_name": 200, "address": 500, "tax_id": 40, "purchase_order": 80, "email": 254}
_ADDRESS_LINES = 6


def set_billing_details(actor: Actor, namespace: "Namespace", **given: str) -> BillingDetails:
    """Say how a namespace is written on documents from now on: any of `FIELDS`; what is not given stays. Documents that were issued
    keep what they say. For those who manage the namespace. The same again changes nothing. Raises Forbidden, Invalid."""
    if not (actor.is_system or actor.may(Action.NAMESPACE_MANAGE, namespace.pk)):
        raise Forbidden(f"You may not change the billing details of {namespace.name}.", action=Action.NAMESPACE_MANAGE)
    wanted = {name: _checked(name, text) for name, text in given.items()}
    with transaction.atomic():
        row, _ = BillingDetails.objects.select_for_update().get_or_create(namespace=namespace)
        changed = sorted(name for name, text in wanted.items() if getattr(row, name) != text)
        if not changed:
            return row
        for name in changed:
            setattr(row, name, wanted[name])
        row.updated_at = now()
        row.save()
        audit.record(
            actor, "market:billing:changed", "namespace", namespace.uuid, namespace_id=namespace.pk, fields=changed
        )
    return row


def party_of(namespace: "Namespace") -> Party:
    """A namespace as it is written on a document that is issued now."""
    row = BillingDetails.objects.filter(namespace=namespace).first()
    return Party(namespace.name, **{name: getattr(row, name) for name in FIELDS}) if row else Party(namespace.name)


def _checked(name: str, text: str) -> str:
    """Raises Invalid."""
    if name not in FIELDS:
        raise TypeError(f"billing details have no {name}")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    text = "\n".join(line for line in lines if line)
    if any(not letter.isprintable() for letter in text.replace("\n", "")):
        raise Invalid("Use letters that can be printed.", fields={name: "not printable"})
    if name == "country":
        text = text.upper()
        if text and text not in COUNTRIES:
            raise Invalid("Write the country as two letters, such as GR.", fields={name: "unknown"})
        return text
    if len(text) > _LIMITS[name]:
        raise Invalid(f"Use at most {_LIMITS[name]} characters.", fields={name: f"at most {_LIMITS[name]} characters"})
    if name == "address" and text.count("\n") >= _ADDRESS_LINES:
        raise Invalid(f"An address has at most {_ADDRESS_LINES} lines.", fields={name: "too many lines"})
    if name != "address" and "\n" in text:
        raise Invalid("Write it on one line.", fields={name: "more than one line"})
    if name == "email" and text:
        try:
            validate_email(text)
        except ValidationError as error:
            raise Invalid(
                "Write a mail address such as invoices@example.org.", fields={name: "not an address"}
            ) from error
    return text
