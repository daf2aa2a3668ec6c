"""How programs start and end, whatever happens in them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backends.programs.jobfolder import JobFolder, Refused
from tests.backends.programs.jobs import ROOT, write_spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "sub" / "a.txt").write_text("a")
    return write_spec(tmp_path / "job", "evaluate", {}, {"data": data}, threads=1)


def launched(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """`program` is the source of a module `probe` with a function run(folder)."""
    (folder / "probe.py").write_text(program)
    return subprocess.run(
        [sys.executable, "-c", "from backends.programs import launching; launching.launch('probe')"],
        cwd=folder,
        env={"PYTHONPATH": f"{ROOT}:{folder}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_numeric_libraries_use_the_threads_of_the_job(folder: Path):
    done = launched(
        folder,
        "import torch, numpy, sklearn.linear_model, threadpoolctl\n"
        "def run(folder):\n"
        "    pools = {entry['num_threads'] for entry in threadpoolctl.threadpool_info()}\n"
        "    folder.finish({'torch': torch.get_num_threads(), 'pools': sorted(pools)})\n",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "result.json").read_text()) == {"torch": 1, "pools": [1]}


def test_surprise_leaves_a_reason_for_people_and_a_trace_in_the_log(folder: Path):
    done = launched(folder, "def run(folder):\n    {}['secret']\n")
    assert done.returncode == 1
    message = json.loads((folder / "error.json").read_text())["message"]
    assert message == "The program stopped unexpectedly (KeyError). The log tells where."
    assert "Traceback" in done.stderr


def test_lack_of_memory_is_said_in_words(folder: Path):
    done = launched(folder, "def run(folder):\n    raise MemoryError\n")
    assert done.returncode == 1
    assert json.loads((folder / "error.json").read_text())["message"] == "The job needed more memory than it was given."


def test_result_that_cannot_be_written_is_not_half_there(folder: Path):
    done = launched(folder, "def run(folder):\n    folder.finish({'accuracy': float('nan')})\n")
    assert done.returncode == 1
    assert not (folder / "result.json").exists()


def test_warnings_of_libraries_stay_out_of_the_log(folder: Path):
    done = launched(
        folder, "import logging, warnings\ndef run(folder):\n    warnings.warn('x')\n    logging.warning('y')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_inputs_are_found_by_their_listed_paths_only(folder: Path):
    data = JobFolder(folder).input("data")
    assert list(data.paths) == ["sub/a.txt"]
    assert data.read_json("../../spec.json") is None
    with pytest.raises(Refused, match="This job needs an input named «model»"):
        JobFolder(folder).input("model")


def test_onnxruntime_reports_nothing_about_this_machine(folder: Path, tmp_path: Path):
    """As installed it writes a device id and an event store into the home folder, and sends what is in there."""
    home = tmp_path / "home"
    home.mkdir()
    graph = "h.make_graph([h.make_node('Identity', ['a'], ['b'])], 'g', [value('a')], [value('b')])"
    done = launched(
        folder,
        "import os\n"
        f"os.environ['HOME'] = {str(home)!r}\n"
        "import onnxruntime\n"
        "from onnx import TensorProto, helper as h\n"
        "def value(name):\n"
        "    return h.make_tensor_value_info(name, TensorProto.FLOAT, [1])\n"
        "def run(folder):\n"
        f"    model = h.make_model({graph}, opset_imports=[h.make_opsetid('', 17)], ir_version=9)\n"
        "    onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])\n",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.rglob("*")) == []
