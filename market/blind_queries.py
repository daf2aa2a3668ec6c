"""What is seen of blind evaluations once inside."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q, QuerySet

from common.clock import now
from common.pagination import Page, keyset_page
from market.models import BlindEvaluation, CertificateKey, Listing
from market.states import COUNTED, EvaluationState, ListingState, SubjectKind

if TYPE_CHECKING:
    from accounts.models import Namespace

SHOWN = 20
"""Certificates that a listing shows."""
LIVE = frozenset({EvaluationState.QUEUED, EvaluationState.RUNNING})


@dataclass(frozen=True)
class Runs:
    """Blind evaluations of one listing that a buyer may have in this calendar month (UTC), and has had."""

    allowed: int
    used: int

    @property
    def left(self) -> int:
        return max(0, self.allowed - self.used)


def runs_allowed(listing: Listing) -> int:
    """In a month, for each buyer."""
    return settings.BLIND_RUNS_PER_MONTH if listing.blind_runs is None else listing.blind_runs


def can_be_evaluated(listing: Listing) -> bool:
    """Whether the listing is one of a model or an endpoint, on sale, whose seller lets it be evaluated. No query."""
    kinds = {SubjectKind.MODEL, SubjectKind.ENDPOINT}
    return listing.subject_kind in kinds and listing.state == ListingState.PUBLISHED and runs_allowed(listing) > 0


def runs_of(buyer: "Namespace", person_id: int | None, listing: Listing) -> Runs:
    """Runs of a buyer. Those that the same person has asked for in another's name count, too: one person with many organisations has
    no more answers than another. One query."""
    by = Q(buyer=buyer) | (Q(created_by_id=person_id) if person_id else Q())
    this_month = BlindEvaluation.objects.filter(by, listing=listing, state__in=COUNTED, created_at__gte=_month())
    return Runs(runs_allowed(listing), this_month.count())


def page_of_evaluations(
    evaluations: QuerySet[BlindEvaluation], *, cursor: str | None, limit: int
) -> Page[BlindEvaluation]:
    """Authorised evaluations, newest first. One query."""
    return keyset_page(evaluations, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def certificates_on(listing: Listing) -> list[BlindEvaluation]:
    """The certificates that stand on a listing: published by the buyer, and let by the seller; newest first. One query."""
    rows = BlindEvaluation.objects.filter(listing=listing, shown_at__isnull=False, published_at__isnull=False)
    return list(rows.select_related("buyer", "listing__namespace", "certificate__key").order_by("-finished_at")[:SHOWN])


def certificate_keys() -> list[CertificateKey]:
    """The public keys that certificates of this site are signed with, also those of old, newest first."""
    return list(CertificateKey.objects.defer("sealed_private").order_by("-pk"))


def _month() -> datetime:
    return now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
