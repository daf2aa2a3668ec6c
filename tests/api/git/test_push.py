"""Pushes as the views take them: what is refused, in which words, and that nothing has moved then."""

import hashlib
import re

import pytest

from accounts.models import AuditRecord
from accounts.permissions import Level, Role
from accounts.services import grants, members
from registry import queries
from registry.models import Commit, Repo, RepoBlob, Tag
from registry.services import storage, uploads
from registry.services.commits import CopyFile
from registry.services.versions import publish_version
from tests.api.git.packs import (
    BLOB,
    FILE,
    FOLDER,
    LINK,
    OFS_DELTA,
    PROGRAM,
    REF_DELTA,
    SUBMODULE,
    TREE,
    ZERO,
    Objects,
    Pusher,
    Report,
    delta,
    entry,
    oid_of,
    pack_of,
    pkt,
)  # fmt: skip
from tests.factories.accounts import SYSTEM, actor_of, make_organization, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db

NAME = "acme/digits"


@pytest.fixture
def olga(client) -> Pusher:
    """Owner of the organisation that owns the repository."""
    return Pusher(client, make_user("olga"))


@pytest.fixture
def repo(olga) -> Repo:
    make_organization("acme", olga.user)
    return make_repo(actor_of(olga.user), "digits", kind="model", namespace="acme", visibility="public")


@pytest.fixture
def walt(client, repo) -> Pusher:
    """A publisher: writes, and administers nothing."""
    walt = make_user("walt")
    members.add_member(SYSTEM, repo.namespace.organization, walt, Role.PUBLISHER)
    return Pusher(client, walt)


def head(repo: Repo, branch: str = "main") -> str:
    return queries.resolve_revision(repo, f"refs/heads/{branch}").oid


def files(repo: Repo, revision: str = "main") -> dict[str, bytes]:
    found = queries.all_files(queries.resolve_revision(repo, revision))
    return {entry.path: storage.read_blob(queries.blob_of(entry), 10**6) for entry in found}


def push(pusher: Pusher, repo: Repo, objects: Objects, tip: str, branch: str = "main") -> Report:
    return pusher.push(NAME, {f"refs/heads/{branch}": (head(repo, branch), tip)}, objects)


def state(repo: Repo) -> tuple:
    branches, tags = queries.refs_of(repo)
    return (
        [(row.name, row.head.oid) for row in branches],
        [(row.name, row.commit.oid) for row in tags],
        Commit.objects.filter(repo=repo).count(),
    )


def test_a_commit_arrives_byte_by_byte(walt, repo) -> None:
    objects = Objects()
    tree = objects.tree({
        "README.md": (FILE, objects.blob("---\nlicense: mit\n---\n")),
        "run.sh": (PROGRAM, objects.blob("#!/bin/sh\n")),
        "sub": (FOLDER, objects.tree({"a": (FILE, objects.blob("a"))})),
    })  # fmt: skip
    signature = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n"
    tip = objects.commit(tree, head(repo), message="Grüße\n\nfrom far\n".encode(), headers=signature)
    report = push(walt, repo, objects, tip)
    assert (report.unpack, report.refs) == ("ok", {"refs/heads/main": "ok"})
    made = queries.resolve_revision(repo, "main")
    assert (made.oid, made.tree.oid, made.summary, made.description) == (tip, tree, "Grüße", "from far")
    assert (made.author_name, made.depth, made.created_at.timestamp()) == ("Ada", 1, 1_000_000_000)
    assert hashlib.sha1(b"commit %d\0" % len(made.raw) + bytes(made.raw)).hexdigest() == tip
    assert b"gpgsig" in bytes(made.raw)
    assert files(repo) == {"README.md": b"---\nlicense: mit\n---\n", "run.sh": b"#!/bin/sh\n", "sub/a": b"a"}
    repo.refresh_from_db()
    assert repo.licence == "mit"
    record = AuditRecord.objects.filter(tag="registry:commit:created").last()
    assert (record.actor_label, record.detail["commit"], record.detail["branch"]) == ("walt", tip, "main")
    # an upload by another way leaves the program a program
    again = commit(actor_of(walt.user), repo, add("run.sh", "#!/bin/sh\necho\n"), CopyFile("run.sh", "copy.sh", tip))
    modes = {node.name: node.mode for node in queries.find_entries(again.tree, ["run.sh", "copy.sh"]).values()}
    assert modes["run.sh"] == b"100755"


