"""Repositories with content, made through the services."""

from accounts.actors import Actor
from registry.models import Commit, Repo
from registry.services import repos, storage
from registry.services.commits import AddFile, Operation, create_commit


def make_repo(actor: Actor, name: str = "digits", *, kind: str = "dataset", namespace: str = "", **settings) -> Repo:
    return repos.create_repo(actor, kind, namespace or actor.username, name, **settings)


def add(path: str, content: bytes | str = b"content") -> AddFile:
    return AddFile(path, storage.store_bytes(content.encode() if isinstance(content, str) else content))


def commit(actor: Actor, repo: Repo, *operations: Operation, summary: str = "Change", **options) -> Commit:
    return create_commit(actor, repo, options.pop("branch", "main"), operations, summary=summary, **options)
