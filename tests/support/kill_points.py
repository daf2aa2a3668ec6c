"""Work that is killed at named steps. One process loads everything and forks a child for each step; the child does the work and dies by
SIGKILL where it is told to; the process then looks at what is left, repeats the work, and prints what it found as a line of JSON."""

import base64
import hashlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

_UPLOADS = "lfs parts"
_PLAIN = "commit api push"
STEPS = {
    "bytes are written, not yet in their place": (
        "backends.stores.filesystem:FilesystemStore._publish before",
        f"{_UPLOADS} {_PLAIN}",
    ),
    "bytes are in their place": ("backends.stores.filesystem:FilesystemStore._publish after", f"{_UPLOADS} {_PLAIN}"),
    "rows promise the bytes": ("registry.services.storage:settle after", f"{_UPLOADS} {_PLAIN}"),
    "the upload holds the bytes": ("registry.services.uploads:attach after", _UPLOADS),
    "the upload is finished": ("registry.services.uploads:_finish after", _UPLOADS),
    "the repository holds the bytes": ("registry.services.holdings:hold after", "commit push"),
    "pages and trees are being written": ("registry.trees:write after", "commit push"),
    "the commit is written": ("registry.services.commits:write_commit after", "commit lfs"),
    "files of a push are stored": ("registry.services.gittrees:Inspection.store_files after", "push"),
    "commits of a push are written": ("registry.services.gitpush:_write after", "push"),
    "the branch moves": ("registry.services.commits:move_branch after", "commit push"),
    "it is in the audit trail": ("accounts.services.audit:record after", "commit push"),
    "the card is made": ("registry.services.cards:refresh_card after", "commit push"),
    "all is said, nothing is committed": ("registry.services.events:announce_ref after", "commit push api"),
    "it is committed, the answer is not sent": ("tests.support.kill_points:answered before", f"{_UPLOADS} {_PLAIN}"),
}
"""What has happened when the process dies: where that is in the code, and by which ways it is tried."""
CASES = [(way, name) for name, (_, ways) in STEPS.items() for way in ways.split()]
CONTENT = {"README.md": b"---\nlicense: mit\n---\nfrom %b\n", "a/b/data.txt": b"data of %b\n" * 50}


def answered() -> None:
    """The client has its answer."""


def arm(step: str) -> None:
    """Die at `step`, the first time it is reached."""
    where, _, when = step.partition(" ")
    module, _, name = where.partition(":")
    owner: Any = sys.modules[__name__] if module.endswith("kill_points") else importlib.import_module(module)
    *path, attribute = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, attribute)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    # everywhere, also where it was imported by its name
    for found in [owner, *sys.modules.values()]:
        if getattr(found, "__dict__", {}).get(attribute) is original:
            setattr(found, attribute, deadly)


