"""Many clients at once: one line of history, no lost file, one winner."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor

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
