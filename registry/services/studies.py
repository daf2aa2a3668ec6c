"""What it takes a sandbox to find out about versions: how far their weights lie apart, how quick they are, and, for long tables of
predictions, which of them is right more often. Found out once for the same bytes, kept for a while, never parsed by the site.

A study is asked for (`ask_*`), made by a task (`study_*`) and looked up by every page that shows it (`found`). Its key is made of
digests that only somebody who may read the files comes by."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from backends.comparison import sandboxed
from common.clock import now
from common.errors import Invalid
from registry import evaluations
from registry.models import Blob, Study, Trial, Version
from registry.policies import require_repo_by_uuid
from registry.queries import blobs_of, list_tree, version_by_pk
from registry.services.quarantine import require_free
from registry.services.sandboxes import copied, sandbox
from work.door import enqueue

RULES = "2"
"""Raised when studies are made differently; older ones are not found any more."""
KEEP = timedelta(days=90)
PATIENCE = timedelta(minutes=15)
"""A study that has not come by then may be asked for again: its task was parked."""
WEIGHTS_BYTES = 8 * 1024**3
"""Of both sides together: they are copied for the sandbox."""
GRAPH_BYTES = 512 * 1024**2
"""A model that is asked: opened, it takes several times its size."""
_FILES_LOOKED_AT = 1000
_WEIGHT_FILES = 64


@dataclass(frozen=True)
class ModelFiles:
    """The files at the root of a version that hold numbers. `graph` can be run; `weights` are compared; either may be missing."""

    graph: Blob | None
    weights: tuple[Blob, ...]

    @property
    def digests(self) -> list[str]:
        return [blob.sha256 for blob in self.weights]


@dataclass(frozen=True)
class Asked:
    """How a study stands. `content` is there when it has been made, and `problem` in it is a sentence when it could not be."""

    is_pending: bool = False
    content: dict[str, Any] | None = None


def files_of(version: Version) -> ModelFiles:
    """Safetensors files, else the ONNX graph; only at the root, where clients look for them. Three queries or so."""
    entries, _ = list_tree(version.commit, limit=_FILES_LOOKED_AT)
    tensors = [each for each in entries if not each.is_dir and each.name.endswith(".safetensors")][:_WEIGHT_FILES]
    graphs = [each for each in entries if not each.is_dir and each.name.endswith(".onnx")]
    graph = next((each for each in graphs if each.name == "model.onnx"), graphs[0] if len(graphs) == 1 else None)
    wanted = tensors or ([graph] if graph else [])
    blobs = blobs_of([*wanted, *([graph] if graph else [])])
    return ModelFiles(blobs[graph.ref] if graph else None, tuple(blobs[each.ref] for each in wanted))


def weights_key(before: ModelFiles, after: ModelFiles) -> str:
    return key_of("weights", before.digests, after.digests)


def speed_key(graph: Blob, version: Version) -> str:
    return key_of("speed", graph.sha256, version.signature)


def panel_key(versions: Sequence[Version], base: int) -> str:
    return key_of("panel", [str(version.uuid) for version in versions], base)


def answer_key(graph: Blob, version: Version, trial: Trial) -> str:
    return key_of("answer", graph.sha256, version.signature, str(trial.uuid))


def key_of(kind: str, *parts: object) -> str:
    return hashlib.sha256(json.dumps([RULES, kind, *parts], sort_keys=True).encode()).hexdigest()


def found(keys: Iterable[str]) -> dict[str, Asked]:
    """How these studies stand; those that nobody has asked for lately are left out. One query."""
    rows = Study.objects.filter(key__in=list(keys), expires_at__gt=now())
    return {row.key: Asked(is_pending=row.content is None, content=row.content) for row in rows}


def ask_weights(actor: Actor, before: Version, after: Version) -> None:
    """Have the distance of the weights measured. Needs the right to read the files of both. Asked twice, it is measured once.
    Raises Unauthenticated, AccessNeeded, Quarantined, Invalid when there is nothing to measure."""
    sides = [_readable(actor, version) for version in (before, after)]
    for version, files in zip((before, after), sides, strict=True):
        if not files.weights:
            raise Invalid(
                f"{version.name} holds no weights that can be compared: no safetensors file and no ONNX model at its root."
            )
    if sum(blob.size_bytes for files in sides for blob in files.weights) > WEIGHTS_BYTES:
        raise Invalid(f"Both together are larger than {WEIGHTS_BYTES // 1024**3} GiB, which is not compared here.")
    with transaction.atomic():
        key = weights_key(*sides)
        if begin("weights", key):
            enqueue("registry.study_weights", before.pk, after.pk, key=f"weights:{key}")


def ask_speed(actor: Actor, version: Version) -> None:
    """Have the time of a call and the memory measured. As `ask_weights`."""
    graph = require_graph(_readable(actor, version), version)
    with transaction.atomic():
        key = speed_key(graph, version)
        if begin("speed", key):
            enqueue("registry.study_speed", version.pk, key=f"speed:{key}")


def panel_of(versions: Sequence[Version], base: int) -> "list[evaluations.Paired | None] | None":
    """`evaluations.panel`, from what was found before; None while a worker makes it, which the first call asks for."""
    key = panel_key(versions, base)
    known = found([key]).get(key, Asked())
    if known.content is not None:
        return [each and evaluations.Paired.from_json(each) for each in known.content["versions"]]
    if not known.is_pending:
        sizes = [evaluations.size_of(version) for version in versions]
        if sum(map(bool, sizes)) < 2:
            return [None] * len(versions)
        if sum(sizes) <= evaluations.QUICK_BYTES:
            return make_panel(versions, base)
        with transaction.atomic():
            if begin("panel", key):
                pks = " ".join(str(version.pk) for version in versions)
                enqueue("registry.study_panel", pks, base, key=f"panel:{key}")
    return None


def make_panel(versions: Sequence[Version], base: int) -> "list[evaluations.Paired | None]":
    """Judge the versions on the rows that they share, and keep it. Safe to repeat."""
    judged = evaluations.panel(versions, base)
    finish("panel", panel_key(versions, base), {"versions": [each and asdict(each) for each in judged]})
    return judged


def study_panel(version_ids: str, base: int) -> None:
    """`make_panel` by primary keys. Safe to repeat."""
    make_panel([version_by_pk(int(pk)) for pk in version_ids.split()], base)


def study_weights(before_id: int, after_id: int) -> None:
    """Measure and keep the distance. Safe to repeat, and beside itself: the same bytes give the same answer."""
    sides = [files_of(version_by_pk(pk)) for pk in (before_id, after_id)]
    key = weights_key(*sides)
    if found([key]).get(key, Asked()).content is not None:
        return
    with sandbox("weights") as place:
        before, after = ([copied(blob, place.copies) for blob in files.weights] for files in sides)
        content = sandboxed.weigh(place.runner, place.work, before, after, key=place.key)
    finish("weights", key, content)


def study_speed(version_id: int) -> None:
    """Measure and keep how quick the version is here. Safe to repeat: measured once."""
    version = version_by_pk(version_id)
    graph = require_graph(files_of(version), version)
    key = speed_key(graph, version)
    if found([key]).get(key, Asked()).content is not None:
        return
    with sandbox("speed") as place:
        local = copied(graph, place.copies)
        content = sandboxed.time_calls(place.runner, place.work, local, version.signature, key=place.key)
    finish("speed", key, content)


def require_graph(files: ModelFiles, version: Version) -> Blob:
    """The ONNX model of a version. Raises Invalid when it has none that can be asked here."""
    if files.graph is None:
        raise Invalid(
            f"{version.name} has no ONNX model at its root (model.onnx, or one other), so it cannot be asked."
        )
    if files.graph.size_bytes > GRAPH_BYTES:
        raise Invalid(
            f"The model of {version.name} is larger than {GRAPH_BYTES // 1024**2} MiB: ask an endpoint of it."
        )
    return files.graph


def begin(kind: str, key: str) -> bool:
    """Note that a study is asked for; False when it has been made or is under way. Inside the transaction that enqueues its
    task."""
    made, is_new = Study.objects.get_or_create(key=key, defaults={"kind": kind, "expires_at": now() + PATIENCE})
    if is_new:
        return True
    expired = Study.objects.filter(pk=made.pk, expires_at__lte=now())
    return bool(expired.update(content=None, created_at=now(), expires_at=now() + PATIENCE))


def finish(kind: str, key: str, content: dict[str, Any], *, keep: timedelta = KEEP) -> None:
    """Keep what was found."""
    Study.objects.update_or_create(key=key, defaults={"kind": kind, "content": content, "expires_at": now() + keep})


def forget_studies() -> int:
    """Remove what is kept no longer; returns how many rows. Safe to repeat."""
    studies, _ = Study.objects.filter(expires_at__lte=now()).delete()
    trials, _ = Trial.objects.filter(expires_at__lte=now()).delete()
    return studies + trials


def _readable(actor: Actor, version: Version) -> ModelFiles:
    actor.require_authenticated()
    require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_READ)
    files = files_of(version)
    require_free(version.repo, [*files.weights, *([files.graph] if files.graph else [])])
    return files
