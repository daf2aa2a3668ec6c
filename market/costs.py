"""What a model costs in all, by each way of having it: the seller's plans, and running it oneself. Pure integers and fractions: no
database, no clock. Every option says how its number comes about, and the lines of one add up to it.

Assumptions, which the page states: the same traffic each month, evenly over its 730 hours; calls that are sold in packs are ordered
once a month; a machine is busy for `utilisation_percent` of the time at most, which leaves room for peaks; rows of one call are
computed one after the other."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from common.money import Money, format_money
from market.rating import Tier, list_price
from metering.units import Unit

HOURS_PER_MONTH = 730
"""A year's hours by twelve."""
MOST_CALLS, MOST_ROWS, MOST_MONTHS = 10**9, 100_000, 60
ACCURACY_MARGIN = 0.01
"""An alternative that is measured to be worse by more is not recommended."""


@dataclass(frozen=True)
class Traffic:
    """What is expected: 1 ≤ calls a month, rows in each, for so many months."""

    calls_per_month: int
    rows_per_call: int = 1
    months: int = 12

    @property
    def calls(self) -> int:
        return self.calls_per_month * self.months


@dataclass(frozen=True)
class PlanTerms:
    """A plan as far as its cost goes. Amounts in minor units. `period_months` above 0: a subscription whose price comes each period;
    its `included_units` then are of a period. `included_units` None: calls without limit. `overage_minor` (for each `unit_size`
    above what is included): None where calls stop there."""

    name: str
    kind: str
    currency: str
    price_minor: int
    unit: str = Unit.CALLS
    unit_size: int = 1
    included_units: int | None = None
    tiers: tuple[Tier, ...] = ()
    period_months: int = 0
    overage_minor: int | None = None
    is_download: bool = False


@dataclass(frozen=True)
class Hardware:
    """What one machine costs for an hour, and how much memory it has; 0: not said."""

    name: str
    currency: str
    hour_minor: int
    memory_bytes: int = 0


@dataclass(frozen=True)
class Speed:
    """Measured: seconds for one row, in `n` calls (0: not said), `where`; memory in bytes, None where it was not measured."""

    seconds_per_row: Fraction
    where: str
    n: int = 0
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Candidate:
    """What would be run. `accuracy_change`: of the main metric against what is offered, measured on `accuracy_n` rows, better
    above 0; None: not measured. `files`: what must be bought for it; None: they are had already or free."""

    title: str
    is_offered: bool
    size_bytes: int
    speed: Speed | None
    accuracy_change: float | None = None
    accuracy_words: str = ""
    files: PlanTerms | None = None


@dataclass(frozen=True)
class Line:
    """One step of the reckoning; `minor` None: it explains, and adds nothing."""

    text: str
    minor: int | None = None


@dataclass(frozen=True)
class Option:
    """One way to have it. `total_minor` over all months, None with the reason in `why_not`: then it cannot be reckoned or does not
    carry the traffic."""

    title: str
    way: str
    currency: str
    total_minor: int | None
    lines: tuple[Line, ...] = ()
    why_not: str = ""
    uncertainty: str = ""
    may_be_recommended: bool = True
    is_recommended: bool = False


@dataclass(frozen=True)
class Quote:
    """Options that can be reckoned, the cheapest first within each currency, that of the first plan before others; then the rest."""

    traffic: Traffic
    options: list[Option] = field(default_factory=list)


def quote(traffic: Traffic, options: Iterable[Option], currency: str) -> Quote:
    """Sorts and marks the cheapest of `currency` that may be recommended."""
    found = sorted(
        options,
        key=lambda each: (each.total_minor is None, each.currency != currency, each.currency, each.total_minor or 0),
    )
    best = next(
        (
            each
            for each in found
            if each.total_minor is not None and each.currency == currency and each.may_be_recommended
        ),
        None,
    )
    return Quote(traffic, [_marked(each) if each is best else each for each in found])


def plan_option(terms: PlanTerms, traffic: Traffic) -> Option:
    """Calls on a plan. A plan whose calls end before the traffic does has no total."""
    title, way = f"Plan {terms.name}", "plan"
    if terms.unit not in {Unit.CALLS, Unit.ROWS} and (terms.kind == "pay_per_use" or terms.included_units is not None):
        why = f"It is counted in {terms.unit}, and how many a call takes is not known before it is made."
        return Option(title, way, terms.currency, None, why_not=why)
    monthly = traffic.calls_per_month * (traffic.rows_per_call if terms.unit == Unit.ROWS else 1)
    if terms.kind == "pay_per_use":
        lines = _packs(terms, monthly, traffic.months)
    elif terms.period_months:
        periods = _ceil(traffic.months, terms.period_months)
        lines = [Line(f"{periods} × {_money(terms.price_minor, terms)}", periods * terms.price_minor)]
        needed, given = monthly * min(terms.period_months, traffic.months), terms.included_units
        if given is not None and needed > given:
            if terms.overage_minor is None:
                return Option(title, way, terms.currency, None, why_not=_too_few(terms, needed, "in each period"))
            units = periods * _ceil(needed - given, terms.unit_size)
            lines.append(Line(f"{units:,} × {_money(terms.overage_minor, terms)} beyond the {given:,} {terms.unit} included",
                              units * terms.overage_minor))  # fmt: skip
    else:
        if terms.included_units is not None and monthly * traffic.months > terms.included_units:
            return Option(title, way, terms.currency, None, why_not=_too_few(terms, monthly * traffic.months, "in all"))
        lines = [Line("Paid once" if terms.price_minor else "Free", terms.price_minor)]
    return Option(
        title,
        way,
        terms.currency,
        _total(lines),
        tuple(lines),
        uncertainty="The price is certain; the traffic is yours to judge.",
    )


