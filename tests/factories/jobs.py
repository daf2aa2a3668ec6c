"""Jobs and what they need, made through the services."""

from collections.abc import Mapping
from typing import Any

from accounts.actors import Actor, for_user, system
from accounts.services.identity import create_user
from compute.models import Job
from compute.services import jobs
from registry.models import Version
from registry.services import storage
from registry.services.commits import AddFile, create_commit
from registry.services.repos import create_repo
from registry.services.versions import publish_version

TABLE = b"x,y,label\n" + b"".join(b"%d,%d,%s\n" % (n, n % 7, b"even" if n % 2 == 0 else b"odd") for n in range(80))


def make_person(name: str) -> Actor:
    """A person as an actor."""
    return for_user(
        create_user(system("tests"), name, f"{name}@example.org", "correct horse battery", is_verified=True)
    )


def make_dataset(actor: Actor, name: str = "numbers", files: Mapping[str, bytes] | None = None) -> Version:
    """A private dataset in the actor's own namespace, published as `1.0`."""
    repo = create_repo(actor, "dataset", actor.username, name)
    made = [AddFile(path, storage.store_blob([data])) for path, data in (files or {"data.csv": TABLE}).items()]
    commit = create_commit(actor, repo, "main", made, summary="Add the data")
    return publish_version(actor, repo, commit.oid, name="1.0")


def submit_training(actor: Actor, dataset: Version, **changes: Any) -> Job:
    """A table-training job in the actor's own namespace, into the model `model`."""
    asked = {
        "namespace": actor.username,
        "recipe": "tabular-train",
        "parameters": {"target": "label"},
        "inputs": {"data": dataset.uuid},
        "target": {"kind": "model", "name": "model"},
    }
    return jobs.submit(actor, **{**asked, **changes})
