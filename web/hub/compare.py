"""Versions side by side on one page: which stand there, what they were found to be, and what they say to one input."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.actors import Actor
from common.errors import Invalid
from market.prices import compare_offers
from registry import queries
from registry.comparison.naming import named_versions, ref_of
from registry.comparison.shape import LIMIT, Cell, Comparison, Judgement, Row, Side, Unit, only_changed
from registry.states import RepoKind
from web.hub.charts import Drawing, Point, scatter
from web.hub.diffs import Diff, diff_of
from web.hub.trials import TrialPart
from web.links import compare_url, repo_url
from web.templatetags.ui import duration, number, percent, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.models import Repo, Version

SUGGESTED = 40
TENSORS_SHOWN = 60


@dataclass(frozen=True)
class Column:
    """One version's heading. `base_href` is empty for the base."""

    ref: str
    title: str
    note: str
    href: str
    is_base: bool
    base_href: str
    remove_href: str


@dataclass(frozen=True)
class CellView:
    text: str
    interval: str
    delta: str
    verdict: str
    chance: str
    extreme: str
    note: str
    is_changed: bool


@dataclass(frozen=True)
class RowView:
    label: str
    cells: list[CellView]


@dataclass(frozen=True)
class GroupView:
    title: str
    rows: list[RowView]


@dataclass(frozen=True)
class CardDiff:
    title: str
    diff: Diff


@dataclass(frozen=True)
class TensorRow:
    name: str
    matched: str
    shape: str
    dtype: str
    relative: str
    cosine: str
    changed: str


@dataclass(frozen=True)
class WeightsView:
    """How one version's weights differ from the base's."""

    title: str
    problem: str
    is_pending: bool
    summary: str
    rows: list[TensorRow]
    only_before: list[str]
    only_after: list[str]
    more_count: int


@dataclass(frozen=True)
class StudiesPart:
    """What a worker finds out: the charts, the weights. It replaces itself while something is under way."""

    is_pending: bool
    part_href: str
    action: str
    fields: list[tuple[str, str]]
    charts: list[Drawing]
    weights: list[WeightsView]
    can_measure: bool
    can_weigh: bool
    why_not: str


@dataclass(frozen=True)
class ComparePage:
    """`fields`: name and value of the hidden fields that keep what is compared. `missing`: how many more a comparison needs."""

    title: str
    columns: list[Column]
    groups: list[GroupView]
    cards: list[CardDiff]
    verdict: str
    confidence: str
    reason: str
    is_panel_pending: bool
    is_changed_only: bool
    hidden_count: int
    toggle_href: str
    swap_href: str
    csv_href: str
    permanent_url: str
    fields: list[tuple[str, str]]
    suggested: list[str]
    can_add: bool
    limit: int
    studies: StudiesPart | None
    trial: TrialPart | None

    @property
    def is_comparison(self) -> bool:
        return len(self.columns) > 1


@dataclass(frozen=True)
class Wanted:
    """What an address asks to compare."""

    versions: "list[Version]"
    base: int
    is_changed_only: bool
    trial: str

    @classmethod
    def of(cls, actor: Actor, asked: Any) -> "Wanted":
        """`asked` is a QueryDict. Raises NotFound, Invalid."""
        versions = named_versions(actor, asked.getlist("v"))
        refs = [ref_of(version).lower() for version in versions]
        base = asked.get("base", "").strip().lower()
        if base and base not in refs:
            raise Invalid("The base must be one of the versions that are compared.", fields={"base": "not compared"})
        return cls(
            versions, refs.index(base) if base else 0, asked.get("only") == "changed", asked.get("trial", "")[:40]
        )

    @property
    def refs(self) -> list[str]:
        return [ref_of(version) for version in self.versions]

    def href(self, page: str = "", **values: str) -> str:
        """The address of this comparison, or of a page of it."""
        kept = {"only": "changed" if self.is_changed_only else "", "trial": self.trial} | values
        return compare_url(self.refs, page=page, base=self.base_ref, **kept)

    @property
    def base_ref(self) -> str:
        return self.refs[self.base] if self.versions else ""

    @property
    def fields(self) -> list[tuple[str, str]]:
        kept = [("base", self.base_ref), ("only", "changed" if self.is_changed_only else ""), ("trial", self.trial)]
        return [*(("v", ref) for ref in self.refs), *((name, value) for name, value in kept if value)]


