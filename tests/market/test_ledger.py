"""The ledger against a reference model, against replays, and against whoever writes to its tables directly."""

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.actors import system
from accounts.services.identity import create_user
from common.errors import Conflict, Invalid, OverBudget
from common.money import split
from market.models import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.services.ledger import (
    AccountRef,
    Leg,
    clearing,
    earnings,
    fees,
    issued,
    post,
    reverse,
    verify_ledger,
    wallet,
)

REFS = [
    AccountRef(AccountKind.ISSUED, "CRD"),
    AccountRef(AccountKind.CLEARING, "CRD"),
    AccountRef(AccountKind.FEES, "CRD"),
    AccountRef(AccountKind.WALLET, "CRD"),
    AccountRef(AccountKind.HELD, "CRD", None, "a"),
    AccountRef(AccountKind.ISSUED, "JPY"),
    AccountRef(AccountKind.WALLET, "JPY"),
]


def namespace_of(name):
    return create_user(system("tests"), name, f"{name}@example.com", "correct horse battery").namespace


def balance(ref):
    return Account.objects.filter(key=ref.key).values_list("balance_minor", flat=True).first() or 0


def move(source_id, *pairs, kind=TransactionKind.ISSUE):
    return post(kind, "test", source_id, [Leg(ref, amount) for ref, amount in pairs])


@st.composite
def movements(draw):
    """(source id from a small set so that replays happen, legs that sum to zero in each currency)"""
    legs = []
    for currency in draw(st.sampled_from([["CRD"], ["JPY"], ["CRD", "JPY"]])):
        refs = [ref for ref in REFS if ref.currency == currency]
        amounts = draw(st.lists(st.integers(-50, 50), min_size=1, max_size=3))
        chosen = [draw(st.sampled_from(refs)) for _ in amounts]
        legs += [Leg(ref, amount) for ref, amount in zip(chosen, amounts, strict=True)]
        legs.append(Leg(refs[0], -sum(amounts)))
    return str(draw(st.integers(0, 15))), tuple(legs)


class TestAgainstModel(TestCase):
    @given(st.lists(movements(), max_size=25))
    @settings(max_examples=40, deadline=None)
    def test_random_sequences_match_a_reference_model(self, sequence):
        balances, posted = defaultdict(int), {}
        for source_id, legs in sequence:
            merged = defaultdict(int)
            for leg in legs:
                merged[leg.account] += leg.amount_minor
            merged = {ref: amount for ref, amount in merged.items() if amount}
            if not merged:
                expected = Invalid
            elif source_id in posted:
                expected = None if posted[source_id] == merged else Conflict
            elif any(
                balances[ref] + amount < 0 and ref.kind in {AccountKind.WALLET, AccountKind.HELD}
                for ref, amount in merged.items()
            ):
                expected = OverBudget
            else:
                expected = None
                posted[source_id] = merged
                for ref, amount in merged.items():
                    balances[ref] += amount
            if expected is None:
                post(TransactionKind.ISSUE, "model", source_id, legs)
            else:
                with pytest.raises(expected):
                    post(TransactionKind.ISSUE, "model", source_id, legs)
        assert {ref: balance(ref) for ref in REFS} == {ref: balances[ref] for ref in REFS}
        assert LedgerTransaction.objects.count() == len(posted)
        report = verify_ledger()
        assert report.is_sound, report.faults
        assert report.entries == sum(map(len, posted.values()))


