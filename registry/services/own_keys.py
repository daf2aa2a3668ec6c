"""Keys that the owners of a namespace hold themselves: this site has their public halves only, and takes signatures that were made
elsewhere, offline, with `static/tools/sign_version.py` or the program of OpenSSF model signing."""

import base64
import hashlib
import json
import zlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common import strict_json
from common.clock import now
from common.errors import Conflict, Invalid, TooLarge
from registry.models import SigningKey, Version, VersionSignature
from registry.policies import require_repo_by_uuid
from registry.services.signing import FILES_LIMIT, PAYLOAD_TYPE, PREDICATE_TYPE, is_signed, statement_of
from registry.states import KeyAlgorithm

NAME_LIMIT = 80
PEM_LIMIT = 4000
BUNDLE_BYTES = 8 * 1024**2
"""A bundle that is handed in: of about 40,000 files."""
EXTERNAL_LIMIT = 20
"""Keys of its own that a namespace signs with at a time."""
_SIGNATURE_BYTES = 512
_NO_BUNDLE = (
    "This is no signature of OpenSSF model signing: give the file that sign_version.py or model_signing has written."
)


def add_key(actor: Actor, namespace_name: str, *, name: str, public_key: str) -> SigningKey:
    """Take the public half of a key that the namespace's owners hold themselves, as PEM: Ed25519 or ECDSA P-256. Needs the right to
    manage the namespace. Raises Invalid for anything else, a private key above all; Conflict for a key that is there."""
    namespace = require_namespace(actor, namespace_name, Action.NAMESPACE_MANAGE)
    name = name.strip()
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise Invalid(f"Name the key in at most {NAME_LIMIT} characters.", fields={"name": "not valid"})
    algorithm, pem = _public(public_key)
    key_id = hashlib.sha256(pem.encode()).hexdigest()
    with transaction.atomic():
        known = SigningKey.objects.select_for_update().filter(namespace=namespace)
        if known.filter(key_id=key_id).exists():
            raise Conflict(f"{namespace.name} has this key already.", code="key_exists", fields={"public_key": "known"})
        if known.filter(is_external=True, retired_at__isnull=True).count() >= EXTERNAL_LIMIT:
            raise Invalid(f"A namespace has at most {EXTERNAL_LIMIT} keys of its own: revoke some first.")
        key = SigningKey.objects.create(
            namespace=namespace,
            algorithm=algorithm,
            key_id=key_id,
            name=name,
            is_external=True,
            public_pem=pem,
            created_by_id=actor.user_id,
            created_at=now(),
        )
        audit.record(
            actor,
            "registry:key:added",
            "namespace",
            namespace.uuid,
            namespace_id=namespace.pk,
            key=key_id,
            algorithm=algorithm,
            name=name,
        )
    return key


def add_signature(actor: Actor, version: Version, bundle: bytes | str) -> VersionSignature:
    """Take a signature of the version's files that was made elsewhere: a Sigstore bundle of `sign_version.py` or `model_signing`, with
    a key that the namespace holds and has not revoked. Needs the right to write. The same key a second time: the signature that is
    there. Raises Invalid with what is wrong: no bundle, no such key, other files, a signature that does not fit."""
    repo = require_repo_by_uuid(actor, version.repo.uuid, Action.REPO_WRITE)
    if version.commit.tree.file_count > FILES_LIMIT:
        raise Invalid(
            f"Versions of more than {FILES_LIMIT:,} files are not signed.", fields={"bundle": "too many files"}
        )
    hint, payload, signature = _opened(bundle)
    keys = SigningKey.objects.filter(namespace_id=repo.namespace_id, is_external=True, retired_at__isnull=True)
    candidates = [key for key in keys.order_by("pk")[:EXTERNAL_LIMIT] if hint in ("", key.key_id)]
    if not candidates:
        raise Invalid(
            f"{repo.namespace.name} has no key that this signature names: add its public half to the signing keys first, or it was "
            "revoked.",
            fields={"bundle": "unknown key"},
        )
    key = next((each for each in candidates if is_signed(each.public_pem, payload, signature)), None)
    if key is None:
        raise Invalid("The signature was not made with a key of this namespace.", fields={"bundle": "does not fit"})
    _require_these_files(version, payload)
    with transaction.atomic():
        if not SigningKey.objects.select_for_update().filter(pk=key.pk, retired_at__isnull=True).exists():
            raise Invalid("The key was revoked at this moment.", fields={"bundle": "revoked key"})
        row, is_new = VersionSignature.objects.get_or_create(
            version=version,
            key=key,
            defaults={"statement": zlib.compress(payload), "signature": signature, "created_at": now()},
        )
        if is_new:
            audit.record(
                actor,
                "registry:version:signed",
                "version",
                version.uuid,
                namespace_id=repo.namespace_id,
                key=key.key_id,
                algorithm=key.algorithm,
            )
    return row