def test_a_merge_keeps_both_parents_and_who_touched_what(walt, repo) -> None:
    base = head(repo)
    objects = Objects()
    left = objects.files({"left": "l", "both": "1"}, base)
    right = objects.files({"right": "r", "both": "1"}, base)
    merge = objects.commit(
        objects.tree(
            {name: (FILE, oid_of(BLOB, text)) for name, text in {"left": b"l", "right": b"r", "both": b"1"}.items()}
        ),
        left,
        right,
    )
    assert push(walt, repo, objects, merge).refs == {"refs/heads/main": "ok"}
    made = queries.resolve_revision(repo, "main")
    assert (made.parents, made.first_parent.oid) == ([left, right], left)
    touched = queries.commits_by_id(queries.entry_at(made, name).commit_id for name in ("left", "right"))
    assert {row.oid for row in touched.values()} == {left, right}
    assert {head(repo)} | {left, right} <= set(Commit.objects.filter(repo=repo).values_list("oid", flat=True))


def test_what_the_repository_has_need_not_be_sent_again(walt, repo) -> None:
    """Moved files and folders, a state that comes back, a mode that changes, an empty commit."""
    first = Objects()
    inner = first.tree({"x": (FILE, first.blob("x")), "y": (FILE, first.blob("y"))})
    start = first.commit(first.tree({"dir": (FOLDER, inner), "a": (FILE, first.blob("a"))}), head(repo))
    assert push(walt, repo, first, start).refs == {"refs/heads/main": "ok"}
    a, x = oid_of(BLOB, b"a"), oid_of(BLOB, b"x")
    moved = Objects()
    tip = moved.commit(
        moved.tree({"moved": (FOLDER, inner), "dir": (FOLDER, moved.tree({"a": (PROGRAM, a)})), "x2": (FILE, x)}), start
    )
    assert push(walt, repo, moved, tip).refs == {"refs/heads/main": "ok"}
    assert files(repo) == {"moved/x": b"x", "moved/y": b"y", "dir/a": b"a", "x2": b"x"}
    back = Objects()
    tip = back.commit(queries.resolve_revision(repo, start).tree.oid, tip)
    tip = back.commit(queries.resolve_revision(repo, start).tree.oid, tip, message=b"empty\n")
    assert push(walt, repo, back, tip).refs == {"refs/heads/main": "ok"}
    assert files(repo) == {"dir/x": b"x", "dir/y": b"y", "a": b"a"}
    nothing = Objects()
    tip = nothing.commit(nothing.tree({}), tip)
    assert push(walt, repo, nothing, tip).refs == {"refs/heads/main": "ok"}
    assert files(repo) == {}
    more = Objects()
    tip = more.files({"again": "x"}, tip)
    assert push(walt, repo, more, tip).refs == {"refs/heads/main": "ok"}


def test_large_files_are_pointers_to_what_was_uploaded_before(walt, repo) -> None:
    blob = storage.store_blob([b"large " * 1000])
    pointer = storage.pointer_of(blob.sha256, blob.size_bytes)
    objects = Objects()
    tip = objects.files({"model.bin": pointer}, before := head(repo))
    report = push(walt, repo, objects, tip)
    assert "model.bin has not been uploaded. Run git lfs push" in report.refs["refs/heads/main"]
    assert head(repo) == before
    assert not RepoBlob.objects.filter(repo=repo, blob=blob).exists()
    uploads.attach(repo, blob)
    assert push(walt, repo, objects, tip).refs == {"refs/heads/main": "ok"}
    found = queries.entry_at(queries.resolve_revision(repo, "main"), "model.bin")
    assert (found.sha256, found.size_bytes, found.oid) == (blob.sha256, 6000, oid_of(BLOB, pointer))
    # moved, and met again as nothing but an id
    moved = Objects()
    tip = moved.commit(moved.tree({"other.bin": (FILE, oid_of(BLOB, pointer))}), tip)
    assert push(walt, repo, moved, tip).refs == {"refs/heads/main": "ok"}
    assert queries.entry_at(queries.resolve_revision(repo, "main"), "other.bin").sha256 == blob.sha256


