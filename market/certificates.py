"""Certificates of blind evaluations as documents: their members, their canonical form, and how a signature is checked. Pure: who holds
a certificate and the public key needs neither this site nor a network (docs/evaluation.md shows how).

A document is `{"certificate": {…}, "key_id": "…", "signature": "…"}`. What is signed is the member `certificate` in canonical form: UTF-8
JSON, keys sorted, no white space. Numbers are whole, or decimals written as text, so that every language writes the same bytes."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common import strict_json
from common.errors import Invalid, TooLarge

FORMAT = "mercato-blind-evaluation-1"
DOCUMENT_BYTES = 64 * 1024
MEMBERS = (
    "format", "id", "site", "issued_at", "evaluated_at", "listing", "model", "data", "metric", "value", "low", "high", "confidence",
    "interval", "n",
)  # fmt: skip
_NOT_ONE = "This is no certificate of a blind evaluation: give the whole JSON file as it was downloaded."


@dataclass(frozen=True)
class Document:
    """An opened certificate. Nothing in it is to be believed before its signature has been checked."""

    statement: dict[str, Any]
    key_id: str
    signature: bytes


def canonical(statement: Mapping[str, Any]) -> bytes:
    """The bytes that are signed."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decimal(value: float) -> str:
    """`0.9321`, `12500`, `0.00012`: a number as text, without an exponent or trailing zeros."""
    return f"{value + 0.0:.12f}".rstrip("0").rstrip(".") if value else "0"


def document_of(statement: Mapping[str, Any], key_id: str, signature: str) -> dict[str, Any]:
    """What is downloaded."""
    return {"certificate": dict(statement), "key_id": key_id, "signature": signature}


def opened(text: bytes | str) -> Document:
    """A document, checked for its shape only. Raises Invalid with what to do."""
    try:
        given = strict_json.loads_object(text, max_bytes=DOCUMENT_BYTES, max_depth=6)
        statement, key_id, signature = given["certificate"], given["key_id"], given["signature"]
        raw = base64.b64decode(signature, validate=True)
        is_one = statement["format"] == FORMAT and set(statement) == set(MEMBERS) and isinstance(key_id, str)
    except TooLarge as error:
        raise Invalid("A certificate is smaller than 64 kB.", fields={"document": "too large"}) from error
    except (Invalid, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(_NOT_ONE, fields={"document": "not a certificate"}) from error
    if not is_one or len(raw) != 64 or set(given) != {"certificate", "key_id", "signature"}:
        raise Invalid(_NOT_ONE, fields={"document": "not a certificate"})
    return Document(statement, key_id[:64], raw)


def is_good(document: Document, public_pem: str) -> bool:
    """Whether the signature is one of the statement by this Ed25519 key. Raises Invalid for what is no such key."""
    try:
        public = serialization.load_pem_public_key(public_pem.strip().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid("Give the public key as PEM text.", fields={"key": "not a key"}) from error
    if not isinstance(public, Ed25519PublicKey):
        raise Invalid("Certificates are signed with Ed25519 keys.", fields={"key": "another kind of key"})
    try:
        public.verify(document.signature, canonical(document.statement))
    except InvalidSignature:
        return False
    return True


def sign(statement: Mapping[str, Any], private_pem: str) -> str:
    """Base64 of the signature."""
    private = serialization.load_pem_private_key(private_pem.encode(), None)
    assert isinstance(private, Ed25519PrivateKey)
    return base64.b64encode(private.sign(canonical(statement))).decode()


def new_key() -> tuple[str, str, str]:
    """Key id, public PEM and private PEM of a new key."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return hashlib.sha256(public).hexdigest(), public.decode(), secret.decode()
