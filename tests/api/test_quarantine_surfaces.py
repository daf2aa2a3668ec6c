"""What is held back is refused on every way to the bytes, in words; what is free is not."""

import hashlib
import json

import pytest

from accounts import actors
from accounts.services import tokens
from registry import queries
from registry.services import quarantine, scans, uploads
from tests.api.git.packs import Objects, Pusher
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo
from tests.support.api import Caller

pytestmark = pytest.mark.django_db

NAME = "alice/digits"
TEXT = b"the text of a file\n"
DIGEST = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def user():
    return make_user("alice")


@pytest.fixture
def repo(user):
    repo = make_repo(actor_of(user), kind="model", visibility="public")
    commit(actor_of(user), repo, add("held.txt", TEXT), add("free.txt", "free"))
    return repo


@pytest.fixture
def held(user, repo):
    return quarantine.quarantine_file(
        actor_of(user), repo, queries.entry_at(queries.head_of(repo), "held.txt"), "it was a mistake"
    )


@pytest.fixture
def caller(client, user):
    return Caller(client, tokens.issue(actor_of(user), name="t", scopes=("*",))[1])


def get(client, path):
    answer = client.get(path)
    return answer.status_code, b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.parametrize("base", [f"/{NAME}/resolve/main/", f"/api/v1/repos/model/{NAME}/file?path="])
def test_a_download_is_refused_with_the_reason(client, repo, held, base):
    assert get(client, f"{base}free.txt") == (200, b"free")
    status, body = get(client, f"{base}held.txt")
    assert (status, b"it was a mistake" in body, TEXT in body) == (403, True, False)
    assert client.head(f"{base}held.txt").status_code == 403
    quarantine.release(actors.system("tests"), held.uuid, "mended")
    assert get(client, f"{base}held.txt") == (200, TEXT)


def test_git_lfs_is_refused(client, repo, held):
    asked = {"operation": "download", "objects": [{"oid": DIGEST, "size": len(TEXT)}], "hash_algo": "sha256"}
    post = {"content_type": "application/vnd.git-lfs+json", "headers": {"Accept": "application/vnd.git-lfs+json"}}
    path = f"/{NAME}.git/info/lfs/objects/batch"
    [answer] = client.post(path, json.dumps(asked), **post).json()["objects"]
    assert (answer["error"]["code"], "actions" in answer) == (403, False)
    quarantine.release(actors.system("tests"), held.uuid, "mended")
    [answer] = client.post(path, json.dumps(asked), **post).json()["objects"]
    href = answer["actions"]["download"]["href"].removeprefix("http://testserver")
    assert get(client, href) == (200, TEXT)
    quarantine.hold_back(actors.system("tests"), queries.blob_by_digest(DIGEST), "again", "staff")
    assert client.get(href).status_code == 403


def test_pages_show_the_reason_and_not_the_file(client, repo, held):
    for path in (f"/{NAME}/blob/main/held.txt", f"/{NAME}/commit/{queries.head_of(repo).oid}", f"/{NAME}/safety"):
        status, body = get(client, path)
        assert (status, b"the text of a file" in body) == (200, False), path
    assert b"it was a mistake" in get(client, f"/{NAME}/blob/main/held.txt")[1]
    assert b"quarantine" in get(client, f"/{NAME}/tree/main")[1]
    assert client.get(f"/{NAME}/image/main/held.txt").status_code == 403


def test_a_fetch_by_git_is_refused_and_says_why(client, user, repo, held):
    head = queries.head_of(repo).oid
    want = b"".join(b"%04x" % (len(line) + 4) + line for line in (f"want {head} side-band-64k ofs-delta\n".encode(),))
    answer = client.post(
        f"/{NAME}.git/git-upload-pack",
        want + b"00000009done\n",
        content_type="application/x-git-upload-pack-request",
    )
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    oid = queries.entry_at(queries.head_of(repo), "held.txt").oid
    assert f"{oid} is under quarantine".encode() in body
    assert b"PACK" not in body


def test_no_push_brings_known_malware(client, user, repo):
    quarantine.block_digest(actors.system("operator"), hashlib.sha256(b"worm").hexdigest(), "a worm")
    head = queries.head_of(repo)
    objects = Objects()
    new = objects.files({"worm.txt": b"worm"}, head.oid)
    report = Pusher(client, user).push(NAME, {"refs/heads/main": (head.oid, new)}, objects)
    assert "a worm" in str(report)
    assert queries.head_of(repo).oid == head.oid
    assert uploads.held(repo, [hashlib.sha256(b"worm").hexdigest()]) == {}


def test_the_api_tells_verdicts_holds_back_and_releases(caller, repo):
    assert caller.call("GET", f"repos/model/{NAME}/safety").json()["verdict"] is None
    scans.scan_repo(repo.pk)
    told = caller.call("GET", f"repos/model/{NAME}/safety").json()
    assert (told["verdict"], told["counts"], told["is_current"]) == ("data-only", {"data-only": 3}, True)
    made = caller.call("POST", f"repos/model/{NAME}/quarantines", {"path": "held.txt", "reason": "a mistake"})
    assert (made.status_code, made.json()["everywhere"], made.json()["origin"]) == (201, False, "owner")
    entries = caller.call("GET", f"repos/model/{NAME}/tree").json()["items"]
    assert {each["path"]: (each["verdict"], each["is_quarantined"]) for each in entries} == {
        ".gitattributes": ("data-only", False),
        "free.txt": ("data-only", False),
        "held.txt": ("data-only", True),
    }
    file = caller.call("GET", f"repos/model/{NAME}/safety/file?path=held.txt").json()
    assert (file["format"], file["quarantine"]["uuid"]) == ("text", made.json()["uuid"])
    path = f"repos/model/{NAME}/quarantines/{made.json()['uuid']}/release"
    assert caller.call("POST", path, {"reason": ""}).status_code == 400
    assert caller.call("POST", path, {"reason": "mended"}).json()["released_at"]
    assert caller.call("GET", f"repos/model/{NAME}/safety").json()["quarantines"][0]["release_reason"] == "mended"


def test_the_hub_protocol_tells_them_in_its_words(client, user, repo):
    commit(actor_of(user), repo, add("model.pkl", b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."))
    scans.scan_repo(repo.pk)
    tree = client.get(f"/api/models/{NAME}/tree/main?expand=true").json()
    status = {each["path"]: each["securityFileStatus"]["status"] for each in tree}
    assert status == {".gitattributes": "safe", "held.txt": "safe", "free.txt": "safe", "model.pkl": "unsafe"}
    told = client.get(f"/api/models/{NAME}?securityStatus=true").json()["securityRepoStatus"]
    assert told == {"scansDone": True, "filesWithIssues": [{"path": "model.pkl", "level": "unsafe"}]}


def test_people_hold_back_and_release_on_the_pages(client, repo, user):
    client.force_login(user)
    page = client.get(f"/{NAME}/blob/main/held.txt").content.decode()
    assert f'action="/{NAME}/quarantines"' in page
    answer = client.post(f"/{NAME}/quarantines", {"path": "held.txt", "reason": "a mistake"}, follow=True)
    assert "Under quarantine" in answer.content.decode()
    [row] = queries.quarantines_of(repo)
    assert client.post(f"/{NAME}/quarantines/{row.uuid}/release", {"reason": ""}, follow=True).status_code == 200
    assert queries.quarantines_of(repo)[0].released_at is None
    page = client.post(f"/{NAME}/quarantines/{row.uuid}/release", {"reason": "mended"}, follow=True).content.decode()
    assert "Nothing is held back" in page
    assert "mended" in page
