"""Secrets of other systems that we must be able to read again: encrypted with the installation's key before they are stored."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from common.errors import Unavailable


def seal(text: str) -> str:
    """`text` encrypted and signed (AES-128-CBC with HMAC-SHA-256), as ASCII."""
    return _box().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """The text that was sealed. Raises Unavailable when it was sealed under another key: the secret must be entered anew."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except (InvalidToken, ValueError) as error:
        raise Unavailable("A stored secret cannot be read: SECRET_KEY has changed. Enter it again.") from error


def _box() -> Fernet:
    # a key of its own, so that nothing else that is made with SECRET_KEY can be taken for a sealed text
    key = hashlib.sha256(f"common.sealed\n{settings.SECRET_KEY}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
