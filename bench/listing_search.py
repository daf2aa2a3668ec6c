"""Listing search against the database's own query for the same page, at 100,000 listings. Prints one line a case, with ratios.

    python bench/listing_search.py [--rows 100000] [--repeat 40]

On SQLite in a temporary folder; on a scratch database beside DATABASE_URL's where that is set. *page*: the bare SQL for 20 hits
(text index joined to the facet columns, right to see included). *counts*: its GROUP BY for three facets. Ours does both and
loads the listings with seller and plans. The ratio is ours over the bare query: below 1 is faster.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import django
import psycopg

TASKS, LICENCES, CATEGORIES = 40, 12, 15
COMMON, MIDDLE, RARE = "vision", "wine", "isotope"
"""Words in 20 %, 1 % and 0.02 % of the rows."""


@contextmanager
def scratch_database() -> Iterator[None]:
    """Point the settings at an empty database that is gone afterwards."""
    url = os.environ.get("DATABASE_URL", "")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MERCATO_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
        if not url:
            yield
            return
        name = f"bench_{os.getpid()}"
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
            os.environ["DATABASE_URL"] = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))  # noqa: SLF001 - a named tuple's own
            try:
                yield
            finally:
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def fill(rows: int) -> list[int]:
    """`rows` published listings of 3,000 organisations: 70 % public, facets by a power law. Returns the sellers' keys."""
    from django.contrib.auth.models import Group  # noqa: PLC0415

    from accounts.models import Namespace, Organization  # noqa: PLC0415 - models exist only after django.setup()
    from common.clock import now  # noqa: PLC0415
    from common.ids import new_uuid  # noqa: PLC0415
    from market.models import Listing, ListingDocument, SearchChange, SearchHead  # noqa: PLC0415

    rng, start = random.Random(1), now()
    groups = Group.objects.bulk_create(Group(name=f"organization:o{n}") for n in range(3000))
    owners = Organization.objects.bulk_create(
        Organization(display_name=f"o{n}", group=group) for n, group in enumerate(groups)
    )
    sellers = Namespace.objects.bulk_create(
        Namespace(name=f"o{n}", organization=owner) for n, owner in enumerate(owners)
    )
    names = [f"word{n}" for n in range(2000)]

    def power(count: int) -> int:
        return min(int(rng.paretovariate(0.8)) - 1, count - 1)

    for first in range(0, rows, 5000):
        listings = [
            Listing(
                namespace=rng.choice(sellers),
                slug=f"l{n}",
                subject_kind=rng.choice(["model", "model", "dataset", "endpoint"]),
                subject_uuid=new_uuid(),
                title=f"{rng.choice(names)} {rng.choice(names)} {n}",
                task=f"task-{power(TASKS)}",
                licence=f"licence-{power(LICENCES)}",
                category=f"category-{power(CATEGORIES)}",
                visibility="public" if rng.random() < 0.7 else "organization",
                state="published",
                sales=int(rng.paretovariate(1.0)) - 1,
                published_at=start - timedelta(seconds=rng.randrange(10**7)),
            )
            for n in range(first, min(first + 5000, rows))
        ]
        Listing.objects.bulk_create(listings)
        ListingDocument.objects.bulk_create(_document(ListingDocument, listing, rng, names) for listing in listings)
    SearchHead.objects.create(pk=1, number=1)
    SearchChange.objects.create(number=1, stamp=new_uuid(), listing_id=0)
    return [seller.pk for seller in sellers]


