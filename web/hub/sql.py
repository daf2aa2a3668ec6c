"""What the page of questions in SQL shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounts.actors import Actor
from backends.sql.limits import MEMORY_MB, QUERY_CHARACTERS, ROWS, TIME_S
from common.errors import Invalid
from registry.services import profiles, samples
from registry.services.studies import Asked
from web.hub.addresses import Place
from web.hub.heads import RepoHead
from web.links import repo_url, with_query

if TYPE_CHECKING:
    from registry.models import Repo

PAGE_ROWS = 100


@dataclass(frozen=True)
class SqlTable:
    name: str
    columns: list[tuple[str, str]]
    rows: int
    all_rows: int


@dataclass(frozen=True)
class Example:
    title: str
    href: str
    sql: str


@dataclass(frozen=True)
class Problem:
    """`line_text` is the line of the query that the engine points at, `gap` what stands before the place."""

    title: str
    message: str
    place: str
    line_text: str
    gap: str


@dataclass(frozen=True)
class SqlPage:
    """`state` is ready (to ask), looking (the sample is being made), waiting, answered or refused."""

    title: str
    head: RepoHead
    here: str
    action: str
    data_href: str
    revision: str
    state: str
    sql: str
    tables: list[SqlTable]
    examples: list[Example]
    columns: list[tuple[str, str]]
    rows: list[tuple[int, list[str | None]]]
    row_count: int
    is_cut: bool
    problem: Problem | None
    csv_href: str
    next_href: str
    first_href: str
    can_ask: bool
    most_rows: int = ROWS
    most_characters: int = QUERY_CHARACTERS
    time_s: int = TIME_S
    memory_mb: int = MEMORY_MB

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, place: Place, given: Mapping[str, str]) -> "SqlPage":
        head = RepoHead.of(repo, actor, "data")
        sql = given.get("sql", "").replace("\r\n", "\n").strip()
        action = repo_url(repo, "sql", place.revision)
        profile = profiles.profile_of(place.commit)
        tables = samples.tables_of(profile.content) if profile else []
        asked, problem = Asked(), None
        if sql and actor.is_authenticated:
            try:
                asked = samples.ask_sample(actor, repo, place.commit, sql)
            except Invalid as error:
                problem = Problem("It was not asked.", error.message, "", "", "")
        content: Mapping[str, Any] = asked.content or {}
        if content.get("problem"):
            problem = _problem(content["problem"], sql)
        all_rows = content.get("rows", [])
        start = _start(given.get("row", ""), len(all_rows))
        state = "looking" if profile is None else "ready"
        if profile is not None and sql and actor.is_authenticated:
            state = "refused" if problem else "waiting" if asked.content is None else "answered"
        return cls(
            title=f"SQL on {head.full_name}",
            head=head,
            here=with_query(action, sql=sql),
            action=action,
            data_href=repo_url(repo, "data", place.revision),
            revision=place.revision,
            state=state,
            sql=sql or _first(tables),
            tables=[
                SqlTable(
                    each["name"], [(name, kind) for name, kind in each["columns"]], len(each["rows"]), each["all_rows"]
                )
                for each in tables
            ],
            examples=[Example(title, with_query(action, sql=text), text) for title, text in _examples(tables)],
            columns=[(name, kind) for name, kind in content.get("columns", [])],
            rows=[(start + number, row) for number, row in enumerate(all_rows[start : start + PAGE_ROWS], 1)],
            row_count=len(all_rows),
            is_cut=bool(content.get("is_cut")),
            problem=problem,
            csv_href=with_query(repo_url(repo, "sql.csv"), sql=sql, revision=place.revision) if all_rows else "",
            next_href=with_query(action, sql=sql, row=start + PAGE_ROWS + 1)
            if start + PAGE_ROWS < len(all_rows)
            else "",
            first_href=with_query(action, sql=sql) if start else "",
            can_ask=actor.is_authenticated,
        )


def _start(raw: str, count: int) -> int:
    number = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 6 else 1
    return min(max(number - 1, 0), max(count - 1, 0))


def _problem(found: Mapping[str, Any], sql: str) -> Problem:
    titles = {
        "syntax": "The query cannot be read.",
        "time": "It took too long.",
        "memory": "It needed too much memory.",
        "forbidden": "That is not possible here.",
        "stopped": "It was stopped.",
    }
    line, column = found["line"], found["column"]
    lines = sql.split("\n")
    if line is None or column is None or not 0 < line <= len(lines) or not 0 < column <= len(lines[line - 1]) + 1:
        return Problem(titles.get(found["kind"], "The query failed."), found["message"], "", "", "")
    return Problem(
        titles.get(found["kind"], "The query failed."),
        found["message"],
        f"Line {line}, column {column}",
        lines[line - 1],
        " " * (column - 1),
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first(tables: list[dict[str, Any]]) -> str:
    return " ".join(["FROM", tables[0]["name"], "LIMIT 20"]) if tables else ""


def _examples(tables: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """A few queries that work on the first table."""
    if not tables:
        return []
    # built as text for a person to read and change; the sandbox runs it like any other
    name, columns = tables[0]["name"], tables[0]["columns"]
    first = _quoted(columns[0][0])
    found = [
        ("The first rows", _first(tables)),
        ("Each column in figures", f"SUMMARIZE {name}"),
        (
            "How often each value occurs",
            f"FROM {name} SELECT {first}, count(*) AS rows GROUP BY ALL ORDER BY rows DESC",
        ),
    ]
    numbers = [column for column, kind in columns if kind in {"BIGINT", "INTEGER", "DOUBLE", "FLOAT"}]
    if numbers:
        at = _quoted(numbers[-1])
        found.append(("Mean and spread", f"FROM {name} SELECT avg({at}), stddev({at}), min({at}), max({at})"))
    return found
