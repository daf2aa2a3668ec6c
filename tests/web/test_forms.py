"""Forms: what they do, and that a refused one says why at the field and changes nothing."""

from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import Invitation, Token, User
from compute.models import Job
from market.models import Listing, Order, Plan
from registry.models import Repo, Version
from registry.queries import head_of, list_tree
from tests.factories.market import digest_of


def test_create_upload_publish_and_rename(world, browser):
    browser.force_login(world.shop.user)
    new = {"kind": "dataset", "namespace_name": "shop", "name": "iris", "visibility": "private"}
    assert browser.post("/new", new).url == "/datasets/shop/iris"
    repo = Repo.objects.get(name="iris")
    files = [SimpleUploadedFile("a.csv", b"x\n1\n"), SimpleUploadedFile("b.bin", b"\0" * 9)]
    answer = browser.post("/datasets/shop/iris/upload/main", {"files": files, "folder": "data", "summary": ""})
    assert answer.url == "/datasets/shop/iris/tree/main/data"
    assert head_of(repo).summary == "Upload 2 files"
    entries = {entry.path: entry.sha256 is not None for entry in list_tree(head_of(repo), "data")[0]}
    assert entries == {"data/a.csv": False, "data/b.bin": True}
    answer = browser.post("/datasets/shop/iris/versions", {"revision": "main", "name": "1.0", "notes": "First."})
    assert answer.url == "/datasets/shop/iris/versions/1.0"
    assert browser.post("/datasets/shop/iris/renaming", {"namespace_name": "shop", "name": "irises"}).url == (
        "/datasets/shop/irises/settings"
    )
    assert browser.post("/datasets/shop/irises/deletions/main", {"path": "data/a.csv"}).status_code == 302
    assert [entry.path for entry in list_tree(head_of(repo), "data")[0]] == ["data/b.bin"]


def test_refused_forms_say_why(world, browser):
    browser.force_login(world.shop.user)
    before = (Repo.objects.count(), Version.objects.count(), Plan.objects.count(), Job.objects.count())
    refused = {
        "/new": (
            {"kind": "dataset", "namespace_name": "shop", "name": "a..b", "visibility": "private"},
            "Use 1 to 96 letters",
        ),
        "/datasets/shop/wine/versions": ({"revision": "main", "name": "1.0"}, "has a version 1.0 already"),
        "/datasets/shop/wine/upload/main": ({"folder": ""}, "This field is required"),
        f"/sell/{world.listing.uuid}/plans": (
            {"kind": "one_time", "price": "12,5", "currency": "CRD", "refund_window_days": "14"},
            "Write the amount as a number such as 12.50.",
        ),
        "/jobs/new/tabular-train": (
            {"namespace": "shop", "input_data": str(world.private.versions.get().uuid), "target": "model"},
            "This field is required",
        ),
    }
    for path, (data, why) in refused.items():
        answer = browser.post(path, data)
        assert (path, answer.status_code) == (path, 400)
        assert why in answer.content.decode(), path
    assert (Repo.objects.count(), Version.objects.count(), Plan.objects.count(), Job.objects.count()) == before


def test_token_is_shown_once(world, browser):
    browser.force_login(world.shop.user)
    answer = browser.post("/account/tokens", {"name": "nightly", "scopes": ["repo:read"], "expires_at": "7"})
    text = answer.content.decode()
    secret = text.split('id="new-token">')[1].split("<")[0]
    assert answer.status_code == 201
    assert secret.startswith("mto_")
    assert "no-store" in answer.headers["Cache-Control"]
    assert secret not in browser.get("/account/tokens").content.decode()
    token = Token.objects.get(name="nightly")
    browser.post(f"/account/tokens/{token.uuid}/revocation")
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_invitation_teams_and_roles(world, browser, mailoutbox):
    browser.force_login(world.shop.user)
    browser.post("/organizations/shop", {"email": "stranger@example.org", "role": "buyer"})
    link = next(word for word in mailoutbox[-1].body.split() if "/invitations/" in word)
    path = "/invitations/" + link.rpartition("/")[2]
    browser.force_login(world.stranger.user)
    assert browser.get(path).status_code == 200
    assert Invitation.objects.get().accepted_at is None
    assert browser.post(path).url == "/organizations/shop"
    browser.force_login(world.shop.user)
    browser.post("/organizations/shop/members/stranger/role", {"role": "publisher"})
    browser.post("/organizations/shop/teams/vision/members", {"username": "stranger"})
    stranger = User.objects.get(username="stranger")
    assert stranger.memberships.get().role == "publisher"
    assert stranger.team_memberships.count() == 1
    browser.post("/organizations/shop/members/stranger/removal")
    assert (stranger.memberships.count(), stranger.team_memberships.count()) == (0, 0)