@given(st.integers(0, 99_999_999), st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(any))
def test_three_way_split_loses_nothing_and_is_never_off_by_a_whole_unit(amount, weights):
    parts = split(amount, weights)
    assert sum(parts) == amount
    assert all(
        abs(part * sum(weights) - amount * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


@pytest.mark.django_db
class TestPosting:
    def test_same_post_again_returns_the_first_and_moves_nothing(self):
        buyer = namespace_of("ada")
        first = move("1", (issued("CRD"), -500), (wallet(buyer, "CRD"), 500))
        again = move("1", (wallet(buyer, "CRD"), 500), (issued("CRD"), -500))
        assert again.pk == first.pk
        assert (balance(wallet(buyer, "CRD")), LedgerEntry.objects.count()) == (500, 2)

    def test_same_key_with_another_amount_is_refused(self):
        buyer = namespace_of("ada")
        move("1", (issued("CRD"), -500), (wallet(buyer, "CRD"), 500))
        with pytest.raises(Conflict) as refusal:
            move("1", (issued("CRD"), -501), (wallet(buyer, "CRD"), 501))
        assert refusal.value.code == "key_reused"
        assert balance(wallet(buyer, "CRD")) == 500

    def test_wallet_never_goes_below_zero(self):
        buyer, seller = namespace_of("ada"), namespace_of("ben")
        move("1", (issued("CRD"), -500), (wallet(buyer, "CRD"), 500))
        with pytest.raises(OverBudget) as refusal:
            move("2", (wallet(buyer, "CRD"), -501), (earnings(seller, "CRD"), 501))
        assert refusal.value.fields == {"balance_minor": 500, "needed_minor": 501, "currency": "CRD"}
        assert (balance(wallet(buyer, "CRD")), LedgerTransaction.objects.count()) == (500, 1)

    def test_currencies_balance_separately(self):
        with pytest.raises(Invalid, match="sum to zero in each currency"):
            move("1", (issued("CRD"), -500), (issued("EUR"), 500))
        assert LedgerTransaction.objects.count() == 0

    @pytest.mark.parametrize("amount", [10**15 + 1, -(10**15) - 1])
    def test_amounts_beyond_the_limit_are_refused(self, amount):
        with pytest.raises(Invalid):
            move("1", (issued("CRD"), -amount), (clearing("CRD"), amount))

    def test_floats_are_no_money(self):
        with pytest.raises(TypeError):
            move("1", (issued("CRD"), -1.0), (clearing("CRD"), 1.0))

    def test_reversal_restores_every_balance_and_happens_once(self):
        buyer, seller = namespace_of("ada"), namespace_of("ben")
        move("1", (issued("CRD"), -999), (wallet(buyer, "CRD"), 999))
        sale = move("2", (wallet(buyer, "CRD"), -999), (earnings(seller, "CRD"), 899), (fees("CRD"), 100))
        undone = reverse(sale, "refund", "2")
        assert undone.reverses == sale
        assert reverse(sale, "refund", "2").pk == undone.pk
        with pytest.raises(Conflict):
            reverse(sale, "refund", "other")
        found = [balance(ref) for ref in (wallet(buyer, "CRD"), earnings(seller, "CRD"), fees("CRD"))]
        assert found == [999, 0, 0]

    def test_any_past_balance_can_be_read_from_the_entries(self):
        buyer, rng, known = namespace_of("ada"), random.Random(7), []
        for number in range(20):
            amount = rng.randint(1, 100)
            move(str(number), (issued("CRD"), -amount), (wallet(buyer, "CRD"), amount))
            known.append(balance(wallet(buyer, "CRD")))
        entries = LedgerEntry.objects.filter(account__key=wallet(buyer, "CRD").key).order_by("pk")
        assert list(entries.values_list("balance_after_minor", flat=True)) == known


@pytest.mark.django_db
class TestDatabaseRefuses:
    """Whatever is written past the service."""

    @pytest.fixture
    def sale(self):
        buyer = namespace_of("ada")
        return move("1", (issued("CRD"), -500), (wallet(buyer, "CRD"), 500))

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE market_ledgerentry SET amount_minor = amount_minor + 1",
            "UPDATE market_ledgerentry SET balance_after_minor = 0",
            "DELETE FROM market_ledgerentry",
            "UPDATE market_ledgertransaction SET source_id = 'x'",
            "DELETE FROM market_ledgertransaction",
            "DELETE FROM market_ledgerseal",
            "UPDATE market_account SET balance_minor = balance_minor + 1",
            "UPDATE market_account SET kind = 'clearing'",
            "DELETE FROM market_account",
            """INSERT INTO market_account (key, kind, currency, reference, balance_minor, created_at)
            VALUES ('k', 'clearing', 'CRD', '', 5, '2026-01-01')""",
        ],
    )
    def test_direct_changes(self, sale, statement):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
        assert verify_ledger().is_sound
        assert LedgerEntry.objects.count() == 2

    def test_one_more_entry_in_a_sealed_transaction(self, sale):
        account = Account.objects.get(kind=AccountKind.ISSUED)
        other = Account.objects.create(key="other", kind=AccountKind.CLEARING, currency="CRD")
        with pytest.raises(IntegrityError, match="takes no further entry"), transaction.atomic():
            LedgerEntry.objects.create(transaction=sale, account=other, amount_minor=1, balance_after_minor=1)
        assert (account.balance_minor, LedgerEntry.objects.count()) == (-500, 2)

    def test_a_balance_that_does_not_follow(self, sale):
        account = Account.objects.get(kind=AccountKind.ISSUED)
        with pytest.raises(IntegrityError, match="the balance before it"):
            write([(account, -5, -5)])

    def test_a_seal_on_what_does_not_balance(self):
        account = Account.objects.create(key="k", kind=AccountKind.CLEARING, currency="CRD")
        other = Account.objects.create(key="o", kind=AccountKind.CLEARING, currency="EUR")
        with pytest.raises(IntegrityError, match="sums to zero"):
            write([(account, 5, 5), (other, -5, -5)], is_sealed=True)
        assert LedgerTransaction.objects.count() == 0

    def test_a_seal_on_nothing(self):
        with pytest.raises(IntegrityError, match="has entries"):
            write([], is_sealed=True)

    def test_an_overdraft(self):
        account = Account.objects.create(key="k", kind=AccountKind.WALLET, currency="CRD")
        with pytest.raises(IntegrityError):
            write([(account, -5, -5)])


