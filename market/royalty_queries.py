"""Royalties as people look at them: what holds for repositories, what came in and what went out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Count, F, Sum

from market.models import AccountKind, LedgerEntry, Listing, RoyaltyTerms

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import Namespace

_ROWS = 200


@dataclass(frozen=True)
class Flow:
    """What sales of one listing have paid, minor units, what was taken back aside. `other`: the name of whoever paid, or was paid."""

    listing: Listing
    other: str
    orders: int
    amount_minor: int
    currency: str


def current_terms(repo_uuids: Iterable[UUID]) -> dict[UUID, RoyaltyTerms]:
    """The newest declaration of each repository that has one. One query."""
    rows = RoyaltyTerms.objects.filter(repo_uuid__in=list(repo_uuids)).select_related("namespace")
    return {row.repo_uuid: row for row in rows.order_by("created_at", "pk")}


def received(owner: "Namespace") -> list[Flow]:
    """Royalties of others' sales, by listing, the largest first; at most 200. Two queries."""
    return _flows(
        LedgerEntry.objects.filter(account__namespace=owner).exclude(transaction__order__seller=owner),
        F("transaction__order__seller__name"),
    )


def paid(owner: "Namespace") -> list[Flow]:
    """Royalties that one's own sales have paid, by listing and owner upstream, the largest first; at most 200. Two queries."""
    return _flows(
        LedgerEntry.objects.filter(transaction__order__seller=owner).exclude(account__namespace=owner),
        F("account__namespace__name"),
    )


def _flows(entries: "QuerySet[LedgerEntry]", other: F) -> list[Flow]:
    rows = list(
        entries.filter(account__kind=AccountKind.EARNINGS, transaction__order__isnull=False)
        .values("transaction__order__listing", "account__currency", other=other)
        .annotate(total=Sum("amount_minor"), orders=Count("transaction__order", distinct=True))
        .order_by("-total", "transaction__order__listing")[:_ROWS]
    )
    listings = Listing.objects.select_related("namespace").in_bulk({row["transaction__order__listing"] for row in rows})
    return [
        Flow(
            listings[row["transaction__order__listing"]],
            row["other"],
            row["orders"],
            row["total"],
            row["account__currency"],
        )
        for row in rows
    ]
