"""The program that unpacks an archive: `python -m backends.archives.run` in a folder with `spec.json`. Made to run in the sandbox.

`spec.json` is `{"path", "bounds"}`; the answer is `result.json`, what `unpacking.unpack` returns."""

import json
import sys
from pathlib import Path
from typing import Any

from backends.archives.bounds import Bounds
from backends.archives.unpacking import unpack


def main(folder: Path) -> int:
    """Do what the spec says and write the answer last and whole."""
    spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    answer = unpack(folder, Path(spec["path"]), Bounds(**spec["bounds"]))
    draft = folder / ".result.json"
    draft.write_bytes(json.dumps(answer, ensure_ascii=True).encode())
    draft.replace(folder / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
