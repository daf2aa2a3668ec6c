"""Many clients at once: one line of history, no lost file, one winner."""

import base64
import json
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.spaces.git_client import Git, GitFailed
from tests.spaces.hf_client import Hub


def test_fifty_commits_at_once_line_up(hub: Hub, repo: str) -> None:
    def commit(number: int) -> tuple[int, str]:
        line = {
            "key": "file",
            "value": {"content": "QQ==", "path": f"d{number % 5}/{number}.txt", "encoding": "base64"},
        }
        for _ in range(50):
            answer = hub.commit(repo, [line], summary=f"number {number}")
            if answer.status != 503:
                break
        return answer.status, answer.json().get("commitOid", "")

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(commit, range(50)))
    assert {status for status, _ in outcomes} == {200}
    history = hub.api.list_repo_commits(repo)
    assert len(history) == 51
    assert {oid for _, oid in outcomes} == {item.commit_id for item in history[:50]}
    assert set(hub.api.list_repo_files(repo)) == {".gitattributes", *(f"d{i % 5}/{i}.txt" for i in range(50))}


def test_of_commits_on_one_parent_exactly_one_wins(hub: Hub, repo: str) -> None:
    parent = hub.api.model_info(repo).sha

    def commit(number: int) -> int:
        line = {"key": "file", "value": {"content": "QQ==", "path": f"{number}.txt", "encoding": "base64"}}
        return hub.commit(repo, [line], parentCommit=parent).status

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(commit, range(12)))
    assert sorted(statuses) == [200] + [412] * 11
    winner = statuses.index(200)
    assert set(hub.api.list_repo_files(repo)) == {".gitattributes", f"{winner}.txt"}
    assert len(hub.api.list_repo_commits(repo)) == 2


def test_of_commits_by_every_way_at_once_each_is_there_or_refused_in_words(hub: Hub, repo: str, tmp_path: Path) -> None:
    """On one branch, each against the head that it last saw: one wins, the others are told, and come again."""
    gits = [Git(hub.site, tmp_path / f"git{number}", hub.user, hub.token) for number in range(2)]
    clones = [git.clone(repo) for git in gits]
    refused: Counter[str] = Counter()

    def commit(path: str) -> None:
        line = {"key": "file", "value": {"content": _content(path), "path": path, "encoding": "base64"}}
        answer = hub.commit(repo, [line], parentCommit=hub.api.model_info(repo).sha)
        _told(answer.status, {412, 503}, path)

    def by_api(path: str) -> None:
        given = {"summary": path, "operations": [{"op": "add", "path": path, "content": _content(path)}]}
        given["parent"] = hub.api.model_info(repo).sha
        answer = hub.request("POST", f"/api/v1/repos/model/{repo}/commits", given)
        _told(answer.status, {409, 412, 503}, path)

    def push(path: str) -> None:
        number = int(path[-1]) % 2
        git, folder = gits[number], clones[number]
        git.run("fetch", "-q", cwd=folder)
        git.run("reset", "-q", "--hard", "origin/main", cwd=folder)
        git.commit(folder, {path: path})
        try:
            git.run("push", "-q", "origin", "main", cwd=folder)
        except GitFailed as error:
            if not any(words in str(error) for words in ("fetch first", "busy", "at this moment")):
                raise
            raise Later from error

    def _told(status: int, busy: set[int], path: str) -> None:
        if status in busy:
            raise Later
        assert status in {200, 201}, (path, status)

    def work(deed) -> None:
        for number in range(3):
            path = f"{deed.__name__}/{number}"
            for _ in range(60):
                try:
                    deed(path)
                except Later:
                    refused[deed.__name__] += 1
                else:
                    break
            else:
                raise AssertionError(f"{path} never came through")

    ways = [commit, by_api, push]
    with ThreadPoolExecutor(len(ways)) as pool:
        list(pool.map(work, ways))
    expected = {f"{deed.__name__}/{number}" for deed in ways for number in range(3)}
    assert set(hub.api.list_repo_files(repo)) == {".gitattributes", *expected}
    history = hub.api.list_repo_commits(repo)
    assert len(history) == len(expected) + 1
    gits[0].run("pull", "-q", cwd=clones[0])
    assert {path: (clones[0] / path).read_text() for path in expected} == {path: path for path in expected}
    gits[0].run("fsck", "--strict", cwd=clones[0])


class Later(Exception):
    """Refused as it should be: look again, then come again."""


def _content(path: str) -> str:
    return base64.b64encode(path.encode()).decode()


def test_of_one_name_in_many_spellings_exactly_one_is_made(hub: Hub) -> None:
    stem = f"same-{secrets.token_hex(4)}"
    names = [stem, stem.upper(), stem.title(), stem] * 3

    def create(name: str) -> int:
        return hub.request("POST", "/api/repos/create", {"name": name}).status

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(create, names))
    assert sorted(statuses) == [200] + [409] * 11
    found = [item.id.lower() for item in hub.api.list_models(author=hub.user, search=stem)]
    assert found == [f"{hub.user}/{stem}".lower()]
    hub.api.delete_repo(f"{hub.user}/{stem}")


def test_pull_requests_opened_at_once_have_numbers_of_their_own(hub: Hub, stranger: Hub, repo: str) -> None:
    def propose(number: int) -> int:
        line = {"key": "file", "value": {"content": "QQ==", "path": f"{number}.txt", "encoding": "base64"}}
        for _ in range(50):
            someone = stranger if number % 2 else hub
            body = "\n".join(map(json.dumps, [{"key": "header", "value": {"summary": f"number {number}"}}, line]))
            answer = someone.request("POST", f"/api/models/{repo}/commit/main?create_pr=1", body.encode())
            if answer.status != 503:
                break
        assert answer.status == 200, answer
        return int(answer.json()["pullRequestUrl"].rsplit("/", 1)[1])

    with ThreadPoolExecutor(12) as pool:
        numbers = list(pool.map(propose, range(24)))
    assert sorted(numbers) == list(range(1, 25))
    pulls = hub.api.list_repo_refs(repo, include_pull_requests=True).pull_requests
    assert {ref.name for ref in pulls} == {f"refs/pr/{number}" for number in numbers}

    def merge(number: int) -> int:
        for _ in range(80):
            answer = hub.request("POST", f"/api/models/{repo}/discussions/{number}/merge", {})
            if answer.status != 503:
                break
        return answer.status

    # each of them twice: the second one finds it merged
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(merge, numbers * 2))
    assert sorted(statuses) == [200] * 24 + [409] * 24
    assert set(hub.api.list_repo_files(repo)) == {".gitattributes", *(f"{number}.txt" for number in range(24))}
    assert len(hub.api.list_repo_commits(repo)) == 25


def test_likes_at_once_are_counted_exactly(hub: Hub, stranger: Hub, repo: str) -> None:
    def like(number: int) -> int:
        someone = stranger if number % 2 else hub
        return someone.request("POST", f"/api/models/{repo}/like", {}).status

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(like, range(24))) == {200}
    assert hub.api.model_info(repo).likes == 2
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: stranger.api.unlike(repo), range(12)))
    assert hub.api.model_info(repo).likes == 1
