"""Hostile names at every place of every address: a refusal, never an error of ours.

The addresses are those of the permission table, asked by the owner of everything. Each word that an address takes, and each
parameter behind the question mark, is replaced by names that were made to break things."""

import zlib
from collections.abc import Iterator
from itertools import islice
from urllib.parse import quote

import pytest
from django.urls import resolve

from tests.meta.test_permission_table import Row, ask, read_table
from tests.meta.world import build

NUL = "%00"
HOSTILE = [
    "..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%FF%FE", "%ED%A0%80", "%0D%0ASet-Cookie:%20a=b", "a" * 3000, "9" * 400, "-1", "%20",
    quote("'; DROP TABLE registry_repo; --"), quote("{{ settings.SECRET_KEY }}"), quote("\u202egnp.exe"), quote("👾"), quote("${7*7}"),
    quote("%s%n%x"), "CON", ".git", "%5C%5Chost%5Cshare", quote("ſ"), "1e999", "NaN", quote("<svg/onload=alert(1)>"),
]  # fmt: skip
"""As they stand in an address."""
EACH = 1
"""So many of them, besides the NUL, at each place; another at the next, so that all come by many times."""


def hostile(row: Row, names: dict[str, str]) -> Iterator[Row]:
    path, _, query = row.path.partition("?")
    plain = path.format(**names)
    taken = resolve(plain).kwargs.values()
    words = plain.split("/")
    places = [at for at, word in enumerate(words) if word and any(word in str(value) for value in taken)]
    for at in places:
        for name in _some(f"{row.method}{path}{at}"):
            changed = "/".join([*words[:at], name, *words[at + 1 :]])
            yield Row(row.method, _literal(changed) + (f"?{query}" if query else ""), [], row.body)
    parameters = query.split("&") if query else []
    for at, parameter in enumerate(parameters):
        for name in _some(f"{row.method}{row.path}{at}"):
            changed = "&".join(
                [*parameters[:at], f"{parameter.partition('=')[0]}={_literal(name)}", *parameters[at + 1 :]]
            )
            yield Row(row.method, f"{path}?{changed}", [], row.body)


def _some(seed: str) -> list[str]:
    start = zlib.crc32(seed.encode()) % len(HOSTILE)
    return [NUL, *islice((HOSTILE * 2)[start:], EACH)]


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@pytest.mark.django_db
def test_no_name_breaks_anything(settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    world = build()
    for role in ("owner", "anonymous"):
        world.client(role, is_page=True)
    broken, count = [], 0
    for row in read_table()[1]:
        for changed in hostile(row, world.names):
            count += 1
            status = ask(world, changed, "owner")
            if status >= 500 and not (status == 501 and row.path.startswith("/api/")):
                broken.append(f"{status} {changed.method} {changed.path[:200]}")
    assert count > 1000
    assert broken == []
