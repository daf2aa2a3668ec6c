"""What the page about the difference between two versions of a dataset shows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.actors import Actor
from registry import queries
from registry.changes import changes_between
from registry.services import comparisons
from web.hub.heads import RepoHead
from web.hub.histograms import Bars, Tile, bars_of, shares
from web.links import repo_url, with_query

if TYPE_CHECKING:
    from registry.models import Repo, Version

VERSIONS = 100
FILES = 200
FILES_COUNTED = 10_000


@dataclass(frozen=True)
class FileChange:
    path: str
    kind: str
    before_bytes: int | None
    after_bytes: int | None


@dataclass(frozen=True)
class Drift:
    column: str
    test: str
    statistic: float | None
    p_value: str
    psi: float | None
    nulls: str
    bars: Bars | None
    verdict: str
    """drifted, same or empty (not tested)."""


@dataclass(frozen=True)
class TableChange:
    title: str
    kind: str
    rows: int | None
    tiles: list[Tile]
    key: str
    problem: str
    schema: list[Mapping[str, str]]
    changed_columns: list[tuple[str, int, int]]
    changed_rows: list[tuple[str, list[tuple[str, str | None, str | None]]]]
    columns: list[str]
    added_rows: list[list[str | None]]
    removed_rows: list[list[str | None]]
    drift: list[Drift]


@dataclass(frozen=True)
class DataComparePage:
    title: str
    head: RepoHead
    here: str
    names: list[str]
    left: str
    right: str
    key: str
    state: str
    problem: str
    swap_href: str
    csv_href: str
    permanent_href: str
    files: list[FileChange]
    file_tiles: list[Tile]
    tables: list[TableChange]
    problems: list[str]

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, left: "Version", right: "Version", key: str) -> "DataComparePage":
        """What differs between two versions; rows are compared in the sandbox when nobody has asked yet."""
        head = RepoHead.of(repo, actor, "data")
        found = comparisons.comparison_of(left.commit, right.commit, key)
        content = found.content if found else {}
        changes = list(islice(changes_between(left.commit.tree, right.commit.tree), FILES_COUNTED + 1))
        more = "at least " if len(changes) > FILES_COUNTED else ""
        counts = {kind: sum(each.kind == kind for each in changes) for kind in ("added", "removed", "changed")}
        here = repo_url(repo, "data-compare")
        return cls(
            title=f"Data of {head.full_name}, {left.name} to {right.name}",
            head=head,
            here=with_query(here, left=left.name, right=right.name, key=key),
            names=[each.name for each in queries.versions_of(repo)[:VERSIONS]],
            left=left.name,
            right=right.name,
            key=key,
            state="waiting" if found is None else "failed" if content.get("problem") else "shown",
            problem=content.get("problem", ""),
            swap_href=with_query(here, left=right.name, right=left.name, key=key),
            csv_href=with_query(repo_url(repo, "data-compare.csv"), left=left.name, right=right.name, key=key),
            permanent_href=settings.PUBLIC_URL + with_query(here, left=left.name, right=right.name, key=key),
            files=[
                FileChange(
                    each.path,
                    each.kind,
                    each.before.size_bytes if each.before else None,
                    each.after.size_bytes if each.after else None,
                )
                for each in changes[:FILES]
            ],
            file_tiles=[Tile(f"Files {kind}", f"{more}{counts[kind]:,}") for kind in ("added", "removed", "changed")],
            tables=[_table_change(each) for each in content.get("tables", [])],
            problems=content.get("problems", []),
        )


def _table_change(found: Mapping[str, Any]) -> TableChange:
    title = found["table"] if found["split"] == "all" else f"{found['table']} · {found['split']}"
    if found["kind"] != "both":
        return TableChange(title, found["kind"], found.get("rows"), [], "", "", [], [], [], [], [], [], [])
    tiles = [Tile("Rows", f"{found['rows_after']:,}", f"{found['rows_before']:,} before")]
    tiles += [Tile("Added", f"{found['added']:,}"), Tile("Removed", f"{found['removed']:,}")]
    tiles += [
        Tile(
            "Changed",
            f"{found['changed']:,}" if found["key"] else "–",
            f"by {', '.join(found['key'])}" if found["key"] else "no key: whole rows",
        )
    ]
    drift = [_drift(each) for each in found["drift"]]
    return TableChange(
        title,
        "both",
        None,
        tiles,
        ", ".join(found["key"]),
        found["problem"],
        found["schema"],
        shares(found["changed_columns"]),
        [(", ".join(each["key"]), [tuple(cell) for cell in each["cells"]]) for each in found["changed_rows"][:20]],
        found["columns"],
        found["added_rows"][:50],
        found["removed_rows"][:50],
        sorted(drift, key=lambda each: (each.verdict != "drifted", -(each.psi or 0))),
    )


def _drift(found: Mapping[str, Any]) -> Drift:
    p_value = found["p_value"]
    histogram = found.get("histogram")
    bars = None
    if histogram:
        bars = bars_of(
            {"edges": histogram["edges"], "counts": histogram["after"]}, found["column"], ghost=histogram["before"]
        )
    elif found.get("classes"):
        classes = found["classes"]
        bars = bars_of(
            {"edges": [], "counts": [each[2] for each in classes]}, found["column"], ghost=[each[1] for each in classes]
        )
    before, after = found["nulls"]
    return Drift(
        found["column"],
        found["test"],
        found["statistic"],
        "–" if p_value is None else "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}",
        found["psi"],
        f"{before:.1%} → {after:.1%}" if before or after else "none",
        bars,
        "" if p_value is None else "drifted" if p_value < 0.01 else "same",
    )


def change_rows(tables: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """The comparison as rows of a CSV: the first of each kind, as they are kept."""
    for each in tables:
        start = [each["table"], each["split"]]
        if each["kind"] != "both":
            yield [*start, f"table {each['kind']}", "", "", "", "", each.get("rows")]
            continue
        for column in each["schema"]:
            yield [*start, f"column {column['kind']}", "", column["column"], column["before"], column["after"], None]
        for kind in ("added", "removed"):
            yield [*start, f"rows {kind}", "", "", "", "", each[kind]]
            for row in each[f"{kind}_rows"]:
                key = dict(zip([*each["key"], *each["columns"]], row, strict=False))
                named = ", ".join(str(key.get(name)) for name in each["key"])
                for column, value in zip(each["columns"], row, strict=False):
                    yield [
                        *start,
                        f"row {kind}",
                        named,
                        column,
                        value if kind == "removed" else "",
                        value if kind == "added" else "",
                        None,
                    ]
        yield [*start, "rows changed", "", "", "", "", each["changed"]]
        for row in each["changed_rows"]:
            for column, before, after in row["cells"]:
                yield [*start, "row changed", ", ".join(row["key"]), column, before, after, None]
        for column in each["drift"]:
            if column["p_value"] is not None:
                yield [*start, f"drift ({column['test']})", "", column["column"], "", "", column["p_value"]]
