"""The program that looks into datasets: `python -m backends.datasets.run` in a folder with `spec.json`. Made to run in the sandbox.

`spec.json` is `{"deed": "profile", "files": [{name, path, size_bytes}], "rules": […]}` or `{"deed": "compare", "before": [files],
"after": [files], "key": [columns]}` or `{"deed": "derive", "files": …, "recipe": …}` or the same with `"derive-media"`; the answer is `result.json`."""

import json
import sys
from pathlib import Path
from typing import Any

from backends.datasets import comparing, deriving, deriving_media, media_recipes, recipes
from backends.datasets.profiling import profile
from backends.datasets.rules import Rule


def main(folder: Path) -> int:
    """Do what the spec says and write the answer last and whole."""
    spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    if spec["deed"] == "profile":
        answer = profile(folder, spec["files"], [Rule(**rule) for rule in spec["rules"]])
    elif spec["deed"] == "derive":
        answer = deriving.derive(folder, spec["files"], recipes.parse(spec["recipe"]))
    elif spec["deed"] == "derive-media":
        answer = deriving_media.derive(folder, spec["files"], media_recipes.parse(spec["recipe"]))
    else:
        answer = comparing.compare(folder, spec["before"], spec["after"], spec["key"])
    draft = folder / ".result.json"
    # lone surrogates cannot be stored; what they stood for cannot be shown
    draft.write_bytes(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode(errors="replace"))
    draft.replace(folder / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
