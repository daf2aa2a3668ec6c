"""Reviews of listings: what reviewers say and decide, and who wants them. Nobody decides what they submitted themselves."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_organization
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.pagination import Page, keyset_page
from market.models import Listing, ReviewEntry, ReviewPolicy
from market.policies import may_review, require_review
from market.services import search_documents
from market.services.listings import put_on_sale
from market.states import LISTINGS, REVIEW_CHECKS, ListingState, ReviewStep
from notices.services import notify, notify_users

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounts.models import Organization

TEXT_LIMIT = 5_000


def approve_listing(
    actor: Actor, listing: Listing, *, checks: "Iterable[str]", text: str = "", submission: UUID | str | None = None
) -> Listing:
    """Publish a listing that is in review. `checks`: every key of `REVIEW_CHECKS`, confirmed one by one. `submission`: uuid of the
    thread's entry that the reviewer has seen submitted; a later one is refused. Writes what publishing does, the thread, audit,
    notices to the seller and the submitter; one that is published already is returned as it is. Raises Invalid, Conflict,
    NotFound, Forbidden (own submissions too)."""
    confirmed = sorted(set(checks))
    missing = sorted(set(REVIEW_CHECKS) - set(confirmed))
    if missing or set(confirmed) - set(REVIEW_CHECKS):
        raise Invalid(
            "Confirm each point of the checklist, or return the listing and say what is missing.",
            fields={"checks": f"not confirmed: {', '.join(missing)}" if missing else "unknown"},
        )
    with transaction.atomic():
        row = _decided(actor, listing, submission, ListingState.PUBLISHED)
        if row.state == ListingState.PUBLISHED:
            return row
        put_on_sale(actor, row)
        _note(actor, row, ReviewStep.APPROVED, _clean(text), confirmed)
        _tell_seller(actor, row, f"The listing {row.title} was approved and is published.")
    return row


def return_listing(actor: Actor, listing: Listing, *, text: str, submission: UUID | str | None = None) -> Listing:
    """Give a listing in review back to its seller as a draft, with a `text` that says what to change. Writes state, thread, audit,
    notices; one that is a draft already is returned as it is. Raises Invalid, Conflict, NotFound, Forbidden."""
    words = _clean(text)
    if not words:
        raise Invalid("Say what has to be changed.", fields={"text": "needed"})
    with transaction.atomic():
        row = _decided(actor, listing, submission, ListingState.DRAFT)
        if row.state == ListingState.DRAFT:
            return row
        LISTINGS.ensure(ListingState(row.state), ListingState.DRAFT)
        row.state, row.updated_at = ListingState.DRAFT, now()
        row.save(update_fields=["state", "updated_at"])
        search_documents.index_listing(row)
        _note(actor, row, ReviewStep.RETURNED, words)
        _record(actor, "market:listing:returned", row)
        _tell_seller(actor, row, f"The listing {row.title} came back from review: {words[:200]}")
    return row


def comment_on_review(actor: Actor, listing: Listing, *, text: str) -> ReviewEntry:
    """Say something in the thread of a listing's reviews, as its seller or as a reviewer. Writes the thread and notices to those who took
    part; every call adds a line. Raises Invalid, NotFound, Forbidden."""
    row = require_review(actor, listing.uuid)
    words = _clean(text)
    if not words:
        raise Invalid("Write something first.", fields={"text": "needed"})
    with transaction.atomic():
        entry = _note(actor, row, ReviewStep.COMMENTED, words)
        others = set(thread_of(row).values_list("created_by_id", flat=True)) - {actor.user_id, None}
        notify_users(
            [pk for pk in others if pk],
            "market:listing:commented",
            f"{actor.label} on the review of {row.title}: {words[:200]}",
            url=f"/sell/reviews/{row.uuid}",
            key=f"review:{entry.uuid}",
        )
    return entry


def want_reviews(actor: Actor, organization: str, *, is_needed: bool) -> bool:
    """Say whether an organisation wants its listings reviewed before they are published; what is published stays. Writes the policy
    and an audit record; the same again changes nothing. Raises NotFound, Forbidden."""
    found: Organization = require_organization(actor, organization, Action.NAMESPACE_MANAGE)
    namespace = found.namespace
    with transaction.atomic():
        policy, _ = ReviewPolicy.objects.select_for_update(no_key=True).get_or_create(namespace=namespace)
        if policy.is_needed != is_needed:
            policy.is_needed, policy.updated_at = is_needed, now()
            policy.save(update_fields=["is_needed", "updated_at"])
            audit.record(
                actor,
                "market:review:wanted" if is_needed else "market:review:unwanted",
                "organization",
                found.uuid,
                namespace_id=namespace.pk,
            )
    return is_needed


def thread_of(listing: Listing) -> QuerySet[ReviewEntry]:
    """What was said and decided of a listing, oldest first, with who did. The caller has checked the right (`require_review`)."""
    return ReviewEntry.objects.filter(listing=listing).select_related("created_by").order_by("pk")


def page_of_thread(listing: Listing, *, cursor: str | None = None, limit: int = 50) -> Page[ReviewEntry]:
    """`thread_of`, a keyset page."""
    return keyset_page(thread_of(listing), order=("pk",), cursor=cursor, limit=limit)


def submission_of(listing: Listing) -> ReviewEntry | None:
    """The entry by which the listing was submitted last."""
    return ReviewEntry.objects.filter(listing=listing, step=ReviewStep.SUBMITTED).order_by("-pk").first()


def _decided(actor: Actor, listing: Listing, submission: UUID | str | None, decided: ListingState) -> Listing:
    """The row, locked, for a reviewer who may decide it: it is in review, or in the state `decided` already."""
    require_review(actor, listing.uuid)
    row = Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)
    if not may_review(actor, row):
        raise Forbidden("You are not a reviewer of this listing.", code="not_a_reviewer")
    if row.state == ListingState.IN_REVIEW and actor.user_id is not None and row.submitted_by_id == actor.user_id:
        raise Forbidden("You submitted this listing yourself: somebody else has to decide.", code="own_submission")
    newest = submission_of(row)
    if newest is None or row.state not in {ListingState.IN_REVIEW, decided}:
        raise Conflict("The listing is not in review.", code="not_in_review")
    if submission is not None and str(newest.uuid) != str(submission):
        raise Conflict("The listing was submitted anew since you looked: look again.", code="submitted_anew")
    return row


def _clean(text: str) -> str:
    words = text.strip()
    if len(words) > TEXT_LIMIT or "\x00" in words:
        raise Invalid(f"Use at most {TEXT_LIMIT} characters.", fields={"text": f"at most {TEXT_LIMIT} characters"})
    return words


def _note(actor: Actor, row: Listing, step: ReviewStep, text: str, checks: list[str] | None = None) -> ReviewEntry:
    return ReviewEntry.objects.create(
        listing=row, step=step, text=text, checks=checks or [], created_by_id=actor.user_id
    )


def _tell_seller(actor: Actor, row: Listing, said: str) -> None:
    entry = ReviewEntry.objects.filter(listing=row).latest("pk")
    url, key = f"/sell/{row.uuid}", f"review:{entry.uuid}"
    notify(row.namespace_id, "market:listing:reviewed", said, url=url, key=key)
    if row.submitted_by_id:
        notify_users([row.submitted_by_id], "market:listing:reviewed", said, url=url, key=key)


def _record(actor: Actor, tag: str, row: Listing) -> None:
    audit.record(actor, tag, "listing", row.uuid, namespace_id=row.namespace_id)
