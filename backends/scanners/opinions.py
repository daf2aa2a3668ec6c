"""Second opinions: two scanners of others. They know names of known attacks; they never prove anything to be data."""

import logging
import tempfile
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

from modelscan.modelscan import ModelScan
from modelscan.settings import DEFAULT_SETTINGS
from picklescan import scanner as picklescan

from backends.contracts.scanners import Content, Finding, Scanner, Verdict
from backends.scanners.pickles import judge

_LOOK_BYTES = 256 * 1024**2
_NAMES = {"pickle": "x.pkl", "npy": "x.npy", "hdf5": "x.h5"}
logging.getLogger("modelscan").setLevel(logging.CRITICAL)
logging.getLogger("picklescan").setLevel(logging.CRITICAL)


class PicklescanScanner(Scanner):
    """picklescan, on pickles. What it calls dangerous is flagged at least; whether it is an attack, our own list says."""

    name = "picklescan"
    rules_version = "1.0.5"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format != "pickle":
            return
        with content.path.open("rb") as stream:
            result = picklescan.scan_pickle_bytes(stream, "file")
        for found in result.globals:
            if found.safety is picklescan.SafetyLevel.Dangerous:
                yield _second(self.name, str(found.module), str(found.name))
        if result.scan_err:
            yield Finding("picklescan.error", Verdict.UNKNOWN, "picklescan could not read it to its end.")


class ModelscanScanner(Scanner):
    """modelscan, which chooses by the extension: it is given one that fits the content."""

    name = "modelscan"
    rules_version = "0.8.8"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format not in _NAMES or content.size > _LOOK_BYTES:
            return
        with tempfile.TemporaryDirectory() as folder:
            given = Path(folder) / _NAMES[content.format]
            Path(given).symlink_to(content.path.absolute())
            said: dict[str, Any] = ModelScan(settings=deepcopy(DEFAULT_SETTINGS)).scan(given)
        for issue in said.get("issues", []):
            yield _second(self.name, str(issue.get("module", "")), str(issue.get("operator", "")))


def _second(name: str, module: str, attribute: str) -> Finding:
    verdict = Verdict.MALICIOUS if judge(module, attribute).verdict is Verdict.MALICIOUS else Verdict.FLAGGED
    return Finding(f"{name}.dangerous", verdict, f"{name} calls {module}.{attribute} dangerous."[:300])
