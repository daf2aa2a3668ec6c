"""History, single paths, lists and facts through the client."""

import base64
import json
import secrets
import time
from typing import get_args

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ExpandDatasetProperty_T, ExpandModelProperty_T
from safetensors.numpy import save

from tests.spaces.hf_client import Hub


def put(hub: Hub, repo: str, *paths: str, **more) -> str:
    added = [CommitOperationAdd(path, path.encode()) for path in paths]
    return hub.api.create_commit(repo, added, commit_message=f"Add {paths[0]}", **more).oid


def test_a_history_is_squashed(hub: Hub, repo: str) -> None:
    shas = [put(hub, repo, f"{n}.txt") for n in range(3)]
    hub.api.create_tag(repo, tag="v1", revision=shas[0])
    files = hub.api.list_repo_files(repo)
    hub.api.super_squash_history(repo, commit_message="All in one")
    commits = hub.api.list_repo_commits(repo)
    assert [(commit.title, commit.authors) for commit in commits] == [("All in one", [hub.user])]
    assert hub.api.list_repo_files(repo) == files
    # what a tag names stays
    assert "1.txt" not in hub.api.list_repo_files(repo, revision="v1")
    hub.api.create_branch(repo, branch="feat/x")
    put(hub, repo, "x", revision="feat/x")
    hub.api.super_squash_history(repo, branch="feat/x")
    assert [commit.title for commit in hub.api.list_repo_commits(repo, revision="feat/x")] == [
        "Super-squash branch 'feat/x' using huggingface_hub"
    ]
    assert len(hub.api.list_repo_commits(repo)) == 1
    put(hub, repo, "after.txt")
    assert [commit.title for commit in hub.api.list_repo_commits(repo)] == ["Add after.txt", "All in one"]
    with pytest.raises(RevisionNotFoundError):
        hub.api.super_squash_history(repo, branch="nowhere")
    with pytest.raises(BadRequestError, match="v1 is a tag"):
        hub.api.super_squash_history(repo, branch="v1")


def test_history_comes_in_pages(hub: Hub, repo: str) -> None:
    shas = [put(hub, repo, f"{n}.txt") for n in range(7)][::-1]
    page = hub.request("GET", f"/api/models/{repo}/commits/main?limit=3")
    assert [row["id"] for row in page.json()] == shas[:3]
    seen = [row["id"] for row in page.json()]
    while link := page.headers.get("link"):
        page = hub.request("GET", link[1 : link.index(">")].removeprefix(hub.site.url))
        seen += [row["id"] for row in page.json()]
    assert seen[:-1] == shas
    formatted = hub.api.list_repo_commits(repo, formatted=True)
    assert (formatted[0].formatted_title, formatted[0].message) == ("Add 6.txt", "")
    assert hub.api.list_repo_commits(repo, revision=shas[4])[0].commit_id == shas[4]
    with pytest.raises(RevisionNotFoundError):
        hub.api.list_repo_commits(repo, revision="nowhere")


def test_commits_copy_and_delete_files_and_folders(hub: Hub, repo: str) -> None:
    weights = secrets.token_bytes(2 * 1024**2)
    first = hub.api.create_commit(
        repo,
        [CommitOperationAdd("w/big.bin", weights), CommitOperationAdd("w/small.txt", b"small"), CommitOperationAdd("a/b/c.txt", b"c")],
        commit_message="base",
    ).oid  # fmt: skip
    hub.api.create_commit(
        repo,
        [
            CommitOperationDelete("w/"),
            CommitOperationAdd("w/new.txt", b"new"),
            CommitOperationCopy("w/big.bin", "copied/big.bin", src_revision=first),
            CommitOperationCopy("a/b/c.txt", "a/d.txt"),
        ],
        commit_message="turn around",
    )
    files = {file.path: file for file in hub.api.list_repo_tree(repo, recursive=True) if hasattr(file, "blob_id")}
    assert set(files) == {".gitattributes", "w/new.txt", "copied/big.bin", "a/b/c.txt", "a/d.txt"}
    assert files["copied/big.bin"].lfs.size == len(weights)
    assert files["a/d.txt"].blob_id == files["a/b/c.txt"].blob_id
    hub.api.delete_files(repo, ["a/*"])
    hub.api.delete_folder("copied", repo)
    assert hub.api.list_repo_files(repo) == [".gitattributes", "w/new.txt"]
    for path, is_folder in (("w", False), ("nothing", True), ("nothing.txt", False), ("w/new.txt", True)):
        operation = CommitOperationDelete(path, is_folder=is_folder)
        if (path, is_folder) == ("w", False):
            continue
        with pytest.raises(RemoteEntryNotFoundError, match="A file with this name doesn't exist"):
            hub.api.create_commit(repo, [operation], commit_message="gone")


