"""A metric over all versions of a repository."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from registry import queries
from registry.comparison.measures import main_metric
from registry.comparison.shape import direction_of, measured, number_of
from web.hub.charts import Drawing, Point, trend
from web.links import repo_url, with_query

if TYPE_CHECKING:
    from registry.models import Repo, Version

DRAWN = 60
"""Versions in the chart, the newest; the file has all."""


@dataclass(frozen=True)
class Trend:
    """`names`: the metrics to choose from. `points`: what is drawn, the newest first, for the table beside it."""

    names: list[str]
    chosen: str
    drawing: Drawing | None
    points: list[Point]
    csv_href: str
    note: str

    @classmethod
    def of(cls, repo: "Repo", versions: "list[Version]", metric: str) -> "Trend | None":
        """Of the versions given, the newest first. None when nothing was measured twice."""
        counts: dict[str, int] = {}
        for version in versions:
            for name in measured(version.metrics):
                counts[name] = counts.get(name, 0) + 1
        names = sorted(name for name, count in counts.items() if count > 1)
        if not names:
            return None
        chosen = metric if metric in names else main_metric(versions)
        chosen = chosen if chosen in names else names[0]
        points = []
        for version in reversed(versions):
            found = measured(version.metrics).get(chosen)
            if found is not None:
                low, high = number_of(found.get("low")), number_of(found.get("high"))
                href = repo_url(repo, "versions", version.name)
                points.append(Point(version.name, 0, float(found["value"]), low, high, href=href))
        label = chosen.replace("_", " ")
        note = f"{direction_of(chosen)} is better"
        if len(points) > DRAWN:
            note += f", the newest {DRAWN} of {len(points)}"
        drawing = trend("trend", f"{label.capitalize()} of each version", label, points[-DRAWN:])
        shown = points[: -DRAWN - 1 : -1]
        return cls(names, chosen, drawing, shown, with_query(repo_url(repo, "metrics.csv"), metric=chosen), note)


def history_rows(repo: "Repo", metric: str) -> Iterator[list[str | float | int | datetime | None]]:
    """Every version that has the metric, or every metric of every version without a name; the oldest first."""
    for version in queries.versions_of(repo).reverse().iterator(chunk_size=200):
        for name, each in measured(version.metrics).items():
            if metric in {"", name}:
                on = ", ".join(str(each[key]) for key in ("dataset", "split") if each.get(key))
                n = each.get("n")
                yield [
                    version.name, version.created_at, name, float(each["value"]), number_of(each.get("low")),
                    number_of(each.get("high")), n if isinstance(n, int) else None, on,
                ]  # fmt: skip
