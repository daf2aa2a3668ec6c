"""Versions through the unmodified client of the Hugging Face protocol: an alias as a revision, and a snapshot that strangers verify."""

import json
from pathlib import Path

import pytest
import urllib3
from huggingface_hub import CommitOperationAdd, snapshot_download
from huggingface_hub.errors import RevisionNotFoundError
from model_signing import verifying

from tests.spaces.hf_client import Hub
from tests.support.api import Person
from tests.support.inference import eventually

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_snapshot_by_alias_is_verified_without_the_site(hub: Hub, repo: str, live_site, tmp_path: Path) -> None:
    files = [CommitOperationAdd("a.txt", b"plain\n"), CommitOperationAdd("w/large.bin", b"\0\1" * 200_000)]
    hub.api.create_commit(repo, files, commit_message="fill")
    owner = Person(live_site, hub.user)
    owner.post(f"repos/model/{repo}/versions", {"name": "1.0.0"})
    with pytest.raises(RevisionNotFoundError):
        hub.api.model_info(repo, revision="champion")
    assert owner.ask("PUT", f"repos/model/{repo}/aliases/champion", {"version": "1.0.0"})[0] == 200
    hub.api.create_commit(repo, [CommitOperationAdd("a.txt", b"later\n")], commit_message="move on")
    folder = tmp_path / "files"
    snapshot_download(repo, revision="champion", local_dir=folder, endpoint=live_site.url, token=owner.token)
    assert (folder / "a.txt").read_bytes() == b"plain\n"

    address = f"{live_site.url}/api/v1/repos/model/{repo}/versions/champion/signature?algorithm=ecdsa-p256"
    with urllib3.PoolManager(timeout=60) as pool:

        def bundle() -> bytes | None:
            answer = pool.request("GET", address, headers=owner.bearer)
            return answer.data if answer.status == 200 else None

        signature = eventually(bundle, limit_s=60, what="the version is signed")
        hint = json.loads(signature)["verificationMaterial"]["publicKey"]["hint"]
        key = pool.request("GET", f"{live_site.url}/api/v1/namespaces/{hub.user}/keys/{hint}.pem").data
    (tmp_path / "version.sig").write_bytes(signature)
    (tmp_path / "key.pem").write_bytes(key)

    def verify() -> None:
        config = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pem")
        config.verify(folder, tmp_path / "version.sig")

    verify()
    (folder / "w" / "large.bin").write_bytes(b"\0\1" * 199_999 + b"\0\2")
    with pytest.raises(ValueError, match=r"large\.bin"):
        verify()
