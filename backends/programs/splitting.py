"""Which rows train and which are held out: fixed by the seed, so that every later program finds the same ones again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backends.programs.jobfolder import Refused

TRAIN_NAMES = frozenset({"train", "training", "val", "valid", "validation", "dev"})
TEST_NAMES = frozenset({"test", "testing", "holdout"})


def held_out_split(
    labels: NDArray[np.int64] | None, rows: int, *, test_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of training and test rows, both sorted. `labels` int64[rows] are classes to keep in proportion, each with
    at least one row on either side (so at least two rows a class); None for numeric answers."""
    generator = np.random.default_rng(seed)
    groups = [np.arange(rows)] if labels is None else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    test = [
        generator.permutation(group)[: min(max(round(len(group) * test_fraction), 1), len(group) - 1)]
        for group in groups
    ]
    held_out = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(rows), held_out), held_out


def named_split(names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The split that a dataset brings itself: one name per row (train, validation and test in their usual spellings)."""
    lowered = [name.strip().lower() for name in names]
    unknown = sorted({name for name in lowered if name not in TRAIN_NAMES | TEST_NAMES})
    if unknown:
        raise Refused(
            f"The column «split» may hold train, validation and test; it also holds: {', '.join(unknown[:5])}."
        )
    is_test = np.array([name in TEST_NAMES for name in lowered])
    if is_test.all() or not is_test.any():
        raise Refused("The column «split» must name both training and test rows.")
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def folds(labels: NDArray[np.int64] | None, rows: int, *, count: int, seed: int) -> list[NDArray[np.int64]]:
    """`count` disjoint sets of row indices that together are all rows; classes are spread evenly over them."""
    generator = np.random.default_rng(seed)
    groups = [np.arange(rows)] if labels is None else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    order = np.concatenate([generator.permutation(group) for group in groups])
    return [np.sort(order[start::count]) for start in range(count)]