@pytest.mark.parametrize(
    "text",
    [
        "version https://git-lfs.github.com/spec/v1\r\noid sha256:{oid}\r\nsize 5\r\n",
        "version https://git-lfs.github.com/spec/v1\next-0-case sha256:{oid}\noid sha256:{oid}\nsize 5\n",
        "\n\nversion https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5",
        "version http://git-media.io/v/2\noid sha256:{oid}\nsize 5\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n" + " " * 2000,
        "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 007\n",
    ],
)
def test_a_pointer_that_only_git_lfs_would_follow_is_refused(walt, repo, text) -> None:
    """People and scanners would see this text, and clones get another file."""
    before = state(repo)
    objects = Objects()
    report = push(walt, repo, objects, objects.files({"a.bin": text.format(oid="0" * 64)}, head(repo)))
    assert "a.bin looks like a pointer of git lfs" in report.refs["refs/heads/main"]
    assert state(repo) == before


def named(name: str | bytes, mode: int = FILE):
    def build(objects: Objects, parent: str) -> str:
        return objects.commit(objects.tree({name: (mode, objects.blob("x"))}), parent)

    return build


def rows(*rows: tuple[bytes, int]):
    def build(objects: Objects, parent: str) -> str:
        blob = objects.blob("x")
        return objects.commit(objects.raw_tree([(name, mode, blob) for name, mode in rows]), parent)

    return build


def deep(objects: Objects, parent: str) -> str:
    tree = objects.tree({"x": (FILE, objects.blob("x"))})
    for _ in range(600):
        tree = objects.tree({"d": (FOLDER, tree)})
    return objects.commit(tree, parent)


def forest(objects: Objects, parent: str) -> str:
    """Thirty objects that name ten to the power of twelve files."""
    tree = objects.tree({str(number): (FILE, objects.blob("x")) for number in range(10)})
    for _ in range(11):
        tree = objects.tree({str(number): (FOLDER, tree) for number in range(10)})
    return objects.commit(tree, parent)


