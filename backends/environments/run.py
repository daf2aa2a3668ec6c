"""The reading program: `python -m backends.environments.run` in a folder with `spec.json`. Made to run in the sandbox.

`spec.json` has `name` (of the file, which lies at `files/0`); the answer is `result.json`, whose `problem` is a sentence when there is
none."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backends.environments.locks import Unreadable, read_lock


def main(folder: Path) -> int:
    """Read the lock and write the answer last and whole."""
    spec = json.loads((folder / "spec.json").read_text())
    try:
        found: dict[str, Any] = {"problem": "", **asdict(read_lock(spec["name"], (folder / "files/0").read_bytes()))}
    except Unreadable as error:
        found = {"problem": str(error)}
    draft = folder / ".result.json"
    draft.write_text(json.dumps(found, allow_nan=False).encode(errors="replace").decode())
    draft.replace(folder / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
