"""What plans cost, in words and beside each other."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from accounts.actors import Actor
from common.money import EXPONENTS, Money, format_money
from compute.endpoint_policies import visible_endpoints
from market.queries import listings_for
from market.states import PlanKind
from metering.units import SCALE, per
from metering.units import Unit as UsageUnit
from registry.comparison.building import compare
from registry.comparison.shape import Cell, Comparison, Direction, Judgement, Row, Unit, row_of

if TYPE_CHECKING:
    from market.models import Listing, Plan
    from registry.models import Version

ENDPOINTS_LIMIT = 50
_UNIT_DIGITS = 6
"""Digits that the price of one unit has below the minor unit."""


def price_of(plan: "Plan") -> str:
    """`Free`, `12.00 CRD`, `12.00 CRD / month`, `0.02 CRD / call`, `5.00 CRD / 1,000 tokens`; by volume that of the first step, and that others follow."""
    if plan.kind == PlanKind.FREE:
        return "Free"
    amount = format_money(Money(plan.price_minor, plan.currency))
    if plan.kind == PlanKind.ONE_TIME:
        return f"{amount} / seat" if plan.per_seat else amount
    if plan.kind == PlanKind.SUBSCRIPTION:
        return f"{amount} / seat and {plan.interval}" if plan.per_seat else f"{amount} / {plan.interval}"
    per_unit = f"{amount} / {per(plan.unit, plan.unit_size)}"
    return f"{per_unit}, then by volume" if plan.tiers else per_unit


def unit_price(unit: str, minor: Fraction, currency: str) -> tuple[str, bool]:
    """The price of one call, row, second or token as a number, `0.02` or `0.0025`, and whether that is exact: it may be a part of a
    minor unit, of which six digits are told. `minor` is that of one as counted."""
    exponent = EXPONENTS[currency]
    scaled = minor * SCALE[UsageUnit(unit)] * 10**_UNIT_DIGITS
    whole = round(scaled)
    text = f"{Decimal(whole).scaleb(-exponent - _UNIT_DIGITS):.{exponent + _UNIT_DIGITS}f}"
    number, _, digits = text.partition(".")
    digits = digits[:exponent] + digits[exponent:].rstrip("0")
    return f"{number}.{digits}" if digits else number, whole == scaled


def unit_price_in_words(unit: str, minor: Fraction, currency: str) -> str:
    """`0.0025 CRD`, `about 0.003333 CRD`, `free`."""
    if not minor:
        return "free"
    number, is_exact = unit_price(unit, minor, currency)
    return f"{'' if is_exact else 'about '}{number} {currency}"


def compare_offers(actor: Actor, versions: "Sequence[Version]", base: int) -> Comparison:
    """`registry.comparison` with what the files and the calls of the versions cost the actor."""
    return compare(actor, versions, base, lambda _: price_rows(actor, versions, base))


def price_rows(actor: Actor, versions: "Sequence[Version]", base: int) -> list[Row]:
    """A listing of files is of all versions of a repository, so all of them have its price; calls are sold for the version that an
    endpoint serves. Four queries."""
    served = list(
        visible_endpoints(actor)
        .filter(version_uuid__in=[version.uuid for version in versions])
        .order_by("name")[:ENDPOINTS_LIMIT]
    )
    repos = {version.repo.uuid for version in versions}
    listings = listings_for(actor, [*repos, *(endpoint.uuid for endpoint in served)])
    rows = []
    files = [listings.get(version.repo.uuid) for version in versions]
    if any(files):
        cells = [Cell(f"{_prices(each)}, all versions" if each else "not for sale") for each in files]
        rows.append(
            _judged("offer:files", "price of the files", cells, [[each] if each else [] for each in files], base)
        )
    sold: list[dict[str, Listing]] = [
        {
            f"{endpoint.namespace.name}/{endpoint.name}": listings[endpoint.uuid]
            for endpoint in served
            if endpoint.version_uuid == version.uuid and endpoint.uuid in listings
        }
        for version in versions
    ]
    if any(sold):
        cells = [
            Cell("; ".join(f"{_prices(each)} at {name}" for name, each in side.items()) or "not for sale")
            for side in sold
        ]
        rows.append(_judged("offer:calls", "price of calls", cells, [list(side.values()) for side in sold], base))
    return rows or [row_of("offer:files", "price", [Cell("not for sale")] * len(versions), base, unit=Unit.TEXT)]


def _judged(key: str, label: str, cells: "list[Cell]", offers: "list[list[Listing]]", base: int) -> Row:
    """With a judgement where a version and the base have one plan each, of one kind and currency; else nothing is said."""
    plans = [[plan for listing in side for plan in listing.offers] for side in offers]  # type: ignore[attr-defined]
    made = []
    for cell, side in zip(cells, plans, strict=True):
        judgement, note = Judgement.NONE, ""
        if len(side) == len(plans[base]) == 1:
            judgement, note = _cheaper(plans[base][0], side[0])
        made.append(Cell(cell.value, judgement=judgement, note=note))
    return row_of(key, label, made, base, unit=Unit.TEXT, direction=Direction.NONE)


def _cheaper(before: "Plan", after: "Plan") -> tuple[Judgement, str]:
    same = (before.kind, before.currency, before.unit, before.unit_size, before.per_seat, before.interval) == (
        after.kind, after.currency, after.unit, after.unit_size, after.per_seat, after.interval,
    )  # fmt: skip
    if not same or before.tiers != after.tiers or before.price_minor == after.price_minor:
        return Judgement.NONE, ""
    difference = Money(after.price_minor - before.price_minor, after.currency)
    sign = "+" if difference.amount_minor > 0 else ""
    is_cheaper = difference.amount_minor < 0
    return Judgement.BETTER if is_cheaper else Judgement.WORSE, f"{sign}{difference}".replace("-", "−")


def _prices(listing: "Listing") -> str:
    return ", ".join(price_of(plan) for plan in listing.offers) or "not for sale"  # type: ignore[attr-defined]
