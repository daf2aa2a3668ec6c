"""From files in a folder to the operations of a commit."""

from pathlib import Path

from registry.models import Repo
from registry.services import commits, storage, uploads

_BATCH = 500
"""Small files that are in memory at once."""


def operations_of(repo: Repo, folder: Path) -> list[commits.Operation]:
    """Store the files of a folder, each as git keeps it: small ones as they are, large and binary ones beside it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found: list[commits.Operation] = []
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        for path, blob in zip(batch, storage.store_many([path.read_bytes() for path in batch]), strict=True):
            name = path.relative_to(folder).as_posix()
            if path.suffix == ".parquet":
                uploads.attach(repo, blob)
                found.append(commits.AddLfs(name, blob.sha256, blob.size_bytes))
            else:
                found.append(commits.AddFile(name, blob))
    return found
