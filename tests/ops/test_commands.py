"""The operator's commands: one JSON object, or one JSON line of error and exit code 2."""

import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings

from accounts import actors
from accounts.models import AuditRecord, User
from market import queries
from tests.factories.accounts import make_organization, make_user

pytestmark = pytest.mark.django_db


def run(capsys, *args: str) -> dict:
    call_command(*args)
    return json.loads(capsys.readouterr().out)


def refused(capsys, *args: str) -> dict:
    with pytest.raises(SystemExit) as ended:
        call_command(*args)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    return json.loads(printed.err)


def test_a_user_is_made_and_can_sign_in(capsys, client) -> None:
    answer = run(
        capsys, "create_user", "ada", "--email", "Ada@Example.org", "--password", "a-long-enough-one", "--staff"
    )
    user = User.objects.get(username="ada")
    assert answer == {"name": "ada", "uuid": str(user.uuid), "email": "ada@example.org", "is_staff": True}
    assert client.login(username="ada", password="a-long-enough-one")


def test_a_taken_name_and_a_weak_password_are_refused(capsys) -> None:
    make_user("ada")
    assert (
        refused(capsys, "create_user", "Ada", "--email", "b@example.org", "--password", "a-long-enough-one")["error"]
        == "name_taken"
    )
    assert refused(capsys, "create_user", "bob", "--email", "b@example.org", "--password", "1234")["fields"].keys() == {
        "password"
    }
    assert User.objects.count() == 1


def test_an_organisation_has_the_named_owner(capsys) -> None:
    make_user("ada")
    run(capsys, "create_organization", "acme", "--owner", "ada")
    assert set(actors.for_user(User.objects.get()).roles.values()) == {"owner"}
    assert refused(capsys, "create_organization", "other", "--owner", "nobody")["error"] == "user_not_found"


def test_a_token_is_printed_once_and_works(capsys) -> None:
    make_user("ada")
    answer = run(capsys, "create_token", "ada", "--name", "laptop", "--scope", "repo:read", "--scope", "job:run")
    assert sorted(answer["scopes"]) == ["job:run", "repo:read"]
    assert actors.for_token(answer["token"]).username == "ada"
    assert refused(capsys, "create_token", "ada", "--name", "x", "--scope", "everything")["error"] == "invalid"


def test_credits_arrive_once_per_key(capsys) -> None:
    organization = make_organization("acme", make_user("ada"))
    for _ in range(2):
        answer = run(capsys, "add_credits", "acme", "12.50", "CRD", "--key", "march")
    assert (answer["added_minor"], answer["balance_minor"]) == (1250, 1250)
    assert queries.balance(organization.namespace, "CRD").amount_minor == 1250
    assert refused(capsys, "add_credits", "acme", "1.005", "CRD")["error"] == "invalid"
    assert refused(capsys, "add_credits", "nobody", "1", "CRD")["error"] == "namespace_not_found"
    assert queries.balance(organization.namespace, "CRD").amount_minor == 1250


def test_an_untouched_trail_verifies(capsys) -> None:
    make_organization("acme", make_user("ada"))
    assert run(capsys, "verify_audit")["checked"] == AuditRecord.objects.count() == 2


def test_the_doctor_finds_a_readable_key_and_says_what_to_do(capsys, data_folder: Path) -> None:
    (data_folder / "secret_key").write_text("x")
    (data_folder / "secret_key").chmod(0o644)
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    assert ended.value.code == 1
    assert f"run `chmod 600 {data_folder / 'secret_key'}`" in capsys.readouterr().out


@override_settings(STORAGE_URL="file:///proc/nowhere")
def test_the_doctor_finds_a_storage_that_takes_nothing(capsys) -> None:
    with pytest.raises(SystemExit):
        call_command("doctor")
    assert "WRONG  The storage does not take files" in capsys.readouterr().out
