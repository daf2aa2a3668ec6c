"""What the inference process serves from: all endpoints, tokens, grants and budgets in memory, and the decision who may call.

The decision is the one of endpoint_policies.py (`usable_endpoints`), made without a database; a test asks both the same
questions. Building the table takes a dozen queries whatever its size; it is built anew when the access version has risen."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from accounts.access_version import access_version
from accounts.credentials import Credential, live_credentials
from accounts.permissions import LEVEL_OF_ROLE, Level, Role, Scope
from common.clock import now
from common.errors import Forbidden, NotFound
from compute.endpoint_states import LOADING, SERVING, EndpointState, EndpointVisibility
from compute.models import Endpoint, EndpointGroupGrant, EndpointUserGrant
from metering.meters import Meter
from metering.queries import open_budgets
from registry.queries import held_back_models

ENTITLEMENT = "entitlement:"
"""Grants from such a source were bought: a call draws on a budget of their holder. Other grants are gifts of the owner."""


@dataclass(frozen=True, slots=True)
class ServedEndpoint:
    """One endpoint as calls need it."""

    pk: int
    uuid: UUID
    slug: str
    namespace: str
    """Lower case, as is `name`."""
    name: str
    namespace_pk: int
    namespace_uuid: UUID
    visibility: EndpointVisibility
    state: EndpointState
    version_uuid: UUID | None
    version_name: str
    digest: str
    size_bytes: int
    build_uuid: UUID | None
    """None: the version's own file is served."""
    next_version_uuid: UUID | None
    next_build_uuid: UUID | None
    next_digest: str
    next_size_bytes: int
    is_held_back: bool = False
    """The model file is under quarantine."""

    @property
    def is_serving(self) -> bool:
        return self.state in SERVING

    @property
    def may_answer(self) -> bool:
        """Whether a call may reach its model, also one that is in memory already."""
        return self.is_serving and not self.is_held_back

    @property
    def is_loading(self) -> bool:
        return self.state in LOADING


@dataclass(frozen=True, slots=True)
class Right:
    """A live grant on one endpoint. `payer`: the namespace whose budget it draws on."""

    level: Level
    payer: UUID
    is_bought: bool
    valid_until: float | None
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class OpenBudget:
    """A budget for calls. Unlimited ones are counted but not held."""

    pk: int
    is_unlimited: bool
    valid_until: float | None


@dataclass(frozen=True, slots=True)
class Seat:
    """One way to be served: who is charged, and from which budgets (the one that ends first comes first); none: no charge."""

    payer: UUID
    budgets: tuple[OpenBudget, ...] = ()
    needs_budget: bool = False
    valid_until: float | None = None


@dataclass(frozen=True)
class ServingTable:
    """`version` is the access version it was read at or after."""

    version: int
    by_slug: dict[str, ServedEndpoint] = field(default_factory=dict)
    by_path: dict[tuple[str, str], ServedEndpoint] = field(default_factory=dict)
    credentials: dict[str, Credential] = field(default_factory=dict)
    user_rights: dict[tuple[int, int], list[Right]] = field(default_factory=dict)
    """(endpoint, user) -> grants."""
    group_rights: dict[tuple[int, int], list[Right]] = field(default_factory=dict)
    """(endpoint, group) -> grants."""
    budgets: dict[tuple[UUID, UUID], tuple[OpenBudget, ...]] = field(default_factory=dict)
    """(holder namespace, endpoint) -> open budgets, the one that ends first first."""

    def rights_of(self, credential: Credential, endpoint: ServedEndpoint) -> list[Right]:
        """The grants that reach the credential's owner, directly or through a group."""
        if not credential.reaches(endpoint.namespace_pk):
            return []
        found = list(self.user_rights.get((endpoint.pk, credential.person.user_pk), ()))
        for group_pk in credential.person.group_ids:
            found.extend(self.group_rights.get((endpoint.pk, group_pk), ()))
        return found

    def seats(self, credential: Credential, endpoint: ServedEndpoint) -> tuple[Seat, ...]:
        """Every way in which the credential may call the endpoint, free ones first. The caller must still look at the seats'
        `valid_until`. Raises NotFound when its owner may not know of the endpoint, Forbidden when they may not call it."""
        may_ask = Scope.ENDPOINT_USE in credential.scopes
        rights = self.rights_of(credential, endpoint) if may_ask else []
        role = credential.person.roles.get(endpoint.namespace_pk) if credential.reaches(endpoint.namespace_pk) else None
        if endpoint.visibility != EndpointVisibility.PUBLIC and not (may_ask and (rights or _sees(role, endpoint))):
            raise NotFound("There is no such model.")
        if not may_ask:
            raise Forbidden(f"This token lacks the scope {Scope.ENDPOINT_USE}.")
        if _calls(role, endpoint):
            return (Seat(endpoint.namespace_uuid),)
        found = [
            Seat(
                right.payer,
                self.budgets.get((right.payer, endpoint.uuid), ()) if right.is_bought else (),
                needs_budget=right.is_bought,
                valid_until=right.valid_until,
            )
            for right in rights
            if right.level >= Level.USE
        ]
        if not found:
            raise Forbidden("You may see this model, but you may not call it.")
        return tuple(sorted(set(found), key=lambda seat: (seat.needs_budget, not seat.budgets)))


