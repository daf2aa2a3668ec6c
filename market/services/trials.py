"""A day's free calls: opening them for a person, setting how many there are, ending them."""

from django.db import transaction

from accounts.actors import Actor, system
from accounts.directory import holder_of
from accounts.permissions import Action, Level, Scope
from accounts.policies import require_namespace
from accounts.services import audit, grants
from common.clock import now
from common.errors import Conflict, Invalid
from compute.endpoint_policies import require_endpoint_by_uuid
from market.models import Listing, TrialAllowance
from market.policies import require_listing_by_uuid
from market.states import SubjectKind
from market.subjects import model_of
from market.trial_queries import Way, end_of, right_of, trial_calls
from metering.meters import Meter
from metering.services import budgets

MOST_CALLS = 10_000
"""The largest figure that a seller may set."""
_SYSTEM = system("market")


def open_trial(actor: Actor, listing: Listing) -> TrialAllowance:
    """Open the actor's free calls of today (UTC) to the endpoint of a listing: a grant and a budget that end at midnight. Writes both,
    the allowance and audit. A second call today returns what the first opened: the database keeps one for each person, listing
    and day. Raises Unauthenticated, Forbidden (the token's scope), NotFound; Conflict when the seller gives none or ended them, and
    when the actor has another right, which is used instead."""
    actor.require_authenticated()
    actor.require_scope(Scope.ENDPOINT_USE)
    found = require_listing_by_uuid(actor, listing.uuid)
    if found.subject_kind != SubjectKind.ENDPOINT or not trial_calls(found):
        raise Conflict("This listing gives no free calls: choose a plan.", code="no_trial")
    endpoint = require_endpoint_by_uuid(_SYSTEM, found.subject_uuid, Action.ENDPOINT_DISCOVER)
    right = right_of(actor, endpoint, found)
    if right.way == Way.NONE:
        raise Conflict("The endpoint does not answer calls now: try again later.", code="no_trial")
    if right.way != Way.TRIAL:
        raise Conflict("You may call it already: what you have is used, so there are no free calls.", code="has_access")
    today, holder = now().date(), require_namespace(_SYSTEM, actor.username)
    with transaction.atomic():
        # with those who end free calls, one after the other
        found = Listing.objects.select_for_update(of=("self",), no_key=True).get(pk=found.pk)
        calls = trial_calls(found)
        row = TrialAllowance.objects.filter(listing=found, user_id=actor.person_id, day=today).first()
        is_new = row is None and calls > 0
        if is_new:
            row = TrialAllowance.objects.create(listing=found, user_id=actor.person_id, day=today, granted_calls=calls)
        if row is None:
            raise Conflict("This listing gives no free calls: choose a plan.", code="no_trial")
        if row.closed_at is not None:
            raise Conflict("The seller has ended the free calls of today: choose a plan.", code="no_trial")
        if is_new:
            until = end_of(today)
            grants.grant(_SYSTEM, endpoint, holder_of(holder), Level.USE, source=row.source, valid_until=until)
            budgets.top_up(
                source=row.source,
                holder=holder.uuid,
                subject=endpoint.uuid,
                meter=Meter.INFERENCE_CALLS,
                amount=row.granted_calls,
                valid_until=until,
            )
            audit.record(
                actor,
                "market:trial:opened",
                "listing",
                found.uuid,
                namespace_id=found.namespace_id,
                calls=row.granted_calls,
            )
    return row


def set_trial_calls(actor: Actor, listing: Listing, calls: int | None) -> Listing:
    """How many free calls a day each person has: None for the site's figure, 0 for none. Needs the right to manage the listing. What
    people opened today stays as it is, except that 0 ends it at once. Safe to repeat. Raises Invalid, NotFound, Forbidden,
    Conflict for what is no endpoint."""
    if calls is not None and not 0 <= calls <= MOST_CALLS:
        raise Invalid(f"Give 0 to {MOST_CALLS:,} calls.", fields={"calls_per_day": "out of range"})
    require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    if listing.subject_kind != SubjectKind.ENDPOINT:
        raise Conflict("Free calls are for listings of endpoints.", code="not_an_endpoint")
    with transaction.atomic():
        row = (
            Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)
        )
        if row.trial_calls != calls:
            row.trial_calls, row.updated_at = calls, now()
            row.save(update_fields=["trial_calls", "updated_at"])
            audit.record(actor, "market:trial:limited", "listing", row.uuid, namespace_id=row.namespace_id, calls=calls)
            if calls == 0:
                close_trials(actor, row)
    return row


def close_trials(actor: Actor, listing: Listing) -> int:
    """End the free calls of today that people have of a listing, in every process within a second; returns how many. For a caller
    that has checked `actor`, in its transaction. A second call ends none."""
    closed = 0
    with transaction.atomic():
        rows = TrialAllowance.objects.select_for_update(of=("self",)).filter(
            listing=listing, day=now().date(), closed_at__isnull=True
        )
        for row in rows.order_by("pk"):
            grants.revoke(_SYSTEM, model_of(SubjectKind.ENDPOINT), row.source)
            budgets.close(row.source)
            row.closed_at = now()
            row.save(update_fields=["closed_at"])
            closed += 1
        if closed:
            audit.record(
                actor, "market:trial:closed", "listing", listing.uuid, namespace_id=listing.namespace_id, count=closed
            )
    return closed
