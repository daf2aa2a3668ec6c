"""Comparisons on the wire."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from registry.comparison.naming import ref_of
from registry.comparison.shape import Cell, Comparison, Direction, Group, Judgement, Side, Unit
from registry.services.studies import Asked
from registry.services.trials import PICTURE_BYTES
from registry.signatures import Compatibility

if TYPE_CHECKING:
    from registry.models import Trial, Version


class ReasonWire(serializers.Serializer):
    text = serializers.CharField()
    is_breaking = serializers.BooleanField()


class StudyWire(serializers.Serializer):
    """`content` is null until it has been asked for and made; its `problem` says why there is none."""

    is_pending = serializers.BooleanField()
    content = serializers.DictField(allow_null=True)


class SideWire(serializers.Serializer):
    """`compatibility`: can a caller of the base call this version without a change?"""

    ref = serializers.CharField()
    uuid = serializers.UUIDField()
    kind = serializers.CharField()
    compatibility = serializers.ChoiceField([each.value for each in Compatibility])
    reasons = ReasonWire(many=True)
    files_added = serializers.IntegerField()
    files_removed = serializers.IntegerField()
    files_changed = serializers.IntegerField()
    speed = StudyWire()
    weights = StudyWire()


class ComparedCell(serializers.Serializer):
    """`difference` is value − base's. `p_value` is of the test on the same rows, corrected for the number of versions."""

    value = serializers.JSONField(allow_null=True, help_text="A number, a text, or null where nothing is known.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True)
    difference = serializers.FloatField(allow_null=True)
    difference_low = serializers.FloatField(allow_null=True)
    difference_high = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True)
    method = serializers.CharField(allow_blank=True)
    judgement = serializers.ChoiceField([each.value for each in Judgement if each], allow_blank=True)
    extreme = serializers.ChoiceField(["best", "worst"], allow_blank=True)
    is_changed = serializers.BooleanField()
    note = serializers.CharField(allow_blank=True)


class ComparedRow(serializers.Serializer):
    key = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.ChoiceField([each.value for each in Unit])
    better = serializers.ChoiceField([each.value for each in Direction if each], allow_blank=True)
    cells = ComparedCell(many=True, help_text="One for each version, in their order.")


class ComparedGroup(serializers.Serializer):
    key = serializers.CharField()
    title = serializers.CharField()
    rows = ComparedRow(many=True)


class ComparisonVerdict(serializers.Serializer):
    sentence = serializers.CharField()
    confidence = serializers.ChoiceField(["high", "moderate", "none"])
    reason = serializers.CharField(allow_blank=True)


class ComparisonWire(serializers.Serializer):
    """`is_pending`: the predictions are still being judged row by row."""

    versions = SideWire(many=True)
    base = serializers.CharField()
    verdict = ComparisonVerdict()
    main_metric = serializers.CharField(allow_blank=True)
    is_pending = serializers.BooleanField()
    groups = ComparedGroup(many=True)


class StudyNew(serializers.Serializer):
    versions = serializers.ListField(child=serializers.CharField(max_length=300), min_length=2, max_length=8)
    base = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    study = serializers.ChoiceField(["weights", "speed"])


class StudyState(serializers.Serializer):
    ref = serializers.CharField()
    study = StudyWire()


class StudyStates(serializers.Serializer):
    versions = StudyState(many=True)


class TrialNew(serializers.Serializer):
    versions = serializers.ListField(child=serializers.CharField(max_length=300), min_length=2, max_length=8)
    inputs = serializers.ListField(child=serializers.DictField(), required=False)
    columns = serializers.ListField(child=serializers.CharField(max_length=200), required=False)
    rows = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(allow_blank=True, max_length=1000)), required=False
    )
    picture = serializers.CharField(required=False, max_length=PICTURE_BYTES * 2)


class AnswerWire(serializers.Serializer):
    """`answer` holds `outputs`, `notes` and `run_s`, or a `problem`."""

    ref = serializers.CharField()
    is_asked = serializers.BooleanField()
    is_pending = serializers.BooleanField()
    answer = serializers.DictField(allow_null=True)


class TrialWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    form = serializers.ChoiceField(["tensors", "rows", "picture"])
    expires_at = serializers.DateTimeField()
    versions = AnswerWire(many=True)


def comparison(found: Comparison, groups: Sequence[Group]) -> dict[str, Any]:
    return {
        "versions": [_side(side) for side in found.sides],
        "base": found.refs[found.base],
        "verdict": {
            "sentence": found.verdict.sentence,
            "confidence": found.verdict.confidence,
            "reason": found.verdict.reason,
        },
        "main_metric": found.main_metric,
        "is_pending": found.panel_pending,
        "groups": [
            {
                "key": group.key,
                "title": group.title,
                "rows": [
                    {
                        "key": row.key,
                        "title": row.label,
                        "unit": row.unit,
                        "better": row.direction,
                        "cells": [_cell(cell) for cell in row.cells],
                    }
                    for row in group.rows
                ],
            }
            for group in groups
        ],
    }


def studies(found: Comparison, study: str) -> dict[str, Any]:
    return {
        "versions": [
            {"ref": side.ref, "study": _asked(side.speed if study == "speed" else side.weights)} for side in found.sides
        ]
    }


def trial(row: "Trial", versions: "Sequence[Version]", answers: Sequence[Asked | None]) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "form": row.form,
        "expires_at": row.expires_at,
        "versions": [
            {
                "ref": ref_of(version),
                "is_asked": answer is not None,
                "is_pending": bool(answer and answer.is_pending),
                "answer": answer.content if answer else None,
            }
            for version, answer in zip(versions, answers, strict=True)
        ],
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "ref": side.ref,
        "uuid": side.version.uuid,
        "kind": side.version.repo.kind,
        "compatibility": side.signature.compatibility,
        "reasons": [{"text": each.text, "is_breaking": each.is_breaking} for each in side.signature.reasons],
        "files_added": side.change.added,
        "files_removed": side.change.removed,
        "files_changed": side.change.changed,
        "speed": _asked(side.speed),
        "weights": _asked(side.weights),
    }


def _asked(asked: Asked) -> dict[str, Any]:
    return {"is_pending": asked.is_pending, "content": asked.content}


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "n": cell.n,
        "difference": cell.difference,
        "difference_low": cell.difference_low,
        "difference_high": cell.difference_high,
        "p_value": cell.p_value,
        "method": cell.method,
        "judgement": cell.judgement,
        "extreme": cell.extreme,
        "is_changed": cell.is_changed,
        "note": cell.note,
    }
