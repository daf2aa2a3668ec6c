"""Licences on the wire."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from registry.services.licences import LICENCE_LIMIT, TITLE_LIMIT

if TYPE_CHECKING:
    from registry.licence_queries import Entry


class TermsWire(serializers.Serializer):
    """What a licence allows (the first four) and asks."""

    commercial_use = serializers.BooleanField()
    derivatives = serializers.BooleanField()
    redistribution = serializers.BooleanField()
    hosting = serializers.BooleanField()
    share_alike = serializers.BooleanField()
    attribution = serializers.BooleanField()


class LicenceWire(serializers.Serializer):
    """`namespace`, `number`, `text` and `text_sha256` are those of a custom licence; `url` leads to the text of another."""

    key = serializers.CharField()
    title = serializers.CharField()
    terms = TermsWire()
    url = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    namespace = serializers.CharField(allow_null=True)
    number = serializers.IntegerField(allow_null=True)
    text = serializers.CharField(allow_null=True)
    text_sha256 = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)


class LicenceNew(serializers.Serializer):
    namespace = serializers.CharField(max_length=96)
    name = serializers.CharField(max_length=60)
    title = serializers.CharField(max_length=TITLE_LIMIT)
    text = serializers.CharField(max_length=LICENCE_LIMIT)
    terms = TermsWire()


class RepoLicenceNew(serializers.Serializer):
    licence = serializers.CharField(max_length=80)


class RepoLicenceWire(serializers.Serializer):
    """`expression`: in SPDX's spelling; `commit`: the one that holds the card."""

    expression = serializers.CharField()
    commit = serializers.CharField()


def entry(row: "Entry") -> dict[str, Any]:
    custom = row.custom
    return {
        "key": row.key,
        "title": row.title,
        "terms": asdict(row.terms),
        "url": row.url,
        "note": row.note,
        "namespace": custom.namespace.name if custom else None,
        "number": custom.number if custom else None,
        "text": custom.text if custom else None,
        "text_sha256": custom.text_sha256 if custom else None,
        "created_at": custom.created_at if custom else None,
    }
