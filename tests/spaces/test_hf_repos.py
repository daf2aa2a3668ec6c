"""Repositories through the Hugging Face client: making, finding, describing, changing, removing; who sees what."""

import pathlib

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    BadRequestError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.spaces.hf_client import Hub

CARD = """---
license: mit
tags: [digits, tiny]
pipeline_tag: image-classification
library_name: onnx
datasets: [acme/digits]
---
# A card
"""


def refusal(error: pytest.ExceptionInfo[HfHubHTTPError]) -> tuple[int, str | None]:
    response = error.value.response
    return response.status_code, response.headers.get("X-Error-Code")


def test_whoami_names_the_person_and_the_token(hub: Hub) -> None:
    me = hub.api.whoami()
    assert (me["type"], me["name"]) == ("user", "hf-alice")
    # other tests on the same site may have made organisations for her
    assert all(each["name"].startswith("acme-") and each["type"] == "org" for each in me["orgs"])
    assert me["email"] == "hf-alice@example.org"
    assert me["auth"]["type"] == "access_token"
    assert me["auth"]["accessToken"]["role"] == "write"
    assert me["auth"]["accessToken"]["displayName"].startswith("test ")


def test_a_bad_token_is_told_apart_from_a_missing_repository(hub: Hub, repo: str) -> None:
    for path in (
        "/api/whoami-v2",
        f"/api/models/{repo}",
        f"/{repo}/resolve/main/README.md",
        "/api/models/no/such",
        "/api/models",
    ):
        answer = hub.request("GET", path, token="hf_nonsense")
        assert answer.status == 401
        assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"
        assert "x-error-code" not in answer.headers
        assert answer.json() == {"error": "Invalid credentials in Authorization header"}
    assert hub.request("GET", "/api/whoami-v2", token="").status == 401


def test_a_repository_is_made_and_removed(hub: Hub, repo: str) -> None:
    url = hub.api.create_repo(repo, exist_ok=True)
    assert (str(url), url.repo_id, url.repo_type) == (f"{hub.site.url}/{repo}", repo, "model")
    with pytest.raises(HfHubHTTPError) as error:
        hub.api.create_repo(repo)
    assert refusal(error)[0] == 409
    commits = hub.api.list_repo_commits(repo)
    assert [(commit.title, commit.authors) for commit in commits] == [("initial commit", ["hf-alice"])]
    assert hub.api.list_repo_files(repo) == [".gitattributes"]
    hub.api.delete_repo(repo)
    assert not hub.api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        hub.api.delete_repo(repo)
    hub.api.delete_repo(repo, missing_ok=True)
    # the name is free again
    hub.api.create_repo(repo, repo_type="model")


def test_a_name_without_namespace_is_the_callers(hub: Hub, repo: str) -> None:
    name = repo.split("/")[1] + "-bare"
    url = hub.api.create_repo(name, repo_type="dataset")
    assert str(url) == f"{hub.site.url}/datasets/{hub.user}/{name}"
    assert hub.api.dataset_info(f"{hub.user}/{name}").author == hub.user
    hub.api.delete_repo(f"{hub.user}/{name}", repo_type="dataset")


def test_models_and_datasets_are_told_apart(hub: Hub, repo: str) -> None:
    with pytest.raises(RepositoryNotFoundError):
        hub.api.dataset_info(repo)
    assert hub.api.model_info(repo.upper().replace("HF-ALICE", "HF-Alice")).id == repo


def test_nobody_else_makes_changes_or_removes(hub: Hub, stranger: Hub, repo: str) -> None:
    before = hub.api.model_info(repo).sha
    for act in (
        lambda: stranger.api.create_repo(f"{hub.user}/intruder"),
        lambda: stranger.api.delete_repo(repo),
        lambda: stranger.api.update_repo_settings(repo, private=True),
        lambda: stranger.api.create_branch(repo, branch="x"),
        lambda: stranger.api.create_tag(repo, tag="x"),
        lambda: stranger.api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo),
        lambda: stranger.api.move_repo(repo, f"{stranger.user}/mine"),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            act()
        assert refusal(error)[0] == 403
    with pytest.raises(HfHubHTTPError):
        HfApi(endpoint=hub.site.url, token=False).create_branch(repo, branch="x")
    info = hub.api.model_info(repo)
    assert (info.sha, info.private) == (before, False)
    refs = hub.api.list_repo_refs(repo)
    assert ([branch.name for branch in refs.branches], refs.tags) == (["main"], [])
    assert not hub.api.repo_exists(f"{hub.user}/intruder")


