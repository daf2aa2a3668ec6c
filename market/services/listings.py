"""Making, changing, publishing and withdrawing listings, and the plans on them. Reviews are decided in `services/reviews.py`."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts import directory
from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Invalid, NotFound
from common.ids import is_name
from common.money import CREDIT
from lineage.services.record import Ref, record_edge
from market.listing_rules import (
    REVIEWED,
    check_offer,
    check_per_seat,
    check_plan,
    check_visibility,
    checked_fields,
    slug_of,
    word_of,
)
from market.models import Listing, Plan, ReviewEntry
from market.policies import is_reviewed_by_site, needs_review, require_listing_by_uuid
from market.ready_queries import readiness_of
from market.services import follows, market_events, royalties, search_documents, trials
from market.services.licences import licence_of, require_licences
from market.services.offers import tell_of_offers
from market.states import LISTINGS, ListingState, PlanKind, ReviewStep, SubjectKind, Visibility
from market.subjects import Subject, check_channel, check_unit, current_source, require_subject
from market.subscription_rules import SubscriptionTerms
from metering.units import SIZES, Unit
from notices.services import notify_users
from registry.channels import LATEST
from registry.services import repos

if TYPE_CHECKING:
    from accounts.models import Namespace
    from registry.models import Repo

_SYSTEM = system("market")
_LABELS = {PlanKind.FREE: "Free", PlanKind.ONE_TIME: "One-time", PlanKind.PAY_PER_USE: "Pay per use"}
_INTERVAL_LABELS = {"month": "Monthly", "year": "Yearly"}


def create_listing(
    actor: Actor,
    *,
    namespace: str,
    subject_kind: SubjectKind | str,
    subject_uuid: UUID,
    title: str,
    slug: str | None = None,
    visibility: Visibility | str = Visibility.PUBLIC,
    **texts: Any,
) -> Listing:
    """Draft a listing over a subject that `actor` administers, in the namespace that owns it. `texts`: summary, description,
    category, task, licence, tags, channel, example_input, support_contact, return_terms. The slug is made from the title when none
    is given. Writes the listing and an audit record. Raises Invalid per field, NotFound, Forbidden; Conflict when the slug is taken or the subject is listed already."""
    seller = require_namespace(actor, namespace, Action.LISTING_MANAGE)
    kind = word_of(SubjectKind, subject_kind, "subject_kind")
    subject = require_subject(actor, kind, subject_uuid)
    if subject.namespace_id != seller.pk:
        raise Invalid(f"This {kind} belongs to {subject.namespace.name}.", fields={"namespace": "not the owner"})
    fields = checked_fields({"title": title, "visibility": visibility, **texts})
    check_visibility(fields["visibility"], is_organization=seller.is_organization)
    check_channel(kind, subject, fields.get("channel", LATEST))
    wanted = slug or slug_of(fields["title"])
    if not is_name(wanted):
        raise Invalid("Use letters, digits, dots, dashes or underscores.", fields={"slug": "not a valid name"})
    try:
        with transaction.atomic():
            listing = Listing.objects.create(
                namespace=seller,
                slug=wanted,
                subject_kind=kind,
                subject_uuid=subject_uuid,
                created_by_id=actor.user_id,
                **fields,
            )
            _record(actor, "market:listing:created", listing, slug=wanted, subject=f"{kind}:{subject_uuid}")
    except IntegrityError as error:
        if Listing.objects.filter(namespace=seller, slug__iexact=wanted).exists():
            raise Conflict(f"You have a listing named {wanted} already.", fields={"slug": "taken"}) from error
        raise Conflict(f"This {kind} is listed already.", code="listed_already") from error
    return listing


def update_listing(actor: Actor, listing: Listing, **changes: Any) -> Listing:
    """Change texts, facets, channel or visibility (the fields of `create_listing`, slug and subject aside). Writes the listing, the
    search index, an audit record; the same values again change nothing. Where listings are reviewed, a published one goes into
    review again when a field changes that a reviewer has judged (`REVIEWED`), and is out of the shop until then. Raises
    Invalid per field, Conflict while it is in review and for a licence that does not allow its plans, NotFound, Forbidden."""
    fields = checked_fields(changes)
    with transaction.atomic():
        row = _locked(actor, listing)
        check_visibility(fields.get("visibility"), is_organization=row.namespace.is_organization)
        changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
        if changed:
            require_not_in_review(row)
            if "channel" in changed:
                kind = SubjectKind(row.subject_kind)
                check_channel(kind, require_subject(actor, kind, row.subject_uuid), changed["channel"])
            for name, value in changed.items():
                setattr(row, name, value)
            row.save(update_fields=[*changed])
            if "licence" in changed and row.state == ListingState.PUBLISHED and _is_paid(row):
                require_licences(actor, row, require_subject(actor, kind, row.subject_uuid), is_paid=True)
            mark_changed(actor, row, sorted(changed))
    return row


def mark_changed(actor: Actor, row: Listing, names: list[str]) -> None:
    """What follows from a change of the fields `names` of a listing, in the caller's transaction, which holds its lock: time, search,
    audit, a review where that is needed."""
    row.updated_at = now()
    row.save(update_fields=["updated_at"])
    _record(actor, "market:listing:updated", row, fields=names)
    if row.state == ListingState.PUBLISHED and REVIEWED.intersection(names) and needs_review(row):
        _submit(actor, row, f"Changed: {', '.join(name.replace('_', ' ') for name in names)}.")
    search_documents.index_listing(row)


def require_not_in_review(row: Listing) -> None:
    """Raises Conflict: what reviewers look at stays as it is until they have decided."""
    if row.state == ListingState.IN_REVIEW:
        raise Conflict(
            "The listing is in review: take it back first, change it, then submit it again.", code="in_review"
        )


def publish_listing(actor: Actor, listing: Listing) -> Listing:
    """Put a listing into the shop, or, where the site or the seller's organisation wants it reviewed, submit it for review
    (`needs_review`). It has to be ready (`market/readiness.py`), and licences have to
    allow it (`require_licences`). One that is published or in review already is returned as it is.
    Writes what `put_on_sale` does, or state, thread, audit and notices to the reviewers. Raises Conflict (`not_ready` with what is
    missing, `listed_already`), NotFound, Forbidden."""
    with transaction.atomic():
        row = _locked(actor, listing)
        if row.state in {ListingState.PUBLISHED, ListingState.IN_REVIEW}:
            return row
        subject = require_subject(actor, SubjectKind(row.subject_kind), row.subject_uuid)
        _require_ready(row)
        found = require_licences(actor, row, subject, is_paid=_is_paid(row))
        row.licence = licence_of(found) or row.licence
        row.save(update_fields=["licence"])
        if needs_review(row):
            _submit(actor, row)
        else:
            put_on_sale(actor, row)
    return row


def put_on_sale(actor: Actor, row: Listing) -> None:
    """Publish a listing, in the caller's transaction, which holds its lock and has decided that it may be. A repository that is for
    sale is gated from then on, or everybody who sees it could download it. Writes state, gate, search index, lineage, audit. Raises
    Conflict when it is not ready (any more)."""
    LISTINGS.ensure(ListingState(row.state), ListingState.PUBLISHED)
    _require_ready(row)
    kind = SubjectKind(row.subject_kind)
    subject = require_subject(_SYSTEM, kind, row.subject_uuid)
    is_new = row.published_at is None
    row.state, row.published_at, row.updated_at = ListingState.PUBLISHED, now(), now()
    row.save(update_fields=["state", "published_at", "updated_at"])
    search_documents.index_listing(row)
    _close_gate(row, subject)
    record_edge(current_source(kind, subject, row.channel), Ref("listing", row.uuid), "listed")
    tell_of_offers(row)
    _record(actor, "market:listing:published", row)
    market_events.tell_of_listing(row, "listing.published")
    if is_new:
        follows.note_listed(row)


def _require_ready(row: Listing) -> None:
    other = Listing.objects.filter(subject_kind=row.subject_kind, subject_uuid=row.subject_uuid).exclude(pk=row.pk)
    if other.exclude(state=ListingState.WITHDRAWN).exists():
        raise Conflict(f"This {row.subject_kind} is listed already.", code="listed_already")
    missing = [check for check in readiness_of(row) if not check.is_ok]
    if missing:
        raise Conflict(
            f"The listing is not ready. {' '.join(check.sentence for check in missing)}",
            code="not_ready",
            fields={check.key: check.sentence for check in missing},
        )
    if row.plans.filter(retired_at__isnull=True, price_minor__gt=0).exists():
        royalties.require_accepted(row, royalties.chain_of(row))


def _submit(actor: Actor, row: Listing, text: str = "") -> None:
    LISTINGS.ensure(ListingState(row.state), ListingState.IN_REVIEW)
    row.state, row.submitted_by_id, row.submitted_at, row.updated_at = (
        ListingState.IN_REVIEW, actor.user_id, now(), now(),
    )  # fmt: skip
    row.save(update_fields=["state", "submitted_by", "submitted_at", "updated_at"])
    search_documents.index_listing(row)
    entry = ReviewEntry.objects.create(listing=row, step=ReviewStep.SUBMITTED, text=text, created_by_id=actor.user_id)
    _record(actor, "market:listing:submitted", row)
    reviewers = (
        directory.staff()
        if is_reviewed_by_site(row.visibility)
        else directory.people_who(row.namespace_id, Action.LISTING_REVIEW)
    )
    notify_users(
        [pk for pk in reviewers if pk != actor.user_id],
        "market:listing:submitted",
        f"{row.namespace.name} asks for a review of the listing {row.title}.",
        url=f"/sell/reviews/{row.uuid}",
        key=f"review:{entry.uuid}",
    )


def withdraw_listing(actor: Actor, listing: Listing) -> Listing:
    """Take a listing out of the shop; what was bought stays open, and it can be published again. One that is in review is taken back
    and a draft again. Writes state, search index, audit; a second call changes nothing. Raises NotFound, Forbidden."""
    with transaction.atomic():
        row = _locked(actor, listing)
        if row.state == ListingState.WITHDRAWN:
            return row
        if row.state == ListingState.IN_REVIEW:
            row.state, row.updated_at = ListingState.DRAFT, now()
            row.save(update_fields=["state", "updated_at"])
            ReviewEntry.objects.create(listing=row, step=ReviewStep.TAKEN_BACK, created_by_id=actor.user_id)
            _record(actor, "market:listing:taken_back", row)
            return row
        LISTINGS.ensure(ListingState(row.state), ListingState.WITHDRAWN)
        row.state, row.updated_at = ListingState.WITHDRAWN, now()
        row.save(update_fields=["state", "updated_at"])
        search_documents.index_listing(row)
        trials.close_trials(actor, row)
        _record(actor, "market:listing:withdrawn", row)
        market_events.tell_of_listing(row, "listing.withdrawn")
        follows.note_withdrawn(row)
    return row


def add_plan(
    actor: Actor,
    listing: Listing,
    kind: PlanKind | str,
    *,
    price_minor: int = 0,
    currency: str = CREDIT,
    name: str = "",
    unit: str = Unit.CALLS,
    unit_size: int | None = None,
    included_units: int | None = None,
    refund_window_days: int = 14,
    tiers: Sequence[tuple[int | None, int]] = (),
    per_seat: bool = False,
    offered_to: str = "",
    offer_ends_at: datetime | None = None,
    offer_note: str = "",
    interval: str = "",
    trial_days: int = 0,
    overage_minor: int | None = None,
    overage_units: int | None = None,
) -> Plan:
    """Offer a listing on one more plan. `price_minor`: for FREE 0; for PAY_PER_USE (endpoints only) that of `unit_size` (one
    of `SIZES`, None: the usual one) of `unit`, which is calls or what the endpoint declares, and with `tiers` (up_to_units, price_minor) that of the first: it may be left out then. `included_units`: see the
    model. `per_seat`: the price is that of a seat, of which organisations order several. `offered_to` names the one namespace that sees and buys it, a private offer, until `offer_ends_at`; its people are
    told, with `offer_note`, once the listing is published. A SUBSCRIPTION has an `interval` and may have `trial_days` and, on an endpoint
    with a quota, use beyond it (`overage_minor` for `unit_size`, or by `tiers`; `overage_units` at most): without, the quota is a
    hard stop. A plan is never edited: retire it and add another. Writes plan, audit,
    notices. Raises Invalid per field, NotFound, Forbidden, Conflict when it is published and licences or royalties do not allow the plan."""
    wanted = word_of(PlanKind, kind, "kind")
    tiers = [(up_to, price) for up_to, price in tiers]
    is_subscription = wanted == PlanKind.SUBSCRIPTION
    if tiers and is_subscription:
        overage_minor = overage_minor or tiers[0][1]
    elif tiers and not price_minor:
        price_minor = tiers[0][1]
    terms = SubscriptionTerms(interval, trial_days, overage_minor, overage_units)
    counted = word_of(Unit, unit, "unit")
    if unit_size is None:
        unit_size = SIZES[counted][0] if wanted == PlanKind.PAY_PER_USE or terms.has_overage else 1
    check_plan(
        listing, wanted, price_minor, currency, counted, unit_size, included_units, refund_window_days, tiers, terms
    )
    check_per_seat(wanted, per_seat=per_seat)
    if tiers and tiers[0][1] != (overage_minor if is_subscription else price_minor):
        raise Invalid("The price of the plan is that of the first step.", fields={"tiers": "first price differs"})
    check_offer(is_private=bool(offered_to), ends_at=offer_ends_at, note=offer_note)
    buyer = _buyer_of_offer(actor, listing, offered_to) if offered_to else None
    if wanted == PlanKind.PAY_PER_USE:
        included_units = included_units or 0
    label = name.strip() or (_INTERVAL_LABELS[interval] if is_subscription else _LABELS[wanted])
    if len(label) > 80:
        raise Invalid("Use at most 80 characters.", fields={"name": "at most 80 characters"})
    with transaction.atomic():
        row = _locked(actor, listing)
        if counted != Unit.CALLS:
            check_unit(require_subject(actor, SubjectKind(row.subject_kind), row.subject_uuid), counted)
        number = (row.plans.aggregate(newest=Max("number"))["newest"] or 0) + 1
        plan = Plan.objects.create(
            listing=row,
            number=number,
            kind=wanted,
            name=label,
            price_minor=price_minor,
            currency=currency,
            unit=counted,
            unit_size=unit_size,
            included_units=included_units,
            refund_window_days=refund_window_days,
            tiers=tiers,
            per_seat=per_seat,
            offered_to=buyer,
            offer_ends_at=offer_ends_at,
            offer_note=offer_note.strip(),
            interval=interval,
            trial_days=trial_days,
            overage_minor=overage_minor,
            overage_units=overage_units,
        )
        search_documents.index_listing(row)
        if row.state == ListingState.PUBLISHED:
            subject = require_subject(actor, SubjectKind(row.subject_kind), row.subject_uuid)
            require_licences(actor, row, subject, is_paid=_is_paid(row))
            if price_minor:
                royalties.require_accepted(row, royalties.chain_of(row))
            _close_gate(row, subject)
            tell_of_offers(row)
        _record(
            actor,
            "market:plan:added",
            row,
            plan=str(plan.uuid),
            kind=wanted,
            price_minor=price_minor,
            currency=currency,
            **({"offered_to": buyer.name} if buyer else {}),
        )
        follows.note_price(row, plan)
    return plan


def retire_plan(actor: Actor, plan: Plan) -> Plan:
    """End the sale of a plan; orders on it stay. A second call changes nothing. Raises Conflict for the last plan of a published
    listing (withdraw the listing instead), NotFound, Forbidden."""
    with transaction.atomic():
        row = _locked(actor, plan.listing)
        present = Plan.objects.get(pk=plan.pk)
        if present.retired_at is not None:
            return present
        others = row.plans.filter(retired_at__isnull=True).exclude(pk=plan.pk)
        if row.state == ListingState.PUBLISHED and not others.exists():
            raise Conflict(
                "A published listing needs a plan: add another first, or withdraw the listing.", code="last_plan"
            )
        present.retired_at = now()
        present.save(update_fields=["retired_at"])
        search_documents.index_listing(row)
        _record(actor, "market:plan:retired", row, plan=str(plan.uuid))
        follows.note_price(row, present)
    return present


def _buyer_of_offer(actor: Actor, listing: Listing, name: str) -> "Namespace":
    try:
        buyer = require_namespace(actor, name.strip())
    except NotFound as error:
        raise Invalid(
            f"There is nobody named {name.strip()[:96]}.", fields={"offered_to": "nobody has this name"}
        ) from error
    if buyer.pk == listing.namespace_id:
        raise Invalid("A private offer goes to somebody else.", fields={"offered_to": "the seller"})
    return buyer


def _close_gate(listing: Listing, subject: Subject) -> None:
    """Gate the repository of a listing that has a paid plan, in the market's name: a reviewer who approves may not do it. The gate stays
    closed when the listing goes: opening it is the seller's own deed."""
    if _is_paid(listing) and listing.subject_kind != SubjectKind.ENDPOINT:
        repo = cast("Repo", subject)
        if not repo.gate:
            repos.update_settings(_SYSTEM, repo, gate="manual")


def _is_paid(listing: Listing) -> bool:
    return listing.plans.filter(retired_at__isnull=True).exclude(kind=PlanKind.FREE).exists()


def _locked(actor: Actor, listing: Listing) -> Listing:
    """The row as it is now, locked, after asking again whether the actor may manage it."""
    require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    return Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)


def _record(actor: Actor, tag: str, listing: Listing, **detail: Any) -> None:
    audit.record(actor, tag, "listing", listing.uuid, namespace_id=listing.namespace_id, **detail)
