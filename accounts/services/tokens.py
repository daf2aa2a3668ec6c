"""Issuing and revoking tokens."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.actors import TOKEN_PREFIX, Actor, expand_scopes
from accounts.models import Token, User
from accounts.permissions import Scope
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.clock import now
from common.errors import Forbidden, Invalid, NotFound
from common.ids import new_secret

LIMIT_PER_USER = 200
"""Live tokens a person may have: far above need, low enough that a runaway script shows."""


def issue(
    actor: Actor,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    namespace_ids: Iterable[int] | None = None,
) -> tuple[Token, str]:
    """Make a token of the actor's own and return it with its text, which is stored nowhere. A token can't make one that is
    wider than itself. Writes the token and an audit record. Raises Invalid for a blank name, an unknown or missing scope, a
    past date; Forbidden for a namespace or scope the actor has not got."""
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if actor.user_id is None:
        raise Forbidden("Only a person can have tokens.")
    name, wanted = name.strip(), sorted(set(scopes))
    if not name or len(name) > 80:
        raise Invalid("Give the token a name of 1 to 80 characters.", fields={"name": "1 to 80 characters"})
    unknown = [scope for scope in wanted if scope not in set(Scope)]
    if unknown or not wanted:
        known = ", ".join(scope.value for scope in Scope)
        raise Invalid(
            f"Choose scopes from: {known}.", fields={"scopes": f"unknown: {', '.join(unknown)}" if unknown else "none"}
        )
    if expires_at is not None and expires_at <= now():
        raise Invalid("The expiry lies in the past.", fields={"expires_at": "in the past"})
    if not expand_scopes(wanted) <= actor.scopes:
        raise Forbidden("A token can't issue one with more scopes than its own.")
    limited = None if namespace_ids is None else sorted(set(namespace_ids))
    if actor.allowed_namespace_ids is not None and (limited is None or not set(limited) <= actor.allowed_namespace_ids):
        raise Forbidden("A token can't issue one that reaches more namespaces than itself.")
    if limited is not None and not set(limited) <= set(actor.roles):
        raise Forbidden("You have no role in one of these namespaces.")
    text = new_secret(TOKEN_PREFIX)
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=actor.person_id)
        if Token.objects.filter(user=user, revoked_at__isnull=True).count() >= LIMIT_PER_USER:
            raise Invalid(f"You have {LIMIT_PER_USER} tokens already: revoke some first.")
        token = Token.objects.create(
            user=user,
            name=name,
            secret_sha256=hashlib.sha256(text.encode()).hexdigest(),
            hint=text[:8],
            scopes=wanted,
            namespaces=limited,
            expires_at=expires_at,
        )
        audit.record(
            actor,
            "accounts:token:issued",
            "token",
            token.uuid,
            namespace_id=actor.namespace_id,
            name=name,
            scopes=wanted,
        )
        bump_access_version()
    return token, text


def revoke(actor: Actor, uuid: UUID) -> Token:
    """End a token of the actor's own, at once in every process. A second call changes nothing. Raises NotFound for one that is
    not the actor's (staff may end anybody's)."""
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    with transaction.atomic():
        tokens = Token.objects.select_for_update().filter(uuid=uuid)
        token = tokens.first() if actor.is_staff or actor.is_system else tokens.filter(user_id=actor.person_id).first()
        if token is None:
            raise NotFound("There is no such token.")
        if token.revoked_at is None:
            token.revoked_at = now()
            token.save(update_fields=["revoked_at"])
            audit.record(actor, "accounts:token:revoked", "token", token.uuid, namespace_id=actor.namespace_id)
            bump_access_version()
    return token
