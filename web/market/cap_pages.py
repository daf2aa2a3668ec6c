"""The page of caps on calls."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms

from accounts.actors import Actor
from accounts.directory import tokens_by_uuid
from accounts.permissions import Action
from accounts.policies import visible_tokens
from accounts.queries import teams_of
from common.clock import now
from common.money import EXPONENTS, Money, format_money, parse_amount
from market.cap_policies import CapView, caps_in
from market.queries import endpoint_listings_of
from metering.queries import tokens_used
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace

CALLS = "calls"
TOKEN_DAYS = 62


class CapForm(forms.Form):
    amount = forms.CharField(
        max_length=30,
        label="At most",
        help_text="In a month (UTC).",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )
    unit = forms.ChoiceField(
        label="Of",
        choices=[(CALLS, "calls"), *((code, code) for code in sorted(EXPONENTS))],
        help_text="A call counts at the average price of the pack it is drawn from.",
    )
    team = forms.ChoiceField(required=False, label="By the team")
    token = forms.ChoiceField(required=False, label="With the token")
    listing = forms.ChoiceField(required=False, label="To")

    def __init__(self, choices: dict[str, list[tuple[str, str]]], data: Any = None) -> None:
        super().__init__(data, initial={"unit": CALLS})
        for name, first in (("team", "everybody"), ("token", "any"), ("listing", "everything")):
            if choices[name]:
                self.fields[name].choices = [("", first), *choices[name]]  # type: ignore[attr-defined]
            else:
                del self.fields[name]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        typed, unit = cleaned.pop("amount", ""), cleaned.pop("unit", "")
        cleaned["token"] = cleaned.get("token") or None
        if unit == CALLS:
            digits = typed.replace(",", "").strip()
            if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
                self.add_error("amount", "A whole number of calls.")
            else:
                cleaned["calls"] = int(digits)
        elif unit and typed:
            cleaned |= {"amount_minor": parse_amount(typed, unit).amount_minor, "currency": unit}
        return cleaned


def cap_form(actor: Actor, owner: "Namespace", data: Any = None) -> CapForm:
    """With the teams of the owner, its own tokens and those that its calls were made with lately, and what it has bought to call."""
    teams = [(team.name, team.name) for team in teams_of(owner.organization)] if owner.organization else []
    used = tokens_by_uuid(tokens_used(owner.uuid, since=now() - timedelta(days=TOKEN_DAYS)))
    own = {
        each.uuid: each for each in visible_tokens(actor).filter(revoked_at__isnull=True).select_related("user")[:100]
    }
    tokens = [(str(each.uuid), f"{each.name} of {each.user.username}") for each in (used | own).values()]
    listings = [
        (f"{each.namespace.name}/{each.slug}", f"{each.title} of {each.namespace.name}")
        for each in endpoint_listings_of(owner)
    ]
    return CapForm({"team": teams, "token": tokens, "listing": listings}, data)


@dataclass(frozen=True)
class CapRow:
    cap: CapView
    note: str
    low: int
    high: int
    removal_href: str


@dataclass(frozen=True)
class CapsPage:
    """`form` is None for those who may not set caps."""

    title: str
    owner: str
    owners: list[OwnerChoice]
    caps: list[CapRow]
    form: CapForm | None

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", form: CapForm | None = None) -> "CapsPage":
        may_set = actor.may(Action.NAMESPACE_APPROVE, owner.pk)
        return cls(
            "Caps",
            owner.name,
            owner_choices(actor, Action.NAMESPACE_READ, "/library/caps", owner.name),
            [_row(each, may_set=may_set) for each in caps_in(owner)],
            (form or cap_form(actor, owner)) if may_set else None,
        )


def cap_rows(owner: "Namespace") -> list[CapRow]:
    """The caps of a namespace, to look at."""
    return [_row(each, may_set=False) for each in caps_in(owner)]


def _row(cap: CapView, *, may_set: bool) -> CapRow:
    if cap.currency:
        used, limit = (format_money(Money(minor, cap.currency)) for minor in (cap.used, cap.limit))
    else:
        used, limit = f"{cap.used:,}", f"{cap.limit:,}"
    return CapRow(
        cap,
        f"{used} of {limit}",
        cap.limit // 2,
        cap.limit * 17 // 20,
        f"/library/caps/{cap.uuid}/removal" if may_set else "",
    )