def test_a_private_repository_does_not_exist_for_others(hub: Hub, stranger: Hub, private_repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=b"secret", path_in_repo="a.txt", repo_id=private_repo, repo_type="dataset")
    assert hub.api.dataset_info(private_repo).private is True
    anonymous = HfApi(endpoint=hub.site.url, token=False)
    for api, status in ((stranger.api, 404), (anonymous, 401)):
        assert not api.repo_exists(private_repo, repo_type="dataset")
        for act in (
            lambda api=api: api.dataset_info(private_repo),
            lambda api=api: list(api.list_repo_tree(private_repo, repo_type="dataset")),
            lambda api=api: api.list_repo_refs(private_repo, repo_type="dataset"),
            lambda api=api: api.list_repo_commits(private_repo, repo_type="dataset"),
            lambda api=api: api.hf_hub_download(private_repo, "a.txt", repo_type="dataset", cache_dir=hub.home / "c"),
            lambda api=api: api.upload_file(
                path_or_fileobj=b"x", path_in_repo="x", repo_id=private_repo, repo_type="dataset"
            ),
        ):
            with pytest.raises(RepositoryNotFoundError) as error:
                act()
            assert refusal(error) == (status, "RepoNotFound")
        assert private_repo not in [found.id for found in api.list_datasets(author=hub.user)]
    assert private_repo in [found.id for found in hub.api.list_datasets(author=hub.user)]
    # nothing tells it from a repository that is not there
    for path in ("", "/tree/main", "/refs", "/commits/main"):
        there = stranger.request("GET", f"/api/datasets/{private_repo}{path}")
        missing = stranger.request("GET", f"/api/datasets/{hub.user}/missing{path}")
        assert (there.status, there.body.replace(private_repo.encode(), b"R")) == (
            missing.status,
            missing.body.replace(f"{hub.user}/missing".encode(), b"R"),
        )


def test_settings_change_who_sees_it(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=b"weights", path_in_repo="w.bin", repo_id=repo)
    hub.api.update_repo_settings(repo, private=True)
    assert not stranger.api.repo_exists(repo)
    hub.api.update_repo_settings(repo, private=False, gated="manual")
    assert stranger.api.model_info(repo).gated == "manual"
    assert stranger.api.list_repo_files(repo) == [".gitattributes", "w.bin"]
    stranger_files = hub.home / "stranger"
    with pytest.raises(GatedRepoError) as error:
        stranger.api.hf_hub_download(repo, "w.bin", cache_dir=stranger_files)
    assert refusal(error) == (403, "GatedRepo")
    with pytest.raises(GatedRepoError):
        stranger.api.auth_check(repo)
    anonymous = HfApi(endpoint=hub.site.url, token=False)
    with pytest.raises(GatedRepoError) as error:
        anonymous.hf_hub_download(repo, "w.bin", cache_dir=stranger_files)
    assert refusal(error) == (401, "GatedRepo")
    hub.api.auth_check(repo, write=True)
    hub.api.update_repo_settings(repo, gated=False)
    stranger.api.auth_check(repo)
    with pathlib.Path(stranger.api.hf_hub_download(repo, "w.bin", cache_dir=stranger_files)).open("rb") as file:
        assert file.read() == b"weights"


def test_information_says_what_the_card_says(hub: Hub, repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=repo)
    info = hub.api.model_info(repo, files_metadata=True)
    assert (info.id, info.author, info.private, info.gated, info.disabled) == (repo, hub.user, False, False, False)
    assert info.pipeline_tag == "image-classification"
    assert info.library_name == "onnx"
    assert info.card_data.license == "mit"
    assert {"license:mit", "digits", "tiny", "dataset:acme/digits", "image-classification", "onnx"} <= set(info.tags)
    readme = next(file for file in info.siblings if file.rfilename == "README.md")
    assert (readme.size, readme.lfs) == (len(CARD), None)
    assert info.created_at <= info.last_modified
    assert hub.api.model_info(repo, revision=info.sha).sha == info.sha
    narrow = hub.request("GET", f"/api/models/{repo}?expand=private&expand=sha").json()
    assert set(narrow) == {"_id", "id", "private", "sha"}
    wrong = hub.request("GET", f"/api/models/{repo}?expand=nonsense")
    assert wrong.status == 400
    assert 'expected one of "author"|' in wrong.json()["error"]
    with pytest.raises(RevisionNotFoundError):
        hub.api.model_info(repo, revision="nowhere")


