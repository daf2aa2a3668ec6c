import subprocess
import sys

import pytest

from api.inference import spool
from api.inference.spool import RECORD_BYTES, Call, Spool, unpack
from common.ids import new_uuid
from tests.support.site import ROOT


@pytest.fixture
def root(tmp_path):
    return tmp_path / "spool"


def made(budget_id: int = 7) -> Call:
    return Call(new_uuid(), new_uuid(), new_uuid(), new_uuid(), budget_id, 1_700_000_000_000_000, new_uuid())


def test_a_record_comes_back_as_it_was():
    calls = [made(), made(0)]
    assert list(unpack(b"".join(each.pack() for each in calls))) == calls


@pytest.mark.parametrize("cut", [1, RECORD_BYTES // 2, RECORD_BYTES - 1])
def test_a_torn_end_is_passed_over(cut):
    whole, torn = made(), made()
    assert list(unpack(whole.pack() + torn.pack()[:cut])) == [whole]


def test_a_damaged_record_is_passed_over_and_its_neighbours_are_not():
    first, second, third = (made() for _ in range(3))
    raw = bytearray(first.pack() + second.pack() + third.pack())
    raw[RECORD_BYTES + 20] ^= 1
    assert list(unpack(bytes(raw))) == [first, third]


def test_only_closed_files_of_the_living_and_all_files_of_the_dead_wait(root):
    writer = Spool(root)
    early, late = made(), made()
    writer.append(early)
    assert writer.rotate()
    assert not writer.rotate()
    writer.append(late)
    found = spool.backlog(root)
    assert ([each.calls() for each in found.segments], found.dead) == ([[early]], ())
    writer.close()
    found = spool.backlog(root)
    assert ([each.calls() for each in found.segments], found.dead) == ([[early], [late]], (writer.owner,))
    for segment in found.segments:
        segment.path.unlink()
    spool.remove(root, writer.owner)
    assert list(root.iterdir()) == []


def test_a_folder_with_records_is_never_removed(root):
    writer = Spool(root)
    writer.append(made())
    writer.close()
    spool.remove(root, writer.owner)
    assert len(spool.backlog(root).segments) == 1


DIES = """
import os, sys
from pathlib import Path
from api.inference.spool import Call, Spool
from common.ids import new_uuid
spool = Spool(Path(sys.argv[1]))
for n in range(100):
    call = Call(new_uuid(), new_uuid(), new_uuid(), new_uuid(), n, n, new_uuid())
    spool.append(call)
    print(call.request, flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_was_appended_survives_the_death_of_the_process(root):
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(root)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == -9
    found = spool.backlog(root)
    assert len(found.dead) == 1
    assert [str(call.request) for segment in found.segments for call in segment.calls()] == done.stdout.split()
    assert len(done.stdout.split()) == 100


FILLS = """
import resource, signal, sys
from pathlib import Path
from api.inference.spool import RECORD_BYTES, Call, Spool
from common.ids import new_uuid
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (RECORD_BYTES * 3 + 10, resource.RLIM_INFINITY))
kept = 0
for n in range(6):
    try:
        spool.append(Call(new_uuid(), new_uuid(), new_uuid(), new_uuid(), n, n, new_uuid()))
        kept += 1
    except OSError:
        pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append(Call(new_uuid(), new_uuid(), new_uuid(), new_uuid(), 99, 99, new_uuid()))
spool.close()
print(kept)
"""


def test_a_disk_without_room_refuses_the_record_and_keeps_the_file_whole(root):
    """The room ends in the middle of the fourth record; when there is room again, the next record is readable."""
    done = subprocess.run(
        [sys.executable, "-c", FILLS, str(root)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.split() == ["3"]
    (segment,) = spool.backlog(root).segments
    assert [call.budget_id for call in segment.calls()] == [0, 1, 2, 99]
