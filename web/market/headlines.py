"""The one number that a card in the market shows of what is offered."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.actors import Actor
from compute.endpoint_policies import visible_endpoints
from market.states import SubjectKind
from registry.policies import visible_repos, visible_versions
from registry.queries import newest_metrics
from web.templatetags.ui import number

if TYPE_CHECKING:
    from market.models import Listing

FIRST = (
    "accuracy", "balanced_accuracy", "f1", "macro_f1", "roc_auc", "map", "r2", "rmse", "mae", "log_loss",
)  # fmt: skip
"""Metrics from the best known to the least; the others follow by name."""
PORTIONS = {"accuracy", "balanced_accuracy", "f1", "macro_f1", "precision", "recall"}
"""Shown in per cent."""


def headlines_of(actor: Actor, listings: "Iterable[Listing]") -> dict[UUID, tuple[str, str]]:
    """Figure and note by the subject's uuid: of the newest version of a repository, of the version that an endpoint serves, as far
    as the actor may see them. Three queries, whatever the number of listings."""
    uuids = {
        is_endpoint: [
            each.subject_uuid for each in listings if (each.subject_kind == SubjectKind.ENDPOINT) == is_endpoint
        ]
        for is_endpoint in (False, True)
    }
    measured = newest_metrics(visible_repos(actor).filter(uuid__in=uuids[False])) if uuids[False] else {}
    if uuids[True]:
        served = dict(visible_endpoints(actor).filter(uuid__in=uuids[True]).values_list("uuid", "version_uuid"))
        versions = visible_versions(actor).filter(uuid__in=[each for each in served.values() if each])
        metrics = dict(versions.values_list("uuid", "metrics"))
        measured |= {uuid: metrics[version] for uuid, version in served.items() if version in metrics}
    return {uuid: found for uuid, each in measured.items() if (found := headline(each))}


def headline(metrics: Mapping[str, Any]) -> tuple[str, str] | None:
    """`97.2 %` and `accuracy (95.8–98.2), 540 samples`; None when nothing was measured."""
    known = {
        name: each
        for name, each in metrics.items()
        if isinstance(each, Mapping) and isinstance(each.get("value"), int | float)
    }
    if not known:
        return None
    name = next((each for each in FIRST if each in known), min(known))
    value: float = known[name]["value"]
    low, high, samples = (known[name].get(key) for key in ("low", "high", "n"))
    is_portion = name in PORTIONS and 0 <= value <= 1
    show = _percent if is_portion else number
    # Wilson's interval is not symmetric, so its ends are told and not a distance
    ends = f" ({show(low)}–{show(high)})" if isinstance(low, int | float) and isinstance(high, int | float) else ""
    note = f"{name.replace('_', ' ')}{ends}"
    figure = f"{show(value)} %" if is_portion else show(value)
    return figure, f"{note}, {samples:,} samples" if isinstance(samples, int) else note


def _percent(value: float) -> str:
    return f"{value * 100:.1f}"
