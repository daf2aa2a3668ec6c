"""Recalls: opening, what is reached, what is done about it, evidence."""

from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import Actor
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from common.errors import Forbidden
from common.pagination import keyset_page
from common.spreadsheets import csv_lines
from market import recall_evidence
from market import recall_queries as queries
from market.recall_policies import decides, manages, require_recall, visible_recalls
from market.recalls import Category, Deed, FreezeScope, ItemKind, ItemState, RecallState, Severity, word_of
from market.services import recall_actions, recall_retraining, recalls

KINDS = [each.value for each in ItemKind]
STATES = [each.value for each in ItemState]


class RecallTallyWire(serializers.Serializer):
    kind = serializers.ChoiceField([*KINDS, queries.PRIVATE])
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class RecallHiddenWire(serializers.Serializer):
    derived_from = serializers.CharField()
    count = serializers.IntegerField()
    done = serializers.IntegerField()


class RecallWire(serializers.Serializer):
    """`private_note`: for those who decide about it, else null. `progress` and `private`: of what the caller may know of."""

    uuid = serializers.UUIDField()
    version = serializers.UUIDField(allow_null=True, help_text="Null for who may not see it.")
    title = serializers.CharField()
    namespace = serializers.CharField(allow_null=True)
    category = serializers.ChoiceField([each.value for each in Category])
    severity = serializers.ChoiceField([each.value for each in Severity])
    reason = serializers.CharField()
    advice = serializers.CharField()
    private_note = serializers.CharField(allow_null=True)
    is_by_staff = serializers.BooleanField()
    replacement = serializers.UUIDField(allow_null=True)
    state = serializers.ChoiceField([each.value for each in RecallState])
    freeze_scope = serializers.CharField(allow_blank=True, help_text="own, all, or empty: nothing is frozen.")
    opened_at = serializers.DateTimeField()
    walked_at = serializers.DateTimeField(allow_null=True)
    is_cut = serializers.BooleanField(help_text="There is more below it than one walk takes.")
    closed_at = serializers.DateTimeField(allow_null=True)
    lifted_at = serializers.DateTimeField(allow_null=True)
    lift_reason = serializers.CharField(allow_blank=True)


class RecallDetailWire(RecallWire):
    progress = RecallTallyWire(many=True)
    private = RecallHiddenWire(many=True)
    can_manage = serializers.BooleanField()


class RecallStepWire(serializers.Serializer):
    relation = serializers.CharField()
    title = serializers.CharField()


class RecallItemWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(KINDS)
    object_uuid = serializers.UUIDField()
    title = serializers.CharField()
    owner = serializers.CharField()
    order = serializers.UUIDField(allow_null=True)
    way = RecallStepWire(many=True)
    state = serializers.ChoiceField(STATES)
    action = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    problem = serializers.CharField(allow_blank=True)
    job = serializers.UUIDField(allow_null=True)
    changed_by = serializers.CharField(allow_null=True)
    changed_at = serializers.DateTimeField(allow_null=True)
    frozen_at = serializers.DateTimeField(allow_null=True)
    told_at = serializers.DateTimeField(allow_null=True)
    refunded_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class RecallEventWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    at = serializers.DateTimeField()
    word = serializers.CharField()
    item = serializers.UUIDField(allow_null=True)
    item_title = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    detail = serializers.DictField()
    by = serializers.CharField()
    audit_sequence = serializers.IntegerField()
    audit_sha256 = serializers.CharField()


class RecallNew(serializers.Serializer):
    version_uuid = serializers.UUIDField()
    category = serializers.ChoiceField([each.value for each in Category])
    severity = serializers.ChoiceField([each.value for each in Severity])
    reason = serializers.CharField(max_length=2000)
    advice = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    private_note = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    replacement = serializers.UUIDField(required=False, allow_null=True)


class RecallChange(serializers.Serializer):
    reason = serializers.CharField(max_length=2000, required=False)
    advice = serializers.CharField(max_length=2000, required=False)
    private_note = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    replacement = serializers.UUIDField(required=False)


