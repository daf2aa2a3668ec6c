"""Versions side by side: the rows, who is better, what it costs, what they say to the same input."""

import csv
import io
import json
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from PIL import Image

from compute.services import endpoints
from registry.models import Study, Trial
from registry.services import repos, storage
from registry.services.commits import AddFile, create_commit
from registry.services.repos import create_repo
from registry.services.versions import publish_version
from tests.factories.graphs import linear_model, picture_model
from tests.factories.market import SYSTEM, make_company, make_endpoint, make_listing, make_person, scanned
from web.hub import charts, diffs
from web.hub.charts import Point
from work.loops import run_due
from work.models import Task

HERE = "/compare?v=shop/digits@1.0.1&v=shop/digits@2.0"
ONE = "shop/digits@1.0.1"
TWO = "shop/digits@2.0"


def rows_of(text: str) -> dict[str, str]:
    return {row.split("<")[0]: row.split("</tr>")[0] for row in text.split('<th scope="row">')[1:]}


@pytest.fixture
def shop(db):
    """A model `digits` with the versions 1.0 and 2.0, each served by an endpoint whose calls are sold."""
    shop = make_company("shop")
    first = make_endpoint(shop)
    repo = publish(
        shop, "1.0.1", b"---\nlicense: mit\n---\n# Digits\n\nReads digits.\n", {"accuracy": 0.91, "loss": 0.30}
    ).repo
    publish(
        shop,
        "2.0",
        b"---\nlicense: apache-2.0\n---\n# Digits\n\nReads digits <b>well</b>.\n",
        {"accuracy": 0.97, "loss": 0.35},
    )
    for name, version, price in (("old", "1.0.1", 2), ("new", "2.0", 1)):
        endpoint = endpoints.deploy(
            shop.actor,
            namespace="shop",
            name=name,
            version_uuid=repo.versions.get(name=version).uuid,
            visibility="public",
        )
        endpoints.report_loaded(SYSTEM, endpoint.uuid, endpoint.next_digest, inputs=[], outputs=[])
        make_listing(shop, endpoint, {"kind": "pay_per_use", "price_minor": price}, title=name)
    assert first.name == "digits"
    return shop


def publish(shop, name, readme, values):
    repo = shop.namespace.repos.get(name="digits")
    create_commit(shop.actor, repo, "main", [AddFile("README.md", storage.store_blob([readme]))], summary=name)
    metrics = {
        key: {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 540} for key, value in values.items()
    }
    return scanned(publish_version(shop.actor, repo, "main", name=name, metrics=metrics))


def test_versions_are_compared_row_by_row(shop, browser):
    text = browser.get(HERE).content.decode()
    assert "Beside 1.0.1, 2.0 is better in accuracy" in text
    assert "The 95 % intervals share no value." in text
    rows = rows_of(text)
    assert "apache-2.0" in rows["licence"]
    assert "mit" in rows["licence"]
    assert "0.02 CRD / call at shop/old" in rows["price of calls"]
    assert "−0.01 CRD better" in rows["price of calls"]
    assert rows["accuracy"].index("0.97") < rows["accuracy"].index("(the best)")
    assert "+0.06 better" in rows["accuracy"]
    assert rows["loss"].index("(the best)") < rows["loss"].index("0.35")
    assert "+0.05 worse" in rows["loss"]


def test_base_moves_and_versions_come_and_go_by_links(shop, browser):
    publish(shop, "3.0", b"# Three\n", {"accuracy": 0.80, "loss": 0.35})
    page = browser.get(f"{HERE}&v=shop/digits@3.0")
    text = page.content.decode()
    assert "(the worst)" in text
    assert (
        'href="/compare?v=shop/digits@1.0.1&amp;v=shop/digits@2.0&amp;v=shop/digits@3.0&amp;base=shop/digits@3.0"'
        in text
    )
    assert 'href="/compare?v=shop/digits@1.0.1&amp;v=shop/digits@3.0"' in text
    moved = browser.get(f"{HERE}&v=shop/digits@3.0&base=shop/digits@3.0").content.decode()
    accuracy = rows_of(moved)["accuracy"]
    assert accuracy.index("+0.11 better") < accuracy.index("+0.17 better")
    assert "Of 2 versions beside 3.0, 2.0 is better in accuracy" in moved
    assert 'href="/compare?v=shop/digits@2.0&amp;v=shop/digits@3.0&amp;base=shop/digits@3.0"' in moved
    two = browser.get(HERE).content.decode()
    assert 'href="/compare?v=shop/digits@2.0&amp;v=shop/digits@1.0.1"' in two
    assert '<option value="shop/digits@3.0">' in two


