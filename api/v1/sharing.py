"""Sharing one thing with people, organisations and teams, the same for repositories and endpoints; the services that share are theirs."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from accounts import queries
from accounts.permissions import Level
from accounts.policies import require_holder
from accounts.services.grants import SHARE
from api.v1.base import View

REPO_LEVELS = [Level.READ.codename, Level.WRITE.codename, Level.ADMIN.codename]
ENDPOINT_LEVELS = [Level.USE.codename, Level.WRITE.codename, Level.ADMIN.codename]


class ShareWire(serializers.Serializer):
    """`kind` and `uuid` are what takes the share back."""

    kind = serializers.ChoiceField(["user", "organization", "team"])
    uuid = serializers.UUIDField()
    name = serializers.CharField()
    level = serializers.CharField()
    created_at = serializers.DateTimeField()


class SharesWire(serializers.Serializer):
    """`other_count`: holders of rights that come from elsewhere, such as a purchase."""

    items = ShareWire(many=True)
    other_count = serializers.IntegerField()


class RepoShareNew(serializers.Serializer):
    """`holder`: the name of a person or of an organisation; a team as organisation/team."""

    holder = serializers.CharField(max_length=200)
    level = serializers.ChoiceField(REPO_LEVELS)


class EndpointShareNew(serializers.Serializer):
    """`holder`: the name of a person or of an organisation; a team as organisation/team."""

    holder = serializers.CharField(max_length=200)
    level = serializers.ChoiceField(ENDPOINT_LEVELS)


def share_with(
    view: View, subject: Any, wire: type[serializers.Serializer], share: Callable[..., None]
) -> dict[str, Any]:
    """Do what the body says through the service `share`; the list afterwards."""
    given = view.given(wire)
    share(view.actor, subject, require_holder(view.actor, given["holder"]), Level[given["level"].upper()])
    return shares(subject)


def shares(subject: Any) -> dict[str, Any]:
    """SharesWire of a thing that the caller administers."""
    return {
        "items": [
            {
                "kind": each.kind,
                "uuid": each.uuid,
                "name": each.name,
                "level": each.level.codename,
                "created_at": each.since,
            }
            for each in queries.shares_of(subject, SHARE)
        ],
        "other_count": queries.count_other_holders(subject, SHARE),
    }