class RecallFreezeNew(serializers.Serializer):
    scope = serializers.ChoiceField([each.value for each in FreezeScope], required=False, default="own")


class RecallRefundsNew(serializers.Serializer):
    seller = serializers.CharField(max_length=96, required=False, default="", allow_blank=True)
    percent = serializers.IntegerField(min_value=1, max_value=100, required=False, default=100)


class RecallLiftNew(serializers.Serializer):
    reason = serializers.CharField(max_length=2000)


class RecallHandlingNew(serializers.Serializer):
    deed = serializers.ChoiceField([each.value for each in Deed])
    note = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class RecallOwnHandlingNew(serializers.Serializer):
    deed = serializers.ChoiceField([Deed.ACKNOWLEDGE.value, Deed.HANDLE.value])
    note = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class RecallHandledWire(serializers.Serializer):
    items = serializers.IntegerField()


class RecallRetrainingNew(serializers.Serializer):
    replacement = serializers.UUIDField(required=False, allow_null=True, default=None)


class RecallWalkWire(serializers.Serializer):
    new_items = serializers.IntegerField()


class RecallActionWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class Recalls(View):
    @extend_schema(
        responses=page_of(RecallWire),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("state", str, enum=[each.value for each in RecallState])],
        tags=["recalls"],
    )
    def get(self, request: Request) -> Response:
        """Recalls that the caller may see: of versions it sees, those it manages, those that reach something of its own; newest first."""
        found = visible_recalls(self.actor)
        if state := request.query_params.get("state", ""):
            found = found.filter(state=word_of(RecallState, state, "state"))
        page = keyset_page(found, order=("-opened_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        titles = queries.titles_for(self.actor, page.items)
        return self.paged(page, lambda row: _recall(self.actor, row, titles[row.pk]))

    @extend_schema(request=RecallNew, responses={201: RecallDetailWire}, parameters=[KEY_PARAMETER], tags=["recalls"])
    def post(self, request: Request) -> Response:
        """Recall a version, with a reason that everybody reads: for owners and admins of its namespace, and staff."""
        self.actor.require_authenticated()
        given = self.given(RecallNew)
        return self.creating(lambda: _detail(self.actor, recalls.open_recall(self.actor, **given)))


class Recall(View):
    @extend_schema(responses=RecallDetailWire, tags=["recalls"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One recall, and how far it is."""
        return Response(_detail(self.actor, require_recall(self.actor, uuid)))

    @extend_schema(request=RecallChange, responses=RecallDetailWire, tags=["recalls"])
    def patch(self, request: Request, uuid: UUID) -> Response:
        """Say it better, or name a replacement."""
        given = self.given(RecallChange, partial=True)
        return Response(_detail(self.actor, recalls.change_recall(self.actor, uuid, **given)))


class RecallItems(View):
    @extend_schema(
        responses=page_of(RecallItemWire),
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("kind", str, enum=KINDS),
            OpenApiParameter("state", str, enum=STATES),
        ],
        tags=["recalls"],
    )
    def get(self, request: Request, uuid: UUID) -> Response:
        """What it reaches, as far as the caller may know of it, in the order it was found."""
        recall = require_recall(self.actor, uuid)
        kind, state = (request.query_params.get(name, "") for name in ("kind", "state"))
        page = queries.page_of_items(
            recall,
            queries.sight_of(self.actor, recall),
            kind=word_of(ItemKind, kind, "kind") if kind else "",
            state=word_of(ItemState, state, "state") if state else "",
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        ways = queries.ways_in_words(self.actor, page.items)
        return self.paged(page, lambda row: _item(row, ways[row.pk]))


class RecallItemHandling(View):
    @extend_schema(request=RecallHandlingNew, responses=RecallItemWire, tags=["recalls"])
    def put(self, request: Request, uuid: UUID, item: UUID) -> Response:
        """Acknowledge an item, mark it handled, contest it, waive it (staff) or open it again. Safe to repeat."""
        given = self.given(RecallHandlingNew)
        row = recalls.handle_item(self.actor, uuid, item, given["deed"], text=given["note"])
        return Response(_item(row, queries.ways_in_words(self.actor, [row])[row.pk]))


class RecallOwnHandling(View):
    @extend_schema(request=RecallOwnHandlingNew, responses=RecallHandledWire, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Acknowledge or handle everything of the caller's that is open in it."""
        given = self.given(RecallOwnHandlingNew)
        return Response({"items": recalls.handle_own(self.actor, uuid, given["deed"], text=given["note"])})


class RecallItemRetraining(View):
    @extend_schema(request=RecallRetrainingNew, responses=RecallItemWire, tags=["recalls"])
    def put(self, request: Request, uuid: UUID, item: UUID) -> Response:
        """Open the job that makes an item of one's own anew, from the replacement. Safe to repeat."""
        given = self.given(RecallRetrainingNew)
        row = recall_retraining.retrain_item(self.actor, uuid, item, replacement=given["replacement"])
        return Response(_item(row, queries.ways_in_words(self.actor, [row])[row.pk]))


class RecallEvents(View):
    @extend_schema(responses=page_of(RecallEventWire), parameters=PAGE_PARAMETERS, tags=["recalls"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """What happened, newest first, as far as the caller may know of it."""
        recall = _taking_part(self.actor, uuid)
        sight = queries.sight_of(self.actor, recall)
        return self.paged(queries.page_of_events(recall, sight, cursor=self.cursor, limit=self.page_limit()), _event)


class RecallFreeze(View):
    @extend_schema(request=RecallFreezeNew, responses=RecallDetailWire, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Stop sales and calls of it; `all`, for staff, reaches what others have made of it. Safe to repeat."""
        return Response(_detail(self.actor, recalls.freeze(self.actor, uuid, **self.given(RecallFreezeNew))))

    @extend_schema(responses={204: None}, tags=["recalls"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Let sales and calls go on. Safe to repeat."""
        recalls.unfreeze(self.actor, uuid)
        return Response(status=204)


class RecallTelling(View):
    @extend_schema(request=None, responses={202: RecallActionWire}, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Tell everybody whom it concerns, once each."""
        return Response(_action(recall_actions.tell_everybody(self.actor, uuid)), status=202)


class RecallRetraining(View):
    @extend_schema(request=None, responses={202: RecallActionWire}, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Open jobs that make anew what the recalling namespace has made of it. Safe to repeat."""
        return Response(_action(recall_actions.retrain_own(self.actor, uuid)), status=202)


class RecallRefunds(View):
    @extend_schema(request=RecallRefundsNew, responses={202: RecallActionWire}, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Pay the holders' orders back, one by one; what can't be is listed with the reason. Safe to repeat."""
        return Response(
            _action(recall_actions.refund_holders(self.actor, uuid, **self.given(RecallRefundsNew))), status=202
        )


class RecallWalk(View):
    @extend_schema(request=None, responses=RecallWalkWire, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Look again what it reaches."""
        return Response({"new_items": recalls.ask_walk(self.actor, uuid)})


class RecallClosure(View):
    @extend_schema(request=None, responses=RecallDetailWire, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Say that everything is handled; 409 with the number while something is left. Safe to repeat."""
        return Response(_detail(self.actor, recalls.close_recall(self.actor, uuid)))

    @extend_schema(responses={204: None}, tags=["recalls"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Open it again. Safe to repeat."""
        recalls.reopen_recall(self.actor, uuid)
        return Response(status=204)


class RecallLifting(View):
    @extend_schema(request=RecallLiftNew, responses=RecallDetailWire, tags=["recalls"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Take a mistaken recall back: all is open as before, and everybody is told. Safe to repeat."""
        return Response(_detail(self.actor, recalls.lift_recall(self.actor, uuid, **self.given(RecallLiftNew))))


class RecallEvidence(View):
    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT}, tags=["recalls"])
    def get(self, request: Request, uuid: UUID) -> StreamingHttpResponse:
        """Items, events, refunds and audit hashes as one JSON file with a digest, as far as the caller may know of them."""
        recall = _taking_part(self.actor, uuid)
        return StreamingHttpResponse(
            recall_evidence.json_pieces(self.actor, recall),
            content_type="application/json",
            headers={
                "Content-Disposition": f'attachment; filename="recall-{recall.uuid}.json"',
                "Cache-Control": "private, no-store",
            },
        )


class RecallTable(View):
    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR}, tags=["recalls"])
    def get(self, request: Request, uuid: UUID) -> StreamingHttpResponse:
        """The items as a CSV file."""
        recall = _taking_part(self.actor, uuid)
        return StreamingHttpResponse(
            csv_lines(recall_evidence.HEADINGS, recall_evidence.csv_rows(self.actor, recall)),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="recall-{recall.uuid}.csv"',
                "Cache-Control": "private, no-store",
            },
        )


def _taking_part(actor: Actor, uuid: UUID) -> Any:
    """A recall that the actor manages or that reaches something of its own. Raises NotFound, Unauthenticated, Forbidden."""
    recall = require_recall(actor, uuid)
    if not manages(actor, recall) and not queries.sight_of(actor, recall).tallies:
        actor.require_authenticated()
        raise Forbidden("This recall reaches nothing of yours.")
    return recall


def _recall(actor: Actor, row: Any, title: str) -> dict[str, Any]:
    """Wants version, namespace and replacement joined."""
    is_shown = title == row.title
    return {
        "uuid": row.uuid,
        "version": row.version.uuid if is_shown else None,
        "title": title,
        "namespace": row.namespace.name if is_shown else None,
        "category": row.category,
        "severity": row.severity,
        "reason": row.reason,
        "advice": row.advice,
        "private_note": row.private_note if decides(actor, row) else None,
        "is_by_staff": row.is_by_staff,
        "replacement": row.replacement.uuid if row.replacement and is_shown else None,
        "state": row.state,
        "freeze_scope": row.freeze_scope,
        "opened_at": row.opened_at,
        "walked_at": row.walked_at,
        "is_cut": row.is_cut,
        "closed_at": row.closed_at,
        "lifted_at": row.lifted_at,
        "lift_reason": row.lift_reason,
    }


def _detail(actor: Actor, row: Any) -> dict[str, Any]:
    sight = queries.sight_of(actor, row)
    return _recall(actor, row, queries.title_for(actor, row)) | {
        "progress": [{"kind": each.kind, "done": each.done, "total": each.total} for each in sight.tallies],
        "private": [{"derived_from": each.parent, "count": each.count, "done": each.done} for each in sight.hidden],
        "can_manage": manages(actor, row),
    }


def _item(row: Any, way: list[tuple[str, str, str]]) -> dict[str, Any]:
    """Wants the owner joined."""
    return {
        "uuid": row.uuid,
        "kind": row.kind,
        "object_uuid": row.object_uuid,
        "title": row.title,
        "owner": row.owner.name,
        "order": row.order.uuid if row.order else None,
        "way": [{"relation": relation, "title": title} for relation, title, _ in way],
        "state": row.state,
        "action": row.action,
        "note": row.note,
        "problem": row.problem,
        "job": row.job_uuid,
        "changed_by": row.changed_by.username if row.changed_by else None,
        "changed_at": row.changed_at,
        "frozen_at": row.frozen_at,
        "told_at": row.told_at,
        "refunded_at": row.refunded_at,
        "created_at": row.created_at,
    }


def _event(row: Any) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "at": row.at,
        "word": row.word,
        "item": row.item.uuid if row.item else None,
        "item_title": row.item.title if row.item else "",
        "note": row.note,
        "detail": row.detail,
        "by": row.by_label,
        "audit_sequence": row.audit_sequence,
        "audit_sha256": row.audit_sha256,
    }


def _action(row: Any) -> dict[str, Any]:
    return {"uuid": row.uuid, "kind": row.kind, "created_at": row.created_at, "finished_at": row.finished_at}
