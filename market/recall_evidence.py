"""A recall as evidence: every item with its way, what was done and when, what was told, paid back and recorded; as much of it as a reader may
know. Read while it is sent."""

import hashlib
from collections.abc import Iterator
from typing import Any

from accounts.actors import Actor
from common import strict_json
from common.clock import now
from market import recall_queries as queries
from market.models import Recall, RecallEvent, RecallItem
from market.recall_policies import decides

SCHEMA = "mercato-recall-evidence/1"
PAGE = 200
HEADINGS = [
    "kind", "title", "owner", "state", "action", "note", "problem", "way", "found at", "told at", "frozen at", "refunded at", "job",
    "ledger transactions", "changed at", "item",
]  # fmt: skip


def csv_rows(actor: Actor, recall: Recall) -> Iterator[list[Any]]:
    """A row for each item, then one for each group of things that the reader may not know of."""
    sight = queries.sight_of(actor, recall)
    for items in _pages(recall, sight):
        ways, refunds = queries.ways_in_words(actor, items), queries.refunds_of(items)
        for item in items:
            yield [
                item.kind,
                item.title,
                item.owner.name,
                item.state,
                item.action,
                item.note,
                item.problem,
                " → ".join(f"{relation}: {title}" for relation, title, _ in ways[item.pk]),
                item.created_at,
                item.told_at,
                item.frozen_at,
                item.refunded_at,
                str(item.job_uuid or ""),
                " ".join(str(row.seal_id) for row in refunds.get(item.order_id or 0, [])),
                item.changed_at,
                str(item.uuid),
            ]
    for group in sight.hidden:
        says = f"{group.count} private derivatives of {group.parent}"
        yield [queries.PRIVATE, says, "", f"{group.done} handled", *[""] * (len(HEADINGS) - 4)]


def json_pieces(actor: Actor, recall: Recall) -> Iterator[bytes]:
    """One JSON object. Its `digest` is the SHA-256 over the canonical JSON (sorted keys, no blanks, UTF-8) of `recall`, then of each of
    `items`, `private` and `events` in their order, each ended by a line feed."""
    sight = queries.sight_of(actor, recall)
    digest = hashlib.sha256()

    def put(value: Any) -> bytes:
        raw = strict_json.dumps(value)
        digest.update(raw + b"\n")
        return raw

    yield b'{"schema":' + strict_json.dumps(SCHEMA) + b',"recall":' + put(_recall(actor, recall))
    for name, rows in (
        ("items", _items(actor, recall, sight)),
        ("private", _hidden(sight)),
        ("events", _events(recall, sight)),
    ):
        yield b',"' + name.encode() + b'":['
        for number, row in enumerate(rows):
            yield (b"," if number else b"") + put(row)
        yield b"]"
    yield b',"digest":' + strict_json.dumps({"algorithm": "sha256", "value": digest.hexdigest()}) + b"}\n"


def _recall(actor: Actor, recall: Recall) -> dict[str, Any]:
    said = {
        "uuid": str(recall.uuid),
        "version": str(recall.version.uuid),
        "title": queries.title_for(actor, recall),
        "namespace": recall.namespace.name,
        "category": recall.category,
        "severity": recall.severity,
        "reason": recall.reason,
        "advice": recall.advice,
        "is_by_staff": recall.is_by_staff,
        "state": recall.state,
        "freeze_scope": recall.freeze_scope,
        "replacement": str(recall.replacement.uuid) if recall.replacement else None,
        "opened_at": _at(recall.opened_at),
        "frozen_at": _at(recall.frozen_at),
        "walked_at": _at(recall.walked_at),
        "is_cut": recall.is_cut,
        "closed_at": _at(recall.closed_at),
        "lifted_at": _at(recall.lifted_at),
        "lift_reason": recall.lift_reason,
        "exported_at": _at(now()),
        "exported_by": actor.label,
    }
    return said | ({"private_note": recall.private_note} if decides(actor, recall) else {})


def _items(actor: Actor, recall: Recall, sight: queries.Sight) -> Iterator[dict[str, Any]]:
    for items in _pages(recall, sight):
        ways, refunds = queries.ways_in_words(actor, items), queries.refunds_of(items)
        for item in items:
            yield {
                "uuid": str(item.uuid),
                "kind": item.kind,
                "object": str(item.object_uuid),
                "title": item.title,
                "owner": item.owner.name,
                "seller": item.seller.name if item.seller else None,
                "order": str(item.order.uuid) if item.order else None,
                "way": [{"relation": relation, "title": title} for relation, title, _ in ways[item.pk]],
                "state": item.state,
                "action": item.action,
                "note": item.note,
                "problem": item.problem,
                "changed_by": item.changed_by.username if item.changed_by else None,
                "changed_at": _at(item.changed_at),
                "found_at": _at(item.created_at),
                "told_at": _at(item.told_at),
                "frozen_at": _at(item.frozen_at),
                "job": str(item.job_uuid) if item.job_uuid else None,
                "refunds": [
                    {"transaction": str(row.seal_id), "kind": row.kind, "at": _at(row.at)}
                    for row in refunds.get(item.order_id or 0, [])
                ],
            }


def _hidden(sight: queries.Sight) -> Iterator[dict[str, Any]]:
    for each in sight.hidden:
        yield {"derived_from": each.parent, "count": each.count, "handled": each.done}


def _events(recall: Recall, sight: queries.Sight) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = queries.page_of_events(recall, sight, cursor=cursor, limit=PAGE, oldest_first=True)
        for row in page.items:
            yield _event(row)
        cursor = page.next_cursor
        if cursor is None:
            return


def _event(row: RecallEvent) -> dict[str, Any]:
    return {
        "uuid": str(row.uuid),
        "at": _at(row.at),
        "word": row.word,
        "item": str(row.item.uuid) if row.item else None,
        "note": row.note,
        "detail": row.detail,
        "by": row.by_label,
        "audit": {"sequence": row.audit_sequence, "sha256": row.audit_sha256},
    }


def _pages(recall: Recall, sight: queries.Sight) -> Iterator[list[RecallItem]]:
    cursor = None
    while True:
        page = queries.page_of_items(recall, sight, cursor=cursor, limit=PAGE)
        yield page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _at(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
