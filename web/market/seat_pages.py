"""The page on which an organisation gives its seats."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.queries import members_of, teams_of
from market.seat_policies import GivenSeat, seating_of
from web.links import listing_url, with_query

if TYPE_CHECKING:
    from market.models import Entitlement


class SeatForm(forms.Form):
    holder = forms.ChoiceField(label="Give a seat to")

    def __init__(self, choices: list[tuple[str, list[tuple[str, str]]]], data: Any = None) -> None:
        super().__init__(data)
        self.fields["holder"].choices = choices  # type: ignore[attr-defined]


def seat_form(entitlement: "Entitlement", given: set[str], data: Any = None) -> SeatForm:
    """The members and teams who were not given a seat yet."""
    organization = entitlement.holder.organization
    assert organization is not None, "only organisations have seats to give"
    people = [(each.user.username, each.user.username) for each in members_of(organization)]
    named = [(f"{entitlement.holder.name}/{team.name}", team) for team in teams_of(organization)]
    teams = [(name, f"{team.name} ({team.size} {'seat' if team.size == 1 else 'seats'})") for name, team in named]  # type: ignore[attr-defined]  # counted
    groups = {"Members": people, "Teams": teams}
    return SeatForm(
        [(label, left) for label, each in groups.items() if (left := [pair for pair in each if pair[0] not in given])],
        data,
    )


@dataclass(frozen=True)
class GiftRow:
    gift: GivenSeat
    removal_href: str


@dataclass(frozen=True)
class SeatsPage:
    """`form` is None for those who may not give seats, or when everybody has one."""

    title: str
    owner: str
    library_href: str
    listing_title: str
    listing_href: str
    total: int
    taken: int
    left: int
    low: int
    high: int
    gifts: list[GiftRow]
    form: SeatForm | None
    is_over: bool

    @classmethod
    def of(cls, actor: Actor, entitlement: "Entitlement", form: SeatForm | None = None) -> "SeatsPage":
        seating, listing = seating_of(entitlement), entitlement.listing
        is_over = entitlement.revoked_at is not None
        may_give = not is_over and actor.may(Action.NAMESPACE_BUY, entitlement.holder_id)
        shown = form or (seat_form(entitlement, {gift.holder for gift in seating.gifts}) if may_give else None)
        base = f"/library/seats/{entitlement.uuid}"
        return cls(
            title=f"Seats of {listing.title}",
            owner=entitlement.holder.name,
            library_href=with_query("/library", owner=entitlement.holder.name),
            listing_title=listing.title,
            listing_href=listing_url(listing.namespace.name, listing.slug),
            total=seating.total,
            taken=seating.taken,
            left=seating.left,
            low=seating.total * 3 // 4,
            high=seating.total * 19 // 20,
            gifts=[GiftRow(gift, f"{base}/{gift.uuid}/removal" if may_give else "") for gift in seating.gifts],
            form=shown if shown and shown.fields["holder"].choices else None,  # type: ignore[attr-defined]
            is_over=is_over,
        )
