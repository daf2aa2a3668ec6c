"""Signatures of versions: who has the namespace's public key and the files needs neither this site nor a network to check them.

What is signed is the list of files as an in-toto statement with the predicate of OpenSSF model signing v1.0, in a DSSE envelope, in a
Sigstore bundle (https://github.com/sigstore/model-transparency). Each version gets two such bundles over the same statement: one of
the namespace's Ed25519 key, and one of its P-256 key, because the `model_signing` program takes NIST curves only. Owners can bring
the public half of keys that they hold themselves, and hand in what they signed with them (`services.own_keys`)."""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.db import IntegrityError, transaction
from django.db.models import Count, F

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.clock import now
from common.errors import Invalid, NotFound
from common.sealed import seal, unseal
from registry.models import Commit, SigningKey, Version, VersionSignature
from registry.queries import Entry, all_files, blobs_of, version_by_pk
from registry.states import KeyAlgorithm
from work.door import enqueue

FILES_LIMIT = 100_000
"""A statement of so many files has some 15 MB; larger versions stay unsigned, and their page says so."""
IGNORED = (".cache/huggingface", ".git", ".gitattributes", ".github", ".gitignore")
"""Not signed: what the verifying program passes over by itself, and what downloading clients add."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_BATCH = 500
REASON_LIMIT = 500
_CHECKED_FILES = 2000
"""Signatures of versions of up to so many files are checked again whenever they are shown."""


@dataclass(frozen=True)
class Checked:
    """A signature and whether it is good; None when it was only checked as it came, because the version has very many files."""

    row: VersionSignature
    is_good: bool | None


def sign_version(version_id: int) -> list[VersionSignature]:
    """Sign the files of a version with the active keys of its namespace, which are made when there are none. Reads digests, never
    the files. Safe to repeat: each key signs a version once. Versions of more than FILES_LIMIT files are left unsigned. Raises
    Unavailable when a private key can't be read any more: rotate the keys."""
    version = version_by_pk(version_id)
    if version.commit.tree.file_count > FILES_LIMIT:
        return []
    keys = [_active_key(version.repo.namespace_id, algorithm) for algorithm in KeyAlgorithm]
    done = {row.key_id: row for row in VersionSignature.objects.filter(version=version, key__in=keys)}
    missing = [key for key in keys if key.pk not in done]
    if not missing:
        return list(done.values())
    statement = statement_of(version)
    for key in missing:
        signature = _sign(unseal(key.sealed_private), pae(statement))
        with transaction.atomic():
            # a key that was retired since then signs no more
            if not SigningKey.objects.select_for_update().filter(pk=key.pk, retired_at__isnull=True).exists():
                continue
            row, is_new = VersionSignature.objects.get_or_create(
                version=version,
                key=key,
                defaults={"statement": zlib.compress(statement), "signature": signature, "created_at": now()},
            )
            if is_new:
                audit.record(
                    actors.system("signer"),
                    "registry:version:signed",
                    "version",
                    version.uuid,
                    namespace_id=version.repo.namespace_id,
                    key=key.key_id,
                    algorithm=key.algorithm,
                )
            done[key.pk] = row
    return list(done.values())


def statement_of(version: Version) -> bytes:
    """The in-toto statement that lists the files of a version: the same bytes each time."""
    resources = resources_of(version.commit)
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": f"{version.repo.namespace.name}/{version.repo.name}@{version.name}",
                "digest": {"sha256": root_of(resources)},
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(IGNORED),
            },
            "resources": resources,
            # further members are passed over by verifiers of v1.0
            "version": {"uuid": str(version.uuid), "kind": version.repo.kind, "commit": version.commit.oid},
        },
    }
    return json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode()


def resources_of(commit: Commit) -> list[dict[str, str]]:
    """The files of a commit that are signed, with their digests, in the order of a statement."""
    resources = []
    batch: list[Entry] = []
    for entry in all_files(commit):
        if any(entry.path == path or entry.path.startswith(f"{path}/") for path in IGNORED):
            continue
        batch.append(entry)
        if len(batch) == _BATCH:
            resources += _resources(batch)
            batch = []
    resources += _resources(batch)
    resources.sort(key=lambda each: each["name"].encode())
    return resources


