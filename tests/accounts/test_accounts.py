"""People, organisations, tokens: who can be what, and what ends at once."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction

from accounts import actors
from accounts.access_version import access_version
from accounts.models import AuditRecord, Invitation, Membership, Namespace, Token, User
from accounts.permissions import Action, Role, Scope
from accounts.services import audit, identity, invitations, members, teams, tokens
from common import clock
from common.errors import Conflict, Forbidden, Gone, Invalid, NotFound, TooMany, Unauthenticated
from common.ids import is_secret
from tests.factories.accounts import PASSWORD, SYSTEM, actor_of, make_organization, make_token, make_user

pytestmark = pytest.mark.django_db


def person(name: str):
    return actor_of(User.objects.get(username=name))


@pytest.fixture
def company():
    return make_organization("acme", make_user("olga"), ada=Role.ADMIN, pia=Role.PUBLISHER, mia=Role.MEMBER)


@pytest.mark.parametrize(
    "name", ["", "a b", "-a", "a-", "a--b", "a..b", "x.git", "admin", "API", "datasets", "ä", "a/b", "n" * 97, "a\n"]
)
def test_names_that_no_address_could_hold_are_refused(name) -> None:
    with pytest.raises(Invalid):
        identity.create_user(SYSTEM, name, "x@example.org", PASSWORD)
    assert User.objects.count() == Namespace.objects.count() == 0


def test_names_and_addresses_are_taken_in_any_case_by_people_and_organisations_alike() -> None:
    alice = make_user("Alice")
    for attempt in (
        lambda: make_user("alice"),
        lambda: identity.create_organization(actor_of(alice), "ALICE"),
        lambda: identity.create_user(SYSTEM, "other", "ALICE@example.org", PASSWORD),
    ):
        with pytest.raises(Conflict):
            attempt()
    assert (User.objects.count(), Namespace.objects.count()) == (1, 1)


def test_weak_passwords_are_refused_with_the_reason() -> None:
    with pytest.raises(Invalid, match="too common") as caught:
        identity.create_user(SYSTEM, "bob", "bob@example.org", "password1234")
    assert "password" in caught.value.fields["fields"]


def test_a_token_is_shown_once_and_kept_as_a_hash() -> None:
    alice = make_user("alice")
    token, text = tokens.issue(actor_of(alice), name="laptop", scopes=["repo:read"])
    assert is_secret(text, "mto")
    assert text not in str(list(Token.objects.values())) + str(list(AuditRecord.objects.values()))
    assert actors.for_token(text).scopes == {Scope.REPO_READ}
    before = access_version()
    tokens.revoke(actor_of(alice), token.uuid)
    tokens.revoke(actor_of(alice), token.uuid)
    assert access_version() == before + 1
    with pytest.raises(Unauthenticated):
        actors.for_token(text)


def test_who_a_token_is_costs_one_read_and_is_never_older_than_the_rights(company, django_assert_num_queries) -> None:
    mia = User.objects.get(username="mia")
    _, text = tokens.issue(actor_of(mia), name="laptop", scopes=["repo:read"])
    assert actors.for_token(text).roles[company.namespace.pk] == Role.MEMBER
    with django_assert_num_queries(1):
        assert actors.for_token(text).username == "mia"
    members.remove_member(person("olga"), company, "mia")
    assert company.namespace.pk not in actors.for_token(text).roles


def test_a_token_ends_with_its_time_its_owner_and_its_check_digits() -> None:
    alice = make_user("alice")
    _, text = tokens.issue(actor_of(alice), name="short", scopes=["*"], expires_at=clock.now() + timedelta(minutes=5))
    assert actors.for_token(text).username == "alice"
    with clock.travel(timedelta(minutes=6)), pytest.raises(Unauthenticated):
        actors.for_token(text)
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    for bad in (wrong, "", "x", text + "x", text.upper(), "mto_" + "é" * 32):
        with pytest.raises(Unauthenticated):
            actors.for_token(bad)
    # done past every service, which would be seen at once, it is seen within a second
    User.objects.filter(pk=alice.pk).update(is_active=False)
    with clock.travel(timedelta(seconds=1)), pytest.raises(Unauthenticated):
        actors.for_token(text)


def test_a_token_cannot_issue_a_wider_one(company) -> None:
    olga = person("olga")
    acme = company.namespace.pk
    narrow = actors.for_token(tokens.issue(olga, name="n", scopes=["account:manage"], namespace_ids=[acme])[1])
    for scopes, namespaces in (
        (["*"], [acme]),
        (["repo:read"], [acme]),
        (["account:read"], None),
        (["account:read"], [olga.namespace_id]),
    ):
        with pytest.raises(Forbidden):
            tokens.issue(narrow, name="wider", scopes=scopes, namespace_ids=namespaces)
    assert tokens.issue(narrow, name="same", scopes=["account:read"], namespace_ids=[acme])[0].scopes == [
        "account:read"
    ]
    with pytest.raises(Forbidden):
        tokens.issue(
            actors.for_token(make_token(User.objects.get(username="olga"), "repo:read")), name="x", scopes=["repo:read"]
        )


def test_staff_rights_need_a_token_that_is_meant_for_them() -> None:
    root = make_user("chief", is_staff=True)
    assert actors.for_token(make_token(root, "repo:read")).is_staff is False
    assert actors.for_token(make_token(root, "account:manage")).is_staff is True


def test_guessing_tokens_from_one_address_is_stopped() -> None:
    for _ in range(actors.BAD_TOKENS):
        with pytest.raises(Unauthenticated):
            actors.for_token("guess", address="192.0.2.1")
    with pytest.raises(TooMany) as caught:
        actors.for_token("guess", address="192.0.2.1")
    assert 0 < caught.value.retry_after_s <= 60
    with pytest.raises(Unauthenticated):
        actors.for_token("guess", address="192.0.2.2")


def test_another_persons_token_can_not_be_revoked() -> None:
    token, text = tokens.issue(actor_of(make_user("alice")), name="x", scopes=["*"])
    with pytest.raises(NotFound):
        tokens.revoke(actor_of(make_user("bob")), token.uuid)
    assert actors.for_token(text).username == "alice"


def test_roles_allow_what_the_table_says(company) -> None:
    acme = company.namespace.pk
    deeds = (Action.NAMESPACE_READ, Action.NAMESPACE_PUBLISH, Action.NAMESPACE_BUY, Action.NAMESPACE_MANAGE)
    allowed = {name: [person(name).may(deed, acme) for deed in deeds] for name in ("olga", "ada", "pia", "mia")}
    assert allowed == {
        "olga": [True, True, True, True],
        "ada": [True, True, True, True],
        "pia": [True, True, False, False],
        "mia": [True, False, False, False],
    }
    stranger = actor_of(make_user("stranger"))
    assert [stranger.may(deed, acme) for deed in deeds] == [False] * 4


def test_only_owners_make_owners_and_the_last_one_stays(company) -> None:
    with pytest.raises(Forbidden):
        members.change_role(person("ada"), company, "mia", Role.OWNER)
    with pytest.raises(Forbidden):
        members.change_role(person("ada"), company, "olga", Role.MEMBER)
    with pytest.raises(Forbidden):
        members.remove_member(person("pia"), company, "mia")
    for attempt in (
        lambda: members.remove_member(person("olga"), company, "olga"),
        lambda: members.change_role(person("olga"), company, "olga", Role.ADMIN),
    ):
        with pytest.raises(Conflict, match="needs an owner"):
            attempt()
    members.change_role(person("olga"), company, "ada", Role.OWNER)
    members.remove_member(person("olga"), company, "olga")
    assert set(Membership.objects.values_list("user__username", "role")) == {
        ("ada", "owner"), ("pia", "publisher"), ("mia", "member"),
    }  # fmt: skip


def test_leaving_ends_teams_and_groups(company) -> None:
    team = teams.create_team(person("olga"), company, "vision")
    teams.add_to_team(person("olga"), team, "mia")
    teams.add_to_team(person("olga"), team, "mia")
    assert len(person("mia").group_ids) == 2
    members.remove_member(person("mia"), company, "mia")
    mia = person("mia")
    assert (mia.group_ids, mia.role_in(company.namespace.pk)) == (frozenset(), None)
    with pytest.raises(NotFound):
        teams.add_to_team(person("olga"), team, "mia")


def invite(company, email: str, role=Role.PUBLISHER) -> str:
    mail.outbox.clear()
    invitations.invite(person("olga"), company, email, role)
    (message,) = mail.outbox
    assert message.to == [email]
    found = re.search(r"/invitations/(\S+)", message.body)
    assert found
    return found.group(1)


def test_an_invitation_is_for_its_address_and_works_once(company) -> None:
    secret = invite(company, "newcomer@example.org")
    assert secret not in str(list(Invitation.objects.values()))
    with pytest.raises(Forbidden):
        invitations.accept(actor_of(make_user("thief")), secret)
    newcomer = make_user("newcomer")
    assert invitations.accept(actor_of(newcomer), secret).role == Role.PUBLISHER
    assert invitations.accept(actor_of(newcomer), secret).user_id == newcomer.pk
    assert Membership.objects.filter(user=newcomer).count() == 1
    members.remove_member(person("olga"), company, "newcomer")
    with pytest.raises(NotFound):
        invitations.accept(actor_of(newcomer), "inv_unknown")


def test_an_invitation_ends_by_time_withdrawal_and_replacement(company) -> None:
    guest = make_user("guest")
    first = invite(company, "guest@example.org")
    second = invite(company, "guest@example.org", Role.MEMBER)
    with pytest.raises(Gone):
        invitations.accept(actor_of(guest), first)
    with clock.travel(timedelta(days=8)), pytest.raises(Gone):
        invitations.accept(actor_of(guest), second)
    open_one = Invitation.objects.get(withdrawn_at__isnull=True)
    invitations.withdraw(person("olga"), company, open_one.uuid)
    with pytest.raises(Gone):
        invitations.accept(actor_of(guest), second)
    assert not Membership.objects.filter(user=guest).exists()


def test_a_record_belongs_into_the_transaction_of_its_deed() -> None:
    before = AuditRecord.objects.count()

    @transaction.atomic
    def deed() -> None:
        audit.record(SYSTEM, "test:deed:done", "test", 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deed()
    assert AuditRecord.objects.count() == before
    assert audit.verify().first_bad is None


@pytest.mark.parametrize("change", ["altered", "cut", "removed"])
def test_tampering_with_the_file_itself_is_found(company, change) -> None:
    """Somebody with the database in hand drops the triggers first; the chain still tells."""
    last = AuditRecord.objects.order_by("-sequence")[0].sequence
    with connection.cursor() as cursor:
        for name in ("update", "delete"):
            on = "" if connection.vendor == "sqlite" else " ON accounts_auditrecord"
            cursor.execute(f"DROP TRIGGER accounts_auditrecord_keep_{name}{on}")
    if change == "altered":
        AuditRecord.objects.filter(sequence=2).update(actor_label="somebody else")
    else:
        AuditRecord.objects.filter(sequence=last if change == "cut" else 2).delete()
    assert audit.verify().first_bad == {"altered": 2, "cut": last, "removed": 2}[change]


def test_the_audit_trail_cannot_be_changed_through_the_database(company) -> None:
    for attempt in (
        lambda: AuditRecord.objects.filter(sequence=2).update(tag="nothing:happened"),
        lambda: AuditRecord.objects.filter(sequence=2).delete(),
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            attempt()
    verdict = audit.verify()
    assert (verdict.checked, verdict.first_bad) == (AuditRecord.objects.count(), None)