def _public(text: str) -> tuple[KeyAlgorithm, str]:
    """Algorithm and plain PEM of a public key. Raises Invalid."""
    field = "public_key"
    if "PRIVATE KEY" in text:
        raise Invalid(
            "This is a private key: keep it, tell nobody, and give its public half (openssl pkey -in signing.key -pubout). As it was "
            "sent here, it is best not to use it any more.",
            fields={field: "a private key"},
        )
    try:
        public = serialization.load_pem_public_key(text.strip().encode()[:PEM_LIMIT])
    except (ValueError, UnicodeEncodeError, UnsupportedAlgorithm) as error:
        raise Invalid(
            "Give a public key as PEM text, which begins with -----BEGIN PUBLIC KEY-----.", fields={field: "no PEM"}
        ) from error
    if isinstance(public, ed25519.Ed25519PublicKey):
        algorithm = KeyAlgorithm.ED25519
    elif isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        algorithm = KeyAlgorithm.P256
    else:
        raise Invalid("Only Ed25519 and ECDSA P-256 keys are taken.", fields={field: "another kind of key"})
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return algorithm, pem.decode()


def _opened(bundle: bytes | str) -> tuple[str, bytes, bytes]:
    """Hint of the key, payload and signature of a Sigstore bundle. Raises Invalid."""
    try:
        document = strict_json.loads_object(bundle, max_bytes=BUNDLE_BYTES, max_depth=16)
        envelope = document["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        hint = document["verificationMaterial"]["publicKey"].get("hint") or ""
        is_statement = envelope["payloadType"] == PAYLOAD_TYPE
    except TooLarge as error:
        raise Invalid(
            f"The signature is larger than {BUNDLE_BYTES // 1024**2} MiB.", fields={"bundle": "too large"}
        ) from error
    except (Invalid, KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise Invalid(_NO_BUNDLE, fields={"bundle": "no bundle"}) from error
    if not is_statement or not isinstance(hint, str) or len(signature) > _SIGNATURE_BYTES:
        raise Invalid(_NO_BUNDLE, fields={"bundle": "no bundle"})
    return hint, payload, signature


def _require_these_files(version: Version, payload: bytes) -> None:
    """Raises Invalid unless the statement lists just the files of the version, in the words of model signing v1.0."""
    resources = json.loads(statement_of(version))["predicate"]["resources"]
    wanted = {each["name"]: each["digest"] for each in resources}
    try:
        statement = strict_json.loads_object(payload, max_bytes=BUNDLE_BYTES, max_depth=16)
        predicate, told = statement["predicate"], statement["predicate"]["serialization"]
        method = (statement["predicateType"], told["method"], told["hash_type"])
        listed = [(str(each["name"]), str(each["digest"])) for each in predicate["resources"]]
        ignored = [str(path).strip("/") for path in told.get("ignore_paths") or ()]
        root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in listed)).hexdigest()
        roots = [each["digest"]["sha256"] for each in statement["subject"]]
    except (Invalid, TooLarge, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid("The statement that was signed is not whole.", fields={"bundle": "no statement"}) from error
    if method != (PREDICATE_TYPE, "files", "sha256") or roots != [root]:
        raise Invalid(
            "The statement that was signed is not one of model signing v1.0 over the SHA-256 of whole files.",
            fields={"bundle": "another statement"},
        )
    given = dict(listed)
    problems = [
        *(f"{name} is missing" for name in wanted.keys() - given.keys()),
        *(f"{name} is not a file of this version" for name in given.keys() - wanted.keys()),
        *(f"{name} has other bytes" for name in wanted.keys() & given.keys() if wanted[name] != given[name]),
        *(
            f"{name} is passed over by who checks"
            for name in wanted
            if any(name == each or name.startswith(f"{each}/") for each in ignored)
        ),
    ]
    if problems or len(listed) != len(given):
        shown = "; ".join(text[:200] for text in sorted(problems)[:3]) or "one is listed twice"
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise Invalid(
            f"The signature is not of the files of {version.name}: {shown}{more}. Sign a fresh download.",
            fields={"bundle": "other files"},
        )
