"""Rows of what is known without measuring how good a version is: what it takes and gives, costs, weighs, holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from registry.build_queries import formats_of
from registry.comparison.shape import Cell, Direction, Judgement, Row, Side, Unit, row_of
from registry.services.cards import Card
from registry.services.environments import Environment, environments_of
from registry.signatures import Compatibility
from registry.states import RepoKind, worst

if TYPE_CHECKING:
    from registry.models import Version

_PACKAGES_SHOWN = 202
"""The rows on packages: the lock, the count and the first two hundred that differ."""


def signature_rows(sides: Sequence[Side], base: int) -> list[Row]:
    if sides[0].version.repo.kind != RepoKind.MODEL:
        return []
    judgements = {Compatibility.BREAKING: Judgement.WORSE}
    cells = [
        Cell("the base")
        if place == base
        else Cell(
            side.signature.compatibility.value,
            judgement=judgements.get(side.signature.compatibility, Judgement.NONE),
            note=" ".join(reason.text for reason in side.signature.reasons),
        )
        for place, side in enumerate(sides)
    ]
    changed = [
        replace(cell, is_changed=place != base and cell.value != Compatibility.SAME) for place, cell in enumerate(cells)
    ]
    rows = [Row("signature:compatibility", "callers can upgrade", Unit.TEXT, Direction.NONE, tuple(changed))]
    signatures = [side.version.signature if isinstance(side.version.signature, Mapping) else {} for side in sides]
    rows.append(_texts("signature:task", "task", [str(each.get("task") or "–") for each in signatures], base))
    rows += [
        _texts(f"signature:{part}", part, [_tensors(each.get(part)) for each in signatures], base)
        for part in ("inputs", "outputs")
    ]
    return [row for row in rows if any(cell.value != "–" for cell in row.cells)]


def cost_rows(sides: Sequence[Side], base: int) -> list[Row]:
    # more data is no fault of a dataset
    down = Direction.LOWER if sides[0].version.repo.kind == RepoKind.MODEL else Direction.NONE
    sizes = [Cell(side.version.commit.tree.total_bytes) for side in sides]
    rows = [row_of("cost:size", "size of all files", sizes, base, unit=Unit.BYTES, direction=down)]
    if any(side.files and side.files.graph for side in sides):
        graphs = [Cell(side.files.graph.size_bytes if side.files and side.files.graph else None) for side in sides]
        rows.append(row_of("cost:graph", "size of the model", graphs, base, unit=Unit.BYTES, direction=down))
    contents = [side.speed.content or {} for side in sides]
    for key, label, name, unit in (
        ("cost:latency", "one row, median", "p50_s", Unit.SECONDS),
        ("cost:latency_p95", "one row, 95th percentile", "p95_s", Unit.SECONDS),
        ("cost:memory", "memory", "memory_bytes", Unit.BYTES),
    ):
        if any(name in content for content in contents):
            cells = [Cell(content.get(name), note=str(content.get("problem") or "")[:200]) for content in contents]
            rows.append(row_of(key, label, cells, base, unit=unit, direction=Direction.LOWER))
    return rows


def weight_rows(sides: Sequence[Side], base: int) -> list[Row]:
    found = [side.weights.content or {} for side in sides]
    if not any("total" in each for each in found):
        return []
    rows = []
    for key, label, unit in (
        ("relative", "relative distance (L2)", Unit.NUMBER),
        ("cosine", "cosine", Unit.NUMBER),
        ("changed", "numbers changed", Unit.COUNT),
    ):
        cells = [Cell(each["total"].get(key) if "total" in each else None) for each in found]
        made = row_of(f"weights:{key}", label, cells, base, unit=unit)
        marked = (replace(cell, is_changed=cell.value is not None) for cell in made.cells)
        rows.append(replace(made, cells=tuple(marked)))
    counts = [
        each.get("parameters_after")
        if place != base
        else next((other["parameters_before"] for other in found if "parameters_before" in other), None)
        for place, each in enumerate(found)
    ]
    rows.append(row_of("weights:count", "numbers in all", [Cell(each) for each in counts], base, unit=Unit.COUNT))
    return rows


def file_rows(sides: Sequence[Side], base: int) -> list[Row]:
    counts = [Cell(side.version.commit.tree.file_count) for side in sides]
    rows = [row_of("files:count", "files", counts, base, unit=Unit.COUNT)]
    cells = []
    for place, side in enumerate(sides):
        change = side.change
        text = ", ".join(
            f"{count:,} {word}"
            for count, word in ((change.added, "added"), (change.removed, "removed"), (change.changed, "changed"))
            if count
        )
        text = f"{text}{' and more' if change.is_cut else ''}" or "the same"
        cells.append(Cell("the base") if place == base else Cell(text, is_changed=text != "the same"))
    rows.append(Row("files:changes", "from the base", Unit.TEXT, Direction.NONE, tuple(cells)))
    if sides[0].version.repo.kind == RepoKind.MODEL:
        formats = formats_of(side.version for side in sides)
        rows.append(
            _texts("files:builds", "builds", [", ".join(formats.get(s.version.pk, ())) or "–" for s in sides], base)
        )
    rows.append(_texts("files:commit", "commit", [side.version.commit.oid[:10] for side in sides], base))
    return rows


def environment_rows(versions: "Sequence[Version]", base: int) -> list[Row]:
    flat = [_flat(version.environment) for version in versions]
    names = sorted({name for each in flat for name in each})[:100]
    return [_texts(f"environment:{name}", name, [each.get(name, "–") for each in flat], base) for name in names]


def package_rows(versions: "Sequence[Version]", base: int) -> list[Row]:
    """What the environment locks say, where any has one: the file, how many packages, and those that are not the same in all. Of a
    package that stands in a lock more than once, for several platforms, all versions are said."""
    environments = environments_of(versions)
    if not any(each.packages for each in environments):
        return []
    rows = [
        _texts("packages:lock", "environment lock", [_lock(each) for each in environments], base),
        row_of(
            "packages:count",
            "packages",
            [Cell(len(each.packages) if each.packages else None) for each in environments],
            base,
            unit=Unit.COUNT,
        ),
    ]
    said: dict[str, list[list[str]]] = {}
    for place, each in enumerate(environments):
        for package in each.packages:
            said.setdefault(package.name, [[] for _ in environments])[place].append(package.said)
    readable = [bool(each.packages) for each in environments]
    for name in sorted(said, key=str.lower):
        texts = [
            ", ".join(sorted(set(each))) or ("–" if has else "not known")
            for each, has in zip(said[name], readable, strict=True)
        ]
        if len({text for text, has in zip(texts, readable, strict=True) if has}) > 1:
            rows.append(_texts(f"packages:{name}", name, texts, base))
        if len(rows) == _PACKAGES_SHOWN:
            break
    return rows


def _lock(environment: Environment) -> str:
    if not environment.path:
        return "not read yet" if environment.is_pending else "–"
    if environment.problem:
        return f"{environment.path}, not readable"
    return environment.path if environment.is_locked else f"{environment.path}, with ranges"


def release_rows(versions: "Sequence[Version]", base: int) -> list[Row]:
    return [
        _texts("release:published", "published", [f"{version.created_at:%-d %b %Y}" for version in versions], base),
        _texts(
            "release:by",
            "by",
            [version.created_by.username if version.created_by else "–" for version in versions],
            base,
        ),
        _texts("release:scan", "scan", [_scan(version) for version in versions], base),
        _texts("release:notes", "notes", [version.notes[:500] or "–" for version in versions], base),
    ]


def _texts(key: str, label: str, values: Sequence[str], base: int) -> Row:
    return row_of(key, label, [Cell(value) for value in values], base, unit=Unit.TEXT)


def licence_row(cards: Sequence[Card], base: int) -> Row:
    return _texts("licence", "licence", [_licence(card) for card in cards], base)


def _licence(card: Card) -> str:
    named = card.data.get("license")
    return ", ".join(map(str, named))[:200] if isinstance(named, list) else str(named or "–")[:80]


def _scan(version: "Version") -> str:
    """Of the newest report of each scanner the worst."""
    newest = {scan.scanner: scan.verdict for scan in reversed(list(version.scans.all()))}
    return str(worst(newest.values())) if newest else "not scanned yet"


def _tensors(value: object) -> str:
    parts = []
    for each in value if isinstance(value, list) else []:
        if isinstance(each, Mapping):
            given = each.get("shape")
            shape = given if isinstance(given, list) else []
            size = " × ".join("any" if part == -1 else str(part) for part in shape)
            parts.append(f"{str(each.get('name', ''))[:80]}: {str(each.get('datatype', ''))[:20]} {size}".strip())
    return "; ".join(parts[:20]) + (f" and {len(parts) - 20} more" if len(parts) > 20 else "") or "–"


def _flat(value: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, each in value.items() if isinstance(value, Mapping) else ():
        if isinstance(each, Mapping):
            found |= {str(key)[:80]: str(item)[:120] for key, item in each.items()}
        else:
            found[str(name)[:80]] = str(each)[:120]
    return found
