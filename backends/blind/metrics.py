"""The metrics of a blind evaluation, for the site and for the program: names, titles, kinds, and how finely they are told."""

from dataclasses import dataclass

SMALL_CLASS = 5
"""Classes with fewer rows are told together: a figure over one or two rows would tell what the model said to them."""
CLASSES_SHOWN = 200
DIGITS = 4
"""Decimals of a share, significant digits of an error: finer ones would say more about single rows than about the model."""


@dataclass(frozen=True)
class BlindMetric:
    """`interval` is how its 95 % interval is made. `is_share`: between 0 and 1 at best, of a model that names classes."""

    name: str
    title: str
    key: str
    """Its name in `backends.programs.scoring`."""
    interval: str
    is_share: bool


METRICS = {
    each.name: each
    for each in (
        BlindMetric("accuracy", "Accuracy", "accuracy", "wilson", is_share=True),
        BlindMetric("f1", "F1, mean over classes", "macro_f1", "bootstrap", is_share=True),
        BlindMetric("roc_auc", "ROC AUC, two classes", "roc_auc", "bootstrap", is_share=True),
        BlindMetric("mae", "Mean absolute error", "mae", "bootstrap", is_share=False),
        BlindMetric("rmse", "Root mean squared error", "rmse", "bootstrap", is_share=False),
        BlindMetric("r2", "R², share of variance explained", "r2", "bootstrap", is_share=False),
    )
}


def rounded(value: float, metric: BlindMetric) -> float:
    """The value as finely as it is told."""
    if metric.is_share or metric.name == "r2":
        return round(value, DIGITS)
    return float(f"{value:.{DIGITS}g}")