class Site:
    """The work, by each of the ways in which people do it. Every word of a request is told by its number, so it can be repeated."""

    def __init__(self) -> None:
        from django.test import Client  # noqa: PLC0415 - exists after django.setup()

        from tests.factories.accounts import actor_of, make_token, make_user  # noqa: PLC0415
        from tests.factories.registry import make_repo  # noqa: PLC0415

        user = make_user("alice")
        self.repo = make_repo(actor_of(user), "net", kind="model")
        self.token = make_token(user, "*")
        self.user, self.client = (
            user,
            Client(headers={"Authorization": f"Bearer {self.token}"}, raise_request_exception=False),
        )

    def files(self, number: int) -> dict[str, bytes]:
        return {path: content.replace(b"%b", b"%d" % number) for path, content in CONTENT.items()}

    def do(self, way: str, number: int) -> None:
        """Bring the files of `number` onto main; raises when that is refused."""
        getattr(self, way)(self.files(number), number)
        answered()

    def commit(self, files: dict[str, bytes], number: int) -> None:
        lines = [
            {"key": "file", "value": {"path": path, "content": base64.b64encode(data).decode()}}
            for path, data in files.items()
        ]
        self._hf_commit(lines, number)

    def lfs(self, files: dict[str, bytes], number: int) -> None:
        self._large(files, number, "basic")

    def parts(self, files: dict[str, bytes], number: int) -> None:
        self._large(files, number, "multipart")

    def api(self, files: dict[str, bytes], number: int) -> None:
        operations = [
            {"op": "add", "path": path, "content": base64.b64encode(data).decode()} for path, data in files.items()
        ]
        given = {"summary": f"Files of {number}", "operations": operations}
        self._ok(self.client.post("/api/v1/repos/model/alice/net/commits", given, content_type="application/json"))

    def push(self, files: dict[str, bytes], number: int) -> None:
        from registry import queries  # noqa: PLC0415
        from tests.api.git.packs import FILE, FOLDER, Objects, Pusher  # noqa: PLC0415

        head = queries.resolve_revision(self.repo, "main")
        if self.now() == files:
            return  # git says: everything up to date
        objects = Objects()
        folder = objects.tree({"b": (FOLDER, objects.tree({"data.txt": (FILE, objects.blob(files["a/b/data.txt"]))}))})
        tree = objects.tree({"README.md": (FILE, objects.blob(files["README.md"])), "a": (FOLDER, folder)})
        tip = objects.commit(tree, head.oid, message=b"Files of %d\n" % number)
        pusher = Pusher(self.client)
        report = pusher.push("alice/net", {"refs/heads/main": (head.oid, tip)}, objects)
        assert report.refs == {"refs/heads/main": "ok"}, report

    def _large(self, files: dict[str, bytes], number: int, transfer: str) -> None:
        lines = []
        for path, data in files.items():
            oid = hashlib.sha256(data).hexdigest()
            asked = {"operation": "upload", "transfers": [transfer], "objects": [{"oid": oid, "size": len(data)}]}
            answer = self.client.post("/alice/net.git/info/lfs/objects/batch", asked, content_type="application/json")
            self._ok(answer)
            action = answer.json()["objects"][0].get("actions", {}).get("upload")
            if action:
                self._send(action, data)
            lines.append({"key": "lfsFile", "value": {"path": path, "oid": oid, "size": len(data)}})
        self._hf_commit(lines, number)

    def _send(self, action: dict[str, Any], data: bytes) -> None:
        header = action.get("header", {})
        if "chunk_size" not in header:
            self._ok(self.client.put(_path(action["href"]), data, content_type="application/octet-stream"))
            return
        step = int(header["chunk_size"])
        for place, key in enumerate(sorted(key for key in header if key.isdigit())):
            part = data[place * step : (place + 1) * step]
            self._ok(self.client.put(_path(header[key]), part, content_type="application/octet-stream"))
        self._ok(self.client.post(_path(action["href"]), {}, content_type="application/json"))

    def _hf_commit(self, lines: list[dict[str, Any]], number: int) -> None:
        header = {"key": "header", "value": {"summary": f"Files of {number}"}}
        body = "\n".join(map(json.dumps, [header, *lines]))
        self._ok(self.client.post("/api/models/alice/net/commit/main", body, content_type="application/x-ndjson"))

    def _ok(self, answer: Any) -> None:
        assert answer.status_code in {200, 201, 204}, answer.content

    def now(self) -> dict[str, bytes]:
        """What main has now; every byte of it is read."""
        from registry import queries  # noqa: PLC0415
        from registry.services import storage  # noqa: PLC0415

        head = queries.resolve_revision(self.repo, "main")
        found = {entry.path: storage.read_blob(queries.blob_of(entry), 10**6) for entry in queries.all_files(head)}
        found.pop(".gitattributes", None)
        return found


def _path(href: str) -> str:
    return href.removeprefix("http://testserver")


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a child with connections of its own; the signal that ended it, 0 when none did."""
    from django.db import connections  # noqa: PLC0415

    connections.close_all()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told to who waits
            sys.stderr.write(f"the child failed: {error!r}\n")
            sys.stderr.flush()
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the child failed by itself")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def tell(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Every case; one line of JSON each, and at the end what is left over after the grace."""
    django.setup()
    from django.conf import settings  # noqa: PLC0415

    from accounts.models import AuditRecord  # noqa: PLC0415
    from api.hf import views_lfs  # noqa: PLC0415
    from common import clock  # noqa: PLC0415
    from registry.models import Blob, Commit  # noqa: PLC0415
    from registry.services import garbage, integrity, storage, uploads  # noqa: PLC0415

    settings.STORAGE_URL = f"file://{settings.DATA}/blobs"
    views_lfs.PART_FROM_BYTES, views_lfs.PART_BYTES = 1, 200
    views_lfs._part_bytes = lambda size: 200
    site, number = Site(), 0
    for way, name in CASES:
        step = STEPS[name][0]
        number += 1
        before, commits = site.now(), Commit.objects.filter(repo=site.repo).count()
        said = AuditRecord.objects.filter(tag="registry:commit:created").count()

        def work(way: str = way, number: int = number, step: str = step) -> None:
            arm(step)
            site.do(way, number)

        killed = in_child(work)
        left = site.now()
        made = Commit.objects.filter(repo=site.repo).count() - commits
        audited = AuditRecord.objects.filter(tag="registry:commit:created").count() - said
        fsck = integrity.check().counts
        site.do(way, number)
        tell(
                {
                    "way": way, "step": name, "killed": killed, "old": left == before, "new": left == site.files(number),
                    "commits": made, "audited": audited, "fsck": fsck, "repeated": site.now() == site.files(number),
                    "commits_at_last": Commit.objects.filter(repo=site.repo).count() - commits,
                }
        )  # fmt: skip
    with clock.travel(timedelta(days=40)):
        uploads.sweep_uploads()
        garbage.collect(may_erase_many=True)
        garbage.collect(may_erase_many=True)
    left_over = [item.key for item in storage.store().list("staging/")]
    tell(
            {
                "left_over": left_over, "drafts": len([*(settings.DATA / "blobs" / ".drafts").iterdir()]),
                "fsck": integrity.check(with_bytes=True).counts, "whole": site.now() == site.files(number),
                "blobs": Blob.objects.filter(state="stored").count(),
            }
    )  # fmt: skip


if __name__ == "__main__":
    main()
