"""The program that answers: `python -m backends.sql.run` in a folder with `spec.json` (`{"tables": …, "query": …}`). Made to run in the
sandbox. The answer is `result.json`, see `querying.answer`."""

import json
import sys
from pathlib import Path

from backends.sql.querying import answer


def main(folder: Path) -> int:
    """Answer, and write it last and whole."""
    spec = json.loads((folder / "spec.json").read_text())
    draft = folder / ".result.json"
    # lone surrogates cannot be stored; what they stood for cannot be shown
    draft.write_bytes(json.dumps(answer(spec["tables"], spec["query"]), ensure_ascii=False).encode(errors="replace"))
    draft.replace(folder / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