def test_lists_filter_sort_and_page(hub: Hub, repo: str) -> None:
    names = [f"{repo}-{letter}" for letter in "abcde"]
    for name in names:
        hub.api.create_repo(name)
    hub.api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=names[2])
    stem = repo.split("/")[1]
    assert [found.id for found in hub.api.list_models(author=hub.user, search=stem, filter="digits")] == [names[2]]
    assert [found.id for found in hub.api.list_models(search=stem, filter=["digits", "license:mit"])] == [names[2]]
    assert [found.id for found in hub.api.list_models(search=stem, filter=["digits", "license:gpl"])] == []
    assert [found.id for found in hub.api.list_models(search=stem, pipeline_tag="image-classification")] == [names[2]]
    newest = [found.id for found in hub.api.list_models(search=stem, sort="created_at")]
    assert newest == [*reversed(names), repo]
    assert next(found.id for found in hub.api.list_models(search=stem, sort="last_modified")) == names[2]
    page = hub.request("GET", f"/api/models?search={stem}&sort=createdAt&limit=2")
    assert [item["id"] for item in page.json()] == newest[:2]
    link = page.headers["link"]
    assert link.startswith(f"<{hub.site.url}/api/models?search={stem}&sort=createdAt&limit=2&cursor=")
    seen = [item["id"] for item in page.json()]
    while link:
        page = hub.request("GET", link[1 : link.index(">")].removeprefix(hub.site.url))
        seen += [item["id"] for item in page.json()]
        link = page.headers.get("link", "")
    assert seen == newest
    full = next(iter(hub.api.list_models(search=stem, filter="digits", full=True, cardData=True)))
    assert ([file.rfilename for file in full.siblings], full.card_data.license) == (
        [".gitattributes", "README.md"],
        "mit",
    )
    for wrong in ("sort=nonsense", "cursor=%00", "cursor=abc", "expand=x"):
        assert hub.request("GET", f"/api/models?{wrong}").status == 400
    for name in names:
        hub.api.delete_repo(name)


def test_what_the_site_does_not_have_is_a_plain_404(hub: Hub, repo: str) -> None:
    for path in (
        "/api/spaces", "/api/spaces/a/b", "/api/spaces/templates", "/api/papers/1", "/api/daily_papers", "/api/kernels/a/b",
        "/api/buckets/x/y", f"/api/jobs/{hub.user}", f"/api/scheduled-jobs/{hub.user}", f"/api/models/{repo}/nonsense/deep",
        f"/api/datasets/{repo}/leaderboard", f"/api/models/{repo}/lfs-files", f"/api/models/{repo}/safetensors-metadata/x",
        "/api/settings/mcp", "/api/event/x", "/api/nonsense", "/api/resource-groups/x", "/api/inference-endpoints", "/uploads",
    ):  # fmt: skip
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = hub.request(method, path, {} if method == "POST" else None)
            assert (answer.status, answer.headers["x-error-message"].startswith("This site has no")) == (404, True)
            assert list(answer.json()) == ["error"]
    with pytest.raises(BadRequestError, match="no spaces"):
        hub.api.create_repo(f"{hub.user}/s", repo_type="space", space_sdk="static")


def test_short_answers_that_clients_ask_for_at_start(hub: Hub) -> None:
    assert hub.request("GET", "/api/agent-harnesses", token="").json() == {"standardEnvVars": [], "harnesses": {}}
    assert hub.request("HEAD", "/api/telemetry/huggingface_hub/x", token="").status == 204
    assert hub.request("POST", "/v1/telemetry", {}, token="").status == 204


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_an_id_of_one_part_is_a_missing_repository(hub: Hub, kind: str) -> None:
    prefix = "" if kind == "models" else "datasets/"
    for path in (
        f"/api/{kind}/gpt2",
        f"/api/{kind}/gpt2/revision/main",
        f"/api/{kind}/gpt2/tree/main",
        f"/{prefix}gpt2/resolve/main/x",
    ):
        answer = hub.request("GET", path)
        assert (answer.status, answer.headers["x-error-code"]) == (404, "RepoNotFound")
