"""A comparison is put together here."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from accounts.actors import Actor
from accounts.permissions import Action
from registry.changes import changes_between
from registry.comparison.facts import (
    cost_rows,
    environment_rows,
    file_rows,
    licence_row,
    package_rows,
    release_rows,
    signature_rows,
    weight_rows,
)
from registry.comparison.measures import (
    confusion_rows,
    error_slice_rows,
    main_metric,
    metric_rows,
    paired_rows,
    same_rows_title,
    slice_rows,
)
from registry.comparison.naming import ref_of
from registry.comparison.shape import Change, Comparison, Group, Row, Side
from registry.comparison.verdicts import verdict_of
from registry.policies import can
from registry.services import studies
from registry.services.cards import Card, card_of
from registry.services.studies import Asked, ModelFiles
from registry.signatures import compatibility
from registry.states import RepoKind

if TYPE_CHECKING:
    from registry.models import Version

CHANGES_LIMIT = 1000
"""Changed files that are counted."""
CHANGES_SHOWN = 40


def compare(
    actor: Actor,
    versions: "Sequence[Version]",
    base: int,
    more: Callable[[Sequence[Card]], Sequence[Row]] | None = None,
) -> Comparison:
    """Everything that is known of the versions, against `versions[base]`. `more` adds rows after the licences. A few queries for
    each version, and the files that changed are looked at up to CHANGES_LIMIT."""
    cards = [card_of(version.commit) for version in versions]
    files = [
        studies.files_of(version)
        if version.repo.kind == RepoKind.MODEL and can(actor, version.repo, Action.REPO_READ)
        else None
        for version in versions
    ]
    asked = _studies(versions, base, files)
    panel = studies.panel_of(versions, base)
    sides = tuple(
        Side(
            version,
            ref_of(version),
            card,
            each,
            compatibility(versions[base].signature, version.signature),
            Change() if place == base else _changes(versions[base], version),
            *asked[place],
        )
        for place, (version, card, each) in enumerate(zip(versions, cards, files, strict=True))
    )
    judged = panel or [None] * len(versions)
    main = main_metric(versions)
    groups = [
        Group("metrics", "Metrics", tuple(metric_rows(versions, base, judged))),
        Group("same-rows", same_rows_title(judged), tuple(paired_rows(judged, base))),
        Group("slices", "Slices, the worst first", tuple(slice_rows(judged, base))),
        Group("error-slices", "Mean absolute error by slice, the worst first", tuple(error_slice_rows(judged, base))),
        Group("confusion", "Taken for something else", tuple(confusion_rows(judged, base))),
        Group("signature", "Inputs and outputs", tuple(signature_rows(sides, base))),
        Group("cost", "Size and speed", tuple(cost_rows(sides, base))),
        Group("weights", "Weights, from the base's", tuple(weight_rows(sides, base))),
        Group("offer", "Licence and price", (licence_row(cards, base), *(more(cards) if more else ()))),
        Group("files", "Files", tuple(file_rows(sides, base))),
        Group("environment", "Environment", tuple(environment_rows(versions, base))),
        Group("packages", "Packages that differ", tuple(package_rows(versions, base))),
        Group("release", "Release", tuple(release_rows(versions, base))),
    ]
    comparison = Comparison(
        sides, base, tuple(group for group in groups if group.rows), tuple(judged), panel is None, main
    )
    return replace(comparison, verdict=verdict_of(comparison))


def _studies(versions: "Sequence[Version]", base: int, files: Sequence[ModelFiles | None]) -> list[tuple[Asked, Asked]]:
    """Of each version how quick it is and how far its weights are from the base's."""
    keys: list[tuple[str, str]] = []
    origin = files[base]
    for place, (version, each) in enumerate(zip(versions, files, strict=True)):
        speed = studies.speed_key(each.graph, version) if each and each.graph else ""
        both = each and origin and each.weights and origin.weights and place != base
        keys.append((speed, studies.weights_key(origin, each) if both and each and origin else ""))
    known = studies.found(key for pair in keys for key in pair if key)
    return [(known.get(speed, Asked()), known.get(weights, Asked())) for speed, weights in keys]


def _changes(base: "Version", version: "Version") -> Change:
    counts = {"added": 0, "removed": 0, "changed": 0}
    paths: list[tuple[str, str]] = []
    for number, change in enumerate(islice(changes_between(base.commit.tree, version.commit.tree), CHANGES_LIMIT + 1)):
        if number == CHANGES_LIMIT:
            return Change(counts["added"], counts["removed"], counts["changed"], tuple(paths), is_cut=True)
        counts[change.kind] += 1
        if len(paths) < CHANGES_SHOWN:
            paths.append((change.kind, change.path))
    return Change(counts["added"], counts["removed"], counts["changed"], tuple(paths))
