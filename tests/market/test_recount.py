"""Each way in which the tables of the ledger could be wrong is planted behind the back of the triggers, and named."""

import io
import json

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.actors import system
from accounts.services.identity import create_user
from market.models import AccountKind, LedgerEntry, LedgerTransaction, TransactionKind
from market.services.ledger import AccountRef, Leg, issued, post, reverse, verify_ledger, wallet

CLEARING = AccountRef(AccountKind.CLEARING, "CRD")


def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def drop_guards():
    """Every trigger of the ledger goes, and the index over external ids: as if somebody had opened the file by hand."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'market_%%'"
            )
            for name, _ in cursor.fetchall():
                cursor.execute(f"DROP TRIGGER {name}")
        else:
            # no table is altered while a deferred check of it is pending
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET session_replication_role = replica")


@pytest.fixture
def ledger(db):
    """Ten payments of 100 into a wallet, each moved on by 40, the last one reversed."""
    owner = create_user(system("tests"), "ada", "ada@example.com", "correct horse battery").namespace
    purse = wallet(owner, "CRD")
    for number in range(10):
        post(TransactionKind.ISSUE, "test", f"in{number}", [Leg(issued("CRD"), -100), Leg(purse, 100)])
        moved = post(TransactionKind.CAPTURE, "test", f"on{number}", [Leg(purse, -40), Leg(CLEARING, 40)])
    reverse(moved, "test", "back")
    assert verify_ledger().is_sound
    drop_guards()
    yield purse
    if connection.vendor == "postgresql":
        run("SET session_replication_role = DEFAULT")


def entry(source_id, ref):
    return LedgerEntry.objects.get(transaction__source_id=source_id, account__key=ref.key)


def test_an_altered_amount_is_named_with_its_entry(ledger):
    bad = entry("on4", ledger)
    run("UPDATE market_ledgerentry SET amount_minor = -41 WHERE id = %s", bad.pk)
    report = verify_ledger()
    assert {fault.check for fault in report.faults} == {"chain", "unbalanced", "balance"}
    assert (report.first.check, report.first.entry, report.first.transaction) == ("chain", bad.pk, bad.transaction_id)
    assert report.first.text == (
        f"entry {bad.pk} of transaction {bad.transaction_id} leaves {bad.balance_after_minor} in {ledger.key};"
        f" what was there before and its amount come to {bad.balance_after_minor - 1}"
    )


def test_a_missing_entry_is_seen_at_the_next_one_and_at_its_transaction(ledger):
    gone, after = entry("in3", ledger), entry("on3", ledger)
    run("DELETE FROM market_ledgerentry WHERE id = %s", gone.pk)
    faults = verify_ledger().faults
    assert [(fault.check, fault.transaction) for fault in faults] == [
        ("unbalanced", gone.transaction_id),
        ("chain", after.transaction_id),
        ("balance", LedgerTransaction.objects.latest("pk").pk),
    ]


def test_a_missing_transaction_at_the_end_is_seen_by_the_balances(ledger):
    last = LedgerTransaction.objects.get(source_id="back")
    run("DELETE FROM market_ledgerentry WHERE transaction_id = %s", last.pk)
    faults = verify_ledger().faults
    assert [fault.check for fault in faults].count("balance") == 2
    assert ("empty", last.pk) in [(fault.check, fault.transaction) for fault in faults]


def test_a_balance_that_is_not_the_sum(ledger):
    run("UPDATE market_account SET balance_minor = balance_minor + 5 WHERE key = %s", ledger.key)
    faults = [(fault.check, fault.account) for fault in verify_ledger().faults]
    assert faults == [("balance", ledger.key), ("currency", None)]


def test_an_overdrawn_wallet(ledger):
    is_sqlite = connection.vendor == "sqlite"
    run(
        "PRAGMA ignore_check_constraints = 1"
        if is_sqlite
        else "ALTER TABLE market_account DROP CONSTRAINT account_not_overdrawn"
    )
    try:
        run("UPDATE market_account SET balance_minor = -5 WHERE key = %s", ledger.key)
    finally:
        if is_sqlite:
            # it belongs to the connection, which outlives the test
            run("PRAGMA ignore_check_constraints = 0")
    assert "overdrawn" in {fault.check for fault in verify_ledger().faults}


def test_an_external_id_that_was_used_twice(ledger):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no way to take a constraint away from a table")
    run("ALTER TABLE market_ledgertransaction DROP CONSTRAINT ledger_source_once")
    second = LedgerTransaction.objects.get(source_id="in7")
    run("UPDATE market_ledgertransaction SET source_id = 'in6' WHERE id = %s", second.pk)
    assert [(fault.check, fault.transaction) for fault in verify_ledger().faults] == [("external_id", second.pk)]


def test_a_transaction_without_its_seal(ledger):
    open_one = LedgerTransaction.objects.get(source_id="in2")
    if connection.vendor == "sqlite":
        run("PRAGMA defer_foreign_keys = 1")
    run("DELETE FROM market_ledgerseal WHERE uuid = %s", open_one.seal_id.hex)
    assert [(fault.check, fault.transaction) for fault in verify_ledger().faults] == [("unsealed", open_one.pk)]
    run("INSERT INTO market_ledgerseal (uuid) VALUES (%s)", open_one.seal_id.hex)


def test_a_reversal_of_something_else(ledger):
    wrong, back = LedgerTransaction.objects.get(source_id="in1"), LedgerTransaction.objects.get(source_id="back")
    run("UPDATE market_ledgertransaction SET reverses_id = %s WHERE id = %s", wrong.pk, back.pk)
    faults = verify_ledger().faults
    assert {(fault.check, fault.transaction) for fault in faults} == {("reversal", back.pk)}
    assert "which it reverses: " in faults[0].text


def test_the_command_says_so_and_ends_with_one(ledger):
    told = io.StringIO()
    call_command("check_ledger", stdout=told)
    assert "42 postings of 21 transactions on 3 accounts" in told.getvalue()
    assert "The ledger is sound." in told.getvalue()
    bad = entry("on4", ledger)
    run("UPDATE market_ledgerentry SET amount_minor = -41 WHERE id = %s", bad.pk)
    told = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("check_ledger", stdout=told)
    assert ended.value.code == 1
    assert f"first: entry {bad.pk} of transaction" in told.getvalue()
    told = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("check_ledger", "--json", stdout=told)
    found = json.loads(told.getvalue())
    assert (ended.value.code, found["sound"], found["first"]["entry"]) == (1, False, bad.pk)


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_a_recount_sees_one_moment_and_holds_nobody_up():
    assert verify_ledger().is_sound
    assert connection.settings_dict["OPTIONS"].get("transaction_mode", "") in {"", "IMMEDIATE"}
    if connection.vendor == "sqlite":
        assert connection.transaction_mode == connection.settings_dict["OPTIONS"].get("transaction_mode")
