"""The page that reckons what a listing costs in all."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from accounts.actors import Actor
from common.errors import NotFound
from common.money import Money
from market.cost_queries import costs_of, hardware
from market.costs import MOST_CALLS, MOST_MONTHS, MOST_ROWS, Traffic
from market.policies import require_listing
from market.states import SubjectKind
from web.links import listing_url
from web.render import Request, render

if TYPE_CHECKING:
    from market.costs import Option
    from market.models import Listing

START = {"calls_per_month": 10_000, "rows_per_call": 1, "months": 12, "hardware": ""}


class CostForm(forms.Form):
    calls_per_month = forms.IntegerField(min_value=1, max_value=MOST_CALLS, label="Calls a month")
    rows_per_call = forms.IntegerField(min_value=1, max_value=MOST_ROWS, label="Rows in a call")
    months = forms.IntegerField(min_value=1, max_value=MOST_MONTHS, label="Months")
    hardware = forms.ChoiceField(required=False, label="Machine of one's own")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        names = [(each.name, each.name) for each in hardware()]
        self.fields["hardware"].choices = [("", "Each on offer"), *names]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class LineView:
    text: str
    amount: Money | None


@dataclass(frozen=True)
class OptionView:
    title: str
    way: str
    total: Money | None
    per_month: Money | None
    """Rounded up."""
    lines: list[LineView]
    why_not: str
    uncertainty: str
    is_recommended: bool

    @classmethod
    def of(cls, option: "Option", months: int) -> "OptionView":
        total = option.total_minor
        return cls(
            title=option.title,
            way=option.way,
            total=None if total is None else Money(total, option.currency),
            per_month=None if total is None else Money(-(-total // months), option.currency),
            lines=[
                LineView(line.text, None if line.minor is None else Money(line.minor, option.currency))
                for line in option.lines
            ],
            why_not=option.why_not,
            uncertainty=option.uncertainty,
            is_recommended=option.is_recommended,
        )


@dataclass(frozen=True)
class CostPage:
    title: str
    listing_href: str
    listing_title: str
    form: forms.Form
    traffic: Traffic | None
    options: list[OptionView]
    impossible: list[OptionView]
    notes: list[str]
    version: str
    utilisation_percent: int
    prices_are_ours: bool
    """The price list is the software's, not the operator's."""

    @classmethod
    def of(cls, actor: Actor, listing: "Listing", form: CostForm) -> "CostPage":
        given = form.cleaned_data if form.is_valid() else None
        traffic = Traffic(given["calls_per_month"], given["rows_per_call"], given["months"]) if given else None
        found = costs_of(actor, listing, traffic, only_hardware=given["hardware"]) if traffic and given else None
        views = [OptionView.of(each, traffic.months) for each in found.quote.options] if found and traffic else []
        return cls(
            title=f"Total cost of {listing.title}",
            listing_href=listing_url(listing.namespace.name, listing.slug),
            listing_title=listing.title,
            form=form,
            traffic=traffic,
            options=[each for each in views if each.total is not None],
            impossible=[each for each in views if each.total is None],
            notes=found.notes if found else [],
            version=found.version if found else "",
            utilisation_percent=found.utilisation_percent if found else 0,
            prices_are_ours=settings.HARDWARE_PRICES_ARE_DEFAULT,
        )


@require_GET
def cost(request: Request, namespace: str, slug: str) -> HttpResponse:
    listing = require_listing(request.actor, namespace, slug)
    if listing.subject_kind not in {SubjectKind.MODEL, SubjectKind.ENDPOINT}:
        raise NotFound("Costs are reckoned for models and endpoints.")
    given = {**START, **{name: request.GET[name] for name in START if name in request.GET}}
    form = CostForm(given, auto_id="cost-%s")
    page = CostPage.of(request.actor, listing, form)
    return render(request, "market/cost.html", page, status=200 if form.is_valid() else 400)
