"""What the fields of listings and plans may hold. Pure checks: every fault is named by its field, all at once."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from common.clock import now
from common.errors import Invalid
from common.ids import NAME_LIMIT
from common.money import EXPONENTS, LIMIT_MINOR
from market import tiers as volume
from market.models import Listing
from market.states import PlanKind, SubjectKind, Visibility
from market.subscription_rules import SubscriptionTerms, faults_of
from metering.units import SIZES, Unit
from registry.channels import parse_channel

Word = TypeVar("Word", bound=StrEnum)

_LIMITS = {
    "title": 120, "summary": 300, "description": 50_000, "category": 60, "task": 80, "licence": 80,
    "channel": 100, "example_input": 20_000, "support_contact": 200, "return_terms": 2_000,
}  # fmt: skip
REVIEWED = frozenset({"title", "description", "licence", "visibility", "channel", "images"})
"""What a reviewer has judged: a published listing in which one of these changes is looked at again."""
_MAIL = re.compile(r"[^@\s<>\"']{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,180}[A-Za-z0-9])?")
_TAG_LIMIT, _TAG = 20, re.compile(r"[a-z0-9][a-z0-9 ._:-]{0,39}")
_REFUND_DAYS_LIMIT, _UNITS_LIMIT, _NOTE_LIMIT = 365, 10**12, 500


def word_of(words: type[Word], text: object, field: str) -> Word:
    if text not in list(words):
        raise Invalid(f"Choose one of {', '.join(words)}.", fields={field: "unknown"})
    return words(cast("str", text))


def slug_of(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:NAME_LIMIT].strip("-") or "listing"


def checked_fields(changes: dict[str, Any]) -> dict[str, Any]:
    faults: dict[str, str] = {}
    clean: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "tags":
            clean[name] = _tags(value, faults)
        elif name == "visibility":
            clean[name] = word_of(Visibility, value, name)
        elif name not in _LIMITS:
            faults[name] = "can't be set"
        elif not isinstance(value, str) or len(value.strip()) > _LIMITS[name] or "\x00" in value:
            faults[name] = f"text of at most {_LIMITS[name]} characters"
        else:
            clean[name] = value.strip()
            if fault := _fault_of(name, clean[name]):
                faults[name] = fault
    if clean.get("title") == "":
        faults["title"] = "needed"
    if faults:
        raise Invalid(
            "Please correct: " + "; ".join(f"{name}: {fault}" for name, fault in faults.items()), fields=faults
        )
    return clean


def _fault_of(name: str, text: str) -> str:
    if name == "support_contact" and text and not (_MAIL.fullmatch(text) or _is_https(text)):
        return "a mail address, or an address that begins with https://"
    if name == "channel":
        try:
            parse_channel(text)
        except Invalid:
            return "latest, major:N or version:NAME"
    if name == "example_input" and text:
        try:
            json.loads(text)
        except ValueError as error:
            return f"JSON ({error})"
        except RecursionError:
            return "JSON that is not nested so deeply"
    return ""


def _is_https(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and not re.search(r"\s", text)


def check_visibility(wanted: str | None, *, is_organization: bool) -> None:
    if wanted == Visibility.ORGANIZATION and not is_organization:
        raise Invalid(
            "Only an organisation can share with its members.", fields={"visibility": "not in a person's namespace"}
        )


def _tags(value: object, faults: dict[str, str]) -> list[str]:
    tags = (
        [tag.strip().lower() if isinstance(tag, str) else "" for tag in value] if isinstance(value, Iterable) else [""]
    )
    if isinstance(value, str) or len(tags) > _TAG_LIMIT or not all(_TAG.fullmatch(tag) for tag in tags):
        faults["tags"] = f"at most {_TAG_LIMIT} words of letters, digits, dots, dashes or colons"
    return sorted(set(tags))


def check_plan(
    listing: Listing,
    kind: PlanKind,
    price: int,
    currency: str,
    unit: Unit,
    unit_size: int,
    included: int | None,
    days: int,
    tiers: Sequence[tuple[int | None, int]] = (),
    terms: SubscriptionTerms | None = None,
) -> None:
    is_endpoint = listing.subject_kind == SubjectKind.ENDPOINT
    terms = terms or SubscriptionTerms()
    faults = faults_of(terms, kind, is_endpoint=is_endpoint, included=included)
    is_by_use = kind == PlanKind.PAY_PER_USE or terms.has_overage
    if kind == PlanKind.PAY_PER_USE and not is_endpoint:
        faults["kind"] = "only an endpoint is paid by its use"
    if unit != Unit.CALLS and not is_endpoint:
        faults["unit"] = "only the use of an endpoint is counted"
    if (kind == PlanKind.FREE) != (price == 0) or not 0 <= price <= LIMIT_MINOR // 10**6:
        faults["price_minor"] = "0 for a free plan, above 0 otherwise"
    if currency not in EXPONENTS:
        faults["currency"] = "unknown"
    sizes = SIZES[unit] if is_by_use else (1,)
    if unit_size not in sizes:
        faults["unit_size"] = f"{' or '.join(map(str, sizes))} here"
    if included is not None and (not is_endpoint or not 0 <= included <= _UNITS_LIMIT):
        faults["included_units"] = f"a number of {unit}, for an endpoint"
    if included == 0 and kind != PlanKind.PAY_PER_USE and not terms.has_overage:
        faults["included_units"] = "at least 1, or none for no limit"
    if tiers and not is_by_use:
        faults["tiers"] = "only what is paid by its use has prices by volume"
    elif tiers and (fault := volume.fault_of(tiers, unit, unit_size)):
        faults["tiers"] = fault
    if not 0 <= days <= _REFUND_DAYS_LIMIT:
        faults["refund_window_days"] = f"0 to {_REFUND_DAYS_LIMIT}"
    if faults:
        raise Invalid(
            "Please correct: " + "; ".join(f"{name}: {fault}" for name, fault in faults.items()), fields=faults
        )


def check_per_seat(kind: PlanKind, *, per_seat: bool) -> None:
    """Raises Invalid for a plan that can't be sold by the seat: one that costs nothing, or is paid by the call."""
    if per_seat and kind in {PlanKind.FREE, PlanKind.PAY_PER_USE}:
        raise Invalid(
            "Seats have a price of their own: a free plan and one that is paid by use open for everybody.",
            fields={"per_seat": "not with this kind"},
        )


def check_offer(*, is_private: bool, ends_at: datetime | None, note: str) -> None:
    """What may be said with a private offer, and only with one."""
    faults: dict[str, str] = {}
    if not is_private and (ends_at is not None or note):
        faults["offered_to"] = "an end and a note go with a private offer: name its buyer"
    if ends_at is not None and ends_at <= now():
        faults["offer_ends_at"] = "in the future"
    if len(note) > _NOTE_LIMIT or "\x00" in note:
        faults["offer_note"] = f"text of at most {_NOTE_LIMIT} characters"
    if faults:
        raise Invalid(
            "Please correct: " + "; ".join(f"{name}: {fault}" for name, fault in faults.items()), fields=faults
        )