def test_files_of_another_repository_are_copied_when_they_are_small(hub: Hub, repo: str, private_repo: str) -> None:
    put(hub, repo, "a.txt")
    hub.api.create_commit(
        private_repo,
        [CommitOperationCopy("a.txt", "b.txt", src_repo_id=repo, src_repo_type="model")],
        commit_message="copy",
        repo_type="dataset",
    )
    assert "b.txt" in hub.api.list_repo_files(private_repo, repo_type="dataset")


def test_paths_are_described_many_at_a_time(hub: Hub, repo: str) -> None:
    paths = [f"f/{n:03d}.txt" for n in range(500)]
    sha = put(hub, repo, *paths)
    found = hub.api.get_paths_info(repo, [*paths, "f", "missing.txt", "f/missing"], expand=True)
    assert [item.path for item in found] == [*paths, "f"]
    assert {item.last_commit.oid for item in found} == {sha}
    assert {item.security.status for item in found if hasattr(item, "blob_id")} <= {"unscanned", "safe"}
    assert hub.request("POST", f"/api/models/{repo}/paths-info/main", {"paths": ["x"] * 1001}).status == 400
    with pytest.raises(RevisionNotFoundError):
        hub.api.get_paths_info(repo, ["f"], revision="nowhere")


def test_many_small_files_are_stored_together(hub: Hub, repo: str) -> None:
    """Each in its place, equal ones once, large ones between them apart; and nothing of a commit that fails half-way."""
    contents = {f"many/{n:04d}.txt": b"%d" % (n // 2) for n in range(1200)} | {"many/long.txt": b"line\n" * 40_000}
    lines = [
        {"key": "file", "value": {"path": path, "encoding": "base64", "content": base64_of(data)}}
        for path, data in sorted(contents.items())
    ]
    answer = hub.commit(repo, lines)
    assert answer.status == 200
    info = hub.api.repo_info(repo, files_metadata=True)
    assert {file.rfilename: file.size for file in info.siblings} == {
        path: len(data) for path, data in contents.items()
    } | {".gitattributes": info.siblings[0].size}
    for path in ("many/0000.txt", "many/0001.txt", "many/1199.txt", "many/long.txt"):
        assert hub.request("GET", f"/{repo}/resolve/main/{path}").body == contents[path]
    before = hub.api.model_info(repo).sha
    assert (
        hub.commit(
            repo, [*lines[:300], {"key": "file", "value": {"path": "x", "content": "@@@", "encoding": "base64"}}]
        ).status
        == 400
    )
    assert hub.commit(repo, [*lines[:300], {"key": "deletedFile", "value": {"path": "never"}}]).status == 404
    assert hub.api.model_info(repo).sha == before


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_models_are_found_by_what_their_files_say(hub: Hub, repo: str) -> None:
    tensors = save({"a": np.zeros((1000, 2000), np.float32), "b": np.zeros(7, np.int8)})
    config = {"architectures": ["TinyModel"], "model_type": "tiny", "hidden_size": 8}
    hub.api.create_commit(
        repo,
        [
            CommitOperationAdd("model.safetensors", tensors),
            CommitOperationAdd("config.json", json.dumps(config).encode()),
        ],
        commit_message="a model",
    )
    stem = repo.split("/")[1]
    deadline = time.monotonic() + 60
    while (info := hub.api.model_info(repo, expand=["safetensors", "config"])).safetensors is None:
        assert time.monotonic() < deadline, "the worker has not read the model"
        time.sleep(0.2)
    assert (info.safetensors.parameters, info.safetensors.total) == ({"F32": 2_000_000, "I8": 7}, 2_000_007)
    assert info.config == {"architectures": ["TinyModel"], "model_type": "tiny"}
    assert hub.api.get_safetensors_metadata(repo).parameter_count == {"F32": 2_000_000, "I8": 7}

    def found(**filters) -> list[str]:
        return [each.id for each in hub.api.list_models(search=stem, **filters)]

    assert found(num_parameters="min:1M,max:3M") == found(num_parameters="min:2M") == [repo]
    assert found(num_parameters="max:2M") == found(num_parameters="min:1B") == []
    assert found(inference="warm") == found(inference_provider="all") == []
    assert next(iter(hub.api.list_models(search=stem, fetch_config=True))).config["model_type"] == "tiny"
    for wrong in ({"num_parameters": "big"}, {"num_parameters": "min:1M;max:2M"}, {"apps": "vllm"}):
        with pytest.raises(BadRequestError):
            found(**wrong)


def test_lists_take_every_filter_and_name_of_the_client(hub: Hub, repo: str, private_repo: str) -> None:
    card = (
        "---\nlanguage: [en]\nlicense: mit\ntask_categories: [text-classification]\ntask_ids: [sentiment]\n"
        "size_categories: [n<1K]\nmultilinguality: [monolingual]\nlanguage_creators: [found]\n---\n"
    )
    hub.api.upload_file(
        path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=private_repo, repo_type="dataset"
    )
    filters = {
        "language": "en", "task_categories": "text-classification", "task_ids": "sentiment", "size_categories": "n<1K",
        "multilinguality": "monolingual", "language_creators": "found",
    }  # fmt: skip
    for one in ({name: value} for name, value in filters.items()):
        assert private_repo in [each.id for each in hub.api.list_datasets(author=hub.user, **one)], one
    assert [each.id for each in hub.api.list_datasets(dataset_name=private_repo.split("/")[1], **filters)] == [
        private_repo
    ]
    assert list(hub.api.list_datasets(author=hub.user, language="xx")) == []
    assert list(hub.api.list_datasets(author=hub.user, benchmark=True)) == []
    hub.api.update_repo_settings(repo, gated="auto")
    assert repo in [each.id for each in hub.api.list_models(author=hub.user, gated=True)]
    assert repo not in [each.id for each in hub.api.list_models(author=hub.user, gated=False)]
    for sort in ("created_at", "downloads", "last_modified", "likes", "trending_score"):
        assert repo in [each.id for each in hub.api.list_models(author=hub.user, sort=sort)]
        assert private_repo in [each.id for each in hub.api.list_datasets(author=hub.user, sort=sort)]


def test_every_property_of_the_client_can_be_asked_for(hub: Hub, repo: str, private_repo: str) -> None:
    for name in get_args(ExpandModelProperty_T):
        assert hub.api.model_info(repo, expand=[name]).id == repo
        assert repo in [each.id for each in hub.api.list_models(author=hub.user, expand=[name])]
    for name in get_args(ExpandDatasetProperty_T):
        assert hub.api.dataset_info(private_repo, expand=[name]).id == private_repo
        assert private_repo in [each.id for each in hub.api.list_datasets(author=hub.user, expand=[name])]
    status = hub.api.model_info(repo, securityStatus=True).security_repo_status
    # whether the worker has looked at it already is a matter of moments
    assert (set(status), status["filesWithIssues"]) == ({"scansDone", "filesWithIssues"}, [])


def test_refusals_of_what_others_offer_are_clear(hub: Hub, repo: str) -> None:
    """Spaces, jobs, inference endpoints, papers and buckets: the client gets an error that it understands, at once."""
    for act in (
        lambda: list(hub.api.list_spaces()),
        lambda: hub.api.space_info(f"{hub.user}/s"),
        lambda: hub.api.get_space_runtime(f"{hub.user}/s"),
        lambda: hub.api.restart_space(f"{hub.user}/s"),
        lambda: list(hub.api.list_jobs(namespace=hub.user)),
        lambda: hub.api.run_job(image="x", command=["y"], namespace=hub.user),
        lambda: hub.api.paper_info("2301.00001"),
        lambda: list(hub.api.list_daily_papers()),
        lambda: hub.api.create_bucket(f"{hub.user}/b"),
        lambda: list(hub.api.list_lfs_files(repo)),
        lambda: hub.api.create_repo(f"{hub.user}/k", repo_type="kernel"),
        lambda: hub.api.upload_attachment(hub.home / "a.png"),
        lambda: hub.api.get_dataset_leaderboard(repo),
    ):
        (hub.home / "a.png").write_bytes(b"x")
        with pytest.raises((HfHubHTTPError, RepositoryNotFoundError)) as error:
            act()
        assert 400 <= error.value.response.status_code < 500
        assert error.value.response.headers["x-error-message"].startswith("This site has no")