def hosts_needed(traffic: Traffic, seconds_per_call: Fraction, utilisation_percent: int) -> int:
    """Machines that carry the traffic: at least one."""
    busy = Fraction(traffic.calls_per_month) * seconds_per_call / HOURS_PER_MONTH
    return max(1, -(-busy * 100 // (3600 * utilisation_percent)))


def hosting_option(candidate: Candidate, hardware: Hardware, traffic: Traffic, utilisation_percent: int) -> Option:
    """Running it oneself on one kind of machine. Without a measured speed there there is no total: nothing is guessed."""
    title, speed, files = f"{candidate.title} on {hardware.name}", candidate.speed, candidate.files
    if files is not None and files.currency != hardware.currency and files.price_minor:
        why = f"Its files are sold in {files.currency} and the machine is priced in {hardware.currency}."
        return Option(title, "host", hardware.currency, None, why_not=why)
    if speed is None:
        return Option(
            title, "host", hardware.currency, None, why_not=f"Its latency was not measured on {hardware.name}."
        )
    if hardware.memory_bytes and speed.memory_bytes and speed.memory_bytes > hardware.memory_bytes:
        why = f"It takes {_bytes(speed.memory_bytes)} of memory, the machine has {_bytes(hardware.memory_bytes)}."
        return Option(title, "host", hardware.currency, None, why_not=why)
    per_call = speed.seconds_per_row * traffic.rows_per_call
    hosts = hosts_needed(traffic, per_call, utilisation_percent)
    hours = hosts * HOURS_PER_MONTH * traffic.months
    hour = format_money(Money(hardware.hour_minor, hardware.currency))
    lines = [
        Line(f"One row takes {_ms(speed.seconds_per_row)}, a call of {traffic.rows_per_call:,} so {_ms(per_call)}"),
        Line(
            f"{traffic.calls_per_month:,} calls × {_ms(per_call)} a month, on machines busy {utilisation_percent} % at most: "
            f"{hosts:,} machine{'s' if hosts > 1 else ''}"
        ),
        Line(f"{hours:,} hours × {hour}", hours * hardware.hour_minor),
    ]
    if files is not None:
        lines.append(Line(f"The files, plan {files.name}, paid once", files.price_minor))
    memory = f", {_bytes(speed.memory_bytes)} of memory" if speed.memory_bytes else ", memory not measured"
    lines.append(Line(f"{_bytes(candidate.size_bytes)} of files{memory}"))
    if candidate.accuracy_words:
        lines.append(Line(candidate.accuracy_words))
    change = candidate.accuracy_change
    measured = f"median of {speed.n:,} calls" if speed.n else "how many calls were measured is not said"
    return Option(
        title, "host", hardware.currency, _total(lines), tuple(lines),
        uncertainty=f"Latency measured {speed.where}, {measured}; yours may differ. Work of people is not counted.",
        may_be_recommended=candidate.is_offered or (change is not None and change >= -ACCURACY_MARGIN),
    )  # fmt: skip


def _packs(terms: PlanTerms, monthly: int, months: int) -> list[Line]:
    """One order a month; what is included comes with the first."""
    free = terms.included_units or 0
    first = _ceil(max(monthly - free, 0), terms.unit_size)
    later = _ceil(monthly, terms.unit_size)
    prices = [list_price(terms.price_minor, terms.unit_size, terms.tiers, units) for units in (first, later)]
    unit = terms.unit if terms.unit_size == 1 else f"packs of {terms.unit_size:,} {terms.unit}"
    lines = [Line(f"First month: {first:,} {unit}{f', after {free:,} free {terms.unit}' if free else ''}", prices[0])]
    if months > 1:
        more = months - 1
        lines.append(Line(f"{more} more months × {later:,} {unit} for {_money(prices[1], terms)}", more * prices[1]))
    return lines


def _marked(option: Option) -> Option:
    return Option(**{**vars(option), "is_recommended": True})


def _too_few(terms: PlanTerms, needed: int, when: str) -> str:
    return f"It gives {terms.included_units:,} {terms.unit} {when}; {needed:,} are expected."


def _total(lines: Iterable[Line]) -> int:
    return sum(line.minor or 0 for line in lines)


def _ceil(amount: int, unit: int) -> int:
    return -(-amount // unit)


def _money(minor: int, terms: PlanTerms) -> str:
    return format_money(Money(minor, terms.currency))


def _ms(seconds: Fraction) -> str:
    return f"{float(seconds) * 1000:,.4g} ms"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
