"""Who acts: built once per request or task, passed first to every service. A token can only narrow its owner."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from django.db.models import Q

from accounts import throttle
from accounts.access_version import access_version
from accounts.models import Membership, Namespace, Token, User
from accounts.permissions import (
    ACTIONS_OF_ROLE,
    IMPLIED_SCOPES,
    LEVEL_OF_ROLE,
    SCOPE_OF_ACTION,
    Action,
    Level,
    Role,
    Scope,
)
from common.clock import now
from common.errors import Forbidden, Unauthenticated
from common.ids import is_secret

TOKEN_PREFIX = "mto"  # noqa: S105 - the public prefix, not a secret

ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Actor:
    """A person, a person's token, the system, or nobody. `roles` maps the primary key of a namespace to the role there;
    a person is owner of the namespace of their own. Rights that are granted on single objects are looked up in the policies."""

    user_id: int | None = None
    user_uuid: str = ""
    username: str = ""
    namespace_id: int | None = None
    is_staff: bool = False
    system_name: str = ""
    roles: dict[int, Role] = field(default_factory=dict)
    group_ids: frozenset[int] = frozenset()
    token_id: int | None = None
    token_uuid: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES
    allowed_namespace_ids: frozenset[int] | None = None

    @property
    def is_authenticated(self) -> bool:
        return self.user_id is not None or self.is_system

    @property
    def is_system(self) -> bool:
        return bool(self.system_name)

    @property
    def person_id(self) -> int:
        """`user_id` for look-ups: 0, which no row has, when there is no person (None would find the rows of nobody)."""
        return self.user_id or 0

    @property
    def label(self) -> str:
        """How the audit trail names the actor for people."""
        return self.username or self.system_name or "anonymous"

    @property
    def identity(self) -> str:
        """How the audit trail names the actor for machines."""
        if self.is_system:
            return f"system:{self.system_name}"
        if self.token_uuid:
            return f"token:{self.token_uuid}"
        return f"user:{self.user_uuid}" if self.user_id else "anonymous"

    def can_scope(self, scope: Scope) -> bool:
        return scope in self.scopes

    def require_scope(self, scope: Scope) -> None:
        """Raises Forbidden when the token does not carry `scope`."""
        if not self.can_scope(scope):
            raise Forbidden(f"This token lacks the scope {scope}.", code="scope_missing", scope=str(scope))

    def require_authenticated(self) -> None:
        """Raises Unauthenticated for nobody."""
        if not self.is_authenticated:
            raise Unauthenticated("Sign in, or send an access token.")

    def reaches(self, namespace_id: int) -> bool:
        """Whether the token, if there is one, may touch things of this namespace at all."""
        return self.allowed_namespace_ids is None or namespace_id in self.allowed_namespace_ids

    def role_in(self, namespace_id: int) -> Role | None:
        """The role in a namespace; None when there is none or the token does not reach it."""
        return self.roles.get(namespace_id) if self.reaches(namespace_id) else None

    def may(self, action: Action, namespace_id: int) -> bool:
        """Whether the role in the namespace, narrowed by the token's scopes, allows `action` there."""
        if self.is_system:
            return True
        role = self.role_in(namespace_id)
        return role is not None and action in ACTIONS_OF_ROLE[role] and self.can_scope(SCOPE_OF_ACTION[action])

    def namespaces_with_level(self, level: Level) -> list[int]:
        """Primary keys of the namespaces where the role alone opens `level` on every object."""
        return [
            pk
            for pk, role in self.roles.items()
            if (held := LEVEL_OF_ROLE[role]) is not None and held >= level and self.reaches(pk)
        ]

    def member_namespaces(self) -> list[int]:
        """Primary keys of the namespaces where the actor has any role."""
        return [pk for pk in self.roles if self.reaches(pk)]


def anonymous() -> Actor:
    """Nobody: sees what is public."""
    return Actor(scopes=frozenset({Scope.REPO_READ, Scope.ACCOUNT_READ, Scope.ENDPOINT_USE}))


def system(name: str) -> Actor:
    """The product itself, in a task: may do everything; `name` stands in the audit trail."""
    return Actor(system_name=name)


