"""The previewing program: `python -m backends.previews.run` in a folder with `spec.json`. Made to run in the sandbox.

`spec.json` is `{"path": "files/0", "head_bytes": …, "rows": …, "columns": …}`; the answer is `result.json`, see `parquet.preview`.
"""

import json
import sys
from pathlib import Path

from backends.previews import parquet


def main(folder: Path) -> int:
    """Read what the spec names and write the answer last and whole."""
    spec = json.loads((folder / "spec.json").read_text())
    path = folder / spec.pop("path")
    draft = folder / ".result.json"
    # lone surrogates cannot be stored; what they stood for cannot be shown
    draft.write_text(json.dumps(parquet.preview(path, **spec)).encode(errors="replace").decode())
    draft.replace(folder / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
