"""Who calls: a token in the Authorization header, as Bearer or as the password of Basic (all that some clients can send)."""

import base64
import binascii
import hashlib

from accounts.credentials import Credential
from common.errors import Unauthenticated


def digest_of(header: bytes | None) -> str | None:
    """SHA-256 (hex) of the presented token; None when there is none. Raises Unauthenticated for a malformed header."""
    if header is None:
        return None
    if header.startswith(b"Bearer "):
        return hashlib.sha256(header[7:].strip()).hexdigest()
    scheme, _, rest = header.partition(b" ")
    name = scheme.lower()
    if name == b"bearer":
        return hashlib.sha256(rest.strip()).hexdigest()
    if name == b"basic":
        try:
            _, colon, password = base64.b64decode(rest.strip(), validate=True).partition(b":")
        except binascii.Error:
            raise _refused() from None
        if colon:
            return hashlib.sha256(password).hexdigest()
    raise _refused()


def credential_of(header: bytes | None, credentials: dict[str, Credential], now: float) -> Credential:
    """The live credential behind the header. `now`: seconds since the epoch. Raises Unauthenticated, never saying what was
    wrong with the token."""
    digest = digest_of(header)
    if digest is None:
        raise Unauthenticated("Send an access token: `Authorization: Bearer <token>`.")
    found = credentials.get(digest)
    if found is None or (found.expires_at is not None and found.expires_at <= now):
        raise _refused()
    return found


def _refused() -> Unauthenticated:
    return Unauthenticated("The access token is not valid.")
