"""What is measured of a version after its release: added, never changed."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import DomainError, Invalid
from registry.measurements import LIMIT, METRIC_FIELDS, check_hardware, check_metric, check_name
from registry.models import Measurement, Version
from registry.policies import require_repo, require_repo_by_uuid
from registry.queries import resolve_revision, version_named
from registry.states import MeasurementKind, RepoKind


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


def _with_data(actor: Actor, metric: dict[str, Any]) -> dict[str, Any]:
    """`dataset` of the form `owner/name@revision` is pinned: to the version, or to the commit when it is not one."""
    for field in ("dataset", "split"):
        if not isinstance(metric.get(field, ""), str) or len(metric.get(field, "")) > 300:
            raise Invalid(f"{field} is a text.", fields={field: "not a text"})
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
