"""Who gets which answer, for every route of the site: `permissions.txt` is the table, a person reviews its changes.

A line is `METHOD path  statuses…  [| JSON body]`, with one status for each of anonymous, stranger, reader, writer, owner,
staff, narrowed token. Words in braces come from `world.py`. After adding lines (with `?` for statuses) or changing rights:

    python -m pytest tests/meta/test_permission_table.py --write-permissions

(which asks for the new lines alone when there are any) and read the difference before committing it: that is the review of who may do what."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from django.urls.exceptions import Resolver404

from tests.meta.world import ROLES, World, build

TABLE = Path(__file__).with_name("permissions.txt")
LINE = re.compile(r"(?P<method>[A-Z]+) +(?P<path>\S+) +(?P<statuses>[0-9?][0-9? ]*?)(?: *\| *(?P<body>.*))?")
MACHINE_PATHS = re.compile(r"/(?:api|hooks|cas|oauth|v1|-/health|-/metrics)\b|/.*\.git/|/.*/resolve/|/.*/ask-access")
ELSEWHERE = {
    "-/admin/": "Django's administration: every view is wrapped in AdminSite.admin_view; its index stands for all",
}
"""Prefixes whose routes are not ours to list, each with the reason."""


@dataclass
class Row:
    method: str
    path: str
    statuses: list[str]
    body: str | None

    def __str__(self) -> str:
        tail = f" | {self.body}" if self.body else ""
        return f"{self.method:<6} {self.path:<72} {' '.join(self.statuses)}{tail}"


def read_table() -> tuple[list[str | Row], list[Row]]:
    lines: list[str | Row] = []
    for text in TABLE.read_text().splitlines():
        match = LINE.fullmatch(text)
        if match is None:
            assert not text or text.startswith("#"), f"not a line of the table: {text!r}"
            lines.append(text)
            continue
        statuses = match["statuses"].split()
        lines.append(Row(match["method"], match["path"], statuses, match["body"]))
    return lines, [line for line in lines if isinstance(line, Row)]


def ask(world: World, row: Row, role: str) -> int:
    """The status for `role`; nothing that the request did is kept."""
    path = row.path.format(**world.names)
    is_page = MACHINE_PATHS.match(path) is None
    client = world.client(role, is_page=is_page)
    more: dict = {}
    if row.body is not None:
        body = json.loads(re.sub(r"\{(\w+)\}", lambda match: world.names[match[1]], row.body))
        more = {"data": body} if is_page else {"data": json.dumps(body), "content_type": "application/json"}
    elif row.method != "GET":
        more = {} if is_page else {"data": "{}", "content_type": "application/json"}
    if not is_page and row.method == "POST":
        # movements of money insist on one
        more["headers"] = {"Idempotency-Key": "table"}
    with transaction.atomic():
        response = getattr(client, row.method.lower())(path, **more)
        if response.streaming:
            # read to its end, it closes its file, and not the database connection of this test
            for _ in response.streaming_content:
                pass
        transaction.set_rollback(True)
    return response.status_code


@pytest.mark.django_db
def test_every_role_gets_the_answer_of_the_table(request: pytest.FixtureRequest, settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    world, (lines, rows) = build(), read_table()
    for role in ROLES:
        # signed in before, since what a request does is rolled back
        world.client(role, is_page=True)
    wrong = []
    is_written = request.config.getoption("--write-permissions")
    new = [row for row in rows if "?" in row.statuses] if is_written else []
    for row in new or rows:
        found = [str(ask(world, row, role)) for role in ROLES]
        if found != row.statuses:
            wrong.append(f"{row}\n{'answered':>79} {' '.join(found)}")
            row.statuses = found
    if is_written:
        TABLE.write_text("".join(f"{line}\n" for line in lines))
    else:
        assert not wrong, "\n" + "\n".join(wrong)
    assert [str(row) for row in rows if any(status.startswith("5") for status in row.statuses)] == []


def routes() -> Iterator[str]:
    def walk(entries: list[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
        for entry in entries:
            # as Django joins them in ResolverMatch.route
            whole = prefix + (str(entry.pattern).removeprefix("^") if prefix else str(entry.pattern))
            if isinstance(entry, URLResolver):
                yield from walk(entry.url_patterns, whole)
            else:
                yield whole

    yield from (route for route in walk(get_resolver().url_patterns, "") if not route.startswith(tuple(ELSEWHERE)))


class _AnyName(dict[str, str]):
    """Placeholders as uuids: enough to find the route."""

    def __missing__(self, key: str) -> str:
        return "0190f5a0-0000-7000-8000-000000000000"


def test_every_route_has_a_row() -> None:
    covered = set()
    unknown = []
    for row in read_table()[1]:
        try:
            covered.add(resolve(row.path.format_map(_AnyName()).partition("?")[0]).route)
        except Resolver404:
            unknown.append(str(row))
    assert unknown == [], "these addresses lead nowhere"
    assert sorted(set(routes()) - covered) == [], "add a line for each of these routes to permissions.txt"


def test_a_table_that_is_wrong_is_noticed() -> None:
    """The parser refuses what it does not understand, so that no line is passed over."""
    assert LINE.fullmatch("GET    /models    200 200 200 200 200 200 200") is not None
    assert LINE.fullmatch('POST   /x    403 403 403 403 200 403 403 | {"a": 1}')["body"] == '{"a": 1}'
    assert LINE.fullmatch("GET /models") is None
    assert {len(row.statuses) for row in read_table()[1]} == {len(ROLES)}
