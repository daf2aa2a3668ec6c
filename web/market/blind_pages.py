"""What the pages of blind evaluations show. The buyer's, the seller's and the public ones each have rows of their own."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings

from accounts.actors import Actor
from accounts.permissions import Action
from backends.blind.metrics import METRICS
from market import blind_policies, blind_queries
from market.services.blind_runs import ROWS_MIN
from market.services.certificates import Verified, document_of
from web.links import listing_url, with_query
from web.market.cards import ListingCard

if TYPE_CHECKING:
    from market.models import BlindEvaluation, CertificateKey, Listing

PAGE_ROWS = 30


def evaluation_url(uuid: object) -> str:
    return f"/evaluations/{uuid}"


def certificate_url(uuid: object) -> str:
    return f"/certificates/{uuid}"


@dataclass(frozen=True)
class Figure:
    """A score in words: `0.9 (0.80 – 0.95), 60 rows`."""

    metric: str
    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, row: "BlindEvaluation") -> "Figure | None":
        if row.value is None or row.low is None or row.high is None or row.n is None:
            return None
        return cls(METRICS[row.metric].title, row.value, row.low, row.high, row.n)


@dataclass(frozen=True)
class EvaluationRow:
    """For the buyer."""

    href: str
    title: str
    seller: str
    buyer: str
    data: str
    model: str
    metric: str
    state: str
    figure: Figure | None
    created_at: datetime
    is_public: bool

    @classmethod
    def of(cls, row: "BlindEvaluation") -> "EvaluationRow":
        return cls(
            evaluation_url(row.uuid),
            row.listing.title,
            row.listing.namespace.name,
            row.buyer.name,
            row.data_title,
            row.model_name,
            METRICS[row.metric].title,
            row.state,
            Figure.of(row),
            row.created_at,
            row.published_at is not None,
        )


@dataclass(frozen=True)
class EvaluationsPage:
    title: str
    rows: list[EvaluationRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, cursor: str) -> "EvaluationsPage":
        rows = blind_policies.visible_evaluations(actor)
        found = blind_queries.page_of_evaluations(rows, cursor=cursor or None, limit=PAGE_ROWS)
        return cls(
            "Blind evaluations",
            [EvaluationRow.of(row) for row in found.items],
            with_query("/evaluations", cursor=found.next_cursor) if found.next_cursor else "",
            "/evaluations" if cursor else "",
        )


@dataclass(frozen=True)
class EvaluationPage:
    title: str
    row: EvaluationRow
    listing_href: str
    here: str
    problem: str
    classes: list[dict[str, Any]]
    """`{name, rows, precision, recall, f1}`."""
    finished_at: datetime | None
    is_live: bool
    is_shown: bool
    certificate_href: str
    file_href: str
    cancel_href: str
    publish_href: str
    withdraw_href: str

    @classmethod
    def of(cls, actor: Actor, row: "BlindEvaluation") -> "EvaluationPage":
        here = evaluation_url(row.uuid)
        may = actor.may(Action.NAMESPACE_RUN, row.buyer_id)
        is_live, is_done = row.state in blind_queries.LIVE, row.state == "succeeded"
        return cls(
            title=f"{row.listing.title}, evaluated blindly",
            row=EvaluationRow.of(row),
            listing_href=listing_url(row.listing.namespace.name, row.listing.slug),
            here=here,
            problem=row.problem,
            classes=[{**each, "name": each["class"]} for each in row.classes],
            finished_at=row.finished_at,
            is_live=is_live,
            is_shown=row.shown_at is not None,
            certificate_href=certificate_url(row.uuid) if is_done else "",
            file_href=f"{certificate_url(row.uuid)}/file" if is_done else "",
            cancel_href=f"{here}/cancellation" if is_live and may else "",
            publish_href=f"{here}/publication" if is_done and may and row.published_at is None else "",
            withdraw_href=f"{here}/withdrawal" if is_done and may and row.published_at is not None else "",
        )


@dataclass(frozen=True)
class EvaluatePage:
    title: str
    card: ListingCard
    listing_href: str
    form: forms.Form
    is_open: bool
    has_data: bool
    runs_allowed: int
    rows_min: int
    rows_max: int

    @classmethod
    def of(cls, listing: "Listing", form: forms.Form) -> "EvaluatePage":
        return cls(
            title=f"Evaluate {listing.title} on your data",
            card=ListingCard.of(listing, []),
            listing_href=listing_url(listing.namespace.name, listing.slug),
            form=form,
            is_open=blind_queries.can_be_evaluated(listing),
            has_data=bool(form.fields["test_set"].choices),  # type: ignore[attr-defined]
            runs_allowed=blind_queries.runs_allowed(listing),
            rows_min=ROWS_MIN,
            rows_max=settings.BLIND_ROWS_MAX,
        )


@dataclass(frozen=True)
class CertificateRow:
    """What stands on a listing, for everybody."""

    href: str
    buyer: str
    model: str
    figure: Figure | None
    at: datetime | None

    @classmethod
    def of(cls, row: "BlindEvaluation") -> "CertificateRow":
        return cls(certificate_url(row.uuid), row.buyer.name, row.model_name, Figure.of(row), row.finished_at)


@dataclass(frozen=True)
class SellerRow:
    """For the seller: that it took place; the score and who published it only where the buyer has published."""

    model: str
    at: datetime | None
    certificate: CertificateRow | None
    is_shown: bool
    show_href: str

    @classmethod
    def of(cls, row: "BlindEvaluation") -> "SellerRow":
        return cls(
            row.model_name,
            row.finished_at,
            CertificateRow.of(row) if row.published_at else None,
            row.shown_at is not None,
            f"/sell/{row.listing.uuid}/evaluations/{row.uuid}" if row.published_at else "",
        )


@dataclass(frozen=True)
class SellerEvaluationsPage:
    title: str
    editor_href: str
    save_href: str
    form: forms.Form
    is_open: bool
    runs_allowed: int
    rows: list[SellerRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, listing: "Listing", form: forms.Form, cursor: str) -> "SellerEvaluationsPage":
        here = f"/sell/{listing.uuid}/evaluations"
        rows = blind_policies.evaluations_that_took_place(actor).filter(listing=listing)
        found = blind_queries.page_of_evaluations(rows, cursor=cursor or None, limit=PAGE_ROWS)
        return cls(
            title=f"Blind evaluations of {listing.title}",
            editor_href=f"/sell/{listing.uuid}",
            save_href=here,
            form=form,
            is_open=blind_queries.can_be_evaluated(listing),
            runs_allowed=blind_queries.runs_allowed(listing),
            rows=[SellerRow.of(row) for row in found.items],
            next_href=with_query(here, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=here if cursor else "",
        )


@dataclass(frozen=True)
class CertificatePage:
    title: str
    figure: Figure | None
    listing_href: str
    listing_title: str
    is_public: bool
    facts: list[tuple[str, str]]
    key_id: str
    text: str
    file_href: str

    @classmethod
    def of(cls, row: "BlindEvaluation") -> "CertificatePage":
        said = row.certificate.statement
        return cls(
            title=f"Certificate of {row.listing.title}",
            figure=Figure.of(row),
            listing_href=listing_url(row.listing.namespace.name, row.listing.slug),
            listing_title=f"{row.listing.namespace.name}/{row.listing.slug}",
            is_public=row.published_at is not None,
            facts=[
                ("Model version", said["model"]["name"]),
                ("Digest of the model", said["model"]["digest"]),
                ("Digest of the test set", said["data"]["digest"]),
                ("Interval", f"95 %, {said['interval']}"),
                ("Evaluated", said["evaluated_at"]),
                ("By the site", said["site"]),
                ("Number", said["id"]),
            ],
            key_id=row.certificate.key.key_id,
            text=json.dumps(document_of(row), indent=2, ensure_ascii=False),
            file_href=f"{certificate_url(row.uuid)}/file",
        )


@dataclass(frozen=True)
class VerifyPage:
    title: str
    form: forms.Form
    found: Verified | None
    said: str
    keys: "list[CertificateKey]"

    @classmethod
    def of(cls, form: forms.Form, found: Verified | None) -> "VerifyPage":
        said = json.dumps(found.statement, indent=2, ensure_ascii=False) if found else ""
        return cls("Check a certificate", form, found, said, blind_queries.certificate_keys())
