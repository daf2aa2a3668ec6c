"""The scanning program: `python -m backends.scanners.run` in a folder with `spec.json`. Made to run in the sandbox.

`spec.json` is `{"scanners": ["structural", …], "files": [{"name": "…", "path": "files/0"}], "wall_s": 240}`; the answer is `result.json`:
`{"files": [{"name", "verdict", "format", "findings": [{"rule", "verdict", "message", "place"}]}]}`. A file that is not in it has
not been scanned to its end.
"""

import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from backends import catalogue
from backends.contracts.scanners import FileReport, Finding, Scanner, Verdict
from backends.scanners.walk import inspect

_FILE_S = 100
"""What one file may take; it is unknown then, and those behind it are still scanned."""
_SPARE_S = 20


class _OutOfTime(BaseException):
    """Not an Exception: the scanners, which forgive those, must not forgive this."""


def main(folder: Path) -> int:
    """Scan what the spec names and write the result last and whole: without a result the verdict is unknown."""
    spec = json.loads((folder / "spec.json").read_text())
    scanners: list[Scanner] = [catalogue.load("scanners", name) for name in spec["scanners"]]
    signal.signal(signal.SIGALRM, _stop)
    files: list[dict[str, object]] = []
    began = time.monotonic()
    for entry in spec["files"]:
        left_s = spec["wall_s"] - _SPARE_S - (time.monotonic() - began)
        if files and left_s < _FILE_S:
            break
        report = _timed(folder / entry["path"], scanners)
        findings = [asdict(finding) for finding in report.findings]
        files.append({"name": entry["name"], "verdict": report.verdict, "format": report.format, "findings": findings})
    draft = folder / ".result.json"
    draft.write_text(json.dumps({"files": files}))
    draft.replace(folder / "result.json")
    return 0


def _timed(path: Path, scanners: list[Scanner]) -> FileReport:
    signal.alarm(_FILE_S)
    try:
        return inspect(path, scanners)
    except _OutOfTime:
        return FileReport(Verdict.UNKNOWN, "", (Finding("run.time", Verdict.UNKNOWN, "Scanning it took too long."),))
    finally:
        signal.alarm(0)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
