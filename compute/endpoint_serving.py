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
from accounts.directory import teams_by_uuid
from accounts.permissions import LEVEL_OF_ROLE, Level, Role, Scope
from common.clock import now
from common.errors import Forbidden, NotFound
from compute.endpoint_holds import held_things
from compute.endpoint_states import LOADING, SERVING, EndpointState, EndpointVisibility
from compute.models import Endpoint, EndpointGroupGrant, EndpointUserGrant
from metering.cap_words import cap_in_words
from metering.meters import Meter
from metering.queries import open_budgets, open_cap_months
from metering.units import UNIT_OF, Unit
from registry.queries import held_back_models

ENTITLEMENT = "entitlement:"
"""Grants from such a source were bought: a call draws on a budget of their holder. Other grants are gifts of the owner."""
TRIAL = "trial:"
"""Grants from such a source are a day's free calls: a call draws on the budget of that source, and only where its caller has no
other right."""


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
    token_input: str = ""
    """The input whose elements are the tokens of a call; empty: the first."""
    is_held_back: bool = False
    """The model file is under quarantine, or its version was recalled and its calls are frozen."""
    is_recalled: bool = False

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
    """A live grant on one endpoint. `payer`: the namespace whose budget it draws on; `source`: what it came from. What was bought draws
    on the budgets of the same source alone: of two entitlements of an organisation one may be for some of its people only."""

    level: Level
    payer: UUID
    source: str
    valid_until: float | None
    """Seconds since the epoch."""

    @property
    def is_bought(self) -> bool:
        return self.source.startswith(ENTITLEMENT)

    @property
    def is_trial(self) -> bool:
        return self.source.startswith(TRIAL)


@dataclass(frozen=True, slots=True)
class OpenBudget:
    """A budget for calls, counted in `unit`. Unlimited ones are counted but not held."""

    pk: int
    is_unlimited: bool
    valid_until: float | None
    price_micro: int = 0
    """What a unit counts for in caps on money, in millionths of a minor unit of `currency`."""
    currency: str = ""
    unit: Unit = Unit.CALLS


@dataclass(frozen=True, slots=True)
class OpenCap:
    """One month of a cap, a budget as well: a call takes 1 from it, or the price of its units when the cap is in a currency."""

    pk: int
    words: str
    """As a refusal names it."""
    currency: str
    starts_at: float
    ends_at: float
    """Seconds since the epoch."""
    group_pk: int | None = None
    token: UUID | None = None
    subject: UUID | None = None

    def holds_for(self, credential: Credential, endpoint: ServedEndpoint) -> bool:
        return (
            (self.group_pk is None or self.group_pk in credential.person.group_ids)
            and (self.token is None or self.token == credential.uuid)
            and (self.subject is None or self.subject == endpoint.uuid)
        )


@dataclass(frozen=True, slots=True)
class Seat:
    """One way to be served: who is charged, and from which budgets (the one that ends first comes first); none: no charge. A call
    takes from every one of `caps`, too."""

    payer: UUID
    budgets: tuple[OpenBudget, ...] = ()
    needs_budget: bool = False
    valid_until: float | None = None
    caps: tuple[OpenCap, ...] = ()
    is_trial: bool = False


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
    budgets: dict[tuple[str, UUID], tuple[OpenBudget, ...]] = field(default_factory=dict)
    """(source of the grant, endpoint) -> open budgets."""
    caps: dict[UUID, tuple[OpenCap, ...]] = field(default_factory=dict)
    """Payer -> months of caps, present and next."""

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
            return (Seat(endpoint.namespace_uuid, caps=self._caps(endpoint.namespace_uuid, credential, endpoint)),)
        found: dict[tuple[UUID, bool, bool, float | None], set[OpenBudget]] = {}
        usable = [right for right in rights if right.level >= Level.USE]
        # what is free for a day is for those who have nothing else
        for right in [right for right in usable if not right.is_trial] or usable:
            needs_budget = right.is_bought or right.is_trial
            budgets = found.setdefault((right.payer, needs_budget, right.is_trial, right.valid_until), set())
            if needs_budget:
                budgets.update(self.budgets.get((right.source, endpoint.uuid), ()))
        if not found:
            raise Forbidden("You may see this model, but you may not call it.")
        seats = [
            Seat(
                payer, _in_order(budgets), needs_budget, valid_until, self._caps(payer, credential, endpoint), is_trial
            )
            for (payer, needs_budget, is_trial, valid_until), budgets in found.items()
        ]
        return tuple(sorted(seats, key=lambda seat: (seat.needs_budget, not seat.budgets)))

    def _caps(self, payer: UUID, credential: Credential, endpoint: ServedEndpoint) -> tuple[OpenCap, ...]:
        caps = self.caps.get(payer)
        return tuple(cap for cap in caps if cap.holds_for(credential, endpoint)) if caps else ()


