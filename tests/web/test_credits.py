"""Staff put money into a wallet from a page; nobody else can."""

import pytest

from accounts.models import AuditRecord
from market import queries
from tests.factories.market import make_company, make_person

PAGE = "/-/credits"


@pytest.fixture
def staff(db, browser):
    person = make_person("steve")
    person.user.is_staff = True
    person.user.save()
    browser.force_login(person.user)
    return browser


def key_on(page) -> str:
    return page.content.decode().split('name="key" value="')[1].split('"')[0]


def test_credits_arrive_once_and_the_new_balance_is_shown(staff):
    acme = make_company("acme")
    form = {"namespace": " ACME ", "amount": "12.50", "currency": "CRD", "key": key_on(staff.get(PAGE))}
    first, again = staff.post(PAGE, form), staff.post(PAGE, form)
    assert first.url == again.url == f"{PAGE}?owner=acme"
    assert str(queries.balance(acme.namespace, "CRD")) == "12.50 CRD"
    shown = staff.get(first.url).content.decode()
    assert "12.50 CRD added. The wallet of acme holds 12.50 CRD now." in shown
    assert 'value="acme"' in shown
    record = AuditRecord.objects.get(tag="market:credits:added")
    assert record.detail["amount_minor"] == 1250
    assert key_on(staff.get(PAGE)) != form["key"]
    other = staff.post(PAGE, {**form, "amount": "13"})
    assert (other.status_code, "alert-danger" in other.content.decode()) == (400, True)


REFUSED = {
    ("nobody", "1", "CRD"): "There is no user or organisation named nobody.",
    ("acme", "0", "CRD"): "Add an amount above zero.",
    ("acme", "-5", "CRD"): "Add an amount above zero.",
    ("acme", "NaN", "CRD"): "Write the amount as a number such as 12.50.",
    ("acme", "1e30", "CRD"): "Write the amount as a number such as 12.50.",
    ("acme", "1.001", "CRD"): "CRD has at most 2 digits after the point.",
    ("acme", "9999999999999999", "JPY"): "The amount is too large.",
    ("acme", "1", "XXX"): "Select a valid choice.",
    ("", "", "CRD"): "This field is required.",
}


def test_bad_input_is_explained_and_moves_nothing(staff):
    acme = make_company("acme")
    for (namespace, amount, currency), why in REFUSED.items():
        form = {"namespace": namespace, "amount": amount, "currency": currency, "key": "one"}
        answer = staff.post(PAGE, form)
        assert (amount, answer.status_code, why in answer.content.decode()) == (amount, 400, True)
    assert queries.balances(acme.namespace) == []
    assert staff.get(f"{PAGE}?owner=nobody").status_code == 404


def test_only_staff(db, browser):
    acme = make_company("acme")
    form = {"namespace": "acme", "amount": "5", "currency": "CRD", "key": "one"}
    assert browser.get(PAGE).url == f"/accounts/login/?next={PAGE}"
    assert browser.post(PAGE, form).status_code == 302
    browser.force_login(acme.user)
    assert (browser.get(PAGE).status_code, browser.post(PAGE, form).status_code) == (403, 403)
    assert f'href="{PAGE}"' not in browser.get("/").content.decode()
    assert queries.balances(acme.namespace) == []
