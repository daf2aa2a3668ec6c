"""What the pages of recalls show: the list, one recall with its progress, the form that opens one, the banner on what was recalled."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.pagination import keyset_page
from market import recall_queries as queries
from market.recall_policies import decides, manages, may_handle, visible_recalls
from market.recalls import DONE, ItemKind, ItemState, RecallState, Tally
from market.services.recall_retraining import MADE
from registry.policies import visible_versions
from registry.queries import versions_of
from web.links import version_url, with_query
from web.market.recall_forms import CATEGORIES, CHOICES_LIMIT, ChangeForm, LiftForm

if TYPE_CHECKING:
    from market.models import Recall, RecallEvent, RecallItem
    from registry.models import Version

ITEMS_SHOWN = 50
EVENTS_SHOWN = 30
KIND_TITLES = {
    "version": "Versions",
    "build": "Builds",
    "endpoint": "Endpoints",
    "listing": "Listings",
    "holder": "Holders",
    "copy": "Copies",
    queries.PRIVATE: "Private things of others",
}
STATE_TITLES = {"open": "Open", "contested": "Contested", "handled": "Handled", "waived": "Waived"}
STATE_TONES = {"open": "caution", "contested": "danger", "handled": "ok", "waived": ""}
STATE_ICONS = {"open": "clock", "contested": "circle-alert", "handled": "check", "waived": "circle-dashed"}
EVENTS = {
    "opened": "recalled it",
    "changed": "changed the words",
    "walked": "looked what it reaches",
    "frozen": "stopped sales and calls",
    "unfrozen": "let sales and calls go on",
    "telling_asked": "had everybody told",
    "told": "told",
    "told_lifted": "told of the lifting",
    "retraining_asked": "had it made anew",
    "retraining": "opened a job for",
    "retraining_failed": "could not make anew",
    "retrained": "made anew",
    "refunds_asked": "had orders paid back",
    "refunded": "paid back",
    "refund_failed": "could not pay back",
    "held": "held files back",
    "released": "let files go",
    "acknowledged": "acknowledged",
    "handled": "handled",
    "contested": "contested",
    "waived": "waived",
    "moved on": "found it has moved on:",
    "access ended": "found access ended:",
    "reopened": "opened again",
    "closed": "closed the recall",
    "lifted": "lifted the recall",
}
ACTIONS = {
    "hold": "holding files back",
    "release": "letting files go",
    "notify": "telling everybody",
    "retrain": "making anew",
    "refund": "paying back",
    "tell_lifted": "telling of the lifting",
}
BY = {"recalls": "This site"}


def recall_url(uuid: object) -> str:
    return f"/recalls/{uuid}"


@dataclass(frozen=True)
class Banner:
    """What everybody is told on the pages of what was recalled."""

    title: str
    reason: str
    advice: str
    href: str
    tone: str

    @classmethod
    def of(cls, notice: queries.Notice | None) -> "Banner | None":
        if notice is None:
            return None
        about = CATEGORIES[notice.category].lower()
        return cls(
            f"Recalled on {notice.recalled_at:%-d %B %Y}: {about}",
            notice.reason,
            notice.advice,
            recall_url(notice.uuid),
            "danger" if notice.is_stopping else "caution",
        )


@dataclass(frozen=True)
class RecallRow:
    title: str
    href: str
    category: str
    severity: str
    state: str
    opened_at: datetime


@dataclass(frozen=True)
class StateTab:
    label: str
    href: str
    is_current: bool


@dataclass(frozen=True)
class RecallsPage:
    title: str
    state: str
    states: list["StateTab"]
    rows: list[RecallRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, state: str, cursor: str) -> "RecallsPage":
        """Two queries."""
        state = state if state in list(RecallState) else ""
        found = visible_recalls(actor)
        found = found.filter(state=state) if state else found
        page = keyset_page(found, order=("-opened_at", "-pk"), cursor=cursor or None, limit=30)
        titles = queries.titles_for(actor, page.items)
        return cls(
            "Recalls",
            state,
            [
                StateTab(label, with_query("/recalls", state=value), value == state)
                for value, label in (("", "All"), ("open", "Open"), ("closed", "Closed"), ("lifted", "Lifted"))
            ],
            [
                RecallRow(
                    titles[row.pk],
                    recall_url(row.uuid),
                    CATEGORIES[row.category],
                    row.severity,
                    row.state,
                    row.opened_at,
                )
                for row in page.items
            ],
            with_query("/recalls", state=state, cursor=page.next_cursor) if page.next_cursor else "",
            with_query("/recalls", state=state) if cursor else "",
        )


@dataclass(frozen=True)
class NewRecallPage:
    title: str
    version: str
    version_href: str
    form: forms.Form


@dataclass(frozen=True)
class Bar:
    key: str
    label: str
    fraction: float
    words: str

    @classmethod
    def of(cls, tally: Tally) -> "Bar":
        words = f"{tally.done} of {tally.total} handled"
        return cls(tally.kind, KIND_TITLES.get(tally.kind, tally.kind), tally.fraction, words)


@dataclass(frozen=True)
class StepView:
    relation: str
    title: str
    href: str


@dataclass(frozen=True)
class ItemRow:
    uuid: str
    kind: str
    title: str
    href: str
    owner: str
    way: list[StepView]
    state: str
    state_title: str
    tone: str
    icon: str
    action: str
    note: str
    problem: str
    job_href: str
    changed_at: datetime | None
    told_at: datetime | None
    is_frozen: bool
    deeds: list[tuple[str, str]]
    """What the reader may do to it: value and label."""
    handle_href: str
    can_retrain: bool
    is_own: bool


@dataclass(frozen=True)
class EventRow:
    by: str
    said: str
    about: str
    note: str
    at: datetime
    digest: str


@dataclass(frozen=True)
class Filter:
    label: str
    href: str
    is_on: bool


@dataclass(frozen=True)
class RecallPage:
    title: str
    href: str
    state: str
    version_href: str
    category: str
    severity: str
    is_stopping: bool
    reason: str
    advice: str
    private_note: str
    replacement: str
    replacement_href: str
    is_by_staff: bool
    opened_at: datetime
    closed_at: datetime | None
    lifted_at: datetime | None
    lift_reason: str
    walked_at: datetime | None
    is_cut: bool
    freeze_scope: str
    takes_part: bool
    """The reader manages it or owns something that it reaches: sees items and events."""
    can_manage: bool
    can_decide: bool
    is_staff: bool
    is_open: bool
    has_own_open: bool
    bars: list[Bar]
    hidden: list[str]
    kinds: list[Filter]
    states: list[Filter]
    items: list[ItemRow]
    next_href: str
    first_href: str
    events: list[EventRow]
    later_events_href: str
    under_way: list[str]
    refund_sellers: list[str]
    lift_form: forms.Form
    change_form: forms.Form | None
    problem: str

    @classmethod
    def of(
        cls,
        actor: Actor,
        recall: "Recall",
        *,
        kind: str = "",
        state: str = "",
        cursor: str = "",
        events_cursor: str = "",
        problem: str = "",
        lift_form: forms.Form | None = None,
    ) -> "RecallPage":
        """A number of queries that does not follow that of the items, but for each 500."""
        sight = queries.sight_of(actor, recall)
        takes_part = bool(sight.tallies) or manages(actor, recall)
        kind = kind if kind in list(ItemKind) else ""
        state = state if state in list(ItemState) else ""
        page = queries.page_of_items(recall, sight, kind=kind, state=state, cursor=cursor or None, limit=ITEMS_SHOWN)
        events = queries.page_of_events(recall, sight, cursor=events_cursor or None, limit=EVENTS_SHOWN)
        ways, urls = queries.ways_in_words(actor, page.items), queries.urls_of(actor, page.items)
        href = recall_url(recall.uuid)
        is_open = recall.state == RecallState.OPEN
        keys = [recall.version_id, *([recall.replacement_id] if recall.replacement_id else [])]
        seen = {row.pk: row for row in visible_versions(actor).filter(pk__in=keys)}
        rows = [_item(actor, recall, each, ways[each.pk], urls.get(each.pk, "")) for each in page.items]
        return cls(
            title=f"Recall of {queries.title_for(actor, recall)}",
            href=href,
            state=recall.state,
            version_href=_version_href(seen.get(recall.version_id)),
            category=CATEGORIES[recall.category],
            severity=recall.severity,
            is_stopping=recall.severity == "stop",
            reason=recall.reason,
            advice=recall.advice,
            private_note=recall.private_note if decides(actor, recall) else "",
            replacement=_version_title(seen.get(recall.replacement_id or 0)),
            replacement_href=_version_href(seen.get(recall.replacement_id or 0)),
            is_by_staff=recall.is_by_staff,
            opened_at=recall.opened_at,
            closed_at=recall.closed_at,
            lifted_at=recall.lifted_at,
            lift_reason=recall.lift_reason,
            walked_at=recall.walked_at,
            is_cut=recall.is_cut,
            freeze_scope=recall.freeze_scope,
            takes_part=takes_part,
            can_manage=manages(actor, recall),
            can_decide=decides(actor, recall),
            is_staff=actor.is_staff,
            is_open=is_open,
            has_own_open=any(row.deeds and row.is_own and row.state == "open" for row in rows),
            bars=[Bar.of(each) for each in sight.tallies],
            hidden=[
                f"{each.count} private {'derivative' if each.count == 1 else 'derivatives'} of {each.parent}, "
                f"{each.done} handled"
                for each in sight.hidden
            ],
            kinds=_filters(href, "kind", kind, {"": "All kinds", **_known(sight)}, state=state),
            states=_filters(href, "state", state, {"": "Any state", **STATE_TITLES}, kind=kind),
            items=rows,
            next_href=with_query(href, kind=kind, state=state, cursor=page.next_cursor) if page.next_cursor else "",
            first_href=with_query(href, kind=kind, state=state) if cursor else "",
            events=[_event(each) for each in events.items] if takes_part else [],
            later_events_href=with_query(href, events=events.next_cursor) if events.next_cursor else "",
            under_way=[ACTIONS[each] for each in queries.under_way(recall)] if takes_part else [],
            refund_sellers=_sellers(actor, recall, sight) if takes_part and is_open else [],
            lift_form=lift_form or LiftForm(),
            change_form=_change_form(recall) if decides(actor, recall) and recall.is_in_force else None,
            problem=problem,
        )


def _change_form(recall: "Recall") -> forms.Form:
    others = [each for each in versions_of(recall.version.repo)[: CHOICES_LIMIT + 1] if each.pk != recall.version_id]
    said = {name: getattr(recall, name) for name in ("reason", "advice", "private_note")}
    instead = str(recall.replacement.uuid) if recall.replacement else ""
    return ChangeForm(others, initial=said | {"replacement": instead}, auto_id="change-%s")


def _known(sight: queries.Sight) -> dict[str, str]:
    return {each.kind: KIND_TITLES[each.kind] for each in sight.tallies if each.kind != queries.PRIVATE}


def _filters(href: str, name: str, chosen: str, choices: dict[str, str], **others: str) -> list[Filter]:
    return [
        Filter(label, with_query(href, **{name: value, **others}), value == chosen) for value, label in choices.items()
    ]


def _sellers(actor: Actor, recall: "Recall", sight: queries.Sight) -> list[str]:
    """Those whose sales the reader can have paid back."""
    rows = sight.items(recall).filter(kind=ItemKind.HOLDER, seller__isnull=False)
    named = dict(rows.order_by().values_list("seller_id", "seller__name").distinct())
    mine = [pk for pk in named if actor.is_staff or actor.may(Action.NAMESPACE_SELL, pk)]
    return sorted(named[pk] for pk in mine)


def _item(actor: Actor, recall: "Recall", item: "RecallItem", way: list[tuple[str, str, str]], href: str) -> ItemRow:
    can_handle = recall.state == RecallState.OPEN and may_handle(actor, recall, item)
    return ItemRow(
        uuid=str(item.uuid),
        kind=item.kind,
        title=item.title,
        href=href,
        owner=item.owner.name,
        way=[StepView(*step) for step in way],
        state=item.state,
        state_title=STATE_TITLES[item.state],
        tone=STATE_TONES[item.state],
        icon=STATE_ICONS[item.state],
        action="" if item.action == item.state else item.action,
        note=item.note,
        problem=item.problem,
        job_href=f"/jobs/{item.job_uuid}" if item.job_uuid and actor.may(Action.JOB_READ, item.owner_id) else "",
        changed_at=item.changed_at,
        told_at=item.told_at,
        is_frozen=item.frozen_at is not None,
        deeds=_deeds(actor, item) if can_handle else [],
        handle_href=f"{recall_url(recall.uuid)}/items/{item.uuid}",
        can_retrain=can_handle
        and item.kind in MADE
        and item.state not in DONE
        and bool(item.path)
        and recall.replacement_id is not None
        and (item.job_uuid is None or bool(item.problem))
        and actor.may(Action.NAMESPACE_RUN, item.owner_id),
        is_own=item.owner_id in actor.roles,
    )


def _deeds(actor: Actor, item: "RecallItem") -> list[tuple[str, str]]:
    if item.state in DONE:
        return [("reopen", "Open it again")]
    deeds = [("handle", "It is handled"), ("acknowledge", "I have seen it")]
    deeds += [("contest", "Contest it")] if item.state != ItemState.CONTESTED else []
    return deeds + ([("waive", "Waive it")] if actor.is_staff else [])


def _event(row: "RecallEvent") -> EventRow:
    said = EVENTS.get(row.word, row.word)
    if row.word == "walked":
        said = f"looked what it reaches: {row.detail.get('new', 0)} new"
    return EventRow(
        by=BY.get(row.by_label, row.by_label),
        said=said,
        about=row.item.title if row.item else "",
        note=row.note,
        at=row.at,
        digest=row.audit_sha256[:12],
    )


def _version_title(version: "Version | None") -> str:
    return f"{version.repo.namespace.name}/{version.repo.name} {version.name}" if version else ""


def _version_href(version: "Version | None") -> str:
    return version_url(version.repo, version.name) if version else ""