def compare_page(
    actor: Actor, wanted: Wanted, *, problem: str = "", given: "Mapping[str, str] | None" = None
) -> ComparePage:
    """`problem`: why an input was not accepted; `given`: what was filled in."""
    columns = _columns(wanted)
    if len(wanted.versions) < 2:
        return _beginning(actor, wanted, columns)
    comparison = compare_offers(actor, wanted.versions, wanted.base)
    groups = only_changed(comparison.groups) if wanted.is_changed_only else comparison.groups
    hidden = sum(not row.is_changed for group in comparison.groups for row in group.rows)
    base = comparison.sides[wanted.base]
    swapped = list(reversed(wanted.refs))
    kept = {"only": "changed" if wanted.is_changed_only else "", "trial": wanted.trial}
    return ComparePage(
        title=_title(wanted),
        columns=columns,
        groups=[GroupView(group.title, [row_view(row, wanted.base) for row in group.rows]) for group in groups],
        cards=[
            CardDiff(columns[place].title, diff_of(base.card.body, side.card.body))
            for place, side in enumerate(comparison.sides)
            if place != wanted.base
        ],
        verdict=comparison.verdict.sentence,
        confidence=comparison.verdict.confidence,
        reason=comparison.verdict.reason,
        is_panel_pending=comparison.panel_pending,
        is_changed_only=wanted.is_changed_only,
        hidden_count=hidden if wanted.is_changed_only else 0,
        toggle_href=wanted.href(only="" if wanted.is_changed_only else "changed"),
        swap_href=compare_url(swapped, base=swapped[0], **kept) if len(swapped) == 2 else "",
        csv_href=wanted.href("table.csv", only="", trial=""),
        permanent_url=settings.PUBLIC_URL + wanted.href(),
        fields=wanted.fields,
        suggested=_suggested(wanted.versions),
        can_add=len(wanted.versions) < LIMIT,
        limit=LIMIT,
        studies=studies_part(actor, wanted, comparison),
        trial=TrialPart.of(actor, wanted, comparison, [column.title for column in columns], problem, given or {}),
    )


def studies_part(actor: Actor, wanted: Wanted, comparison: Comparison) -> StudiesPart | None:
    """None for what has no weights: datasets and algorithms."""
    sides = comparison.sides
    if sides[0].version.repo.kind != RepoKind.MODEL:
        return None
    titles = _titles(wanted.versions)
    base = sides[wanted.base]
    others = [place for place in range(len(sides)) if place != wanted.base]
    readable = [side for side in sides if side.files]
    unmeasured = [
        side
        for side in readable
        if side.files and side.files.graph and not side.speed.content and not side.speed.is_pending
    ]
    unweighed = [
        sides[place]
        for place in others
        if _both_weigh(base, sides[place]) and not sides[place].weights.content and not sides[place].weights.is_pending
    ]
    why_not = ""
    if len(readable) < len(sides):
        why_not = "Measuring a version takes the right to read its files."
    elif not actor.is_authenticated:
        why_not = "Sign in to have it measured."
    return StudiesPart(
        is_pending=any(side.speed.is_pending or side.weights.is_pending for side in sides),
        part_href=wanted.href("studies"),
        action="/compare/studies",
        fields=wanted.fields,
        charts=charts_of(comparison, titles),
        weights=[
            _weights(titles[place], sides[place])
            for place in others
            if sides[place].weights.content or sides[place].weights.is_pending
        ],
        can_measure=bool(unmeasured) and actor.is_authenticated,
        can_weigh=bool(unweighed) and actor.is_authenticated,
        why_not=why_not,
    )


