"""What is measured of a version after its release: added, never changed; what was wrong is withdrawn by an entry of its own."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import DomainError, Invalid, NotFound
from registry.measurements import LIMIT, METRIC_FIELDS, check_hardware, check_metric, check_name, check_source
from registry.models import Measurement, MeasurementWithdrawal, Version
from registry.policies import require_repo, require_repo_by_uuid
from registry.queries import resolve_revision, version_named
from registry.states import MeasurementKind, RepoKind

REASON_LIMIT = 500


def add_measurement(actor: Actor, version: Version, *, kind: str, name: str, values: Mapping[str, Any]) -> Measurement:
    """Add a metric or a measurement on hardware to a version. Needs the right to write; data that is named as
    `owner/name@revision` is looked up, and must be there for the actor. Raises Invalid, NotFound. Not idempotent by itself: the
    surface that offers it has idempotency keys."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    name = check_name(name)
    if kind == MeasurementKind.METRIC:
        if unknown := sorted(set(values) - set(METRIC_FIELDS)):
            raise Invalid(f"A metric has {', '.join(METRIC_FIELDS)}.", fields=dict.fromkeys(unknown, "unknown"))
        checked = _with_data(actor, check_metric(name, {key: each for key, each in values.items() if each is not None}))
    elif kind == MeasurementKind.HARDWARE:
        checked = check_hardware(name, values)
    else:
        raise Invalid("A measurement is a metric or one on hardware.", fields={"kind": "metric or hardware"})
    with transaction.atomic():
        if Measurement.objects.filter(version=version).count() >= LIMIT:
            raise Invalid(f"A version has at most {LIMIT} measurements.", code="too_many_measurements")
        measurement = Measurement.objects.create(
            version=version, kind=kind, name=name, values=checked, created_by_id=actor.user_id, created_at=now()
        )
        audit.record(
            actor,
            "registry:version:measured",
            "version",
            version.uuid,
            namespace_id=repo.namespace_id,
            kind=kind,
            name=name,
            measurement=str(measurement.uuid),
        )
    return measurement


def withdraw_measurement(actor: Actor, version: Version, uuid: UUID, *, reason: str) -> Measurement:
    """Say that a measurement of the version is wrong: it stays on record with the reason, and nothing counts it any more. Needs the
    right to write. A second call changes nothing. Raises NotFound, Invalid without a reason."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    reason = " ".join(reason.replace("\x00", "").split())
    if not 0 < len(reason) <= REASON_LIMIT:
        raise Invalid(
            f"Say what is wrong with it, in at most {REASON_LIMIT} characters.",
            fields={"reason": "missing or too long"},
        )
    measurement = Measurement.objects.filter(version=version, uuid=uuid).first()
    if measurement is None:
        raise NotFound(f"Version {version.name} has no such measurement.")
    with transaction.atomic():
        _, is_new = MeasurementWithdrawal.objects.get_or_create(
            measurement=measurement,
            defaults={"reason": reason, "created_by_id": actor.user_id, "created_at": now()},
        )
        if is_new:
            audit.record(
                actor,
                "registry:measurement:withdrawn",
                "version",
                version.uuid,
                namespace_id=repo.namespace_id,
                measurement=str(measurement.uuid),
                reason=reason,
            )
    return Measurement.objects.select_related("created_by", "withdrawal__created_by").get(pk=measurement.pk)


def _with_data(actor: Actor, metric: dict[str, Any]) -> dict[str, Any]:
    """`dataset` of the form `owner/name@revision` is pinned: to the version, or to the commit when it is not one."""
    for field in ("dataset", "split"):
        if not isinstance(metric.get(field, ""), str) or len(metric.get(field, "")) > 300:
            raise Invalid(f"{field} is a text.", fields={field: "not a text"})
    check_source(metric)
    metric.pop("dataset_version", None)
    full_name, at, revision = metric.get("dataset", "").partition("@")
    if not at:
        return metric
    namespace, _, name = full_name.partition("/")
    data = require_repo(actor, RepoKind.DATASET, namespace, name, Action.REPO_DISCOVER)
    try:
        version = version_named(data, revision)
    except DomainError:
        return metric | {"dataset": f"{full_name}@{resolve_revision(data, revision).oid}"}
    return metric | {"dataset": f"{full_name}@{version.name}", "dataset_version": str(version.uuid)}
