"""What every scanner must do. Subclass `ScannerConformance` and give the fixture `scanner`. The hostile files are bytes that nobody opens."""

import gzip
import io
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.contracts.scanners import FileReport, Finding, Scanner, Verdict
from backends.scanners.walk import inspect

# `os.system("echo CANARY")` spelled in opcodes, protocol 0 and 2; never loaded by anything here.
TEXT_PICKLE = b"cos\nsystem\n(S'echo CANARY'\ntR."
BINARY_PICKLE = b"\x80\x02cos\nsystem\nq\x00X\x0b\x00\x00\x00echo CANARYq\x01\x85q\x02Rq\x03."
HARMLESS_PICKLE = b"\x80\x04}\x94."


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "binary pickle": lambda: BINARY_PICKLE,
    "text pickle": lambda: TEXT_PICKLE,
    "harmless pickle": lambda: HARMLESS_PICKLE,
    "cut pickle": lambda: BINARY_PICKLE[:-3],
    "torch archive": lambda: _zip({"archive/data.pkl": BINARY_PICKLE, "archive/version": b"3\n"}),
    "text pickle with a neutral name": lambda: _zip({"notes.txt": TEXT_PICKLE}),
    "nested archive": lambda: _zip({"inner": _zip({"data": BINARY_PICKLE})}),
    "compressed pickle": lambda: gzip.compress(BINARY_PICKLE),
    "random bytes": lambda: bytes((n * 167 + 13) % 256 for n in range(4096)),
}


class ScannerConformance:
    """The promises of `backends.contracts.scanners`, for one scanner by itself: it may know nothing of a file, but never proves a lie."""

    @pytest.fixture
    def scanner(self) -> Iterator[Scanner]:
        raise NotImplementedError("give the scanner under test")

    def report(self, scanner: Scanner, path: Path) -> FileReport:
        return inspect(path, [scanner])

    def test_the_hostile_files_are_what_they_claim(self) -> None:
        for data in (TEXT_PICKLE, BINARY_PICKLE, HARMLESS_PICKLE):
            assert [op.name for op, _, _ in pickletools.genops(data)][-1] == "STOP"

    @pytest.mark.parametrize("case", HOSTILE)
    @pytest.mark.parametrize("name", ["model.safetensors", "README.md"])
    def test_a_hostile_file_is_never_called_data(self, scanner: Scanner, tmp_path: Path, case: str, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(HOSTILE[case]())
        report = self.report(scanner, path)
        assert report.verdict is not Verdict.DATA_ONLY
        assert 0 < len(report.findings) <= 50

    def test_findings_are_whole(self, scanner: Scanner, tmp_path: Path) -> None:
        for number, make in enumerate(HOSTILE.values()):
            path = tmp_path / str(number)
            path.write_bytes(make())
            for finding in self.report(scanner, path).findings:
                assert isinstance(finding, Finding)
                assert finding.message.endswith((".", "'", '"'))
                assert "." in finding.rule

    def test_what_cannot_be_read_is_unknown(self, scanner: Scanner, tmp_path: Path) -> None:
        assert self.report(scanner, tmp_path / "absent").verdict is Verdict.UNKNOWN
        assert self.report(scanner, tmp_path).verdict is Verdict.UNKNOWN

    def test_the_same_bytes_get_the_same_report(self, scanner: Scanner, tmp_path: Path) -> None:
        first, second = tmp_path / "one", tmp_path / "two.bin"
        first.write_bytes(BINARY_PICKLE)
        second.write_bytes(BINARY_PICKLE)
        assert self.report(scanner, first) == self.report(scanner, second)
        assert scanner.rules_version
        assert len(scanner.rules_version) <= 40
