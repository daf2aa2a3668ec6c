"""What belongs to one listing beside its texts: readiness, reviews, pictures, changes; and the private catalogue of an organisation."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace, require_organization
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.market import wire
from api.v1.market.views import ListingView
from api.v1.registry.views import RawParser
from common.pagination import keyset_page
from market import policies, queries
from market.ready_queries import readiness_of
from market.services import images, reviews
from market.showing import changelog_of, showings_of

LISTING_PAGE = page_of(wire.ListingWire)


class Readiness(ListingView):
    @extend_schema(responses=wire.ReadinessWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """What is there and what is missing before it can be published, with a sentence and a link for each."""
        listing = self.listing(Action.LISTING_MANAGE)
        checks = readiness_of(listing)
        return Response(
            {
                "is_ready": all(each.is_ok for each in checks),
                "needs_review": policies.needs_review(listing),
                "checks": [wire.check(each) for each in checks],
            }
        )


class Changelog(ListingView):
    @extend_schema(responses=wire.ChangelogWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """The release notes of the last versions on its channel, newest first."""
        return Response({"items": [wire.change(each) for each in changelog_of(self.listing())]})


class Images(ListingView):
    parser_classes = (RawParser,)

    @extend_schema(
        request={"image/*": OpenApiTypes.BINARY},
        responses={201: wire.ImageWire},
        parameters=[OpenApiParameter("alt", str, required=True, description="What it shows; at most 200 characters.")],
        tags=["market"],
    )
    def post(self, request: Request, **names: str) -> Response:
        """Add a picture to the end of the gallery: the body is a PNG, JPEG or WebP file of at most 5 MB. A listing has eight at most;
        the first one stands on the card."""
        listing = self.listing(Action.LISTING_MANAGE)
        stream: Any = request.data
        content = stream.read(images.UPLOAD_LIMIT + 1)
        made = images.add_image(self.actor, listing, content=content, alt=request.query_params.get("alt", ""))
        return Response(wire.image(made), status=201)


class Image(ListingView):
    @extend_schema(responses={(200, "image/*"): OpenApiTypes.BINARY}, tags=["market"])
    def get(self, request: Request, uuid: UUID, **names: str) -> HttpResponse:
        """The picture itself."""
        image = images.image_of(self.listing(), uuid)
        headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
        return HttpResponse(images.content_of(image), content_type=image.media_type, headers=headers)

    @extend_schema(request=wire.ImageChange, responses=wire.ImageWire, tags=["market"])
    def patch(self, request: Request, uuid: UUID, **names: str) -> Response:
        """Say anew what it shows, or move it to a place in the order."""
        image = images.image_of(self.listing(Action.LISTING_MANAGE), uuid)
        images.change_image(self.actor, image, **self.given(wire.ImageChange, partial=True))
        return Response(wire.image(images.image_of(image.listing, uuid)))

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID, **names: str) -> Response:
        """Take it out of the gallery."""
        images.remove_image(self.actor, images.image_of(self.listing(Action.LISTING_MANAGE), uuid))
        return Response(status=204)


class ReviewQueue(View):
    @extend_schema(responses=LISTING_PAGE, parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request) -> Response:
        """Listings that wait for the caller's review, the longest waiting first."""
        self.actor.require_authenticated()
        page = keyset_page(
            policies.review_queue(self.actor).prefetch_related(queries.with_offers()),
            order=("submitted_at", "pk"),
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        shown = showings_of(page.items)
        return self.paged(page, lambda each: wire.listing(each, each.offers, shown[each.pk]))  # type: ignore[attr-defined]


class Review(ListingView):
    def reviewed(self) -> Any:
        return policies.require_review(self.actor, self.listing().uuid)

    @extend_schema(responses=page_of(wire.ReviewEntryWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """What was said and decided in its reviews, oldest first; for the seller and the reviewers."""
        self.actor.require_authenticated()
        page = reviews.page_of_thread(self.reviewed(), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.review_entry)

    @extend_schema(
        request=wire.ReviewCommentNew,
        responses={201: wire.ReviewEntryWire},
        parameters=[KEY_PARAMETER],
        tags=["market"],
    )
    def post(self, request: Request, **names: str) -> Response:
        """Say something in the thread."""
        self.actor.require_authenticated()
        listing, given = self.reviewed(), self.given(wire.ReviewCommentNew)
        return self.creating(
            lambda: wire.review_entry(reviews.comment_on_review(self.actor, listing, text=given["text"]))
        )


class ReviewDecided(ListingView):
    @extend_schema(request=wire.ReviewDecision, responses=wire.ListingWire, tags=["market"])
    def put(self, request: Request, **names: str) -> Response:
        """Approve it, with each point of the checklist confirmed, or return it with a text. Nobody decides their own submission."""
        self.actor.require_authenticated()
        listing = policies.require_review(self.actor, self.listing().uuid)
        given = self.given(wire.ReviewDecision)
        common = {"text": given["text"], "submission": given["submission"]}
        if given["is_approved"]:
            return self.answer(reviews.approve_listing(self.actor, listing, checks=given["checks"], **common))
        return self.answer(reviews.return_listing(self.actor, listing, **common))


class ReviewPolicy(View):
    @extend_schema(responses=wire.ReviewPolicyWire, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """Whether an organisation wants its listings reviewed."""
        namespace = require_namespace(self.actor, name, Action.NAMESPACE_READ)
        return Response({"is_needed": policies.wants_reviews(namespace.pk)})

    @extend_schema(request=wire.ReviewPolicyWire, responses=wire.ReviewPolicyWire, tags=["market"])
    def put(self, request: Request, name: str) -> Response:
        """Say whether it does."""
        given = self.given(wire.ReviewPolicyWire)
        return Response({"is_needed": reviews.want_reviews(self.actor, name, is_needed=given["is_needed"])})


class Catalogue(View):
    @extend_schema(responses=LISTING_PAGE, parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """The private catalogue of an organisation: what is published for its members, with what it offers everybody; newest first."""
        namespace = require_organization(self.actor, name).namespace
        page = keyset_page(
            policies.catalogue_of(self.actor, namespace.pk).prefetch_related(queries.with_offers()),
            order=("-published_at", "-pk"),
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        shown = showings_of(page.items)
        return self.paged(page, lambda each: wire.listing(each, each.offers, shown[each.pk]))  # type: ignore[attr-defined]
