"""Discussions and pull requests through the client."""

import secrets
import warnings
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from tests.spaces.hf_client import Hub


def statuses(hub: Hub, repo: str) -> dict[int, str]:
    return {each.num: each.status for each in hub.api.get_repo_discussions(repo)}


def read(hub: Hub, repo: str, path: str, revision: str = "main") -> bytes | None:
    answer = hub.request("GET", f"/{repo}/resolve/{revision.replace('/', '%2F')}/{path}")
    return answer.body if answer.status == 200 else None


def kinds(details) -> list[str]:
    return [event.type for event in details.events]


def test_a_conversation(hub: Hub, stranger: Hub, repo: str) -> None:
    opened = stranger.api.create_discussion(repo, "  Which data? ", description="*Where* is it from?")
    assert (opened.num, opened.title, opened.status, opened.author) == (1, "Which data?", "open", stranger.user)
    assert (opened.is_pull_request, opened.git_reference, opened.diff) == (False, None, None)
    assert opened.url == f"{hub.site.url}/{repo}/discussions/1"
    said = hub.api.comment_discussion(repo, 1, "From <script>alert(1)</script> us")
    assert (said.type, said.author, said.edited, said.hidden) == ("comment", hub.user, False, False)
    assert "<script" not in said.rendered
    edited = hub.api.edit_discussion_comment(repo, 1, said.id, "From us")
    assert (edited.content, edited.edited, edited.number_of_edits) == ("From us", True, 1)
    assert edited.edit_history[0]["raw"] == "From <script>alert(1)</script> us"
    renamed = stranger.api.rename_discussion(repo, 1, "Which data was used?")
    assert (renamed.old_title, renamed.new_title) == ("Which data?", "Which data was used?")
    closed = stranger.api.change_discussion_status(repo, 1, "closed", comment="Thanks!")
    assert closed.new_status == "closed"
    with pytest.raises(HfHubHTTPError) as error:
        stranger.api.change_discussion_status(repo, 1, "closed")
    assert error.value.response.status_code == 409
    hub.api.change_discussion_status(repo, 1, "open")
    details = hub.api.get_discussion_details(repo, 1)
    assert kinds(details) == ["comment", "comment", "title-change", "comment", "status-change", "status-change"]
    assert [event.content for event in details.events if event.type == "comment"] == [
        "*Where* is it from?", "From us", "Thanks!",
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        hidden = hub.api.hide_discussion_comment(repo, 1, details.events[0].id.upper())
    assert (hidden.hidden, hidden.content, hidden.edit_history) == (True, "", [])


def test_lists_filter_and_page(hub: Hub, stranger: Hub, repo: str) -> None:
    for number in range(1, 56):
        body = {"title": f"Number {number}", "description": "x", "pullRequest": number == 7}
        someone = stranger if number % 5 == 0 else hub
        answer = someone.request("POST", f"/api/models/{repo}/discussions", body)
        assert (answer.status, answer.json()["num"]) == (200, number)
    hub.api.change_discussion_status(repo, 3, "closed")

    def numbers(**filters) -> list[int]:
        return [each.num for each in hub.api.get_repo_discussions(repo, **filters)]

    assert numbers() == list(range(55, 0, -1))
    assert numbers(discussion_type="pull_request") == [7]
    assert len(numbers(discussion_type="discussion")) == 54
    assert numbers(discussion_status="closed") == [3]
    assert len(numbers(discussion_status="open")) == 54
    assert numbers(author=stranger.user) == list(range(55, 0, -5))
    for wrong in ("type=x", "status=x"):
        assert hub.request("GET", f"/api/models/{repo}/discussions?{wrong}").status == 400
    for odd in ("p=-1", "p=x", "p=99999999999"):
        assert hub.request("GET", f"/api/models/{repo}/discussions?{odd}").status == 200
    for number in ("0", "99", "x", "1x", "%EF%BC%99", "99999999999999999999"):
        assert hub.request("GET", f"/api/models/{repo}/discussions/{number}").status == 404


def test_a_reader_proposes_a_commit_and_the_owner_merges_it(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=b"one\ntwo\nthree\n", path_in_repo="a.txt", repo_id=repo)
    before = hub.api.model_info(repo).sha
    info = stranger.api.create_commit(
        repo,
        [CommitOperationAdd("a.txt", b"one\n2\nthree\n"), CommitOperationAdd("b/new.txt", b"new\n")],
        commit_message="Use digits",
        commit_description="They are shorter.",
        create_pr=True,
    )
    assert (info.pr_num, info.pr_revision, info.pr_url) == (1, "refs/pr/1", f"{hub.site.url}/{repo}/discussions/1")
    # the branch has not moved; the request's has
    assert hub.api.model_info(repo).sha == before
    assert hub.api.model_info(repo, revision="refs/pr/1").sha == info.oid
    assert read(hub, repo, "a.txt", "refs/pr/1") == b"one\n2\nthree\n"
    refs = hub.api.list_repo_refs(repo, include_pull_requests=True)
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.pull_requests] == [
        ("refs/pr/1", "refs/pr/1", info.oid)
    ]
    assert [ref.name for ref in refs.branches] == ["main"]
    # its author adds to it
    more = stranger.api.upload_file(path_or_fileobj=b"x\n", path_in_repo="c.txt", repo_id=repo, revision="refs/pr/1")
    details = hub.api.get_discussion_details(repo, 1)
    assert (details.status, details.target_branch, details.conflicting_files) == ("open", "refs/heads/main", [])
    assert kinds(details) == ["comment", "commit", "commit"]
    assert [event.oid for event in details.events[1:]] == [info.oid, more.oid]
    assert "--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n" in details.diff
    assert "--- /dev/null\n+++ b/b/new.txt\n@@ -0,0 +1 @@\n+new\n" in details.diff
    with pytest.raises(HfHubHTTPError) as error:
        stranger.api.merge_pull_request(repo, 1)
    assert error.value.response.status_code == 403
    hub.api.merge_pull_request(repo, 1, comment="Good")
    details = hub.api.get_discussion_details(repo, 1)
    head = hub.api.model_info(repo).sha
    assert (details.status, details.merge_commit_oid) == ("merged", head)
    assert kinds(details)[3:] == ["comment", "status-change"]
    assert [read(hub, repo, path) for path in ("a.txt", "b/new.txt", "c.txt")] == [b"one\n2\nthree\n", b"new\n", b"x\n"]
    assert hub.api.list_repo_commits(repo)[0].title == "Use digits (#1)"
    for act in (
        lambda: hub.api.merge_pull_request(repo, 1),
        lambda: hub.api.change_discussion_status(repo, 1, "closed"),
        lambda: stranger.api.upload_file(path_or_fileobj=b"", path_in_repo="d", repo_id=repo, revision="refs/pr/1"),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            act()
        assert error.value.response.status_code == 409
    assert hub.api.model_info(repo).sha == head


def test_large_files_are_proposed_by_either_way_of_uploading(
    hub: Hub, stranger: Hub, repo: str, tmp_path: Path
) -> None:
    data = secrets.token_bytes(12 * 1024**2)
    (tmp_path / "big.bin").write_bytes(data)
    info = stranger.api.upload_file(
        path_or_fileobj=tmp_path / "big.bin", path_in_repo="x.bin", repo_id=repo, create_pr=True
    )
    assert read(hub, repo, "x.bin", info.pr_revision) == data
    # a stream goes through LFS
    with (tmp_path / "big.bin").open("rb") as file:
        other = stranger.api.upload_file(path_or_fileobj=file, path_in_repo="y.bin", repo_id=repo, create_pr=True)
    assert read(hub, repo, "y.bin", other.pr_revision) == data
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.txt", "sub/b.bin"):
        (folder / name).write_bytes(secrets.token_bytes(1000))
    third = stranger.api.upload_folder(repo_id=repo, folder_path=folder, create_pr=True)
    assert third.pr_revision == "refs/pr/3"
    assert set(hub.api.list_repo_files(repo, revision="refs/pr/3")) == {".gitattributes", "a.txt", "sub/b.bin"}
    hub.api.merge_pull_request(repo, 1)
    assert read(hub, repo, "x.bin") == data


def test_what_both_sides_changed_conflicts_or_is_merged_by_lines(hub: Hub, repo: str) -> None:
    hub.api.create_commit(
        repo,
        [CommitOperationAdd("t.txt", b"1\n2\n3\n4\n5\n"), CommitOperationAdd("bin", b"\0one"), CommitOperationAdd("gone", b"x")],
        commit_message="base",
    )  # fmt: skip
    first = hub.api.create_commit(
        repo,
        [CommitOperationAdd("t.txt", b"one\n2\n3\n4\n5\n"), CommitOperationAdd("dir/f", b"f")],
        commit_message="begin", create_pr=True,
    )  # fmt: skip
    second = hub.api.create_commit(
        repo,
        [CommitOperationAdd("bin", b"\0two"), CommitOperationAdd("t.txt", b"1\n2\n3\n4\nV\n"), CommitOperationDelete("gone")],
        commit_message="clash", create_pr=True,
    )  # fmt: skip
    third = hub.api.create_commit(
        repo, [CommitOperationAdd("dir", b"a file")], commit_message="in the way", create_pr=True
    )
    hub.api.create_commit(
        repo,
        [CommitOperationAdd("t.txt", b"1\n2\n3\n4\nfive\n"), CommitOperationAdd("bin", b"\0three")],
        commit_message="meanwhile",
    )
    assert hub.api.get_discussion_details(repo, first.pr_num).conflicting_files == []
    assert hub.api.get_discussion_details(repo, second.pr_num).conflicting_files == ["bin", "t.txt"]
    with pytest.raises(HfHubHTTPError, match=r"Both sides have changed: bin, t\.txt") as error:
        hub.api.merge_pull_request(repo, second.pr_num)
    assert error.value.response.status_code == 409
    hub.api.merge_pull_request(repo, first.pr_num)
    assert read(hub, repo, "t.txt") == b"one\n2\n3\n4\nfive\n"
    # the other one puts a file where there is a folder now
    assert hub.api.get_discussion_details(repo, third.pr_num).conflicting_files == ["dir"]
    with pytest.raises(HfHubHTTPError):
        hub.api.merge_pull_request(repo, third.pr_num)
    assert read(hub, repo, "gone") == b"x"
    # its author mends it on the branch of the request
    hub.api.create_commit(
        repo,
        [CommitOperationAdd("bin", b"\0three"), CommitOperationAdd("t.txt", b"1\n2\n3\n4\nfive\n")],
        commit_message="mend", revision="refs/pr/2",
    )  # fmt: skip
    assert hub.api.get_discussion_details(repo, second.pr_num).conflicting_files == []
    hub.api.merge_pull_request(repo, second.pr_num)
    assert (read(hub, repo, "gone"), read(hub, repo, "bin")) == (None, b"\0three")


def test_a_draft_is_filled_and_merged(hub: Hub, stranger: Hub, repo: str) -> None:
    draft = stranger.api.create_pull_request(repo, "To come", description="soon")
    assert (draft.status, draft.git_reference, draft.diff, draft.conflicting_files) == ("draft", "refs/pr/1", "", [])
    with pytest.raises(BadRequestError, match="Nothing has been committed"):
        hub.api.merge_pull_request(repo, 1)
    stranger.api.create_commit(
        repo,
        [CommitOperationCopy(".gitattributes", "copy.txt"), CommitOperationAdd("a", b"a")],
        commit_message="fill",
        revision="refs/pr/1",
    )
    stranger.api.super_squash_history(repo, branch="refs/pr/1")
    assert len(hub.api.list_repo_commits(repo, revision="refs/pr/1")) == 1
    hub.api.merge_pull_request(repo, 1)
    assert read(hub, repo, "a") == b"a"


def test_a_request_for_another_branch(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.api.create_branch(repo, branch="dev/x")
    base = hub.api.upload_file(path_or_fileobj=b"1", path_in_repo="f", repo_id=repo, revision="dev/x").oid
    info = stranger.api.upload_file(
        path_or_fileobj=b"2", path_in_repo="g", repo_id=repo, revision="dev/x", create_pr=True, parent_commit=base[:7]
    )
    assert hub.api.get_discussion_details(repo, info.pr_num).target_branch == "refs/heads/dev/x"
    hub.api.merge_pull_request(repo, info.pr_num)
    assert (read(hub, repo, "g", "dev/x"), read(hub, repo, "g")) == (b"2", None)
    for revision in ("nowhere", base, "refs/pr/1", "refs/pr/9"):
        with pytest.raises(RevisionNotFoundError):
            stranger.api.upload_file(
                path_or_fileobj=b"3", path_in_repo="h", repo_id=repo, revision=revision, create_pr=True
            )
    assert len(statuses(hub, repo)) == 1


def test_who_may_not_write_changes_nothing_but_their_own_requests(hub: Hub, stranger: Hub, repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=b"1", path_in_repo="f", repo_id=repo, create_pr=True, commit_message="mine")
    comment = hub.api.comment_discussion(repo, 1, "mine")
    before = hub.api.get_discussion_details(repo, 1)
    for act in (
        lambda: stranger.api.upload_file(path_or_fileobj=b"2", path_in_repo="f", repo_id=repo, revision="refs/pr/1"),
        lambda: stranger.api.super_squash_history(repo, branch="refs/pr/1"),
        lambda: stranger.api.super_squash_history(repo),
        lambda: stranger.api.edit_discussion_comment(repo, 1, comment.id, "yours"),
        lambda: stranger.request("POST", f"/api/models/{repo}/discussions/1/comment/{comment.id}/hide", {}),
        lambda: stranger.api.rename_discussion(repo, 1, "Yours now"),
        lambda: stranger.api.change_discussion_status(repo, 1, "closed"),
        lambda: stranger.api.merge_pull_request(repo, 1),
        lambda: stranger.api.delete_branch(repo, branch="refs/pr/1"),
        lambda: stranger.api.create_branch(repo, branch="refs/pr/2"),
    ):
        try:
            status = act().status
        except HfHubHTTPError as error:
            status = error.response.status_code
        assert status == 403
    # what nobody may do, the owner neither
    for act in (
        lambda: hub.api.delete_branch(repo, branch="refs/pr/1"),
        lambda: hub.api.create_branch(repo, branch="refs/pr/2"),
        lambda: hub.api.create_tag(repo, tag="refs/pr/2"),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            act()
        assert error.value.response.status_code in {400, 404}
    assert hub.api.get_discussion_details(repo, 1) == before
    nobody = HfApi(endpoint=hub.site.url, token=False)
    assert nobody.get_discussion_details(repo, 1).title == "mine"
    with pytest.raises(HfHubHTTPError) as error:
        nobody.comment_discussion(repo, 1, "x")
    assert error.value.response.status_code == 401
    reading = hub.site.token("hf-bob", ("repo:read",))
    assert (
        hub.request("POST", f"/api/models/{repo}/discussions/1/comment", {"comment": "x"}, token=reading).status == 403
    )


def test_a_private_repository_keeps_its_discussions_to_itself(hub: Hub, stranger: Hub, private_repo: str) -> None:
    hub.api.create_discussion(private_repo, "Secret", repo_type="dataset")
    for act in (
        lambda: list(stranger.api.get_repo_discussions(private_repo, repo_type="dataset")),
        lambda: stranger.api.get_discussion_details(private_repo, 1, repo_type="dataset"),
        lambda: stranger.api.create_discussion(private_repo, "Hello?", repo_type="dataset"),
        lambda: stranger.api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=private_repo, repo_type="dataset", create_pr=True),
    ):  # fmt: skip
        with pytest.raises(RepositoryNotFoundError):
            act()
    assert len(list(hub.api.get_repo_discussions(private_repo, repo_type="dataset"))) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"title": "ab", "description": "x"}),
        ("", {"title": "a" * 201, "description": "x"}),
        ("", {"title": "fine", "description": ""}),
        ("", {"title": "fine", "description": "x" * 65_537}),
        ("", {"title": ["fine"], "description": "x"}),
        ("", {"title": "fine"}),
        ("/1/comment", {}),
        ("/1/comment", {"comment": "  "}),
        ("/1/comment", {"comment": 7}),
        ("/1/title", {"title": ""}),
        ("/1/status", {"status": "merged"}),
        ("/1/status", {"status": "draft"}),
        ("/1/status", {}),
        ("/1/merge", {}),
        ("/1/comment/zz/edit", {"content": "x"}),
        ("/1/comment/" + "0" * 32 + "/hide", {}),
        ("/2/comment", {"comment": "x"}),
    ],
)
def test_nonsense_is_refused_with_a_sentence(hub: Hub, repo: str, path: str, body: dict) -> None:
    hub.api.create_discussion(repo, "First", description="x")
    before = hub.api.get_discussion_details(repo, 1)
    answer = hub.request("POST", f"/api/models/{repo}/discussions{path}", body)
    assert 400 <= answer.status < 500
    assert len(answer.json()["error"]) > 10
    assert hub.api.get_discussion_details(repo, 1) == before
    assert statuses(hub, repo) == {1: "open"}


def test_the_command_speaks_with_them_too(hub: Hub, repo: str) -> None:
    hub.run_cli("discussions", "create", repo, "--title", "From a terminal", "--body", "Hello")
    hub.run_cli("discussions", "comment", repo, "1", "--body", "And again")
    (hub.home / "f.txt").write_text("x\n")
    hub.run_cli("upload", repo, "f.txt", "f.txt", "--create-pr", "--commit-message", "A file")
    assert "f.txt" in hub.run_cli("discussions", "diff", repo, "2")
    hub.run_cli("discussions", "merge", repo, "2", "--yes")
    assert "From a terminal" in hub.run_cli("discussions", "list", repo)
    assert (statuses(hub, repo), read(hub, repo, "f.txt")) == ({2: "merged", 1: "open"}, b"x\n")
