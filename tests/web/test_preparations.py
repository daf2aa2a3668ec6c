"""Importing files as people do it: the form of each source, the list, what failed and is tried again, and the same over the API."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from registry.models import Preparation
from registry.queries import all_files, head_of
from registry.services import fetching
from tests.factories.market import make_person
from tests.factories.registry import make_repo
from tests.support.archives import zipped
from tests.support.elsewhere import HOST, RUN, Elsewhere, hub, mlflow, plain

HERE = "/datasets/ada/people"


@pytest.fixture
def person(db):
    return make_person("ada")


@pytest.fixture
def repo(person, settings):
    settings.OUTGOING_ALLOW = [f"{HOST}/32"]
    return make_repo(person.actor, "people", visibility="public")


@pytest.fixture
def ada(person, browser: Client) -> Client:
    browser.force_login(person.user)
    return browser


def paths(repo) -> set[str]:
    return {entry.path for entry in all_files(head_of(repo))}


def test_a_person_imports_an_address_sees_it_fail_and_tries_again_with_the_key(ada, repo):
    assert "/datasets/ada/people/import?branch=main" in ada.get(f"{HERE}/tree").content.decode()
    form = ada.get(f"{HERE}/import").content.decode()
    for part in ("Web address", "S3 bucket", "MLflow run", "Another hub", "Archive", "Unpack it", "public internet"):
        assert part in form
    assert "Nothing was imported yet" in ada.get(f"{HERE}/preparations").content.decode()
    with Elsewhere(plain({"rows.csv": b"a\n1\n"}, secret="right")) as server:
        told = {"told_url": f"{server.url}/rows.csv?key=wrong", "branch": "main", "folder": "in"}
        answer = ada.post(f"{HERE}/import?source=url", told)
        assert answer.status_code == 302
        row = Preparation.objects.get()
        assert 'hx-select="#import"' in ada.get(answer.url).content.decode()
        assert "waiting" in ada.get(f"{HERE}/preparations").content.decode()
        fetching.prepare_content(row.pk)
        failed = ada.get(answer.url).content.decode()
        assert "nothing was added" in failed
        assert "refuses (403)" in failed
        assert "wrong" not in failed
        assert ada.post(f"{answer.url}/retry", {}).status_code == 400
        assert ada.post(f"{answer.url}/retry", {"query": "key=right"}).status_code == 302
        fetching.prepare_content(row.pk)
    done = ada.get(answer.url).content.decode()
    assert "See the files" in done
    assert "Try again" not in done
    assert "in/rows.csv" in paths(repo)
    assert f"{server.url}/rows.csv" in ada.get(f"{HERE}/preparations").content.decode()


def test_an_archive_is_uploaded_and_its_members_come_in(ada, repo):
    file = SimpleUploadedFile("set.zip", zipped([("train/a.csv", b"a\n"), ("test/b.csv", b"b\n")]))
    answer = ada.post(f"{HERE}/import?source=archive", {"branch": "main", "archive": file})
    assert answer.status_code == 302
    fetching.prepare_content(Preparation.objects.get().pk)
    assert {"train/a.csv", "test/b.csv"} <= paths(repo)
    assert "the uploaded archive set.zip" in ada.get(answer.url).content.decode()


def test_a_run_shows_what_is_known_of_it_and_a_waiting_import_is_cancelled(ada, repo):
    with Elsewhere(mlflow({"notes.txt": b"x"})) as server:
        answer = ada.post(
            f"{HERE}/import?source=mlflow", {"told_server": server.url, "told_run_id": RUN, "branch": "main"}
        )
        fetching.prepare_content(Preparation.objects.get().pk)
        shown = ada.get(answer.url).content.decode()
        for part in ("Params", "depth", "Metrics", "0.93", "able-ant-1"):
            assert part in shown
        again = ada.post(
            f"{HERE}/import?source=mlflow", {"told_server": server.url, "told_run_id": RUN, "branch": "main"}
        ).url
        assert ada.post(f"{again}/cancellation").status_code == 302
    assert "cancelled" in ada.get(again).content.decode()


@pytest.mark.parametrize(
    ("source", "told", "said"),
    [
        ("url", {"told_url": "ftp://example.org/x"}, "begins with https://"),
        ("url", {"told_url": "http://example.org:22/x"}, "Port 22 is not allowed"),
        ("url", {}, "This field is required"),
        ("s3", {"told_bucket": "x/../y"}, "A bucket is named with"),
        ("hub", {"told_repo": "a/b/c", "told_kind": "dataset"}, "named owner/name"),
        ("archive", {}, "Name an archive of this repository"),
        ("archive", {"told_path": "nope.zip"}, "does not exist"),
    ],
)
def test_what_cannot_be_is_said_in_the_form(ada, repo, source, told, said):
    answer = ada.post(f"{HERE}/import?source={source}", {"branch": "main", **told})
    assert answer.status_code in (400, 404)
    assert said in answer.content.decode()
    assert not Preparation.objects.exists()


def test_over_the_api(person, repo, client: Client):
    client.force_login(person.user)
    base = "/api/v1/repos/dataset/ada/people/preparations"

    def call(path: str, body: object = None):
        made = (
            client.get(path) if body is None else client.post(path, json.dumps(body), content_type="application/json")
        )
        return made.status_code, made.json()

    with Elsewhere(hub({"a.csv": b"a\n"}, token="tok")) as server:
        told = {"source": "hub", "options": {"endpoint": server.url, "repo": "ann/set", "token": "tok"}, "folder": "x"}
        status, row = call(base, told)
        assert (status, row["state"], row["secrets"], row["file_count"]) == (201, "waiting", ["token"], None)
        assert "tok" not in row["options"].values()
        assert call(f"{base}/{row['uuid']}/cancellation", {})[1]["state"] == "cancelled"
        assert call(f"{base}/{row['uuid']}/retry", {})[0] == 400
        assert call(f"{base}/{row['uuid']}/retry", {"secrets": {"token": "tok"}})[1]["state"] == "waiting"
        fetching.prepare_content(Preparation.objects.get().pk)
    status, row = call(f"{base}/{row['uuid']}")
    assert (row["state"], row["files_done"], row["facts"]) == ("done", 1, {"commit": "c" * 40})
    assert row["commit"] == head_of(repo).oid
    assert [each["uuid"] for each in call(base)[1]["items"]] == [row["uuid"]]
    assert call(base, {"source": "tape"})[0] == 400
    assert call(base, {"source": "url", "options": {"url": "http://a@b/"}})[0] == 400


def test_only_who_may_write_sees_where_files_came_from(repo, browser: Client):
    browser.force_login(make_person("sam").user)
    for path in ("import", "preparations"):
        assert browser.get(f"{HERE}/{path}").status_code == 403
