"""Job folders for tests: written like a worker writes them, run as the process a worker starts."""

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from backends.programs.catalogue import RECIPES, validate_parameters

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Ran:
    """A finished job."""

    folder: Path
    exit_code: int
    log: str

    def read(self, path: str) -> Any:
        return json.loads((self.folder / path).read_text())

    def rows(self, path: str) -> list[dict[str, str]]:
        with (self.folder / "outputs" / path).open(newline="") as file:
            return list(csv.DictReader(file))


def write_spec(
    folder: Path,
    recipe: str,
    parameters: dict[str, object],
    inputs: dict[str, Path],
    *,
    seed: int = 0,
    threads: int = 1,
) -> Path:
    """spec.json and links to the inputs. The version's uuid is the name of its folder, so the same data is the same version."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {entry.name: entry.kind for entry in RECIPES[recipe].inputs}
    spec = {
        "recipe": recipe,
        "parameters": validate_parameters(RECIPES[recipe], parameters),
        "inputs": {
            name: {
                "dir": f"inputs/{name}",
                "kind": kinds[name],
                "title": f"acme/{source.name}@v1",
                "version_uuid": source.name,
            }
            for name, source in inputs.items()
        },
        "seed": seed,
        "threads": threads,
    }
    (folder / "inputs").mkdir()
    for name, source in inputs.items():
        (folder / "inputs" / name).symlink_to(source)
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder


def run(folder: Path, recipe: str, parameters: dict[str, object], inputs: dict[str, Path], **spec: int) -> Ran:
    """The whole job as a process with an empty environment."""
    write_spec(folder, recipe, parameters, inputs, **spec)
    command = [sys.executable, "-m", f"backends.programs.{RECIPES[recipe].module}"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(folder, done.returncode, done.stdout + done.stderr)


def write_digits(folder: Path, *, count: int = 1797) -> Path:
    """The first `count` scanned digits of scikit-learn as PNG files with labels.csv."""
    digits = load_digits()
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label"])
        for number, (image, label) in enumerate(zip(digits.images[:count], digits.target[:count], strict=True)):
            path = f"images/{number:04d}.png"
            Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8)).save(folder / path)
            writer.writerow([path, label])
    return folder
