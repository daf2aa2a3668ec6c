"""Models and endpoints, made through the services."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from accounts.actors import Actor, for_user, system
from accounts.directory import holder_of
from accounts.models import Namespace, Organization
from accounts.permissions import Action, Level, Role
from accounts.services import grants, tokens
from accounts.services.identity import create_organization, create_user
from accounts.services.members import add_member
from compute.models import Endpoint
from compute.services import endpoints
from metering.meters import Meter
from metering.models import Budget
from metering.services import budgets
from registry.models import Version
from registry.policies import require_repo
from registry.queries import resolve_revision
from registry.services import scans, storage
from registry.services.commits import AddFile, create_commit
from registry.services.repos import create_repo
from registry.services.versions import publish_version

SYSTEM = system("tests")


def make_person(name: str) -> Actor:
    """A person as an actor."""
    return for_user(create_user(SYSTEM, name, f"{name}@example.org", "correct horse battery", is_verified=True))


def make_organization(owner: Actor, name: str, **members: Role) -> Organization:
    """An organisation of `owner`; keyword arguments name further members with their roles."""
    organization = create_organization(owner, name)
    for username, role in members.items():
        add_member(SYSTEM, organization, Namespace.objects.get(name=username).user, role)
    return organization


def again(actor: Actor) -> Actor:
    """The same person, with the roles they have by now."""
    return for_user(Namespace.objects.get(pk=actor.namespace_id).user)


def make_token(actor: Actor, *scopes: str, **more: Any) -> str:
    """The text of a new token that may call endpoints, or has `scopes`."""
    return tokens.issue(actor, name="test", scopes=scopes or ("endpoint:use",), **more)[1]


def make_model(
    actor: Actor,
    name: str,
    raw: bytes,
    *,
    namespace: str = "",
    version: str = "1",
    signature: dict[str, Any] | None = None,
) -> Version:
    """A version of a private model repository, its file `model.onnx` being `raw`; scanned. A second call with another `version`
    adds to the same repository."""
    owner = namespace or actor.username
    if version == "1":
        repo = create_repo(actor, "model", owner, name)
    else:
        repo = require_repo(actor, "model", owner, name, Action.REPO_WRITE)
    operation = AddFile("model.onnx", storage.store_blob([raw]))
    create_commit(actor, repo, "main", [operation], summary=f"Version {version}")
    commit = resolve_revision(repo, "main")
    made = publish_version(actor, repo, commit.oid, name=version, signature=signature)
    scans.scan_version(made.pk)
    return made


def make_endpoint(actor: Actor, name: str, raw: bytes, *, namespace: str = "", **more: Any) -> Endpoint:
    """A model and its deployment, both called `name`; `deploying` until an inference process loads it."""
    version = make_model(actor, name, raw, namespace=namespace)
    return endpoints.deploy(actor, namespace=namespace or actor.username, name=name, version_uuid=version.uuid, **more)


def sell_calls(endpoint: Endpoint, buyer: Namespace, calls: int | None, *, key: str = "1") -> Budget:
    """What an entitlement opens: a grant to use, and a budget of `calls` (None: without limit)."""
    source = f"entitlement:{uuid5(NAMESPACE_URL, f'{endpoint.uuid}/{buyer.uuid}/{key}')}"
    grants.grant(SYSTEM, endpoint, holder_of(buyer), Level.USE, source=source)
    return budgets.top_up(
        source=source, holder=buyer.uuid, subject=endpoint.uuid, meter=Meter.INFERENCE_CALLS, amount=calls
    )