def for_user(user: User) -> Actor:
    """The signed-in person. Three queries. Someone deactivated is nobody."""
    if not user.is_active:
        return anonymous()
    return _build(user, None)


_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the sentence of the refusal
BAD_TOKENS = 60
BAD_TOKENS_WINDOW_S = 60
"""Wrong tokens that an address may present in a minute: typing errors and stale configuration, not guessing."""


def for_token(plaintext: str, *, address: str = "") -> Actor:
    """The owner of the token `plaintext`, narrowed by it. Raises Unauthenticated when it is malformed, unknown, expired or
    revoked, or its owner is deactivated; the message never says which. Raises TooMany when the network `address` has sent too many
    wrong ones. Notes the day of use."""
    try:
        return _for_token(plaintext)
    except Unauthenticated:
        if address:
            throttle.hit("bad-token", address, limit=BAD_TOKENS, window_s=BAD_TOKENS_WINDOW_S)
        raise


def _for_token(plaintext: str) -> Actor:
    if not is_secret(plaintext, TOKEN_PREFIX):
        raise Unauthenticated(_BAD_TOKEN, code="bad_token")
    secret_sha256 = hashlib.sha256(plaintext.encode()).hexdigest()
    return _bearer(secret_sha256, access_version(), int(now().timestamp()))


@lru_cache(maxsize=4096)
def _bearer(secret_sha256: str, _access_version: int, _second: int) -> Actor:
    """The owner of a token. Remembered until rights change anywhere, and for the second at most: clients send the same token with
    every file, and who it is takes four reads. What is refused is not remembered."""
    moment = now()
    token = (
        Token.objects.select_related("user")
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=moment), revoked_at__isnull=True)
        .filter(secret_sha256=secret_sha256)
        .first()
    )
    if token is None or not token.user.is_active:
        raise Unauthenticated(_BAD_TOKEN, code="bad_token")
    if token.last_used_on != moment.date():
        Token.objects.filter(pk=token.pk).update(last_used_on=moment.date())
    return _build(token.user, token)


def resumed(user_id: int, token_id: int | None) -> Actor:
    """The actor of an earlier request as it is now, for the signed addresses that request gave out. Raises Unauthenticated
    when the person was deactivated or the token revoked or expired meanwhile.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    token = None
    if token_id is not None:
        live = Q(expires_at__isnull=True) | Q(expires_at__gt=now())
        token = Token.objects.filter(live, pk=token_id, user_id=user_id, revoked_at__isnull=True).first()
    if user is None or (token_id is not None and token is None):
        raise Unauthenticated("The access that this was made with has ended: sign in again.", code="bad_token")
    return _build(user, token)


def _build(user: User, token: Token | None) -> Actor:
    own = Namespace.objects.get(user=user)
    memberships = Membership.objects.filter(user=user).values_list("organization__namespace__pk", "role")
    roles = {own.pk: Role.OWNER} | {pk: Role(role) for pk, role in memberships if pk is not None}
    scopes = ALL_SCOPES if token is None else expand_scopes(token.scopes)
    return Actor(
        user_id=user.pk,
        user_uuid=str(user.uuid),
        username=user.username,
        namespace_id=own.pk,
        # a token must be meant for administration to carry the owner's staff rights
        is_staff=user.is_staff and Scope.ACCOUNT_MANAGE in scopes,
        roles=roles,
        group_ids=frozenset(user.groups.values_list("pk", flat=True)),
        token_id=token.pk if token else None,
        token_uuid=str(token.uuid) if token else "",
        scopes=scopes,
        allowed_namespace_ids=frozenset(token.namespaces) if token and token.namespaces is not None else None,
    )


def expand_scopes(names: list[str]) -> frozenset[Scope]:
    """`names` with everything they imply; unknown names (of a newer or older release) open nothing."""
    known = {Scope(name) for name in names if name in ALL_SCOPES}
    return (
        frozenset().union(*(IMPLIED_SCOPES.get(scope, frozenset({scope})) for scope in known)) if known else frozenset()
    )