def test_versions_of_several_repositories_are_compared(shop, browser):
    other = make_company("other")
    repo = create_repo(other.actor, "model", "other", "letters", visibility="public")
    made = create_commit(other.actor, repo, "main", [AddFile("a.txt", storage.store_bytes(b"a"))], summary="a")
    publish_version(other.actor, repo, made.oid, name="2.0", metrics={"accuracy": {"value": 0.99}})
    text = browser.get(f"{HERE}&v=other/letters@2.0").content.decode()
    assert "digits 2.0" in text
    assert "letters 2.0" in text
    assert "other/letters@2.0 is better in accuracy" in text
    repos.rename_repo(other.actor, repo, "other", "marks")
    assert "marks 2.0" in browser.get(f"{HERE}&v=other/letters@2.0").content.decode()


def test_page_begins_empty_and_with_one(shop, browser):
    empty = browser.get("/compare")
    assert (empty.status_code, "Two versions make a comparison" in empty.content.decode()) == (200, True)
    one = browser.get(f"/compare?v={ONE}&v=").content.decode()
    assert "is chosen" in one
    assert '<option value="shop/digits@2.0">' in one
    assert browser.get(f"/compare?v={ONE}&v={ONE}").content.decode().count("is chosen") == 1


def test_repository_leads_to_its_two_newest(shop, browser):
    answer = browser.get("/shop/digits/compare")
    assert (answer.status_code, answer["Location"]) == (302, HERE)


def predictions(right: int, n: int = 40) -> AddFile:
    lines = [f"{row},{row % 2},{row % 2 if row < right else 1 - row % 2},0.9,{int(row < right)}" for row in range(n)]
    text = "row,answer,predicted,probability,is_right\n" + "\n".join(lines) + "\n"
    return AddFile("evaluation/predictions.csv", storage.store_blob([text.encode()]))


def test_versions_that_keep_their_predictions_are_judged_on_the_same_rows(shop, browser):
    repo = shop.namespace.repos.get(name="digits")
    for name, right in (("3.0", 20), ("4.0", 38), ("5.0", 21)):
        create_commit(shop.actor, repo, "main", [predictions(right)], summary=name)
        publish_version(shop.actor, repo, "main", name=name)
    three = "/compare?" + "&".join(f"v=shop/digits@{name}" for name in ("3.0", "4.0", "5.0"))
    text = browser.get(three).content.decode()
    assert "4.0 is better in accuracy on the same 40 rows (p = 1.5e-05)" in text
    assert "corrected for the number of versions (Holm)" in text
    assert "High confidence." in text
    rows = rows_of(text)
    assert "+45.0 points (" in rows["accuracy"]
    assert "not clear, p = 1" in rows["accuracy"].replace('<span class="nowrap">', "").replace("</span>", "")
    assert ">18<" in rows["right here, wrong in the base"]
    assert "answer 0 (20 rows)" in rows
    assert "50.0 %" in rows["answer 0 (20 rows)"]
    assert "0 taken for 1" in rows
    assert "On the same 40 rows" not in browser.get(HERE).content.decode()
    assert Study.objects.filter(kind="panel").count() == 1


def test_long_predictions_are_judged_by_a_worker(shop, browser, monkeypatch):
    monkeypatch.setattr("registry.evaluations.QUICK_BYTES", 10)
    repo = shop.namespace.repos.get(name="digits")
    for name, right in (("3.0", 20), ("4.0", 38)):
        create_commit(shop.actor, repo, "main", [predictions(right)], summary=name)
        publish_version(shop.actor, repo, "main", name=name)
    address = "/compare?v=shop/digits@3.0&v=shop/digits@4.0"
    for _ in range(2):
        assert "are being judged row by row" in browser.get(address).content.decode()
    assert Task.objects.filter(name="registry.study_panel").count() == 1
    run_due()
    assert "on the same 40 rows" in browser.get(address).content.decode()


def test_card_is_compared_line_by_line_and_is_not_markup(shop, browser):
    text = browser.get(HERE).content.decode()
    assert '<div class="removed"><span class="visually-hidden">removed: </span>Reads digits.</div>' in text
    assert "added: </span>Reads digits &lt;b&gt;well&lt;/b&gt;.</div>" in text
    assert '<div class="same"># Digits</div>' in text
    assert "apache" not in text.split('<div class="diff"')[1].split("</section>")[0]


