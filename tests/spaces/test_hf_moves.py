"""Repositories under another name: the old one leads to them, in every call, until somebody takes it anew."""

import secrets
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError

from tests.spaces.hf_client import Hub


@pytest.fixture
def moved(hub: Hub, repo: str):
    """The old and the new name of a repository with a file."""
    hub.api.upload_file(path_or_fileobj=b"weights", path_in_repo="sub dir/w.txt", repo_id=repo)
    new = f"{repo}-new"
    hub.api.move_repo(repo, new)
    yield repo, new
    hub.api.delete_repo(new, missing_ok=True)


def test_every_call_follows_to_the_new_name(hub: Hub, moved: tuple[str, str]) -> None:
    old, new = moved
    assert hub.api.model_info(old).id == new
    assert hub.api.list_repo_files(old) == hub.api.list_repo_files(new)
    assert [item.path for item in hub.api.get_paths_info(old, ["sub dir/w.txt"])] == ["sub dir/w.txt"]
    assert hub.api.repo_exists(old)
    assert hub.api.file_exists(old, "sub dir/w.txt")
    assert Path(hub.api.hf_hub_download(old, "sub dir/w.txt", cache_dir=hub.home / "c")).read_bytes() == b"weights"
    assert (Path(hub.api.snapshot_download(old, cache_dir=hub.home / "s")) / "sub dir/w.txt").exists()
    hub.api.create_branch(old, branch="feat/x")
    hub.api.update_repo_settings(old, gated="auto")
    assert hub.api.model_info(new).gated == "auto"
    made = hub.api.upload_file(path_or_fileobj=b"more", path_in_repo="m.txt", repo_id=old, revision="feat/x")
    assert hub.api.model_info(new, revision="feat/x").sha == made.oid
    # a large file goes through Xet, whose address comes from a redirected call, too
    large = hub.home / "large.bin"
    large.write_bytes(secrets.token_bytes(2 * 1024**2))
    hub.api.upload_file(path_or_fileobj=str(large), path_in_repo="large.bin", repo_id=old)
    assert hub.api.file_exists(new, "large.bin")


def test_the_redirect_keeps_method_query_and_encoding(hub: Hub, moved: tuple[str, str]) -> None:
    old, new = moved
    for method, path in (
        ("GET", "/api/models/{}/tree/refs%2Fheads%2Fmain/sub%20dir?expand=true&recursive=1"),
        ("HEAD", "/{}/resolve/main/sub%20dir/w.txt"),
        ("POST", "/{}.git/info/lfs/objects/batch"),
        ("DELETE", "/api/models/{}/tag/none"),
        ("PUT", "/api/models/{}/settings"),
    ):
        answer = hub.request(method, path.format(old), {} if method in {"POST", "PUT"} else None)
        assert (answer.status, answer.headers["location"]) == (307, path.format(new))
    assert hub.request("GET", f"/api/models/{old.upper()}/refs").headers["location"] == f"/api/models/{new}/refs"


def test_who_may_not_see_it_is_not_told_where_it_went(hub: Hub, stranger: Hub, moved: tuple[str, str]) -> None:
    old, new = moved
    hub.api.update_repo_settings(new, private=True)
    for api in (stranger.api, HfApi(endpoint=hub.site.url, token=False)):
        with pytest.raises(RepositoryNotFoundError) as error:
            api.model_info(old)
        assert "location" not in error.value.response.headers
        assert new not in error.value.response.text
    assert hub.api.model_info(old).id == new


def test_a_name_that_is_taken_anew_leads_nowhere_else(hub: Hub, moved: tuple[str, str]) -> None:
    old, new = moved
    hub.api.create_repo(old)
    assert hub.api.model_info(old).id == old
    assert hub.api.list_repo_files(old) == [".gitattributes"]
    with pytest.raises(BadRequestError, match=f"A model repository called {old} already exists"):
        hub.api.move_repo(new, old)
    hub.api.delete_repo(old)
    # what it once led to does not come back
    assert not hub.api.repo_exists(old)


def test_names_of_a_repository_that_moved_twice_all_lead_to_it(hub: Hub, moved: tuple[str, str]) -> None:
    old, new = moved
    newest = f"{new}-est"
    hub.api.move_repo(new, newest)
    assert {hub.api.model_info(name).id for name in (old, new, newest)} == {newest}
    # and back: a redirect never stands in the way of its own repository
    hub.api.move_repo(newest, old)
    assert {hub.api.model_info(name).id for name in (old, new, newest)} == {old}
    hub.api.delete_repo(old)
    assert not any(hub.api.repo_exists(name) for name in (old, new, newest))


def test_calls_that_name_the_repository_in_their_body_want_its_present_name(hub: Hub, moved: tuple[str, str]) -> None:
    old, _ = moved
    with pytest.raises(RepositoryNotFoundError):
        hub.api.delete_repo(old)
    with pytest.raises(RepositoryNotFoundError):
        hub.api.move_repo(old, f"{old}-x")


def test_only_who_administers_both_ends_moves(hub: Hub, stranger: Hub, repo: str) -> None:
    sha = hub.api.model_info(repo).sha
    hub.api.create_repo(f"{repo}-taken")
    with pytest.raises(BadRequestError, match=f"A model repository called {repo}-taken already exists"):
        hub.api.move_repo(repo, f"{repo}-taken")
    for api, target in ((stranger.api, f"{stranger.user}/mine"), (hub.api, f"{stranger.user}/gift")):
        with pytest.raises(HfHubHTTPError) as error:
            api.move_repo(repo, target)
        assert error.value.response.status_code == 403
    assert hub.api.model_info(repo).sha == sha
    hub.api.delete_repo(f"{repo}-taken")
