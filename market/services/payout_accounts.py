"""Where sellers want their money, and whose payouts are held."""

import re
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid, Unavailable
from common.money import EXPONENTS
from common.sealed import seal, unseal
from market.models import Payout, PayoutAccount, PayoutHold
from market.services.payout_transfers import can_transfer
from market.states import PayoutMethod, PayoutState
from notices.services import notify
from work.door import enqueue

if TYPE_CHECKING:
    from accounts.models import Namespace

_DESTINATION_LIMIT = 300
_PROVIDER_ACCOUNT = re.compile(r"[A-Za-z0-9_.:-]{1,120}")


def set_payout_account(
    actor: Actor, namespace: "Namespace", *, currency: str, method: str, destination: str = ""
) -> PayoutAccount:
    """Say where the earnings of `namespace` in `currency` go from now on: to its wallet, to an account elsewhere that the operator
    pays by hand, or to its account at the payment provider. What was there before is retired; payouts that are under way
    still go there. The destination is kept sealed. Needs the right to sell. Written into the audit trail and told to the
    people behind the namespace. Setting the same again changes nothing. Raises Forbidden, Invalid."""
    _check_may_sell(actor, namespace)
    text = _checked(currency, method, destination.strip())
    with transaction.atomic():
        present = _present(namespace, currency)
        if present is not None:
            if present.method == method and _reads(present, text):
                return present
            _retire(present)
        made = PayoutAccount.objects.create(
            namespace=namespace,
            currency=currency,
            method=method,
            destination=seal(text) if text else "",
            hint=text[-4:] if len(text) > 8 else "",
            created_by_id=actor.user_id,
        )
        audit.record(
            actor, "market:payout-account:set", "payout_account", made.uuid,
            namespace_id=namespace.pk, currency=currency, method=method,
        )  # fmt: skip
        notify(
            namespace.pk,
            "market:payout-account:set",
            f"Earnings of {namespace.name} in {currency} now go {describe(made)}. If this was not you, tell the operator.",
            url=f"/payouts?owner={namespace.name}",
            key=f"payout-account:{made.uuid}",
        )
    return made


def remove_payout_account(actor: Actor, account: PayoutAccount) -> None:
    """Pay nothing out in this currency any more; what is earned stays in the earnings. A second call changes nothing. Raises
    Forbidden."""
    _check_may_sell(actor, account.namespace)
    with transaction.atomic():
        row = PayoutAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        if row.retired_at is None:
            _retire(row)
            audit.record(
                actor, "market:payout-account:removed", "payout_account", row.uuid,
                namespace_id=row.namespace_id, currency=row.currency,
            )  # fmt: skip


def destination_of(account: PayoutAccount) -> str:
    """What the seller entered; for the one who pays. Raises Unavailable when SECRET_KEY has changed since."""
    return unseal(account.destination) if account.destination else ""


def describe(account: PayoutAccount) -> str:
    """`to the bank account ending in 4321`, without what is secret."""
    ending = f" ending in {account.hint}" if account.hint else ""
    return {
        PayoutMethod.WALLET.value: "to the wallet on this site",
        PayoutMethod.OUTSIDE.value: f"to the account{ending} elsewhere",
        PayoutMethod.PROVIDER.value: f"to the account{ending} at the payment provider",
    }[account.method]


def hold_payouts(actor: Actor, namespace: "Namespace", reason: str) -> PayoutHold:
    """Pay nothing out to `namespace` until it is released: no new payout is made, and waiting ones wait. What the provider was
    asked for already can't be stopped. Staff only; the seller reads the reason. While held, a second call returns the hold
    there is. Raises Forbidden, Invalid."""
    _check_staff(actor)
    reason = reason.strip()
    if not 1 <= len(reason) <= 300:
        raise Invalid(
            "Say why, in at most 300 characters: the seller reads it.", fields={"reason": "1 to 300 characters"}
        )
    with transaction.atomic():
        # a run that is paying this seller just now ends first, or sees the hold
        list(PayoutAccount.objects.select_for_update(no_key=True).filter(namespace=namespace, retired_at__isnull=True))
        hold, is_new = PayoutHold.objects.get_or_create(
            namespace=namespace, released_at=None, defaults={"reason": reason, "placed_by_id": actor.user_id}
        )
        if is_new:
            audit.record(
                actor, "market:payouts:held", "namespace", namespace.uuid, namespace_id=namespace.pk, reason=reason
            )
            notify(
                namespace.pk,
                "market:payouts:held",
                f"Payouts to {namespace.name} are held: {reason}",
                url=f"/payouts?owner={namespace.name}",
                key=f"payout-hold:{hold.uuid}",
            )
    return hold


