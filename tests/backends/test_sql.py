"""Questions in SQL: what they answer, how errors are told, and that a hostile one reaches nothing but the rows handed in."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.runners.process import ProcessRunner
from backends.sql import limits, querying, sandboxed

ANIMALS = {
    "name": "animals",
    "columns": [["name", "VARCHAR"], ["weight", "DOUBLE"], ["born", "DATE"], ["odd", "INTEGER"], ["list", "VARCHAR[]"]],
    "rows": [
        ["cat", "4.5", "2020-01-02", "1", "[a]"],
        ["dog", "30", "2019-05-06", "many", "[b]"],
        [None, None, None, None, None],
    ],
}
TABLES = [ANIMALS, {"name": "empty", "columns": [["a", "BIGINT"]], "rows": []}]


def asked(query: str) -> dict:
    return querying.answer(TABLES, query)


def test_rows_come_back_in_their_types_as_text():
    found = asked("SELECT * FROM animals WHERE weight > 5;  -- heavy ones")
    assert found["rows"] == [["dog", "30.0", "2019-05-06", "many", "[b]"]]
    # a column that holds anything else stays text, and so does what has no plain type
    assert [kind for _, kind in found["columns"]] == ["VARCHAR", "DOUBLE", "DATE", "VARCHAR", "VARCHAR"]
    assert asked("FROM empty") == {"columns": [["a", "BIGINT"]], "rows": [], "is_cut": False, "problem": None}
    assert asked("SELECT avg(weight), count(*) FROM animals")["rows"] == [["17.25", "3"]]
    assert asked("DESCRIBE animals")["rows"][0][0] == "name"
    assert asked("SUMMARIZE animals")["problem"] is None
    assert asked("SELECT true, NULL, {'a': 1}, 'x'::BLOB")["rows"] == [["true", None, '{"a": 1}', "(1 bytes)"]]


def test_long_answers_are_cut():
    found = asked("SELECT i, repeat('x', 1000) FROM range(5000) t(i)")
    assert (len(found["rows"]), found["is_cut"], len(found["rows"][0][1])) == (
        limits.ROWS,
        True,
        limits.CELL_CHARACTERS,
    )
    assert asked("SELECT i FROM range(1000) t(i)")["is_cut"] is False
    many = ", ".join(["1"] * 101)
    assert "101 columns" in asked(f"SELECT {many}")["problem"]["message"]


@pytest.mark.parametrize(
    ("query", "kind", "place"),
    [
        ("SELEC 1", "syntax", (1, 1)),
        ("SELECT 1\nFORM animals\nWHERE", "syntax", (3, 6)),
        ("SELECT weight,\n  colour FROM animals", "query", (2, 3)),
        ("SELECT 'ä', colour FROM animals", "query", (1, 13)),
        ("SELECT * FROM plants", "query", (1, 15)),
        ("SELECT 1; SELECT 2", "syntax", (None, None)),
        ("", "syntax", (None, None)),
        ("-- nothing", "syntax", (None, None)),
    ],
)
def test_errors_say_where(query, kind, place):
    problem = asked(query)["problem"]
    assert problem["kind"] == kind, problem
    assert (problem["line"], problem["column"]) == place or kind == "syntax"
    assert problem["message"]


HOSTILE = [
    "SELECT * FROM read_csv('{path}')",
    "SELECT * FROM read_text('{path}')",
    "SELECT * FROM read_blob('{path}')",
    "SELECT * FROM read_json('{path}')",
    "SELECT * FROM read_parquet('{path}')",
    "SELECT * FROM parquet_metadata('{path}')",
    "SELECT * FROM sniff_csv('{path}')",
    "SELECT * FROM glob('{path}*')",
    "FROM '{path}'",
    "SELECT * FROM 'file://{path}'",
    "SELECT * FROM query('SELECT * FROM read_text(''{path}'')')",
    "SELECT * FROM query_table('{path}')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{path}'')'))",
    "SELECT * FROM read_csv('https://example.org/a.csv')",
    "SELECT * FROM 's3://bucket/a.parquet'",
    "COPY animals TO '{path}.out'",
    "COPY (SELECT 1) TO '{path}.out'",
    "EXPORT DATABASE '{path}.out'",
    "IMPORT DATABASE '{path}'",
    "ATTACH '{path}.out' AS other",
    "ATTACH '{path}' (TYPE sqlite)",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{path}'",
    "FORCE INSTALL httpfs FROM community",
    "PRAGMA database_list",
    "PRAGMA enable_external_access",
    "SET enable_external_access=true",
    "SET GLOBAL memory_limit='100GB'",
    "RESET lock_configuration",
    "CREATE TABLE x AS SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "CREATE MACRO f() AS 1",
    "DROP TABLE animals",
    "INSERT INTO animals SELECT * FROM animals",
    "DELETE FROM animals",
    "CALL pragma_version()",
    "CHECKPOINT",
    "SELECT * FROM duckdb_secrets()",
    "SELECT getenv('PATH')",
    "SELECT * FROM connection",
    "SELECT * FROM TABLES",
    "EXPLAIN ANALYZE COPY animals TO '{path}.out'",
    "EXPLAIN ANALYZE SELECT * FROM read_text('{path}')",
    "WITH x AS (SELECT * FROM read_text('{path}')) SELECT count(*) FROM x",
    "SELECT (SELECT content FROM read_text('{path}'))",
]


def test_hostile_queries_reach_nothing(tmp_path: Path):
    secret = tmp_path / "secret.csv"
    secret.write_text("hidden,word\n1,swordfish\n")
    for query in HOSTILE:
        found = asked(query.replace("{path}", str(secret)))
        assert found["problem"] is not None, query
        assert found["rows"] == [], query
        assert "swordfish" not in json.dumps(found)
        assert str(tmp_path) not in json.dumps(found), query
    assert [path.name for path in tmp_path.glob("secret*")] == ["secret.csv"]


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)", "time"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r", "time"),
        ("SELECT list(i) FROM range(1000000000) t(i)", "memory"),
        ("SELECT string_agg(repeat('x', 100000), '') FROM range(1000000)", "memory"),
        ("SELECT DISTINCT i, i::VARCHAR || 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa' FROM generate_series(1, 1000000000) t(i) ORDER BY 2", "memory"),
    ],
)  # fmt: skip
def test_bombs_end_with_a_reason(query, kind, monkeypatch):
    # patience is the sandbox's concern; here it is whether the engine lets itself be stopped
    monkeypatch.setattr(querying, "TIME_S", 2 if kind == "time" else 60)
    began = time.monotonic()
    problem = asked(query)["problem"]
    assert problem["kind"] == kind
    assert time.monotonic() - began < 60


def test_the_sandbox_answers_and_kills_what_does_not_stop(tmp_path: Path, monkeypatch):
    runner = ProcessRunner(root=str(tmp_path / "runs"))
    work = tmp_path / "work"
    work.mkdir()
    assert sandboxed.query(runner, work, TABLES, "SELECT count(*) FROM animals", key="sql-1")["rows"] == [["3"]]
    (work / "result.json").unlink()
    monkeypatch.setattr(sandboxed, "WALL_S", 3)
    found = sandboxed.query(runner, work, TABLES, "SELECT repeat('x', 3000000000)", key="sql-2")
    assert found["problem"] is not None
    runner.clean("sql-1")
    runner.clean("sql-2")


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gets_an_answer_of_the_shape(query):
    found = sandboxed.checked(json.loads(json.dumps(asked(query))))
    assert found["problem"] is None or found["problem"]["kind"] != "stopped"


@pytest.mark.parametrize(
    "answer", [None, {}, {"columns": [["a", "INT"]], "rows": [["1", "2"]], "is_cut": False, "problem": None}]
)
def test_an_answer_of_another_shape_is_not_believed(answer):
    assert sandboxed.checked(answer)["problem"]["kind"] == "stopped"
