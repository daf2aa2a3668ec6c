"""Questions and discussions on listings."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.market import community_wire as wire
from api.v1.market.views import ListingView
from common.errors import Invalid
from market import thread_queries as queries
from market.community_policies import require_post, require_thread
from market.services import moderation, threads
from market.states import ThreadKind, ThreadState


class Threads(ListingView):
    @extend_schema(
        responses=page_of(wire.ThreadWire),
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("kind", str, enum=[kind.value for kind in ThreadKind]),
            OpenApiParameter("state", str, enum=[state.value for state in ThreadState]),
        ],
        tags=["market"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """Questions and discussions, the one written in last first."""
        listing, params = self.listing(), request.query_params
        kind, state = params.get("kind", ""), params.get("state", "")
        if kind not in {"", *ThreadKind} or state not in {"", *ThreadState}:
            raise Invalid("kind is question or discussion, state is open or closed.")
        page = queries.page_of_threads(listing, kind=kind, state=state, cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.thread)

    @extend_schema(
        request=wire.ThreadNew, responses={201: wire.ThreadWire}, parameters=[KEY_PARAMETER], tags=["market"]
    )
    def post(self, request: Request, **names: str) -> Response:
        """Ask a question, or begin a discussion."""
        listing, given = self.listing(), self.given(wire.ThreadNew)

        def make() -> dict[str, Any]:
            made = threads.open_thread(self.actor, listing, **given)
            return wire.thread(require_thread(self.actor, listing, made.number))

        return self.creating(make)


class _ThreadView(ListingView):
    def thread(self) -> Any:
        return require_thread(self.actor, self.listing(), self.kwargs["number"])


class Thread(_ThreadView):
    @extend_schema(responses=wire.ThreadWire, tags=["market"])
    def get(self, request: Request, number: int, **names: str) -> Response:
        """One question or discussion."""
        return Response(wire.thread(self.thread()))

    @extend_schema(request=wire.ThreadChange, responses=wire.ThreadWire, tags=["market"])
    def patch(self, request: Request, number: int, **names: str) -> Response:
        """Close it, open it again, or say which answer has settled it."""
        thread, given = self.thread(), self.given(wire.ThreadChange, partial=True)
        if "accepted" in given:
            answer = require_post(self.actor, given["accepted"]) if given["accepted"] else None
            threads.accept_answer(self.actor, thread, answer)
        if "state" in given:
            threads.set_state(self.actor, thread, is_open=given["state"] == ThreadState.OPEN)
        return Response(wire.thread(self.thread()))


class Posts(_ThreadView):
    @extend_schema(responses=page_of(wire.PostWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, number: int, **names: str) -> Response:
        """What was written, in order."""
        page = queries.page_of_posts(self.thread(), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, lambda row: wire.post(self.actor, row))

    @extend_schema(request=wire.PostNew, responses={201: wire.PostWire}, parameters=[KEY_PARAMETER], tags=["market"])
    def post(self, request: Request, number: int, **names: str) -> Response:
        """Answer."""
        thread, given = self.thread(), self.given(wire.PostNew)
        return self.creating(lambda: wire.post(self.actor, threads.write_post(self.actor, thread, **given)))


class Post(View):
    @extend_schema(request=wire.PostNew, responses=wire.PostWire, tags=["market"])
    def patch(self, request: Request, uuid: UUID) -> Response:
        """Change what one has written; the earlier text stays readable."""
        post = require_post(self.actor, uuid)
        return Response(wire.post(self.actor, threads.edit_post(self.actor, post, **self.given(wire.PostNew))))

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Take away what one has written; its place stays."""
        threads.delete_post(self.actor, require_post(self.actor, uuid))
        return Response(status=204)


class PostReports(View):
    @extend_schema(request=wire.ReportNew, responses={201: wire.ReportWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Say that it should not stand; staff decide. Repeating it changes nothing."""
        made = moderation.report(self.actor, require_post(self.actor, uuid), **self.given(wire.ReportNew))
        return Response(wire.report(made), status=201)
