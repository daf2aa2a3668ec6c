"""Looking into a dataset in a real browser: the page that waits for the worker, its rows, and what differs between two versions."""

import base64
import time

import pytest

from tests.support.api import Person

pytestmark = pytest.mark.browser

PATIENCE_MS = 180_000
"""For what a worker does in the sandbox, on a machine that is busy."""


def publish(person: Person, name: str) -> None:
    """A version of data with a blocking rule comes about once the worker has held them against it."""
    for _ in range(PATIENCE_MS // 500):
        status, answer = person.ask("POST", "repos/dataset/dora/birds/versions", {"name": name})
        if status == 201:
            return
        assert answer["code"] == "rules_pending", answer
        time.sleep(0.5)
    raise AssertionError("the worker never came")


def test_data_come_by_themselves_and_are_compared(visitor, live_site):
    live_site.user("dora")
    dora = Person(live_site, "dora")
    dora.post("repos", {"kind": "dataset", "namespace": "dora", "name": "birds", "visibility": "public"})
    rules = "rules: [{column: id, unique: true, block: true}, {column: size, max: 50}]"
    for name, sizes in (("1.0", range(60)), ("2.0", range(2, 62))):
        table = "id,size\n" + "".join(f"{number},{size}\n" for number, size in enumerate(sizes))
        files = {"rows.csv": table, "data-rules.yaml": rules}
        operations = [
            {"op": "add", "path": path, "content": base64.b64encode(text.encode()).decode()}
            for path, text in files.items()
        ]
        dora.post("repos/dataset/dora/birds/commits", {"summary": name, "operations": operations})
        publish(dora, name)

    wide = visitor()
    page = wide.page
    wide.sign_in("dora")
    wide.go("/datasets/dora/birds/data/2.0")
    rows = page.get_by_role("region", name="Rows")
    rows.wait_for(timeout=PATIENCE_MS)
    wide.check()
    found = page.get_by_role("region", name="Rules").get_by_role("row")
    assert ["blocks" in text for text in found.all_inner_texts()] == [False, False, True]
    assert "broken" in found.nth(1).inner_text()
    assert rows.get_by_role("row").count() == 26
    wide.press("Next page")
    assert "row=26" in page.url
    assert rows.get_by_role("row").nth(1).inner_text().split() == ["26", "25", "27"]
    rows.focus()
    assert rows.evaluate("node => node === document.activeElement")
    assert page.get_by_role("link", name="Filter and split").is_visible()

    narrow = visitor(width=390, scheme="dark")
    narrow.go("/datasets/dora/birds/data")
    assert narrow.page.get_by_role("link", name="Filter and split").count() == 0
    narrow.press("Compare versions")
    # nobody has asked for this pair: the page asks again until the worker is through
    changed = narrow.page.get_by_role("region", name="Changed rows")
    changed.wait_for(timeout=PATIENCE_MS)
    narrow.check()
    assert changed.get_by_role("row").count() == 21  # the header and the first twenty
