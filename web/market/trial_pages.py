"""What the pages about free calls show."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from compute.endpoint_policies import can
from market.trial_queries import trial_calls, trial_days
from web.links import listing_url, with_query
from web.work.job_pages import Chart
from web.work.try_panel import TryPanel

if TYPE_CHECKING:
    from compute.models import Endpoint
    from market.models import Listing

SHOWN_DAYS = 30


@dataclass(frozen=True)
class TrialPage:
    title: str
    listing_href: str
    listing_title: str
    seller: str
    panel: TryPanel
    can_try: bool
    sign_in_href: str

    @classmethod
    def of(cls, actor: Actor, listing: "Listing", endpoint: "Endpoint") -> "TrialPage":
        href = listing_url(listing.namespace.name, listing.slug)
        may_call = can(actor, endpoint, Action.ENDPOINT_USE)
        panel = TryPanel.of(actor, endpoint, listing, may_call=may_call)
        return cls(
            title=f"Try {listing.title}",
            listing_href=href,
            listing_title=listing.title,
            seller=listing.namespace.name,
            panel=panel,
            can_try=may_call or panel.is_trial,
            sign_in_href=with_query("/accounts/login/", next=f"{href}/try"),
        )


@dataclass(frozen=True)
class SellerTrialPage:
    title: str
    editor_href: str
    save_href: str
    form: forms.Form
    calls_per_day: int
    is_site_figure: bool
    total: int
    calls: Chart

    @classmethod
    def of(cls, listing: "Listing", form: forms.Form) -> "SellerTrialPage":
        here, days = f"/sell/{listing.uuid}/trial", trial_days(listing, days=SHOWN_DAYS)
        return cls(
            title=f"Free calls to {listing.title}",
            editor_href=f"/sell/{listing.uuid}",
            save_href=here,
            form=form,
            calls_per_day=trial_calls(listing),
            is_site_figure=listing.trial_calls is None,
            total=sum(each.calls for each in days),
            calls=Chart(
                "trial",
                f"Free calls a day, last {SHOWN_DAYS} days",
                "day",
                "calls",
                ["calls", "people"],
                [[each.day.isoformat(), each.calls, each.people] for each in days],
                f"{here}/days.csv",
            ),
        )
