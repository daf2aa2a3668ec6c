"""Environment locks through a runner: the caller never parses a byte of the file."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from backends.contracts.runners import GIB, Limits, Runner, RunSpec
from backends.environments.locks import CONDA, FORMATS, OTHER, PACKAGES_LIMIT, PYPI, TEXT_LIMIT
from backends.runners.asking import ask

_WALL_S = 60
_NOTES = 20
FAILED = "It could not be read within one gigabyte of memory and one minute."


def read_lock(runner: Runner, folder: Path, file: Path, name: str, *, key: str) -> dict[str, Any]:
    """What the environment lock `file` says, which is called `name` where it comes from: `{format, problem, notes, is_cut, packages}`. It
    is hard-linked into the empty `folder`, which the caller removes. Whatever goes wrong in the sandbox is a `problem`. Raises what
    `Runner.start` raises. Takes up to a minute."""
    inputs = folder / "files"
    inputs.mkdir(exist_ok=True)
    os.link(file, inputs / "0")
    (folder / "spec.json").write_text(json.dumps({"name": name}))
    run = RunSpec(
        argv=(sys.executable, "-m", "backends.environments.run"),
        workdir=folder,
        limits=Limits(memory_bytes=GIB, cpu_s=_WALL_S, wall_s=_WALL_S, disk_bytes=32 * 1024**2),
        read_only_paths=(inputs, folder / "spec.json"),
    )
    return _checked(ask(runner, run, key=key), FORMATS[name][0])


def _checked(answer: Any, label: str) -> dict[str, Any]:
    """What the program said, held to its shape: it may have been taken over by what it read."""
    found: dict[str, Any] = {"format": label, "problem": "", "notes": [], "is_cut": False, "packages": []}
    try:
        if answer["problem"]:
            return found | {"problem": _text(answer["problem"])}
        return found | {
            "notes": [_text(each) for each in answer["notes"][:_NOTES]],
            "is_cut": bool(answer["is_cut"]),
            "packages": [_package(each) for each in answer["packages"][:PACKAGES_LIMIT]],
        }
    except (TypeError, KeyError, ValueError, AttributeError):
        return found | {"problem": FAILED}


def _package(each: Any) -> dict[str, Any]:
    if each["ecosystem"] not in {PYPI, CONDA, OTHER} or type(each["has_hash"]) is not bool or not each["name"]:
        raise ValueError("no package")
    texts = {name: _text(each[name]) for name in ("name", "version", "wanted")}
    return {**texts, "ecosystem": each["ecosystem"], "has_hash": each["has_hash"]}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {type(value).__name__}")
    return value.replace("\x00", "").encode(errors="replace").decode()[:TEXT_LIMIT]
