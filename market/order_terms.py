"""What a buyer accepts with an order, as one text: the licence, the seller's terms, the price, the terms of the site. Any change of it
is another digest."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.actors import Actor
from common.errors import NotFound
from market.models import TermsText
from market.policies import visible_orders
from market.prices import price_of
from market.ready_queries import licence_now
from market.states import PlanKind
from market.subscription_queries import visible_subscriptions
from market.tiers import steps_in_words
from registry.licence_queries import licence_entry
from registry.licences import custom_keys

if TYPE_CHECKING:
    from market.models import Plan


@dataclass(frozen=True)
class OrderTerms:
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text in UTF-8, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def terms_for(plan: "Plan") -> OrderTerms:
    """The terms of an order of `plan` now, the same for every buyer and quantity. Wants listing and seller joined; a few queries."""
    listing = plan.listing
    parts = [
        (
            "What is ordered",
            f"{listing.namespace.name}/{listing.slug}: {listing.title}\nPlan {plan.number}: {plan.name}",
        ),
        ("Price", "\n".join([f"{price_of(plan)}. It is final: this site adds no tax.", *steps_in_words(plan)])),
        ("Licence", _licence(licence_now(listing))),
        ("Return", _returns(plan)),
        ("Terms of this site", settings.SITE_TERMS.strip() or "This site has no terms of its own."),
    ]
    return OrderTerms("\n\n".join(f"{title}\n{text}" for title, text in parts) + "\n")


def accepted_text(actor: Actor, digest: str) -> TermsText:
    """A text that was accepted for an order, or a plan of a subscription, which the actor may see, by its digest. Raises NotFound."""
    actor.require_authenticated()
    found = TermsText.objects.filter(digest=digest.lower()).first()
    if found is not None:
        if visible_orders(actor).filter(acceptance__terms=found).exists():
            return found
        if visible_subscriptions(actor).filter(switches__acceptance__terms=found).exists():
            return found
    raise NotFound("No order of yours was placed on such terms.")


def _licence(licence: str) -> str:
    if not licence:
        return "No licence is named: nothing is allowed beyond what the law allows."
    texts = [licence]
    for key in sorted(custom_keys([licence])):
        try:
            custom = licence_entry(key).custom
        except NotFound:
            continue
        if custom is not None:
            texts.append(f"{custom.title}\n{custom.text.strip()}")
    return "\n\n".join(texts)


def _returns(plan: "Plan") -> str:
    days = plan.refund_window_days
    if plan.kind == PlanKind.FREE:
        first = "It costs nothing, so there is nothing to return."
    else:
        first = f"The buyer may undo the order within {days} days." if days else "The buyer can't undo the order alone."
    return f"{first}\n{plan.listing.return_terms.strip()}".strip()
