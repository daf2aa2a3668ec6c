"""Signatures of versions, checked with what strangers have: the `model_signing` package, its program, and our own script."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.db import IntegrityError, transaction
from model_signing import verifying
from model_signing._signing import sign_sigstore_pb

from common.sealed import seal
from registry.models import SigningKey, VersionSignature
from registry.queries import all_files, blob_of
from registry.services import signing, storage
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