def root_of(resources: Iterable[Mapping[str, str]]) -> str:
    """The one digest that stands for all files of a statement."""
    return hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in resources)).hexdigest()


def bundle_of(row: VersionSignature) -> dict[str, Any]:
    """The Sigstore bundle of a signature whose key is fetched with it."""
    return bundle_from(row.key.key_id, bytes(row.statement), bytes(row.signature))


def bundle_from(key_id: str, statement: bytes, signature: bytes) -> dict[str, Any]:
    """The Sigstore bundle of a signature of `statement`, which is compressed as rows keep it."""
    return {
        "mediaType": _BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key_id}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(zlib.decompress(statement)).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }


def is_good(row: VersionSignature) -> bool:
    """Whether the stored signature is one of the stored statement, by the public key."""
    return is_signed(row.key.public_pem, zlib.decompress(bytes(row.statement)), bytes(row.signature))


def is_signed(public_pem: str, statement: bytes, signature: bytes) -> bool:
    """Whether the signature is one of the statement, by an Ed25519 or NIST key. False, too, for what is no key."""
    try:
        public = serialization.load_pem_public_key(public_pem.encode())
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, pae(statement))
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, pae(statement), ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def pae(payload: bytes) -> bytes:
    """What DSSE signs: https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md"""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def rotate_keys(actor: Actor, namespace_name: str) -> list[SigningKey]:
    """Retire the keys that this site holds for the namespace, forget their private halves, and make new ones; what was signed stays
    good. Keys that its owners hold are left alone. Needs the right to manage the namespace. Each call makes new keys."""
    namespace = require_namespace(actor, namespace_name, Action.NAMESPACE_MANAGE)
    with transaction.atomic():
        mine = SigningKey.objects.select_for_update().filter(namespace=namespace, retired_at__isnull=True)
        retired = list(mine.filter(is_external=False))
        _retire([key.pk for key in retired])
        keys = [_new_key(namespace.pk, algorithm) for algorithm in KeyAlgorithm]
        audit.record(
            actor,
            "registry:key:rotated",
            "namespace",
            namespace.uuid,
            namespace_id=namespace.pk,
            retired=[key.key_id for key in retired],
            made=[key.key_id for key in keys],
        )
    return keys


def signatures_of(version: Version) -> list[Checked]:
    """All signatures of a version, newest first, those of revoked keys too; checked again unless the version has very many files."""
    rows = VersionSignature.objects.filter(version=version).select_related("key__created_by").order_by("-pk")
    if version.commit.tree.file_count > _CHECKED_FILES:
        return [Checked(row, None) for row in rows.defer("statement", "signature")]
    return [Checked(row, is_good(row)) for row in rows]


def revoke_key(actor: Actor, namespace_name: str, key_id: str, *, reason: str) -> SigningKey:
    """End the trust in a key: nothing that is signed with it is taken any more. What it signed before stays good, because this site
    keeps when each signature came, and says that the key was revoked since; versions signed by a key that this site held are signed
    anew, with another. Needs the right to manage the namespace. A second call changes nothing. Raises NotFound, Invalid without a
    reason."""
    namespace = require_namespace(actor, namespace_name, Action.NAMESPACE_MANAGE)
    reason = reason.strip().replace("\x00", "")
    if not 0 < len(reason) <= REASON_LIMIT:
        raise Invalid(f"Say why, in at most {REASON_LIMIT} characters.", fields={"reason": "missing or too long"})
    with transaction.atomic():
        key = SigningKey.objects.select_for_update().filter(namespace=namespace, key_id=key_id).first()
        if key is None:
            raise NotFound(f"{namespace.name} has no such key.")
        if key.revoked_at is None:
            key.revoked_at, key.revocation_reason = now(), reason
            key.save(update_fields=["revoked_at", "revocation_reason"])
            _retire([key.pk])
            audit.record(
                actor,
                "registry:key:revoked",
                "namespace",
                namespace.uuid,
                namespace_id=namespace.pk,
                key=key.key_id,
                reason=reason,
            )
            if not key.is_external:
                enqueue("registry.sign_again", key.pk, key=f"sign-again:{key.pk}")
    key.refresh_from_db()
    return key


