"""Payouts as seller and operator meet them: on the pages and through the API."""

import pytest

from market.models import Payout, PayoutAccount, TransactionKind
from market.services import ledger, payouts
from market.services.ledger import Leg, earnings
from tests.factories.market import balance, make_company, make_person

IBAN = "Vineyard, DE89 3704 0044 0532 0130 00"


@pytest.fixture
def seller(db):
    company = make_company("vineyard")
    legs = [Leg(ledger.issued("CRD"), -2000), Leg(earnings(company.namespace, "CRD"), 2000)]
    ledger.post(TransactionKind.ISSUE, "test", "earned", legs)
    return company


@pytest.fixture
def staff(db):
    person = make_person("steve")
    person.user.is_staff = True
    person.user.save()
    return person


def test_a_seller_says_where_to_the_operator_pays_and_both_see_it(browser, seller, staff):
    browser.force_login(seller.user)
    page = browser.get("/payouts?owner=vineyard").content.decode()
    assert "20.00 CRD" in page
    assert "say below where it should go" in page
    assert "An account at the payment provider" not in page
    wrong = browser.post("/payouts?owner=vineyard", {"currency": "CRD", "method": "outside", "destination": ""})
    assert (wrong.status_code, "Write where the operator should pay" in wrong.content.decode()) == (400, True)
    answer = browser.post("/payouts?owner=vineyard", {"currency": "CRD", "method": "outside", "destination": IBAN})
    page = browser.get(answer.url).content.decode()
    assert "ending in 0 00" in page
    assert "DE89" not in page
    assert "will be paid by the next run" in page

    payouts.run_payouts()
    payout = Payout.objects.get()
    browser.force_login(staff.user)
    assert f'href="/payouts/{payout.uuid}"' in browser.get("/-/payouts").content.decode()
    shown = browser.get(f"/payouts/{payout.uuid}").content.decode()
    assert IBAN in shown
    browser.post("/-/payouts", {"namespace": "vineyard", "reason": "Under review"})
    held = browser.post(f"/payouts/{payout.uuid}/payment", {"reference": "TX-1"})
    assert (held.status_code, "Under review" in held.content.decode()) == (400, True)
    assert "Under review" in browser.get("/-/payouts?state=all").content.decode()
    browser.post("/-/payouts/release", {"namespace": "vineyard"})
    assert browser.post(f"/payouts/{payout.uuid}/payment", {"reference": "TX-1"}).status_code == 302
    assert "No payout in this state" in browser.get("/-/payouts").content.decode()

    browser.force_login(seller.user)
    shown = browser.get(f"/payouts/{payout.uuid}").content.decode()
    assert ("TX-1" in shown, "DE89" in shown) == (True, False)
    statement = browser.get("/statements?owner=vineyard&account=earnings").content.decode()
    assert "Payout: to the account ending in 0 00 elsewhere" in statement
    assert f'href="/payouts/{payout.uuid}"' in statement

    browser.force_login(staff.user)
    assert browser.post(f"/payouts/{payout.uuid}/failure", {"reason": "No such account"}).status_code == 302
    assert balance(earnings(seller.namespace, "CRD")) == 2000
    browser.force_login(seller.user)
    assert "No such account" in browser.get(f"/payouts/{payout.uuid}").content.decode()
    browser.post(f"/payouts/accounts/{PayoutAccount.objects.get().uuid}/removal")
    assert "Nothing is paid out until you say where to." in browser.get("/payouts?owner=vineyard").content.decode()


def test_the_api_does_the_same(client, seller, staff):
    client.force_login(seller.user)
    base, as_json = "/api/v1/namespaces/vineyard", {"content_type": "application/json"}
    given = {"currency": "CRD", "method": "wallet"}
    first, again = (client.put(f"{base}/payout-accounts", given, **as_json).json() for _ in range(2))
    assert (first["uuid"], first["method"]) == (again["uuid"], "wallet")
    found = client.get(f"{base}/payable").json()
    assert found["items"] == [
        {
            "currency": "CRD", "balance_minor": 2000, "held_minor": 0, "ready_minor": 2000, "due_minor": 2000,
            "minimum_minor": 1000,
        }
    ]  # fmt: skip
    payouts.run_payouts()
    (payout,) = client.get("/api/v1/payouts?state=paid&seller=vineyard").json()["items"]
    assert (payout["amount_minor"], payout["state"], payout["method"]) == (2000, "paid", "wallet")
    assert client.get(f"/api/v1/payouts/{payout['uuid']}").json() == payout
    assert client.get("/api/v1/payouts?state=gone").status_code == 400
    client.force_login(staff.user)
    refused = client.put(f"/api/v1/payouts/{payout['uuid']}/failure", {"reason": "x"}, **as_json)
    assert (refused.status_code, refused.json()["code"]) == (409, "in_wallet")
    assert client.put(f"{base}/payout-hold", {"reason": "Under review"}, **as_json).json()["reason"] == "Under review"
    client.force_login(seller.user)
    assert client.get(f"{base}/payable").json()["hold_reason"] == "Under review"
    client.force_login(staff.user)
    assert client.delete(f"{base}/payout-hold").status_code == 204
