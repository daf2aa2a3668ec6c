"""Owners export their repositories and bring exports in: on the pages, and as programs do."""

import os
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.permissions import Role
from common.clock import travel
from notices.models import Notice
from registry.exports.records import statement_in
from registry.models import Export, Import, Repo
from registry.queries import all_files, head_of
from registry.services import exports, quarantine, signing, uploads
from registry.services.commits import AddLfs
from registry.services.storage import store, store_blob
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_organization, make_token, make_user
from tests.factories.registry import add, commit, make_repo
from tests.support.api import Caller
from work.loops import run_due

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga():
    user = make_user("olga")
    make_organization("acme", user, walt=Role.PUBLISHER)
    return user


@pytest.fixture
def repo(olga) -> Repo:
    actor = actor_of(olga)
    repo = make_repo(actor, "digits", namespace="acme")
    blob = store_blob([os.urandom(5000)])
    uploads.attach(repo, blob)
    made = commit(actor, repo, add("README.md", "# Digits"), AddLfs("data.bin", blob.sha256))
    publish_version(actor, repo, made.oid, name="1.0")
    return repo


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def body_of(response) -> bytes:
    return b"".join(response.streaming_content)


def test_an_owner_makes_an_archive_downloads_it_and_another_owner_brings_it_in(olga, repo) -> None:
    page = signed_in(olga)
    assert b"Make an export" in page.get("/datasets/acme/digits/settings").content
    for _ in range(2):
        assert page.post("/datasets/acme/digits/exports").url == "/datasets/acme/digits/settings#exports"
    assert Export.objects.count() == 1
    assert b"The archive is being made" in page.get("/datasets/acme/digits/settings").content
    run_due()
    export = Export.objects.get()
    notice = Notice.objects.get(user=olga, kind="export")
    assert (notice.text, notice.url) == ("The export of acme/digits is ready.", f"/exports/{export.uuid}")
    assert page.get(notice.url).url == "/datasets/acme/digits/settings#exports"
    shown = page.get("/datasets/acme/digits/settings").content.decode()
    assert f"/exports/{export.uuid}/archive" in shown
    response = page.get(f"/exports/{export.uuid}/archive")
    raw = body_of(response)
    assert (len(raw), response["Content-Length"]) == (export.size_bytes, str(export.size_bytes))
    assert response["Content-Disposition"].startswith('attachment; filename="acme-digits-')

    zoe = make_user("zoe")
    script = Caller(Client(), make_token(zoe))
    begun = script.call("POST", "imports", {"namespace": "zoe", "size_bytes": len(raw), "name": "mine"}).json()
    assert (begun["state"], begun["href"]) == ("open", f"http://testserver/api/v1/imports/{begun['uuid']}/content")
    sent = script.call("PUT", f"imports/{begun['uuid']}/content", raw, content_type="application/octet-stream")
    assert (sent.status_code, sent.json()["state"]) == (200, "waiting")
    assert script.call("PUT", f"imports/{begun['uuid']}/content", raw, content_type="x/y").status_code == 409
    run_due()
    done = script.call("GET", f"imports/{begun['uuid']}").json()
    assert (done["state"], done["repositories"][0]["name"]) == ("done", "zoe/mine")
    came = Repo.objects.get(namespace__name="zoe", name="mine", deleted_at=None)
    assert head_of(came).oid == head_of(repo).oid
    assert not list(store().list("imports/"))
    mine = signed_in(zoe)
    assert b"from acme/digits" in mine.get(f"/imports/{begun['uuid']}").content
    assert b"olga (imported)" in mine.get("/datasets/zoe/mine/versions/1.0").content
    signatures = script.call("GET", "repos/dataset/zoe/mine/versions/1.0/brought-signatures").json()
    assert {each["signer"] for each in signatures} == {"acme"}
    assert all(signing.is_signed(each["public_pem"], *statement_in(each["bundle"])) for each in signatures)
    assert page.get(f"/imports/{begun['uuid']}").status_code == 404

    # the form, for browsers without script
    form = {"namespace_name": "zoe", "name": "", "archive": SimpleUploadedFile("x.tar", raw)}
    place = mine.post("/new/from-export", form).url
    run_due()
    assert b"from acme/digits" in mine.get(place).content
    form["archive"] = SimpleUploadedFile("x.tar", raw[:-5000])
    place = mine.post("/new/from-export", form).url
    assert b"checked file by file" in mine.get(f"{place}?part=1").content
    run_due()
    refused = mine.get(place).content.decode()
    assert "Nothing was imported." in refused
    assert "cut short" in refused
    assert Notice.objects.filter(user=zoe, kind="import").count() == 3


def test_only_who_administers_it_has_an_export_and_only_while_it_may_be_handed_out(olga, repo) -> None:
    writer = Caller(Client(), make_token(type(olga).objects.get(username="walt")))
    script = Caller(Client(), make_token(olga))
    for path in ("repos/dataset/acme/digits/exports", "namespaces/acme/exports"):
        assert writer.call("POST", path).status_code == 403
        assert script.call("POST", path).status_code == 201
    assert Export.objects.count() == 2
    run_due()
    one = script.call("GET", "repos/dataset/acme/digits/exports").json()["items"][0]
    every = script.call("GET", "namespaces/acme/exports").json()["items"][0]
    assert (one["repo"], every["repo"], every["summary"]["counts"]["repositories"]) == ("acme/digits", None, 1)
    for each in (one, every):
        assert writer.call("GET", f"exports/{each['uuid']}").status_code == 404
        assert writer.call("GET", f"exports/{each['uuid']}/content").status_code == 404
        assert len(body_of(script.call("GET", f"exports/{each['uuid']}/content"))) == each["size_bytes"]
    file = next(entry for entry in all_files(head_of(repo)) if entry.path == "data.bin")
    held = quarantine.quarantine_file(actor_of(olga), repo, file, "Not ours")
    refused = script.call("GET", f"exports/{one['uuid']}/content")
    assert (refused.status_code, "Not ours" in refused.json()["detail"]) == (403, True)
    assert script.call("POST", "repos/dataset/acme/digits/exports").status_code == 201
    run_due()
    newer, *older = script.call("GET", "repos/dataset/acme/digits/exports").json()["items"]
    assert (older, [each["reason"] for each in newer["summary"]["left_out"]]) == ([], ["Not ours"])
    assert b"under quarantine" in signed_in(olga).get("/datasets/acme/digits/settings").content
    quarantine.release(actor_of(olga), held.uuid, "Ours after all")
    assert script.call("GET", f"exports/{one['uuid']}").status_code == 404
    assert signed_in(olga).post(f"/exports/{every['uuid']}/removal").url == "/exports?owner=acme"
    assert script.call("DELETE", f"exports/{every['uuid']}").status_code == 404
    # what a removal could not delete is found later
    assert exports.sweep_exports() == 0
    kept = [item.key for item in store().list("exports/")]
    assert kept == [f"exports/{newer['uuid']}"]
    script.call("POST", "imports", {"namespace": "acme", "size_bytes": 5})
    with travel(timedelta(days=7, minutes=1)):
        assert exports.sweep_exports() == 2
    assert not list(store().list("exports/"))
    assert Import.objects.get().state == "failed"
