"""What is seen of an endpoint once inside: where it is called, and the bytes that the inference process loads."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from backends.contracts.stores import Reader
from common.errors import Busy, Invalid
from compute.models import Endpoint
from registry.build_queries import GRAPH, build_named, file_of
from registry.queries import blob_of, entry_at, held_back, verdict_of_blob, version_by_uuid
from registry.services.storage import open_blob
from registry.states import Verdict


@dataclass(frozen=True)
class Addresses:
    """Where an endpoint answers. `model`: the model name to use with the site-wide address."""

    site: str
    """Base address of the Open Inference Protocol for all endpoints, without `/v2`."""
    own: str
    """Base address of this endpoint alone, without `/v2`."""
    model: str
    infer: str
    """The whole URL that a call is posted to."""


def addresses(endpoint: Endpoint) -> Addresses:
    """No query when the namespace is joined."""
    site = settings.INFERENCE_URL
    own = f"{site}/serve/{endpoint.namespace.name}/{endpoint.name}"
    return Addresses(site, own, endpoint.slug, f"{site}/v2/models/{endpoint.slug}/infer")


@contextmanager
def open_model(version_uuid: UUID, build_uuid: UUID | None, digest: str) -> Iterator[Reader]:
    """The bytes of the model file of a version, or of a build of it, for the process that will run it. Raises Invalid unless scanning has proven that the
    file holds data only and unless it is free of quarantine; Busy while it has not been scanned; Invalid when it is not the one of `digest`."""
    version = version_by_uuid(version_uuid)
    blob = file_of(build_named(version, build_uuid), GRAPH) if build_uuid else blob_of(entry_at(version.commit, GRAPH))
    if held_back(version.repo_id, [blob.pk]):
        raise Invalid("The model file is under quarantine.", code="quarantined")
    if blob.sha256 != digest:
        raise Invalid("The version's model file is not the one that was deployed.")
    verdict = verdict_of_blob(blob)
    if verdict is None:
        raise Busy("The model file is still being scanned.", retry_after_s=2)
    if verdict != Verdict.DATA_ONLY:
        raise Invalid("Scanning could not prove that the model file holds nothing but data.")
    with open_blob(blob) as reader:
        yield reader
