"""Counting how often listings are looked at."""

import re

from django.db import DatabaseError, transaction
from django.db.models import F

from common.clock import now
from market.models import Listing, ListingViews
from market.states import ListingState

_MACHINES = re.compile(
    r"bot|crawl|spider|slurp|preview|monitor|headless|curl|wget|python|java/|go-http|http-?client", re.IGNORECASE
)


def is_machine(agent: str) -> bool:
    """Whether a User-Agent header names no browser of a person: empty, or one of a program's usual words in it."""
    return not agent.strip() or _MACHINES.search(agent) is not None


def count_view(listing: Listing, agent: str) -> bool:
    """Add one to today's views of a published listing, unless a machine looked (`agent`: its User-Agent); returns whether it was counted.
    Keeps nothing about who looked. One statement, an insertion once a day; a database that is busy loses the view and holds up
    nobody. Every call counts."""
    if listing.state != ListingState.PUBLISHED or is_machine(agent):
        return False
    today = ListingViews.objects.filter(listing=listing, day=now().date())
    try:
        with transaction.atomic():
            if not today.update(views=F("views") + 1):
                first = ListingViews(listing=listing, day=now().date())
                ListingViews.objects.bulk_create([first], ignore_conflicts=True)
                today.update(views=F("views") + 1)
    except DatabaseError:
        return False
    return True