def test_identical_rows_are_hidden_by_an_address(shop, browser):
    whole = browser.get(HERE).content.decode()
    assert f'href="{HERE}&only=changed"'.replace("&", "&amp;") in whole
    short = browser.get(f"{HERE}&only=changed").content.decode()
    assert '<th scope="row">files</th>' in whole
    assert '<th scope="row">files</th>' not in short
    assert '<th scope="row">accuracy</th>' in short
    assert "identical rows hidden" in short
    assert "v=shop/digits@2.0&amp;v=shop/digits@1.0.1&amp;only=changed" in short


def test_link_names_versions_and_base(shop, browser, settings):
    settings.PUBLIC_URL = "https://market.example"
    text = browser.get(f"{HERE}&base={TWO}").content.decode()
    assert f"https://market.example{HERE}&base={TWO}".replace("&", "&amp;") in text


def test_table_as_a_file(shop, browser):
    answer = browser.get(f"/compare/table.csv?v={ONE}&v={TWO}")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0][:5] == ["group", "property", "unit", "better", ONE]
    found = {row[1]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    accuracy = found["accuracy"]
    assert (accuracy[ONE], accuracy[f"{TWO} low"], accuracy["better"]) == ("0.91", "0.96", "higher")
    assert float(accuracy[f"{TWO} difference"]) == pytest.approx(0.06)
    assert (accuracy[f"{TWO} judgement"], accuracy[f"{TWO} extreme"]) == ("better", "best")
    assert found["files"][ONE] == found["files"][TWO] == "3"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"v={ONE}&v=shop/digits@9", 404),
        (f"v={ONE}&v=../x@2.0", 404),
        (f"v={ONE}&v=shop/digits@%00", 400),
        (f"v={ONE}&v=shop/digits", 400),
        (f"v={ONE}&v=a/b/c@1", 400),
        (f"v={ONE}&v={TWO}&base=shop/digits@9", 400),
        ("&".join(f"v=shop/digits@{number}" for number in range(9)), 400),
    ],
)
def test_what_is_no_comparison_says_so(shop, browser, query, status):
    assert browser.get(f"/compare?{query}").status_code == status
    assert browser.get(f"/compare/table.csv?{query}").status_code == status


def test_models_are_not_compared_with_datasets(shop, browser):
    repo = create_repo(shop.actor, "dataset", "shop", "wine", visibility="public")
    made = create_commit(shop.actor, repo, "main", [AddFile("a.csv", storage.store_bytes(b"a\n1\n"))], summary="a")
    publish_version(shop.actor, repo, made.oid, name="1.0")
    publish_version(shop.actor, repo, made.oid, name="1.1")
    assert browser.get(f"/compare?v={ONE}&v=datasets/shop/wine@1.0").status_code == 400
    text = browser.get("/compare?v=datasets/shop/wine@1.0&v=datasets/shop/wine@1.1").content.decode()
    assert "1.1 has the same files." in text
    assert "The same input to all" not in text
    assert browser.get("/compare/table.csv?v=datasets/shop/wine@1.0").status_code == 400


CARD = b"# Linear\n"
SIGNATURE = {
    "task": "tabular-classification",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2], "columns": ["age", "size"]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "classes": ["cat", "dog"]}],
    "example": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 7]}]},
}


@pytest.fixture
def linear(shop):
    """Three versions of a model that runs; the third wants another column."""
    repo = create_repo(shop.actor, "model", "shop", "linear", visibility="public")
    wants_more = SIGNATURE | {"inputs": [SIGNATURE["inputs"][0] | {"columns": ["age", "weight"]}]}
    for name, weights, signature in (
        ("1", [[0, 1], [0, 0]], SIGNATURE),
        ("2", [[0, -1], [0, 0]], SIGNATURE),
        ("3", [[0, 1], [0, 0]], wants_more),
    ):
        files = [
            AddFile("model.onnx", storage.store_bytes(linear_model(weights, [0, 0]))),
            AddFile("README.md", storage.store_bytes(CARD)),
        ]
        create_commit(shop.actor, repo, "main", files, summary=name)
        accuracy = {"accuracy": {"value": 0.8 + int(name) / 100, "low": 0.7, "high": 0.95, "n": 50}}
        publish_version(shop.actor, repo, "main", name=name, signature=signature, metrics=accuracy)
    return repo


LINEAR = "/compare?v=shop/linear@1&v=shop/linear@2&v=shop/linear@3"


def fields(address: str, **more: str) -> dict:
    values: dict = {}
    for name, value in parse_qsl(urlsplit(address).query):
        values.setdefault(name, []).append(value)
    return values | more