def _document(model: type, listing: object, rng: random.Random, names: list[str]) -> object:
    words = rng.choices(names, k=30)
    words += [word for word, share in ((COMMON, 0.2), (MIDDLE, 0.01), (RARE, 0.0002)) if rng.random() < share]
    return model(
        listing=listing,
        seller_id=listing.namespace_id,
        is_public=listing.visibility == "public",
        sales=listing.sales,
        published_us=int(listing.published_at.timestamp() * 1_000_000),
        title=listing.title,
        summary=f"{listing.task} {listing.licence}".replace("-", " "),
        body=" ".join(words),
        facets=json.dumps(
            {
                "kind": [listing.subject_kind],
                "task": [listing.task],
                "category": [listing.category],
                "licence": [listing.licence],
                "tag": [],
                "price": ["free"],
            }
        ),
    )


def bare(word: str, task: str | None, members: list[int], *, counts: bool) -> Callable[[], object]:
    """The database's own query: one page of 20 by sales, or the counts of three facets."""
    from django.db import connection  # noqa: PLC0415

    if connection.vendor == "sqlite":
        text = "JOIN market_listingtext x ON x.rowid = l.id" if word else ""
        match = "AND x.market_listingtext MATCH %s" if word else ""
    else:
        text = "JOIN market_listingdocument d ON d.listing_id = l.id" if word else ""
        match = "AND d.words @@ to_tsquery('simple', %s)" if word else ""
    where = (
        f"FROM market_listing l {text} WHERE l.state = 'published' {match} {'AND l.task = %s' if task else ''}"
        f" AND (l.visibility = 'public' OR l.namespace_id IN ({', '.join(map(str, members))}))"
    )
    values = [value for value in (word, task) if value]
    if counts:
        statements = [f"SELECT l.{name}, count(*) {where} GROUP BY 1" for name in ("task", "licence", "category")]
    else:
        statements = [f"SELECT l.id, l.title, l.sales {where} ORDER BY l.sales DESC, l.id DESC LIMIT 20"]

    def run() -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values)
                cursor.fetchall()

    return run


def timed(deed: Callable[[], object], repeat: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds, after one warm-up."""
    deed()
    took = []
    for _ in range(repeat):
        began = time.perf_counter()
        deed()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), sorted(took)[max(0, int(len(took) * 0.99) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=40)
    options = parser.parse_args()
    with scratch_database():
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415
        from django.db import connection, transaction  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        began = time.perf_counter()
        with transaction.atomic():
            sellers = fill(options.rows)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        print(f"{connection.vendor}, {options.rows:,} listings, filled in {time.perf_counter() - began:.0f} s")
        measure(sellers, options.repeat)
        connection.close()


def measure(sellers: list[int], repeat: int) -> None:
    from accounts.actors import Actor  # noqa: PLC0415
    from accounts.permissions import Role  # noqa: PLC0415
    from market import search_index  # noqa: PLC0415
    from market.search import search_listings  # noqa: PLC0415

    began = time.perf_counter()
    search_index.snapshot()
    print(f"snapshot built in {time.perf_counter() - began:.2f} s, once a process")
    members = sellers[:5]
    actor = Actor(user_id=1, roles=dict.fromkeys(members, Role.MEMBER))
    print(
        f"{'words':8} {'facet':7} {'sort':10} {'ours p50':>9} {'p99':>7} {'page p50':>9} {'counts p50':>11} {'/page':>6} {'/both':>6}"
    )
    for word in ("", RARE, MIDDLE, COMMON):
        for task in (None, "task-1", "task-30"):
            for sort in ("popular", "relevance", "newest") if word else ("popular", "newest"):
                facets = {"task": [task]} if task else {}
                p50, p99 = timed(lambda: search_listings(actor, text=word, facets=facets, sort=sort), repeat)  # noqa: B023
                page, _ = timed(bare(word, task, members, counts=False), repeat)
                counts, _ = timed(bare(word, task, members, counts=True), max(repeat // 4, 3))
                print(
                    f"{word or '-':8} {task or '-':7} {sort:10} {p50:9.2f} {p99:7.2f} {page:9.2f} {counts:11.2f}"
                    f" {p50 / page:6.2f} {p50 / (page + counts):6.2f}"
                )


if __name__ == "__main__":
    main()
