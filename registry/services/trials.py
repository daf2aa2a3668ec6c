"""Inputs that people give, to see what several versions say to the same: tensors in the words of the Open Inference Protocol, rows of a
table whose columns the versions name, or a picture that each version gets in its own size.

A trial's uuid is what opens it: whoever has the link sees the input, and the answers of those versions whose files they may read."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts import throttle
from accounts.actors import Actor
from accounts.permissions import Action
from backends.comparison import sandboxed
from backends.engines.tensors import DTYPES
from common.clock import now
from common.errors import Invalid, NotFound
from registry.models import Trial, Version
from registry.policies import can
from registry.queries import held_back, version_by_pk
from registry.services import studies
from registry.services.sandboxes import copied, sandbox
from registry.states import RepoKind
from work.door import enqueue

KEEP = timedelta(days=7)
TENSORS, ROWS, PICTURE = "tensors", "rows", "picture"
INPUTS_LIMIT = 64
ELEMENTS_LIMIT = 200_000
"""Numbers of all tensors together: a colour picture of 256 × 256."""
ROWS_LIMIT = 50
CELLS_LIMIT = 20_000
TABLE_BYTES = 512 * 1024
PICTURE_BYTES = 4 * 1024**2
_CELL_LENGTH = 1000
_RANK_LIMIT = 8


def try_tensors(actor: Actor, versions: Sequence[Version], inputs: object) -> Trial:
    """Ask the versions with tensors: `[{name, datatype, shape, data}]`. See `_start`."""
    return _start(actor, versions, TENSORS, {"inputs": _tensors(inputs)})


def try_table(actor: Actor, versions: Sequence[Version], text: str) -> Trial:
    """Ask the versions with the first rows of a CSV text whose first line names the columns. See `_start`."""
    if len(text) > TABLE_BYTES:
        raise Invalid(f"The table may have {TABLE_BYTES // 1024} kB.", fields={"table": "too large"})
    try:
        lines = list(
            zip(range(ROWS_LIMIT + 1), csv.reader(io.StringIO(text.lstrip("\ufeff")), strict=True), strict=False)
        )
    except csv.Error as error:
        raise Invalid(f"The table is not CSV: {error}.", fields={"table": "not CSV"}) from error
    if len(lines) < 2:
        raise Invalid("The table needs a line with the names of its columns and a row.", fields={"table": "no rows"})
    return try_rows(actor, versions, lines[0][1], [line for _, line in lines[1:] if line])


def try_rows(actor: Actor, versions: Sequence[Version], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Trial:
    """Ask the versions with rows of named columns, each cell a text. See `_start`."""
    if not columns or not rows or len(rows) > ROWS_LIMIT or len(columns) * len(rows) > CELLS_LIMIT:
        raise Invalid(f"Give 1 to {ROWS_LIMIT} rows and at most {CELLS_LIMIT:,} cells.", fields={"table": "wrong size"})
    if len(set(columns)) != len(columns):
        raise Invalid("Two columns have one name.", fields={"table": "columns repeat"})
    if any(len(row) != len(columns) for row in rows):
        raise Invalid(
            f"Every row needs {len(columns)} cells, as many as there are columns.", fields={"table": "ragged"}
        )
    content = {
        "columns": [_plain(name) for name in columns],
        "rows": [[_plain(cell) for cell in row] for row in rows],
    }
    return _start(actor, versions, ROWS, content)


def try_picture(actor: Actor, versions: Sequence[Version], content: bytes) -> Trial:
    """Ask the versions with a picture, which nobody opens outside of the sandbox. See `_start`."""
    if not 0 < len(content) <= PICTURE_BYTES:
        raise Invalid(f"The picture may have {PICTURE_BYTES // 1024**2} MiB.", fields={"picture": "wrong size"})
    return _start(actor, versions, PICTURE, {}, content)


def trial_of(uuid: UUID | str) -> Trial:
    """The trial of that uuid, which is the right to see it. Raises NotFound, also when it is kept no longer."""
    try:
        trial = Trial.objects.filter(uuid=UUID(str(uuid)), expires_at__gt=now()).first()
    except ValueError:
        trial = None
    if trial is None:
        raise NotFound("There is no such input any more: give it again.")
    return trial


def ask_versions(actor: Actor, trial: Trial, versions: Sequence[Version]) -> None:
    """Ask those versions whose files the actor may read, that can be asked and are not under quarantine. Asked twice, a version answers once."""
    actor.require_authenticated()
    with transaction.atomic():
        for version in versions:
            files = studies.files_of(version) if can(actor, version.repo, Action.REPO_READ) else None
            if files is None or files.graph is None or files.graph.size_bytes > studies.GRAPH_BYTES:
                continue
            if held_back(version.repo_id, [files.graph.pk]):
                continue
            key = studies.answer_key(files.graph, version, trial)
            if studies.begin("answer", key):
                enqueue("registry.answer_trial", trial.pk, version.pk, key=f"answer:{key}")


def answers_of(actor: Actor, trial: Trial, versions: Sequence[Version]) -> list[studies.Asked | None]:
    """How the versions' answers stand, of those whose files the actor may read and that were asked; None for the others."""
    keys: list[str] = []
    for version in versions:
        graph = studies.files_of(version).graph if can(actor, version.repo, Action.REPO_READ) else None
        keys.append(studies.answer_key(graph, version, trial) if graph else "")
    known = studies.found(key for key in keys if key)
    return [known.get(key) for key in keys]


