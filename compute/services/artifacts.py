"""From the files a program left to blobs, and from these to a commit and a version, or to a build."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from accounts.actors import Actor
from backends.programs.catalogue import RECIPES
from backends.programs.sources import sources_sha256
from compute.models import Artifact, Attempt, Job
from compute.services import workplace
from compute.services.jobs import BUILT
from registry.errors import PathNotAllowed
from registry.paths import check_path
from registry.queries import version_by_uuid, versions_of
from registry.services import storage, uploads
from registry.services.builds import add_build
from registry.services.commits import AddFile, AddLfs, Operation, create_commit
from registry.services.versions import publish_version
from registry.states import BuildFormat

if TYPE_CHECKING:
    from registry.models import Blob, Build, Repo, Version

_PLAIN_LIMIT = 1024**2
"""Text up to here is a plain file to git; everything else is a large file, of which git sees a pointer."""


def collect(job: Job, attempt: Attempt, folder: Path, keep_going: Callable[[], None]) -> list[Artifact]:
    """Store every output file and note it. Streams. Safe to repeat, also beside itself: bytes are kept once by digest, a path
    once an attempt. `keep_going` is called with every chunk and may raise to stop. Raises NoResult, Unavailable, Busy."""
    for path, size_bytes in workplace.outputs_of(folder):
        try:
            check_path(path)
        except PathNotAllowed as error:
            raise workplace.NoResult(f"The program made a file that no version can hold: {error.message}") from error
        with workplace.open_output(folder, path) as source:
            blob = storage.store_blob(_chunks(source, keep_going), size_bytes=size_bytes)
        # computed now, because it reads the bytes: the commit is written in a transaction, where nothing waits for the storage
        storage.git_oid_of(blob)
        if (repo := _repo_of(job)) is not None:
            uploads.attach(repo, blob)
        Artifact.objects.get_or_create(attempt=attempt, path=path, defaults={"blob": blob})
    return list(Artifact.objects.filter(attempt=attempt).select_related("blob").order_by("path"))


def keep_log(log: Iterator[bytes]) -> "Blob":
    """The whole log as a blob. Safe to repeat."""
    return storage.store_blob(log)


def publish(actor: Actor, job: Job, attempt: Attempt, artifacts: list[Artifact], result: workplace.Result) -> "Version":
    """Commit the artifacts to the target and release the commit; in the caller's transaction, so that commit, version and the end
    of the job stand or fall together. Needs the actor's right to write, as it is now. Raises what the registry raises."""
    assert job.target is not None
    commit = create_commit(
        actor,
        job.target,
        job.target.default_branch,
        [_operation(artifact) for artifact in artifacts],
        summary=job.title,
        description=f"{result.summary}\n\nJob: {job.uuid}".strip(),
    )
    return publish_version(
        actor,
        job.target,
        commit.oid,
        name=job.version_name or _next_name(job),
        notes=result.summary,
        metrics=result.metrics,
        signature=result.signature,
        environment=result.environment,
        key=f"attempt:{attempt.uuid}",
    )


def makes_build(job: Job) -> bool:
    """Whether the outcome is a build of its input."""
    plan = RECIPES.get(job.recipe)
    return plan is not None and plan.produces == "build"


def add_to_version(
    actor: Actor, job: Job, attempt: Attempt, artifacts: list[Artifact], result: workplace.Result
) -> "Build":
    """Add the artifacts as a build to the version that was built; in the caller's transaction, like `publish`. Needs the actor's right to
    write, as it is now. Raises what the registry raises."""
    plan = RECIPES[job.recipe]
    return add_build(
        actor,
        _built(job),
        [(artifact.path, artifact.blob) for artifact in artifacts],
        format=BuildFormat(plan.format),
        target=plan.target,
        program=plan.name,
        program_sha256=sources_sha256(),
        equivalence=workplace.figures_of(result.equivalence),
        signature=result.signature,
        environment=result.environment,
        job_uuid=job.uuid,
        key=f"attempt:{attempt.uuid}",
    )


def _repo_of(job: Job) -> "Repo | None":
    """Whose holdings the outputs become."""
    return _built(job).repo if makes_build(job) else job.target


def _built(job: Job) -> "Version":
    return version_by_uuid(job.inputs[BUILT]["version_uuid"])


def _operation(artifact: Artifact) -> Operation:
    blob = artifact.blob
    if blob.size_bytes <= _PLAIN_LIMIT and Path(artifact.path).suffix in {".md", ".json", ".csv", ".txt", ".yaml"}:
        return AddFile(artifact.path, blob)
    return AddLfs(artifact.path, blob.sha256, blob.size_bytes)


def _next_name(job: Job) -> str:
    """`v1`, `v2` …: the first number above the count of versions that is free."""
    assert job.target is not None
    taken = {name.lower() for name in versions_of(job.target).values_list("name", flat=True)}
    number = len(taken) + 1
    while f"v{number}" in taken:
        number += 1
    return f"v{number}"


def _chunks(source: IO[bytes], keep_going: Callable[[], None]) -> Iterator[bytes]:
    while chunk := source.read(workplace.CHUNK_BYTES):
        keep_going()
        yield chunk