def sign_again(key_pk: int) -> int:
    """Ask for new signatures of everything that a revoked key has signed; returns how many versions. Safe to repeat."""
    versions = VersionSignature.objects.filter(key_id=key_pk).order_by("pk").values_list("version_id", flat=True)
    wanted = list(versions)
    for version_id in wanted:
        enqueue("registry.sign_version", version_id, key=f"sign-version:{version_id}:{key_pk}")
    return len(wanted)


def keys_of(actor: Actor, namespace_name: str) -> list[SigningKey]:
    """All keys of a namespace, newest first, also those of old, with `version_count`, how many versions each has signed: public, as
    names are. Raises NotFound."""
    namespace = require_namespace(actor, namespace_name)
    keys = SigningKey.objects.filter(namespace=namespace).select_related("created_by")
    return list(keys.annotate(version_count=Count("signatures")).order_by("-pk"))


def key_of(actor: Actor, namespace_name: str, key_id: str) -> SigningKey:
    """One key of a namespace. Raises NotFound."""
    namespace = require_namespace(actor, namespace_name)
    key = SigningKey.objects.filter(namespace=namespace, key_id=key_id).first()
    if key is None:
        raise NotFound(f"{namespace.name} has no such key.")
    return key


def signature_of(version: Version, algorithm: str, key_id: str = "") -> VersionSignature:
    """The newest signature of this kind, one whose key is not revoked before all others; with a `key_id`, the one of that key. Raises
    NotFound while there is none, Invalid."""
    if algorithm not in set(KeyAlgorithm):
        raise Invalid("There is no such algorithm.", fields={"algorithm": f"one of {', '.join(KeyAlgorithm)}"})
    rows = VersionSignature.objects.filter(version=version)
    rows = rows.filter(key__key_id=key_id) if key_id else rows.filter(key__algorithm=algorithm)
    row = rows.select_related("key").order_by(F("key__revoked_at").desc(nulls_first=True), "-pk").first()
    if row is None:
        raise NotFound(
            f"Version {version.name} is not signed with {'this key' if key_id else algorithm}: a release is signed within a minute, "
            f"unless it has more than {FILES_LIMIT} files."
        )
    return row


def _active_key(namespace_id: int, algorithm: KeyAlgorithm) -> SigningKey:
    active = SigningKey.objects.filter(
        namespace_id=namespace_id, algorithm=algorithm, retired_at__isnull=True, is_external=False
    )
    found = active.first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return _new_key(namespace_id, algorithm)
    except IntegrityError:
        return active.get()  # somebody made it at this moment


def _new_key(namespace_id: int, algorithm: KeyAlgorithm) -> SigningKey:
    private: Any = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == KeyAlgorithm.ED25519
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey.objects.create(
        namespace_id=namespace_id,
        algorithm=algorithm,
        key_id=hashlib.sha256(pem).hexdigest(),
        public_pem=pem.decode(),
        sealed_private=seal(secret.decode()),
        created_at=now(),
    )


def _retire(keys: list[int]) -> None:
    SigningKey.objects.filter(pk__in=keys, retired_at__isnull=True).update(retired_at=now(), sealed_private="")


def _sign(pem: str, message: bytes) -> bytes:
    private = serialization.load_pem_private_key(pem.encode(), None)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(message)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private.sign(message, ec.ECDSA(hashes.SHA256()))


def _resources(entries: list[Entry]) -> list[dict[str, str]]:
    blobs = blobs_of(entries)
    return [
        {"name": entry.path, "algorithm": "sha256", "digest": entry.sha256 or blobs[entry.ref].sha256}
        for entry in entries
    ]
