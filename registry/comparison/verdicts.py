"""What to make of a comparison, in one sentence with its confidence."""

from collections.abc import Mapping

from registry.comparison.measures import corrected
from registry.comparison.shape import Cell, Comparison, Direction, Judgement, Row, Side, Verdict
from registry.evaluations import SIGNIFICANT
from registry.signatures import Compatibility, SignatureVerdict
from registry.states import RepoKind


def verdict_of(comparison: Comparison) -> Verdict:
    """What to make of the best of the other versions, in one sentence."""
    rows = {row.key: row for group in comparison.groups for row in group.rows}
    others = [place for place in range(len(comparison.sides)) if place != comparison.base]
    if not others:
        return Verdict("There is nothing to compare yet: add a version.", "none", "")
    best = max(others, key=lambda place: _rank(comparison, rows, place))
    side, base = comparison.sides[best], comparison.sides[comparison.base]
    quality, confidence, reason = _quality(comparison, rows, best)
    parts = [quality] if quality else []
    size = rows["cost:graph"] if "cost:graph" in rows and rows["cost:graph"].cells[best].value else rows["cost:size"]
    for row, less, more in ((size, "smaller", "larger"), (rows.get("cost:latency"), "quicker", "slower")):
        if row is not None and side.version.repo.kind == RepoKind.MODEL:
            parts += _ratio(row, best, comparison.base, less, more)
    upgrade = {
        Compatibility.SAME: "callers can upgrade without changes",
        Compatibility.ADDITIONS: "callers can upgrade without changes, and it gives more",
        Compatibility.BREAKING: f"callers must change ({_first_break(side.signature)})",
    }.get(side.signature.compatibility)
    if side.version.repo.kind == RepoKind.MODEL and upgrade:
        parts.append(upgrade)
    if not parts:
        same = side.version.commit.tree.oid == base.version.commit.tree.oid
        parts.append("has the same files" if same else "differs in nothing that was measured")
    name, against = _names(side, base)
    lead = f"Of {len(others)} versions beside {against}, {name}" if len(others) > 1 else f"Beside {against}, {name}"
    return Verdict(f"{lead} {_joined(parts)}.", confidence, reason)


def _rank(comparison: Comparison, rows: Mapping[str, Row], place: int) -> tuple[float, ...]:
    """Significantly better first, then by the main metric, then the smaller one."""
    pair = comparison.panel[place]
    test = pair.tests[0] if pair else None
    sure = 0 if test is None or not test.is_significant else 1 if test.is_better else -1
    row = rows.get(f"metric:{comparison.main_metric}")
    value = row.cells[place].value if row else None
    sign = -1.0 if row and row.direction == Direction.LOWER else 1.0
    measure = sign * value if isinstance(value, int | float) else float("-inf")
    return (sure, measure, -float(comparison.sides[place].version.commit.tree.total_bytes))


def _quality(comparison: Comparison, rows: Mapping[str, Row], place: int) -> tuple[str, str, str]:
    """What can be said of how good it is, how sure that is, and why."""
    pair = comparison.panel[place]
    if pair is not None:
        test = pair.tests[0]
        chance = corrected([each.tests[0] if each else None for each in comparison.panel])[place] or 0.0
        where = f"on the same {pair.n:,} rows"
        why = f"{test.method[:1].upper()}{test.method[1:]}, {where}: p = {chance:.2g}"
        if sum(each is not None for each in comparison.panel) > 1:
            why += ", corrected for the number of versions (Holm)"
        if chance < SIGNIFICANT and test.difference:
            word = "better" if test.is_better else "worse"
            return (
                f"is {word} in {test.name} {where} (p = {chance:.2g})",
                "high" if chance < 0.01 else "moderate",
                f"{why}.",
            )
        return f"is not shown to be better or worse {where} (p = {chance:.2g})", "none", f"{why}."
    row = rows.get(f"metric:{comparison.main_metric}")
    cell = row.cells[place] if row else Cell()
    if row is None or cell.difference is None:
        return "", "none", "No metric is measured for both."
    if cell.judgement == Judgement.UNCLEAR:
        return f"is as good in {row.label} within the measured intervals", "none", "The 95 % intervals share values."
    has_intervals = cell.low is not None and row.cells[comparison.base].low is not None
    reason = (
        "The 95 % intervals share no value." if has_intervals else "Only single figures are kept, without intervals."
    )
    return f"is {cell.judgement} in {row.label}", "moderate" if has_intervals else "none", reason


def _ratio(row: Row, place: int, base: int, less: str, more: str) -> list[str]:
    one, two = row.cells[base].value, row.cells[place].value
    if not isinstance(one, int | float) or not isinstance(two, int | float) or not one or not two:
        return []
    ratio = one / two
    if 0.95 < ratio < 1.05:
        return []
    return [f"{ratio:.1f} times {less}" if ratio > 1 else f"{1 / ratio:.1f} times {more}"]


def _first_break(verdict: SignatureVerdict) -> str:
    text = next((reason.text for reason in verdict.reasons if reason.is_breaking), "")
    return (text[:1].lower() + text[1:]).rstrip(".")


def _names(side: Side, base: Side) -> tuple[str, str]:
    """Short when both are of one repository."""
    if side.version.repo_id == base.version.repo_id:
        return side.version.name, base.version.name
    return side.ref, base.ref


def _joined(parts: list[str]) -> str:
    """What follows the first part and has no verb of its own borrows `is`."""
    fixed = [part if part.startswith(("is ", "has ", "differs ", "callers ")) else f"is {part}" for part in parts]
    return ", ".join(
        [fixed[0], *(part.removeprefix("is ") if fixed[0].startswith("is ") else part for part in fixed[1:])]
    )
