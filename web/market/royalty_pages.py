"""What the pages about royalties show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.money import Money
from market import royalty_queries
from market.rating import shares_upto
from market.royalties import WHOLE, due_upto
from market.services import royalties
from registry.policies import visible_repos
from registry.queries import search_repos
from web.links import listing_url, repo_url, version_url
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Listing, Plan, RoyaltyTerms
    from registry.models import Repo

LISTED = 200


@dataclass(frozen=True)
class RepoRow:
    title: str
    kind: str
    terms: str
    href: str


@dataclass(frozen=True)
class FlowRow:
    title: str
    href: str
    other: str
    orders: int
    amount: Money


@dataclass(frozen=True)
class RoyaltiesPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    repos: list[RepoRow]
    received: list[FlowRow]
    paid: list[FlowRow]

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace") -> "RoyaltiesPage":
        repos = [
            repo
            for kind in ("model", "dataset")
            for repo in search_repos(actor, kind=kind, namespace=owner.name, limit=LISTED).items
        ]
        terms = royalty_queries.current_terms(repo.uuid for repo in repos)
        return cls(
            "Royalties",
            owner.name,
            owner_choices(actor, Action.NAMESPACE_SELL, "/sell/royalties", owner.name),
            [
                RepoRow(repo.name, repo.kind, _in_words(terms.get(repo.uuid)), f"/sell/royalties/{repo.uuid}")
                for repo in repos
            ],
            [_flow(each) for each in royalty_queries.received(owner)],
            [_flow(each) for each in royalty_queries.paid(owner)],
        )


@dataclass(frozen=True)
class TermsRow:
    words: str
    since: datetime


@dataclass(frozen=True)
class TermsPage:
    title: str
    repo: str
    repo_href: str
    form: forms.Form
    history: list[TermsRow]
    save_href: str

    @classmethod
    def of(cls, repo: "Repo", form: forms.Form) -> "TermsPage":
        history = list(royalties.terms_history(repo)[:50])
        if history and not form.is_bound:
            form.initial = {**_initial(history[0]), **form.initial}
        return cls(
            f"Royalties for {repo.name}",
            f"{repo.namespace.name}/{repo.name}",
            repo_url(repo),
            form,
            [TermsRow(_in_words(each), each.created_at) for each in history],
            f"/sell/royalties/{repo.uuid}",
        )


@dataclass(frozen=True)
class UpstreamRow:
    uuid: str
    owner: str
    title: str
    """Empty for what the reader may not see."""
    href: str
    steps: int
    terms: str
    is_accepted: bool


@dataclass(frozen=True)
class SplitRow:
    who: str
    amount: Money


@dataclass(frozen=True)
class RoyaltyChain:
    """Everybody upstream of a listing, and how an order of its dearest plan would be shared."""

    rows: list[UpstreamRow]
    missing: list[str]
    accept_href: str
    split_of: str
    split: list[SplitRow]

    @classmethod
    def of(cls, actor: Actor, listing: "Listing", plans: "list[Plan]", fee_percent: int) -> "RoyaltyChain":
        chain = royalties.chain_of(listing)
        open_ones = {each.terms.pk for each in royalties.unaccepted(listing, chain)}
        repos = {each.version.repo_id for each in chain}
        seen = set(visible_repos(actor).filter(pk__in=repos).values_list("pk", flat=True))
        rows = []
        for each in chain:
            repo, is_seen = each.version.repo, each.version.repo_id in seen
            rows.append(
                UpstreamRow(
                    str(each.terms.uuid),
                    each.terms.namespace.name,
                    f"{repo.namespace.name}/{repo.name} {each.version.name}" if is_seen else "",
                    version_url(repo, each.version.name) if is_seen else "",
                    each.steps,
                    royalties.sentence(each.terms),
                    each.terms.pk not in open_ones,
                )
            )
        missing = [str(each.terms.uuid) for each in chain if each.terms.pk in open_ones]
        dearest = max((plan for plan in plans if plan.price_minor), key=lambda plan: plan.price_minor, default=None)
        split: list[SplitRow] = []
        if dearest and chain:
            shares = shares_upto(dearest.price_minor, fee_percent)
            parts = due_upto([each.terms.share_in(dearest.currency) for each in chain], shares.seller_minor)
            amounts = [(each.terms.namespace.name, part) for each, part in zip(chain, parts, strict=True)]
            amounts += [
                (f"{listing.namespace.name} (you)", shares.seller_minor - sum(parts)),
                ("the site", shares.fee_minor),
            ]
            split = [SplitRow(who, Money(amount, dearest.currency)) for who, amount in amounts]
        title = f"{dearest.name}, {Money(dearest.price_minor, dearest.currency)}" if dearest else ""
        return cls(rows, missing, f"/sell/{listing.uuid}/royalties", title, split)


def _in_words(terms: "RoyaltyTerms | None") -> str:
    return royalties.sentence(terms) if terms and terms.asks else "asks nothing"


def _initial(terms: "RoyaltyTerms") -> dict[str, object]:
    def plain(minor: int | None) -> str:
        return str(Money(minor, terms.currency)).removesuffix(f" {terms.currency}") if minor else ""

    return {
        "percent": f"{terms.basis_points * 100 / WHOLE:g}",
        "minimum": plain(terms.minimum_minor),
        "cap": plain(terms.cap_minor),
        "currency": terms.currency,
        "until": terms.until.date() if terms.until else None,
    }


def _flow(flow: royalty_queries.Flow) -> FlowRow:
    listing = flow.listing
    return FlowRow(
        listing.title,
        listing_url(listing.namespace.name, listing.slug),
        flow.other,
        flow.orders,
        Money(flow.amount_minor, flow.currency),
    )
