"""Signing a program in through a browser: it asks, a person agrees on a page, it fetches a token (RFC 8628)."""

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction

from accounts import actors, throttle
from accounts.actors import Actor
from accounts.models import DeviceLogin
from accounts.permissions import Scope
from accounts.services import audit, tokens
from common.clock import now
from common.errors import DomainError, Forbidden, NotFound
from common.ids import is_secret, new_secret

LIFETIME = timedelta(minutes=15)
INTERVAL_S = 5
TOKEN_LIFETIME = timedelta(days=30)
SCOPES = (Scope.ACCOUNT_READ, Scope.REPO_WRITE)
"""What such a program may do: read and write repositories, and know whom it works for."""
_PREFIX = "dev"
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels: no words; 8 of them make 25 thousand million codes, of which a person may try 30 an hour."""


class DeviceRefused(DomainError):
    """The program gets no token (yet): `code` is what RFC 8628 calls the reason."""


def begin_login(address: str) -> tuple[DeviceLogin, str]:
    """A program asks. Returns the row and the secret that it keeps. Raises TooMany for an address that asks without end."""
    throttle.hit("device-login", address, limit=60, window_s=3600)
    secret = new_secret(_PREFIX)
    login = DeviceLogin.objects.create(
        device_sha256=_digest(secret),
        user_code="".join(secrets.choice(_LETTERS) for _ in range(8)),
        address=address[:64],
        expires_at=now() + LIFETIME,
    )
    return login, secret


def find_login(actor: Actor, user_code: str) -> DeviceLogin:
    """The waiting program that shows this code, for a person who is signed in; dashes, blanks and case do not matter. Raises
    NotFound, also for a code that has been answered, TooMany for somebody who guesses."""
    actor.require_authenticated()
    throttle.hit("device-code", str(actor.person_id), limit=30, window_s=3600)
    code = "".join(letter for letter in user_code.upper() if letter in _LETTERS)
    login = DeviceLogin.objects.filter(user_code=code, is_approved__isnull=True, expires_at__gt=now()).first()
    if login is None:
        raise NotFound("No program is waiting with this code. Look at it again, or start the log-in anew.")
    return login


def answer_login(actor: Actor, user_code: str, *, is_approved: bool) -> None:
    """Let the program in, or not. Only from a session or token that may manage the account: the program's token will be its
    owner's. Raises what `find_login` raises, Forbidden."""
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if actor.user_id is None:
        raise Forbidden("Only a person can sign a program in.")
    with transaction.atomic():
        login = find_login(actor, user_code)
        DeviceLogin.objects.filter(pk=login.pk, is_approved__isnull=True).update(
            user_id=actor.user_id, is_approved=is_approved
        )
        audit.record(
            actor,
            "accounts:device:approved" if is_approved else "accounts:device:denied",
            "device",
            login.uuid,
            namespace_id=actor.namespace_id,
            address=login.address,
        )


def fetch_token(secret: str) -> str:
    """The token of a program that was let in; once. Raises DeviceRefused with the reason: authorization_pending, slow_down,
    access_denied, expired_token."""
    refused = DeviceRefused("This log-in has expired or was used already: start again.", code="expired_token")
    if not is_secret(secret, _PREFIX):
        raise refused
    with transaction.atomic():
        login = (
            DeviceLogin.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(device_sha256=_digest(secret))
            .first()
        )
        if login is None or login.used_at is not None or login.expires_at <= now():
            raise refused
        hasty = login.polled_at is not None and now() - login.polled_at < timedelta(seconds=INTERVAL_S - 1)
        DeviceLogin.objects.filter(pk=login.pk).update(polled_at=now())
        if login.is_approved is not None:
            DeviceLogin.objects.filter(pk=login.pk).update(used_at=now())
        if login.is_approved and login.user is not None and login.user.is_active:
            return _token(login)
    if login.is_approved is not None:
        raise DeviceRefused("The log-in was not allowed.", code="access_denied")
    if hasty:
        raise DeviceRefused(f"Ask every {INTERVAL_S} seconds at most.", code="slow_down")
    raise DeviceRefused("Nobody has entered the code yet.", code="authorization_pending")


def forget_old_logins() -> int:
    """Drop log-ins that ended a day ago; returns how many. Safe to run beside itself."""
    return DeviceLogin.objects.filter(expires_at__lt=now() - timedelta(days=1)).delete()[0]


def _token(login: DeviceLogin) -> str:
    assert login.user is not None
    _, text = tokens.issue(
        actors.for_user(login.user),
        name=f"browser log-in of {now():%d %B %Y}",
        scopes=[scope.value for scope in SCOPES],
        expires_at=now() + TOKEN_LIFETIME,
    )
    return text


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
