"""Programs that sign in through a browser."""

from datetime import timedelta

import pytest

from accounts import actors
from accounts.models import AuditRecord, DeviceLogin, Token, User
from accounts.services import devices
from accounts.services.devices import DeviceRefused
from common import clock
from common.errors import Forbidden, NotFound, TooMany, Unauthenticated
from tests.factories.accounts import actor_of, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return actor_of(make_user("alice"))


def reason(secret: str) -> str:
    with pytest.raises(DeviceRefused) as error:
        devices.fetch_token(secret)
    return error.value.code


def later(seconds: float):
    return clock.travel(timedelta(seconds=seconds))


def test_a_program_gets_one_token_after_its_person_agreed(alice) -> None:
    login, secret = devices.begin_login("192.0.2.7")
    assert reason(secret) == "authorization_pending"
    assert reason(secret) == "slow_down"
    code = login.user_code
    devices.answer_login(alice, f"{code[:4].lower()} - {code[4:]}", is_approved=True)
    with later(6):
        text = devices.fetch_token(secret)
        actor = actors.for_token(text)
        assert (actor.username, sorted(actor.scopes)) == ("alice", ["account:read", "repo:read", "repo:write"])
        assert reason(secret) == "expired_token"
    assert Token.objects.get().expires_at is not None
    tags = AuditRecord.objects.filter(subject_kind="device").values_list("tag", "detail__address")
    assert list(tags) == [("accounts:device:approved", "192.0.2.7")]
    assert text not in str(list(DeviceLogin.objects.values())) + str(list(AuditRecord.objects.values()))


def test_a_refusal_is_final(alice) -> None:
    login, secret = devices.begin_login("")
    devices.answer_login(alice, login.user_code, is_approved=False)
    with pytest.raises(NotFound):
        devices.answer_login(alice, login.user_code, is_approved=True)
    assert reason(secret) == "access_denied"
    assert reason(secret) == "expired_token"
    assert not Token.objects.exists()


def test_a_code_ends(alice) -> None:
    login, secret = devices.begin_login("")
    with later(15 * 60 + 1):
        with pytest.raises(NotFound):
            devices.answer_login(alice, login.user_code, is_approved=True)
        assert reason(secret) == "expired_token"
    assert devices.forget_old_logins() == 0
    with later(2 * 24 * 3600):
        assert devices.forget_old_logins() == 1


def test_an_approval_that_is_fetched_too_late_gives_nothing(alice) -> None:
    login, secret = devices.begin_login("")
    devices.answer_login(alice, login.user_code, is_approved=True)
    with later(15 * 60 + 1):
        assert reason(secret) == "expired_token"
    assert not Token.objects.exists()


def test_only_a_person_who_may_manage_the_account_lets_a_program_in(alice) -> None:
    login, secret = devices.begin_login("")
    narrow = actors.for_token(make_token(User.objects.get(username="alice"), "repo:write"))
    for actor, error in ((actors.anonymous(), Unauthenticated), (narrow, Forbidden), (actors.system("x"), Forbidden)):
        with pytest.raises(error):
            devices.answer_login(actor, login.user_code, is_approved=True)
    assert reason(secret) == "authorization_pending"


def test_codes_are_not_guessed(alice) -> None:
    devices.begin_login("")
    for _ in range(30):
        with pytest.raises(NotFound):
            devices.find_login(alice, "BBBBBBBB")
    with pytest.raises(TooMany):
        devices.find_login(alice, "BBBBBBBB")


@pytest.mark.parametrize("secret", ["", "x", "dev_" + "0" * 38, "a" * 10_000, "\x00"])
def test_nonsense_opens_nothing(secret: str) -> None:
    assert reason(secret) == "expired_token"


def test_a_deactivated_person_gets_no_token(alice) -> None:
    login, secret = devices.begin_login("")
    devices.answer_login(alice, login.user_code, is_approved=True)
    login.refresh_from_db()
    login.user.is_active = False
    login.user.save()
    assert reason(secret) == "access_denied"


def test_one_address_does_not_ask_without_end() -> None:
    for _ in range(60):
        devices.begin_login("192.0.2.7")
    with pytest.raises(TooMany):
        devices.begin_login("192.0.2.7")
    devices.begin_login("192.0.2.8")
