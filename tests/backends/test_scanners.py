"""The scanners together: what is proven to be data, and what only looks like it. No hostile file here is ever opened by a loader."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import wave
import zipfile
import zlib
from pathlib import Path
from random import Random

import lz4.frame
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image
from safetensors.numpy import save

from backends import catalogue
from backends.conformance.scanners import BINARY_PICKLE, HARMLESS_PICKLE, TEXT_PICKLE, ScannerConformance
from backends.contracts.scanners import FileReport, Scanner, Verdict
from backends.runners.fake import FakeRun, FakeRunner
from backends.runners.process import ProcessRunner
from backends.scanners import opcodes
from backends.scanners.graphs import GraphScanner
from backends.scanners.keras import KerasScanner
from backends.scanners.markup import MarkupScanner
from backends.scanners.notebooks import NotebookScanner
from backends.scanners.opinions import ModelscanScanner, PicklescanScanner
from backends.scanners.pickles import PickleScanner
from backends.scanners.sandboxed import scan_files
from backends.scanners.secrets import SecretScanner
from backends.scanners.sources import SourceScanner
from backends.scanners.structural import StructuralScanner
from backends.scanners.walk import inspect

NAMES = list(catalogue.listing("scanners"))
SCANNERS = [catalogue.load("scanners", name) for name in NAMES]


class TestEveryScanner(ScannerConformance):
    @pytest.fixture(
        params=[
            GraphScanner, KerasScanner, MarkupScanner, ModelscanScanner, NotebookScanner, PickleScanner, PicklescanScanner,
            SecretScanner, SourceScanner, StructuralScanner,
        ]
    )  # fmt: skip
    def scanner(self, request: pytest.FixtureRequest) -> Scanner:
        return request.param()


def scan(folder: Path, data: bytes) -> FileReport:
    path = folder / "file"
    path.write_bytes(data)
    return inspect(path, SCANNERS)


def zipped(members: dict[str, bytes], comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def array(values: object, **kind: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array(values, **kind), allow_pickle=True)
    return out.getvalue()


def picture(form: str) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, form)
    return out.getvalue()


def sound() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 801)
    return out.getvalue()


def table(metadata: dict[bytes, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}).replace_schema_metadata(metadata), out)
    return out.getvalue()


def model(*, external: bool = False) -> bytes:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    if external:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../../etc/passwd")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight])
    # inside a branch: an initializer deep down must be found as well
    branch = helper.make_graph([], "then", [], ends[1:], [weight])
    graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch))
    return helper.make_model(graph).SerializeToString()


def tensors(**changes: object) -> bytes:
    """A safetensors file with a header changed by hand."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes
    header = json.dumps({"w": entry}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 8


DATA = {
    "safetensors": lambda: save({"w": np.ones((3, 4), dtype=np.float32), "b": np.ones(2, dtype=np.int64)}),
    "onnx": model,
    "npy": lambda: array([[1.5, 2.5]]),
    "npz": lambda: zipped({"a.npy": array([1, 2]), "b.npy": array(["x", "y"])}),
    "parquet": table,
    "png": lambda: picture("PNG"),
    "jpeg": lambda: picture("JPEG"),
    "webp": lambda: picture("WEBP"),
    "wav": sound,
    "text": "city\nname\nnaïve, “quoted”\tcell\r\n".encode,
    "empty": lambda: b"",
    "zip of png, text": lambda: zipped({"a.png": picture("PNG"), "labels.csv": b"name,label\na.png,1\n"}),
    "gzip of text": lambda: gzip.compress(b"a,b\n1,2\n"),
}


@pytest.mark.parametrize("form", DATA)
def test_plain_data_is_recognised(tmp_path: Path, form: str) -> None:
    assert scan(tmp_path, DATA[form]()) == FileReport(Verdict.DATA_ONLY, form)


@pytest.mark.parametrize("form", ["safetensors", "npy", "png", "jpeg", "webp", "wav", "parquet", "npz"])
@pytest.mark.parametrize(
    "tail", [b"\0", BINARY_PICKLE, zipped({"data.pkl": BINARY_PICKLE})], ids=["byte", "pickle", "archive"]
)
def test_something_behind_the_data_is_not_data(tmp_path: Path, form: str, tail: bytes) -> None:
    assert scan(tmp_path, DATA[form]() + tail).verdict is not Verdict.DATA_ONLY


@pytest.mark.parametrize("form", ["safetensors", "npy", "png", "jpeg", "webp", "wav", "parquet", "npz", "onnx"])
def test_cut_data_is_not_data(tmp_path: Path, form: str) -> None:
    data = DATA[form]()
    for length in (len(data) - 1, len(data) // 2, 20):
        assert scan(tmp_path, data[:length]).verdict is Verdict.UNKNOWN


def test_an_archive_inside_a_picture_is_found(tmp_path: Path) -> None:
    whole = picture("PNG")
    hidden = zipped({"data.pkl": BINARY_PICKLE})
    chunk = struct.pack(">I4s", len(hidden), b"zzZz") + hidden + struct.pack(">I", zlib.crc32(b"zzZz" + hidden))
    report = scan(tmp_path, whole[:-12] + chunk + whole[-12:])
    assert (report.verdict, report.format) == (Verdict.MALICIOUS, "png")


@pytest.mark.parametrize(
    "changes",
    [
        {"data_offsets": [0, 4]},
        {"data_offsets": [4, 12]},
        {"data_offsets": [0, 8], "shape": [3]},
        {"shape": [-2]},
        {"shape": [2**62, 2**62]},
        {"shape": [2.0]},
        {"shape": [True, 2]},
        {"dtype": "OBJECT"},
        {"data_offsets": [8, 0]},
        {"data_offsets": [0]},
    ],
)
def test_a_lying_safetensors_header_is_unknown(tmp_path: Path, changes: dict[str, object]) -> None:
    assert scan(tmp_path, tensors()).verdict is Verdict.DATA_ONLY
    assert scan(tmp_path, tensors(**changes)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":1,"a":2}',
        b'{"__metadata__":{"a":1}}',
        b"{" * 5000 + b"}" * 5000,
        b"{]",
        b'{"w":NaN}',
        b'{"__metadata__":{}',
    ],
)
def test_a_malformed_safetensors_header_is_unknown(tmp_path: Path, header: bytes) -> None:
    assert scan(tmp_path, struct.pack("<Q", len(header)) + header).verdict is Verdict.UNKNOWN


def test_onnx_with_tensors_in_other_files_is_unknown(tmp_path: Path) -> None:
    onnx.load_model_from_string(model(external=True))
    report = scan(tmp_path, model(external=True))
    assert (report.verdict, report.format) == (Verdict.FLAGGED, "onnx")
    assert "outside of its folder" in report.findings[0].message


@pytest.mark.parametrize("data", [BINARY_PICKLE, TEXT_PICKLE], ids=["binary", "text"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data,
        lambda data: zipped({"archive/data.pkl": data}),
        lambda data: zipped({"innocent.npy": array([1]), "deep.zip": zipped({"readme.md": data})}),
        bz2.compress,
        lzma.compress,
        zlib.compress,
        lambda data: zlib.compress(data, 0),
        lambda data: tarred("x", data),
    ],
    ids=["bare", "zip", "nested zip", "bzip2", "xz", "zlib", "stored zlib", "tar"],
)
def test_a_dangerous_pickle_is_unsafe_in_any_wrapping(tmp_path: Path, data: bytes, wrap: object) -> None:
    report = scan(tmp_path, wrap(data))
    assert report.verdict is Verdict.MALICIOUS
    assert any("os.system" in finding.message or "posix.system" in finding.message for finding in report.findings)


def tarred(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type = kind
        entry.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def test_an_array_of_objects_is_unsafe(tmp_path: Path) -> None:
    assert scan(tmp_path, array([{"a": 1}], dtype=object)).verdict is Verdict.FLAGGED
    assert scan(tmp_path, zipped({"a.npy": array([None], dtype=object)})).verdict is Verdict.FLAGGED


@pytest.mark.parametrize(
    "data",
    [
        HARMLESS_PICKLE,
        b"# comment\n" + TEXT_PICKLE,
        b"a,b\n1,2\n" + TEXT_PICKLE + b"\n3,4\n",
        b"(S'echo CANARY'\nios\nsystem\n.",
        tarred("link", b"", tarfile.SYMTYPE),
        b"prefix" + zipped({"a.txt": b"text"}),
        zipped({"a.txt": b"text"}, comment=b"comment"),
        json.dumps({"class_name": "Lambda", "config": {"function": "x"}}).encode(),
        b"text with a \x00 byte",
        b"caf\xe9 in latin-1",
        table({b"ARROW:x": b"arrow.py_extension_type"}),
    ],
    ids=[
        "harmless",
        "after a comment",
        "in a table",
        "inst",
        "link in tar",
        "prefixed zip",
        "commented zip",
        "keras",
        "nul",
        "latin-1",
        "arrow",
    ],
)
def test_what_is_doubtful_is_not_data(tmp_path: Path, data: bytes) -> None:
    assert scan(tmp_path, data).verdict is not Verdict.DATA_ONLY


def test_an_archive_with_two_stories_is_unknown(tmp_path: Path) -> None:
    honest = zipped({"aaaa.txt": b"text"})
    assert scan(tmp_path, honest).verdict is Verdict.DATA_ONLY
    assert scan(tmp_path, honest.replace(b"aaaa.txt", b"bbbb.pkl", 1)).verdict is Verdict.FLAGGED


def test_a_bomb_is_flagged_and_small_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.scanners.archives.MOST_UNPACKED_BYTES", 1024**2)
    for data in (zipped({"a": b"a" * 2 * 1024**2}), bz2.compress(b"a" * 2 * 1024**2)):
        assert scan(tmp_path, data).verdict is Verdict.FLAGGED


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["safetensors", "onnx", "npy", "png", "jpeg", "wav", "npz"]), data=st.data())
def test_damaged_files_never_crash_the_scanner(tmp_path: Path, form: str, data: st.DataObject) -> None:
    whole = bytearray(DATA[form]())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, min(len(whole) - 1, 200)))] = data.draw(st.integers(0, 255))
    assert isinstance(scan(tmp_path, bytes(whole)), FileReport)


