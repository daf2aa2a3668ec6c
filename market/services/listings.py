"""Making, changing, publishing and withdrawing listings, and the plans on them."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Invalid
from common.ids import is_name
from common.money import CREDIT
from lineage.services.record import Ref, record_edge
from market.listing_rules import check_plan, check_visibility, checked_fields, slug_of, word_of
from market.models import Listing, Plan
from market.policies import require_listing_by_uuid
from market.services import search_documents
from market.services.licences import licence_of, require_licences
from market.states import LISTINGS, ListingState, PlanKind, SubjectKind, Visibility
from market.subjects import Subject, check_sellable, current_source, require_subject
from registry.services import repos

if TYPE_CHECKING:
    from registry.models import Repo


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
    category, task, licence, tags. The slug is made from the title when none is given. Writes the listing and an audit record.
    Raises Invalid per field, NotFound, Forbidden; Conflict when the slug is taken or the subject is listed already."""
    seller = require_namespace(actor, namespace, Action.LISTING_MANAGE)
    kind = word_of(SubjectKind, subject_kind, "subject_kind")
    subject = require_subject(actor, kind, subject_uuid)
    if subject.namespace_id != seller.pk:
        raise Invalid(f"This {kind} belongs to {subject.namespace.name}.", fields={"namespace": "not the owner"})
    fields = checked_fields({"title": title, "visibility": visibility, **texts})
    check_visibility(fields["visibility"], is_organization=seller.is_organization)
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
    """Change texts, facets or visibility (the fields of `create_listing`, slug and subject aside). Writes the listing, the search
    index, an audit record; the same values again change nothing. Raises Invalid per field, NotFound, Forbidden; Conflict for another licence than that of
    what is sold."""
    fields = checked_fields(changes)
    with transaction.atomic():
        row = _locked(actor, listing)
        check_visibility(fields.get("visibility"), is_organization=row.namespace.is_organization)
        changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
        if changed:
            for name, value in changed.items():
                setattr(row, name, value)
            row.updated_at = now()
            row.save(update_fields=[*changed, "updated_at"])
            if "licence" in changed and row.state == ListingState.PUBLISHED and _is_paid(row):
                subject = require_subject(actor, SubjectKind(row.subject_kind), row.subject_uuid)
                require_licences(actor, row, subject, is_paid=True)
            search_documents.index_listing(row)
            _record(actor, "market:listing:updated", row, fields=sorted(changed))
    return row


def publish_listing(actor: Actor, listing: Listing) -> Listing:
    """Put a listing into the shop. Needs a plan, something to hand over (`check_sellable`) and licences that allow it
    (`require_licences`); the listing takes the name of that of what it sells. A repository that is for sale is
    gated from then on, or everybody who sees it could download it. Writes state, gate, search index, lineage, audit; one that
    is published already is returned as it is. Raises Conflict, NotFound, Forbidden."""
    with transaction.atomic():
        row = _locked(actor, listing)
        if row.state == ListingState.PUBLISHED:
            return row
        LISTINGS.ensure(ListingState(row.state), ListingState.PUBLISHED)
        kind = SubjectKind(row.subject_kind)
        subject = require_subject(actor, kind, row.subject_uuid)
        check_sellable(kind, subject)
        if not row.plans.filter(retired_at__isnull=True).exists():
            raise Conflict("Add a plan first: nobody can order a listing without one.", code="no_plan")
        other = Listing.objects.filter(subject_kind=kind, subject_uuid=row.subject_uuid).exclude(pk=row.pk)
        if other.exclude(state=ListingState.WITHDRAWN).exists():
            raise Conflict(f"This {kind} is listed already.", code="listed_already")
        found = require_licences(actor, row, subject, is_paid=_is_paid(row))
        row.licence = licence_of(found) or row.licence
        row.state, row.published_at, row.updated_at = ListingState.PUBLISHED, now(), now()
        row.save(update_fields=["state", "licence", "published_at", "updated_at"])
        search_documents.index_listing(row)
        _close_gate(actor, row, subject)
        record_edge(current_source(kind, subject), Ref("listing", row.uuid), "listed")
        _record(actor, "market:listing:published", row)
    return row


