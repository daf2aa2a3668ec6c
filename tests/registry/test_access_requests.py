"""Asking for gated content: for oneself, for an organisation, for a team."""

import pytest

from accounts.models import AuditRecord, User
from accounts.permissions import Action, Role
from accounts.policies import require_organization
from accounts.services import members, teams
from common.errors import Conflict, Forbidden, Invalid, NotFound
from notices.models import Notice
from registry import community_queries as queries
from registry.models import AccessRequest, Repo, RepoGroupGrant, RepoUserGrant
from registry.policies import can
from registry.services import access, repos
from registry.services.access import GateField, GateForm, checked_answers, form_of
from tests.factories.accounts import SYSTEM, actor_of, make_organization, make_user
from tests.factories.registry import make_repo

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return actor_of(make_user("olga"))


@pytest.fixture
def repo(owner) -> Repo:
    made = make_repo(owner, "secret", kind="model", visibility="public")
    return repos.update_settings(owner, made, gate="manual")


@pytest.fixture
def acme():
    """An organisation with a buyer, a member in a team, and a member in none."""
    made = make_organization("acme", make_user("ada"), ben=Role.BUYER, mia=Role.MEMBER, max=Role.MEMBER)
    team = teams.create_team(person("ada"), made, "vision")
    teams.add_to_team(person("ada"), team, "mia")
    return made


def person(name: str):
    return actor_of(User.objects.get(username=name))


def readers(repo: Repo) -> set[str]:
    names = User.objects.values_list("username", flat=True)
    return {name for name in names if name != "olga" and can(person(name), repo, Action.REPO_READ)}


def told(name: str) -> list[str]:
    return list(Notice.objects.filter(user__username=name, kind="access").order_by("pk").values_list("text", flat=True))


def test_an_organisation_reads_through_its_group(owner, repo, acme) -> None:
    asked = access.ask(person("ben"), repo, holder_name="acme")
    assert (asked.state, access.holder_name_of(asked), asked.asked_by.username) == ("pending", "acme", "ben")
    assert told("olga") == ["ben asks for access to olga/secret for acme."]
    access.decide(owner, repo, "accepted", holder_name="acme")
    assert readers(repo) == {"ada", "ben", "mia", "max"}
    assert told("ben") == ["You can now read olga/secret (acme)."]
    members.remove_member(person("ada"), acme, "max")
    assert readers(repo) == {"ada", "ben", "mia"}
    access.decide(owner, repo, "rejected", uuid=asked.uuid, reason="Sorry.")
    assert readers(repo) == set()
    assert told("ben")[-1] == "Access to olga/secret was refused (acme). Sorry."


def test_a_team_reads_and_nobody_else_of_its_organisation(owner, repo, acme) -> None:
    asked = access.ask(person("ben"), repo, holder_name="ACME/vision")
    assert access.holder_name_of(asked) == "acme/vision"
    # the owner is no member of acme, and still answers by the name in the list
    access.decide(owner, repo, "accepted", holder_name="acme/vision")
    assert readers(repo) == {"mia"}
    teams.add_to_team(person("ada"), asked.team, "max")
    assert readers(repo) == {"mia", "max"}
    teams.delete_team(person("ada"), asked.team)
    assert readers(repo) == set()
    assert not AccessRequest.objects.exists()


def test_only_who_may_buy_for_an_organisation_asks_for_it(repo, acme) -> None:
    for name in ("mia", "olga"):
        for holder in ("acme", "acme/vision"):
            with pytest.raises((Forbidden, Invalid)):
                access.ask(person(name), repo, holder_name=holder)
    with pytest.raises(Forbidden):
        access.ask(person("mia"), repo, holder_name="ben")
    assert not AccessRequest.objects.exists()


def test_one_yes_for_each_holder_and_each_ends_alone(owner, repo, acme) -> None:
    access.ask(person("mia"), repo)
    access.ask(person("ben"), repo, holder_name="acme")
    access.decide(owner, repo, "accepted", holder_name="mia")
    access.decide(owner, repo, "accepted", holder_name="acme")
    access.decide(owner, repo, "pending", holder_name="acme")
    assert readers(repo) == {"mia"}
    assert (RepoUserGrant.objects.count(), RepoGroupGrant.objects.count()) == (1, 0)


def test_access_is_granted_to_anybody_by_name(owner, repo, acme) -> None:
    granted = access.grant_access(owner, repo, "acme")
    assert (granted.state, granted.asked_by, readers(repo)) == ("accepted", None, {"ada", "ben", "mia", "max"})
    with pytest.raises(Invalid, match="has access already"):
        access.grant_access(owner, repo, "Acme")
    with pytest.raises(NotFound):
        # a team of an organisation that the owner does not belong to cannot be guessed
        access.grant_access(owner, repo, "acme/vision")
    with pytest.raises(Invalid, match="belongs to olga"):
        access.grant_access(owner, repo, "olga")


