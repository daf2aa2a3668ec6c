"""Likes, people, organisations, collections and copies through the client."""

import secrets

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from tests.spaces.hf_client import Hub

CARD = (
    "---\nlicense: mit\ntags: [tiny]\nlanguage: [en, fr]\npipeline_tag: text-classification\nbase_model: {base}\n---\n"
)


def status_of(act) -> int:
    with pytest.raises(HfHubHTTPError) as error:
        act()
    return error.value.response.status_code


@pytest.fixture(scope="module")
def company(live_site) -> str:
    """An organisation that Alice owns."""
    live_site.user("hf-alice")
    name = f"acme-{secrets.token_hex(3)}"
    live_site.manage("create_organization", name, "--owner", "hf-alice")
    return name


def test_likes_are_given_counted_and_taken_back(hub: Hub, stranger: Hub, repo: str) -> None:
    for someone in (hub, stranger, stranger):
        assert someone.request("POST", f"/api/models/{repo}/like", {}).status == 200
    assert hub.api.model_info(repo).likes == 2
    assert [person.username for person in hub.api.list_repo_likers(repo)] == [stranger.user, hub.user]
    liked = stranger.api.list_liked_repos()
    assert (repo in liked.models, liked.user) == (True, stranger.user)
    assert repo in hub.api.list_liked_repos(stranger.user).models
    stem = repo.split("/")[1]
    hub.api.create_repo(f"{repo}-b")
    assert [found.id for found in hub.api.list_models(search=stem, sort="likes")] == [repo, f"{repo}-b"]
    assert [found.id for found in hub.api.list_models(search=stem, sort="trending_score")] == [repo, f"{repo}-b"]
    assert hub.api.model_info(repo, expand=["trendingScore"]).trending_score == 20
    hub.api.delete_repo(f"{repo}-b")
    stranger.api.unlike(repo)
    stranger.api.unlike(repo)
    assert hub.api.model_info(repo).likes == 1
    assert repo not in stranger.api.list_liked_repos().models
    assert hub.request("POST", f"/api/models/{repo}/like", {}, token="").status == 401


