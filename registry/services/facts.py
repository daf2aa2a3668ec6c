"""What a repository's files say of themselves, for lists and for the Hugging Face protocol: of a model `config.json` and the headers of
safetensors files; of all, the documents that describe them (services/documents.py). All are plain JSON, read within limits; nothing of
a model is ever loaded."""

import json
from typing import Any

from common import strict_json
from common.errors import Invalid, TooLarge
from registry.errors import EntryNotFound, RevisionNotFound
from registry.models import Blob, Commit, Repo, RepoTag
from registry.queries import Entry, entry_at, head_of, list_tree
from registry.services import storage
from registry.services.documents import Documents, documents_of
from registry.states import RepoKind
from work.door import enqueue

_CONFIG_BYTES = 256 * 1024
_CONFIG_KEYS = ("architectures", "model_type", "auto_map", "quantization_config")
"""What is told of a configuration; the rest is read from the file itself."""
_KEPT_BYTES = 8 * 1024
_HEADER_BYTES = 8 * 1024**2
"""A header of a hundred thousand tensors has about that many."""
_SHARDS = 200
_TENSORS = 200_000
_INTEGER_LIMIT = 2**62


def ask_for_refresh(repo: Repo) -> None:
    """The default branch has moved: read the facts anew, soon. Many commits in a row are one reading."""
    enqueue("registry.refresh_facts", repo.pk, key=f"facts:{repo.pk}", delay_s=2)


def refresh_facts(repo_id: int) -> None:
    """Read the facts of the default branch into the repository's row. Safe to repeat and beside itself: the row then says what the
    last reading found. What is broken or too long is left out."""
    repo = Repo.objects.filter(pk=repo_id, deleted_at__isnull=True).first()
    if repo is None:
        return
    try:
        commit = head_of(repo)
    except RevisionNotFound:
        return
    found: dict[str, Any] = {}
    count = None
    if repo.kind == RepoKind.MODEL:
        if config := _config(commit):
            found["config"] = config
        if parameters := _parameters(commit):
            count = sum(parameters.values())
            found["safetensors"] = {"parameters": parameters, "total": count}
    documents = documents_of(commit)
    if documents.notes:
        found["documents"] = documents.notes
    Repo.objects.filter(pk=repo_id).update(facts=found, parameter_count=count)
    _fill(repo, documents)


def _fill(repo: Repo, documents: Documents) -> None:
    """What the card leaves empty, its documents may say: the card is the owner's own word and goes first."""
    told = {"licence": documents.licence, "description": documents.description[:400], "task": documents.task}
    for field, text in told.items():
        if text and Repo.objects.filter(pk=repo.pk, **{field: ""}).update(**{field: text}) and field == "licence":
            RepoTag.objects.get_or_create(repo=repo, tag=f"license:{text}")
    tags = [RepoTag(repo=repo, tag=word) for word in documents.keywords if repo.kind == RepoKind.DATASET]
    RepoTag.objects.bulk_create(tags, ignore_conflicts=True)


def _config(commit: Commit) -> dict[str, Any]:
    """The keys of `config.json` that are told."""
    try:
        entry = entry_at(commit, "config.json")
        if entry.is_dir or entry.size_bytes > _CONFIG_BYTES:
            return {}
        data = strict_json.loads_object(_read(entry, 0, entry.size_bytes))
    except (EntryNotFound, Invalid, TooLarge):
        return {}
    kept = {key: data[key] for key in _CONFIG_KEYS if key in data}
    return kept if len(json.dumps(kept)) <= _KEPT_BYTES else {}


def _parameters(commit: Commit) -> dict[str, int]:
    """Parameters by data type, over all safetensors files at the root."""
    entries, _ = list_tree(commit, limit=5000)
    shards = [entry for entry in entries if not entry.is_dir and entry.name.endswith(".safetensors")]
    counts: dict[str, int] = {}
    for shard in shards if len(shards) <= _SHARDS else ():
        try:
            for kind, count in _header_counts(shard).items():
                counts[kind] = counts.get(kind, 0) + count
        except (Invalid, TooLarge):
            return {}
    return counts if sum(counts.values()) < _INTEGER_LIMIT else {}


def _header_counts(shard: Entry) -> dict[str, int]:
    """Parameters by data type in one file. Raises Invalid for a header that is none."""
    size = int.from_bytes(_read(shard, 0, 8), "little")
    if not 2 <= size <= min(_HEADER_BYTES, shard.size_bytes - 8):
        raise Invalid("This is not a safetensors file: its header has no possible length.")
    header = strict_json.loads_object(_read(shard, 8, 8 + size), max_bytes=_HEADER_BYTES, max_depth=4)
    if len(header) > _TENSORS:
        raise Invalid("The safetensors header names too many tensors.")
    counts: dict[str, int] = {}
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        shape, kind = (tensor.get("shape"), tensor.get("dtype")) if isinstance(tensor, dict) else (None, None)
        if not isinstance(kind, str) or len(kind) > 20 or not isinstance(shape, list) or len(shape) > 20:
            raise Invalid("The safetensors header describes a tensor without type or shape.")
        count = 1
        for length in shape:
            if type(length) is not int or not 0 <= length < 2**40:
                raise Invalid("The safetensors header has an impossible shape.")
            count *= length
        counts[kind] = counts.get(kind, 0) + count
    return counts


def _read(entry: Entry, start: int, end: int) -> bytes:
    with storage.open_blob(Blob.objects.get(pk=entry.ref), start, end) as reader:
        return b"".join(reader)