def test_what_was_asked_is_taken_back_by_the_asker(owner, repo, acme) -> None:
    access.ask(person("mia"), repo)
    access.decide(owner, repo, "accepted", holder_name="mia")
    access.withdraw(person("mia"), repo)
    assert readers(repo) == set()
    access.withdraw(person("mia"), repo)
    access.ask(person("mia"), repo)
    access.decide(owner, repo, "rejected", holder_name="mia")
    access.withdraw(person("mia"), repo)
    with pytest.raises(Forbidden, match="rejected"):
        access.ask(person("mia"), repo)


def test_an_automatic_gate_writes_the_same_rows(owner, repo) -> None:
    repos.update_settings(owner, repo, gate="auto")
    make_user("sam")
    asked = access.ask(person("sam"), repo)
    assert (asked.state, readers(repo)) == ("accepted", {"sam"})
    with pytest.raises(Conflict, match="have access"):
        access.ask(person("sam"), repo)
    tags = AuditRecord.objects.filter(tag__startswith="registry:access").values_list("tag", flat=True)
    assert list(tags) == ["registry:access:asked", "registry:access:decided"]
    assert told("olga") == []


def test_only_administrators_decide_and_nothing_moves_otherwise(owner, repo, acme) -> None:
    asked = access.ask(person("mia"), repo)
    for name in ("mia", "ben"):
        for act in (
            lambda actor: access.decide(actor, repo, "accepted", uuid=asked.uuid),
            lambda actor: access.grant_access(actor, repo, "mia"),
        ):
            with pytest.raises(Forbidden):
                act(person(name))
    for state, reason in (("maybe", ""), ("accepted", "because"), ("rejected", "x" * 201)):
        with pytest.raises(Invalid):
            access.decide(owner, repo, state, uuid=asked.uuid, reason=reason)
    with pytest.raises(NotFound):
        access.decide(owner, repo, "pending", uuid=asked.uuid)
    assert readers(repo) == set()
    asked.refresh_from_db()
    assert asked.state == "pending"


def test_everybody_sees_their_own_requests(owner, repo, acme) -> None:
    access.ask(person("ben"), repo, holder_name="acme")
    access.ask(person("mia"), repo)
    assert [access.holder_name_of(each) for each in queries.own_access_requests(person("mia"), repo)] == ["mia", "acme"]
    assert [access.holder_name_of(each) for each in queries.own_access_requests(person("ben"), repo)] == ["acme"]
    assert queries.own_access_requests(owner, repo) == []
    assert queries.own_access_requests(SYSTEM, repo) == []
    page = queries.access_requests(repo, "pending", limit=1)
    assert [access.holder_name_of(each) for each in page.items] == ["mia"]
    rest = queries.access_requests(repo, "pending", cursor=page.next_cursor)
    assert [access.holder_name_of(each) for each in rest.items] == ["acme"]
    assert require_organization(owner, "acme")


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({}, ()),
        ({"extra_gated_fields": "text"}, ()),
        ({"extra_gated_fields": {"A": "text", "B": "nonsense", "": "text", "C": 7, "x" * 201: "text"}}, ("A",)),
        ({"extra_gated_fields": {"A": {"type": "select"}, "B": {"type": "select", "options": ["x", {"y": 1}, 3]}}}, ("B",)),
        ({"extra_gated_fields": {"Where": "ip_location", "A": {"type": ["text"]}}}, ()),
        ({"extra_gated_fields": {f"F{n}": "text" for n in range(99)}}, tuple(f"F{n}" for n in range(30))),
    ],
)  # fmt: skip
def test_a_strange_form_is_read_as_far_as_it_goes(card: dict, expected: tuple[str, ...]) -> None:
    assert tuple(field.label for field in form_of(Repo(card=card)).fields) == expected


def test_answers_are_kept_for_the_fields_there_are() -> None:
    form = GateForm("", "", "", (GateField("Name", "text"), GateField("News", "checkbox", is_required=False)))
    assert checked_answers(form, {"Name": " Ada ", "News": "off", "evil": "x"}) == {"Name": "Ada", "News": False}
    for wrong in ({}, {"Name": ""}, {"Name": ["x"]}, {"Name": "x" * 2001}, {"Name": "a\x00b"}):
        with pytest.raises(Invalid, match="Name"):
            checked_answers(form, wrong)
