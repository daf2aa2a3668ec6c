"""Headless Chromium in front of a running site."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.site import LiveSite

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a file. Its driver keeps an event loop in this thread, which Django takes for asynchronous
    code; ours is not, so the check is off as long as the browser runs, and no longer."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """A person with a browser of their own. Every page they come to is checked: no script error, nothing refused by the content
    security policy, no violation that axe finds, no sideways scrolling."""

    def __init__(self, page: Page, site: LiveSite) -> None:
        self.page, self.site = page, site
        self.problems: list[str] = []
        self.is_checking = False
        self.is_refused = False
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("console", self._heard)

    def _heard(self, message) -> None:
        # axe itself tries inline styles, which the policy refuses in words: not the page's doing
        is_answer = message.text.startswith("Failed to load resource: the server responded with a status of 4")
        if message.type == "error" and not self.is_checking and not (self.is_refused and is_answer):
            self.problems.append(f"{self.page.url}: {message.text} ({message.location.get('url', '')})")

    @contextmanager
    def expects_refusal(self) -> Iterator[None]:
        """The browser notes answers of 4xx in its console; inside the block one is what the test is about."""
        self.is_refused = True
        yield
        self.is_refused = False

    def go(self, path: str) -> None:
        self.page.goto(self.site.url + path)
        self.check()

    def press(self, name: str, *, exact: bool = True) -> None:
        """The button or link of that name, and the page it leads to."""
        target = self.page.get_by_role("button", name=name, exact=exact).or_(
            self.page.get_by_role("link", name=name, exact=exact)
        )
        target.first.click()
        self.page.wait_for_load_state()
        self.check()

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.locator(f'main [name="{name}"]').first.fill(value)

    def sign_in(self, name: str) -> None:
        self.go("/accounts/login/")
        self.fill(login=name, password=f"{name}-password-1")
        self.page.locator("main form button").first.click()
        self.page.wait_for_url(self.site.url + "/")

    def check(self) -> None:
        assert self.problems == []
        # in a function scope of its own: a script element would be refused by the content security policy
        self.is_checking = True
        # what fades in has its contrast when it is there
        self.page.evaluate(
            "Promise.allSettled(document.getAnimations().filter((each) => each.effect.getTiming().iterations !== Infinity)"
            ".map((each) => each.finished))"
        )
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")["violations"]
        # one round trip more: what the browser said meanwhile has arrived by then
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        self.is_checking = False
        shown = [f"{each['id']}: {[node['target'] for node in each['nodes'][:3]]}" for each in found]
        assert (self.page.url, shown) == (self.page.url, [])
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (self.page.url, wide) == (self.page.url, 0)


@pytest.fixture
def visitor(chromium: Browser, live_site: LiveSite) -> Iterator:
    """Make a visitor: `visitor(width=390, scheme="dark")`."""
    contexts = []

    def make(*, width: int = 1280, scheme: str = "light") -> Visitor:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        return Visitor(context.new_page(), live_site)

    yield make
    for context in contexts:
        context.close()
