"""Notices, and how one wants to be told."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries
from accounts.permissions import Scope
from api.v1.accounts import wire
from api.v1.base import PAGE_PARAMETERS, View, page_of
from common.errors import Invalid
from notices import preferences
from notices import queries as notice_queries
from notices import services as notices
from notices.services.preferences import set_preferences
from notices.topics import TOPICS, Delivery, Topic

TOPIC_NAMES = [topic.value for topic in Topic]


class NoticePreferenceWire(serializers.Serializer):
    topic = serializers.ChoiceField(TOPIC_NAMES)
    title = serializers.CharField()
    delivery = serializers.ChoiceField([each.value for each in Delivery])
    can_be_off = serializers.BooleanField()


class NoticePreferencesWire(serializers.Serializer):
    topics = NoticePreferenceWire(many=True)
    hour = serializers.IntegerField(help_text="Of the digests, 0 to 23, in `timezone`.")
    weekday = serializers.IntegerField(help_text="Of the weekly digest, 0 Monday to 6 Sunday.")
    timezone = serializers.CharField()


class NoticePreferencesChange(serializers.Serializer):
    topics = serializers.DictField(
        child=serializers.CharField(max_length=10),
        required=False,
        default=dict,
        help_text="`{topic: site | mail | daily | weekly | off}`, for those to change.",
    )
    hour = serializers.IntegerField(min_value=0, max_value=23, required=False)
    weekday = serializers.IntegerField(min_value=0, max_value=6, required=False)


class Notices(View):
    @extend_schema(
        responses=page_of(wire.NoticeWire),
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("topic", str, enum=TOPIC_NAMES),
            OpenApiParameter("unread", bool, description="Only those not read yet."),
        ],
        tags=["accounts"],
    )
    def get(self, request: Request) -> Response:
        """What one has been told, newest first."""
        self.actor.require_authenticated()
        topic, unread = request.query_params.get("topic", ""), request.query_params.get("unread", "false")
        if topic not in {"", *TOPIC_NAMES}:
            raise Invalid(f"topic is one of: {', '.join(TOPIC_NAMES)}.", fields={"topic": "unknown"})
        if unread not in {"true", "false"}:
            raise Invalid("unread is true or false.", fields={"unread": "true or false"})
        page = notice_queries.notices_of(
            self.actor, topic=topic, is_unread=unread == "true", cursor=self.cursor, limit=self.page_limit()
        )
        return self.paged(page, wire.notice)

    @extend_schema(request=None, responses={204: None}, tags=["accounts"])
    def post(self, request: Request) -> Response:
        """Mark everything as read."""
        notices.mark_read(self.actor)
        return Response(status=204)


class NoticeReading(View):
    @extend_schema(request=None, responses={204: None}, tags=["accounts"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Mark one as read. Safe to repeat."""
        notices.mark_read(self.actor, uuid)
        return Response(status=204)


class NoticePreferences(View):
    @extend_schema(responses=NoticePreferencesWire, tags=["accounts"])
    def get(self, request: Request) -> Response:
        """How one hears of each topic, and when digests come."""
        self.actor.require_authenticated()
        self.actor.require_scope(Scope.ACCOUNT_READ)
        return Response(self._shown())

    @extend_schema(request=NoticePreferencesChange, responses=NoticePreferencesWire, tags=["accounts"])
    def patch(self, request: Request) -> Response:
        """Choose anew for the topics given. Money, security and purchases can't be switched off."""
        self.actor.require_authenticated()
        given = self.given(NoticePreferencesChange)
        set_preferences(self.actor, given["topics"], hour=given.get("hour"), weekday=given.get("weekday"))
        return Response(self._shown())

    def _shown(self) -> dict[str, Any]:
        hour, weekday = preferences.digest_time_of(self.actor.person_id)
        chosen = preferences.preferences_of(self.actor.person_id)
        topics = [
            {"topic": topic, "title": TOPICS[topic].title, "delivery": delivery, "can_be_off": TOPICS[topic].can_be_off}
            for topic, delivery in chosen.items()
        ]
        zone = queries.user_of(self.actor).timezone
        return {"topics": topics, "hour": hour, "weekday": weekday, "timezone": zone}
