"""What the reckoning of costs is made of: plans on sale, what was measured of the offered version and of its smaller alternatives, and
the operator's price list of machines. What was not measured is left out, never guessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.actors import Actor, system
from accounts.permissions import Action
from common.errors import DomainError
from market import costs
from market.costs import Candidate, Hardware, PlanTerms, Quote, Speed, Traffic
from market.policies import plans_on_sale
from market.queries import listings_for
from market.states import PlanKind, SubjectKind
from market.subjects import subject_of_listing, version_of
from market.tiers import tiers_of
from registry.build_queries import GRAPH, builds_of, file_of, withdrawal_of
from registry.policies import can, require_repo
from registry.queries import measurements_of, versions_of
from registry.services import studies
from registry.standing import standing_of
from registry.states import MeasurementKind

_MONTHS = {"month": 1, "year": 12}

if TYPE_CHECKING:
    from market.models import Listing, Plan
    from registry.models import Blob, Build, Version

ALTERNATIVES = 6
"""Smaller versions, and builds, that are reckoned beside the offered one."""
_SYSTEM = system("market")
_LOOKED_AT = 40


@dataclass(frozen=True)
class Costs:
    """`notes`: what is missing or assumed, in sentences. `version`: the offered one, empty where there is none."""

    quote: Quote
    version: str
    hardware: list[Hardware]
    utilisation_percent: int
    notes: list[str]


def costs_of(actor: Actor, listing: "Listing", traffic: Traffic, *, only_hardware: str = "") -> Costs:
    """Every way to have what a listing offers, for this traffic; with `only_hardware` on machines of that name alone. About twenty
    queries, more with alternatives."""
    kind = SubjectKind(listing.subject_kind)
    subject = subject_of_listing(_SYSTEM, listing)
    version = version_of(kind, subject, listing.channel) if kind != SubjectKind.DATASET else None
    plans = list(plans_on_sale(actor, listing))
    is_endpoint = kind == SubjectKind.ENDPOINT
    options = [costs.plan_option(terms_of(plan), traffic) for plan in plans] if is_endpoint else []
    machines = [each for each in hardware() if not only_hardware or each.name.casefold() == only_hardware.casefold()]
    notes: list[str] = []
    busy = settings.HOSTING_UTILISATION_PERCENT
    if version is not None and version.repo.kind == "model":
        files, problem = _files(actor, version, plans if not is_endpoint else None)
        if problem:
            notes.append(problem)
        else:
            found = _candidates(actor, version, files)
            options += [
                costs.hosting_option(candidate.on(machine), machine, traffic, busy)
                for candidate in found
                for machine in machines
            ]
            notes += _unpriced(version)
    currency = plans[0].currency if plans else machines[0].currency if machines else ""
    if not options:
        notes.append("Nothing here can be called or run by its price: there is no plan with calls and no model.")
    return Costs(costs.quote(traffic, options, currency), version.name if version else "", machines, busy, notes)


def hardware() -> list[Hardware]:
    """The operator's price list (`HARDWARE_PRICES`). No query."""
    return [
        Hardware(each["name"], each["currency"], each["hour_minor"], int(each.get("memory_gb", 0) * 10**9))
        for each in settings.HARDWARE_PRICES
    ]


def terms_of(plan: "Plan") -> PlanTerms:
    """What the cost of a plan follows from; of one that is sold by the seat, for one seat."""
    return PlanTerms(
        name=plan.name,
        kind=plan.kind,
        currency=plan.currency,
        price_minor=plan.price_minor,
        unit=plan.unit,
        unit_size=plan.unit_size,
        included_units=plan.included_units,
        tiers=tiers_of(plan),
        period_months=_MONTHS.get(plan.interval, 0),
        overage_minor=plan.overage_minor,
    )


@dataclass(frozen=True)
class _Found:
    """A candidate before a machine is chosen: what was measured, by the machine's name in lower case; "" is this site's own."""

    candidate: Candidate
    speeds: Mapping[str, Speed]

    def on(self, machine: Hardware) -> Candidate:
        speed = self.speeds.get(machine.name.casefold())
        if speed is None and machine.name in {each["name"] for each in settings.HARDWARE_PRICES if each.get("is_site")}:
            speed = self.speeds.get("")
        shown = self.candidate
        return Candidate(**{**vars(shown), "speed": speed})


def _files(actor: Actor, version: "Version", plans: "list[Plan] | None") -> tuple[PlanTerms | None, str]:
    """What must be bought to have the files, and why they can't be had. `plans`: those of the listing when it sells just them."""
    if can(actor, version.repo, Action.REPO_READ):
        return None, ""
    if plans is None:
        listing = listings_for(actor, [version.repo.uuid]).get(version.repo.uuid)
        plans = list(plans_on_sale(actor, listing)) if listing else []
    offers = [plan for plan in plans if plan.kind in {PlanKind.FREE, PlanKind.ONE_TIME}]
    if not offers:
        return None, "The files of the model are not on sale here, so running it oneself is not reckoned."
    cheapest = min(offers, key=lambda plan: plan.price_minor)
    return (terms_of(cheapest) if cheapest.price_minor else None), ""


