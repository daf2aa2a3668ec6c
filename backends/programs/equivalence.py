"""Does the exported graph say what the framework's model says? Asked on real rows and on the rows where it is hardest."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from backends.programs.jobfolder import Refused

# Goal for float32 exports; measured differences lie between 1e-8 and 8e-5.
TOLERANCE = 1e-4
MIN_REAL_ROWS = 256


def compare(
    reference: NDArray[Any], exported: NDArray[Any], *, real_rows: int, model: Path, scale: float = 1.0
) -> dict[str, Any]:
    """The report of an export. `reference`, `exported` float[n, outputs]; the first `real_rows` of n are rows of the
    dataset, the others boundary rows. `scale` divides the differences: 1 for probabilities, the spread of the answers for
    numbers. Labels are compared where there is more than one output; a row whose two best scores lie within twice the
    tolerance of each other may fall either way."""
    if not np.isfinite(exported).all():
        raise Refused("The exported model gives results that are no numbers.")
    difference = np.abs(reference.astype(np.float64) - exported.astype(np.float64)) / scale
    agreement = 1.0
    if reference.shape[1] > 1:
        best = np.sort(reference, axis=1)
        is_tie = best[:, -1] - best[:, -2] <= 2 * TOLERANCE
        agreement = float(((reference.argmax(axis=1) == exported.argmax(axis=1)) | is_tie).mean())
    return {
        "real_rows": real_rows,
        "boundary_rows": len(reference) - real_rows,
        "max_difference": float(difference.max()),
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
            "so it was not published."
        )
