"""What scanning says stands where people look first: at the head of a repository, and on its listing."""

import re

import pytest

from registry.models import RepoScan, ScanReport
from registry.policies import require_repo
from registry.queries import SCANNERS, entry_at, head_of, latest_version
from registry.services import quarantine

pytestmark = pytest.mark.django_db


def badge_of(browser, path: str) -> list[str]:
    """The words of the badges that lead to the reasons."""
    found = re.findall(
        r'<a class="badge-link" href="([^"]+)".*?</svg>([^<]+)</span>\s*</a>',
        browser.get(path).content.decode(),
        re.DOTALL,
    )
    assert {href for href, _ in found} <= {"/shop/digits/safety"}
    return [word for _, word in found]


def test_the_scan_stands_at_the_head_and_on_the_listing(world, browser) -> None:
    repo = require_repo(world.shop.actor, "model", "shop", "digits", "registry:repo:admin")
    version = latest_version(repo)
    page, listing = "/shop/digits", f"/listings/shop/{world.listing.slug}"
    browser.force_login(world.shop.user)
    RepoScan.objects.update_or_create(repo=repo, defaults={"commit": None, "verdict": ""})
    assert badge_of(browser, page) == ["not scanned yet"]
    # of another commit than the newest, a verdict says nothing
    RepoScan.objects.filter(repo=repo).update(commit=head_of(world.dataset), verdict="data-only")
    assert badge_of(browser, page) == ["not scanned yet"]
    RepoScan.objects.filter(repo=repo).update(commit=head_of(repo), verdict="flagged")
    assert badge_of(browser, page) == ["flagged"]
    ScanReport.objects.create(version=version, scanner=SCANNERS, rules="later", verdict="code")
    assert badge_of(browser, listing) == ["contains code"]
    quarantine.quarantine_file(world.shop.actor, repo, entry_at(head_of(repo), "model.onnx"), "a mistake")
    assert (badge_of(browser, page), badge_of(browser, listing)) == (["quarantine"], ["quarantine"])
    assert "a mistake" in browser.get("/shop/digits/safety").content.decode()
