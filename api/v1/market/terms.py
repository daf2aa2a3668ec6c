"""The terms that orders were placed on."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import View
from market.order_terms import accepted_text


class TermsTextWire(serializers.Serializer):
    digest = serializers.CharField(help_text="SHA-256 of the text in UTF-8.")
    text = serializers.CharField()
    created_at = serializers.DateTimeField(help_text="When somebody first accepted it.")


class AcceptedTerms(View):
    @extend_schema(responses=TermsTextWire, tags=["market"])
    def get(self, request: Request, digest: str) -> Response:
        """The exact text on which orders of the caller's, or sales, were placed."""
        found = accepted_text(self.actor, digest)
        return Response({"digest": found.digest, "text": found.text, "created_at": found.created_at})
