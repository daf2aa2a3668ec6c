"""Payouts: what is due, to where, once; and back when it does not arrive."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import AuditRecord
from common import clock
from common.errors import Conflict, Forbidden, Invalid
from market import payable
from market.models import AccountKind, LedgerTransaction, Payout, PayoutAccount, TransactionKind
from market.services import ledger, orders, payment_backend, payout_accounts, payouts, refunds
from market.services.ledger import Leg, earnings, platform, provider, verify_ledger, wallet
from market.states import PAYOUTS, PayoutState
from notices.models import Notice
from tests.factories.market import (
    SYSTEM,
    agreed,
    balance,
    give_credits,
    make_company,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.databases import process_environment
from tests.support.senders import Sender
from work.loops import run_due

ROOT = Path(__file__).resolve().parents[2]
DAYS = timedelta(days=15)
"""Longer than money is held."""


@pytest.fixture
def fake(settings, monkeypatch):
    settings.PAYMENTS = {"BACKEND": "stripe", "OPTIONS": {}}
    backend = Sender()
    monkeypatch.setattr(payment_backend, "_loaded", lambda name: backend)
    return backend


@pytest.fixture
def staff(db):
    person = make_person("steve")
    person.user.is_staff = True
    person.user.save()
    return person.actor


@pytest.fixture
def seller(db):
    return make_company("vineyard")


def earn(seller, amount, *, currency="CRD", key="e"):
    """Money that was earned past the shop: of no order, so it is not held."""
    legs = [Leg(ledger.issued(currency), -amount), Leg(earnings(seller.namespace, currency), amount)]
    return ledger.post(TransactionKind.ISSUE, "test", f"{seller.name}:{key}", legs)


def send_to(seller, method, destination="", currency="CRD"):
    return payout_accounts.set_payout_account(
        seller.actor, seller.namespace, currency=currency, method=method, destination=destination
    )


def on_the_way(currency="CRD"):
    return balance(platform(AccountKind.PAYOUTS, currency))


class TestWhatIsDue:
    @pytest.fixture
    def sold(self, seller):
        buyer = make_company("tasters")
        give_credits(buyer, 100_000)
        plan = {"kind": "one_time", "price_minor": 10_000, "refund_window_days": 365}
        listing = make_listing(seller, make_version(seller).repo, plan)
        return buyer, orders.place_order(buyer.actor, buyer_namespace="tasters", **agreed(plan_of(listing)), key="k")

    def test_what_was_just_sold_is_held_and_free_two_weeks_later(self, seller, sold):
        send_to(seller, "wallet")
        found = payable.payable(seller.namespace, "CRD")
        assert (found.balance_minor, found.held_minor, found.due_minor) == (9000, 9000, 0)
        (held,) = payable.held_amounts(seller.namespace, "CRD")
        assert (held.order, str(held.amount)) == (sold[1], "90.00 CRD")
        assert held.until == LedgerTransaction.objects.get(kind="sale").at + timedelta(days=14)
        assert payouts.run_payouts() == 0
        with clock.travel(DAYS):
            assert payouts.run_payouts() == 1
        assert (balance(wallet(seller.namespace, "CRD")), balance(earnings(seller.namespace, "CRD"))) == (9000, 0)

    def test_a_refund_of_a_held_sale_is_not_held_as_well(self, seller, sold):
        earn(seller, 5000)
        refunds.refund_order(sold[0].actor, sold[1], key="r")
        assert payable.payable(seller.namespace, "CRD") == payable.Payable("CRD", 5000, 0)

    def test_a_refund_after_the_payout_is_carried_over(self, seller, sold):
        send_to(seller, "wallet")
        with clock.travel(DAYS):
            payouts.run_payouts()
            refunds.refund_order(sold[0].actor, sold[1], key="r")
            assert payable.payable(seller.namespace, "CRD") == payable.Payable("CRD", -9000, 0)
            earn(seller, 9500)
            assert payouts.run_payouts("next") == 0
            earn(seller, 1000, key="more")
            assert payouts.run_payouts("later") == 1
        assert balance(earnings(seller.namespace, "CRD")) == 0
        assert Payout.objects.latest("pk").amount_minor == 1500
        assert verify_ledger().is_sound

    def test_each_currency_has_its_minimum_in_its_own_units(self, seller, settings):
        settings.PAYOUT_MINIMUM = ("10", "JPY=500")
        assert [payable.minimum(code).amount_minor for code in ("CRD", "KWD", "JPY")] == [1000, 10_000, 500]
        for currency, amount in (("CRD", 999), ("KWD", 10_000), ("JPY", 499)):
            send_to(seller, "wallet", currency=currency)
            earn(seller, amount, currency=currency, key=currency)
        assert payouts.run_payouts("a") == 1
        assert Payout.objects.get().currency == "KWD"
        earn(seller, 1, currency="JPY", key="one more")
        assert payouts.run_payouts("b") == 1
        assert balance(wallet(seller.namespace, "JPY")) == 500

    def test_the_run_has_one_name_until_the_next_one_is_due(self, seller):
        send_to(seller, "wallet")
        earn(seller, 2000)
        assert (payouts.run_payouts(), payouts.run_payouts()) == (1, 1)
        earn(seller, 3000, key="f")
        assert (payouts.run_payouts(), Payout.objects.count()) == (1, 1)
        with clock.travel(timedelta(days=7)):
            payouts.run_payouts()
        assert [payout.amount_minor for payout in Payout.objects.order_by("pk")] == [2000, 3000]

    def test_nobody_is_paid_who_did_not_say_where_to(self, seller):
        earn(seller, 2000)
        account = send_to(seller, "wallet")
        payout_accounts.remove_payout_account(seller.actor, account)
        payout_accounts.remove_payout_account(seller.actor, account)
        assert (payouts.run_payouts(), payouts.pay_out(account.pk, run="x")) == (0, None)
        assert AuditRecord.objects.filter(tag="market:payout-account:removed").count() == 1


class TestByHand:
    @pytest.fixture
    def payout(self, seller):
        send_to(seller, "outside", "Vineyard, DE89 3704 0044 0532 0130 00")
        earn(seller, 2000)
        payouts.run_payouts()
        return Payout.objects.get()

    def test_waits_for_the_operator_and_is_paid_once(self, payout, staff, seller):
        assert (payout.state, on_the_way(), balance(earnings(seller.namespace, "CRD"))) == ("waiting", 2000, 0)
        for _ in range(2):
            assert payouts.mark_paid(staff, payout, reference=" TX-1 ").state == "paid"
        assert (on_the_way(), balance(platform(AccountKind.OUTSIDE, "CRD"))) == (0, 2000)
        with pytest.raises(Conflict):
            payouts.mark_paid(staff, payout, reference="TX-2")
        texts = list(Notice.objects.filter(kind="market:payout:paid").values_list("text", flat=True))
        assert texts == ["20.00 CRD of earnings were paid to the account ending in 0 00 elsewhere."]

    @pytest.mark.parametrize("is_paid", [False, True])
    def test_what_does_not_arrive_is_in_the_earnings_again(self, payout, staff, seller, is_paid):
        if is_paid:
            payouts.mark_paid(staff, payout, reference="TX-1")
        for _ in range(2):
            assert payouts.mark_failed(staff, payout, reason="The bank sent it back").state == "failed"
        with pytest.raises(Conflict):
            payouts.mark_paid(staff, payout, reference="TX-1")
        assert (on_the_way(), balance(earnings(seller.namespace, "CRD"))) == (0, 2000)
        assert LedgerTransaction.objects.filter(kind="reversal").count() == 1 + is_paid
        # it was earned long ago: the next run pays it again
        assert payable.payable(seller.namespace, "CRD").due_minor == 2000
        assert verify_ledger().is_sound

    def test_sellers_settle_nothing_themselves(self, payout, seller):
        for deed in (payouts.mark_paid, payouts.mark_failed):
            with pytest.raises(Forbidden):
                deed(seller.actor, payout, **{"reference" if deed is payouts.mark_paid else "reason": "x"})
        with pytest.raises(Forbidden):
            payout_accounts.hold_payouts(seller.actor, seller.namespace, "x")

    @pytest.mark.parametrize("reference", ["", " ", "x" * 121])
    def test_a_reference_is_needed(self, payout, staff, reference):
        with pytest.raises(Invalid):
            payouts.mark_paid(staff, payout, reference=reference)

    def test_a_held_seller_gets_nothing_new_and_nothing_that_waits(self, payout, staff, seller):
        first = payout_accounts.hold_payouts(staff, seller.namespace, "Under review")
        assert payout_accounts.hold_payouts(staff, seller.namespace, "Again") == first
        with pytest.raises(Conflict, match="Under review"):
            payouts.mark_paid(staff, payout, reference="TX-1")
        earn(seller, 5000, key="f")
        assert payouts.run_payouts("next") == 0
        payout_accounts.release_payouts(staff, seller.namespace)
        payout_accounts.release_payouts(staff, seller.namespace)
        assert payouts.run_payouts("next") == 1
        assert payouts.mark_paid(staff, payout, reference="TX-1").state == "paid"

    def test_the_destination_is_sealed_and_an_old_one_stays_with_its_payout(self, payout, seller):
        assert "DE89" not in payout.account.destination
        send_to(seller, "wallet")
        payout.account.refresh_from_db()
        assert payout.account.retired_at is not None
        assert payout_accounts.destination_of(payout.account) == "Vineyard, DE89 3704 0044 0532 0130 00"
        assert send_to(seller, "wallet") == send_to(seller, "wallet")
        assert PayoutAccount.objects.count() == 2

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE market_payout SET amount_minor = 1",
            "UPDATE market_payout SET account_id = 0",
            "DELETE FROM market_payout",
            "UPDATE market_payoutaccount SET destination = 'mine'",
            "UPDATE market_payouthold SET reason = 'x'",
        ],
    )
    def test_the_database_lets_nobody_redirect_money(self, payout, staff, seller, statement):
        payout_accounts.hold_payouts(staff, seller.namespace, "Under review")
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


class TestByTheProvider:
    @pytest.fixture
    def account(self, fake, seller):
        earn(seller, 2000, currency="EUR")
        return send_to(seller, "provider", "acct_1", "EUR")

    def test_is_sent_once_under_its_own_key(self, fake, seller, account):
        payouts.run_payouts()
        run_due()
        payout = Payout.objects.get()
        assert (payout.state, payout.reference) == ("paid", f"transfer-{payout.uuid}")
        assert payouts.send_payout(payout.pk).state == "paid"
        assert fake.transfers == {str(payout.uuid): ("acct_1", 2000, "EUR")}
        assert (on_the_way("EUR"), balance(provider("EUR"))) == (0, 2000)

    def test_a_lost_answer_is_asked_for_again(self, fake, seller, account):
        fake.is_down = fake.loses_answers = True
        payouts.run_payouts()
        run_due()
        assert (Payout.objects.get().state, on_the_way("EUR"), len(fake.transfers)) == ("sending", 2000, 1)
        fake.is_down = False
        with clock.travel(timedelta(hours=2)):
            payouts.send_later()
            run_due()
        assert (Payout.objects.get().state, on_the_way("EUR"), len(fake.transfers)) == ("paid", 0, 1)

    def test_nobody_calls_a_transfer_failed_while_its_answer_is_out(self, fake, seller, account, staff):
        fake.is_down = True
        payouts.run_payouts()
        run_due()
        with pytest.raises(Conflict, match="wait for its answer"):
            payouts.mark_failed(staff, Payout.objects.get(), reason="x")

    def test_a_refusal_puts_the_money_back(self, fake, seller, account):
        send_to(seller, "provider", "closed_1", "EUR")
        payouts.run_payouts()
        run_due()
        payout = Payout.objects.get()
        assert (payout.state, "refused" in payout.failure) == ("failed", True)
        assert (balance(earnings(seller.namespace, "EUR")), fake.transfers) == (2000, {})

    def test_a_hold_keeps_a_waiting_one_here_until_it_is_released(self, fake, seller, account, staff):
        payouts.run_payouts()
        payout_accounts.hold_payouts(staff, seller.namespace, "Under review")
        run_due()
        assert (Payout.objects.get().state, fake.transfers) == ("waiting", {})
        payout_accounts.release_payouts(staff, seller.namespace)
        run_due()
        assert Payout.objects.get().state == "paid"

    def test_no_account_is_taken_where_the_provider_sends_nothing(self, seller):
        with pytest.raises(Conflict, match="choose another method"):
            send_to(seller, "provider", "acct_1")

    @pytest.mark.parametrize("destination", ["", "two words", "x" * 121])
    def test_the_account_has_the_form_of_one(self, fake, seller, destination):
        with pytest.raises(Invalid):
            send_to(seller, "provider", destination)


def test_every_state_is_left_for_a_known_one():
    assert PAYOUTS.final == {PayoutState.FAILED}
    assert set(PAYOUTS.table) == set(PayoutState)


class TestAnyHistory(TestCase):
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("earn"), st.integers(1, 5000)),
                st.tuples(st.just("lose"), st.integers(1, 5000)),
                st.tuples(st.sampled_from(["run", "paid", "failed"]), st.integers(0, 3)),
            ),
            max_size=10,
        )
    )
    @hypothesis_settings(max_examples=6, deadline=None)
    def test_no_money_is_made_or_lost_whatever_happens(self, history):
        seller = make_company("vineyard")
        send_to(seller, "outside", "IBAN 1234567")
        got = 0
        for step, (deed, amount) in enumerate(history):
            if deed in {"earn", "lose"}:
                earn(seller, amount if deed == "earn" else -amount, key=str(step))
                got += amount if deed == "earn" else -amount
            elif deed == "run":
                before = payable.payable(seller.namespace, "CRD")
                payouts.run_payouts(f"r{amount}")
                after = balance(earnings(seller.namespace, "CRD"))
                assert after in {before.balance_minor, 0}
            else:
                for payout in Payout.objects.all()[amount : amount + 1]:
                    try:
                        if deed == "paid":
                            payouts.mark_paid(SYSTEM, payout, reference="x")
                        else:
                            payouts.mark_failed(SYSTEM, payout, reason="x")
                    except Conflict:
                        continue
        sums = {
            state: sum(payout.amount_minor for payout in Payout.objects.filter(state=state)) for state in PayoutState
        }
        assert (on_the_way(), balance(platform(AccountKind.OUTSIDE, "CRD"))) == (sums["waiting"], sums["paid"])
        assert balance(earnings(seller.namespace, "CRD")) == got - sums["waiting"] - sums["paid"]
        assert verify_ledger().is_sound


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_step_a_payout_happened_once_or_not_at_all(tmp_path):
    """See tests/support/payout_kills.py: a process dies at each step of a run and of a transfer."""
    for method, amount in (("wallet", 2000), ("outside", 2000), ("provider", 2000)):
        earn(make_company(f"{method}-seller"), amount)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.payout_kills"],
        cwd=ROOT, env=process_environment(tmp_path), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    cases = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(cases) == 9
    for case in cases:
        assert case["killed"] == signal.SIGKILL, case
        assert (case["sound"], case["left"]) == (True, case["earned"]), case
        assert case["after"] == {"payouts": 1, "state": case["state"], "earnings": 0, "sent": case["amount"]}, case
        assert (case["audited"], case["told"]) == (1, 1), case


@pytest.mark.django_db
def test_a_seller_who_cannot_be_paid_keeps_nobody_waiting(seller, monkeypatch):
    other = make_company("orchard")
    for each in (seller, other):
        earn(each, 2000)
    broken, _ = send_to(seller, "outside", "IBAN 1234567"), send_to(other, "wallet")
    pay_out = payouts.pay_out

    def stumble(pk, *, run):
        if pk == broken.pk:
            raise RuntimeError("nobody expected this")
        return pay_out(pk, run=run)

    monkeypatch.setattr(payouts, "pay_out", stumble)
    with pytest.raises(RuntimeError, match="nobody expected this"):
        payouts.run_payouts()
    assert [payout.namespace for payout in Payout.objects.all()] == [other.namespace]
    monkeypatch.setattr(payouts, "pay_out", pay_out)
    assert payouts.run_payouts() == 2


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_ten_runs_at_once_pay_once():
    seller = make_company("vineyard")
    account = send_to(seller, "wallet")
    earn(seller, 2000)

    def pay(number):
        try:
            return payouts.pay_out(account.pk, run=f"r{number % 2}")
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        made = {payout.pk for payout in pool.map(pay, range(10)) if payout is not None}
    assert len(made) == Payout.objects.count() == 1
    assert (balance(wallet(seller.namespace, "CRD")), balance(earnings(seller.namespace, "CRD"))) == (2000, 0)
