"""From a listing over a certificate, a purchase and a call to the invoice and the refund: a seller's and a buyer's way through the market,
in a real browser, with a model that answers and an evaluation that runs in the sandbox."""

import json
import re
import secrets
from dataclasses import dataclass

import pytest
from huggingface_hub import HfApi

from tests.factories.blind import SIGNATURE, rows_of
from tests.factories.graphs import linear_model
from tests.support.api import Person
from tests.support.inference import eventually

pytestmark = pytest.mark.browser
CARD = "---\nlicense: mit\n---\n# Cats and dogs\n\nSays dog where b is positive."
BILL_NOW = "from work.door import enqueue; enqueue('market.bill_usage'); print(1)"
"""The scheduler asks for this every minute; the money of a refund follows when the last call is counted."""
EXAMPLE = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


@dataclass
class Sides:
    seller: Person
    buyer: Person


@pytest.fixture(scope="module")
def sides(live_site, tmp_path_factory) -> Sides:
    """A seller with an endpoint that answers, and a buyer with credits and a private test set."""
    ending = secrets.token_hex(2)
    seller, buyer = (Person(live_site, live_site.user(f"{name}-{ending}")) for name in ("lab", "clinic"))
    live_site.manage("add_credits", buyer.name, "50", "CRD")
    folder = tmp_path_factory.mktemp("animals")
    (folder / "README.md").write_text(CARD)
    (folder / "model.onnx").write_bytes(linear_model([[0, 0], [0, 1]], [0, 0], input_name="features"))
    (folder / "signature.json").write_text(json.dumps(SIGNATURE))
    (folder / "training.json").write_text(json.dumps({"target": "animal"}))
    version = publish(seller, "model", "animals", folder, signature=SIGNATURE | {"example": EXAMPLE})
    seller.post("endpoints", {"namespace": seller.name, "name": "animals", "version": version})
    rows = tmp_path_factory.mktemp("rows")
    (rows / "test.csv").write_bytes(rows_of())
    publish(buyer, "dataset", "held-out", rows)
    here = f"endpoints/{seller.name}/animals"
    eventually(lambda: seller.get(here)["state"] == "ready", what="the endpoint is ready")
    return Sides(seller, buyer)


def publish(person: Person, kind: str, name: str, folder, **version) -> str:
    hub, repo = HfApi(endpoint=person.site.url, token=person.token), f"{person.name}/{name}"
    hub.create_repo(repo, repo_type=kind, private=True)
    hub.upload_folder(repo_id=repo, repo_type=kind, folder_path=folder)
    return person.post(f"repos/{kind}/{repo}/versions", {"name": "1.0", **version})["uuid"]


def offer(visitor, seller: Person) -> str:
    """The seller lists the endpoint by the call; returns the address of the listing."""
    maker = visitor()
    page = maker.page
    maker.sign_in(seller.name)
    maker.go("/sell/new")
    page.get_by_label("What").select_option(label=f"Endpoint: {seller.name}/animals")
    maker.fill(title="Cats and dogs")
    maker.press("Create the draft")
    maker.fill(support_contact="help@example.org", example_input=json.dumps(EXAMPLE))
    maker.press("Save")
    page.get_by_label("Kind").select_option("pay_per_use")
    maker.fill(price="0.10")
    maker.press("Add the plan")
    ready = page.get_by_role("heading", name="Ready", exact=True)
    eventually(lambda: page.reload() and ready.is_visible(), what="the version is scanned")
    maker.press("Publish")
    assert "published" in page.locator("h1").inner_text()
    return f"/listings/{seller.name}/cats-and-dogs"


def confirm(person, opens: str, does: str) -> None:
    """A deed that asks once."""
    person.page.locator("summary", has_text=opens).first.click()
    person.page.get_by_role("dialog").get_by_role("button", name=does, exact=True).click()
    person.page.wait_for_load_state()
    person.check()


def test_from_the_listing_over_certificate_call_and_invoice_to_the_refund(visitor, sides, live_site) -> None:
    place = offer(visitor, sides.seller)
    buyer = visitor(width=390, scheme="dark")
    page = buyer.page
    buyer.sign_in(sides.buyer.name)

    # sure before paying
    buyer.go(place)
    buyer.press("Evaluate on my data")
    buyer.press("Evaluate")
    here = page.url.removeprefix(live_site.url)
    eventually(lambda: page.goto(live_site.url + here) and "succeeded" in page.content(), what="the score is there")
    buyer.check()
    assert page.locator(".stat-value").first.inner_text() == "0.9"
    confirm(buyer, "Publish", "Publish")
    certificate = page.get_by_role("link", name="See it").get_attribute("href")
    guest = visitor()
    guest.go(certificate)
    assert guest.page.get_by_text("Digest of the test set").is_visible()

    # bought and called
    buyer.go(place)
    page.locator('main a[href*="checkout"]').first.click()
    page.wait_for_load_state()
    buyer.fill(quantity="20")
    page.get_by_label("I agree", exact=False).check()
    buyer.press("Place the order and pay")
    assert "fulfilled" in page.locator("h1").inner_text()
    order = page.url
    buyer.press("Call it")
    run = page.get_by_role("button", name="Run")

    def answered() -> bool:
        run.click()
        page.locator("[data-output], [data-problem]").locator("visible=true").first.wait_for()
        return page.locator("[data-output]").is_visible()

    # the inference process hears of a purchase within a second
    eventually(answered, what="the model answers")
    assert "dog" in page.locator("[data-output]").inner_text()

    # the invoice, on a page and as a file
    page.goto(order)
    page.get_by_role("link", name=re.compile("Invoice")).first.click()
    page.wait_for_load_state()
    buyer.check()
    assert page.locator(".invoice-total").inner_text().endswith("2.00 CRD")
    file = page.request.get(live_site.url + page.get_by_role("link", name="PDF").get_attribute("href"))
    assert file.body().startswith(b"%PDF-")

    # what was not used comes back
    page.goto(order)
    confirm(buyer, "Return this order", "Return it")

    def refunded() -> bool:
        live_site.manage("shell", "--no-imports", "-c", BILL_NOW)
        page.reload()
        return "refunded" in page.locator("h1").inner_text()

    eventually(refunded, what="the money is back")
    page.get_by_role("link", name=re.compile("Credit note")).first.click()
    page.wait_for_load_state()
    buyer.check()
    assert "Returned of invoice" in page.locator(".invoice-lines").inner_text()
    buyer.go("/wallet")
    assert "49." in page.locator("main").inner_text()
