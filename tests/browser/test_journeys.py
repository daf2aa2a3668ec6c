"""The seller's and the buyer's way through the site, in a real browser against a running site, with axe on every page."""

import pytest

from tests.support.inference import eventually

pytestmark = pytest.mark.browser


def test_seller_lists_and_buyer_buys_and_returns(visitor, live_site):
    for name in ("sally", "benno"):
        live_site.user(name)
    live_site.manage("create_organization", "harvest", "--owner", "sally")
    live_site.manage("add_credits", "benno", "50", "CRD")

    seller = visitor()
    page = seller.page
    seller.sign_in("sally")
    seller.go("/new?kind=dataset")
    page.get_by_label("Owner").select_option("harvest")
    seller.fill(name="barley")
    page.get_by_label("Public: everybody finds it").check()
    seller.press("Create")
    seller.press("Upload files")
    page.get_by_label("Files", exact=True).set_input_files(
        [
            {
                "name": "README.md",
                "mimeType": "text/markdown",
                "buffer": b"---\nlicense: cc-by-4.0\n---\n# Barley yields\n",
            },
            {"name": "rows.csv", "mimeType": "text/csv", "buffer": b"field,yield\n1,5.2\n2,4.9\n"},
        ]
    )
    seller.press("Upload and commit")
    seller.press("rows.csv")
    assert page.get_by_role("cell", name="4.9").is_visible()
    seller.go("/datasets/harvest/barley/versions")
    seller.fill(name="1.0.0")
    seller.press("Publish")
    seller.go("/sell/new")
    page.get_by_label("What").select_option(label="Dataset: harvest/barley")
    seller.fill(title="Barley yields of two fields")
    seller.press("Create the draft")
    seller.fill(support_contact="help@example.org")
    seller.press("Save")
    page.get_by_label("Kind").select_option("one_time")
    seller.fill(price="12.50")
    seller.press("Add the plan")
    ready = page.get_by_role("heading", name="Ready", exact=True)
    eventually(lambda: page.reload() and ready.is_visible(), what="the version is scanned")
    seller.press("Publish")
    assert "published" in page.locator("h1").inner_text()

    buyer = visitor(width=390, scheme="dark")
    page = buyer.page
    buyer.sign_in("benno")
    buyer.go("/?q=barley")
    buyer.press("Barley yields of two fields")
    buyer.press("plan One-time", exact=False)
    page.get_by_label("I agree", exact=False).check()
    buyer.press("Place the order and pay")
    assert "fulfilled" in page.locator("h1").inner_text()
    buyer.press("Open it")
    assert page.get_by_role("heading", name="Barley yields").is_visible()
    buyer.go("/datasets/harvest/barley/tree")
    buyer.go("/wallet")
    assert page.get_by_text("37.50 CRD").first.is_visible()
    buyer.go("/orders")
    buyer.press("Barley yields of two fields")
    page.get_by_text("Return this order", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Return it").click()
    page.wait_for_load_state()
    assert "refunded" in page.locator("h1").inner_text()
    page.goto(f"{live_site.url}/datasets/harvest/barley/tree")
    assert page.get_by_role("link", name="See the offer").is_visible()


def test_theme_changes_without_a_reload_and_stays(visitor):
    guest = visitor()
    guest.go("/models")
    root = guest.page.locator("html")
    for theme in ("light", "dark"):
        guest.page.get_by_role("button", name="Theme", exact=False).click()
        assert root.get_attribute("data-theme") == theme
    guest.go("/datasets")
    assert root.get_attribute("data-theme") == "dark"


def test_keys_reach_search_and_help(visitor):
    guest = visitor()
    guest.go("/")
    guest.page.keyboard.press("/")
    assert guest.page.evaluate("document.activeElement.id") == "site-search"
    guest.page.keyboard.press("Escape")
    guest.page.locator("h1").click()
    guest.page.keyboard.press("?")
    assert guest.page.get_by_role("dialog", name="Keys").is_visible()


def test_sign_up_pages_and_errors_are_accessible(visitor):
    guest = visitor(width=360)
    for path in ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/models", "/endpoints"):
        guest.go(path)
