"""Who may discover, read and write: visibility, gate, role, grant, token."""

from datetime import timedelta

import pytest

from accounts import actors
from accounts.models import User
from accounts.permissions import Action, Level, Role
from accounts.services import grants, members, tokens
from common import clock
from common.errors import Forbidden, Unauthenticated
from registry.errors import AccessNeeded, RepoNotFound
from registry.models import Repo
from registry.policies import can, readable_repos, require_repo, visible_repos
from registry.services import repos
from tests.factories.accounts import SYSTEM, actor_of, make_organization, make_user
from tests.factories.registry import make_repo

pytestmark = pytest.mark.django_db
LADDER = (Action.REPO_DISCOVER, Action.REPO_READ, Action.REPO_WRITE, Action.REPO_ADMIN)


@pytest.fixture
def company():
    return make_organization(
        "acme", make_user("olga"), ada=Role.ADMIN, pia=Role.PUBLISHER, ben=Role.BUYER, mia=Role.MEMBER
    )


def person(name: str):
    return actor_of(User.objects.get(username=name))


def reach(actor, repo: Repo) -> int:
    """How many rungs of discover, read, write, admin the actor may climb, asked in each of the three ways."""
    repo = Repo.objects.select_related("namespace").get(pk=repo.pk)
    steps = 0
    for action in LADDER:
        try:
            require_repo(actor, repo.kind, repo.namespace.name, repo.name, action)
        except (RepoNotFound, Forbidden, Unauthenticated):
            break
        steps += 1
    assert visible_repos(actor).filter(pk=repo.pk).exists() == (steps >= 1)
    assert readable_repos(actor).filter(pk=repo.pk).exists() == (steps >= 2)
    if steps:
        assert [can(actor, repo, action) for action in LADDER] == [rung < steps for rung in range(4)]
    return steps


@pytest.mark.parametrize(
    ("visibility", "gate", "expected"),
    [
        ("private", "", {"olga": 4, "ada": 4, "pia": 3, "ben": 0, "mia": 0, "stranger": 0, "nobody": 0}),
        ("organization", "", {"olga": 4, "ada": 4, "pia": 3, "ben": 2, "mia": 2, "stranger": 0, "nobody": 0}),
        ("organization", "manual", {"olga": 4, "ada": 4, "pia": 3, "ben": 1, "mia": 1, "stranger": 0, "nobody": 0}),
        ("public", "", {"olga": 4, "ada": 4, "pia": 3, "ben": 2, "mia": 2, "stranger": 2, "nobody": 2}),
        ("public", "manual", {"olga": 4, "ada": 4, "pia": 3, "ben": 1, "mia": 1, "stranger": 1, "nobody": 1}),
    ],
)
def test_role_and_visibility_decide(company, visibility, gate, expected) -> None:
    repo = make_repo(person("olga"), namespace="acme", visibility=visibility)
    repos.update_settings(person("olga"), repo, gate=gate)
    make_user("stranger")
    reached = {name: reach(person(name) if name != "nobody" else actors.anonymous(), repo) for name in expected}
    assert reached == expected


@pytest.mark.parametrize(
    ("level", "steps"),
    [(Level.DISCOVER, 1), (Level.USE, 1), (Level.READ, 2), (Level.WRITE, 3), (Level.ADMIN, 4)],
)
def test_a_grant_opens_its_level_and_no_more_until_its_source_ends(company, level, steps) -> None:
    repo = make_repo(person("olga"), namespace="acme")
    user = make_user("guest")
    grants.grant(SYSTEM, repo, user, level, source="share")
    grants.grant(SYSTEM, repo, user, Level.DISCOVER, source="entitlement:1")
    assert reach(actor_of(user), repo) == steps
    assert grants.revoke(SYSTEM, Repo, "share") == 1
    assert reach(actor_of(user), repo) == 1
    assert grants.revoke(SYSTEM, Repo, "entitlement:1") == 1
    assert reach(actor_of(user), repo) == 0
    assert grants.revoke(SYSTEM, Repo, "share") == 0


def test_a_grant_to_an_organisation_ends_for_a_person_who_leaves_it(company) -> None:
    repo = make_repo(actor_of(make_user("seller")), visibility="private")
    grants.grant(SYSTEM, repo, company, Level.READ, source="share")
    assert reach(person("mia"), repo) == 2
    members.remove_member(person("olga"), company, "mia")
    assert reach(person("mia"), repo) == 0
    assert reach(person("ben"), repo) == 2


def test_a_grant_ends_when_its_time_is_over() -> None:
    repo = make_repo(actor_of(make_user("seller")))
    guest = make_user("guest")
    moment = clock.now()
    grants.grant(SYSTEM, repo, guest, Level.READ, source="share", valid_until=moment + timedelta(hours=1))
    assert reach(actor_of(guest), repo) == 2
    with clock.travel(timedelta(hours=1, seconds=1)):
        assert reach(actor_of(guest), repo) == 0


def test_a_token_narrows_its_owner(company) -> None:
    own = make_repo(person("olga"), "mine")
    shared = make_repo(person("olga"), namespace="acme")

    def with_token(scopes, names=None):
        owner = person("olga")
        limited = None if names is None else [pk for pk in owner.roles if pk != owner.namespace_id]
        return actors.for_token(tokens.issue(owner, name="t", scopes=scopes, namespace_ids=limited)[1])

    assert reach(with_token(["*"]), own) == 4
    assert reach(with_token(["repo:write"]), own) == 4
    assert reach(with_token(["repo:read"]), own) == 2
    assert reach(with_token(["endpoint:use"]), own) == 0
    limited = with_token(["repo:write"], ["acme"])
    assert (reach(limited, own), reach(limited, shared)) == (0, 4)


def test_a_gated_repository_says_what_is_needed() -> None:
    seller = actor_of(make_user("seller"))
    repo = repos.update_settings(seller, make_repo(seller, visibility="public"), gate="manual")
    with pytest.raises(AccessNeeded, match="restricted"):
        require_repo(actor_of(make_user("buyer")), "dataset", "seller", repo.name, Action.REPO_READ)


def test_a_deleted_repository_is_gone_for_everybody_and_frees_its_name() -> None:
    seller = actor_of(make_user("seller"))
    repo = make_repo(seller, visibility="public")
    repos.delete_repo(seller, repo)
    assert reach(seller, repo) == 0
    assert make_repo(seller).pk != repo.pk
