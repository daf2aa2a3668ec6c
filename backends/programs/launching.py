"""How a program starts and ends: threads are set before any numeric library loads, and every end leaves a readable reason."""

import importlib
import logging
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from backends.programs.jobfolder import JobFolder, Refused

EXIT_REFUSED = 2
EXIT_FAILED = 1

# One step of a small network takes 21 ms on one thread and 59-126 ms on two while the other core is busy: OpenMP threads
# spin while they wait. So the number of threads is the job's, never the machine's.
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# onnxruntime writes a device id into the home folder and sends usage events as soon as it is imported; its function
# to switch that off comes too late, this setting does not.
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}

# Keras chooses its backend and the folder of its settings while it is imported.
KERAS = {"KERAS_BACKEND": "torch", "KERAS_HOME": str(Path(tempfile.gettempdir(), "keras"))}


def launch(module: str) -> None:
    """Run `module.run(folder)` in the current folder and exit: 0 with result.json, else non-zero with error.json.

    The module is imported here by name because OpenMP reads its settings once, while the first numeric library loads.
    """
    folder = JobFolder(Path.cwd())
    settings = dict.fromkeys(THREAD_SETTINGS, str(folder.threads)) | QUIET | KERAS
    os.environ.update(settings)  # noqa: TID251 - set for the libraries, not read
    warnings.simplefilter("ignore")  # warnings of libraries about each other say nothing to the reader of a job's log
    logging.disable(logging.WARNING)
    try:
        importlib.import_module(module).run(folder)
    except Refused as refusal:
        folder.refuse(str(refusal), equivalence=refusal.equivalence)
        print(f"stopped: {refusal}", flush=True)
        sys.exit(EXIT_REFUSED)
    except MemoryError:
        folder.refuse("The job needed more memory than it was given.")
        sys.exit(EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: every end leaves a reason
        traceback.print_exc()
        folder.refuse(f"The program stopped unexpectedly ({type(error).__name__}). The log tells where.")
        sys.exit(EXIT_FAILED)
