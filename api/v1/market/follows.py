"""Likes, follows, and listings in collections."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.market import community_wire as wire
from api.v1.market.views import ListingView
from market import follow_queries as queries
from market.policies import require_listing_by_uuid
from market.services import collecting, follows
from registry import community_queries
from registry.policies import require_collection
from registry.services import collections


class _StandingView(ListingView):
    def answer_standing(self, listing: Any, *, status: int = 200) -> Response:
        return Response(wire.standing(queries.standing_to(self.actor, listing)), status=status)


class Like(_StandingView):
    @extend_schema(request=None, responses={201: wire.StandingWire}, tags=["market"])
    def post(self, request: Request, **names: str) -> Response:
        """Like it. Safe to repeat."""
        listing = self.listing()
        follows.like_listing(self.actor, listing)
        return self.answer_standing(listing, status=201)

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, **names: str) -> Response:
        """Take the like back."""
        follows.unlike_listing(self.actor, self.listing())
        return Response(status=204)


class FollowListing(_StandingView):
    @extend_schema(responses=wire.StandingWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """Whether the caller likes it, follows it, follows its seller."""
        self.actor.require_authenticated()
        return self.answer_standing(self.listing())

    @extend_schema(request=None, responses={201: wire.StandingWire}, tags=["market"])
    def post(self, request: Request, **names: str) -> Response:
        """Be told of its new versions, prices and end. Safe to repeat."""
        listing = self.listing()
        follows.follow_listing(self.actor, listing)
        return self.answer_standing(listing, status=201)

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, **names: str) -> Response:
        """Be told no more."""
        follows.unfollow_listing(self.actor, self.listing())
        return Response(status=204)


class FollowNamespace(View):
    @extend_schema(request=None, responses={204: None}, tags=["market"])
    def post(self, request: Request, name: str) -> Response:
        """Be told of what it lists. Safe to repeat."""
        follows.follow_namespace(self.actor, name)
        return Response(status=204)

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, name: str) -> Response:
        """Be told no more."""
        follows.unfollow_namespace(self.actor, name)
        return Response(status=204)


class Follows(View):
    @extend_schema(responses=page_of(wire.FollowWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request) -> Response:
        """What the caller follows, newest first."""
        self.actor.require_authenticated()
        return self.paged(queries.follows_of(self.actor, cursor=self.cursor, limit=self.page_limit()), wire.follow)


class Collections(View):
    @extend_schema(
        responses=page_of(wire.CollectionWire),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("namespace", str, description="Of this owner alone.")],
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Collections that the caller may see, the one changed last first."""
        owner = request.query_params.get("namespace", "")
        page = community_queries.page_of_collections(
            self.actor, owners=[owner] if owner else [], cursor=self.cursor, limit=self.page_limit()
        )
        held = queries.listings_in(self.actor, page.items)
        return self.paged(page, lambda row: wire.collection(row, held[row.pk]))

    @extend_schema(
        request=wire.CollectionNew, responses={201: wire.CollectionWire}, parameters=[KEY_PARAMETER], tags=["market"]
    )
    def post(self, request: Request) -> Response:
        """Make an empty collection."""
        self.actor.require_authenticated()
        given = self.given(wire.CollectionNew)
        owner, title = given.pop("namespace"), given.pop("title")
        return self.creating(
            lambda: _shown(self.actor, collections.create_collection(self.actor, owner, title, **given).uuid)
        )


class CollectionOne(View):
    @extend_schema(responses=wire.CollectionWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One collection, with the listings and repositories in it that the caller may see."""
        return Response(_shown(self.actor, uuid))

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Remove it; what is in it stays where it is."""
        collections.delete_collection(self.actor, require_collection(self.actor, uuid))
        return Response(status=204)


class CollectionListings(View):
    @extend_schema(request=wire.CollectionListingNew, responses={201: wire.CollectionWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Put a listing into it. Safe to repeat."""
        given = self.given(wire.CollectionListingNew)
        found = require_listing_by_uuid(self.actor, given["listing"])
        collecting.add_to_collection(self.actor, uuid, found, note=given["note"])
        return Response(_shown(self.actor, uuid), status=201)


class CollectionListingOne(View):
    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID, listing: UUID) -> Response:
        """Take a listing out of it. Safe to repeat."""
        collecting.take_from_collection(self.actor, uuid, listing)
        return Response(status=204)


def _shown(actor: Any, uuid: UUID) -> dict[str, Any]:
    found = require_collection(actor, uuid)
    community_queries.attach_items(actor, [found])
    return wire.collection(found, queries.listings_in(actor, [found])[found.pk])
