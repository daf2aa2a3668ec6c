"""What the common calls ask the database: a fixed number, however many rows there are."""

import pytest
from django.test import Client

from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo
from tests.support.queries import exactly

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return actor_of(make_user("alice"))


def test_a_list_costs_the_same_for_one_and_for_many(owner, client: Client) -> None:
    make_repo(owner, "one", kind="model", visibility="public")
    with exactly(2):
        assert len(client.get("/api/models").json()) == 1
    for number in range(8):
        make_repo(owner, f"more-{number}", kind="model", visibility="public")
    with exactly(2):
        assert len(client.get("/api/models").json()) == 9
    with exactly(3):
        assert {len(item["sha"]) for item in client.get("/api/models?expand=sha&expand=tags").json()} == {40}


def test_a_tree_costs_the_same_for_few_and_for_many(owner, client: Client) -> None:
    repo = make_repo(owner, "files", kind="model", visibility="public")
    for count in (3, 60):
        commit(owner, repo, *(add(f"f{number:03d}.txt", b"%d" % number) for number in range(count)))
        with exactly(3):
            assert len(client.get("/api/models/alice/files/tree/main").json()) == count + 1
        # one more for who touched them, two for how far scanning has come and what it found
        with exactly(6):
            client.get("/api/models/alice/files/tree/main?expand=true")


def test_a_download_costs_the_same_at_any_size_of_the_repository(owner, client: Client) -> None:
    repo = make_repo(owner, "files", kind="model", visibility="public")
    for count in (1, 60):
        commit(owner, repo, *(add(f"f{number:03d}.txt", b"%d" % number) for number in range(count)))
        for ask in (client.head, client.get):
            # the repository, the revision, the file, its bytes, and whether they are held back
            with exactly(5):
                # the raw address, which gunicorn gives
                path = "/alice/files/resolve/main/f000.txt"
                answer = ask(path, RAW_URI=path)
                assert (answer.status_code, answer["Content-Length"]) == (200, "1")
                assert answer.getvalue() == (b"0" if ask == client.get else b"")