def withdraw_listing(actor: Actor, listing: Listing) -> Listing:
    """Take a listing out of the shop; what was bought stays open. Writes state, search index, audit; a second call changes
    nothing. Raises NotFound, Forbidden."""
    with transaction.atomic():
        row = _locked(actor, listing)
        if row.state == ListingState.WITHDRAWN:
            return row
        LISTINGS.ensure(ListingState(row.state), ListingState.WITHDRAWN)
        row.state, row.updated_at = ListingState.WITHDRAWN, now()
        row.save(update_fields=["state", "updated_at"])
        search_documents.index_listing(row)
        _record(actor, "market:listing:withdrawn", row)
    return row


def add_plan(
    actor: Actor,
    listing: Listing,
    kind: PlanKind | str,
    *,
    price_minor: int = 0,
    currency: str = CREDIT,
    name: str = "",
    unit_calls: int = 1,
    included_calls: int | None = None,
    refund_window_days: int = 14,
) -> Plan:
    """Offer a listing on one more plan. `price_minor`: for FREE 0; for PAY_PER_CALL (endpoints only) that of `unit_calls` calls,
    1 or 1000. `included_calls`: see the model. A plan is never edited: retire it and add another. Writes plan and audit.
    Raises Invalid per field, NotFound, Forbidden; Conflict when it is published and the licences do not allow the plan."""
    wanted = word_of(PlanKind, kind, "kind")
    check_plan(listing, wanted, price_minor, currency, unit_calls, included_calls, refund_window_days)
    if wanted == PlanKind.PAY_PER_CALL:
        included_calls = included_calls or 0
    label = (
        name.strip()
        or {PlanKind.FREE: "Free", PlanKind.ONE_TIME: "One-time", PlanKind.PAY_PER_CALL: "Pay per call"}[wanted]
    )
    if len(label) > 80:
        raise Invalid("Use at most 80 characters.", fields={"name": "at most 80 characters"})
    with transaction.atomic():
        row = _locked(actor, listing)
        number = (row.plans.aggregate(newest=Max("number"))["newest"] or 0) + 1
        plan = Plan.objects.create(
            listing=row,
            number=number,
            kind=wanted,
            name=label,
            price_minor=price_minor,
            currency=currency,
            unit_calls=unit_calls,
            included_calls=included_calls,
            refund_window_days=refund_window_days,
        )
        search_documents.index_listing(row)
        if row.state == ListingState.PUBLISHED:
            subject = require_subject(actor, SubjectKind(row.subject_kind), row.subject_uuid)
            require_licences(actor, row, subject, is_paid=_is_paid(row))
            _close_gate(actor, row, subject)
        _record(
            actor,
            "market:plan:added",
            row,
            plan=str(plan.uuid),
            kind=wanted,
            price_minor=price_minor,
            currency=currency,
        )
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
    return present


def _close_gate(actor: Actor, listing: Listing, subject: Subject) -> None:
    """Gate the repository of a listing that has a paid plan. The gate stays closed when the listing goes: opening it is the
    seller's own deed."""
    if _is_paid(listing) and listing.subject_kind != SubjectKind.ENDPOINT:
        repo = cast("Repo", subject)
        if not repo.gate:
            repos.update_settings(actor, repo, gate="manual")


def _is_paid(listing: Listing) -> bool:
    return listing.plans.filter(retired_at__isnull=True).exclude(kind=PlanKind.FREE).exists()


def _locked(actor: Actor, listing: Listing) -> Listing:
    """The row as it is now, locked, after asking again whether the actor may manage it."""
    require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    return Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)


def _record(actor: Actor, tag: str, listing: Listing, **detail: Any) -> None:
    audit.record(actor, tag, "listing", listing.uuid, namespace_id=listing.namespace_id, **detail)
