"""What is seen of recalls once inside: what everybody is told of a version, how far a recall is, and which of its items a reader may
know of. Names of private things never reach who may not see the things: they are counted."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from accounts.actors import Actor
from common.pagination import Page, keyset_page
from lineage.kinds import NodeCard, cards
from market.models import LedgerTransaction, Recall, RecallAction, RecallEvent, RecallItem
from market.recall_policies import manages, own_items
from market.recalls import IN_FORCE, ItemKind, Severity, Step, Tally, tallies
from registry.policies import visible_versions

if TYPE_CHECKING:
    from registry.models import Version

PRIVATE = "private"
"""The kind under which what a reader may not know of is counted."""
_AT_ONCE = 500
_OF_COPIES = "model"
"""The name under which the graph describes a repository of any kind."""


@dataclass(frozen=True)
class Notice:
    """What everybody is told who sees a recalled version."""

    uuid: UUID
    category: str
    severity: str
    reason: str
    advice: str
    recalled_at: datetime
    replacement: str
    """`namespace/name version`; empty when none was named. Filled by pages for those who may see it."""

    @property
    def is_stopping(self) -> bool:
        return self.severity == Severity.STOP

    @classmethod
    def of(cls, row: Recall) -> "Notice":
        return cls(row.uuid, row.category, row.severity, row.reason, row.advice, row.opened_at, "")


def notices_of(versions: Collection[UUID]) -> dict[UUID, Notice]:
    """What is said of those of the versions that are recalled, by uuid. One query."""
    if not versions:
        return {}
    rows = Recall.objects.filter(version__uuid__in=list(versions), state__in=IN_FORCE)
    return {uuid: Notice.of(row) for row in rows.select_related("version") for uuid in [row.version.uuid]}


def notice_of(version: "Version | None") -> Notice | None:
    """What is said of a version; None when it is not recalled. One query."""
    return notices_of([version.uuid]).get(version.uuid) if version is not None else None


def notices_offered(repos: Collection[UUID], versions: Collection[UUID]) -> dict[tuple[UUID, str] | UUID, Notice]:
    """What is said of recalled versions of these repositories, by repository and name, and of these versions, by uuid. One query."""
    if not repos and not versions:
        return {}
    reached = Q(version__repo__uuid__in=list(repos)) | Q(version__uuid__in=list(versions))
    found: dict[tuple[UUID, str] | UUID, Notice] = {}
    for row in Recall.objects.filter(reached, state__in=IN_FORCE).select_related("version__repo"):
        found[row.version.repo.uuid, row.version.name] = found[row.version.uuid] = Notice.of(row)
    return found


def notice_at(commit_id: int) -> Notice | None:
    """What is said of a recalled version that releases just this commit. One query."""
    row = Recall.objects.filter(version__commit_id=commit_id, state__in=IN_FORCE).order_by("-pk").first()
    return Notice.of(row) if row else None


def frozen_things(uuids: Collection[UUID]) -> set[UUID]:
    """Those of the versions and builds with which nothing is sold or called, because of a recall. One query for 500."""
    found: set[UUID] = set()
    wanted = sorted(set(uuids))
    for start in range(0, len(wanted), _AT_ONCE):
        rows = RecallItem.objects.filter(
            kind__in=[ItemKind.VERSION, ItemKind.BUILD],
            object_uuid__in=wanted[start : start + _AT_ONCE],
            frozen_at__isnull=False,
            recall__state__in=IN_FORCE,
            recall__frozen_at__isnull=False,
        )
        found.update(rows.values_list("object_uuid", flat=True))
    return found


def is_sale_stopped(version: UUID) -> bool:
    """Whether a version is not sold because of a recall: sales are frozen, or its files are handed out to nobody. Two queries."""
    stopping = Recall.objects.filter(version__uuid=version, state__in=IN_FORCE, severity=Severity.STOP)
    return bool(frozen_things([version])) or stopping.exists()


@dataclass(frozen=True)
class Hidden:
    """Items that a reader may not know of: `count` private things that were made from what `parent` names, `done` of them handled."""

    parent: str
    count: int
    done: int


@dataclass(frozen=True)
class Sight:
    """What a reader may know of a recall. `keys`: primary keys of the items, None for all."""

    keys: frozenset[int] | None
    hidden: list[Hidden]
    tallies: list[Tally]

    @property
    def hidden_count(self) -> int:
        return sum(each.count for each in self.hidden)

    def items(self, recall: Recall) -> QuerySet[RecallItem]:
        """The items that may be shown, owners joined."""
        rows = RecallItem.objects.filter(recall=recall).select_related("owner", "seller", "order", "changed_by")
        return rows if self.keys is None else rows.filter(pk__in=self.keys)


def sight_of(actor: Actor, recall: Recall) -> Sight:
    """What `actor` may know of the items: staff everything; who manages the recall what is their own, what they sold and what they may
    see otherwise, the rest as numbers; everybody else what is their own. A fixed number of queries for each 500 items."""
    if actor.is_staff or actor.is_system:
        return Sight(None, [], tallies(_counted(RecallItem.objects.filter(recall=recall))))
    if not manages(actor, recall):
        rows = RecallItem.objects.filter(own_items(actor), recall=recall)
        return Sight(frozenset(rows.values_list("pk", flat=True)), [], tallies(_counted(rows)))
    rows = RecallItem.objects.filter(recall=recall).select_related("order")
    items = list(rows.only("pk", "kind", "object_uuid", "owner_id", "seller_id", "title", "path", "state", "order"))
    mine = set(RecallItem.objects.filter(own_items(actor), recall=recall).values_list("pk", flat=True))
    unsure = [each for each in items if each.pk not in mine]
    seen = _cards(actor, {_node(each) for each in unsure})
    hidden = [each for each in unsure if _node(each) not in seen]
    gone = {each.pk for each in hidden}
    shown = [each for each in items if each.pk not in gone]
    counted = [(each.kind, each.state, 1) for each in shown] + [(PRIVATE, each.state, 1) for each in hidden]
    return Sight(frozenset(each.pk for each in shown), _grouped(recall, hidden, shown), tallies(counted))


def page_of_items(
    recall: Recall, sight: Sight, *, kind: str = "", state: str = "", cursor: str | None = None, limit: int = 50
) -> Page[RecallItem]:
    """The items that a reader may know of, in the order they were found."""
    rows = sight.items(recall)
    rows = rows.filter(kind=kind) if kind else rows
    rows = rows.filter(state=state) if state else rows
    return keyset_page(rows, order=("pk",), cursor=cursor, limit=limit)


def page_of_events(
    recall: Recall, sight: Sight, *, cursor: str | None = None, limit: int = 50, oldest_first: bool = False
) -> Page[RecallEvent]:
    """What happened, newest first: to the recall itself, and to the items that the reader may know of."""
    rows = RecallEvent.objects.filter(recall=recall).select_related("item")
    if sight.keys is not None:
        rows = rows.filter(Q(item__isnull=True) | Q(item_id__in=sight.keys))
    return keyset_page(rows, order=("pk",) if oldest_first else ("-pk",), cursor=cursor, limit=limit)


def under_way(recall: Recall) -> list[str]:
    """The kinds of actions that are not finished. One query."""
    rows = RecallAction.objects.filter(recall=recall, finished_at__isnull=True)
    return sorted(set(rows.values_list("kind", flat=True)))


def ways_in_words(actor: Actor, items: Iterable[RecallItem]) -> dict[int, list[tuple[str, str, str]]]:
    """How each item is reached, by its primary key: `(relation, title, url)` for each step; what the reader may not see is called
    private. One query for each kind of node."""
    rows = list(items)
    ways = {each.pk: [Step.of(step) for step in each.path] for each in rows}
    seen = _cards(actor, {(step.kind, step.uuid) for way in ways.values() for step in way})
    own = {(each.kind, each.object_uuid): each.title for each in rows}
    return {
        pk: [(step.relation.replace("_", " "), *_titled(step, seen, own)) for step in way] for pk, way in ways.items()
    }


def urls_of(actor: Actor, items: Iterable[RecallItem]) -> dict[int, str]:
    """Where an item has a page that the reader may open, by its primary key. One query for each kind."""
    rows = list(items)
    seen = _cards(actor, {_node(each) for each in rows})
    return {each.pk: seen[_node(each)].url for each in rows if _node(each) in seen}


def title_for(actor: Actor, recall: Recall) -> str:
    """What the recalled version is called to this reader: who has something made from a private one learns no more than that. A query."""
    if manages(actor, recall) or visible_versions(actor).filter(pk=recall.version_id).exists():
        return recall.title
    return private_title(recall)


def titles_for(actor: Actor, recalls: Collection[Recall]) -> dict[int, str]:
    """`title_for` of many, by primary key. One query."""
    keys = [each.version_id for each in recalls]
    seen = set(visible_versions(actor).filter(pk__in=keys).values_list("pk", flat=True)) if keys else set()
    return {
        each.pk: each.title if each.version_id in seen or manages(actor, each) else private_title(each)
        for each in recalls
    }


def private_title(recall: Recall) -> str:
    """What a recalled version is called to those who may not see it. Wants its repository joined."""
    return f"a private {recall.version.repo.kind}"


def refunds_of(items: Iterable[RecallItem]) -> dict[int, list[LedgerTransaction]]:
    """The movements that gave money of an item's order back since it was found, by the order's primary key. One query."""
    orders = {each.order_id: each.created_at for each in items if each.order_id and each.refunded_at}
    found: dict[int, list[LedgerTransaction]] = defaultdict(list)
    rows = LedgerTransaction.objects.filter(order_id__in=list(orders), kind__in=["reversal", "release", "refund"])
    for row in rows.order_by("pk"):
        if row.order_id is not None and row.at >= orders[row.order_id]:
            found[row.order_id].append(row)
    return found


def _counted(rows: QuerySet[RecallItem]) -> list[tuple[str, str, int]]:
    return list(rows.order_by().values_list("kind", "state").annotate(number=Count("pk")))


def _node(item: RecallItem) -> tuple[str, UUID]:
    """The item as a node that the graph describes."""
    if item.order is not None:
        return "order", item.order.uuid
    return (_OF_COPIES if item.kind == ItemKind.COPY else item.kind), item.object_uuid


def _cards(actor: Actor, nodes: Collection[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], NodeCard]:
    found: dict[tuple[str, UUID], NodeCard] = {}
    listed = sorted(nodes)
    for start in range(0, len(listed), _AT_ONCE):
        wanted: dict[str, set[UUID]] = defaultdict(set)
        for kind, uuid in listed[start : start + _AT_ONCE]:
            wanted[kind].add(uuid)
        found |= cards(actor, wanted)
    return found


def _titled(
    step: Step, seen: Mapping[tuple[str, UUID], NodeCard], own: Mapping[tuple[str, UUID], str]
) -> tuple[str, str]:
    card = seen.get((step.kind, step.uuid))
    if card is not None:
        return card.title, card.url
    return own.get((step.kind, step.uuid), "private"), ""


def _grouped(recall: Recall, hidden: list[RecallItem], shown: list[RecallItem]) -> list[Hidden]:
    """The hidden ones by the nearest version on their way that may be named."""
    names = {each.object_uuid: each.title for each in shown if each.kind == ItemKind.VERSION}
    counts: dict[str, list[int]] = {}
    for each in hidden:
        way = reversed([step for step in map(Step.of, each.path) if step.kind == "version"])
        parent = next((names[step.uuid] for step in way if step.uuid in names), recall.title)
        number = counts.setdefault(parent, [0, 0])
        number[0] += 1
        number[1] += each.state in ("handled", "waived")
    return [Hidden(parent, count, done) for parent, (count, done) in sorted(counts.items())]
