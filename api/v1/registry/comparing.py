"""Versions side by side, and what they say to one input."""

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import KEY_PARAMETER, View
from api.v1.registry import comparing_wire as wire
from common.errors import Invalid
from market.prices import compare_offers
from registry.comparison.naming import named_versions, ref_of
from registry.comparison.shape import LIMIT, only_changed
from registry.services import studies, trials

if TYPE_CHECKING:
    from registry.models import Trial, Version

VERSIONS = OpenApiParameter(
    "v", str, many=True, required=True, description=f"A version like acme/digits@1.0, two to {LIMIT} times."
)
BASE = OpenApiParameter("base", str, description="The version that the others are compared with; the first by default.")


class Comparison(View):
    @extend_schema(
        responses=wire.ComparisonWire,
        parameters=[
            VERSIONS,
            BASE,
            OpenApiParameter("only", str, enum=["changed"], description="Leave out rows in which all are alike."),
        ],
        tags=["comparison"],
    )
    def get(self, request: Request) -> Response:
        """Metrics with paired tests, slices, signatures, sizes, weights, licences and prices of versions, row by row."""
        params = request.query_params
        versions, base = _named(self, params.getlist("v"), params.get("base", ""))
        found = compare_offers(self.actor, versions, base)
        groups = only_changed(found.groups) if params.get("only") == "changed" else found.groups
        return Response(wire.comparison(found, groups))


class Studies(View):
    @extend_schema(request=wire.StudyNew, responses={202: wire.StudyStates}, tags=["comparison"])
    def post(self, request: Request) -> Response:
        """Have weights compared with the base's, or speed and memory measured, in a sandbox. Asked twice, it is done once; the
        comparison holds the result when it is there."""
        self.actor.require_authenticated()
        given = self.given(wire.StudyNew)
        versions, base = _named(self, given["versions"], given["base"])
        for place, version in enumerate(versions):
            if given["study"] == "speed":
                studies.ask_speed(self.actor, version)
            elif place != base:
                studies.ask_weights(self.actor, versions[base], version)
        return Response(wire.studies(compare_offers(self.actor, versions, base), given["study"]), status=202)


class Trials(View):
    @extend_schema(
        request=wire.TrialNew, responses={201: wire.TrialWire}, parameters=[KEY_PARAMETER], tags=["comparison"]
    )
    def post(self, request: Request) -> Response:
        """Give several versions one input: `inputs` (tensors of the Open Inference Protocol), `columns` with `rows`, or `picture`
        (base64). The answers are there in some seconds."""
        self.actor.require_authenticated()
        given = self.given(wire.TrialNew)
        versions, _ = _named(self, given["versions"], "")
        return self.creating(lambda: _answers(self, _started(self, versions, given), versions))


class TrialOne(View):
    @extend_schema(responses=wire.TrialWire, parameters=[VERSIONS], tags=["comparison"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """What versions say to an input that was given."""
        versions, _ = _named(self, request.query_params.getlist("v"), "")
        return Response(_answers(self, trials.trial_of(uuid), versions))


def _named(view: View, refs: Sequence[str], base: str) -> "tuple[list[Version], int]":
    versions = named_versions(view.actor, refs)
    if len(versions) < 2:
        raise Invalid("Name at least two versions to compare.", fields={"v": "too few"})
    names = [ref_of(version).lower() for version in versions]
    if base and base.lower() not in names:
        raise Invalid("The base must be one of the versions that are compared.", fields={"base": "not compared"})
    return versions, names.index(base.lower()) if base else 0


def _started(view: View, versions: "Sequence[Version]", given: dict[str, Any]) -> "Trial":
    if ("inputs" in given) + ("rows" in given) + ("picture" in given) != 1:
        raise Invalid("Give one of inputs, rows (with columns) or picture.", fields={"inputs": "one of three"})
    if "inputs" in given:
        return trials.try_tensors(view.actor, versions, given["inputs"])
    if "rows" in given:
        return trials.try_rows(view.actor, versions, given.get("columns", []), given["rows"])
    try:
        picture = base64.b64decode(given["picture"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("picture must be base64.", fields={"picture": "not base64"}) from error
    return trials.try_picture(view.actor, versions, picture)


def _answers(view: View, trial: "Trial", versions: "Sequence[Version]") -> dict[str, Any]:
    return wire.trial(trial, versions, trials.answers_of(view.actor, trial, versions))