def answer_trial(trial_id: int, version_id: int) -> None:
    """Ask one version in the sandbox and keep what it says as long as the input. Safe to repeat: it answers once."""
    trial = Trial.objects.filter(pk=trial_id).first()
    if trial is None:
        raise NotFound("The input is kept no longer.")
    version = version_by_pk(version_id)
    graph = studies.require_graph(studies.files_of(version), version)
    key = studies.answer_key(graph, version, trial)
    if studies.found([key]).get(key, studies.Asked()).content is not None:
        return
    with sandbox("trial") as place:
        local = copied(graph, place.copies)
        picture = None
        if trial.form == PICTURE:
            picture = place.copies / "picture"
            picture.write_bytes(bytes(trial.picture))
            picture.chmod(0o644)
        given = {"form": trial.form, **trial.content}
        content = sandboxed.answer(place.runner, place.work, local, version.signature, given, picture, key=place.key)
    studies.finish("answer", key, content, keep=KEEP)


def _start(
    actor: Actor, versions: Sequence[Version], form: str, content: dict[str, Any], picture: bytes = b""
) -> Trial:
    """Keep the input for a week and ask the versions (`ask_versions`). Takes a person who is signed in. Raises Unauthenticated,
    Invalid, TooMany after sixty in an hour."""
    actor.require_authenticated()
    if any(version.repo.kind != RepoKind.MODEL for version in versions):
        raise Invalid("Only models can be asked.", fields={"v": "no models"})
    throttle.hit("trial", str(actor.person_id), limit=60, window_s=3600)
    with transaction.atomic():
        trial = Trial.objects.create(
            user_id=actor.user_id, form=form, content=content, picture=picture, expires_at=now() + KEEP
        )
        ask_versions(actor, trial, versions)
    return trial


def _tensors(inputs: object) -> list[dict[str, Any]]:
    if not isinstance(inputs, list) or not 0 < len(inputs) <= INPUTS_LIMIT:
        raise Invalid(f"Give 1 to {INPUTS_LIMIT} tensors in «inputs».", fields={"inputs": "not a list of tensors"})
    made = [_tensor(each) for each in inputs]
    if len({each["name"] for each in made}) != len(made):
        raise Invalid("Two tensors have one name.", fields={"inputs": "names repeat"})
    if sum(len(each["data"]) for each in made) > ELEMENTS_LIMIT:
        raise Invalid(f"The tensors may have {ELEMENTS_LIMIT:,} numbers together.", fields={"inputs": "too large"})
    return made


def _tensor(each: object) -> dict[str, Any]:
    if not isinstance(each, Mapping) or not isinstance(each.get("name"), str):
        raise Invalid("Every tensor has name, datatype, shape and data.", fields={"inputs": "not a tensor"})
    name, datatype, shape = each["name"][:200], each.get("datatype"), each.get("shape")
    if datatype not in DTYPES:
        raise Invalid(f"The datatype of {name} is one of {', '.join(DTYPES)}.", fields={"inputs": "unknown datatype"})
    if (
        not isinstance(shape, list)
        or len(shape) > _RANK_LIMIT
        or not all(type(size) is int and 0 <= size <= ELEMENTS_LIMIT for size in shape)
    ):
        raise Invalid(f"The shape of {name} is a list of sizes.", fields={"inputs": "wrong shape"})
    data: list[Any] = []
    _flatten(each.get("data"), data, name, _RANK_LIMIT)
    kinds = str if datatype == "BYTES" else (int, float)
    if not all(isinstance(value, kinds) for value in data):
        raise Invalid(f"{name} takes {'text' if datatype == 'BYTES' else 'numbers'}.", fields={"inputs": "wrong data"})
    if len(data) != math.prod(shape):
        raise Invalid(
            f"{name} has {len(data):,} values, and its shape {shape} says {math.prod(shape):,}.",
            fields={"inputs": "wrong length"},
        )
    if datatype == "BYTES":
        data = [_plain(value) for value in data]
    return {"name": _plain(name), "datatype": datatype, "shape": shape, "data": data}


def _flatten(value: object, into: list[Any], name: str, depth: int) -> None:
    if not isinstance(value, list):
        into.append(value)
        return
    if depth == 0 or len(into) + len(value) > ELEMENTS_LIMIT:
        raise Invalid(f"The data of {name} is nested too deeply, or too long.", fields={"inputs": "too large"})
    for each in value:
        _flatten(each, into, name, depth - 1)


def _plain(text: str) -> str:
    """What a database keeps: no zero bytes, no lone surrogates."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:_CELL_LENGTH]
