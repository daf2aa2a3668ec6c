#!/usr/bin/env python3
"""Sign the files of one version with a key of your own, without any network. The key never leaves your machine.

    python sign_version.py FOLDER PRIVATE_KEY SIGNATURE

FOLDER: a fresh download of the version. PRIVATE_KEY: PEM, Ed25519 or ECDSA P-256; is it encrypted, the passphrase is asked for.
SIGNATURE: the file to write, a Sigstore bundle in the format of OpenSSF model signing v1.0, which is then handed in on the page of
the version. Make a key with `openssl genpkey -algorithm ed25519 -out signing.key`. Needs Python 3.9 and `pip install cryptography`.
Exit code 0: signed; 2: not. Released under the Apache License 2.0, like the site it comes from."""

import base64
import getpass
import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

PAYLOAD_TYPE = "application/vnd.in-toto+json"
IGNORED = [".cache/huggingface", ".git", ".gitattributes", ".github", ".gitignore"]


def statement_of(folder: Path) -> bytes:
    """The in-toto statement that lists the files. Raises ValueError for links, which are not signed."""
    ignored = [Path(path).parts for path in IGNORED]
    resources = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if any(parts[: len(each)] == each for each in ignored):
            continue
        if path.is_symlink():
            raise ValueError(f"{path} is a link: download with --local-dir, which writes files")
        if path.is_file():
            resources.append({"name": "/".join(parts), "algorithm": "sha256", "digest": digest(path)})
    if not resources:
        raise ValueError(f"{folder} has no files")
    resources.sort(key=lambda each: each["name"].encode())
    root = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in resources)).hexdigest()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": folder.resolve().name, "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": IGNORED,
            },
            "resources": resources,
        },
    }
    return json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode()


def digest(path: Path) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha256.update(chunk)
    return sha256.hexdigest()


def load(path: Path):
    raw = path.read_bytes()
    try:
        return serialization.load_pem_private_key(raw, None)
    except TypeError:
        return serialization.load_pem_private_key(raw, getpass.getpass(f"Passphrase of {path}: ").encode())


def bundle_of(statement: bytes, key) -> dict:
    """What is written. Raises ValueError for a key of another kind."""
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(statement), statement)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(message)
    elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    else:
        raise ValueError("the key is neither Ed25519 nor ECDSA P-256")
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(statement).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }


def main(arguments: list) -> int:
    if len(arguments) != 3:
        print(__doc__)
        return 2
    folder, key, signature = map(Path, arguments)
    try:
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
        statement = statement_of(folder)
        signature.write_text(json.dumps(bundle_of(statement, load(key))), "utf-8")
    except (OSError, ValueError, TypeError) as error:
        print(f"NOT SIGNED: {error}")
        return 2
    print(f"SIGNED: {len(json.loads(statement)['predicate']['resources'])} files, in {signature}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
