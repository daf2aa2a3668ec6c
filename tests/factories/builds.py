"""Builds without the job that would make them."""

from typing import Any

from accounts.actors import Actor
from common.ids import new_uuid
from registry.models import Build, Version
from registry.services import storage
from registry.services.builds import add_build
from registry.states import BuildFormat

REPORT = {
    "real_rows": 178,
    "boundary_rows": 3,
    "max_difference": 2e-7,
    "max_absolute_difference": 2e-7,
    "max_relative_difference": 4e-7,
    "p999_difference": 1e-7,
    "label_agreement": 1.0,
    "tolerance": 1e-4,
    "is_equivalent": True,
    "dataset": "acme/rows@1.0",
}


def make_build(actor: Actor, version: Version, content: bytes = b"a graph", **changes: Any) -> Build:
    """An ONNX build of one file."""
    given = {
        "format": BuildFormat.ONNX,
        "target": "any processor",
        "program": "convert-onnx",
        "program_sha256": "0" * 64,
        "equivalence": REPORT,
        "signature": {},
        "environment": {},
        "job_uuid": new_uuid(),
        "key": f"test:{new_uuid()}",
    }
    return add_build(actor, version, [("model.onnx", storage.store_bytes(content))], **{**given, **changes})
