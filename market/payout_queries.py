"""What is seen of payouts once inside."""

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from common.pagination import Page, keyset_page
from market.models import Payout, PayoutAccount, PayoutHold

if TYPE_CHECKING:
    from accounts.models import Namespace


def accounts_of(namespace: "Namespace") -> "QuerySet[PayoutAccount]":
    """Where the earnings of a namespace go, by currency."""
    return PayoutAccount.objects.filter(namespace=namespace, retired_at__isnull=True).order_by("currency")


def payouts_of(namespace: "Namespace", *, cursor: str | None = None, limit: int = 30) -> Page[Payout]:
    """The payouts of a namespace, newest first, with their accounts."""
    found = Payout.objects.filter(namespace=namespace).select_related("account", "namespace")
    return keyset_page(found, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def payouts_in(state: str, *, cursor: str | None = None, limit: int = 50) -> Page[Payout]:
    """All payouts in a state (empty: in any), newest first, with sellers and accounts; for staff."""
    found = Payout.objects.select_related("account", "namespace")
    if state:
        found = found.filter(state=state)
    return keyset_page(found, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def holds() -> "QuerySet[PayoutHold]":
    """Sellers whose payouts are held, with namespaces, newest first."""
    return PayoutHold.objects.filter(released_at__isnull=True).select_related("namespace").order_by("-pk")
