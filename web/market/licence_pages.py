"""What the pages about licences show: the list, one licence, the check along a lineage, waivers."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from market.licence_chains import Shown
from market.licences import Rule, Thing
from market.policies import visible_waivers
from market.services import licences
from market.services.licences import Check
from registry import licence_queries as queries
from registry.licence_terms import DUTIES, Term, Terms
from registry.licences import Licence, joined
from registry.policies import administered_repos, visible_repos
from web.hub.heads import RepoHead
from web.hub.lineage import EdgeView, NodeView
from web.links import listing_url, repo_url, version_url, with_query

if TYPE_CHECKING:
    from market.models import LicenceWaiver, Listing
    from market.subjects import Subject
    from registry.licence_queries import Entry
    from registry.models import Repo

WAIVERS_SHOWN = 100
TERM_TITLES = {
    Term.COMMERCIAL_USE: ("Commercial use", "No commercial use"),
    Term.DERIVATIVES: ("Derivatives", "No derivatives"),
    Term.REDISTRIBUTION: ("Redistribution", "No redistribution"),
    Term.HOSTING: ("Hosting as a service", "No hosting as a service"),
    Term.SHARE_ALIKE: ("Derivatives stay under the same licence", "Derivatives may take another licence"),
    Term.ATTRIBUTION: ("The author must be named", "The author need not be named"),
}
RULE_TITLES = {
    Rule.UNKNOWN: "terms that are not known",
    Rule.COMMERCIAL_USE: "commercial use",
    Rule.DERIVATIVES: "derivatives",
    Rule.SHARE_ALIKE: "share-alike",
    Rule.REDISTRIBUTION: "redistribution",
    Rule.HOSTING: "hosting as a service",
    Rule.UNCHECKED: "a lineage that is too long",
}


@dataclass(frozen=True)
class TermView:
    """A term in words; the icon says it without colour."""

    text: str
    icon: str
    tone: str


def terms_in_words(terms: Terms | None) -> list[TermView]:
    views = []
    for term, (yes, no) in TERM_TITLES.items():
        is_on = terms is not None and terms.says(term)
        if term in DUTIES:
            views.append(TermView(yes if is_on else no, "scale" if is_on else "circle-dashed", ""))
        else:
            views.append(TermView(yes if is_on else no, "check" if is_on else "ban", "ok" if is_on else "danger"))
    return views


@dataclass(frozen=True)
class ChoiceView:
    """Licences that hold together, and what holds then."""

    keys: list[tuple[str, str]]
    terms: list[TermView]


@dataclass(frozen=True)
class LicenceView:
    """A licence in words: each choice that it leaves, or why its terms are not known."""

    name: str
    problem: str
    choices: list[ChoiceView]

    @classmethod
    def of(cls, licence: Licence) -> "LicenceView":
        return cls(
            licence.name,
            licence.problem,
            [
                ChoiceView([(part.key, licence_url(part.key)) for part in choice], terms_in_words(joined(choice)))
                for choice in licence.choices
            ],
        )


@dataclass(frozen=True)
class EntryRow:
    key: str
    title: str
    href: str
    owner: str
    terms: list[TermView]

    @classmethod
    def of(cls, entry: "Entry") -> "EntryRow":
        owner = entry.custom.namespace.name if entry.custom else ""
        return cls(entry.key, entry.title, licence_url(entry.key), owner, terms_in_words(entry.terms))


@dataclass(frozen=True)
class LicencesPage:
    title: str
    text: str
    customs: list[EntryRow]
    standard: list[EntryRow]
    next_href: str
    first_href: str
    can_publish: bool

    @classmethod
    def of(cls, actor: Actor, text: str, cursor: str) -> "LicencesPage":
        """One query."""
        page = queries.custom_licences(search=text, cursor=cursor or None, limit=30)
        return cls(
            "Licences",
            text,
            [EntryRow.of(queries.entry_of_custom(row)) for row in page.items],
            [] if cursor else [EntryRow.of(each) for each in queries.standard_licences(text)],
            with_query("/licences", q=text, cursor=page.next_cursor) if page.next_cursor else "",
            with_query("/licences", q=text) if cursor else "",
            actor.is_authenticated,
        )


@dataclass(frozen=True)
class Wording:
    key: str
    href: str
    at: datetime
    is_self: bool


@dataclass(frozen=True)
class LicencePage:
    title: str
    key: str
    owner: str
    terms: list[TermView]
    url: str
    note: str
    text: str
    digest: str
    wordings: list[Wording]
    revise_href: str

    @classmethod
    def of(cls, actor: Actor, entry: "Entry") -> "LicencePage":
        custom = entry.custom
        can_revise = custom is not None and actor.may(Action.NAMESPACE_PUBLISH, custom.namespace_id)
        return cls(
            title=entry.title,
            key=entry.key,
            owner=custom.namespace.name if custom else "",
            terms=terms_in_words(entry.terms),
            url=entry.url,
            note=entry.note,
            text=custom.text if custom else "",
            digest=custom.text_sha256 if custom else "",
            wordings=[
                Wording(row.key, licence_url(row.key), row.created_at, row.pk == custom.pk)
                for row in queries.wordings_of(custom)
            ]
            if custom
            else [],
            revise_href=with_query("/licences/new", of=entry.key) if can_revise else "",
        )


@dataclass(frozen=True)
class FormPage:
    title: str
    form: forms.Form
    lead: str = ""


@dataclass(frozen=True)
class ConflictView:
    """`waiver_href`: where the reader, who administers the upstream repository, can lift it."""

    sentence: str
    rule: str
    waiver_href: str


@dataclass(frozen=True)
class ThingRow:
    title: str
    href: str
    kind: str
    licence: str
    is_known: bool
    is_sold: bool
    problems: list[str]


@dataclass(frozen=True)
class ChainView:
    """The licences along a lineage, and what they say of selling."""

    is_free: bool
    conflicts: list[ConflictView]
    rows: list[ThingRow]
    edges: list[EdgeView]
    private_count: int
    named: list[str]

    @classmethod
    def of(cls, actor: Actor, found: Check) -> "ChainView":
        """One query."""
        shown, things = found.shown, found.chain.things
        mine = {
            repo.uuid for repo in administered_repos(actor).filter(uuid__in={each.repo for each in things.values()})
        }
        nodes = {key: _node(thing, shown, key in found.chain.subjects) for key, thing in things.items()}
        broken: dict[tuple[str, str], list[str]] = {}
        for conflict in found.conflicts:
            edge = (conflict.upstream.key, conflict.downstream.key)
            broken.setdefault(edge, []).append(RULE_TITLES[conflict.rule])
        return cls(
            is_free=found.is_free,
            conflicts=[
                ConflictView(
                    found.sentence(each),
                    RULE_TITLES[each.rule],
                    with_query(
                        "/waivers/new", upstream=each.upstream.repo, downstream=each.downstream.repo, rule=each.rule
                    )
                    if each.upstream.repo in mine and each.rule != Rule.UNCHECKED and shown.is_visible(each.downstream)
                    else "",
                )
                for each in found.conflicts
            ],
            rows=[
                ThingRow(
                    nodes[key].title,
                    nodes[key].url,
                    thing.kind,
                    shown.licence(thing),
                    thing.licence.is_known,
                    key in found.chain.subjects,
                    sorted({rule for (up, _), rules in broken.items() if up == key for rule in rules}),
                )
                for key, thing in sorted(things.items(), key=lambda item: item[1].title)
            ],
            edges=[
                EdgeView(
                    nodes[source],
                    nodes[target],
                    f"conflict: {', '.join(broken[source, target])}" if (source, target) in broken else "went into",
                    is_conflict=(source, target) in broken,
                )
                for source, target in sorted(found.chain.links)
            ],
            private_count=sum(not shown.is_visible(thing) for thing in things.values()),
            named=sorted({shown.name(each) for each in found.named}),
        )


@dataclass(frozen=True)
class WaiverView:
    title: str
    href: str
    upstream: str
    downstream: str
    rules: list[str]
    text: str
    owner: str
    at: datetime
    revoked_at: datetime | None
    revocation_reason: str
    revoke_href: str

    @classmethod
    def all_of(cls, actor: Actor, waivers: "list[LicenceWaiver]") -> "list[WaiverView]":
        """Two queries."""
        uuids = {uuid for row in waivers for uuid in (row.upstream_uuid, row.downstream_uuid)}
        names = {row.uuid: f"{row.namespace.name}/{row.name}" for row in visible_repos(actor).filter(uuid__in=uuids)}
        mine = set(administered_repos(actor).filter(uuid__in=uuids).values_list("uuid", flat=True))
        views = []
        for row in waivers:
            revocation = getattr(row, "revocation", None)
            href = f"/waivers/{row.uuid}"
            views.append(
                cls(
                    title=f"Waiver of {row.owner.name}",
                    href=href,
                    upstream=names.get(row.upstream_uuid, "a repository that is not shown to you"),
                    downstream=names.get(row.downstream_uuid, "a repository that is not shown to you"),
                    rules=[RULE_TITLES[Rule(rule)] for rule in row.rules],
                    text=row.text,
                    owner=row.owner.name,
                    at=row.created_at,
                    revoked_at=revocation.created_at if revocation else None,
                    revocation_reason=revocation.reason if revocation else "",
                    revoke_href=f"{href}/revocation" if row.upstream_uuid in mine and not revocation else "",
                )
            )
        return views


@dataclass(frozen=True)
class WaiverPage:
    title: str
    waiver: WaiverView

    @classmethod
    def of(cls, actor: Actor, waiver: "LicenceWaiver") -> "WaiverPage":
        (view,) = WaiverView.all_of(actor, [waiver])
        return cls(view.title, view)


@dataclass(frozen=True)
class WaiversPage:
    title: str
    waivers: list[WaiverView]

    @classmethod
    def of(cls, actor: Actor) -> "WaiversPage":
        rows = visible_waivers(actor).order_by("-created_at", "-pk")
        return cls("Waivers", WaiverView.all_of(actor, list(rows[:WAIVERS_SHOWN])))


@dataclass(frozen=True)
class RepoLicencePage:
    title: str
    head: RepoHead
    licence: LicenceView
    chain: ChainView
    waivers: list[WaiverView]
    form: forms.Form | None
    options: list[tuple[str, str]]

    @classmethod
    def of(cls, actor: Actor, repo: "Repo", form: forms.Form) -> "RepoLicencePage":
        head = RepoHead.of(repo, actor, "licence")
        found = licences.check(actor, repo.kind, repo)
        own = found.chain.things[found.chain.subjects[0]].licence
        waivers = licences.waivers_of(actor, repo).order_by("-created_at", "-pk")[:WAIVERS_SHOWN]
        return cls(
            f"Licence of {head.full_name}",
            head,
            LicenceView.of(own),
            ChainView.of(actor, found),
            WaiverView.all_of(actor, list(waivers)),
            form if head.can_commit else None,
            queries.choices_for([repo.namespace]) if head.can_commit else [],
        )


@dataclass(frozen=True)
class ListingLicencePage:
    title: str
    listing_title: str
    listing_href: str
    licence: LicenceView
    chain: ChainView

    @classmethod
    def of(cls, actor: Actor, listing: "Listing", subject: "Subject", *, is_paid: bool) -> "ListingLicencePage":
        found = licences.check(actor, listing.subject_kind, subject, is_paid=is_paid)
        subjects = found.chain.subjects
        own = found.chain.things[subjects[0]].licence if subjects else queries.resolved([""])[""]
        return cls(
            f"Licence of {listing.title}",
            listing.title,
            listing_url(listing.namespace.name, listing.slug),
            LicenceView.of(own),
            ChainView.of(actor, found),
        )


def licence_url(key: str) -> str:
    return f"/licences/{quote(key)}"


def _node(thing: Thing, shown: Shown, is_self: bool) -> NodeView:  # noqa: FBT001 - a fact of the node
    repo = shown.repos.get(thing.repo)
    url = ""
    if repo is not None:
        url = version_url(repo, thing.title.rsplit(" ", 1)[-1]) if thing.version else repo_url(repo)
    return NodeView(
        thing.key if repo else f"p{hash(thing.key)}",
        thing.kind if repo else "private",
        shown.name(thing),
        shown.licence(thing),
        url,
        is_self,
    )