@pytest.fixture
def runner(tmp_path: Path) -> ProcessRunner:
    return ProcessRunner(tmp_path / "runs")


def test_files_are_scanned_in_the_sandbox(runner: ProcessRunner, tmp_path: Path) -> None:
    files = {"weights.bin": tmp_path / "a", "../../README.md": tmp_path / "b"}
    files["weights.bin"].write_bytes(BINARY_PICKLE)
    files["../../README.md"].write_text("# Model\n")
    (tmp_path / "scan").mkdir()
    result = scan_files(runner, tmp_path / "scan", files, key="scan-1", scanners=NAMES)
    assert {name: report.verdict for name, report in result.items()} == {
        "weights.bin": Verdict.MALICIOUS,
        "../../README.md": Verdict.DATA_ONLY,
    }
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "[]",
        "{}",
        '{"files": []}',
        '{"files": [{"name": "x", "verdict": "fine"}], "rules_version": "1"}',
        "[" * 100_000,
    ],
    ids=["none", "empty", "list", "object", "no files", "wrong word", "deep"],
)
def test_a_scan_without_a_proper_result_is_unknown(tmp_path: Path, answer: str | None) -> None:
    def program(run: FakeRun) -> int:
        if answer is not None:
            (run.spec.workdir / "result.json").write_text(answer)
        return 0

    (tmp_path / "x").write_text("text")
    (tmp_path / "scan").mkdir()
    result = scan_files(FakeRunner(program), tmp_path / "scan", {"x": tmp_path / "x"}, key="a", scanners=NAMES)
    assert result["x"].verdict is Verdict.UNKNOWN


