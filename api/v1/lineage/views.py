"""Where a thing comes from and what came of it."""

from typing import cast
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import View
from api.v1.lineage import wire
from common.errors import Invalid, NotFound
from lineage.kinds import cards
from lineage.queries import DEPTH_LIMIT, Direction, visible_subgraph
from lineage.services.record import Ref

DIRECTIONS = ["up", "down", "both"]


class Lineage(View):
    @extend_schema(
        responses=wire.GraphWire,
        parameters=[
            OpenApiParameter("direction", str, enum=DIRECTIONS),
            OpenApiParameter("depth", int, description=f"Steps from the thing, 1 to {DEPTH_LIMIT}; 10 by default."),
        ],
        tags=["lineage"],
    )
    def get(self, request: Request, kind: str, uuid: UUID) -> Response:
        """The graph around a version, job, endpoint, listing or order that the caller may see."""
        direction = request.query_params.get("direction", "both")
        if direction not in DIRECTIONS:
            raise Invalid("direction is up, down or both.", fields={"direction": "unknown"})
        depth = request.query_params.get("depth", "10")
        if not depth.isascii() or not depth.isdigit() or len(depth) > 4 or not 1 <= int(depth) <= DEPTH_LIMIT:
            raise Invalid(f"depth is a number from 1 to {DEPTH_LIMIT}.", fields={"depth": "out of range"})
        ref = Ref(kind, uuid)
        if not cards(self.actor, {kind: [uuid]}):
            raise NotFound("There is no such thing.")
        return Response(
            wire.graph(visible_subgraph(self.actor, ref, direction=cast("Direction", direction), depth=int(depth)))
        )
