"""How good a model is, with 95 % intervals: Wilson's for shares of rows, the bootstrap's for everything else."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata

Z_95 = 1.959964
# 1,000 resamples put the ends of a 95 % interval within a few percent of its width; less for large tables, where the
# interval is narrow anyway and each resample costs time.
RESAMPLES = 1_000
RESAMPLED_VALUES = 20_000_000


@dataclass(frozen=True)
class Metric:
    """A figure over `n` rows; `low`–`high` is its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def described(self, *, dataset: str, split: str) -> dict[str, Any]:
        return {**asdict(self), "dataset": dataset, "split": split}


def classification_metrics(
    probabilities: NDArray[np.floating[Any]], answers: NDArray[np.int64], *, seed: int
) -> dict[str, Metric]:
    """`probabilities` float[n, classes] 0–1, `answers` int64[n] class indices. accuracy, macro_f1, log_loss (natural
    logarithm, lower is better) and, with two classes, roc_auc."""
    generator = np.random.default_rng(seed)
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(answers, predicted, classes)
    chosen = probabilities[np.arange(len(answers)), answers].astype(np.float64)
    losses = -np.log(np.clip(chosen, 1e-15, 1.0))
    metrics = {
        "accuracy": wilson(int(np.trace(confusion)), len(answers)),
        "macro_f1": _macro_f1(confusion, generator),
        "log_loss": _mean(losses, generator),
    }
    if classes == 2 and 0 < answers.sum() < len(answers):
        metrics["roc_auc"] = _roc_auc(probabilities[:, 1].astype(np.float64), answers == 1, generator)
    return metrics


def regression_metrics(predicted: NDArray[np.float64], actual: NDArray[np.float64], *, seed: int) -> dict[str, Metric]:
    """`predicted`, `actual` float64[n]. rmse and mae in the unit of the answers, r2 (1 is perfect, 0 is the mean)."""
    generator = np.random.default_rng(seed)
    rows = np.arange(len(actual))
    errors = predicted - actual

    def r2(sample: NDArray[np.int64]) -> float:
        spread = float(((actual[sample] - actual[sample].mean()) ** 2).sum())
        return 1.0 - float((errors[sample] ** 2).sum()) / spread if spread else 0.0

    return {
        "rmse": _bootstrapped(rows, lambda sample: float(np.sqrt((errors[sample] ** 2).mean())), generator),
        "mae": _mean(np.abs(errors), generator),
        "r2": _bootstrapped(rows, r2, generator),
    }


def wilson(hits: int, n: int) -> Metric:
    """Wilson's interval of a share; unlike the textbook one it stays inside 0–1 and holds for shares near either end."""
    share = hits / n
    centre = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 * np.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2)) / (1 + Z_95**2 / n)
    # At 0 and 1 rounding leaves the end a hair inside; it belongs on the share itself.
    return Metric(share, min(share, max(0.0, float(centre - half))), max(share, min(1.0, float(centre + half))), n)


def confusion_matrix(answers: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """int64[classes, classes]: row = the answer, column = what the model said, value = number of rows."""
    return np.bincount(answers * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class(confusion: NDArray[np.int64], names: list[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, with the number of rows that have it as their answer."""
    hits = np.diag(confusion)
    found, said = confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {
            "class": name,
            "rows": int(found[at]),
            "precision": float(hits[at] / said[at]) if said[at] else 0.0,
            "recall": float(hits[at] / found[at]) if found[at] else 0.0,
            "f1": float(2 * hits[at] / (found[at] + said[at])) if found[at] + said[at] else 0.0,
        }
        for at, name in enumerate(names)
    ]


def paired_difference(before: NDArray[np.bool_], after: NDArray[np.bool_], *, seed: int) -> dict[str, Any]:
    """How two models differ on the same rows. `before`, `after` bool[n]: answered rightly.

    `difference` is after − before as a part of the rows with its bootstrap interval; `p_value` is McNemar's exact test on
    the rows that flipped: the chance of a flip count this uneven between models that are equally good.
    """
    n = len(before)
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    drawn = np.random.default_rng(seed).multinomial(n, [lost / n, won / n, (n - lost - won) / n], size=RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, [0.025, 0.975])
    return {
        "difference": (won - lost) / n,
        "low": float(low),
        "high": float(high),
        "n": n,
        "lost": lost,
        "won": won,
        "p_value": float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0,
    }


def _mean(values: NDArray[np.float64], generator: np.random.Generator) -> Metric:
    return _bootstrapped(np.arange(len(values)), lambda sample: float(values[sample].mean()), generator)


def _macro_f1(confusion: NDArray[np.int64], generator: np.random.Generator) -> Metric:
    """Resampling rows is drawing from the cells of the confusion matrix, which is quicker."""
    n = int(confusion.sum())
    drawn = generator.multinomial(n, confusion.ravel() / n, size=RESAMPLES).reshape(-1, *confusion.shape)

    def score(cells: NDArray[np.int64]) -> NDArray[np.float64]:
        hits = np.diagonal(cells, axis1=-2, axis2=-1)
        total = cells.sum(axis=-1) + cells.sum(axis=-2)
        present = total > 0
        of_class: NDArray[np.float64] = np.where(present, 2 * hits / np.maximum(total, 1), 0)
        mean: NDArray[np.float64] = of_class.sum(axis=-1) / present.sum(axis=-1)
        return mean

    low, high = np.quantile(score(drawn), [0.025, 0.975])
    return Metric(float(score(confusion)), float(low), float(high), n)


def _roc_auc(scores: NDArray[np.float64], is_positive: NDArray[np.bool_], generator: np.random.Generator) -> Metric:
    def area(sample: NDArray[np.int64]) -> float:
        positive = is_positive[sample]
        count = int(positive.sum())
        if count in {0, len(sample)}:
            return float("nan")
        ranks = rankdata(scores[sample])
        return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(sample) - count)))

    return _bootstrapped(np.arange(len(scores)), area, generator)


def _bootstrapped(rows: NDArray[np.int64], score: Any, generator: np.random.Generator) -> Metric:
    resamples = int(np.clip(RESAMPLED_VALUES // len(rows), 100, RESAMPLES))
    drawn = [score(generator.integers(0, len(rows), len(rows))) for _ in range(resamples)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Metric(score(rows), float(low), float(high), len(rows))
