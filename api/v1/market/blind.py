"""Blind evaluations and their certificates."""

import hashlib
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.base import IDEMPOTENCY_HEADER, KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.market import blind_wire as wire
from api.v1.market.views import ListingView
from market import blind_policies, blind_queries, policies
from market.services import blind, certificates


class Evaluations(View):
    @extend_schema(
        responses=page_of(wire.BlindEvaluationWire),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("buyer", str)],
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Blind evaluations of the caller's namespaces, newest first."""
        self.actor.require_authenticated()
        rows = blind_policies.visible_evaluations(self.actor)
        if buyer := request.query_params.get("buyer"):
            rows = rows.filter(buyer__name__iexact=buyer)
        page = blind_queries.page_of_evaluations(rows, cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.evaluation)

    @extend_schema(
        request=wire.EvaluationNew,
        responses={201: wire.BlindEvaluationWire},
        parameters=[KEY_PARAMETER],
        tags=["market"],
    )
    def post(self, request: Request) -> Response:
        """Evaluate the model of a listing on a test set of one's own. Takes one of this month's runs; one that fails gives it back."""
        self.actor.require_authenticated()
        given = self.given(wire.EvaluationNew)
        listing = policies.require_listing(self.actor, given.pop("seller"), given.pop("listing"))
        given["data_uuid"] = given.pop("test_set")
        key = self._key(request.headers.get(IDEMPOTENCY_HEADER))

        def make() -> dict[str, Any]:
            made = blind.ask_for_evaluation(self.actor, listing, **given, key=key)
            return wire.evaluation(blind_policies.require_evaluation(self.actor, made.uuid))

        return self.creating(make)

    def _key(self, key: str | None) -> str | None:
        """The caller's key as the evaluation's: of a fixed length, and no other caller's."""
        return f"api:{hashlib.sha256(f'{self.actor.user_uuid}:{key}'.encode()).hexdigest()}" if key else None


class Evaluation(View):
    @extend_schema(responses=wire.BlindEvaluationWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One blind evaluation, with its score when it is done."""
        return Response(wire.evaluation(blind_policies.require_evaluation(self.actor, uuid)))


class _Change(View):
    """A view of a deed on one evaluation of the caller's."""

    def evaluation(self) -> Any:
        return blind_policies.require_evaluation(self.actor, self.kwargs["uuid"], to_change=True)

    def answer(self) -> Response:
        return Response(wire.evaluation(blind_policies.require_evaluation(self.actor, self.kwargs["uuid"])), status=201)


class Cancellation(_Change):
    @extend_schema(request=None, responses={201: wire.BlindEvaluationWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Give it up; the run comes back. Safe to repeat."""
        blind.cancel_evaluation(self.actor, self.evaluation())
        return self.answer()


class CertificatePublication(_Change):
    @extend_schema(request=None, responses={201: wire.BlindEvaluationWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Make the certificate public. Safe to repeat."""
        blind.publish_certificate(self.actor, self.evaluation())
        return self.answer()

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Take the certificate off its page and the listing; copies stay valid."""
        blind.withdraw_certificate(self.actor, self.evaluation())
        return Response(status=204)


class TookPlace(ListingView):
    @extend_schema(responses=page_of(wire.TookPlaceWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """For the seller: when blind evaluations of the listing took place."""
        listing = self.listing(Action.LISTING_MANAGE)
        rows = blind_policies.evaluations_that_took_place(self.actor).filter(listing=listing)
        page = blind_queries.page_of_evaluations(rows, cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.took_place)


class Terms(ListingView):
    @extend_schema(responses=wire.EvaluationTermsWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """Whether the listing can be evaluated blindly, and how often in a month."""
        return Response(blind.terms_of(self.listing()))

    @extend_schema(request=wire.TermsNew, responses=wire.EvaluationTermsWire, tags=["market"])
    def patch(self, request: Request, **names: str) -> Response:
        """Set how often a buyer may evaluate it in a month."""
        listing, given = self.listing(Action.LISTING_MANAGE), self.given(wire.TermsNew)
        return Response(blind.terms_of(blind.set_runs(self.actor, listing, given["runs_per_month"])))


class ShownCertificates(ListingView):
    @extend_schema(responses=wire.ShownList, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """The certificates that stand on the listing, newest first, at most 20."""
        return Response({"items": [wire.shown(row) for row in blind_queries.certificates_on(self.listing())]})


class ShownCertificate(ListingView):
    @extend_schema(request=None, responses={201: wire.TookPlaceWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID, **names: str) -> Response:
        """For the seller: let a published certificate stand on the listing. Safe to repeat."""
        listing = self.listing(Action.LISTING_MANAGE)
        row = blind.show_certificate(self.actor, listing, uuid, is_shown=True)
        return Response(wire.took_place(row), status=201)

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID, **names: str) -> Response:
        """Take it off the listing; its own page stays."""
        blind.show_certificate(self.actor, self.listing(Action.LISTING_MANAGE), uuid, is_shown=False)
        return Response(status=204)


class Certificate(View):
    @extend_schema(responses=wire.CertificateWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """A certificate: one that is published, or one's own."""
        return Response(certificates.document_of(blind_policies.require_certificate(self.actor, uuid)))


class CertificateKeys(View):
    @extend_schema(responses=wire.KeyList, tags=["market"])
    def get(self, request: Request) -> Response:
        """The public keys of this site's certificates, newest first, retired ones too."""
        return Response({"items": [wire.key(row) for row in blind_queries.certificate_keys()]})


class CertificateVerifications(View):
    @extend_schema(request=wire.VerificationNew, responses=wire.VerificationWire, tags=["market"])
    def post(self, request: Request) -> Response:
        """Check the signature of a certificate, with this site's keys or with the one given. Keeps nothing."""
        given = self.given(wire.VerificationNew)
        return Response(wire.verification(certificates.verify(given["document"], public_pem=given["public_key"])))
