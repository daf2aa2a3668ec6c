"""The evaluating program: `python -m backends.blind.run` in a folder as jobs have it, with the inputs `model` and `data`. Made to run
in the sandbox. It prints nothing, so there is no log to read rows from; the answer is `result.json`, see `scoring.evaluate`."""

import importlib
import json
import logging
import os
import sys
import warnings
from pathlib import Path

from backends.programs.jobfolder import JobFolder
from backends.programs.launching import QUIET, THREAD_SETTINGS


def main(place: Path) -> int:
    """Evaluate and write the answer last and whole."""
    folder = JobFolder(place)
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, str(folder.threads)) | QUIET)  # noqa: TID251 - for the libraries
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # by name, because OpenMP reads its settings while the first numeric library loads
    try:
        found = importlib.import_module("backends.blind.scoring").evaluate(folder)
    except Exception:  # noqa: BLE001 - of many classes, and their words may tell what the graph holds
        found = {"problem": "The model and the test set do not fit together: the program stopped over them."}
    draft = place / ".result.json"
    # lone surrogates cannot be stored; what they stood for cannot be shown
    draft.write_text(json.dumps(found, allow_nan=False).encode(errors="replace").decode())
    draft.replace(place / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