def _level(role: Role | None) -> int:
    return (LEVEL_OF_ROLE[role] or 0) if role else 0


def _sees(role: Role | None, endpoint: ServedEndpoint) -> bool:
    in_house = role is not None and endpoint.visibility == EndpointVisibility.ORGANIZATION
    return in_house or _level(role) >= Level.DISCOVER


def _calls(role: Role | None, endpoint: ServedEndpoint) -> bool:
    in_house = role is not None and endpoint.visibility == EndpointVisibility.ORGANIZATION
    return in_house or _level(role) >= Level.USE


def serving_table() -> ServingTable:
    """The whole table. The version is read first, so that a change made meanwhile causes another reading."""
    version = access_version()
    rows = list(
        Endpoint.objects.filter(deleted_at__isnull=True)
        .select_related("namespace")
        .defer("signature", "next_signature")
    )
    held = held_back_models({(row.version_uuid, row.digest) for row in rows if row.version_uuid is not None})
    endpoints = [
        ServedEndpoint(
            pk=row.pk,
            uuid=row.uuid,
            slug=row.slug,
            namespace=row.namespace.name.lower(),
            name=row.name.lower(),
            namespace_pk=row.namespace_id,
            namespace_uuid=row.namespace.uuid,
            visibility=EndpointVisibility(row.visibility),
            state=EndpointState(row.state),
            version_uuid=row.version_uuid,
            version_name=row.version_name,
            digest=row.digest,
            size_bytes=row.size_bytes,
            build_uuid=row.build_uuid,
            next_version_uuid=row.next_version_uuid,
            next_build_uuid=row.next_build_uuid,
            next_digest=row.next_digest,
            next_size_bytes=row.next_size_bytes,
            is_held_back=(row.version_uuid, row.digest) in held,
        )
        for row in rows
    ]
    return ServingTable(
        version,
        by_slug={each.slug: each for each in endpoints},
        by_path={(each.namespace, each.name): each for each in endpoints},
        credentials=live_credentials(),
        user_rights=_user_rights(),
        group_rights=_group_rights(),
        budgets=_budgets(),
    )


def _user_rights() -> dict[tuple[int, int], list[Right]]:
    rights: dict[tuple[int, int], list[Right]] = defaultdict(list)
    rows = EndpointUserGrant.objects.filter(_live()).values_list(
        "content_object_id", "user_id", "permission__codename", "source", "valid_until", "user__namespace__uuid"
    )
    for endpoint_pk, user_pk, codename, source, valid_until, payer in rows:
        rights[endpoint_pk, user_pk].append(_right(codename, source, valid_until, payer))
    return dict(rights)


def _group_rights() -> dict[tuple[int, int], list[Right]]:
    rights: dict[tuple[int, int], list[Right]] = defaultdict(list)
    rows = EndpointGroupGrant.objects.filter(_live()).values_list(
        "content_object_id",
        "group_id",
        "permission__codename",
        "source",
        "valid_until",
        "group__organization__namespace__uuid",
        "group__team__organization__namespace__uuid",
    )
    for endpoint_pk, group_pk, codename, source, valid_until, of_organization, of_team in rows:
        payer = of_organization or of_team
        if payer is not None:
            rights[endpoint_pk, group_pk].append(_right(codename, source, valid_until, payer))
    return dict(rights)


def _live() -> Q:
    return Q(valid_until__isnull=True) | Q(valid_until__gt=now())


def _right(codename: str, source: str, valid_until: datetime | None, payer: UUID) -> Right:
    level = Level[codename.removesuffix("_endpoint").upper()]
    return Right(level, payer, source.startswith(ENTITLEMENT), _epoch(valid_until))


def _budgets() -> dict[tuple[UUID, UUID], tuple[OpenBudget, ...]]:
    found: dict[tuple[UUID, UUID], list[OpenBudget]] = defaultdict(list)
    for row in open_budgets(meter=Meter.INFERENCE_CALLS):
        found[row.holder, row.subject].append(OpenBudget(row.pk, row.granted is None, _epoch(row.valid_until)))
    return {key: tuple(sorted(rows, key=lambda each: each.valid_until or float("inf"))) for key, rows in found.items()}


def _epoch(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