def _candidates(actor: Actor, version: "Version", files: PlanTerms | None) -> list[_Found]:
    """The offered version, its builds, and smaller versions of its repository, where the actor sees that."""
    own = studies.files_of(version).graph
    known = [_Found(_candidate(version, own, None, files), _speeds(version, own))]
    for build in builds_of(version)[:_LOOKED_AT]:
        if withdrawal_of(build) is None and len(known) <= ALTERNATIVES:
            known.append(_of_build(build, version, files))
    try:
        repo = require_repo(
            actor, version.repo.kind, version.repo.namespace.name, version.repo.name, Action.REPO_DISCOVER
        )
    except DomainError:
        return known
    size = own.size_bytes if own else version.commit.tree.total_bytes
    for other in versions_of(repo)[:_LOOKED_AT]:
        if other.pk == version.pk or standing_of(other).is_yanked or len(known) > ALTERNATIVES:
            continue
        graph = studies.files_of(other).graph
        if graph is not None and graph.size_bytes < size:
            known.append(_Found(_candidate(other, graph, version, files), _speeds(other, graph)))
    return known


def _candidate(
    version: "Version", graph: "Blob | None", offered: "Version | None", files: PlanTerms | None
) -> Candidate:
    change, words = _change(version, offered)
    size = graph.size_bytes if graph else version.commit.tree.total_bytes
    return Candidate(f"Version {version.name}", offered is None, size, None, change, words, files)


def _of_build(build: "Build", version: "Version", files: PlanTerms | None) -> _Found:
    report = build.equivalence
    agreement, rows = report.get("label_agreement"), report.get("real_rows")
    change, words = None, "How its answers differ was not measured"
    if isinstance(agreement, int | float) and isinstance(rows, int) and rows:
        change = float(agreement) - 1
        words = f"Its labels agree with those of version {version.name} on {agreement:.2%} of {rows:,} rows"
    try:
        graph = file_of(build, GRAPH)
    except DomainError:
        graph = None
    title = f"{build.format} build of version {version.name}"
    candidate = Candidate(title, False, build.size_bytes, None, change, words, files)
    return _Found(candidate, _studied(graph, version) if graph else {})


def _speeds(version: "Version", graph: "Blob | None") -> dict[str, Speed]:
    """What its people measured on named machines, the newest of each; and what this site measured itself."""
    found = _studied(graph, version) if graph else {}
    for row in measurements_of(version):
        if row.kind == MeasurementKind.HARDWARE and (speed := _speed(row.name, row.values, row.created_at)):
            found[row.name.casefold()] = speed
    return found


def _studied(graph: "Blob", version: "Version") -> dict[str, Speed]:
    key = studies.speed_key(graph, version)
    content = studies.found([key]).get(key, studies.Asked()).content or {}
    if not content.get("p50_s"):
        return {}
    speed = Speed(
        Fraction(str(content["p50_s"])),
        "by this site, on one core, one row at a time",
        int(content.get("calls") or 0),
        content.get("memory_bytes") or None,
    )
    return {"": speed}


def _speed(name: str, values: Mapping[str, Any], at: datetime) -> Speed | None:
    """Seconds for a row: by the throughput, else by the median of a batch. None when neither was measured."""
    throughput, p50, batch = values.get("throughput_per_s"), values.get("p50_ms"), values.get("batch_size") or 1
    if throughput:
        seconds = 1 / Fraction(str(throughput))
    elif p50:
        seconds = Fraction(str(p50)) / 1000 / batch
    else:
        return None
    source = f" ({values['source']})" if values.get("source") else ""
    where = f"on {name}, said by its publisher on {at:%Y-%m-%d}{source}"
    return Speed(seconds, where, 0, values.get("memory_bytes") or None)


def _unpriced(version: "Version") -> list[str]:
    priced = {each.name.casefold() for each in hardware()}
    names = sorted(
        {
            row.name
            for row in measurements_of(version)
            if row.kind == MeasurementKind.HARDWARE and row.name.casefold() not in priced
        }
    )
    return [f"It was measured on {name} too; this site has no hourly price for that." for name in names]


def _change(version: "Version", offered: "Version | None") -> tuple[float | None, str]:
    """How its main metric differs from that of the offered version, and where it was measured. Only what grows when it gets
    better by its name is compared in numbers."""
    mine, theirs = version.metrics or {}, (offered.metrics or {}) if offered else {}
    name = next((each for each in ("accuracy", "f1", "macro F1", "r2", *mine) if each in mine), "")
    if not name:
        return None, "" if offered is None else "How good it is was not measured"
    own = mine[name]
    text = f"{name} {_figure(own)}" + (f", on {own['n']:,} samples" if own.get("n") else "")
    if offered is None or name not in theirs:
        return None, text
    before = theirs[name]
    text += f"; version {offered.name} has {_figure(before)}"
    is_comparable = name in {"accuracy", "f1", "macro F1", "r2"} and own.get("dataset") == before.get("dataset")
    return (own["value"] - before["value"] if is_comparable else None), text


def _figure(metric: Mapping[str, Any]) -> str:
    interval = f" ({metric['low']:.4g} to {metric['high']:.4g})" if metric.get("low") is not None else ""
    return f"{metric['value']:.4g}{interval}"
