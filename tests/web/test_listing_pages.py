"""The seller's gallery and checklist, the reviewer's queue, the private catalogue: as people use them."""

import io

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts.services import members
from market.models import ListingImage
from tests.factories.market import SYSTEM, make_listing, make_person, make_version


def picture() -> SimpleUploadedFile:
    sink = io.BytesIO()
    Image.new("RGBA", (30, 10), (255, 0, 0, 90)).save(sink, "PNG")
    return SimpleUploadedFile("dot.png", sink.getvalue(), "image/png")


def test_pictures_are_uploaded_shown_moved_and_removed(world, browser):
    browser.force_login(world.shop.user)
    editor, listing = f"/sell/{world.listing.uuid}", f"/listings/shop/{world.listing.slug}"
    assert browser.post(f"{editor}/images", {"image": picture(), "alt": ""}).status_code == 400
    for alt in ("A red line", "Another"):
        assert browser.post(f"{editor}/images", {"image": picture(), "alt": alt}).status_code == 302
    first, second = ListingImage.objects.order_by("position")
    browser.post(f"{editor}/images/{second.uuid}", {"position": "1"})
    assert f'src="{listing}/images/{second.uuid}" alt="Another"' in browser.get("/").content.decode()
    browser.logout()
    shown = browser.get(f"{listing}/images/{first.uuid}")
    assert (shown.status_code, shown["Content-Type"]) == (200, "image/png")
    assert "sandbox" in shown["Content-Security-Policy"]
    assert 'alt="A red line"' in browser.get(listing).content.decode()
    browser.force_login(world.shop.user)
    browser.post(f"{editor}/images/{first.uuid}", {"remove": "1"})
    assert browser.get(f"{listing}/images/{first.uuid}").status_code == 404


def test_a_reviewer_comments_and_approves_what_another_submitted(world, browser):
    shop, rex = world.shop, make_person("rex")
    members.add_member(SYSTEM, shop.namespace.organization, rex.user, "reviewer")
    browser.force_login(shop.user)
    assert browser.post("/organizations/shop/catalogue/review", {"is_needed": "1"}).status_code == 302
    listing = make_listing(
        shop, make_version(shop, "tea").repo, title="Green tea", publish=False, visibility="organization"
    )
    assert "Submit for review" in browser.get(f"/sell/{listing.uuid}").content.decode()
    browser.post(f"/sell/{listing.uuid}/publication")
    review = f"/sell/reviews/{listing.uuid}"
    assert "You submitted it." in browser.get(review).content.decode()
    browser.force_login(rex.user)
    assert "Green tea" in browser.get("/sell/reviews").content.decode()
    browser.post(f"{review}/comments", {"text": "From <b>where</b>?"})
    text = browser.get(review).content.decode()
    assert "From &lt;b&gt;where" in text
    submission = text.split('name="submission" value="')[1].split('"')[0]
    decided = {"approve": "1", "checks": ["truthful"], "text": "", "submission": submission}
    refused = browser.post(f"{review}/decision", decided)
    assert (refused.status_code, "Confirm each point" in refused.content.decode()) == (400, True)
    assert browser.post(f"{review}/decision", {**decided, "checks": ["truthful", "rights", "lawful", "terms"]}).url
    listing.refresh_from_db()
    assert listing.state == "published"
    assert "Nothing waits for you" in browser.get("/sell/reviews").content.decode()
    assert "Green tea" in browser.get("/organizations/shop/catalogue").content.decode()
    browser.force_login(world.stranger.user)
    assert browser.get("/organizations/shop/catalogue").status_code == 404
    assert browser.get(f"/listings/shop/{listing.slug}").status_code == 404


def test_checkout_says_what_is_followed_and_how_it_is_returned(world, browser):
    browser.force_login(world.clinic.user)
    listing = make_listing(
        world.shop,
        make_version(world.shop, "tea").repo,
        title="Green tea",
        channel="version:1.0",
        return_terms="Within a month.",
    )
    text = browser.get(f"/listings/shop/{listing.slug}/checkout?plan={listing.plans.get().uuid}").content.decode()
    for words in ("Stays at version 1.0", "Within a month.", "mailto:help@example.org", "MIT"):
        assert words in text
