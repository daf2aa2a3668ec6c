"""Who may see and do what with blind evaluations. The buyer's people see theirs, and what the buyer publishes is for whoever sees the
listing; the seller's people see that an evaluation took place. Nobody else sees anything, staff included."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Forbidden, NotFound
from market.models import BlindEvaluation
from market.policies import visible_listings
from market.states import EvaluationState

_JOINED = ("listing__namespace", "buyer", "certificate__key", "created_by")


def visible_evaluations(actor: Actor) -> QuerySet[BlindEvaluation]:
    """Those of the namespaces whose jobs or orders the actor may read."""
    mine = [pk for pk in actor.roles if actor.may(Action.JOB_READ, pk) or actor.may(Action.ORDER_READ, pk)]
    return BlindEvaluation.objects.filter(buyer_id__in=mine).select_related(*_JOINED)


def require_evaluation(actor: Actor, uuid: UUID | str, *, to_change: bool = False) -> BlindEvaluation:
    """An evaluation of the actor's, to see or to cancel and publish. Raises NotFound, Forbidden."""
    found = visible_evaluations(actor).filter(uuid=uuid).first()
    if found is None:
        actor.require_authenticated()
        raise NotFound("There is no such evaluation.")
    if to_change and not actor.may(Action.NAMESPACE_RUN, found.buyer_id):
        raise Forbidden(f"You may not run evaluations for {found.buyer.name}.", action=str(Action.NAMESPACE_RUN))
    return found


def evaluations_that_took_place(actor: Actor) -> QuerySet[BlindEvaluation]:
    """Finished evaluations of the listings that the actor manages. Who shows them tells the time and the version, and of published ones
    what their certificates say; nothing else is the seller's to know."""
    managed = [pk for pk in actor.roles if actor.may(Action.LISTING_MANAGE, pk)]
    return BlindEvaluation.objects.filter(
        listing__namespace_id__in=managed, state=EvaluationState.SUCCEEDED
    ).select_related(*_JOINED)


def visible_certificates(actor: Actor) -> QuerySet[BlindEvaluation]:
    """Evaluations whose certificate the actor may see: published ones of listings that the actor finds, and one's own."""
    published = Q(published_at__isnull=False, listing__in=visible_listings(actor).values("pk"))
    own = Q(pk__in=visible_evaluations(actor).values("pk"))
    return BlindEvaluation.objects.filter(published | own, state=EvaluationState.SUCCEEDED).select_related(*_JOINED)


def require_certificate(actor: Actor, uuid: UUID | str) -> BlindEvaluation:
    """The evaluation of that uuid with its certificate. Raises NotFound."""
    found = visible_certificates(actor).filter(uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such certificate, or it is not published.")
    return found
