"""Deploying model versions behind addresses, moving endpoints through their life, sharing them.

Loading is done by the inference process, which reports here: no web or worker process ever parses a stranger's model."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.directory import people_behind
from accounts.permissions import Action, Level
from accounts.policies import require_namespace
from accounts.services import audit, grants
from accounts.services.access import bump_access_version
from accounts.services.grants import Holder
from common.clock import now
from common.errors import Conflict, Invalid
from common.ids import is_name
from compute.endpoint_holds import refuse_held
from compute.endpoint_policies import require_endpoint_by_uuid
from compute.endpoint_states import ENDPOINTS, LOADING, EndpointState, EndpointVisibility
from compute.models import Endpoint, EndpointGroupGrant, EndpointUserGrant
from compute.models.endpoints import SLUG_LIMIT
from lineage.services.record import Ref, record_edge
from metering.units import Unit
from notices.services import notify_users
from registry.build_queries import GRAPH, build_named, file_of, graph_build
from registry.policies import require_version
from registry.queries import blob_of, entry_at_or_none, verdict_of_blob
from registry.services.builds import refuse_withdrawn
from registry.services.quarantine import require_free
from registry.standing import refuse_yanked
from registry.states import BuildFormat, RepoKind, Verdict

if TYPE_CHECKING:
    from registry.models import Blob, Version

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_PROBLEM_LIMIT = 300


@dataclass(frozen=True)
class _Model:
    """What a version, or a build of it, offers to be served."""

    version_uuid: UUID
    version_name: str
    build_uuid: UUID | None
    digest: str
    size_bytes: int
    signature: dict[str, Any]


def deploy(
    actor: Actor,
    *,
    namespace: str,
    name: str,
    version_uuid: UUID | str,
    build_uuid: UUID | str | None = None,
    slug: str | None = None,
    visibility: EndpointVisibility = EndpointVisibility.PRIVATE,
) -> Endpoint:
    """Put a model version, or an ONNX build of it, behind an address. For those who may run things in the namespace and read the version. Writes the
    endpoint (`deploying` until the inference process has loaded the model), a lineage edge, an audit record. A second call
    with the same name is refused. Raises NotFound, Forbidden, AccessNeeded; Invalid for a bad name or slug, for a version
    without `model.onnx`, for a build of another format or of another version and for a file that scanning could not prove safe;
    Conflict when the name or slug is taken and for what is withdrawn."""
    owner = require_namespace(actor, namespace, Action.NAMESPACE_RUN)
    if not is_name(name):
        raise Invalid(
            "The name of an endpoint is 1 to 96 letters, digits, dots, dashes.", fields={"name": "not a name"}
        )
    if slug is not None and (len(slug) > SLUG_LIMIT or not _SLUG.fullmatch(slug)):
        raise Invalid(
            f"A slug is 1 to {SLUG_LIMIT} lower-case letters, digits and single dashes between them.",
            fields={"slug": "not a slug"},
        )
    model = _model_of(actor, version_uuid, build_uuid)
    if Endpoint.objects.filter(namespace=owner, name__iexact=name, deleted_at__isnull=True).exists():
        raise Conflict(f"There is an endpoint {owner.name}/{name} already.", fields={"name": "taken"})
    chosen = slug or _free_slug(f"{owner.name}-{name}")
    try:
        with transaction.atomic():
            endpoint = Endpoint.objects.create(
                namespace=owner,
                name=name,
                slug=chosen,
                visibility=visibility,
                created_by_id=actor.user_id,
                **_as_next(model),
            )
            record_edge(_source(model), Ref("endpoint", endpoint.uuid), "deployed")
            _announce(actor, endpoint, "deployed", slug=chosen, **_named(model))
    except IntegrityError as error:
        raise Conflict(f"The slug {chosen} is taken: choose another.", fields={"slug": "taken"}) from error
    return endpoint


def update(
    actor: Actor, endpoint: Endpoint, version_uuid: UUID | str, build_uuid: UUID | str | None = None
) -> Endpoint:
    """Move the endpoint to another version or build. For those who may write it and read the version. The present version answers until
    the next one is loaded; if that fails, it stays, and `problem` says why. A second call with the same version changes
    nothing. Raises as `deploy`; Conflict while it is stopped, failed or deploying."""
    require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_WRITE)
    model = _model_of(actor, version_uuid, build_uuid)
    wanted = (model.version_uuid, model.build_uuid)
    with transaction.atomic():
        row = _locked(endpoint)
        if row.state == EndpointState.UPDATING and (row.next_version_uuid, row.next_build_uuid) == wanted:
            return row
        if row.state == EndpointState.READY and (row.version_uuid, row.build_uuid) == wanted:
            return row
        _move(row, EndpointState.UPDATING, problem="", **_as_next(model))
        record_edge(_source(model), Ref("endpoint", row.uuid), "deployed")
        _announce(actor, row, "updated", **_named(model))
    return row


def stop(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """End serving: calls are refused within a second. For those who may write it. A second call changes nothing. Raises
    Conflict when it has failed."""
    require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_WRITE)
    with transaction.atomic():
        row = _locked(endpoint)
        if row.state == EndpointState.STOPPED:
            return row
        _move(row, EndpointState.STOPPED)
        _announce(actor, row, "stopped")
    return row


def start(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """Load it again after it was stopped or has failed. For those who may write it. A second call changes nothing. Raises
    Conflict while it is updating."""
    require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_WRITE)
    with transaction.atomic():
        row = _locked(endpoint)
        if row.state in {EndpointState.DEPLOYING, EndpointState.READY}:
            return row
        served = (
            _as_next(
                _Model(row.version_uuid, row.version_name, row.build_uuid, row.digest, row.size_bytes, row.signature)
            )
            if row.version_uuid
            else {}
        )
        _move(row, EndpointState.DEPLOYING, problem="", **served)
        _announce(actor, row, "started")
    return row


def delete(actor: Actor, endpoint: Endpoint) -> None:
    """End the endpoint for good, with all grants on it. For its administrators. The slug stays taken. A second call raises
    NotFound, since nobody sees a deleted endpoint."""
    require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_ADMIN)
    with transaction.atomic():
        row = _locked(endpoint)
        _move(row, EndpointState.DELETED, deleted_at=now())
        for table in (EndpointUserGrant, EndpointGroupGrant):
            table.objects.filter(content_object=row).delete()
        _announce(actor, row, "deleted")


def change_visibility(actor: Actor, endpoint: Endpoint, visibility: EndpointVisibility) -> Endpoint:
    """Decide who learns of it. For its administrators. A second call changes nothing."""
    require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_ADMIN)
    with transaction.atomic():
        row = _locked(endpoint)
        if row.visibility != visibility:
            row.visibility = visibility
            row.save(update_fields=["visibility"])
            _announce(actor, row, "visibility_changed", visibility=str(visibility))
    return row


def declare_unit(actor: Actor, endpoint: Endpoint, unit: Unit, *, token_input: str = "") -> Endpoint:
    """Say in what, beside calls, its use may be sold: see `Unit`. For TOKENS `token_input` names the input whose elements are the
    tokens; for others it is empty. What was sold before is counted as it was sold. For its administrators. A second call changes
    nothing. Raises Invalid for an input that it has not."""
    require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_ADMIN)
    with transaction.atomic():
        row = _locked(endpoint)
        names = [each["name"] for each in (row.signature or row.next_signature).get("inputs", [])]
        if unit == Unit.TOKENS and token_input not in names:
            raise Invalid(
                f"Name the input whose elements are the tokens: {', '.join(names)}.",
                fields={"token_input": "not an input"},
            )
        if unit != Unit.TOKENS and token_input:
            raise Invalid("Only tokens are counted in one input.", fields={"token_input": "only for tokens"})
        if (row.unit, row.token_input) != (unit, token_input):
            row.unit, row.token_input = unit, token_input
            row.save(update_fields=["unit", "token_input"])
            bump_access_version()
            _announce(actor, row, "unit_declared", unit=str(unit), **({"input": token_input} if token_input else {}))
    return row


def share(actor: Actor, endpoint: Endpoint, holder: Holder, level: Level = Level.USE) -> None:
    """Give a person, an organisation or a team a right on it, free of charge: their calls are metered and drawn from no
    budget. It takes the place of an earlier share, and they are told. For its administrators. A second call changes nothing.
    Raises Invalid for the owner."""
    obtained = require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_ADMIN)
    with transaction.atomic():
        if grants.share(actor, obtained, holder, level):
            name = f"{obtained.namespace.name}/{obtained.name}"
            notify_users(
                people_behind(holder),
                "share",
                f"{actor.username or 'The operator'} shared the endpoint {name} with you: {level.codename}.",
                url=f"/subjects/endpoint/{obtained.uuid}",
            )


def unshare(actor: Actor, endpoint: Endpoint, holder: Holder) -> int:
    """Take back what `share` gave; returns how many grants ended. Bought rights stay."""
    obtained = require_endpoint_by_uuid(actor, endpoint.uuid, Action.ENDPOINT_ADMIN)
    return grants.revoke_for(actor, obtained, holder, source=grants.SHARE)


def report_loaded(
    actor: Actor, uuid: UUID, digest: str, *, inputs: Sequence[dict[str, Any]], outputs: Sequence[dict[str, Any]]
) -> bool:
    """The inference process has loaded the model that the endpoint waits for: it is served from now on. `inputs`, `outputs`:
    name, datatype and shape as the graph has them; columns, classes and so on stay as the version says. False, with nothing
    written, when the endpoint waits for something else meanwhile or another process has reported."""
    with transaction.atomic():
        row = Endpoint.objects.select_for_update().filter(uuid=uuid).first()
        if row is None or row.state not in LOADING or row.next_digest != digest:
            return False
        signature = row.next_signature | {
            "inputs": _merged(row.next_signature.get("inputs"), inputs),
            "outputs": _merged(row.next_signature.get("outputs"), outputs),
        }
        _move(
            row,
            EndpointState.READY,
            problem="",
            version_uuid=row.next_version_uuid,
            version_name=row.next_version_name,
            build_uuid=row.next_build_uuid,
            digest=row.next_digest,
            size_bytes=row.next_size_bytes,
            signature=signature,
            next_version_uuid=None,
            next_version_name="",
            next_build_uuid=None,
            next_digest="",
            next_size_bytes=0,
            next_signature={},
        )
        _announce(actor, row, "ready", version=str(row.version_uuid))
    return True


def report_failed(actor: Actor, uuid: UUID, digest: str, problem: str) -> bool:
    """The inference process cannot load the model that the endpoint waits for. A first deployment fails; an update is given up
    and the present version stays. False, with nothing written, in the cases of `report_loaded`."""
    with transaction.atomic():
        row = Endpoint.objects.select_for_update().filter(uuid=uuid).first()
        if row is None or row.state not in LOADING or row.next_digest != digest:
            return False
        after = EndpointState.FAILED if row.state == EndpointState.DEPLOYING else EndpointState.READY
        _move(row, after, problem=problem[:_PROBLEM_LIMIT])
        _announce(actor, row, "load_failed", problem=problem[:_PROBLEM_LIMIT])
    return True


def _model_of(actor: Actor, version_uuid: UUID | str, build_uuid: UUID | str | None) -> _Model:
    version = require_version(actor, version_uuid, Action.REPO_READ)
    if version.repo.kind != RepoKind.MODEL:
        raise Invalid("Only versions of models can be deployed.", fields={"version_uuid": "not a model"})
    refuse_yanked(version, "deployed")
    refuse_held(version.uuid, "deployed")
    build = build_named(version, build_uuid) if build_uuid else None
    if build is not None:
        refuse_withdrawn(build, "deployed")
        if build.format != BuildFormat.ONNX:
            raise Invalid(
                "Endpoints answer from ONNX: choose the ONNX build.", fields={"build_uuid": f"made for {build.format}"}
            )
    blob = file_of(build, GRAPH) if build is not None else _own_graph(version)
    require_free(version.repo, [blob])
    if verdict_of_blob(blob) not in {None, Verdict.DATA_ONLY}:
        raise Invalid(
            f"Scanning could not prove that {GRAPH} holds nothing but data: it cannot be deployed.",
            fields={"version_uuid": "not proven safe"},
        )
    signature = build.signature if build is not None else version.signature
    return _Model(
        version.uuid, version.name, build.uuid if build is not None else None, blob.sha256, blob.size_bytes, signature
    )


def _own_graph(version: "Version") -> "Blob":
    entry = entry_at_or_none(version.commit, GRAPH)
    if entry is not None:
        return blob_of(entry)
    build = graph_build(version)
    raise Invalid(
        f"The version has no file {GRAPH}: "
        + (f"deploy its ONNX build {build.uuid}." if build is not None else "make an ONNX build of it first."),
        fields={"version_uuid": f"no {GRAPH}"},
    )


def _source(model: _Model) -> Ref:
    return Ref("build", model.build_uuid) if model.build_uuid else Ref("version", model.version_uuid)


def _named(model: _Model) -> dict[str, str]:
    return {"version": str(model.version_uuid)} | ({"build": str(model.build_uuid)} if model.build_uuid else {})


def _as_next(model: _Model) -> dict[str, Any]:
    return {
        "next_version_uuid": model.version_uuid,
        "next_version_name": model.version_name,
        "next_build_uuid": model.build_uuid,
        "next_digest": model.digest,
        "next_size_bytes": model.size_bytes,
        "next_signature": model.signature,
    }


def _free_slug(text: str) -> str:
    base = "-".join(re.findall(r"[a-z0-9]+", text.lower()))[: SLUG_LIMIT - 7].strip("-") or "endpoint"
    if not Endpoint.objects.filter(slug=base).exists():
        return base
    return f"{base}-{secrets.token_hex(3)}"


def _locked(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.select_for_update(of=("self",)).select_related("namespace").get(pk=endpoint.pk)


def _move(row: Endpoint, state: EndpointState, **changes: Any) -> None:
    """Raises Conflict when the state may not follow."""
    ENDPOINTS.ensure(EndpointState(row.state), state)
    row.state = state
    row.updated_at = now()
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=["state", "updated_at", *changes])


def _announce(actor: Actor, row: Endpoint, deed: str, **detail: Any) -> None:
    audit.record(actor, f"compute:endpoint:{deed}", "endpoint", row.uuid, namespace_id=row.namespace_id, **detail)
    bump_access_version()


def _merged(said: Any, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the graph says of each tensor, with what the version's signature adds under the same name."""
    known = {each["name"]: each for each in said or () if isinstance(each, dict) and "name" in each}
    return [known.get(each["name"], {}) | each for each in found]
