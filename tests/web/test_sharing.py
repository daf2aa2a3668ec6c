"""Sharing a repository or an endpoint from its page: what it opens, who is refused, that it ends."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.actors import for_user
from accounts.models import AuditRecord
from accounts.permissions import Action, Level
from accounts.services import grants, teams
from accounts.services.grants import Holder
from compute.endpoint_policies import usable_endpoints
from notices.models import Notice
from registry import policies
from registry.models import RepoGroupGrant, RepoUserGrant
from tests.factories.market import make_person


def may(world_party, repo, action: Action) -> bool:
    actor = for_user(world_party.user)
    return policies.visible_repos(actor).filter(pk=repo.pk).exists() and policies.can(actor, repo, action)


@pytest.fixture
def owner(world, browser):
    browser.force_login(world.shop.user)
    return browser


def rows(html: str) -> list[str]:
    """What the list of shares offers to take back."""
    return [part.split('"')[0] for part in html.split('name="holder" value="')[1:] if ":" in part.split('"')[0]]


def test_person_reads_what_is_shared_until_it_is_taken_back(world, owner):
    here = f"/datasets/{world.private.namespace.name}/secret"
    assert not may(world.stranger, world.private, Action.REPO_READ)
    answer = owner.post(f"{here}/shares", {"holder": " Stranger ", "level": "read"})
    assert answer.url == f"{here}/settings#sharing"
    assert may(world.stranger, world.private, Action.REPO_READ)
    assert not may(world.stranger, world.private, Action.REPO_WRITE)
    assert "shared the dataset" in Notice.objects.get(user=world.stranger.user).text
    page = owner.get(f"{here}/settings").content.decode()
    assert rows(page) == [f"user:{world.stranger.user.uuid}"]
    owner.post(f"{here}/shares/removal", {"holder": rows(page)[0]})
    assert not may(world.stranger, world.private, Action.REPO_READ)
    tags = AuditRecord.objects.filter(tag__startswith="accounts:grant:", detail__source="share")
    assert [record.tag for record in tags.order_by("pk")] == ["accounts:grant:opened", "accounts:grant:closed"]


def test_second_share_takes_the_place_of_the_first(world, owner):
    here = f"/datasets/{world.private.namespace.name}/secret"
    for level in ("admin", "read", "read"):
        owner.post(f"{here}/shares", {"holder": "stranger", "level": level})
    assert not may(world.stranger, world.private, Action.REPO_WRITE)
    grant = RepoUserGrant.objects.get(content_object=world.private)
    assert grant.permission.codename == "read_repo"
    assert Notice.objects.filter(user=world.stranger.user).count() == 2


def test_team_and_organisation(world, owner):
    here = "/datasets/shop/wine"
    for holder in ("shop/vision", "clinic"):
        assert owner.post(f"{here}/shares", {"holder": holder, "level": "write"}).status_code == 302
    assert RepoGroupGrant.objects.filter(content_object=world.dataset).count() == 2
    assert may(world.clinic, world.dataset, Action.REPO_WRITE)
    page = owner.get(f"{here}/settings").content.decode()
    assert "shop/vision" in page
    team = world.shop.namespace.organization.teams.get()
    owner.post(f"{here}/shares/removal", {"holder": f"team:{team.uuid}"})
    assert RepoGroupGrant.objects.filter(content_object=world.dataset).count() == 1
    teams.delete_team(world.shop.actor, team)
    assert owner.post(f"{here}/shares/removal", {"holder": f"team:{team.uuid}"}).status_code == 404


REFUSED = {
    "nobody": "There is no person or organisation called nobody.",
    "clinic/vision": "You know of no team vision in clinic",
    "stranger/team": "You know of no team team in stranger",
    "shop": "It belongs to shop already.",
    "/": "There is no person or organisation called that.",
    "": "This field is required.",
    "<b>x</b>": "called &lt;b&gt;x&lt;.",
}


def test_name_that_cannot_be_shared_with_is_explained_at_its_field(world, owner):
    for holder, why in REFUSED.items():
        answer = owner.post("/datasets/shop/wine/shares", {"holder": holder, "level": "read"})
        text = answer.content.decode()
        assert (holder, answer.status_code, why in text, "field-bad" in text) == (holder, 400, True, True)
    assert RepoUserGrant.objects.filter(content_object=world.dataset).count() == 0
    assert RepoGroupGrant.objects.filter(content_object=world.dataset).count() == 0


def test_reference_that_names_nobody_is_not_found(world, owner):
    for holder in ("", "user:", "user:x", "group:0190f5a0-0000-7000-8000-000000000000", "x" * 500):
        assert owner.post("/datasets/shop/wine/shares/removal", {"holder": holder}).status_code == 404


def test_level_that_does_not_exist_is_refused(world, owner):
    for level in ("use", "owner", ""):
        assert owner.post("/datasets/shop/wine/shares", {"holder": "stranger", "level": level}).status_code == 400
    assert RepoUserGrant.objects.count() == 0


def test_shared_administrator_may_share_on_and_leave(world, owner):
    here = f"/datasets/{world.private.namespace.name}/secret"
    owner.post(f"{here}/shares", {"holder": "stranger", "level": "admin"})
    owner.force_login(world.stranger.user)
    make_person("third")
    assert owner.post(f"{here}/shares", {"holder": "third", "level": "read"}).status_code == 302
    leaving = owner.post(f"{here}/shares/removal", {"holder": f"user:{world.stranger.user.uuid}"})
    assert leaving.url == "/datasets"
    assert owner.post(f"{here}/shares", {"holder": "third", "level": "admin"}).status_code == 404


def test_bought_right_is_counted_and_cannot_be_taken_back_here(world, owner):
    page = owner.get("/shop/digits/settings").content.decode()
    assert "0 by hand, 1 through a purchase" in page
    owner.post("/shop/digits/shares/removal", {"holder": f"organization:{world.clinic.namespace.organization.uuid}"})
    repo = policies.require_repo(world.clinic.actor, "model", "shop", "digits", Action.REPO_READ)
    assert may(world.clinic, repo, Action.REPO_READ)


def test_endpoint_is_called_by_those_it_is_shared_with(world, owner):
    here = "/endpoints/shop/digits"
    assert not usable_endpoints(for_user(world.stranger.user)).exists()
    assert owner.post(f"{here}/shares", {"holder": "stranger", "level": "use"}).url == f"{here}#sharing"
    assert [each.name for each in usable_endpoints(for_user(world.stranger.user))] == ["digits"]
    page = owner.get(here).content.decode()
    assert rows(page) == [f"user:{world.stranger.user.uuid}"]
    refused = owner.post(f"{here}/shares", {"holder": "nobody", "level": "use"})
    assert (refused.status_code, "There is no person" in refused.content.decode()) == (400, True)
    owner.force_login(world.stranger.user)
    assert 'id="sharing"' not in owner.get(here).content.decode()
    assert owner.post(f"{here}/shares", {"holder": "clinic", "level": "use"}).status_code == 403
    owner.force_login(world.shop.user)
    assert owner.post(f"{here}/shares/removal", {"holder": rows(page)[0]}).url == f"{here}#sharing"
    assert not usable_endpoints(for_user(world.stranger.user)).exists()


def test_list_costs_the_same_however_long_it_is(world, owner):
    def count() -> int:
        with CaptureQueriesContext(connection) as found:
            assert owner.get("/datasets/shop/wine/settings").status_code == 200
        return len(found)

    def share(*holders: Holder) -> None:
        for holder in holders:
            grants.share(world.shop.actor, world.dataset, holder, Level.READ)

    share(make_person("p0").user, world.clinic.namespace.organization)
    count()
    before = count()
    share(*(make_person(f"p{number}").user for number in range(1, 4)), world.shop.namespace.organization.teams.get())
    assert count() == before