HOSTILE = {
    "dot-git": (named(".git"), "git keeps that name for itself"),
    "dot-git-capitals": (named(".GIT"), "git keeps that name"),
    "git-short": (named("GIT~1"), "git keeps that name"),
    "dot-git-folder": (
        lambda objects, parent: objects.commit(
            objects.tree({".git": (FOLDER, objects.tree({"config": (FILE, objects.blob("x"))}))}), parent
        ),
        "git keeps that name",
    ),
    "dots": (named(".."), "part"),
    "dot": (named("."), "part"),
    "slash": (named("a/b"), "malformed"),
    "absolute": (named("/etc"), "malformed"),
    "empty-name": (named(""), "malformed"),
    "backslash": (named("a\\b"), "backslash"),
    "newline": (named("a\nb"), "control character"),
    "escape": (named("\x1b[31m"), "control character"),
    "not-utf8": (named(b"\xff\xfe"), "is not UTF-8"),
    "surrogate": (named(b"\xed\xa0\x80"), "is not UTF-8"),
    "long": (named("n" * 256), "longer than 255"),
    "deep": (deep, "longer than 1000"),
    "link": (named("link", LINK), "symbolic link"),
    "submodule": (
        lambda objects, parent: objects.commit(objects.tree({"sub": (SUBMODULE, parent)}), parent), "is a submodule"
    ),
    "odd-mode": (named("old", 0o100664), "mode 100664"),
    "no-mode": (named("old", 0o7), "mode 7"),
    "folder-that-is-a-file": (named("folder", FOLDER), "is not a tree"),
    "file-that-is-a-folder": (
        lambda objects, parent: objects.commit(
            objects.tree({"file": (FILE, objects.tree({"x": (FILE, objects.blob("x"))}))}), parent
        ),
        "file is not a file",
    ),
    "empty-folder": (
        lambda objects, parent: objects.commit(objects.tree({"empty": (FOLDER, objects.tree({}))}), parent), "empty folder"
    ),
    "doubled": (rows((b"a", FILE), (b"a", FILE)), "malformed"),
    "file-and-folder": (rows((b"a", FILE), (b"a", FOLDER)), "malformed"),
    "unsorted": (rows((b"b", FILE), (b"a", FILE)), "malformed"),
    "not-a-tree-object": (lambda objects, parent: objects.commit(objects.add(TREE, b"rubbish"), parent), "malformed"),
    "tree-missing": (lambda objects, parent: objects.commit("12" * 20, parent), "does not hold the content of the top folder"),
    "file-missing": (
        lambda objects, parent: objects.commit(objects.tree({"gone": (FILE, "12" * 20)}), parent),
        "does not hold the content of gone",
    ),
    "parent-missing": (lambda objects, parent: objects.files({"a": "b"}, "12" * 20), "fetch --unshallow"),
    "grandparent-missing": (
        lambda objects, parent: objects.files({"a": "c"}, objects.files({"a": "b"}, "12" * 20)), "fetch --unshallow"
    ),
    "commit-missing": (lambda objects, parent: "12" * 20, "does not hold the commit"),
    "tip-is-a-tree": (lambda objects, parent: objects.tree({}), "leads to a commit"),
    "tip-is-a-file": (lambda objects, parent: objects.blob("x"), "leads to a commit"),
    "tip-is-a-tag": (lambda objects, parent: objects.tag(objects.files({"a": "b"}, parent), "v"), "leads to a commit"),
    "commit-without-tree": (lambda objects, parent: objects.add(1, b"author x\n\nhi"), "is malformed"),
    "commit-of-two-trees": (
        lambda objects, parent: objects.add(
            1, f"tree {objects.tree({})}\ntree {objects.tree({})}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx".encode()
        ),
        "is malformed",
    ),
    "many-parents": (lambda objects, parent: objects.commit(objects.tree({}), *[parent] * 65), "65 parents"),
    "forest": (forest, "may have 10,000,000 files"),
    "large": (lambda objects, parent: objects.files({"big.csv": bytes(11 * 1024**2)}, parent), r"big.csv has 11.0 MB.*git lfs migrate"),
}  # fmt: skip


@pytest.mark.parametrize(("build", "words"), HOSTILE.values(), ids=HOSTILE)
def test_what_no_commit_may_hold_is_refused_with_a_sentence(walt, repo, build, words) -> None:
    before = state(repo)
    objects = Objects()
    report = push(walt, repo, objects, build(objects, head(repo)))
    refusal = report.refs["refs/heads/main"]
    assert re.search(words, refusal), report
    assert refusal.endswith(".")
    assert report.status == 200
    assert state(repo) == before


def test_a_file_of_somebody_else_is_not_reached_by_its_id(walt, repo) -> None:
    """Neither as an entry of a tree, nor as the base of a delta, nor as a large file."""
    mallory = make_user("mallory")
    secret = b"the secret of somebody else, long enough to be worth a delta" * 5
    hidden = make_repo(actor_of(mallory), "hidden", kind="model")
    theirs = commit(actor_of(mallory), hidden, add("secret.txt", secret), add("folder/secret.txt", secret))
    folder = queries.entry_at(theirs, "folder").oid
    before = state(repo)
    tries = []
    objects = Objects()
    tries.append((objects, objects.commit(objects.tree({"a": (FILE, oid_of(BLOB, secret))}), head(repo))))
    objects = Objects()
    tries.append((objects, objects.commit(objects.tree({"a": (FOLDER, folder)}), head(repo))))
    objects = Objects()
    tries.append((objects, objects.commit(theirs.tree.oid, head(repo))))
    objects = Objects()
    digest = hashlib.sha256(secret).hexdigest()
    tries.append((objects, objects.files({"a": storage.pointer_of(digest, len(secret))}, head(repo))))
    objects = Objects()
    tries.append((objects, objects.files({"a": "x"}, theirs.oid)))
    for sent, tip in tries:
        refusal = push(walt, repo, sent, tip).refs["refs/heads/main"]
        assert refusal != "ok"
        assert state(repo) == before
    objects = Objects()
    target = secret + b"!"
    tip = objects.commit(objects.tree({"a": (FILE, oid_of(BLOB, target))}), head(repo))
    thin = entry(REF_DELTA, delta(secret, target), base=bytes.fromhex(oid_of(BLOB, secret)))
    pack = pack_of([*(entry(kind, content) for kind, content in objects.all), thin])
    report = walt.push(NAME, {"refs/heads/main": (head(repo), tip)}, pack)
    assert "deltas against objects that are not in it" in report.unpack
    assert state(repo) == before


