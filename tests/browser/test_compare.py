"""Comparing versions, and looking after them, in a real browser: what people press, by mouse and by keyboard, in light and in dark."""

import base64
import csv
import io
import re

import pytest
from playwright.sync_api import Page

from tests.factories.graphs import linear_model
from tests.support.api import Person

pytestmark = pytest.mark.browser

PATIENCE_MS = 180_000
"""For what a worker does in the sandbox, on a machine that is busy."""
SIGNATURE = {
    "task": "tabular-classification",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2], "columns": ["age", "size"]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "classes": ["cat", "dog"]}],
    "example": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 7]}]},
}


def commit(person: Person, address: str, files: dict[str, bytes]) -> None:
    operations = [
        {"op": "add", "path": path, "content": base64.b64encode(content).decode()} for path, content in files.items()
    ]
    person.post(f"{address}/commits", {"summary": "Files", "operations": operations})


def row(page: Page, name: str):
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def test_versions_are_compared_and_asked(visitor, live_site):
    live_site.user("cora")
    cora = Person(live_site, "cora")
    cora.post("repos", {"kind": "model", "namespace": "cora", "name": "net", "visibility": "public"})
    address = "repos/model/cora/net"
    for number, (weights, accuracy) in enumerate(
        (([[0, 1], [0, 0]], 0.8), ([[0, -1], [0, 0]], 0.9), ([[0, 2], [0, 0]], 0.7)), 1
    ):
        lock = f"numpy==2.{number}.0\nrich==14.0\n".encode()
        commit(cora, address, {"model.onnx": linear_model(weights, [0, 0]), "requirements.txt": lock})
        metrics = {"accuracy": {"value": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01, "n": 500}}
        cora.post(
            f"{address}/versions",
            {"name": f"{number}.0.0", "signature": SIGNATURE, "metrics": metrics, "licence": "mit"},
        )

    wide = visitor()
    page = wide.page
    wide.sign_in("cora")
    here = "/compare?v=cora/net@1.0.0&v=cora/net@2.0.0&v=cora/net@3.0.0"
    wide.go(here)
    accuracy = row(page, "accuracy").get_by_role("cell")
    assert ["(the best)" in text for text in accuracy.all_inner_texts()] == [False, True, False]
    assert ["(the worst)" in text for text in accuracy.all_inner_texts()] == [False, False, True]
    assert "better" in accuracy.nth(1).inner_text()
    # the base moves by keyboard, the address says so, and the judgements turn with it
    page.get_by_role("link", name=re.compile(r"^Make base\s*: .*2\.0\.0$")).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**base=cora/net@2.0.0")
    wide.check()
    assert "worse" in accuracy.nth(0).inner_text()
    assert row(page, "licence").count() == 1
    wide.press("Hide identical rows")
    assert row(page, "licence").count() == 0
    assert page.get_by_text("identical rows hidden").is_visible()
    # the link that is offered is this page, for everybody
    link = page.locator("code[data-copy-source]").last.inner_text()
    assert link.startswith(live_site.url)
    table = page.get_by_role("region", name="Comparison")
    table.focus()
    assert table.evaluate("node => node === document.activeElement")
    download = page.get_by_role("link", name="CSV").first.get_attribute("href")
    rows = list(csv.reader(io.StringIO(page.request.get(live_site.url + download).text())))
    assert rows[0][4] == "cora/net@1.0.0"
    assert {"accuracy", "licence"} <= {each[1] for each in rows}

    page.get_by_role("spinbutton", name="age").fill("2")
    page.get_by_role("spinbutton", name="size").fill("0")
    wide.press("Ask all")
    answers = page.get_by_role("region", name="Answers")
    answers.get_by_text("dog · 0.8808").wait_for(timeout=PATIENCE_MS)
    answers.get_by_text("cat · 0.8808").wait_for(timeout=PATIENCE_MS)
    answers.get_by_text("dog · 0.982").wait_for(timeout=PATIENCE_MS)
    wide.check()
    asked = page.url.partition("#")[0].removeprefix(live_site.url)

    narrow = visitor(width=390, scheme="dark")
    narrow.go(link.removeprefix(live_site.url))
    narrow.go(asked)
    assert narrow.page.get_by_text("dog · 0.8808").first.is_visible()
    narrow.page.get_by_role("link", name=re.compile(r"^Remove\s.*3\.0\.0$")).click()
    narrow.page.wait_for_load_state()
    assert narrow.page.get_by_role("link", name="Swap sides").is_visible()
    narrow.go("/cora/net/versions")
    narrow.page.get_by_text("As a table").click()
    narrow.check()
    assert narrow.page.get_by_role("region", name="Accuracy of each version").get_by_role("row").count() == 4


def test_measurements_keys_and_packages_are_looked_after(visitor, live_site):
    live_site.user("kira")
    kira = Person(live_site, "kira")
    kira.post("repos", {"kind": "model", "namespace": "kira", "name": "net", "visibility": "public"})
    commit(kira, "repos/model/kira/net", {"model.bin": b"w", "requirements.txt": b"numpy>=2\nrich==14.0\n"})
    kira.post("repos/model/kira/net/versions", {"name": "1.0.0"})
    here = "/kira/net/versions/1.0.0"

    wide = visitor()
    page = wide.page
    wide.sign_in("kira")
    wide.go(here)
    page.get_by_text("Add a metric").click()
    wide.check()
    wide.fill(metric="f1", value="0.9", low="0.95", high="0.8", dataset="winter rows", source="report 12")
    with wide.expects_refusal():
        wide.press("Add metric")
    assert page.get_by_text("must run from low to high").is_visible()
    wide.fill(low="0.85", high="0.95")
    wide.press("Add metric")
    page.get_by_text("Add figures of a device").click()
    wide.fill(hardware="a laptop", p50_ms="3", memory_mb="12.5")
    wide.press("Add figures")
    assert "12.5 MB" in row(page, "a laptop").inner_text()
    wrong = page.get_by_role("row").filter(has_text="report 12")
    wrong.locator("summary").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What is wrong with it").fill("A digit too many.")
    dialog.get_by_role("button", name="Withdraw").click()
    page.get_by_text("it stays on record with the reason").wait_for()
    wide.check()

    for visitor_now, name in ((wide, "first"), (visitor(width=390, scheme="dark"), "second")):
        if visitor_now is not wide:
            visitor_now.sign_in("kira")
        visitor_now.go("/account/keys")
        visitor_now.fill(name=name, public_key="-----BEGIN PRIVATE KEY-----")
        with visitor_now.expects_refusal():
            visitor_now.press("Add key")
        assert visitor_now.page.get_by_text("This is a private key").is_visible()
        visitor_now.go(here)
        visitor_now.page.get_by_text("Hand in a signature of your own").click()
        visitor_now.check()
    narrow = visitor_now
    packages = narrow.page.get_by_role("link", name="2 packages")
    for _ in range(200):
        if packages.count():
            break
        narrow.page.wait_for_timeout(1000)
        narrow.page.reload()
    narrow.press("2 packages")
    narrow.fill(q="num")
    narrow.press("Search")
    assert narrow.page.get_by_role("region", name="Packages").get_by_role("row").count() == 2
