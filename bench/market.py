"""What trade costs above the database: orders, charging of calls, metering, and the recount of the ledger.

    python bench/market.py [--orders 200] [--postings 1000000]

On SQLite in a temporary folder; on a scratch database beside DATABASE_URL's where that is set. For each deed the statements that
write are noted while it is done and rolled back; *bare* is the database doing just these again, one transaction a deed,
triggers and indexes included. The ratio is ours over bare: what we add in looking, checking and thinking. The recount is
compared with one pass of sums over the same entries; its limit is a minute for a million.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import django

from bench.listing_search import scratch_database

LIMIT_S = 60
_WRITES = ("INSERT", "UPDATE", "DELETE")


@contextmanager
def noted(writes: list[tuple[str, Any]]) -> Iterator[None]:
    """Note every statement that writes."""
    from django.db import connection  # noqa: PLC0415 - after django.setup()

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's
        if sql.lstrip().upper().startswith(_WRITES):
            writes.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield


def bare_and_ours(deeds: Sequence[Callable[[], object]]) -> tuple[float, float]:
    """(seconds of the bare writes, seconds of the deeds). The first half of the deeds is rehearsed and its writes are done bare;
    then the second half is done."""
    from django.apps import apps  # noqa: PLC0415
    from django.core.management.color import no_style  # noqa: PLC0415
    from django.db import connection, transaction  # noqa: PLC0415

    half = len(deeds) // 2
    scripts: list[list[tuple[str, Any]]] = []
    with transaction.atomic():
        for deed in deeds[:half]:
            scripts.append([])
            with noted(scripts[-1]):
                deed()
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        # keys that were drawn in the rehearsal are drawn again
        for statement in connection.ops.sequence_reset_sql(no_style(), list(apps.get_models())):
            cursor.execute(statement)
    begun = time.perf_counter()
    for script in scripts:
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, params in script:
                cursor.execute(sql, params)
    bare = time.perf_counter() - begun
    begun = time.perf_counter()
    for deed in deeds[half:]:
        deed()
    return bare, time.perf_counter() - begun


def tell(what: str, count: int, bare: float, ours: float) -> None:
    print(f"{what:34} {count / ours:10,.0f}/s  bare {count / bare:10,.0f}/s  ratio {ours / bare:6.2f}", flush=True)


def trade(orders: int) -> None:
    """Orders of prepaid calls by one buyer, then metering of their calls, then charging them."""
    from market.models import Entitlement  # noqa: PLC0415
    from market.services import billing  # noqa: PLC0415
    from market.services.orders import place_order  # noqa: PLC0415
    from tests.factories.market import (  # noqa: PLC0415
        agreed,
        give_credits,
        make_calls,
        make_company,
        make_endpoint,
        make_listing,
        plan_of,
    )

    seller, buyer = make_company("vineyard"), make_company("tasters")
    give_credits(buyer, 1_000_000_000)
    wanted = agreed(plan_of(make_listing(seller, make_endpoint(seller), {"kind": "pay_per_use", "price_minor": 7})))
    actor = buyer.actor

    def buy(key: str) -> Callable[[], object]:
        return partial(place_order, actor, buyer_namespace="tasters", **wanted, quantity=1000, key=key)

    buy("first")()
    bare, ours = bare_and_ours([buy(f"o{number}") for number in range(2 * orders)])
    tell("orders", orders, bare, ours)

    sources = [each.source for each in Entitlement.objects.order_by("pk")]
    batch, rounds = 1000, 10
    source = sources[0]
    deeds = [partial(make_calls, source, batch, first=number * batch) for number in range(2 * rounds)]
    bare, ours = bare_and_ours(deeds)
    tell(f"metered calls, {batch} at a time", batch * rounds, bare, ours)

    for each in sources[1:]:
        make_calls(each, 3)
    charged = [each.pk for each in Entitlement.objects.order_by("pk")[1:]]
    deeds = [partial(billing.settle_entitlement, pk) for pk in charged]
    bare, ours = bare_and_ours(deeds[: len(deeds) // 2 * 2])
    tell("entitlements charged", len(deeds) // 2, bare, ours)


def rate() -> None:
    """Rating alone: pure arithmetic, nothing to compare it with."""
    from market import rating  # noqa: PLC0415

    pack, count = rating.CallPack(1_000_000, 100, 7_000_000), 100_000
    begun = time.perf_counter()
    for used in range(1, count + 1):
        rating.settle(pack, 10, settled_units=used - 1, used_units=used)
    print(f"{'ratings':34} {count / (time.perf_counter() - begun):10,.0f}/s", flush=True)


def fill(postings: int) -> None:
    """Transactions of two entries between 1,000 wallets and the platform, past the services and their triggers."""
    from django.db import connection, transaction  # noqa: PLC0415

    from market.models import Account, LedgerTransaction  # noqa: PLC0415

    is_postgres = connection.vendor == "postgresql"
    with transaction.atomic(), connection.cursor() as cursor:
        if is_postgres:
            cursor.execute("SET LOCAL session_replication_role = replica")
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'market_%'")
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
        base = (Account.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1
        number = (LedgerTransaction.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1
        count, owners = postings // 2, 1000
        at = datetime(2026, 1, 1, tzinfo=UTC)
        raw = cursor.cursor if is_postgres else cursor.cursor.connection.cursor()
        mark = "%s" if is_postgres else "?"

        def write(table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
            if is_postgres:
                with raw.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                marks = ", ".join([mark] * (columns.count(",") + 1))
                raw.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

        when: Any = at if is_postgres else at.isoformat(sep=" ").removesuffix("+00:00")

        def uuid(seq: int) -> Any:
            return UUID(int=seq) if is_postgres else f"{seq:032x}"

        write(
            "market_account",
            "id, key, kind, currency, reference, balance_minor, created_at",
            ((base + n, f"bench:{n}", "issued" if n == 0 else "wallet", "CRD", "", 0, when) for n in range(owners + 1)),
        )
        write(
            "market_ledgertransaction",
            "id, uuid, kind, source, source_id, memo, at",
            ((number + n, uuid(n + 1), "issue", "bench", str(n), "", when) for n in range(count)),
        )
        write("market_ledgerseal", "uuid", ((uuid(n + 1),) for n in range(count)))

        def entries() -> Iterator[tuple[Any, ...]]:
            for n in range(count):
                yield number + n, base, -1, -1 - n
                yield number + n, base + 1 + n % owners, 1, n // owners + 1

        write("market_ledgerentry", "transaction_id, account_id, amount_minor, balance_after_minor", entries())
        cursor.execute(
            "UPDATE market_account SET balance_minor = (SELECT SUM(amount_minor) FROM market_ledgerentry"
            f" WHERE account_id = market_account.id) WHERE id >= {base}"
        )
        if not is_postgres:
            for _, sql in triggers:
                cursor.execute(sql)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def recount(postings: int) -> None:
    from django.db import connection  # noqa: PLC0415

    from market.services.ledger import verify_ledger  # noqa: PLC0415

    fill(postings)
    begun = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT account_id, COUNT(*), SUM(amount_minor) FROM market_ledgerentry GROUP BY account_id")
        cursor.fetchall()
    bare = time.perf_counter() - begun
    begun = time.perf_counter()
    report = verify_ledger()
    ours = time.perf_counter() - begun
    assert report.is_sound, report.faults[:3]
    tell(f"postings recounted in {ours:.1f} s", report.entries, bare, ours)
    limit = LIMIT_S * report.entries / 1_000_000
    print(f"{'within the limit of a minute' if ours <= limit else 'TOO SLOW'}: {report.entries:,} postings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--postings", type=int, default=1_000_000)
    options = parser.parse_args()
    with scratch_database():
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415
        from django.db import connection  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        print(connection.vendor)
        rate()
        trade(options.orders)
        recount(options.postings)
        connection.close()


if __name__ == "__main__":
    main()
