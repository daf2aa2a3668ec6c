"""Safety on a running site: hostile files come in by the clients that people use, and no process of the site ever unpickles one."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from backends.conformance.scanners import BINARY_PICKLE
from tests.backends.hostile import STACK, TEXT, objects, onnx_model, zipped
from tests.spaces.hf_client import Hub
from tests.support.site import LiveSite, started_site

_HOOK = """
import os, sys

def _note(event, arguments, path=os.environ.get("UNPICKLED")):
    if event in {"pickle.find_class", "marshal.loads"} and path and not sys._getframe(1).f_code.co_filename.startswith("<frozen"):
        try:
            with open(path, "a") as file:
                print(event, arguments[:2] if event == "pickle.find_class" else "", sys.argv, file=file)
        except OSError:
            pass

sys.addaudithook(_note)
"""
HOSTILE = {
    "model.pkl": BINARY_PICKLE,
    "notes.txt": TEXT,
    "weights.bin": STACK,
    "model.pt": zipped({"archive/data.pkl": BINARY_PICKLE, "archive/version": b"3\n"}),
    "objects.npy": objects(),
    "model.onnx": onnx_model(location="../../etc/passwd"),
    "model.safetensors": STACK,
}


def until(check: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


@pytest.fixture
def watched(tmp_path: Path, django_db_setup) -> Iterator[tuple[LiveSite, Path]]:
    """A site in whose every process a hook notes what is unpickled."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(_HOOK)
    found = tmp_path / "unpickled"
    with started_site(tmp_path / "site", extra={"PYTHONPATH": str(hooks), "UNPICKLED": str(found)}) as site:
        yield site, found


@pytest.mark.xdist_group("live")
def test_no_process_of_the_site_unpickles_anything(watched, tmp_path) -> None:
    site, found = watched
    code = "import pickle; pickle.loads(b'cbuiltins\\nlen\\n.')"
    subprocess.run([sys.executable, "-c", code], env=site.environment, check=True)
    assert "pickle.find_class" in found.read_text(), "the hook itself must work"
    found.unlink()
    hub = Hub(site, site.user("carol"), site.token("carol"), tmp_path)
    name = "carol/hostile"
    hub.api.create_repo(name)
    added = [CommitOperationAdd(path, content) for path, content in HOSTILE.items()]
    hub.api.create_commit(name, added, commit_message="Add")
    safety = f"/api/v1/repos/model/{name}/safety"
    until(lambda: hub.request("GET", safety).json()["is_current"], "it is scanned")
    told = hub.request("GET", safety).json()
    assert (told["verdict"], told["counts"].get("data-only")) == ("malicious", 1)
    for path in HOSTILE:
        for page in ("blob/main", "resolve/main", "preview/main", "image/main"):
            assert hub.request("GET", f"/{name}/{page}/{path}").status in {200, 302, 403, 404}
        assert hub.request("GET", f"{safety}/file?path={path}").json()["verdict"] != "data-only"
    with pytest.raises((HfHubHTTPError, LocalEntryNotFoundError)):
        hub.api.hf_hub_download(name, "model.pkl", local_dir=tmp_path / "down")
    refused = hub.request("GET", f"/{name}/resolve/main/model.pkl")
    assert (refused.status, b"under quarantine" in refused.body) == (403, True)
    tree = {each.path: each.security for each in hub.api.list_repo_tree(name, expand=True)}
    assert (tree["model.pkl"].safe, tree[".gitattributes"].safe) == (False, True)
    notices = site.manage("quarantine", _digest(BINARY_PICKLE), "--release", "--reason", "a test")
    assert len(notices["released"]) == 1
    down = hub.api.hf_hub_download(name, "model.pkl", local_dir=tmp_path / "down")
    assert Path(down).read_bytes() == BINARY_PICKLE
    blocked = site.manage("block_digest", _digest(b"worm"), "--reason", "a worm")
    assert blocked == {"sha256": _digest(b"worm"), "blocked": True, "reason": "a worm", "files_held_back": 0}
    with pytest.raises(HfHubHTTPError, match="a worm"):
        hub.api.upload_file(path_or_fileobj=b"worm", path_in_repo="x.txt", repo_id=name)
    seen = found.read_text().splitlines() if found.exists() else []
    assert seen == []


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