def test_a_pack_with_deltas_is_taken(walt, repo) -> None:
    text = b"line of text\n" * 200
    objects = Objects()
    tip = objects.commit(
        objects.tree({"a": (FILE, oid_of(BLOB, text)), "b": (FILE, oid_of(BLOB, text + b"end"))}), head(repo)
    )
    whole = entry(BLOB, text)
    pack = pack_of([
        whole,
        entry(OFS_DELTA, delta(text, text + b"end"), base=len(whole)),
        *(entry(kind, content) for kind, content in objects.all),
    ])  # fmt: skip
    assert walt.push(NAME, {"refs/heads/main": (head(repo), tip)}, pack).refs == {"refs/heads/main": "ok"}
    assert files(repo) == {"a": text, "b": text + b"end"}


def test_two_versions_of_a_large_file_are_refused_by_name(walt, repo) -> None:
    large = bytes(range(256)) * 43_000
    objects = Objects()
    tip = objects.commit(
        objects.tree({"big.csv": (FILE, oid_of(BLOB, large + b"x"))}),
        objects.commit(objects.tree({"big.csv": (FILE, oid_of(BLOB, large))}), head(repo)),
    )
    pack = pack_of([
        *(entry(kind, content) for kind, content in objects.all),
        entry(BLOB, large),
        entry(REF_DELTA, delta(large, large + b"x"), base=bytes.fromhex(oid_of(BLOB, large))),
    ])  # fmt: skip
    assert "big.csv has 10.5 MB" in walt.push(NAME, {"refs/heads/main": (head(repo), tip)}, pack).unpack


def test_only_who_administers_rewrites_a_branch(walt, olga, repo) -> None:
    start = head(repo)
    objects = Objects()
    assert push(walt, repo, objects, kept := objects.files({"a": "1"}, start)).refs == {"refs/heads/main": "ok"}
    objects = Objects()
    other = objects.files({"a": "2"}, start)
    before = state(repo)
    assert "(non-fast-forward). Run git pull --rebase" in push(walt, repo, objects, other).refs["refs/heads/main"]
    assert "(non-fast-forward)" in push(walt, repo, Objects(), start).refs["refs/heads/main"]
    assert state(repo) == before
    assert push(olga, repo, objects, other).refs == {"refs/heads/main": "ok"}
    assert head(repo) == other
    record = AuditRecord.objects.get(tag="registry:branch:rewritten")
    assert (record.detail["before"], record.detail["after"]) == (kept, other)
    assert queries.resolve_revision(repo, kept).oid == kept


def test_a_ref_that_has_moved_is_not_moved_again(walt, olga, repo) -> None:
    start = head(repo)
    first, second = Objects(), Objects()
    one, two = first.files({"a": "1"}, start), second.files({"a": "2"}, start)
    assert walt.push(NAME, {"refs/heads/main": (start, one)}, first).refs == {"refs/heads/main": "ok"}
    for pusher in (walt, olga):
        report = pusher.push(NAME, {"refs/heads/main": (start, two)}, second)
        assert report.refs == {"refs/heads/main": "It has moved meanwhile: fetch first, then push again."}
    assert head(repo) == one
    # sent again after it arrived
    again = walt.push(NAME, {"refs/heads/main": (one, one)}, first)
    assert again.refs == {"refs/heads/main": "ok"}
    assert head(repo) == one


