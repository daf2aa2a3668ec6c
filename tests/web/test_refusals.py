"""Who is sent away, how, and that nothing moved."""

import pytest
from django.test import Client

from accounts.models import Membership, Token
from market.models import Listing, Order
from registry.models import Repo

PERSONAL = [
    "/account", "/account/tokens", "/notices", "/organizations", "/organizations/new", "/orders", "/library", "/wallet",
    "/earnings", "/sell", "/sell/new", "/jobs", "/jobs/new", "/endpoints/new", "/new",
]  # fmt: skip


@pytest.mark.django_db
def test_nobody_is_asked_to_sign_in_and_comes_back(browser):
    sent = {path: browser.get(path) for path in PERSONAL}
    assert {path: (answer.status_code, answer.url) for path, answer in sent.items()} == {
        path: (302, f"/accounts/login/?next={path}") for path in PERSONAL
    }


def test_private_things_do_not_exist_for_strangers(world, browser):
    browser.force_login(world.stranger.user)
    owner = world.shop.user.username
    for path in (
        f"/datasets/{owner}/secret",
        f"/datasets/{owner}/secret/tree",
        f"/jobs/{world.job.uuid}",
        f"/jobs/{world.job.uuid}/log",
        f"/orders/{world.order.uuid}",
    ):
        assert (path, browser.get(path).status_code) == (path, 404)


def test_visible_but_not_allowed_is_403_and_changes_nothing(world, browser):
    browser.force_login(world.stranger.user)
    before = (Repo.objects.get(pk=world.dataset.pk).description, Membership.objects.count(), Listing.objects.count())
    for path in (
        "/datasets/shop/wine/settings",
        "/datasets/shop/wine/deletion",
        "/organizations/shop/settings",
        f"/sell/{world.listing.uuid}/withdrawal",
        "/endpoints/shop/digits/stopping",
    ):
        answer = browser.post(path, {"description": "mine", "visibility": "public"})
        assert (path, answer.status_code) in {(path, 403), (path, 404)}
    for path in ("/organizations/shop", "/wallet?owner=shop", "/earnings?owner=shop", "/orders?owner=shop"):
        assert (path, browser.get(path).status_code) == (path, 403)
    after = (Repo.objects.get(pk=world.dataset.pk).description, Membership.objects.count(), Listing.objects.count())
    assert after == before
    assert Listing.objects.get(pk=world.listing.pk).state == "published"


def test_restricted_files_take_a_purchase(world, browser):
    """The model is for sale, so its page is seen and its files are not, until it is bought."""
    browser.force_login(world.stranger.user)
    assert browser.get("/shop/digits").status_code == 200
    refused = browser.get("/shop/digits/tree")
    offer = f'href="/listings/shop/{world.listing.slug}"'
    assert (refused.status_code, offer in refused.content.decode()) == (403, True)
    assert offer in browser.get("/shop/digits").content.decode()
    browser.force_login(world.clinic.user)
    assert browser.get("/shop/digits/tree").status_code == 200


def test_another_ones_token_stays(world, browser):
    browser.force_login(world.stranger.user)
    token = Token.objects.get(name="laptop")
    assert browser.post(f"/account/tokens/{token.uuid}/revocation").status_code == 404
    assert Token.objects.get(pk=token.pk).revoked_at is None


def test_refund_of_another_ones_order_is_refused(world, browser):
    browser.force_login(world.stranger.user)
    assert browser.post(f"/orders/{world.order.uuid}/refund", {"key": "mine"}).status_code == 404
    assert Order.objects.get(pk=world.order.pk).state == "fulfilled"


def test_gallery_is_for_staff(world, browser):
    assert browser.get("/-/components").status_code == 404
    world.shop.user.is_staff = True
    world.shop.user.save()
    browser.force_login(world.shop.user)
    assert browser.get("/-/components").status_code == 200


def test_form_without_its_token_is_refused_in_words(world, db):
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.shop.user)
    answer = client.post("/new", {"name": "x"})
    assert answer.status_code == 403
    assert "The form was too old" in answer.content.decode()


def test_missing_pages_say_so_in_the_design(world, browser):
    browser.force_login(world.clinic.user)
    checkout = f"/listings/shop/{world.listing.slug}/checkout"
    for path in (
        "/listings/shop/none",
        "/datasets/shop/none",
        "/datasets/shop/wine/tree/none",
        "/nobody-here",
        checkout,
        f"{checkout}?plan=x",
        f"{checkout}?plan=00000000-0000-0000-0000-000000000000",
    ):
        answer = browser.get(path)
        assert (path, answer.status_code) == (path, 404)
        assert "Nothing is here" in answer.content.decode()
