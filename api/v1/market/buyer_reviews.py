"""Buyer reviews of listings, the seller's answers, reports and what staff decide about them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import PAGE_PARAMETERS, View, page_of
from api.v1.market import community_wire as wire
from api.v1.market.views import ListingView
from common.errors import Invalid
from common.pagination import keyset_page
from market import buyer_review_queries as queries
from market.community_policies import require_buyer_review, require_report, visible_reports
from market.services import buyer_reviews, moderation


class BuyerReviews(ListingView):
    @extend_schema(
        responses=wire.BuyerReviewPageWire,
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("version", str, description="Of this version alone."),
            OpenApiParameter("stars", int, description="With so many stars."),
        ],
        tags=["market"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """What buyers say of it, the review changed last first, with count, average and histogram."""
        listing = self.listing()
        version, stars = request.query_params.get("version", "")[:100], request.query_params.get("stars", "")
        if stars not in {"", "1", "2", "3", "4", "5"}:
            raise Invalid("stars is a number from 1 to 5.", fields={"stars": "1 to 5"})
        page = queries.page_of_reviews(
            self.actor,
            listing,
            version=version,
            stars=int(stars) if stars else None,
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        response = self.paged(page, wire.buyer_review)
        response.data["ratings"] = wire.ratings(queries.ratings_of(listing, version))
        return response

    @extend_schema(request=wire.BuyerReviewNew, responses={201: wire.BuyerReviewWire}, tags=["market"])
    def post(self, request: Request, **names: str) -> Response:
        """Write a review, or change one's own, for a buyer who has it and has used it; 409 `not_used` otherwise. There is one for each
        buyer and listing, so that repeating it is safe."""
        made = buyer_reviews.write_review(self.actor, self.listing(), **self.given(wire.BuyerReviewNew))
        return Response(wire.buyer_review(queries.with_answers(self.actor, made)), status=201)


class BuyerReview(View):
    @extend_schema(responses=wire.BuyerReviewHistoryWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One review with all that it and the seller's answer ever said."""
        review = queries.with_answers(self.actor, require_buyer_review(self.actor, uuid))
        said: Any = review.said  # type: ignore[attr-defined]
        return Response(
            {
                "review": wire.buyer_review(review),
                "revisions": [wire.revision(row) for row in queries.revisions_of(review)],
                "answers": [wire.answer(row) for row in said],
            }
        )


class BuyerReviewAnswer(View):
    @extend_schema(request=wire.SellerAnswerNew, responses={201: wire.SellerAnswerWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Answer it for the seller, or change the answer."""
        review = require_buyer_review(self.actor, uuid)
        made = buyer_reviews.answer_review(self.actor, review, **self.given(wire.SellerAnswerNew))
        return Response(wire.answer(made), status=201)


class BuyerReviewReports(View):
    @extend_schema(request=wire.ReportNew, responses={201: wire.ReportWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Say that it should not stand; staff decide. Repeating it changes nothing."""
        review = require_buyer_review(self.actor, uuid)
        made = moderation.report(self.actor, review, **self.given(wire.ReportNew))
        return Response(wire.report(made), status=201)


class Reports(View):
    @extend_schema(responses=page_of(wire.ReportWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request) -> Response:
        """For staff: what is reported and waits, the longest waiting first; of each thing the first report."""
        page = keyset_page(visible_reports(self.actor), order=("pk",), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.report)


class ReportDecision(View):
    @extend_schema(request=wire.ReportDecisionNew, responses={201: wire.ReportWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """For staff: hide what was reported, or let it stand, with the reason. It answers every open report of the same thing. Safe to
        repeat."""
        found, given = require_report(self.actor, uuid), self.given(wire.ReportDecisionNew)
        return Response(
            wire.report(moderation.decide(self.actor, found, is_upheld=given["hide"], reason=given["reason"])),
            status=201,
        )
