"""Royalties: what is asked for a repository, what a listing has to pay, what came in and went out."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import View
from api.v1.market.views import ListingView
from api.v1.registry.views import RepoView
from market import royalty_queries
from market.royalties import WHOLE
from market.services import royalties


class RoyaltyTermsNew(serializers.Serializer):
    basis_points = serializers.IntegerField(
        min_value=0, max_value=WHOLE, help_text="Of what the seller receives for an order: 250 are 2.5 %."
    )
    minimum_minor = serializers.IntegerField(min_value=0, required=False, default=0, help_text="For each paid order.")
    cap_minor = serializers.IntegerField(min_value=1, required=False, allow_null=True, default=None)
    currency = serializers.CharField(max_length=3, required=False, default="CRD")
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class RoyaltyTermsWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    to = serializers.CharField(help_text="Who is paid.")
    basis_points = serializers.IntegerField()
    minimum_minor = serializers.IntegerField()
    cap_minor = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)
    declared_at = serializers.DateTimeField()


class RepoRoyalties(serializers.Serializer):
    current = RoyaltyTermsWire(allow_null=True, help_text="What holds for a version that is published now.")
    history = RoyaltyTermsWire(many=True)


class UpstreamWire(serializers.Serializer):
    terms = RoyaltyTermsWire()
    version_uuid = serializers.UUIDField()
    steps = serializers.IntegerField(help_text="Derivations between it and the listing.")
    is_accepted = serializers.BooleanField()


class ListingRoyalties(serializers.Serializer):
    upstream = UpstreamWire(many=True)
    basis_points = serializers.IntegerField(help_text="All together.")


class Acceptance(serializers.Serializer):
    accept = serializers.ListField(child=serializers.UUIDField(), max_length=royalties.UPSTREAM_LIMIT)


class FlowWire(serializers.Serializer):
    listing = serializers.CharField()
    other = serializers.CharField()
    orders = serializers.IntegerField()
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()


class Flows(serializers.Serializer):
    received = FlowWire(many=True)
    paid = FlowWire(many=True)


class OfRepo(RepoView):
    @extend_schema(responses=RepoRoyalties, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """What its owner asks of listings that are derived from it, now and before."""
        return self._answer(self.repo(Action.REPO_DISCOVER))

    @extend_schema(request=RoyaltyTermsNew, responses=RepoRoyalties, tags=["market"])
    def put(self, request: Request, **names: str) -> Response:
        """Declare terms for the versions that are published from now on; those that are there keep theirs. 0 ends it."""
        repo = self.repo(Action.REPO_ADMIN)
        royalties.declare_terms(self.actor, repo, **self.given(RoyaltyTermsNew))
        return self._answer(repo)

    def _answer(self, repo: Any) -> Response:
        history = list(royalties.terms_history(repo)[:100])
        current = history[0] if history and history[0].asks else None
        return Response({"current": _terms(current) if current else None, "history": [*map(_terms, history)]})


class OfListing(ListingView):
    @extend_schema(responses=ListingRoyalties, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """Everybody upstream whom a sale pays, the nearest first, and what the seller has accepted."""
        listing = self.listing(Action.LISTING_MANAGE)
        return self._answer(listing, royalties.chain_of(listing))

    @extend_schema(request=Acceptance, responses=ListingRoyalties, tags=["market"])
    def post(self, request: Request, **names: str) -> Response:
        """Agree to pay what these terms ask, for good. Safe to repeat."""
        listing = self.listing(Action.LISTING_MANAGE)
        return self._answer(listing, royalties.accept(self.actor, listing, self.given(Acceptance)["accept"]))

    def _answer(self, listing: Any, chain: list[royalties.Upstream]) -> Response:
        missing = {each.terms.pk for each in royalties.unaccepted(listing, chain)}
        return Response(
            {
                "upstream": [
                    {
                        "terms": _terms(each.terms),
                        "version_uuid": str(each.version.uuid),
                        "steps": each.steps,
                        "is_accepted": each.terms.pk not in missing,
                    }
                    for each in chain
                ],
                "basis_points": sum(each.terms.basis_points for each in chain),
            }
        )


class OfNamespace(View):
    @extend_schema(responses=Flows, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """What sales of others have paid it, and what its own have paid to others, by listing."""
        owner = require_namespace(self.actor, name, Action.NAMESPACE_SELL)
        return Response(
            {
                "received": [*map(_flow, royalty_queries.received(owner))],
                "paid": [*map(_flow, royalty_queries.paid(owner))],
            }
        )


def _terms(terms: Any) -> dict[str, Any]:
    return {
        "uuid": str(terms.uuid),
        "to": terms.namespace.name,
        "basis_points": terms.basis_points,
        "minimum_minor": terms.minimum_minor,
        "cap_minor": terms.cap_minor,
        "currency": terms.currency,
        "until": terms.until,
        "declared_at": terms.created_at,
    }


def _flow(flow: royalty_queries.Flow) -> dict[str, Any]:
    return {
        "listing": f"{flow.listing.namespace.name}/{flow.listing.slug}",
        "other": flow.other,
        "orders": flow.orders,
        "amount_minor": flow.amount_minor,
        "currency": flow.currency,
    }