def test_what_is_private_is_not_told_by_likes(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.request("POST", f"/api/models/{repo}/like", {})
    hub.api.update_repo_settings(repo, private=True)
    assert repo not in stranger.api.list_liked_repos(hub.user).models
    assert repo in hub.api.list_liked_repos().models
    assert stranger.request("POST", f"/api/models/{repo}/like", {}).status == 404
    with pytest.raises(RepositoryNotFoundError):
        list(stranger.api.list_repo_likers(repo))


def test_people_and_organisations_are_described(hub: Hub, stranger: Hub, repo: str, company: str) -> None:
    nobody = HfApi(endpoint=hub.site.url, token=False)
    before = nobody.get_user_overview(hub.user)
    assert (before.username, before.fullname, before.orgs) == (hub.user, hub.user, [])
    hub.api.create_repo(f"{repo}-private", private=True)
    assert nobody.get_user_overview(hub.user).num_models == before.num_models
    assert hub.api.get_user_overview(hub.user).num_models >= before.num_models + 1
    hub.api.delete_repo(f"{repo}-private")
    assert company in [each.name for each in hub.api.get_user_overview(hub.user).orgs]
    hub.api.create_repo(f"{company}/m")
    shown = nobody.get_organization_overview(company)
    assert (shown.name, shown.num_models, shown.num_users) == (company, 1, None)
    assert hub.api.get_organization_overview(company).num_users == 1
    assert [member.username for member in hub.api.list_organization_members(company)] == [hub.user]
    assert status_of(lambda: list(stranger.api.list_organization_members(company))) == 403
    assert list(nobody.list_user_followers(hub.user)) == list(nobody.list_user_following(hub.user)) == []
    assert list(nobody.list_organization_followers(company)) == []
    for act in (
        lambda: nobody.get_user_overview("nobody-of-this-name"),
        lambda: nobody.get_user_overview(company),
        lambda: nobody.get_organization_overview(hub.user),
        lambda: list(nobody.list_user_followers("nobody-of-this-name")),
        lambda: nobody.list_liked_repos("nobody-of-this-name"),
    ):
        assert status_of(act) == 404
    hub.api.delete_repo(f"{company}/m")


def test_a_collection_is_made_filled_ordered_and_removed(hub: Hub, stranger: Hub, repo: str, private_repo: str) -> None:
    title = f"Tiny things {secrets.token_hex(3)}"
    made = hub.api.create_collection(title, description="Small ones")
    assert made.slug.startswith(f"{hub.user}/tiny-things-")
    assert (made.title, made.description, made.private, made.items) == (title, "Small ones", False, [])
    assert status_of(lambda: hub.api.create_collection(title.upper())) == 409
    assert hub.api.create_collection(title, exists_ok=True).slug == made.slug
    hub.api.add_collection_item(made.slug, repo, "model", note="the first")
    full = hub.api.add_collection_item(made.slug, private_repo, "dataset")
    assert [(item.item_id, item.item_type, item.note) for item in full.items] == [
        (repo, "model", "the first"), (private_repo, "dataset", None),
    ]  # fmt: skip
    assert status_of(lambda: hub.api.add_collection_item(made.slug, repo, "model")) == 409
    hub.api.add_collection_item(made.slug, repo, "model", exists_ok=True)
    hub.api.update_collection_item(made.slug, full.items[1].item_object_id, note="now first", position=0)
    assert [item.item_id for item in hub.api.get_collection(made.slug).items] == [private_repo, repo]
    # nobody sees more through a collection than without it
    assert [item.item_id for item in stranger.api.get_collection(made.slug).items] == [repo]
    changed = hub.api.update_collection_metadata(made.slug, title=f"{title} anew", theme="pink", position=3)
    assert (changed.title, changed.theme, changed.position) == (f"{title} anew", "pink", 3)
    assert changed.slug != made.slug
    assert hub.api.get_collection(made.slug).slug == changed.slug
    listed = list(hub.api.list_collections(owner=hub.user, item=f"models/{repo}"))
    assert [(each.slug, len(each.items)) for each in listed] == [(changed.slug, 2)]
    assert changed.slug not in [each.slug for each in stranger.api.list_collections(item=f"datasets/{private_repo}")]
    hub.api.delete_collection_item(made.slug, full.items[0].item_object_id)
    assert status_of(lambda: hub.api.delete_collection_item(made.slug, full.items[0].item_object_id)) == 404
    hub.api.update_collection_metadata(made.slug, private=True)
    assert status_of(lambda: stranger.api.get_collection(made.slug)) == 404
    assert changed.slug not in [each.slug for each in stranger.api.list_collections(owner=hub.user)]
    hub.api.delete_collection(made.slug)
    hub.api.delete_collection(made.slug, missing_ok=True)
    assert status_of(lambda: hub.api.get_collection(made.slug)) == 404


def test_collections_are_listed_in_pages(hub: Hub, company: str) -> None:
    slugs = [hub.api.create_collection(f"Number {number}", namespace=company).slug for number in range(4)]
    page = hub.request("GET", f"/api/collections?owner={company}&limit=3")
    assert [row["slug"] for row in page.json()] == slugs[:0:-1]
    assert [each.slug for each in hub.api.list_collections(owner=[company, "nobody"], limit=4)] == slugs[::-1]
    for slug in slugs:
        hub.api.delete_collection(slug)


def test_strangers_change_no_collection(hub: Hub, stranger: Hub, repo: str) -> None:
    made = hub.api.create_collection(f"Mine {secrets.token_hex(3)}")
    item = hub.api.add_collection_item(made.slug, repo, "model").items[0].item_object_id
    before = hub.api.get_collection(made.slug)
    for act in (
        lambda: stranger.api.create_collection("Yours", namespace=hub.user),
        lambda: stranger.api.update_collection_metadata(made.slug, title="Yours"),
        lambda: stranger.api.add_collection_item(made.slug, repo, "model"),
        lambda: stranger.api.update_collection_item(made.slug, item, note="x"),
        lambda: stranger.api.delete_collection_item(made.slug, item),
        lambda: stranger.api.delete_collection(made.slug),
    ):
        assert status_of(act) == 403
    for path, body in (
        ("/api/collections", {"title": "", "namespace": hub.user}),
        ("/api/collections", {"title": "x" * 61, "namespace": hub.user}),
        ("/api/collections", {"title": "fine", "description": "x" * 151}),
        (f"/api/collections/{made.slug}/items", {"item": "x"}),
        (f"/api/collections/{made.slug}/items", {"item": {"id": "a/b", "type": "space"}}),
        (f"/api/collections/{made.slug}/items", {"item": {"id": repo, "type": "model"}, "note": "x" * 501}),
        (f"/api/collections/{hub.user}/{'0' * 32}/items", {"item": {"id": repo, "type": "model"}}),
        (f"/api/collections/{hub.user}/nonsense/items", {"item": {"id": repo, "type": "model"}}),
    ):
        answer = hub.request("POST", path, body)
        assert answer.status in {400, 404, 409}, path
    for query in ("sort=x", "item=x", "item=spaces/a/b", "cursor=x"):
        assert hub.request("GET", f"/api/collections?{query}").status == 400
    assert hub.request("PATCH", f"/api/collections/{made.slug}", {"theme": "mauve"}).status == 400
    assert hub.request("PATCH", f"/api/collections/{made.slug}/items/{item}", {"position": -1}).status == 400
    assert hub.api.get_collection(made.slug) == before
    hub.api.delete_collection(made.slug)


def test_a_repository_is_copied_without_its_history(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.api.create_commit(
        repo,
        [CommitOperationAdd("a.txt", b"text"), CommitOperationAdd("w/big.bin", secrets.token_bytes(2 * 1024**2))],
        commit_message="content",
    )
    copy = stranger.api.duplicate_repo(repo, f"{stranger.user}/copy-{secrets.token_hex(3)}")
    assert (copy.repo_id.split("/")[0], copy.files_copy_pending) == (stranger.user, False)

    def files(api: HfApi, name: str) -> dict:
        return {each.path: (each.blob_id, each.lfs) for each in api.list_repo_tree(name, recursive=True) if hasattr(each, "blob_id")}  # fmt: skip

    assert files(stranger.api, copy.repo_id) == files(hub.api, repo)
    assert [commit.title for commit in stranger.api.list_repo_commits(copy.repo_id)] == [
        f"Duplicate from {repo}",
        "initial commit",
    ]
    with pytest.raises(HfHubHTTPError):
        stranger.api.duplicate_repo(repo, copy.repo_id)
    assert stranger.api.duplicate_repo(repo, copy.repo_id, exist_ok=True).repo_id == copy.repo_id
    assert status_of(lambda: stranger.api.duplicate_repo(repo, f"{hub.user}/intruder")) == 403
    stranger.api.delete_repo(copy.repo_id)


def test_large_files_are_given_to_another_repository(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=secrets.token_bytes(2 * 1024**2), path_in_repo="w.bin", repo_id=repo)
    digest = next(iter(hub.api.get_paths_info(repo, "w.bin"))).lfs.sha256
    target = f"{stranger.user}/t-{secrets.token_hex(3)}"
    stranger.api.create_repo(target)
    line = {"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", "oid": digest}}
    assert stranger.commit(target, [line]).status == 400
    body = {"target": {"type": "model", "name": target}, "files": [{"sha256": digest}, {"sha256": "0" * 64}]}
    answer = stranger.request("POST", f"/api/models/{repo}/lfs-files/duplicate", body)
    assert [each["sha256"] for each in answer.json()["failed"]] == ["0" * 64]
    assert stranger.commit(target, [line]).status == 200
    assert hub.request("POST", f"/api/models/{repo}/lfs-files/duplicate", body).status == 403
    hub.api.update_repo_settings(repo, gated="manual")
    assert stranger.request("POST", f"/api/models/{repo}/lfs-files/duplicate", body).status == 403
    stranger.api.delete_repo(target)


def test_models_say_what_they_are_made_of(hub: Hub, repo: str) -> None:
    child = f"{repo}-child"
    hub.api.create_repo(child)
    hub.api.upload_file(path_or_fileobj=CARD.format(base=repo).encode(), path_in_repo="README.md", repo_id=child)
    assert hub.api.model_info(child, expand=["baseModels"]).base_models == [repo]
    assert hub.api.model_info(repo, expand=["childrenModelCount"]).children_model_count == 1
    tags = HfApi(endpoint=hub.site.url).get_model_tags()
    assert {"id": "license:mit", "label": "mit", "type": "license"} in tags["license"]
    assert {"id": "language:fr", "label": "fr", "type": "language"} in tags["language"]
    assert {"id": "tiny", "label": "tiny", "type": "other"} in tags["other"]
    assert isinstance(HfApi(endpoint=hub.site.url).get_dataset_tags(), dict)
    hub.api.delete_repo(child)
