"""Versions in a real browser: a release, an alias, a deprecation, a withdrawal; wide and light, narrow and dark."""

import base64

import pytest

from tests.support.api import Person

pytestmark = pytest.mark.browser


def test_a_publisher_looks_after_versions(visitor, live_site):
    live_site.user("vera")
    vera = Person(live_site, "vera")
    vera.post("repos", {"kind": "model", "namespace": "vera", "name": "net", "visibility": "public"})
    content = base64.b64encode(b"weights").decode()
    operations = [{"op": "add", "path": "model.bin", "content": content}]
    vera.post("repos/model/vera/net/commits", {"summary": "Files", "operations": operations})
    metrics = {
        "f1": {"value": 0.912, "low": 0.887, "high": 0.934, "n": 1200, "dataset": "vera/rows@1.0", "split": "test"}
    }
    hardware = [
        {
            "name": "one small accelerator",
            "values": {"batch_size": 8, "p50_ms": 1.5, "p99_ms": 4.2, "memory_bytes": 10**9},
        }
    ]
    for name in ("1.0.0", "1.1.0"):
        vera.post(
            "repos/model/vera/net/versions",
            {"name": name, "metrics": metrics, "hardware": hardware, "intended_use": "Cells only.", "licence": "mit"},
        )

    wide = visitor()
    wide.sign_in("vera")
    wide.go("/vera/net/versions/1.0.0")
    wide.fill(name="champion")
    wide.press("Point it here")
    wide.fill(message="Wrong labels in class 7.")
    wide.page.get_by_label("Take instead").select_option("1.1.0")
    wide.page.get_by_label("Stop using it by").fill("2027-03-01")
    wide.press("Deprecate")
    wide.press("Remove the alias champion")
    wide.page.locator('aside [name="reason"]').fill("It leaks a name.")
    wide.press("Withdraw it")
    assert wide.page.get_by_text("stop using it by 1 March 2027").is_visible()
    wide.go("/vera/net/versions")
    assert wide.page.get_by_role("row", name="champion").count() == 2

    narrow = visitor(width=390, scheme="dark")
    narrow.go("/vera/net/versions")
    narrow.go("/vera/net/versions/1.0.0")
    narrow.press("Take 1.1.0")
    assert narrow.page.get_by_text("latest", exact=True).is_visible()
