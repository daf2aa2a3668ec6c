"""Users of the Hugging Face protocol on the running site."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import _detect_agent

from tests.spaces.hf_client import Hub


@pytest.fixture(scope="session", autouse=True)
def client_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The client inside the test process keeps its caches in a folder of its own and asks nothing of the public Hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_XET_CACHE", str(tmp_path_factory.mktemp("xet-cache")))
        patch.setattr(_detect_agent, "_registry", {"standardEnvVars": [], "harnesses": {}})
        yield


@pytest.fixture
def hub(live_site, tmp_path: Path) -> Hub:
    """Alice, who may do everything with what is hers."""
    return Hub(live_site, live_site.user("hf-alice"), live_site.token("hf-alice"), tmp_path)


@pytest.fixture
def stranger(live_site, tmp_path: Path) -> Hub:
    """Somebody else with a token."""
    return Hub(live_site, live_site.user("hf-bob"), live_site.token("hf-bob"), tmp_path)


@pytest.fixture
def repo(hub: Hub) -> Iterator[str]:
    """A public model repository of Alice's, gone after the test."""
    name = f"{hub.user}/m-{secrets.token_hex(4)}"
    hub.api.create_repo(name)
    yield name
    _delete(hub, name, "model")


@pytest.fixture
def private_repo(hub: Hub) -> Iterator[str]:
    """A private dataset repository of Alice's, gone after the test."""
    name = f"{hub.user}/d-{secrets.token_hex(4)}"
    hub.api.create_repo(name, repo_type="dataset", private=True)
    yield name
    _delete(hub, name, "dataset")


def _delete(hub: Hub, name: str, kind: str) -> None:
    try:
        hub.api.delete_repo(name, repo_type=kind)
    except RepositoryNotFoundError:
        pass
