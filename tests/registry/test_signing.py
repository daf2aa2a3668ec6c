"""Signatures of versions, checked with what strangers have: the `model_signing` package, its program, and our own script."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.db import IntegrityError, transaction
from model_signing import verifying
from model_signing._signing import sign_sigstore_pb

from common.errors import Invalid
from common.sealed import seal
from registry.models import SigningKey, VersionSignature
from registry.queries import all_files, blob_of
from registry.services import own_keys, signing, storage
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db

SCRIPT = Path(__file__).resolve().parent.parent.parent / "static" / "tools" / "verify_version.py"
FILES = {"README.md": "# Net", "weights.bin": b"\0\1" * 5000, "src/a b.py": "x = 1", "src/né.txt": "", "src.txt": "y"}


@pytest.fixture
def version():
    alice = actor_of(make_user("alice"))
    made = commit(alice, make_repo(alice), *(add(path, content) for path, content in FILES.items()))
    version = publish_version(alice, made.repo, made.oid, name="1.0.0")
    signing.sign_version(version.pk)
    return version


@pytest.fixture
def snapshot(version, tmp_path):
    """The files of the version as a client leaves them in a folder."""
    folder = tmp_path / "files"
    for entry in all_files(version.commit):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read_blob(blob_of(entry), entry.size_bytes))
    cache = folder / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    (cache / "README.md.metadata").write_text("of the client")
    return folder


@pytest.fixture(params=["ed25519", "ecdsa-p256"])
def papers(request, version, tmp_path) -> tuple[str, Path, Path]:
    row = signing.signature_of(version, request.param)
    assert signing.is_good(row)
    bundle, key = tmp_path / "version.sig", tmp_path / "key.pem"
    bundle.write_text(json.dumps(signing.bundle_of(row)))
    key.write_text(row.key.public_pem)
    return request.param, bundle, key


class Ed25519Verifier(sign_sigstore_pb.Verifier):
    """The package has no verifier of this curve; all but the mathematics is its own."""

    def __init__(self, pem: bytes) -> None:
        self._key = load_pem_public_key(pem)
        self._hint = hashlib.sha256(pem).hexdigest()

    def _verify_bundle(self, bundle):
        assert bundle.verification_material.public_key.hint == self._hint
        envelope = bundle.dsse_envelope
        self._key.verify(envelope.signatures[0].sig, sign_sigstore_pb.pae(envelope.payload))
        return envelope.payload_type, envelope.payload


def by_package(papers, folder: Path) -> None:
    algorithm, bundle, key = papers
    config = verifying.Config()
    if algorithm == "ed25519":
        config._verifier = Ed25519Verifier(key.read_bytes())
    else:
        config.use_elliptic_key_verifier(public_key=key)
    config.verify(folder, bundle)


def by_script(papers, folder: Path) -> tuple[int, str]:
    _, bundle, key = papers
    command = [sys.executable, str(SCRIPT), str(folder), str(bundle), str(key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_an_honest_copy_is_verified(papers, snapshot) -> None:
    by_package(papers, snapshot)
    # .gitattributes is passed over, as model_signing does
    assert by_script(papers, snapshot) == (0, f"VERIFIED: alice/digits@1.0.0, {len(FILES)} files.\n")


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (lambda folder: (folder / "weights.bin").write_bytes(b"\0\1" * 4999 + b"\0\2"), "weights.bin"),
        (lambda folder: (folder / "src" / "a b.py").unlink(), "src/a b.py"),
        (lambda folder: (folder / "src" / "extra.py").write_text("evil"), "src/extra.py"),
        (lambda folder: (folder / "README.md").rename(folder / "READ.md"), "README.md"),
    ],
)
def test_a_changed_copy_is_not(papers, snapshot, tamper, named) -> None:
    tamper(snapshot)
    with pytest.raises(ValueError, match="Signature mismatch") as refused:
        by_package(papers, snapshot)
    assert named in str(refused.value)
    code, said = by_script(papers, snapshot)
    assert (code, named in said, "NOT VERIFIED" in said) == (1, True, True)


def test_a_changed_statement_or_another_key_is_not(papers, version, snapshot, tmp_path) -> None:
    algorithm, bundle, key = papers
    honest = bundle.read_text()
    changed = json.loads(honest)
    other = VersionSignature.objects.get(pk=signing.signature_of(version, "ed25519").pk)
    statement = json.loads(signing.statement_of(version))
    statement["predicate"]["resources"].pop()
    changed["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    bundle.write_text(json.dumps(changed))
    assert by_script(papers, snapshot)[0] == 1
    bundle.write_text(honest)
    signing.rotate_keys(actor_of(other.version.created_by), "alice")
    key.write_text(SigningKey.objects.get(retired_at=None, algorithm=algorithm).public_pem)
    assert by_script(papers, snapshot)[0] == 1
    with pytest.raises((AssertionError, ValueError)):
        by_package(papers, snapshot)


def test_the_program_of_model_signing_verifies_what_the_page_tells(version, snapshot, tmp_path) -> None:
    row = signing.signature_of(version, "ecdsa-p256")
    (tmp_path / "v.sig").write_text(json.dumps(signing.bundle_of(row)))
    (tmp_path / "k.pem").write_text(row.key.public_pem)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(snapshot)]
    command += ["--signature", str(tmp_path / "v.sig"), "--public_key", str(tmp_path / "k.pem")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (snapshot / "README.md").write_text("# Other")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_signing_again_changes_nothing(version) -> None:
    before = list(VersionSignature.objects.order_by("pk").values())
    signing.sign_version(version.pk)
    assert list(VersionSignature.objects.order_by("pk").values()) == before
    assert len(before) == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        VersionSignature.objects.all().delete()


def test_a_namespace_has_one_key_of_each_kind_and_its_secret_is_sealed(version) -> None:
    alice = actor_of(version.created_by)
    second = make_repo(alice, "second")
    signing.sign_version(publish_version(alice, second, "main", name="1").pk)
    assert SigningKey.objects.count() == 2
    for key in SigningKey.objects.all():
        assert "PRIVATE" not in key.sealed_private
        with pytest.raises(IntegrityError), transaction.atomic():
            SigningKey.objects.create(
                namespace=key.namespace, algorithm=key.algorithm, key_id="x", public_pem="", sealed_private=seal("x")
            )


def test_a_version_of_too_many_files_stays_unsigned(version, monkeypatch) -> None:
    monkeypatch.setattr(signing, "FILES_LIMIT", 3)
    signing.rotate_keys(actor_of(version.created_by), "alice")
    assert signing.sign_version(version.pk) == []


SIGN = SCRIPT.with_name("sign_version.py")


def own_key(tmp_path: Path, kind: str) -> tuple[Path, str]:
    private = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / f"{kind}.key"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return path, public.decode()


def test_owners_sign_offline_with_keys_of_their_own(version, snapshot, tmp_path) -> None:
    alice, signature = actor_of(version.created_by), tmp_path / "own.sig"
    ours = [sys.executable, str(SIGN), str(snapshot), str(tmp_path / "ed25519.key"), str(signature)]
    theirs = [sys.executable, "-m", "model_signing", "sign", "key", str(snapshot), "--signature", str(signature)]
    theirs += ["--private_key", str(tmp_path / "ecdsa-p256.key"), "--ignore-paths", str(snapshot / ".cache")]
    for kind, command in (("ed25519", ours), ("ecdsa-p256", theirs)):
        private, public = own_key(tmp_path, kind)
        with pytest.raises(Invalid, match="private key"):
            own_keys.add_key(alice, "alice", name="safe", public_key=private.read_text())
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
        bundle = signature.read_bytes()
        with pytest.raises(Invalid, match="add its public half"):
            own_keys.add_signature(alice, version, bundle)
        key = own_keys.add_key(alice, "alice", name="safe", public_key=public)
        assert (key.algorithm, key.sealed_private) == (kind, "")
        row = own_keys.add_signature(alice, version, bundle)
        assert own_keys.add_signature(alice, version, bundle.decode()) == row
        # what strangers get is what was handed in, and checks out
        (tmp_path / "given.sig").write_text(json.dumps(signing.bundle_of(row)))
        (tmp_path / "key.pem").write_text(key.public_pem)
        assert by_script((kind, tmp_path / "given.sig", tmp_path / "key.pem"), snapshot)[0] == 0
        signing.revoke_key(alice, "alice", key.key_id, reason="Lost.")
        assert [each.is_good for each in signing.signatures_of(version)] == [True] * (3 + (kind == "ecdsa-p256"))
        assert signing.signature_of(version, kind).key.revoked_at is None
        assert signing.signature_of(version, kind, key.key_id) == row
    # rotating leaves keys alone that are not here, and revoked keys sign nothing more
    later = publish_version(alice, version.repo, "main", name="1.0.1")
    with pytest.raises(Invalid, match="it was revoked"):
        own_keys.add_signature(alice, later, bundle)


def test_signatures_of_other_files_are_refused_with_what_differs(version, snapshot, tmp_path) -> None:
    alice = actor_of(version.created_by)
    private, public = own_key(tmp_path, "ed25519")
    own_keys.add_key(alice, "alice", name="safe", public_key=public)

    def signed() -> dict:
        command = [sys.executable, str(SIGN), str(snapshot), str(private), str(tmp_path / "own.sig")]
        subprocess.run(command, capture_output=True, check=True)
        return json.loads((tmp_path / "own.sig").read_text())

    honest = signed()
    (snapshot / "README.md").write_text("# Other")
    (snapshot / "src" / "extra.py").write_text("x")
    with pytest.raises(Invalid, match=r"README.md has other bytes; src/extra.py is not a file of this version"):
        own_keys.add_signature(alice, version, json.dumps(signed()))
    changed = json.loads(json.dumps(honest))
    changed["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(b"\0" * 64).decode()
    with pytest.raises(Invalid, match="not made with a key of this namespace"):
        own_keys.add_signature(alice, version, json.dumps(changed))
    for nonsense in (
        "",
        "[]",
        "{}",
        '{"dsseEnvelope": {"payload": 1}}',
        json.dumps(honest | {"verificationMaterial": []}),
    ):
        with pytest.raises(Invalid, match="no signature of OpenSSF model signing"):
            own_keys.add_signature(alice, version, nonsense)
    assert VersionSignature.objects.filter(key__is_external=True).count() == 0


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519 AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "é"]
)
def test_what_is_no_public_key_is_no_signing_key(version, text) -> None:
    with pytest.raises(Invalid, match="PEM"):
        own_keys.add_key(actor_of(version.created_by), "alice", name="safe", public_key=text)
