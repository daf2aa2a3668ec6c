#!/usr/bin/env python3
"""Check that a downloaded folder is what a namespace released, without any network.

    python verify_version.py FOLDER SIGNATURE PUBLIC_KEY

FOLDER: the files of one version. SIGNATURE: its Sigstore bundle. PUBLIC_KEY: the namespace's key (PEM), which you got once and keep.
Needs Python 3.9 and `pip install cryptography`. Exit code 0: every file is there, unchanged, and nothing else is; 1: not so;
2: it could not be checked. Released under the Apache License 2.0, like the site it comes from."""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def signed_statement(bundle: dict, pem: bytes) -> dict:
    """What was signed. Raises ValueError unless it was signed with this key."""
    envelope = bundle["dsseEnvelope"]
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise ValueError("the signature is not one of an in-toto statement")
    payload = base64.b64decode(envelope["payload"])
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    key = load_pem_public_key(pem)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            raise ValueError("the key is neither Ed25519 nor ECDSA")
    except InvalidSignature:
        raise ValueError("the signature was not made with this key, or was changed") from None
    return json.loads(payload)


def differences(folder: Path, statement: dict) -> list:
    """Sentences on files that are missing, changed or not signed."""
    predicate = statement["predicate"]
    ignored = [Path(path).parts for path in predicate["serialization"]["ignore_paths"]]
    signed = {each["name"]: each["digest"] for each in predicate["resources"]}
    found, seen = [], set()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(parts[: len(each)] == each for each in ignored) or (path.is_dir() and not path.is_symlink()):
            continue
        name = "/".join(parts)
        seen.add(name)
        if name not in signed:
            found.append(f"not signed: {name}")
        elif digest(path) != signed[name]:
            found.append(f"changed: {name}")
    return found + [f"missing: {name}" for name in sorted(set(signed) - seen)]


def digest(path: Path) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha256.update(chunk)
    return sha256.hexdigest()


def main(arguments: list) -> int:
    if len(arguments) != 3:
        print(__doc__)
        return 2
    folder, signature, key = map(Path, arguments)
    try:
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
        statement = signed_statement(json.loads(signature.read_text("utf-8")), key.read_bytes())
        problems = differences(folder, statement)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        print(f"NOT VERIFIED: {error}")
        return 1 if isinstance(error, ValueError) else 2
    for problem in problems:
        print(problem)
    if problems:
        print(f"NOT VERIFIED: {len(problems)} differences.")
        return 1
    print(f"VERIFIED: {statement['subject'][0]['name']}, {len(statement['predicate']['resources'])} files.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
