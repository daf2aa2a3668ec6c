"""What pages show of likes, follows and collections."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from market import follow_queries as queries
from market.addresses import listing_address
from registry import community_queries
from web.links import namespace_url, repo_url, with_query
from web.market.cards import ListingCard
from web.namespaces import namespace_choices

if TYPE_CHECKING:
    from market.models import Listing
    from registry.models import Collection

MENU = 50
"""Collections that the menu on a listing offers."""


@dataclass(frozen=True)
class Social:
    """Like, follow and collect, on the page of a listing. `collections`: uuid and title of those one may put it into."""

    is_shown: bool
    likes: int
    is_liked: bool
    is_followed: bool
    is_seller_followed: bool
    seller: str
    base: str
    uuid: str
    collections: list[tuple[str, str]]

    @classmethod
    def of(cls, actor: Actor, listing: "Listing") -> "Social":
        """Nothing for nobody in particular; else five queries."""
        standing = queries.standing_to(actor, listing)
        mine: list[Collection] = []
        if actor.user_id is not None:
            owners = [name for name, _ in namespace_choices(actor, Action.NAMESPACE_PUBLISH)]
            mine = community_queries.page_of_collections(actor, owners=owners, limit=MENU).items if owners else []
        return cls(
            actor.user_id is not None,
            listing.likes,
            standing.is_liked,
            standing.is_followed,
            standing.is_seller_followed,
            listing.namespace.name,
            listing_address(listing),
            str(listing.uuid),
            [(str(each.uuid), f"{each.namespace.name}: {each.title}") for each in mine],
        )


@dataclass(frozen=True)
class FollowRow:
    title: str
    note: str
    href: str
    unfollow_href: str


@dataclass(frozen=True)
class FollowingPage:
    title: str
    follows: list[FollowRow]
    next_href: str
    first_href: str
    liked: list[FollowRow]

    @classmethod
    def of(cls, actor: Actor, cursor: str) -> "FollowingPage":
        found = queries.follows_of(actor, cursor=cursor or None)
        liked = [] if cursor else queries.likes_of(actor, limit=50).items
        rows = []
        for each in found.items:
            if each.listing is not None:
                base = listing_address(each.listing)
                rows.append(FollowRow(each.listing.title, each.listing.namespace.name, base, f"{base}/following"))
            elif each.namespace is not None:
                name = each.namespace.name
                rows.append(FollowRow(name, "what it lists", namespace_url(name), f"/library/following/{name}"))
        url = "/library/following"
        return cls(
            "What you follow",
            rows,
            with_query(url, cursor=found.next_cursor) if found.next_cursor else "",
            url if cursor else "",
            [
                FollowRow(
                    each.listing.title,
                    each.listing.namespace.name,
                    listing_address(each.listing),
                    f"{listing_address(each.listing)}/like",
                )
                for each in liked
            ],
        )


class CollectionForm(forms.Form):
    namespace = forms.ChoiceField(label="Owner")
    title = forms.CharField(max_length=60, label="Title")
    description = forms.CharField(max_length=150, required=False, label="Description")
    is_private = forms.BooleanField(required=False, label="Only for its owner's people")

    def __init__(self, actor: Actor, data: Any = None) -> None:
        super().__init__(data)
        self.fields["namespace"].choices = namespace_choices(actor, Action.NAMESPACE_PUBLISH)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class CollectionRow:
    title: str
    href: str
    owner: str
    description: str
    listings: int
    repos: int
    is_private: bool


@dataclass(frozen=True)
class CollectionsPage:
    title: str
    rows: list[CollectionRow]
    next_href: str
    first_href: str
    form: forms.Form | None

    @classmethod
    def of(cls, actor: Actor, owner: str, cursor: str, form: forms.Form | None) -> "CollectionsPage":
        page = community_queries.page_of_collections(
            actor, owners=[owner] if owner else [], cursor=cursor or None, limit=30
        )
        held = queries.listings_in(actor, page.items)
        rows = [
            CollectionRow(
                each.title,
                f"/collections/{each.uuid}",
                each.namespace.name,
                each.description,
                len(held[each.pk]),
                len(each.visible_items),  # type: ignore[attr-defined]
                each.is_private,
            )
            for each in page.items
        ]
        next_href = with_query("/collections", owner=owner, cursor=page.next_cursor) if page.next_cursor else ""
        return cls("Collections", rows, next_href, with_query("/collections", owner=owner) if cursor else "", form)


@dataclass(frozen=True)
class CollectedListing:
    card: ListingCard
    note: str
    removal_href: str


@dataclass(frozen=True)
class CollectionPage:
    title: str
    owner: str
    owner_href: str
    description: str
    is_private: bool
    listings: list[CollectedListing]
    repos: list[tuple[str, str, str]]
    """Kind, name, address."""
    delete_href: str

    @classmethod
    def of(cls, actor: Actor, collection: "Collection") -> "CollectionPage":
        community_queries.attach_items(actor, [collection])
        may_change = actor.may(Action.NAMESPACE_PUBLISH, collection.namespace_id)
        href = f"/collections/{collection.uuid}"
        return cls(
            title=collection.title,
            owner=collection.namespace.name,
            owner_href=namespace_url(collection.namespace.name),
            description=collection.description,
            is_private=collection.is_private,
            listings=[
                CollectedListing(
                    ListingCard.of(each.listing, each.listing.offers),  # type: ignore[attr-defined]
                    each.note,
                    f"{href}/listings/{each.listing.uuid}/removal" if may_change else "",
                )
                for each in queries.listings_in(actor, [collection])[collection.pk]
            ],
            repos=[
                (item.repo.kind, f"{item.repo.namespace.name}/{item.repo.name}", repo_url(item.repo))
                for item in collection.visible_items  # type: ignore[attr-defined]
            ],
            delete_href=f"{href}/deletion" if may_change else "",
        )