def test_callers_learn_whether_they_can_upgrade(linear, browser):
    rows = rows_of(browser.get(LINEAR).content.decode())
    assert ">compatible<" in rows["callers can upgrade"]
    assert "The input x has no column size any more." in rows["callers can upgrade"]
    text = browser.get("/compare?v=shop/linear@1&v=shop/linear@2").content.decode()
    assert "callers can upgrade without changes" in text
    broken = browser.get("/compare?v=shop/linear@1&v=shop/linear@3").content.decode()
    assert "callers must change (the input x has no column size any more)" in broken


def test_weights_are_compared_when_somebody_asks(linear, shop, browser):
    assert "Compare weights" not in browser.get(LINEAR).content.decode()
    assert browser.post("/compare/studies", fields(LINEAR, study="weights")).status_code == 302
    assert not Study.objects.exists()
    browser.force_login(shop.user)
    assert "Compare weights" in browser.get(LINEAR).content.decode()
    for _ in range(2):
        answer = browser.post("/compare/studies", fields(LINEAR, study="weights"))
        assert answer["Location"] == f"{LINEAR}#studies"
    assert Task.objects.filter(name="registry.study_weights").count() == 2
    part = "/compare/studies?" + urlsplit(LINEAR).query
    assert "hx-get" in browser.get(part).content.decode()
    run_due()
    assert "hx-get" not in browser.get(part).content.decode()
    text = browser.get(LINEAR).content.decode()
    assert "2 tensors matched, 1 of them identical, 16.7 % of the numbers changed, relative distance 2." in text
    rows = rows_of(text)
    assert ">2<" in rows["relative distance (L2)"].replace('<span class="value">', ">")
    assert "Compare weights" not in text


def test_speed_and_memory_are_measured_and_drawn(linear, shop, browser):
    browser.force_login(shop.user)
    browser.post("/compare/studies", fields(LINEAR, study="speed"))
    run_due()
    text = browser.get(LINEAR).content.decode()
    assert "one row, median" in rows_of(text)
    assert text.count('<svg viewBox="0 0 360 220"') == 3
    assert "Accuracy by time of one row" in text


def test_all_say_what_they_make_of_one_input(linear, shop, browser):
    browser.force_login(shop.user)
    page = browser.get(LINEAR).content.decode()
    assert 'name="column:age" type="number" step="any" value="0.5"' in page
    given = {"form": "fields", "column:age": "2", "column:size": "0"}
    answer = browser.post("/compare/trials", fields(LINEAR, **given))
    where = answer["Location"].removesuffix("#answers")
    assert "being asked" in browser.get(where).content.decode()
    run_due()
    text = browser.get(where).content.decode()
    row = rows_of(text)["probabilities, row 1"]
    assert row.index("dog · 0.8808") < row.index("cat · 0.8808")
    assert "differs" in row
    assert "It needs weight, which the table does not have." in text
    assert "age 2, size 0" in text
    assert "being asked" not in text
    # whoever has the link sees it too, without asking anew
    browser.logout()
    assert "dog · 0.8808" in browser.get(where).content.decode()
    assert Trial.objects.count() == 1


def test_tables_and_tensors_are_inputs_too(linear, shop, browser):
    browser.force_login(shop.user)
    table = io.BytesIO(b"age,size,weight\n-1,0,0\n1,0,0\n")
    table.name = "rows.csv"
    answer = browser.post("/compare/trials", fields(LINEAR, form="table") | {"file": table})
    run_due()
    rows = rows_of(browser.get(answer["Location"]).content.decode())
    assert rows["probabilities, row 2"].count("0.7311") == 3
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[3, 0]]}]}
    answer = browser.post("/compare/trials", fields(LINEAR, form="tensors", tensors=json.dumps(body)))
    run_due()
    assert rows_of(browser.get(answer["Location"]).content.decode())["probabilities, row 1"].count("0.9526") == 3