def charts_of(comparison: Comparison, titles: Sequence[str]) -> list[Drawing]:
    """Size, latency and memory against the main metric, as far as two versions have both."""
    rows = {row.key: row for group in comparison.groups for row in group.rows}
    measure = rows.get(f"metric:{comparison.main_metric}")
    found: list[Drawing] = []
    for key, label in (
        ("cost:graph", "size"),
        ("cost:size", "size"),
        ("cost:latency", "one row"),
        ("cost:memory", "memory"),
    ):
        row = rows.get(key)
        if measure is None or row is None or any(chart.x_label == label for chart in found):
            continue
        points = [
            Point(titles[place], float(x.value), float(y.value), y.low, y.high, is_base=place == comparison.base)
            for place, (x, y) in enumerate(zip(row.cells, measure.cells, strict=True))
            if isinstance(x.value, int | float) and isinstance(y.value, int | float)
        ]
        if len(points) > 1:
            title = f"{measure.label.capitalize()} by {'time of one row' if label == 'one row' else label}"
            words = functools.partial(said, unit=row.unit)
            found.append(scatter(key.replace(":", "-"), title, label, measure.label, points, words))
    return found


def csv_rows(comparison: Comparison) -> Iterator[list[Any]]:
    """Group, property, unit, better direction, then for each version its value, interval, difference and chance."""
    for group in comparison.groups:
        for row in group.rows:
            line: list[Any] = [group.title, row.label, row.unit.value, row.direction.value]
            for cell in row.cells:
                line += [
                    cell.value, cell.low, cell.high, cell.difference, cell.p_value, cell.judgement.value, cell.extreme,
                ]  # fmt: skip
            yield line


def csv_header(comparison: Comparison) -> list[str]:
    parts = ("", " low", " high", " difference", " p", " judgement", " extreme")
    return ["group", "property", "unit", "better", *(f"{ref}{part}" for ref in comparison.refs for part in parts)]


def said(value: float, unit: Unit) -> str:
    """A number in the words of its unit."""
    match unit:
        case Unit.BYTES:
            return size(int(value))
        case Unit.SECONDS:
            return duration(value) if value >= 1 else f"{value * 1000:.3g} ms"
        case Unit.SHARE:
            return percent(value)
        case Unit.COUNT:
            return f"{value:,.0f}"
    return number(float(value))


def row_view(row: Row, base: int) -> RowView:
    return RowView(
        row.label, [_cell(row, cell, row.cells[base], is_base=place == base) for place, cell in enumerate(row.cells)]
    )


def _cell(row: Row, cell: Cell, base: Cell, *, is_base: bool) -> CellView:
    value = cell.value
    text = "–" if value is None else value if isinstance(value, str) else said(value, row.unit)
    interval = ""
    if cell.low is not None and cell.high is not None:
        interval = f"{said(cell.low, row.unit)}–{said(cell.high, row.unit)}"
    note = cell.note
    delta = "" if is_base else _delta(row, cell, base)
    if row.key.startswith("offer:"):
        # what is cheaper and by how much
        delta, note = cell.note, ""
    word = {Judgement.UNCLEAR: "not clear"}.get(cell.judgement, cell.judgement.value) if not is_base else ""
    if row.unit == Unit.TEXT and not row.key.startswith("offer:"):
        word = ""
    chance = f"p = {cell.p_value:.2g}" if cell.p_value is not None and not is_base else ""
    return CellView(text, interval, delta, word, chance, cell.extreme, note, cell.is_changed and not is_base)


def _delta(row: Row, cell: Cell, base: Cell) -> str:
    difference = cell.difference
    if difference is None or difference == 0:
        return ""
    sign = "+" if difference > 0 else "−"
    if row.unit in {Unit.BYTES, Unit.SECONDS} and isinstance(base.value, int | float) and base.value:
        return f"{sign}{abs(difference) / base.value:.0%}".replace("%", " %")
    ends = ""
    if cell.difference_low is not None and cell.difference_high is not None:
        ends = f" ({_signed(cell.difference_low, row.unit)} to {_signed(cell.difference_high, row.unit)})"
    return f"{_signed(difference, row.unit)}{ends}"


