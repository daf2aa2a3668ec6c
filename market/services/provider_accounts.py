"""Namespaces at the payment provider: sellers' accounts, which payouts go to."""

from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.db import transaction

from accounts.actors import Actor, system
from accounts.services import audit
from backends.contracts.payments import Capability, PayoutAccount, PayoutBackend
from common.clock import now
from common.errors import Conflict
from market.models import ProviderAccount
from market.services.payment_backend import asked, backend, provider_name

if TYPE_CHECKING:
    from accounts.models import Namespace

SELLER = "seller"


def seller_account(namespace: "Namespace") -> ProviderAccount | None:
    """The account that a namespace is paid on by the present provider; None before it has one."""
    return ProviderAccount.objects.filter(namespace=namespace, backend=provider_name(), role=SELLER).first()


def offers_accounts() -> bool:
    """Whether the present provider pays sellers."""
    return Capability.ACCOUNTS in backend().capabilities


def begin_seller_account(actor: Actor, namespace: "Namespace") -> str:
    """Open an account for a seller at the provider, or take up the one there is; returns the address of the provider's page where the
    seller says who they are (works once, for minutes). The caller has checked that `actor` may sell for the namespace. Outside of
    any transaction. Safe to repeat: the namespace's uuid is the key. Raises Conflict when the provider pays no sellers or refuses,
    Unavailable when it does not answer."""
    name = provider_name()
    provider = _payouts()
    row = seller_account(namespace)
    if row is None:
        owner = namespace.user
        told = asked(provider.create_account, key=str(namespace.uuid), email=owner.email if owner else "")
        with transaction.atomic():
            row, is_new = ProviderAccount.objects.get_or_create(
                namespace=namespace,
                backend=name,
                role=SELLER,
                defaults={"reference": told.reference, "is_ready": told.is_ready, "needs": list(told.needs)},
            )
            if is_new:
                audit.record(
                    actor,
                    "market:account:opened",
                    "namespace",
                    namespace.uuid,
                    namespace_id=namespace.pk,
                    reference=row.reference,
                )
    back = f"{settings.PUBLIC_URL}/earnings?owner={namespace.name}"
    return asked(provider.create_account_link, row.reference, return_url=back, refresh_url=back)


def look_at_account(backend_name: str, reference: str) -> ProviderAccount | None:
    """Bring an account in line with what the provider says now; None when it is not one of ours. Outside of any transaction. Safe to
    repeat. Raises Unavailable."""
    row = ProviderAccount.objects.filter(backend=backend_name, reference=reference, role=SELLER).first()
    if row is None:
        return None
    return _note(row, asked(cast("PayoutBackend", backend(backend_name)).look_account, reference))


def _note(row: ProviderAccount, told: PayoutAccount) -> ProviderAccount:
    with transaction.atomic():
        row = ProviderAccount.objects.select_for_update().select_related("namespace").get(pk=row.pk)
        changed = row.is_ready != told.is_ready
        row.is_ready, row.needs, row.looked_at = told.is_ready, list(told.needs), now()
        row.save(update_fields=["is_ready", "needs", "looked_at"])
        if changed:
            audit.record(
                system("payments"),
                "market:account:changed",
                "namespace",
                row.namespace.uuid,
                namespace_id=row.namespace_id,
                is_ready=told.is_ready,
            )
    return row


def _payouts() -> PayoutBackend:
    if not offers_accounts():
        raise Conflict("This site pays no sellers through a provider: ask its operators.", code="no_payouts")
    return cast("PayoutBackend", backend())