def test_order_sent_twice_is_placed_once_and_can_be_returned(world, browser):
    browser.force_login(world.clinic.user)
    plan = Plan.objects.get(kind="pay_per_use")
    path = f"/listings/shop/{plan.listing.slug}/checkout?plan={plan.uuid}"
    form = {
        "buyer_namespace": "clinic",
        "quantity": "100",
        "accept": "on",
        "key": "one",
        "accept_terms": digest_of(plan.uuid),
    }
    first, second = browser.post(path, form), browser.post(path, form)
    assert first.url == second.url
    order = Order.objects.get(plan=plan)
    assert (order.total_minor, order.state) == (200, "fulfilled")
    assert browser.post(f"{first.url}/refund", {"key": "back", "reason": "Not needed."}).url == first.url
    order.refresh_from_db()
    assert (order.state, order.refunded_minor, order.refund_reason) == ("refunded", 200, "Not needed.")


def test_wallet_that_does_not_cover_it(world, browser):
    browser.force_login(world.clinic.user)
    plan = Plan.objects.get(kind="pay_per_use")
    path = f"/listings/shop/{plan.listing.slug}/checkout?plan={plan.uuid}"
    form = {"buyer_namespace": "clinic", "quantity": "100000", "accept": "on", "key": "two"}
    answer = browser.post(path, form | {"accept_terms": digest_of(plan.uuid)})
    assert answer.status_code == 400
    assert "alert-danger" in answer.content.decode()
    assert Order.objects.filter(plan=plan).count() == 0


def test_from_draft_to_market_and_out_again(world, browser):
    browser.force_login(world.shop.user)
    subject = f"dataset:{world.dataset.uuid}:shop"
    made = browser.post("/sell/new", {"subject": subject, "title": "Italian wine", "summary": ""})
    listing = Listing.objects.get(title="Italian wine")
    assert made.url == f"/sell/{listing.uuid}"
    early = browser.post(f"{made.url}/publication")
    assert (early.status_code, "Add a plan, a free one perhaps" in early.content.decode()) == (409, True)
    browser.post(f"{made.url}/plans", {"kind": "free", "price": "", "currency": "CRD", "refund_window_days": "0"})
    browser.post(
        made.url,
        {
            "title": "Wine from Italy",
            "visibility": "public",
            "channel": "major:1",
            "tags": "Wine, red",
            "licence": "cc-by-4.0",
            "support_contact": "help@example.org",
        },
    )
    browser.post(f"{made.url}/publication")
    listing.refresh_from_db()
    assert (listing.state, listing.title, listing.tags) == ("published", "Wine from Italy", ["red", "wine"])
    browser.post(f"{made.url}/withdrawal")
    listing.refresh_from_db()
    assert listing.state == "withdrawn"


def test_job_from_a_form(world, browser):
    browser.force_login(world.shop.user)
    data = {
        "namespace": "shop",
        "input_data": str(world.dataset.versions.get(name="1.1").uuid),
        "p_target": "b",
        "p_test_fraction": "0.3",
        "target": "wine-model",
    }
    answer = browser.post("/jobs/new/tabular-train", data)
    job = Job.objects.get(target__name="wine-model")
    assert answer.url == f"/jobs/{job.uuid}"
    assert (job.parameters["target"], job.parameters["test_fraction"], job.state) == ("b", 0.3, "queued")
    browser.post(f"/jobs/{job.uuid}/cancellation")
    job.refresh_from_db()
    assert job.state == "cancelled"
    browser.post(f"/jobs/{job.uuid}/retry")
    job.refresh_from_db()
    assert job.state == "queued"


def test_endpoint_is_stopped_started_and_tried(world, browser):
    browser.force_login(world.shop.user)
    here = "/endpoints/shop/digits"
    for path, state in (("stopping", "stopped"), ("starting", "deploying")):
        assert browser.post(f"{here}/{path}").url == here
        world.endpoint.refresh_from_db()
        assert world.endpoint.state == state
    assert 'hx-get="/endpoints/shop/digits/state"' in browser.get(f"{here}/state").content.decode()
    answer = browser.post(f"{here}/trial-token")
    token = Token.objects.get(name="try digits")
    assert answer.json()["token"].startswith(token.hint)
    assert token.scopes == ["endpoint:use"]
    browser.force_login(world.stranger.user)
    assert browser.post(f"{here}/trial-token").status_code in {403, 404}
    assert Token.objects.filter(name="try digits").count() == 1
