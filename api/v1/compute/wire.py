"""Recipes, jobs and endpoints on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from compute.endpoint_queries import addresses
from compute.endpoint_states import EndpointState, EndpointVisibility
from compute.queries import job_progress
from compute.states import JobState
from metering.units import Unit

if TYPE_CHECKING:
    from backends.programs.catalogue import Recipe
    from compute.models import Artifact, Endpoint, Job, JobEvent
    from compute.queries import JobCost, LogPage

ENDPOINT_VISIBILITIES = [each.value for each in EndpointVisibility]
UNITS = [each.value for each in Unit]


class ParameterWire(serializers.Serializer):
    name = serializers.CharField()
    type = serializers.CharField()
    default = serializers.JSONField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    help = serializers.CharField()


class RecipeInputWire(serializers.Serializer):
    name = serializers.CharField()
    kind = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]  # the name is the wire's
    help = serializers.CharField()


class RecipeWire(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    task = serializers.CharField()
    produces = serializers.CharField()
    parameters = ParameterWire(many=True)
    inputs = RecipeInputWire(many=True)


class TargetNew(serializers.Serializer):
    """The repository that takes the outcome; made, private, when it does not exist. None for a recipe that makes a report, or a
    build: that goes to the version which is its input `model`."""

    kind = serializers.ChoiceField(["model", "dataset", "algorithm"], default="model")
    name = serializers.CharField(max_length=96)


class JobNew(serializers.Serializer):
    namespace = serializers.CharField(max_length=96)
    recipe = serializers.CharField(max_length=60)
    parameters = serializers.DictField(required=False, default=dict)
    inputs = serializers.DictField(child=serializers.UUIDField())
    target = TargetNew(required=False, allow_null=True, default=None)
    version_name = serializers.CharField(max_length=80, required=False, allow_null=True, default=None)


class JobWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    namespace = serializers.CharField()
    recipe = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField([each.value for each in JobState])
    problem = serializers.CharField(allow_blank=True)
    fraction = serializers.FloatField()
    message = serializers.CharField(allow_blank=True)
    elapsed_s = serializers.FloatField()
    left_s = serializers.FloatField(allow_null=True)
    parameters = serializers.DictField()
    inputs = serializers.DictField()
    target = serializers.CharField(allow_null=True)
    version = serializers.UUIDField(allow_null=True)
    build = serializers.UUIDField(allow_null=True)
    result = serializers.DictField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class JobEventWire(serializers.Serializer):
    at = serializers.DateTimeField()
    text = serializers.CharField()


class ArtifactWire(serializers.Serializer):
    path = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class JobDetailWire(JobWire):
    """A job with its history, what it cost and the files it made."""

    cpu_s = serializers.FloatField()
    wall_s = serializers.FloatField()
    peak_memory_bytes = serializers.IntegerField()
    events = JobEventWire(many=True)
    artifacts = ArtifactWire(many=True)


class LogWire(serializers.Serializer):
    """Ask again with `offset=next_offset` until `is_final`."""

    text = serializers.CharField(allow_blank=True)
    next_offset = serializers.IntegerField()
    is_final = serializers.BooleanField()


class CurvesWire(serializers.Serializer):
    """`{name: [[step, value], …]}`"""

    curves = serializers.DictField()


class EndpointNew(serializers.Serializer):
    """With `build`, that ONNX build of the version is served, else the version's own `model.onnx`."""

    namespace = serializers.CharField(max_length=96)
    name = serializers.CharField(max_length=96)
    version = serializers.UUIDField()
    build = serializers.UUIDField(required=False, allow_null=True, default=None)
    slug = serializers.CharField(max_length=80, required=False, allow_null=True, default=None)
    visibility = serializers.ChoiceField(ENDPOINT_VISIBILITIES, default=EndpointVisibility.PRIVATE.value)


