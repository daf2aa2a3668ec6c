"""Archives that come from strangers: what is unpacked, and everything that is refused with a sentence."""

import bz2
import gzip
import lzma
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.archives.bounds import Bounds
from backends.archives.names import Refused, check_together, path_of
from backends.archives.sandboxed import unpack_archive
from backends.archives.unpacking import unpack
from backends.runners.process import ProcessRunner
from tests.support.archives import CASES, MIB, Case, tarred, zipped, zstd

SMALL = Bounds(entries=1000, unpacked_bytes=16 * MIB, ratio=300, ratio_from=MIB)
GOOD = [("./a.csv", b"a\n1\n"), ("folder/ü.txt", b"two"), ("folder/inner.zip", zipped([("../x", b"nested")]))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(tmp_path: Path, case: Case) -> None:
    place = tmp_path / "place"
    archive, work = place / "archive", place / "work"
    work.mkdir(parents=True)
    archive.write_bytes(case.make())
    found = unpack(work, archive, SMALL)
    assert found["files"] == []
    assert found["problem"].endswith(".")
    assert re.search(case.said, found["problem"]), found["problem"]
    assert sorted(path.name for path in place.iterdir()) == ["archive", "work"]
    written = [path for path in work.rglob("*") if path != work / "out"]
    assert all(path.parent == work / "out" and path.name.isdigit() and not path.is_symlink() for path in written)


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda: zipped([(name.removeprefix("./"), data) for name, data in GOOD]), id="zip"),
        pytest.param(lambda: tarred(GOOD), id="tar"),
        pytest.param(lambda: gzip.compress(tarred(GOOD)), id="gzip"),
        pytest.param(lambda: bz2.compress(tarred(GOOD)), id="bzip2"),
        pytest.param(lambda: lzma.compress(tarred(GOOD)), id="xz"),
        pytest.param(lambda: zstd(tarred(GOOD)), id="zstd"),
    ],
)
def test_what_is_unpacked_is_what_was_packed_and_what_is_nested_stays_packed(tmp_path: Path, pack) -> None:
    (tmp_path / "archive").write_bytes(pack())
    found = unpack(tmp_path, tmp_path / "archive", SMALL)
    assert found["problem"] == ""
    unpacked = {each["name"]: (tmp_path / "out" / str(each["number"])).read_bytes() for each in found["files"]}
    assert unpacked == {name.removeprefix("./"): data for name, data in GOOD}


def test_in_the_sandbox_the_same_and_a_program_that_is_taken_over_gains_nothing(tmp_path: Path, monkeypatch) -> None:
    runner = ProcessRunner(root=str(tmp_path / "runs"))
    copies, works = tmp_path / "copies", [tmp_path / "one", tmp_path / "two"]
    copies.mkdir()
    for work in works:
        work.mkdir()
    (copies / "good").write_bytes(gzip.compress(tarred(GOOD)))
    found = unpack_archive(runner, works[0], copies / "good", key="unpack-good")
    assert [each.name for each in found] == ["a.csv", "folder/ü.txt", "folder/inner.zip"]
    (copies / "bad").write_bytes(CASES[0].make())
    with pytest.raises(Refused, match="leads out of the folder"):
        unpack_archive(runner, works[1], copies / "bad", key="unpack-bad")

    answers = [
        {"problem": "", "files": [{"number": 0, "name": "../x", "size_bytes": 1}]},
        {"problem": "", "files": [{"number": 5, "name": "x", "size_bytes": 1}]},
        {"problem": "", "files": [{"number": 0, "name": "x", "size_bytes": -1}]},
        {"problem": "", "files": [{"number": 0, "name": "a", "size_bytes": 1}, {"number": 1, "name": "A", "size_bytes": 1}]},
        {"problem": ["x"], "files": []}, {"files": "x"}, [], None,
    ]  # fmt: skip
    for answer in answers:
        monkeypatch.setattr("backends.archives.sandboxed.ask", lambda *_, answer=answer, **__: answer)
        with pytest.raises(Refused):
            unpack_archive(runner, works[1], copies / "bad", key="unpack-bad")


@given(st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_path_that_passes_stays_inside(name: str) -> None:
    try:
        path = path_of(name)
        check_together([path])
    except Refused as error:
        path, said = "", str(error)
    if not path:
        assert said.isascii()
        assert said.isprintable()
        return
    assert (Path("/root") / path).resolve().is_relative_to("/root")
    assert not path.startswith("/")
    assert "\\" not in path
