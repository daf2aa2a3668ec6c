"""Reporting what should not stand, and deciding about it. Staff who have no part in the matter decide; both sides are told why."""

from django.db import IntegrityError, transaction

from accounts import directory
from accounts.actors import Actor
from accounts.permissions import Scope
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from market.addresses import review_address, thread_address
from market.community_policies import Target, listing_of, require_moderator, require_report
from market.models import BuyerReview, ContentReport, Listing, ListingPost
from market.services import search_documents
from market.services.buyer_reviews import clean_text
from market.states import ReportReason
from notices.services import notify_users

REASONS = {
    "spam": "Advertising, or written for money",
    "abuse": "Insulting or threatening",
    "off_topic": "Not about this listing",
    "private": "Personal or confidential data",
    "untrue": "Claims something that is not true",
    "other": "Something else",
}
REASON_LIMIT = 300
REPORT_LIMIT = 1_000


def report(actor: Actor, target: Target, *, reason: str, text: str = "") -> ContentReport:
    """Say that a buyer review or a post, which the actor has obtained, should not stand. Writes the report, audit, notices to staff. A
    second open report of the same thing by the same person is the first one. Raises Invalid, Forbidden for one's own."""
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if actor.user_id is None:
        raise Forbidden("Only a person can report something.")
    if target.author_id == actor.user_id:
        raise Forbidden("It is your own: change it, or delete it.", code="own_words")
    if reason not in list(ReportReason):
        raise Invalid(f"The reason is one of: {', '.join(ReportReason)}.", fields={"reason": "unknown"})
    words = clean_text(text, REPORT_LIMIT)
    if reason == ReportReason.OTHER and not words:
        raise Invalid("Say what is wrong with it.", fields={"text": "needed"})
    aim = {"review": target} if isinstance(target, BuyerReview) else {"post": target}
    listing = listing_of(target)
    open_ones = ContentReport.objects.filter(**aim, reporter_id=actor.user_id, decided_at__isnull=True)
    try:
        with transaction.atomic():
            made = ContentReport.objects.create(
                **aim, listing=listing, reporter_id=actor.user_id, reason=reason, text=words
            )
            _record(actor, "market:content:reported", listing, target, reason=reason)
            notify_users(
                [pk for pk in directory.staff() if pk != actor.user_id],
                "market:community:reported",
                f"{_what(target).capitalize()} on {listing.title} was reported: {REASONS[reason].lower()}.",
                url="/-/moderation",
                key=f"report:{made.uuid}",
            )
    except IntegrityError:
        return open_ones.get()
    return made


def decide(actor: Actor, reported: ContentReport, *, is_upheld: bool, reason: str) -> ContentReport:
    """Answer a report, and every other open one of the same thing: hide it (`is_upheld`), or let it stand; what was hidden earlier is shown
    again then. Writes the thing, the rating of its listing, reports, audit, notices to its author and to who reported it. The same
    decision again changes nothing. Raises Invalid without a reason, Conflict when the author has deleted it, NotFound, Forbidden."""
    found = require_report(actor, reported.uuid)
    target = found.review or found.post
    assert target is not None, "the database says so"
    require_moderator(actor, target)
    words = clean_text(reason, REASON_LIMIT)
    if not words:
        raise Invalid("Give the reason: both sides read it.", fields={"reason": "needed"})
    with transaction.atomic():
        listings = Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace")
        listing = listings.get(pk=listing_of(target).pk)
        row: Target = type(target).objects.select_for_update(of=("self",), no_key=True).get(pk=target.pk)
        if isinstance(row, ListingPost) and row.deleted_at is not None and not is_upheld:
            raise Conflict("Its author has deleted it: there is nothing left to show.", code="deleted")
        answered = _answer(actor, found, row, is_upheld=is_upheld, reason=words)
        changed = _show_or_hide(row, listing, is_hidden=is_upheld, reason=words)
        if answered or changed:
            _record(actor, "market:content:hidden" if is_upheld else "market:content:kept", listing, row, reason=words)
            _tell(found, row, listing, answered, is_upheld=is_upheld, reason=words)
    found.refresh_from_db()
    return found


def _answer(actor: Actor, found: ContentReport, row: Target, *, is_upheld: bool, reason: str) -> list[ContentReport]:
    aim = {"review": row} if isinstance(row, BuyerReview) else {"post": row}
    waiting = list(ContentReport.objects.select_for_update().filter(**aim, decided_at__isnull=True).order_by("pk"))
    decided = {
        "decided_at": now(), "decided_by": actor.user_id, "is_upheld": is_upheld, "decision_reason": reason,
    }  # fmt: skip
    ContentReport.objects.filter(pk__in=[each.pk for each in waiting]).update(**decided)
    if not waiting and found.is_upheld != is_upheld:
        ContentReport.objects.filter(pk=found.pk).update(**decided)
        return [found]
    return waiting


def _show_or_hide(row: Target, listing: Listing, *, is_hidden: bool, reason: str) -> bool:
    if is_hidden == (row.hidden_at is not None):
        return False
    row.hidden_at, row.hidden_reason = (now(), reason) if is_hidden else (None, "")
    row.save(update_fields=["hidden_at", "hidden_reason"])
    if isinstance(row, BuyerReview):
        by = -1 if is_hidden else 1
        search_documents.count_rating(listing, count=by, stars=by * row.stars)
    return True


def _tell(
    found: ContentReport, row: Target, listing: Listing, answered: list[ContentReport], *, is_upheld: bool, reason: str
) -> None:
    what, url = _what(row), address_of(row, listing)
    key = f"decision:{found.uuid}:{is_upheld}:{len(answered)}"
    deed = "hidden" if is_upheld else "reported; it stays"
    if row.author_id:
        text = f"Your {what} on {listing.title} was {deed}. {reason}"
        notify_users([row.author_id], "market:community:moderated", text, url=url, key=f"{key}:author")
    deed = "hidden" if is_upheld else "looked at, and stays"
    text = f"The {what} on {listing.title} that you reported was {deed}. {reason}"
    reporters = [each.reporter_id for each in answered if each.reporter_id]
    notify_users(reporters, "market:community:moderated", text, url=url, key=f"{key}:reporter")


def address_of(target: Target, listing: Listing) -> str:
    """The page on which it stands. Wants `namespace` of the listing joined."""
    if isinstance(target, BuyerReview):
        target.listing = listing
        return review_address(target)
    target.thread.listing = listing
    return f"{thread_address(target.thread)}#post-{target.uuid}"


def _what(target: Target) -> str:
    return "review" if isinstance(target, BuyerReview) else "post"


def _record(actor: Actor, tag: str, listing: Listing, target: Target, **detail: object) -> None:
    audit.record(
        actor,
        tag,
        "listing",
        listing.uuid,
        namespace_id=listing.namespace_id,
        **{_what(target): str(target.uuid)},
        **detail,
    )