def _signed(value: float, unit: Unit) -> str:
    if unit == Unit.SHARE:
        # a difference of percentages is in points: 5 % more of 90 % would be 94.5 %
        return f"{value * 100:+.1f} points".replace("-", "−")
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{said(abs(value), unit)}"


def _columns(wanted: Wanted) -> list[Column]:
    titles, refs = _titles(wanted.versions), wanted.refs
    kept = {"only": "changed" if wanted.is_changed_only else "", "trial": wanted.trial}
    columns = []
    for place, version in enumerate(wanted.versions):
        rest = [ref for ref in refs if ref != refs[place]]
        base = wanted.base_ref if place != wanted.base else rest[0] if rest else ""
        columns.append(
            Column(
                ref=refs[place],
                title=titles[place],
                note=f"{version.repo.namespace.name}/{version.repo.name}",
                href=repo_url(version.repo, "versions", version.name),
                is_base=place == wanted.base,
                base_href="" if place == wanted.base else compare_url(refs, base=refs[place], **kept),
                remove_href=compare_url(rest, base=base, **kept),
            )
        )
    return columns


def _titles(versions: "Sequence[Version]") -> list[str]:
    """The name alone where it is clear, else with the repository."""
    names = [version.name for version in versions]
    return [
        version.name if names.count(version.name) == 1 else f"{version.repo.name} {version.name}"
        for version in versions
    ]


def _title(wanted: Wanted) -> str:
    names = [column.title for column in _columns(wanted)]
    if len(names) > 3:
        return f"{len(names)} versions compared"
    return " and ".join([", ".join(names[:-1]), names[-1]])


def _suggested(versions: "Sequence[Version]") -> list[str]:
    """Other versions of the same repositories, the newest first."""
    shown = {version.pk for version in versions}
    repos: dict[int, Repo] = {version.repo_id: version.repo for version in versions}
    found = []
    for repo in repos.values():
        for version in queries.versions_of(repo)[: SUGGESTED // len(repos)]:
            version.repo = repo
            if version.pk not in shown:
                found.append(ref_of(version))
    return found


def _beginning(actor: Actor, wanted: Wanted, columns: list[Column]) -> ComparePage:
    """Nothing, or one version, to which another is to be added."""
    return ComparePage(
        title="Compare versions", columns=columns, groups=[], cards=[], verdict="", confidence="", reason="",
        is_panel_pending=False, is_changed_only=wanted.is_changed_only, hidden_count=0, toggle_href="", swap_href="",
        csv_href="", permanent_url="", fields=wanted.fields, suggested=_suggested(wanted.versions), can_add=True,
        limit=LIMIT, studies=None, trial=None,
    )  # fmt: skip


def _both_weigh(base: Side, side: Side) -> bool:
    return bool(base.files and base.files.weights and side.files and side.files.weights)


def _weights(title: str, side: Side) -> WeightsView:
    content = side.weights.content or {}
    if side.weights.is_pending or content.get("problem"):
        return WeightsView(title, str(content.get("problem") or ""), side.weights.is_pending, "", [], [], [], 0)
    total = content["total"]
    changed = total["changed"] / total["count"] if total["count"] else 0
    parts = [f"{content['matched']:,} tensors matched", f"{content['identical']:,} of them identical"]
    parts += [f"{content['by_shape']:,} matched by shape"] if content["by_shape"] else []
    parts += [f"{changed:.1%} of the numbers changed".replace("%", " %")]
    parts += [f"relative distance {number(total['relative'])}"] if total["relative"] is not None else []
    rows = [
        TensorRow(
            row["name"],
            row["matched"],
            " × ".join(map(str, row["shape"])) or "one number",
            row["dtype"],
            "–" if row["relative"] is None else number(row["relative"]),
            "–" if row["cosine"] is None else f"{row['cosine']:.6g}",
            f"{row['changed'] / row['count']:.1%}".replace("%", " %") if row["count"] else "–",
        )
        for row in content["tensors"][:TENSORS_SHOWN]
    ]
    return WeightsView(
        title, "", False, ", ".join(parts) + ".", rows, content["only_before"], content["only_after"],
        content["matched"] - len(rows),
    )  # fmt: skip
