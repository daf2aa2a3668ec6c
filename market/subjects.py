"""What a listing is about, and how access to it is opened: one line of knowledge for each kind of subject, in one place."""

from typing import TYPE_CHECKING, Union, cast
from uuid import UUID

from accounts.actors import Actor, system
from accounts.permissions import Action, Level
from common.errors import Conflict, Invalid, NotFound
from compute.endpoint_policies import require_endpoint_by_uuid, visible_endpoints
from compute.endpoint_states import SERVING
from lineage.services.record import Ref
from market.recall_queries import is_sale_stopped
from market.states import SubjectKind
from metering.units import Unit
from registry.channels import LATEST, newest_on, parse_channel
from registry.policies import require_repo_by_uuid, visible_repos
from registry.queries import held_back_in, verdict_of, version_by_uuid
from registry.standing import refuse_yanked
from registry.states import UNSELLABLE

if TYPE_CHECKING:
    from compute.models import Endpoint
    from market.models import Listing
    from registry.models import Repo, Version

Subject = Union["Repo", "Endpoint"]

_SYSTEM = system("market")

LEVELS = {
    SubjectKind.MODEL: Level.READ,
    SubjectKind.DATASET: Level.READ,
    SubjectKind.ALGORITHM: Level.READ,
    SubjectKind.ENDPOINT: Level.USE,
}
"""What an entitlement opens: the bytes of a repository, the calls of an endpoint."""


def require_subject(actor: Actor, kind: SubjectKind, uuid: UUID) -> Subject:
    """The subject, administered by `actor`. Raises NotFound, Forbidden; Invalid when it is of another kind."""
    if kind == SubjectKind.ENDPOINT:
        return require_endpoint_by_uuid(actor, uuid, Action.ENDPOINT_ADMIN)
    repo = require_repo_by_uuid(actor, uuid, Action.REPO_ADMIN)
    if repo.kind != kind:
        raise Invalid(f"This is a {repo.kind}, not a {kind}.", fields={"subject": "of another kind"})
    return repo


def visible_subject(actor: Actor, kind: str, uuid: UUID) -> tuple[SubjectKind, Subject]:
    """A subject that `actor` may see, with its kind. Raises NotFound, also for a kind that is none."""
    if kind not in list(SubjectKind):
        raise NotFound("There is no such thing.")
    word = SubjectKind(kind)
    if word == SubjectKind.ENDPOINT:
        return word, require_endpoint_by_uuid(actor, uuid, Action.ENDPOINT_DISCOVER)
    repo = require_repo_by_uuid(actor, uuid, Action.REPO_DISCOVER)
    if repo.kind != word:
        raise NotFound("There is no such thing.")
    return word, repo


def subject_of_listing(actor: Actor, listing: "Listing") -> Subject:
    """What a listing is about, as `actor` (the system, for what a listing tells everybody) may see it. Raises NotFound."""
    return visible_subject(actor, listing.subject_kind, listing.subject_uuid)[1]


def model_of(kind: SubjectKind) -> "type[Subject]":
    """The class of a subject, for closing grants by their source: that works for deleted ones too."""
    return visible_endpoints(_SYSTEM).model if kind == SubjectKind.ENDPOINT else visible_repos(_SYSTEM).model


def version_of(kind: SubjectKind, subject: Subject, channel: str = LATEST) -> "Version | None":
    """The version that is offered now: the one an endpoint serves, the newest of a repository on the channel."""
    if kind == SubjectKind.ENDPOINT:
        uuid = cast("Endpoint", subject).version_uuid
        return version_by_uuid(uuid) if uuid else None
    return newest_on(cast("Repo", subject), channel)


def check_unit(subject: Subject, unit: Unit) -> None:
    """Raises Invalid unless the endpoint's owner has declared that it is sold by this unit."""
    declared = cast("Endpoint", subject).unit
    if unit not in {Unit.CALLS, declared}:
        raise Invalid(
            f"The endpoint is sold by {' or '.join(dict.fromkeys((Unit.CALLS, Unit(declared))))}: declare {unit} on its "
            "page first.",
            fields={"unit": "not declared by the endpoint"},
        )


def declared_unit(listing: "Listing") -> Unit | None:
    """By what use of an endpoint its owner lets it be sold, beside calls; None for files."""
    if listing.subject_kind != SubjectKind.ENDPOINT:
        return None
    try:
        return Unit(cast("Endpoint", subject_of_listing(_SYSTEM, listing)).unit)
    except NotFound:
        return Unit.CALLS


def check_channel(kind: SubjectKind, subject: Subject, channel: str) -> None:
    """Raises Invalid unless a listing of the subject can follow the channel: an endpoint has none but `latest`, a repository needs
    a version on any other."""
    parse_channel(channel)
    if channel == LATEST:
        return
    if kind == SubjectKind.ENDPOINT:
        raise Invalid(
            "An endpoint offers the version it serves: its channel is latest.", fields={"channel": "latest only"}
        )
    if version_of(kind, subject, channel) is None:
        raise Invalid(
            "There is no version on this channel: publish one, or take another channel.",
            fields={"channel": "no version"},
        )


def check_sellable(kind: SubjectKind, subject: Subject, channel: str = LATEST) -> None:
    """Raises Conflict unless there is something to hand over: a repository with a version on the channel that is not withdrawn and
    that scanning does not call unsafe, an endpoint that answers and whose version is not withdrawn."""
    if kind == SubjectKind.ENDPOINT:
        endpoint = cast("Endpoint", subject)
        if endpoint.state not in SERVING or endpoint.version_uuid is None:
            raise Conflict("The endpoint does not answer calls yet.", code="not_sellable")
        refuse_yanked(version_by_uuid(endpoint.version_uuid), "sold")
        _refuse_recalled(endpoint.version_uuid, endpoint.build_uuid)
        return
    version = version_of(kind, subject, channel)
    if version is None:
        raise Conflict(
            "There is no version to hand over: publish one first; those that were withdrawn do not count.",
            code="not_sellable",
        )
    _refuse_recalled(version.uuid)
    if verdict_of(version) in UNSELLABLE or held_back_in([version.uuid]) is not None:
        raise Conflict(
            f"Scanning found something in version {version.name}, or a file of it is under quarantine: it can't be sold.",
            code="unsafe",
        )


def refuse_recalled(listing: "Listing") -> None:
    """Raises Conflict when sales of what a listing hands over now were stopped by a recall; NotFound when that is gone."""
    kind = SubjectKind(listing.subject_kind)
    subject = require_subject(_SYSTEM, kind, listing.subject_uuid)
    version = version_of(kind, subject, listing.channel)
    build = cast("Endpoint", subject).build_uuid if kind == SubjectKind.ENDPOINT else None
    _refuse_recalled(version.uuid if version else None, build)


def _refuse_recalled(*uuids: UUID | None) -> None:
    if any(uuid is not None and is_sale_stopped(uuid) for uuid in uuids):
        raise Conflict(
            "What this hands over was recalled: nothing of it is sold until it offers another version.", code="recalled"
        )


def current_source(kind: SubjectKind, subject: Subject, channel: str = LATEST) -> Ref:
    """What a listing is made of now, as a node of the lineage: the endpoint, or the repository's version on the channel."""
    if kind == SubjectKind.ENDPOINT:
        return Ref("endpoint", subject.uuid)
    version = version_of(kind, subject, channel)
    return Ref("version", version.uuid) if version else Ref(kind, subject.uuid)