def test_a_result_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    good = {"rules_version": "1", "files": [{"name": "x", "verdict": "data-only", "format": "text", "findings": []}]}
    (tmp_path / "elsewhere").write_text(json.dumps(good))

    def program(run: FakeRun) -> int:
        (run.spec.workdir / "result.json").symlink_to(tmp_path / "elsewhere")
        return 0

    (tmp_path / "x").write_text("text")
    (tmp_path / "scan").mkdir()
    result = scan_files(FakeRunner(program), tmp_path / "scan", {"x": tmp_path / "x"}, key="a", scanners=NAMES)
    assert result["x"].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lz4.frame.compress])
def test_nothing_hides_behind_a_compressed_stream(tmp_path: Path, pack: object) -> None:
    assert scan(tmp_path, pack(b"a,b\n")).verdict is Verdict.DATA_ONLY
    assert scan(tmp_path, pack(b"a,b\n") + pack(b"1,2\n")).verdict is Verdict.DATA_ONLY
    assert scan(tmp_path, pack(b"a,b\n") + BINARY_PICKLE).verdict is not Verdict.DATA_ONLY
    assert scan(tmp_path, pack(b"a,b\n")[:-3]).verdict is not Verdict.DATA_ONLY


def test_zeros_are_no_archive(tmp_path: Path) -> None:
    assert scan(tmp_path, bytes(10240)).verdict is Verdict.UNKNOWN
    assert scan(tmp_path, tarred("a.txt", b"text") + BINARY_PICKLE).verdict is not Verdict.DATA_ONLY


def test_bytes_without_meaning_are_unknown_and_no_pickles() -> None:
    rng = Random(3)
    files = (rng.randbytes(2000) for _ in range(4000))
    taken = sum(opcodes.is_pickle(memoryview(each), is_text=False) for each in files)
    # an extension code and a call behind it may stand anywhere by chance
    assert taken < 20
    extension_called = b"\x82\x01)R"
    assert opcodes.is_pickle(memoryview(extension_called), is_text=False)
