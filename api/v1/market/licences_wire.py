"""Licence checks and waivers on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from market.licences import WAIVABLE, Rule
from market.services.licences import TEXT_LIMIT, Check, licence_of, told

if TYPE_CHECKING:
    from market.models import LicenceWaiver

RULES = [each.value for each in Rule]


class ConflictWire(serializers.Serializer):
    """One edge and the rule that it breaks. What the caller may not see has no uuid and no name."""

    upstream = serializers.CharField()
    upstream_repo = serializers.UUIDField(allow_null=True)
    upstream_licence = serializers.CharField()
    downstream = serializers.CharField()
    downstream_repo = serializers.UUIDField(allow_null=True)
    downstream_licence = serializers.CharField()
    rule = serializers.ChoiceField(RULES)
    sentence = serializers.CharField()


class LicencedWire(serializers.Serializer):
    title = serializers.CharField()
    kind = serializers.CharField()
    repo = serializers.UUIDField(allow_null=True)
    version = serializers.UUIDField(allow_null=True)
    licence = serializers.CharField()
    is_known = serializers.BooleanField()


class LicenceCheckWire(serializers.Serializer):
    """`things`: what is sold and what went into it; `attribution`: whom a buyer has to name; `waivers`: those that are in force on
    this chain."""

    licence = serializers.CharField(allow_blank=True)
    is_free = serializers.BooleanField()
    conflicts = ConflictWire(many=True)
    things = LicencedWire(many=True)
    attribution = serializers.ListField(child=serializers.CharField())
    waivers = serializers.ListField(child=serializers.UUIDField())


class WaiverNew(serializers.Serializer):
    upstream = serializers.UUIDField()
    version = serializers.UUIDField(required=False, allow_null=True, default=None)
    downstream = serializers.UUIDField()
    rules = serializers.ListField(
        child=serializers.ChoiceField([each.value for each in WAIVABLE]), min_length=1, max_length=len(WAIVABLE)
    )
    text = serializers.CharField(max_length=TEXT_LIMIT)


class WaiverRevocationNew(serializers.Serializer):
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=TEXT_LIMIT)


class WaiverWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    upstream = serializers.UUIDField()
    version = serializers.UUIDField(allow_null=True)
    downstream = serializers.UUIDField()
    owner = serializers.CharField()
    holder = serializers.CharField()
    rules = serializers.ListField(child=serializers.ChoiceField(RULES))
    text = serializers.CharField()
    created_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    revocation_reason = serializers.CharField(allow_null=True, allow_blank=True)


def check(found: Check) -> dict[str, Any]:
    def seen(thing: Any, value: object) -> str | None:
        return str(value) if value and found.shown.is_visible(thing) else None

    return {
        "licence": licence_of(found),
        "is_free": found.is_free,
        "conflicts": [told(found, each) for each in found.conflicts],
        "things": [
            {
                "title": found.shown.name(each),
                "kind": each.kind,
                "repo": seen(each, each.repo),
                "version": seen(each, each.version),
                "licence": found.shown.licence(each),
                "is_known": each.licence.is_known,
            }
            for each in sorted(found.chain.things.values(), key=lambda each: each.title)
        ],
        "attribution": sorted({found.shown.name(each) for each in found.named}),
        "waivers": [str(each.uuid) for each in found.waived],
    }


def waiver(row: "LicenceWaiver") -> dict[str, Any]:
    revocation = getattr(row, "revocation", None)
    return {
        "uuid": row.uuid,
        "upstream": row.upstream_uuid,
        "version": row.upstream_version_uuid,
        "downstream": row.downstream_uuid,
        "owner": row.owner.name,
        "holder": row.holder.name,
        "rules": row.rules,
        "text": row.text,
        "created_at": row.created_at,
        "revoked_at": revocation.created_at if revocation else None,
        "revocation_reason": revocation.reason if revocation else None,
    }