class EndpointChange(serializers.Serializer):
    """`version`, and `build` of that version, move it; `is_running` starts or stops it."""

    version = serializers.UUIDField(required=False)
    build = serializers.UUIDField(required=False, allow_null=True)
    visibility = serializers.ChoiceField(ENDPOINT_VISIBILITIES, required=False)
    is_running = serializers.BooleanField(required=False)
    unit = serializers.ChoiceField(UNITS, required=False, help_text="What its use may be sold by, beside calls.")
    token_input = serializers.CharField(
        max_length=160,
        required=False,
        allow_blank=True,
        help_text="With `unit` tokens: the input whose elements are counted.",
    )


class EndpointWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    slug = serializers.CharField()
    visibility = serializers.ChoiceField(ENDPOINT_VISIBILITIES)
    unit = serializers.ChoiceField(UNITS, help_text="What its use may be sold by, beside calls.")
    token_input = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField([each.value for each in EndpointState])
    problem = serializers.CharField(allow_blank=True)
    version = serializers.UUIDField(allow_null=True)
    version_name = serializers.CharField(allow_blank=True)
    build = serializers.UUIDField(allow_null=True)
    signature = serializers.DictField()
    infer_url = serializers.URLField()
    base_url = serializers.URLField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class UsageWire(serializers.Serializer):
    days = serializers.ListField(child=serializers.DictField())
    total = serializers.IntegerField()


def recipe(row: "Recipe") -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.title,
        "summary": row.summary,
        "task": row.task,
        "produces": row.produces,
        "parameters": [
            {
                "name": each.name,
                "type": each.type,
                "default": each.default,
                "choices": list(each.choices),
                "low": each.low,
                "high": each.high,
                "help": each.help,
            }
            for each in row.parameters
        ],
        "inputs": [
            {"name": each.name, "kind": each.kind, "required": each.required, "help": each.help} for each in row.inputs
        ],
    }


def job(row: "Job") -> dict[str, Any]:
    """Wants namespace, target, version and build joined, as `visible_jobs` gives them."""
    progress = job_progress(row)
    return {
        "uuid": row.uuid,
        "namespace": row.namespace.name,
        "recipe": row.recipe,
        "title": row.title,
        "state": row.state,
        "problem": row.problem,
        "fraction": row.fraction,
        "message": row.message,
        "elapsed_s": progress.elapsed_s,
        "left_s": progress.left_s,
        "parameters": row.parameters,
        "inputs": row.inputs,
        "target": f"{row.target.namespace.name}/{row.target.name}" if row.target else None,
        "version": row.version.uuid if row.version else None,
        "build": row.build.uuid if row.build else None,
        "result": row.result,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def job_detail(row: "Job", cost: "JobCost", events: "list[JobEvent]", artifacts: "list[Artifact]") -> dict[str, Any]:
    return job(row) | {
        "cpu_s": cost.cpu_s,
        "wall_s": cost.wall_s,
        "peak_memory_bytes": cost.peak_memory_bytes,
        "events": [{"at": each.at, "text": each.text} for each in events],
        "artifacts": [
            {"path": each.path, "size_bytes": each.blob.size_bytes, "sha256": each.blob.sha256} for each in artifacts
        ],
    }


def log_page(page: "LogPage") -> dict[str, Any]:
    return {"text": page.text, "next_offset": page.next_offset, "is_final": page.is_final}


def endpoint(row: "Endpoint") -> dict[str, Any]:
    """Wants the namespace joined."""
    places = addresses(row)
    return {
        "uuid": row.uuid,
        "namespace": row.namespace.name,
        "name": row.name,
        "slug": row.slug,
        "visibility": row.visibility,
        "unit": row.unit,
        "token_input": row.token_input,
        "state": row.state,
        "problem": row.problem,
        "version": row.version_uuid,
        "version_name": row.version_name,
        "build": row.build_uuid,
        "signature": row.signature,
        "infer_url": places.infer,
        "base_url": places.own,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