@transaction.atomic
def write(entries, *, is_sealed=False):
    """One transaction, past the service. `entries`: (account, amount, balance after)."""
    uuid = "00000000-0000-0000-0000-000000000001"
    row = LedgerTransaction.objects.create(seal_id=uuid, kind="issue", source="x", source_id="x")
    for account, amount, after in entries:
        LedgerEntry.objects.create(transaction=row, account=account, amount_minor=amount, balance_after_minor=after)
    if is_sealed:
        LedgerSeal.objects.create(uuid=uuid)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("amounts", [(5,), (5, -4), (5, -5), ()])
def test_nothing_unsealed_can_be_committed(amounts):
    accounts = [
        Account.objects.create(key=str(n), kind=AccountKind.CLEARING, currency="CRD") for n in range(len(amounts))
    ]
    with pytest.raises(IntegrityError):
        write([(account, amount, amount) for account, amount in zip(accounts, amounts, strict=True)])
    assert (LedgerTransaction.objects.count(), LedgerEntry.objects.count()) == (0, 0)
    assert sum(account.balance_minor for account in Account.objects.all()) == 0


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def run(self, deeds, threads=50):
        def one(deed):
            try:
                deed()
            except OverBudget:
                return "refused"
            finally:
                connection.close()
            return "done"

        with ThreadPoolExecutor(threads) as pool:
            return sorted(pool.map(one, deeds))

    def test_fifty_buyers_of_one_wallet_spend_exactly_what_is_in_it(self):
        buyer, seller = namespace_of("ada"), namespace_of("ben")
        move("0", (issued("CRD"), -2000), (wallet(buyer, "CRD"), 2000))

        def spend(number):
            return lambda: move(
                f"s{number}", (wallet(buyer, "CRD"), -100), (earnings(seller, "CRD"), 90), (fees("CRD"), 10)
            )

        assert self.run(map(spend, range(50))) == ["done"] * 20 + ["refused"] * 30
        found = [balance(ref) for ref in (wallet(buyer, "CRD"), earnings(seller, "CRD"), fees("CRD"))]
        assert found == [0, 1800, 200]
        assert verify_ledger().is_sound

    def test_crossing_transfers_over_new_and_old_accounts_never_lock_each_other_out(self):
        people = [namespace_of(f"user{number}") for number in range(6)]
        for person in people[:3]:
            move(f"open{person.pk}", (issued("CRD"), -1000), (wallet(person, "CRD"), 1000))
        rng = random.Random(3)

        def transfer(number):
            giver, taker = rng.sample(people, 2)
            return lambda: move(f"t{number}", (wallet(giver, "CRD"), -1), (wallet(taker, "CRD"), 1))

        outcomes = self.run([transfer(number) for number in range(300)])
        assert set(outcomes) <= {"done", "refused"}
        assert sum(balance(wallet(person, "CRD")) for person in people) == 3000
        assert verify_ledger().is_sound

    def test_one_source_posted_fifty_times_at_once_moves_money_once(self):
        buyer = namespace_of("ada")
        deed = lambda: move("same", (issued("CRD"), -100), (wallet(buyer, "CRD"), 100))  # noqa: E731
        assert self.run([deed] * 50) == ["done"] * 50
        assert (balance(wallet(buyer, "CRD")), LedgerTransaction.objects.count()) == (100, 1)