def test_branches_come_and_go(walt, repo) -> None:
    start = head(repo)
    objects = Objects()
    tip = objects.files({"a": "1"}, start)
    made = walt.push(NAME, {"refs/heads/feat/x": (ZERO, tip), "refs/heads/same": (ZERO, start)}, objects)
    assert made.refs == {"refs/heads/feat/x": "ok", "refs/heads/same": "ok"}
    assert (head(repo, "feat/x"), head(repo, "same")) == (tip, start)
    assert walt.refs(NAME) == {
        "HEAD": start,
        "refs/heads/feat/x": tip,
        "refs/heads/main": start,
        "refs/heads/same": start,
    }
    gone = walt.push(
        NAME,
        {
            "refs/heads/main": (start, ZERO),
            "refs/heads/same": (tip, ZERO),
            "refs/heads/none": (start, ZERO),
            "refs/heads/feat/x": (tip, ZERO),
        },
    )
    assert gone.refs == {
        "refs/heads/main": "The default branch can't be deleted.",
        "refs/heads/same": "It has moved meanwhile: fetch first, then push again.",
        "refs/heads/none": "It has moved meanwhile: fetch first, then push again.",
        "refs/heads/feat/x": "ok",
    }
    # what is gone makes room for a folder of its name
    swapped = walt.push(NAME, {"refs/heads/same/deep": (ZERO, start), "refs/heads/same": (start, ZERO)}, Objects())
    assert swapped.refs == {"refs/heads/same/deep": "ok", "refs/heads/same": "ok"}
    clash = walt.push(NAME, {"refs/heads/same": (ZERO, start)}, Objects())
    assert "one is a folder and the other a file" in clash.refs["refs/heads/same"]


@pytest.mark.parametrize(
    "name",
    [
        "refs/heads/", "refs/heads/-x", "refs/heads/a..b", "refs/heads/a b", "refs/heads/a\x01", "refs/heads/a.lock",
        "refs/heads/" + "n" * 201, "refs/heads/HEAD", "refs/heads/" + "a" * 40, "refs/heads/refs/pr/1", "HEAD", "main",
        "refs/notes/commits", "refs/pr/7", "refs/stash", "refs/tags/", "refs/tags/../x", "../../etc/passwd", b"refs/heads/\xff",
        b"refs/heads/\xed\xa0\x80",
    ],
)  # fmt: skip
def test_names_that_no_ref_may_have_are_refused(walt, repo, name) -> None:
    before = state(repo)
    report = walt.push(NAME, [(name, ZERO, head(repo))], Objects())
    assert len(report.refs) <= 1
    assert "ok" not in report.refs.values(), report
    assert state(repo) == before


def test_of_several_refs_each_is_told_its_own_or_all_stay(walt, repo) -> None:
    start = head(repo)
    objects = Objects()
    good, bad = objects.files({"a": "1"}, start), objects.files({"b": "1"}, "12" * 20)
    changes = {"refs/heads/good": (ZERO, good), "refs/heads/bad": (ZERO, bad), "refs/tags/t": (ZERO, start)}
    report = walt.push(NAME, changes, objects, capabilities="report-status side-band-64k atomic")
    assert "fetch --unshallow" in report.refs["refs/heads/bad"]
    assert set(report.refs.values()) - {report.refs["refs/heads/bad"]} == {
        "Nothing was pushed: another ref of this atomic push was refused."
    }
    assert list(walt.refs(NAME)) == ["HEAD", "refs/heads/main"]
    report = walt.push(NAME, changes, objects)
    assert [report.refs[name] for name in ("refs/heads/good", "refs/tags/t")] == ["ok", "ok"]
    # only now found out, with the locks held: the folder of names
    late = {"refs/heads/z": (ZERO, start), "refs/heads/good/below": (ZERO, start)}
    report = walt.push(NAME, late, Objects(), capabilities="report-status side-band-64k atomic")
    assert "ok" not in report.refs.values()
    assert set(walt.refs(NAME)) == {"HEAD", "refs/heads/main", "refs/heads/good", "refs/tags/t"}
    assert Commit.objects.filter(repo=repo).count() == 2


