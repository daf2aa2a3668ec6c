"""The licence check: which licence, of what went into a thing, stands against selling it. Pure; `market.licence_chains` walks the
lineage and hands the chain in.

Each edge from an upstream thing to what was made of it is asked for itself, however far up it lies: the terms of the upstream one must
allow the sale, whatever was agreed further down. What a namespace's own custom licence says to others does not bind that namespace."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from registry.licence_terms import Term
from registry.licences import Choice, Licence, joined, takes_over


class Rule(StrEnum):
    """What can stand against a sale. Where a term has the same name, the rule is that the term must allow it."""

    UNKNOWN = "unknown"
    COMMERCIAL_USE = "commercial_use"
    DERIVATIVES = "derivatives"
    SHARE_ALIKE = "share_alike"
    REDISTRIBUTION = "redistribution"
    HOSTING = "hosting"
    UNCHECKED = "unchecked"
    """The lineage is longer than a check looks; no waiver helps."""


_DEEDS = {
    Rule.COMMERCIAL_USE: "commercial use",
    Rule.DERIVATIVES: "derivatives",
    Rule.REDISTRIBUTION: "handing it on",
    Rule.HOSTING: "offering it as a service",
}
WAIVABLE = tuple(rule for rule in Rule if rule != Rule.UNCHECKED)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something with a licence: a version, or a repository without any. `owner`: primary key of its namespace."""

    key: str
    kind: str
    title: str
    repo: UUID
    version: UUID | None
    owner: int
    licence: Licence


@dataclass(frozen=True)
class Chain:
    """What is sold (`subjects`), all that went into it, and the links between: upstream key, downstream key. `is_cut`: there is more."""

    subjects: tuple[str, ...]
    things: Mapping[str, Thing]
    links: frozenset[tuple[str, str]]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Sale:
    """`is_service`: calls of an endpoint are sold; else the files are handed over."""

    is_paid: bool
    is_service: bool


@dataclass(frozen=True, slots=True)
class Waived:
    """What a waiver in force permits: `version` None stands for all versions of the upstream repository."""

    upstream: UUID
    version: UUID | None
    downstream: UUID
    rules: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A rule that one edge breaks; upstream and downstream are the same where it is the sold thing's own licence."""

    upstream: Thing
    downstream: Thing
    rule: Rule

    @property
    def is_own(self) -> bool:
        return self.upstream == self.downstream


