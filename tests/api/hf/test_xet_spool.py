"""The spool of running Xet uploads: whole xorbs only, private to a session, gone when the session is done or still."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.hf.xet import spool
from api.hf.xet.spool import STILL_S, Session, sweep
from common.errors import Invalid, TooLarge
from tests.api.hf.xet_writer import STORED, chunk

A, B = "a" * 64, "b" * 64
BODY = chunk(b"abc", STORED)
SIZE = len(BODY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder of this test alone."""
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def files_in(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_xorb_is_kept_and_read_back(root: Path) -> None:
    session = Session(root, "alice", "one")
    assert session.receive_xorb(A, [BODY[:5], BODY[5:]], SIZE)
    assert not session.receive_xorb(A, [BODY], SIZE)
    body, size = session.open_xorb(A)
    with body:
        assert (body.read(), size) == (BODY, SIZE)


@pytest.mark.parametrize("chunks", [[], [BODY[:-1]], [BODY, b"x"], [b"x" * SIZE]])
def test_a_body_of_another_length_or_form_leaves_nothing(root: Path, chunks: list[bytes]) -> None:
    with pytest.raises(Invalid):
        Session(root, "alice", "one").receive_xorb(A, chunks, SIZE)
    assert files_in(root) == []


def test_a_broken_connection_leaves_nothing(root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        Session(root, "alice", "one").receive_xorb(A, chunks(), SIZE)
    assert files_in(root) == []


def test_a_full_disk_is_refused_before_writing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 0))
    with pytest.raises(TooLarge):
        Session(root, "alice", "one").receive_xorb(A, [BODY], SIZE)
    assert files_in(root) == []


@pytest.mark.parametrize(("owner", "name"), [("bob", "one"), ("alice", "two"), ("alice\none", "")])
def test_another_session_cannot_read_it(root: Path, owner: str, name: str) -> None:
    Session(root, "alice", "one").receive_xorb(A, [BODY], SIZE)
    with pytest.raises(Invalid):
        Session(root, owner, name).open_xorb(A)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "/", "..", "a\0b", "ä" * 500])
def test_no_session_name_leaves_the_root(root: Path, name: str) -> None:
    Session(root, "alice", name).receive_xorb(A, [BODY], SIZE)
    assert [len(path.relative_to(root).parts) for path in root.rglob("*") if path.is_file()] == [2]
    assert len(list(root.iterdir())) == 1


def test_a_finished_session_is_removed(root: Path) -> None:
    session = Session(root, "alice", "one")
    session.receive_xorb(A, [BODY], SIZE)
    with session.reading():
        pass
    session.finish([A])
    assert list(root.iterdir()) == []
    session.finish([A])


def test_xorbs_of_an_open_shard_and_those_it_may_refer_to_stay(root: Path) -> None:
    session = Session(root, "alice", "one")
    session.receive_xorb(A, [BODY], SIZE)
    session.receive_xorb(B, [BODY], SIZE)
    with session.reading():
        pass
    session.finish([A])
    session.open_xorb(A)[0].close()
    session.open_xorb(B)[0].close()
    session.finish([B])
    assert list(root.iterdir()) == []


def test_nothing_is_removed_while_another_shard_is_worked_on(root: Path) -> None:
    session = Session(root, "alice", "one")
    session.receive_xorb(A, [BODY], SIZE)
    with session.reading():
        session.finish([A])
        session.open_xorb(A)[0].close()
    session.finish([])
    assert list(root.iterdir()) == []


def test_only_sessions_that_are_still_are_swept(root: Path) -> None:
    for name in ("old", "young"):
        Session(root, "alice", name).receive_xorb(A, [BODY], SIZE)
    old = next(iter(sorted(root.iterdir())))
    os.utime(old, (time.time(), time.time() - STILL_S - 5))
    assert sweep(root) == 1
    assert not old.exists()
    assert len(list(root.iterdir())) == 1
    assert sweep(root / "missing") == 0