def test_tags_stay_where_they_were_put(walt, repo) -> None:
    start = head(repo)
    objects = Objects()
    tip = objects.files({"a": "1"}, start)
    light, annotated = "refs/tags/light", "refs/tags/v1"
    tag = objects.tag(tip, "v1")
    report = walt.push(NAME, {light: (ZERO, start), annotated: (ZERO, tag)}, objects)
    assert report.refs == {light: "ok", annotated: "ok"}
    refs = walt.refs(NAME)
    assert (refs[light], refs[annotated], refs[f"{annotated}^{{}}"]) == (start, tag, tip)
    assert Tag.objects.get(repo=repo, name="v1").message == "A tag"
    moved = walt.push(NAME, {light: (start, tip), annotated: (tag, start)}, Objects())
    assert all("tags stay where they were put" in reason for reason in moved.refs.values())
    other = walt.push(NAME, {"refs/tags/other": (ZERO, tag)}, Objects())
    assert other.refs == {"refs/tags/other": "ok"}
    publish_version(actor_of(walt.user), repo, tip, name="1.0")
    gone = walt.push(NAME, {light: (start, ZERO), annotated: (tag, ZERO), "refs/tags/1.0": (tip, ZERO)})
    assert gone.refs == {
        light: "ok",
        annotated: "ok",
        "refs/tags/1.0": "This is the tag of a published version, which stays for good.",
    }


def test_tags_of_anything_but_commits_are_refused(walt, repo) -> None:
    objects = Objects()
    tip = objects.files({"a": "1"}, head(repo))
    of_tree = objects.tag(objects.tree({}), "t", "tree")
    of_tag = objects.tag(objects.tag(tip, "inner"), "outer", "tag")
    broken = objects.add(4, b"object x\n")
    changes = {f"refs/tags/{number}": (ZERO, oid) for number, oid in enumerate((of_tree, of_tag, broken))}
    report = walt.push(NAME, changes, objects)
    assert ["Only commits can be tagged" in reason or "malformed" in reason for reason in report.refs.values()] == [
        True
    ] * 3
    assert not Tag.objects.filter(repo=repo).exists()


def test_who_may_not_write_pushes_nothing(client, walt, repo) -> None:
    reader = Pusher(client, make_user("rita"))
    before = state(repo)
    for pusher, status in ((reader, 403), (Pusher(client), 401)):
        objects = Objects()
        report = push(pusher, repo, objects, objects.files({"a": "1"}, head(repo)))
        assert report.status == status
        asked = client.get(f"/{NAME}/info/refs?service=git-receive-pack", headers=pusher.headers)
        assert asked.status_code == status
        assert asked["Content-Type"].startswith("text/plain")
    assert "Basic" in asked["WWW-Authenticate"]
    Repo.objects.filter(pk=repo.pk).update(visibility="private")
    assert client.get(f"/{NAME}/info/refs?service=git-upload-pack", headers=reader.headers).status_code == 404
    assert client.get(f"/{NAME}/info/refs?service=git-upload-pack").status_code == 401
    grants.grant(SYSTEM, repo, reader.user, Level.READ, source="share")
    assert client.get(f"/{NAME}/info/refs?service=git-upload-pack", headers=reader.headers).status_code == 200
    assert state(repo) == before


@pytest.mark.parametrize(
    "body",
    [
        b"", b"0000", b"zzzz", b"0003", b"000", b"ffff", b"0004", pkt("x"), pkt("a b c") + b"0000", pkt("\0report-status") + b"0000",
        pkt(f"{ZERO} {'1' * 40} refs/heads/x\0report-status") + b"0000",
        pkt(f"{ZERO} {'1' * 40} refs/heads/x\0report-status") + b"0000PACK",
        pkt(f"{ZERO} {'1' * 40} refs/heads/x\0report-status") * 1001 + b"0000",
        pkt("push-cert\0x") + b"0000",
        pkt(f"{ZERO} {'1' * 40} refs/heads/x\0object-format=sha256 report-status") + b"0000",
    ],
)  # fmt: skip
def test_requests_that_are_none_move_nothing(walt, repo, body) -> None:
    before = state(repo)
    response = walt.post(f"/{NAME}.git/git-receive-pack", body)
    assert response.status_code in {200, 400, 413}
    assert b"ok refs" not in response.getvalue()
    assert state(repo) == before
