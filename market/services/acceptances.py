"""Noting on which terms an order was placed, or another plan chosen."""

from accounts.actors import Actor
from common.errors import Conflict, Invalid
from market.models import Order, Plan, PlanSwitch, TermsAcceptance, TermsText
from market.order_terms import OrderTerms, terms_for


def check_terms(plan: Plan, digest: str) -> OrderTerms:
    """The terms of an order of `plan` now, if they are those of `digest`. Raises Invalid when none was sent, Conflict with the new
    digest when the terms have changed since they were read."""
    terms = terms_for(plan)
    if not digest:
        raise Invalid(
            "Read the terms and send their digest: the quote tells both.",
            fields={"accept_terms": "the digest of the terms"},
            digest=terms.digest,
        )
    if digest.lower() != terms.digest:
        raise Conflict(
            f"The terms are others than those you accepted: read them again. Their digest is {terms.digest} now.",
            code="terms_changed",
            digest=terms.digest,
        )
    return terms


def note_acceptance(actor: Actor, about: Order | PlanSwitch, terms: OrderTerms) -> TermsAcceptance:
    """Keep the text, and that `actor` accepted it for the order or the plan, in the caller's transaction. One each: the database
    refuses a second."""
    kept, _ = TermsText.objects.get_or_create(digest=terms.digest, defaults={"text": terms.text})
    return TermsAcceptance.objects.create(
        order=about if isinstance(about, Order) else None,
        switch=about if isinstance(about, PlanSwitch) else None,
        terms=kept,
        accepted_by_id=actor.user_id,
    )


def check_again(about: Order | PlanSwitch, plan: Plan) -> None:
    """Raises Conflict when the terms that were accepted for what has waited are not those of now. Of orders from before terms were kept
    nothing is asked."""
    column = "order" if isinstance(about, Order) else "switch"
    found = TermsText.objects.filter(**{f"acceptances__{column}": about}).values_list("digest", flat=True)
    accepted = found.first()
    if accepted is not None and accepted != terms_for(plan).digest:
        raise Conflict(
            "The terms have changed since it was asked for: decline it, and have it asked for anew.",
            code="terms_changed",
        )
