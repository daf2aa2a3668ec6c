"""What a listing costs in all, for an expected traffic."""

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.market.views import ListingView
from common.errors import Invalid, NotFound
from market.cost_queries import costs_of, hardware
from market.costs import MOST_CALLS, MOST_MONTHS, MOST_ROWS, Traffic
from market.states import SubjectKind

if TYPE_CHECKING:
    from market.costs import Option


class CostLineWire(serializers.Serializer):
    text = serializers.CharField()
    minor = serializers.IntegerField(allow_null=True, help_text="Null: it explains and adds nothing.")


class CostOptionWire(serializers.Serializer):
    title = serializers.CharField()
    way = serializers.ChoiceField(["plan", "host"])
    currency = serializers.CharField()
    total_minor = serializers.IntegerField(allow_null=True, help_text="Over all months; null: see `why_not`.")
    lines = CostLineWire(many=True)
    why_not = serializers.CharField(allow_blank=True)
    uncertainty = serializers.CharField(allow_blank=True)
    is_recommended = serializers.BooleanField()


class MachineWire(serializers.Serializer):
    name = serializers.CharField()
    currency = serializers.CharField()
    hour_minor = serializers.IntegerField()
    memory_bytes = serializers.IntegerField(help_text="0: not said.")


class CostsWire(serializers.Serializer):
    version = serializers.CharField(allow_blank=True)
    calls_per_month = serializers.IntegerField()
    rows_per_call = serializers.IntegerField()
    months = serializers.IntegerField()
    utilisation_percent = serializers.IntegerField()
    hardware = MachineWire(many=True)
    options = CostOptionWire(many=True)
    notes = serializers.ListField(child=serializers.CharField())


class Costs(ListingView):
    @extend_schema(
        responses=CostsWire,
        parameters=[
            OpenApiParameter("calls_per_month", int, required=True),
            OpenApiParameter("rows_per_call", int, description="1 by default."),
            OpenApiParameter("months", int, description="12 by default; at most 60."),
            OpenApiParameter("hardware", str, description="Machines of this name alone."),
        ],
        tags=["market"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """Every way to have it, the cheapest first: its plans, and running the model oneself as fast as it was measured."""
        traffic = Traffic(
            self._number("calls_per_month", MOST_CALLS),
            self._number("rows_per_call", MOST_ROWS, "1"),
            self._number("months", MOST_MONTHS, "12"),
        )
        wanted = request.query_params.get("hardware", "")
        if wanted and wanted.casefold() not in {each.name.casefold() for each in hardware()}:
            names_of = ", ".join(each.name for each in hardware())
            raise Invalid(f"There is no such machine on the list: {names_of}.", fields={"hardware": "unknown"})
        listing = self.listing()
        if listing.subject_kind not in {SubjectKind.MODEL, SubjectKind.ENDPOINT}:
            raise NotFound("Costs are reckoned for models and endpoints.")
        found = costs_of(self.actor, listing, traffic, only_hardware=wanted)
        return Response(
            {
                "version": found.version,
                "calls_per_month": traffic.calls_per_month,
                "rows_per_call": traffic.rows_per_call,
                "months": traffic.months,
                "utilisation_percent": found.utilisation_percent,
                "hardware": [vars(each) for each in found.hardware],
                "options": [_option(each) for each in found.quote.options],
                "notes": found.notes,
            }
        )

    def _number(self, name: str, most: int, default: str = "") -> int:
        raw = self.request.query_params.get(name, default)
        if not raw.isascii() or not raw.isdigit() or len(raw) > 12 or not 1 <= int(raw) <= most:
            raise Invalid(f"{name} is a whole number from 1 to {most:,}.", fields={name: "out of range"})
        return int(raw)


def _option(row: "Option") -> dict[str, Any]:
    return {
        "title": row.title,
        "way": row.way,
        "currency": row.currency,
        "total_minor": row.total_minor,
        "lines": [{"text": line.text, "minor": line.minor} for line in row.lines],
        "why_not": row.why_not,
        "uncertainty": row.uncertainty,
        "is_recommended": row.is_recommended,
    }
