"""Sharing a repository and an endpoint through the first-party API: what it opens, who is refused, that it ends."""

import pytest

from accounts.models import User
from compute.services import endpoints
from tests.factories.accounts import actor_of, make_token, make_user
from tests.factories.endpoints import make_model
from tests.factories.registry import add, commit, make_repo
from tests.support import onnx_models
from tests.support.api import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def callers(client):
    return tuple(Caller(client, make_token(make_user(name))) for name in ("olga", "sam"))


@pytest.fixture
def olga(callers):
    return actor_of(User.objects.get(username="olga"))


def test_a_repository_is_open_to_whom_it_is_shared_with_until_it_is_taken_back(olga, callers):
    owner, sam = callers
    repo = make_repo(olga, "secret", visibility="private")
    commit(olga, repo, add("a.csv", "x\n1\n"))
    here = f"repos/{repo.kind}/olga/secret"
    assert sam.call("GET", here).status_code == 404
    assert sam.call("GET", f"{here}/shares").status_code == 404
    for _ in range(2):
        answer = owner.call("PUT", f"{here}/shares", {"holder": "sam", "level": "read"})
        assert answer.status_code == 200
        (share,) = answer.json()["items"]
        assert (share["kind"], share["name"], share["level"]) == ("user", "sam", "read")
    assert sam.call("GET", f"{here}/tree").status_code == 200
    assert sam.call("PUT", f"{here}/shares", {"holder": "sam", "level": "admin"}).status_code == 403
    address = f"{here}/shares/user/{share['uuid']}"
    assert owner.call("DELETE", address).status_code == 204
    assert owner.call("DELETE", address).status_code == 204
    assert sam.call("GET", here).status_code == 404
    assert owner.call("GET", f"{here}/shares").json() == {"items": [], "other_count": 0}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"holder": "nobody-of-that-name", "level": "read"}, {"holder"}),
        ({"holder": "olga", "level": "read"}, {"holder"}),
        ({"holder": "sam", "level": "use"}, {"level"}),
        ({"level": "read"}, {"holder"}),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(olga, callers, body, fields):
    repo = make_repo(olga, "secret", visibility="private")
    answer = callers[0].call("PUT", f"repos/{repo.kind}/olga/secret/shares", body)
    assert (answer.status_code, set(answer.json()["fields"])) == (400, fields)


def test_an_endpoint_is_shared_the_same_way(olga, callers):
    owner, sam = callers
    version = make_model(olga, "tumour", onnx_models.mlp())
    endpoints.deploy(olga, namespace="olga", name="tumour", version_uuid=version.uuid)
    here = "endpoints/olga/tumour"
    assert sam.call("GET", here).status_code == 404
    (share,) = owner.call("PUT", f"{here}/shares", {"holder": "sam", "level": "use"}).json()["items"]
    assert sam.call("GET", here).status_code == 200
    assert owner.call("DELETE", f"{here}/shares/user/{share['uuid']}").status_code == 204
    assert sam.call("GET", here).status_code == 404
