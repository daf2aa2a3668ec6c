"""Parquet files are shown beside CSV files: parsed in the sandbox by a worker, once for each file, never by the site."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client

from backends.previews import sandboxed
from registry.models import Blob, BlobPreview
from registry.services import previews, storage
from registry.services.commits import AddFile, create_commit
from tests.factories.market import make_company, make_version
from work.loops import run_due
from work.models import Task

HERE = "/datasets/shop/wine/blob/main/rows.parquet"
POLL = "/datasets/shop/wine/preview/"


def parquet(columns: dict, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


@pytest.fixture
def shop(db):
    return make_company("shop")


@pytest.fixture
def put(shop):
    """Commit the bytes as `rows.parquet` of shop/wine."""
    repo = make_version(shop).repo

    def put(content: bytes) -> Blob:
        blob = storage.store_blob([content])
        create_commit(shop.actor, repo, "main", [AddFile("rows.parquet", blob)], summary="Put")
        return blob

    return put


def test_first_look_asks_the_worker_and_the_next_one_shows_rows(put, browser: Client):
    put(parquet({"name": [f"<b>{row}</b>" for row in range(150)], "value": [None, *range(149)]}))
    waiting = browser.get(HERE).content.decode()
    poll = waiting.split('hx-get="')[1].split('"')[0]
    assert poll.startswith(POLL)
    assert "The first rows are being read" in browser.get(poll).content.decode()
    assert Task.objects.filter(name="registry.preview_blob").count() == 1
    run_due()
    shown = browser.get(HERE).content.decode()
    part = browser.get(poll).content.decode()
    for text in (shown, part):
        assert "hx-get" not in text
        assert "150 rows, 2 columns. The first 100 rows are shown." in text
        assert '<span class="column-type">int64</span>' in text
        assert "&lt;b&gt;99&lt;/b&gt;" in text
        assert "&lt;b&gt;100&lt;/b&gt;" not in text
        assert '<span class="faint">null</span>' in text
        assert "<b>0</b>" not in text


def test_file_is_read_once_whoever_looks(put, browser: Client):
    content = parquet({"a": [1]})
    put(content)
    browser.get(HERE)
    run_due()
    put(b"PAR1 other")
    put(content)
    browser.get(HERE)
    assert Task.objects.filter(name="registry.preview_blob", state="queued").count() == 0
    assert BlobPreview.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "It is not a Parquet file: the mark at its end is missing."),
        (b"a,b\n1,2\n", "It is not a Parquet file: the mark at its end is missing."),
        (b"PAR1" + b"x" * 40 + (40).to_bytes(4, "little") + b"PAR1", "It cannot be read as Parquet: "),
        (b"PAR1" + (2**31).to_bytes(4, "little") + b"PAR1", "the mark at its end is missing"),
    ],
)
def test_file_that_is_no_parquet_says_so(put, browser: Client, content, why):
    put(content)
    browser.get(HERE)
    run_due()
    answer = browser.get(HERE)
    assert (answer.status_code, why in answer.content.decode()) == (200, True)


def test_row_group_too_far_in_shows_columns_without_rows(put, browser: Client, monkeypatch):
    monkeypatch.setattr(previews, "HEAD_BYTES", 2000)
    put(parquet({"a": list(range(10_000))}))
    browser.get(HERE)
    run_due()
    text = browser.get(HERE).content.decode()
    assert "10,000 rows, 1 column." in text
    assert "which is too far in for a preview" in text


def test_long_footer_is_not_read(put, browser: Client, monkeypatch):
    monkeypatch.setattr(previews, "FOOTER_BYTES", 100)
    put(parquet({"a": [1]}))
    browser.get(HERE)
    run_due()
    assert "at a length that is not read for a preview" in browser.get(HERE).content.decode()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"columns": []},
        {"column_count": -1, "row_count": 0, "columns": [], "rows": [], "problem": ""},
        {"column_count": 1, "row_count": 1, "columns": [["a", "b"]], "rows": [["x", "y"]], "problem": ""},
        {"column_count": 1, "row_count": 1, "columns": [["a", {}]], "rows": [], "problem": ""},
        {"column_count": 1, "row_count": 1, "columns": [["a", "b"]], "rows": [[1]], "problem": ""},
        {"column_count": 1, "row_count": 1, "columns": 5, "rows": [], "problem": ""},
    ],
)
def test_answer_of_a_program_that_was_taken_over_is_refused(answer):
    assert sandboxed._checked(answer).problem == sandboxed.FAILED


def test_stranger_sees_no_preview_of_a_private_file(put, shop, browser: Client):
    put(parquet({"a": [1]}))
    shop.namespace.repos.update(visibility="private")
    assert (browser.get(HERE).status_code, browser.get(f"{POLL}main/rows.parquet").status_code) == (404, 404)
    assert Task.objects.filter(name="registry.preview_blob").count() == 0