def links_between(things: Collection[str], edges: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The edges of the lineage with all nodes left out that have no licence of their own (jobs, builds): a thing is linked to what it
    reaches through such nodes alone."""
    after: dict[str, set[str]] = defaultdict(set)
    for source, target in edges:
        after[source].add(target)
    found = set()
    for thing in things:
        seen, waiting = {thing}, [thing]
        while waiting:
            for target in after[waiting.pop()] - seen:
                seen.add(target)
                if target in things:
                    found.add((thing, target))
                else:
                    waiting.append(target)
    return frozenset(found)


def conflicts(chain: Chain, sale: Sale, waived: Iterable[Waived] = ()) -> list[Conflict]:
    """All that stands against the sale, what is sold first, then by title; empty when nothing does."""
    given = list(waived)
    carried = _carried(chain)
    found = [
        Conflict(chain.things[key], chain.things[key], rule)
        for key in chain.subjects
        for rule in _broken(chain.things[key], chain.things[key], _asked_of_subject(sale), given)
    ]
    by_title = sorted(chain.links, key=lambda link: (chain.things[link[0]].title, chain.things[link[1]].title, link))
    for source, target in by_title:
        upstream, downstream = chain.things[source], chain.things[target]
        is_carried = target in carried and upstream.kind == downstream.kind
        asked = _asked_of_link(sale, is_carried=is_carried)
        found += [Conflict(upstream, downstream, rule) for rule in _broken(upstream, downstream, asked, given)]
    if chain.is_cut and sale.is_paid and chain.subjects:
        subject = chain.things[chain.subjects[0]]
        found.append(Conflict(subject, subject, Rule.UNCHECKED))
    return found


def to_be_named(chain: Chain) -> list[Thing]:
    """Whom a buyer has to name: the things all of whose choices ask for attribution, by title."""
    return sorted(
        (
            thing
            for thing in chain.things.values()
            if thing.licence.is_known
            and all((terms := joined(each)) is not None and terms.attribution for each in thing.licence.choices)
        ),
        key=lambda thing: thing.title,
    )


def sentence(conflict: Conflict, name: Callable[[Thing], str], licence_name: Callable[[Thing], str]) -> str:
    """Why this edge stands against the sale, and what helps. The callables: what a reader may know of the things and their licences."""
    up, down = name(conflict.upstream), name(conflict.downstream)
    licence = licence_name(conflict.upstream)
    if conflict.rule == Rule.UNKNOWN:
        problem = conflict.upstream.licence.problem
        return f"{up}: {problem if up == conflict.upstream.title else 'the terms of its licence are not known here.'}"
    if conflict.rule == Rule.UNCHECKED:
        return f"The lineage of {up} is longer than the check looks, so it cannot be told whether it may be sold."
    if conflict.is_own:
        return f"{up} is under {licence}, which does not allow {_DEEDS[conflict.rule]}."
    if conflict.rule == Rule.SHARE_ALIKE:
        own = licence_name(conflict.downstream)
        return f"{down} was made from {up}, whose licence {licence} asks that it goes under the same one; it is under {own}."
    verb = "holds content of" if conflict.rule == Rule.REDISTRIBUTION else "was made from"
    return f"{down} {verb} {up}, whose licence {licence} does not allow {_DEEDS[conflict.rule]}."


def _carried(chain: Chain) -> set[str]:
    """The things whose content reaches what is sold: through links between things of one kind. A model holds no rows of its data."""
    before: dict[str, set[str]] = defaultdict(set)
    for source, target in chain.links:
        before[target].add(source)
    seen, waiting = set(chain.subjects), list(chain.subjects)
    while waiting:
        target = waiting.pop()
        for source in before[target] - seen:
            if chain.things[source].kind == chain.things[target].kind:
                seen.add(source)
                waiting.append(source)
    return seen


def _asked_of_subject(sale: Sale) -> list[Rule]:
    asked = [Rule.COMMERCIAL_USE] if sale.is_paid else []
    return [*asked, Rule.HOSTING if sale.is_service else Rule.REDISTRIBUTION]


def _asked_of_link(sale: Sale, *, is_carried: bool) -> list[Rule]:
    asked = [Rule.COMMERCIAL_USE, Rule.DERIVATIVES, Rule.SHARE_ALIKE] if sale.is_paid else []
    if sale.is_service:
        return [*asked, Rule.HOSTING]
    return [*asked, Rule.REDISTRIBUTION] if is_carried else asked


def _broken(upstream: Thing, downstream: Thing, asked: list[Rule], waived: list[Waived]) -> list[Rule]:
    """The rules that no waiver lifts, under the choice that breaks fewest. What is given away is not refused for a licence that nobody
    stated: only terms that forbid it do."""
    lifted = {
        rule
        for each in waived
        if each.upstream == upstream.repo
        and each.downstream == downstream.repo
        and each.version in {None, upstream.version}
        for rule in each.rules
    }
    if not upstream.licence.is_known:
        return [] if Rule.COMMERCIAL_USE not in asked or Rule.UNKNOWN in lifted else [Rule.UNKNOWN]
    broken = [
        [rule for rule in asked if rule not in lifted and not _allows(choice, rule, downstream)]
        for choice in upstream.licence.choices
    ]
    return min(broken, key=lambda rules: (len(rules), rules))


def _allows(choice: Choice, rule: Rule, downstream: Thing) -> bool:
    binding = tuple(part for part in choice if part.owner is None or part.owner != downstream.owner)
    terms = joined(binding)
    if terms is None:
        return True
    if rule != Rule.SHARE_ALIKE:
        return terms.says(Term(rule))
    if not terms.share_alike:
        return True
    # whoever gets the derivative may take any of its choices, so each must keep the promise
    return downstream.licence.is_known and all(
        takes_over(part.key, [other.key for other in each])
        for part in binding
        if part.terms.share_alike
        for each in downstream.licence.choices
    )
