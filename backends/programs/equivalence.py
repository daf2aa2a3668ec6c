"""Does the exported graph say what the framework's model says? Asked on real rows and on the rows where it is hardest."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from backends.programs.catalogue import TOLERANCE
from backends.programs.jobfolder import Refused

MIN_REAL_ROWS = 256
# A ratio to an answer next to zero says nothing: such answers are judged by the difference alone.
RELATIVE_FROM = 1e-3


def compare(
    reference: NDArray[Any], exported: NDArray[Any], *, real_rows: int, model: Path, scale: float = 1.0
) -> dict[str, Any]:
    """The report of an export. `reference`, `exported` float[n, outputs]; the first `real_rows` of n are rows of the
    dataset, the others boundary rows. `scale` divides the differences: 1 for probabilities, the spread of the answers for
    numbers. Labels are compared where there is more than one output; a row whose two best scores lie within twice the
    tolerance of each other may fall either way. The verdict (`is_equivalent`) rests on `max_difference`, which is the largest absolute
    difference over `scale`, and on the labels; `max_relative_difference` is over the answer itself, where that is at least
    RELATIVE_FROM of `scale`."""
    if not np.isfinite(exported).all():
        raise Refused("The exported model gives results that are no numbers.")
    absolute = np.abs(reference.astype(np.float64) - exported.astype(np.float64))
    difference = absolute / scale
    size = np.abs(reference.astype(np.float64))
    comparable = size >= RELATIVE_FROM * scale
    relative = absolute[comparable] / size[comparable]
    agreement = 1.0
    if reference.shape[1] > 1:
        best = np.sort(reference, axis=1)
        is_tie = best[:, -1] - best[:, -2] <= 2 * TOLERANCE
        agreement = float(((reference.argmax(axis=1) == exported.argmax(axis=1)) | is_tie).mean())
    return {
        "real_rows": real_rows,
        "boundary_rows": len(reference) - real_rows,
        "max_difference": float(difference.max()),
        "max_absolute_difference": float(absolute.max()),
        "max_relative_difference": float(relative.max()) if relative.size else 0.0,
        "scale": float(scale),
        "p999_difference": float(np.quantile(difference, 0.999)),
        "label_agreement": agreement,
        "tolerance": TOLERANCE,
        "is_equivalent": bool(difference.max() <= TOLERANCE and agreement == 1.0),
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "onnxruntime": onnxruntime.__version__,
    }


def require_equivalent(report: dict[str, Any]) -> None:
    """Raises `Refused` when the export differs: a model that answers differently from the one measured is not published."""
    if not report["is_equivalent"]:
        raise Refused(
            f"The exported model differs from the trained one by up to {report['max_difference']:.2g} "
            f"(allowed: {report['tolerance']:g}) and agrees on {report['label_agreement']:.2%} of the labels, "
            "so it was not published.",
            equivalence=report,
        )
