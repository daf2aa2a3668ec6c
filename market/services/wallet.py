"""Credits: money that the operator hands out."""

from typing import TYPE_CHECKING

from django.db import transaction

from accounts.actors import Actor
from accounts.services import audit
from common.errors import Forbidden, Invalid
from common.money import EXPONENTS, LIMIT_MINOR
from market.models import LedgerTransaction, TransactionKind
from market.services import ledger

if TYPE_CHECKING:
    from accounts.models import Namespace


def add_credits(
    actor: Actor, namespace: "Namespace", amount_minor: int, currency: str, *, key: str
) -> LedgerTransaction:
    """Put `amount_minor` (1 … 10^15) of `currency` into the wallet of `namespace`. Staff and the system only. Writes the ledger
    and an audit record. Keyed by namespace and `key` for ever: a second call with the same amount changes nothing, with
    another one raises Conflict. Raises Forbidden, Invalid."""
    if not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff may hand out credits.")
    if currency not in EXPONENTS:
        raise Invalid(f"{currency} is not a currency of this site.", fields={"currency": "unknown"})
    if not 0 < amount_minor <= LIMIT_MINOR:
        raise Invalid("Add an amount above zero.", fields={"amount_minor": "out of range"})
    if not key or len(key) > 80:
        raise Invalid("Give the movement a key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    source_id = f"{namespace.uuid}:{key}"
    with transaction.atomic():
        legs = [
            ledger.Leg(ledger.issued(currency), -amount_minor),
            ledger.Leg(ledger.wallet(namespace, currency), amount_minor),
        ]
        ledger.lock(leg.account for leg in legs)
        is_new = not LedgerTransaction.objects.filter(source="credits", source_id=source_id).exists()
        row = ledger.post(TransactionKind.ISSUE, "credits", source_id, legs, memo="Credits added")
        if is_new:
            audit.record(
                actor,
                "market:credits:added",
                "namespace",
                namespace.uuid,
                namespace_id=namespace.pk,
                amount_minor=amount_minor,
                currency=currency,
            )
    return row