def release_payouts(actor: Actor, namespace: "Namespace") -> None:
    """Let payouts of `namespace` go again; those that waited for the provider are sent. Staff only. A second call changes nothing.
    Raises Forbidden."""
    _check_staff(actor)
    with transaction.atomic():
        hold = PayoutHold.objects.select_for_update().filter(namespace=namespace, released_at__isnull=True).first()
        if hold is None:
            return
        hold.released_at = now()
        hold.save(update_fields=["released_at"])
        audit.record(actor, "market:payouts:released", "namespace", namespace.uuid, namespace_id=namespace.pk)
        notify(
            namespace.pk,
            "market:payouts:released",
            f"Payouts to {namespace.name} go out again.",
            url=f"/payouts?owner={namespace.name}",
            key=f"payout-release:{hold.uuid}",
        )
        waiting = Payout.objects.filter(
            namespace=namespace, state=PayoutState.WAITING, account__method=PayoutMethod.PROVIDER
        )
        for pk, uuid in waiting.values_list("pk", "uuid"):
            enqueue("market.send_payout", pk, key=f"payout:{uuid}")


def hold_on(namespace_id: int) -> PayoutHold | None:
    """The hold on the payouts of a namespace (primary key), if there is one."""
    return PayoutHold.objects.filter(namespace_id=namespace_id, released_at__isnull=True).first()


def _check_may_sell(actor: Actor, namespace: "Namespace") -> None:
    if not (actor.is_system or actor.may(Action.NAMESPACE_SELL, namespace.pk)):
        raise Forbidden(f"You may not say where the earnings of {namespace.name} go.")


def _check_staff(actor: Actor) -> None:
    if not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff may hold payouts and let them go.")


def _checked(currency: str, method: str, text: str) -> str:
    if currency not in EXPONENTS:
        raise Invalid(f"{currency} is not a currency of this site.", fields={"currency": "unknown"})
    if method not in set(PayoutMethod):
        raise Invalid("The method is wallet, outside or provider.", fields={"method": "unknown"})
    if method == PayoutMethod.WALLET:
        return ""
    if method == PayoutMethod.OUTSIDE and not 1 <= len(text) <= _DESTINATION_LIMIT:
        raise Invalid(
            "Write where the operator should pay, such as a name and an IBAN, in at most 300 characters.",
            fields={"destination": "1 to 300 characters"},
        )
    if method == PayoutMethod.PROVIDER:
        if not can_transfer():
            raise Conflict("The payment provider of this site sends no money to sellers: choose another method.")
        if not _PROVIDER_ACCOUNT.fullmatch(text):
            raise Invalid(
                "Write the name of your account at the payment provider, such as acct_1AbC.",
                fields={"destination": "not an account"},
            )
    return text


def _present(namespace: "Namespace", currency: str) -> PayoutAccount | None:
    accounts = PayoutAccount.objects.select_for_update(no_key=True)
    return accounts.filter(namespace=namespace, currency=currency, retired_at__isnull=True).first()


def _reads(account: PayoutAccount, text: str) -> bool:
    try:
        return destination_of(account) == text
    except Unavailable:
        # sealed under another key: entering it anew is the cure
        return False


def _retire(account: PayoutAccount) -> None:
    account.retired_at = now()
    account.save(update_fields=["retired_at"])
