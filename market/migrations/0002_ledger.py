"""What the ledger promises, kept by the database on both engines.

An entry carries the balance it leaves behind; inserting it moves the account there, and nothing else can move an account. A seal
can only be set on a transaction that balances; the deferred foreign key from transaction to seal lets none be committed
without one; a sealed transaction takes no further entry.
"""

from typing import Any

from django.db import migrations

from common.append_only import append_only

# name, table, event, condition under which the database refuses, reason
_RULES = [
    (
        "market_account_opens_empty",
        "market_account",
        "BEFORE INSERT",
        "NEW.balance_minor <> 0",
        "an account opens with nothing in it",
    ),
    (
        "market_account_follows_entries",
        "market_account",
        "BEFORE UPDATE OF balance_minor",
        # the newest entry of the account, by the index (account, -id)
        (
            "NEW.balance_minor <> COALESCE((SELECT balance_after_minor FROM market_ledgerentry WHERE account_id = NEW.id"
            " ORDER BY id DESC LIMIT 1), 0)"
        ),
        "a balance moves by ledger entries only",
    ),
    (
        "market_ledgerentry_chains",
        "market_ledgerentry",
        "BEFORE INSERT",
        "NEW.balance_after_minor <> NEW.amount_minor + (SELECT balance_minor FROM market_account WHERE id = NEW.account_id)",
        "the balance after an entry is the balance before it and the amount",
    ),
    (
        "market_ledgerentry_unsealed",
        "market_ledgerentry",
        "BEFORE INSERT",
        (
            "EXISTS (SELECT 1 FROM market_ledgerseal s JOIN market_ledgertransaction t ON t.uuid = s.uuid"
            " WHERE t.id = NEW.transaction_id)"
        ),
        "a sealed transaction takes no further entry",
    ),
    (
        "market_ledgerseal_balanced",
        "market_ledgerseal",
        "BEFORE INSERT",
        (
            "NOT EXISTS (SELECT 1 FROM market_ledgerentry e JOIN market_ledgertransaction t ON t.id = e.transaction_id"
            " WHERE t.uuid = NEW.uuid)"
            " OR EXISTS (SELECT 1 FROM market_ledgerentry e JOIN market_ledgertransaction t ON t.id = e.transaction_id"
            " JOIN market_account a ON a.id = e.account_id WHERE t.uuid = NEW.uuid GROUP BY a.currency"
            " HAVING SUM(e.amount_minor) <> 0)"
        ),
        "a ledger transaction has entries and sums to zero in each currency",
    ),
]
_MOVE = "UPDATE market_account SET balance_minor = NEW.balance_after_minor WHERE id = NEW.account_id"
# Without the lock two writers that skip the service could both read the balance before.
_LOCK_FIRST = "PERFORM 1 FROM market_account WHERE id = NEW.account_id FOR NO KEY UPDATE;"


def forwards(apps: Any, schema_editor: Any) -> None:
    run, postgres = schema_editor.execute, schema_editor.connection.vendor == "postgresql"
    for name, table, event, condition, reason in _RULES:
        if postgres:
            lock = _LOCK_FIRST if name == "market_ledgerentry_chains" else ""
            run(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {lock} IF {condition} THEN "
                f"RAISE EXCEPTION '{reason}' USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"
            )
            run(f"CREATE TRIGGER {name} {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        else:
            run(f"CREATE TRIGGER {name} {event} ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, '{reason}'); END")
    if postgres:
        run(
            f"CREATE FUNCTION market_ledgerentry_moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_MOVE}; RETURN NULL; END $$"
        )
        run(
            "CREATE TRIGGER market_ledgerentry_moves AFTER INSERT ON market_ledgerentry"
            " FOR EACH ROW EXECUTE FUNCTION market_ledgerentry_moves()"
        )
    else:
        run(f"CREATE TRIGGER market_ledgerentry_moves AFTER INSERT ON market_ledgerentry BEGIN {_MOVE}; END")


def backwards(apps: Any, schema_editor: Any) -> None:
    run, postgres = schema_editor.execute, schema_editor.connection.vendor == "postgresql"
    for name, table in [("market_ledgerentry_moves", "market_ledgerentry"), *((rule[0], rule[1]) for rule in _RULES)]:
        run(f"DROP TRIGGER {name} ON {table}" if postgres else f"DROP TRIGGER {name}")
        if postgres:
            run(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [("market", "0001_initial")]

    operations = [
        append_only("market_account", mutable=("balance_minor",)),
        append_only("market_ledgertransaction"),
        append_only("market_ledgerentry"),
        append_only("market_ledgerseal"),
        migrations.RunPython(forwards, backwards),
    ]
