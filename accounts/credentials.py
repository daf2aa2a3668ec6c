"""Every live token at once, for a process that answers calls from memory. The same truth as `actors.for_token`, read in bulk."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from accounts.actors import expand_scopes
from accounts.models import Membership, Namespace, Token, User
from accounts.permissions import Role, Scope
from common.clock import now


@dataclass(frozen=True, slots=True)
class Person:
    """The owner of tokens: the namespace of their own, roles by primary key of the namespace, groups."""

    user_pk: int
    namespace_uuid: UUID
    roles: dict[int, Role]
    group_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Credential:
    """One token, without its secret."""

    uuid: UUID
    person: Person
    scopes: frozenset[Scope]
    allowed_namespace_ids: frozenset[int] | None
    """None: all of its owner's."""
    expires_at: float | None
    """Seconds since the epoch."""

    def reaches(self, namespace_pk: int) -> bool:
        return self.allowed_namespace_ids is None or namespace_pk in self.allowed_namespace_ids


def live_credentials() -> dict[str, Credential]:
    """SHA-256 (hex) of the text -> credential, for every token that is neither revoked nor expired and whose owner is active.
    Four queries whatever the number; about a second for 100,000 tokens."""
    moment = now()
    tokens = Token.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=moment), revoked_at__isnull=True, user__is_active=True
    )
    owners = tokens.values("user_id")
    roles: dict[int, dict[int, Role]] = defaultdict(dict)
    memberships = Membership.objects.filter(user__in=owners).values_list(
        "user_id", "organization__namespace__pk", "role"
    )
    for user_pk, namespace_pk, role in memberships:
        if namespace_pk is not None:
            roles[user_pk][namespace_pk] = Role(role)
    groups: dict[int, set[int]] = defaultdict(set)
    for user_pk, group_pk in User.groups.through.objects.filter(user__in=owners).values_list("user_id", "group_id"):
        groups[user_pk].add(group_pk)
    people = {
        user_pk: Person(user_pk, uuid, roles[user_pk] | {pk: Role.OWNER}, frozenset(groups[user_pk]))
        for pk, uuid, user_pk in Namespace.objects.filter(user__in=owners).values_list("pk", "uuid", "user_id")
    }
    return {
        digest: Credential(
            uuid,
            people[user_pk],
            expand_scopes(scopes),
            None if namespaces is None else frozenset(namespaces),
            _epoch(expires_at),
        )
        for digest, uuid, user_pk, scopes, namespaces, expires_at in tokens.values_list(
            "secret_sha256", "uuid", "user_id", "scopes", "namespaces", "expires_at"
        )
        if user_pk in people
    }


def _epoch(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