def test_a_picture_goes_to_each_version_in_its_own_size(shop, browser):
    repo = create_repo(shop.actor, "model", "shop", "means", visibility="public")
    for side in (4, 8):
        signature = {
            "task": "image-classification",
            "inputs": [
                {"name": "image", "datatype": "FP32", "shape": [-1, 3, side, side],
                 "image": {"width": side, "height": side, "channels": 3, "scale": 1 / 255}}
            ],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3], "classes": ["r", "g", "b"]}],
        }  # fmt: skip
        file = AddFile("model.onnx", storage.store_bytes(picture_model(side)))
        create_commit(shop.actor, repo, "main", [file], summary=str(side))
        publish_version(shop.actor, repo, "main", name=str(side), signature=signature)
    address = "/compare?v=shop/means@4&v=shop/means@8"
    browser.force_login(shop.user)
    picture = io.BytesIO()
    Image.fromarray(np.full((6, 5, 3), (51, 255, 0), np.uint8)).save(picture, "PNG")
    picture.seek(0)
    picture.name = "picture.png"
    answer = browser.post("/compare/trials", fields(address, form="picture") | {"picture": picture})
    run_due()
    text = browser.get(answer["Location"]).content.decode()
    assert rows_of(text)["probabilities, row 1"].count("g · 1") == 2
    assert "The picture was read as 8 × 8, colour." in text


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"form": "tensors", "tensors": "no json"}, "Give 1 to 64 tensors"),
        ({"form": "tensors", "tensors": '[{"name": "x"}]'}, "The datatype of x is one of"),
        (
            {"form": "tensors", "tensors": '[{"name": "x", "datatype": "FP32", "shape": [2], "data": [1]}]'},
            "x has 1 values, and its shape [2] says 2.",
        ),
        ({"form": "table", "table": "age,size"}, "The table needs a line"),
        ({"form": "table", "table": "age,size\n1"}, "Every row needs 2 cells"),
        ({"form": "picture"}, "The picture may have 4 MiB."),
    ],
)
def test_input_that_is_none_comes_back_with_a_reason(linear, shop, browser, given, why):
    browser.force_login(shop.user)
    answer = browser.post("/compare/trials", fields(LINEAR, **given))
    assert (answer.status_code, why in answer.content.decode().replace("&#x27;", "'")) == (400, True)
    assert not Trial.objects.exists()


def test_versions_whose_files_one_may_not_read_are_not_asked(linear, shop, browser):
    reader = make_person("reader")
    browser.force_login(reader.user)
    linear.gate = "manual"
    linear.save()
    text = browser.get(LINEAR).content.decode()
    assert "may read" in text
    answer = browser.post("/compare/trials", fields(LINEAR, form="fields", **{"column:age": "1", "column:size": "1"}))
    assert Task.objects.filter(name="registry.answer_trial").count() == 0
    shown = browser.get(answer["Location"]).content.decode()
    assert "You may not read its files, so it is not asked here." in shown
    browser.post("/compare/studies", fields(LINEAR, study="weights"))
    assert not Study.objects.filter(kind__in=["weights", "speed"]).exists()
    linear.visibility = "private"
    linear.save()
    assert browser.get(LINEAR).status_code == 404
    assert browser.post("/compare/trials", fields(LINEAR, form="fields")).status_code == 404


def test_a_metric_is_drawn_over_all_versions(linear, browser):
    text = browser.get("/shop/linear/versions").content.decode()
    assert "Accuracy of each version" in text
    assert text.count("<circle cx=") == 3
    answer = browser.get("/shop/linear/metrics.csv?metric=accuracy")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [row[0] for row in rows] == ["version", "1", "2", "3"]
    assert rows[1][2:7] == ["accuracy", "0.81", "0.7", "0.95", "50"]
    assert "chart" not in browser.get("/shop/digits/versions?metric=none").content.decode().split("<main")[0]


def test_marks_stand_inside_of_their_drawing():
    for xs in ([1, 2], [0, 0], [1, 1e9], [5, 5]):
        points = [Point(f"v{place}", x, 0.9 + place / 100, 0.8, 0.99) for place, x in enumerate(xs)]
        drawing = charts.scatter("k", "t", "x", "y", points, str)
        for mark in drawing.marks:
            assert charts.LEFT - 1 <= mark.x <= charts.WIDTH
            assert 0 <= mark.high <= mark.y <= mark.low <= charts.HEIGHT
        assert 2 <= len(drawing.x_ticks) <= 12


def test_long_texts_are_not_compared():
    long = diffs.diff_of("a\n" * (diffs.LINES + 1), "b")
    assert (long.lines, "longer than 2,000 lines" in long.problem) == ([], True)
    wide = diffs.diff_of("a" * (diffs.TEXT_BYTES + 1), "b")
    assert "is not compared" in wide.problem
    assert diffs.diff_of("a\r\n", "a\n").problem == "Only the ends of lines differ."
    assert diffs.diff_of("a", "a") == diffs.Diff([])


def test_what_stands_far_from_a_change_is_left_out():
    before = [f"line {number}" for number in range(50)]
    after = [*before[:40], "new", *before[40:]]
    found = diffs.diff_of("\n".join(before), "\n".join(after))
    assert [line.text for line in found.lines] == [
        "lines 38 to 44", "line 37", "line 38", "line 39", "new", "line 40", "line 41", "line 42",
    ]  # fmt: skip
    assert (found.added, found.removed) == (1, 0)