def _in_order(budgets: set[OpenBudget]) -> tuple[OpenBudget, ...]:
    """The one that ends first comes first; of those that don't, the oldest."""
    return tuple(sorted(budgets, key=lambda each: (each.valid_until or float("inf"), each.pk)))


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
    recalled = held_things({uuid for row in rows for uuid in (row.version_uuid, row.build_uuid) if uuid is not None})
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
            token_input=row.token_input,
            is_held_back=(row.version_uuid, row.digest) in held
            or not recalled.isdisjoint((row.version_uuid, row.build_uuid)),
            is_recalled=not recalled.isdisjoint((row.version_uuid, row.build_uuid)),
        )
        for row in rows
    ]
    budgets, payers = _budgets()
    return ServingTable(
        version,
        by_slug={each.slug: each for each in endpoints},
        by_path={(each.namespace, each.name): each for each in endpoints},
        credentials=live_credentials(),
        user_rights=_user_rights(payers),
        group_rights=_group_rights(),
        budgets=budgets,
        caps=_caps(),
    )


def _user_rights(payers: dict[str, UUID]) -> dict[tuple[int, int], list[Right]]:
    """A person's own grants. One that was bought is charged to whoever bought it: an organisation that gave the person a seat."""
    rights: dict[tuple[int, int], list[Right]] = defaultdict(list)
    rows = EndpointUserGrant.objects.filter(_live()).values_list(
        "content_object_id", "user_id", "permission__codename", "source", "valid_until", "user__namespace__uuid"
    )
    for endpoint_pk, user_pk, codename, source, valid_until, own in rows:
        rights[endpoint_pk, user_pk].append(_right(codename, source, valid_until, payers.get(source, own)))
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
    return Right(level, payer, source, _epoch(valid_until))


def _budgets() -> tuple[dict[tuple[str, UUID], tuple[OpenBudget, ...]], dict[str, UUID]]:
    """(open budgets by source of the grant and endpoint; who holds them, by source). A source `entitlement:<uuid>:<part>` is a part of
    the entitlement."""
    found: dict[tuple[str, UUID], list[OpenBudget]] = defaultdict(list)
    payers: dict[str, UUID] = {}
    for row in open_budgets(meters=list(UNIT_OF)):
        source = ":".join(row.source.split(":")[:2])
        payers[source] = row.holder
        found[source, row.subject].append(
            OpenBudget(
                row.pk,
                row.granted is None,
                _epoch(row.valid_until),
                row.price_micro,
                row.currency,
                UNIT_OF[Meter(row.meter)],
            )
        )
    return {key: tuple(rows) for key, rows in found.items()}, payers


def _caps() -> dict[UUID, tuple[OpenCap, ...]]:
    found: dict[UUID, list[OpenCap]] = defaultdict(list)
    months = list(open_cap_months())
    teams = teams_by_uuid(row.cap.team for row in months if row.cap is not None and row.cap.team is not None)
    for row in months:
        cap = row.cap
        assert cap is not None
        assert row.valid_from is not None
        assert row.valid_until is not None
        team = teams.get(cap.team) if cap.team is not None else None
        if cap.team is not None and team is None:
            continue
        found[cap.holder].append(
            OpenCap(
                row.pk,
                cap_in_words(cap, team=team.name if team else ""),
                cap.currency,
                row.valid_from.timestamp(),
                row.valid_until.timestamp(),
                team.group_id if team else None,
                cap.token,
                cap.subject,
            )
        )
    return {holder: tuple(rows) for holder, rows in found.items()}


def _epoch(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
