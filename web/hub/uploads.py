"""Files from a form into one commit."""

from typing import TYPE_CHECKING

from django.core.files.uploadedfile import UploadedFile

from accounts.actors import Actor
from registry.services import storage, uploads
from registry.services.commits import AddFile, AddLfs, DeleteFile, create_commit

if TYPE_CHECKING:
    from registry.models import Blob, Commit, Repo


def commit_files(
    actor: Actor, repo: "Repo", branch: str, *, files: list[UploadedFile], folder: str = "", summary: str = ""
) -> "Commit":
    """Store the bytes, then add all files below `folder` in one commit on `branch`. The caller has checked the right to write;
    the commit checks it again. What was stored without a commit following is thrown away by the sweep of unused bytes."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    operations = [_operation(repo, f"{prefix}{file.name}", file) for file in files]
    names = files[0].name if len(files) == 1 else f"{len(files)} files"
    return create_commit(actor, repo, branch, operations, summary=summary.strip() or f"Upload {names}")


def delete_file(actor: Actor, repo: "Repo", branch: str, path: str) -> "Commit":
    return create_commit(actor, repo, branch, [DeleteFile(path)], summary=f"Delete {path}")


def _operation(repo: "Repo", path: str, file: UploadedFile) -> AddFile | AddLfs:
    sample = file.read(uploads.SAMPLE_BYTES)
    file.seek(0)
    blob: Blob = storage.store_blob(file.chunks(), size_bytes=file.size)
    if uploads.goes_large(blob.size_bytes, sample):
        uploads.attach(repo, blob)
        return AddLfs(path, blob.sha256, blob.size_bytes)
    return AddFile(path, blob)
