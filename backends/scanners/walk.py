"""One file under all scanners, through every archive in it. The verdict is the worst of all; without a proof it is unknown."""

import mmap
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backends.contracts.scanners import Content, FileReport, Finding, Scanner, Verdict, worst
from backends.scanners import archives
from backends.scanners.archives import OverLimit, Room
from backends.scanners.formats import CONTAINERS, format_of

_CHUNK = 1024**2
_MOST_FINDINGS = 50
_ORDER = tuple(Verdict)
_RAW_TENSOR = re.compile(r"/data/[0-9]+$")
_EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"


def inspect(path: Path, scanners: Sequence[Scanner]) -> FileReport:
    """The report on the file at `path`. Whatever goes wrong on the way, the answer is a report: unknown at best. Memory and disk are
    bounded by the limits of `archives`; time by whoever runs the sandbox."""
    try:
        form, findings = _look(path, scanners, "", 0, Room())
    except OverLimit as error:
        form, findings = "", [Finding("archives.limit", Verdict.FLAGGED, str(error))]
    except Exception as error:  # noqa: BLE001  hostile input: whatever goes wrong, the answer is "unknown"
        form, findings = "", [_failed("walk", error)]
    verdict = worst(finding.verdict for finding in findings)
    told = [finding for finding in findings if finding.verdict is not Verdict.DATA_ONLY]
    # of equal weight, what explains itself comes before the short words of second opinions
    told = sorted(dict.fromkeys(told), key=lambda each: (-_ORDER.index(each.verdict), -len(each.message)))
    return FileReport(verdict, form, tuple(told[:_MOST_FINDINGS]))


def _look(path: Path, scanners: Sequence[Scanner], place: str, depth: int, room: Room) -> tuple[str, list[Finding]]:
    with _mapped(path) as content:
        if content is None:
            return "empty", [Finding("walk.empty", Verdict.DATA_ONLY, "It is empty.", place)]
        findings: list[Finding] = []
        form = content.format
        if form in CONTAINERS:
            form, inside = _inside(content, scanners, place, depth, room)
            findings += inside
            # a bare zlib stream has no mark of its own: two bytes may look like one by chance, so it proves and denies nothing
        for scanner in scanners:
            findings += _asked(scanner, content, place)
        findings += _disguises(content, scanners, place, depth, room)
        if not findings:
            findings.append(
                Finding("walk.unknown", Verdict.UNKNOWN, "The format is not one that can be checked.", place)
            )
        return form, findings


def _asked(scanner: Scanner, content: Content, place: str) -> Iterator[Finding]:
    try:
        for found in scanner.look(content):
            where = "!".join(part for part in (place, found.place) if part)
            yield Finding(found.rule[:80], found.verdict, found.message[:300], where[:300])
    except Exception as error:  # noqa: BLE001  hostile input: a scanner that fails has not said that it is safe
        failed = _failed(scanner.name, error)
        yield Finding(failed.rule, failed.verdict, failed.message, place)


def _failed(name: str, error: Exception) -> Finding:
    return Finding(
        f"{name}.failed", Verdict.UNKNOWN, f"It could not be read to its end ({name}: {type(error).__name__})."
    )


def _inside(
    content: Content, scanners: Sequence[Scanner], place: str, depth: int, room: Room
) -> tuple[str, list[Finding]]:
    """The findings in all members of a container, each judged by its own content."""
    kind = content.format
    if depth >= archives.DEEPEST:
        raise OverLimit(f"Archives are nested more than {archives.DEEPEST} deep.")
    findings: list[Finding] = []
    forms: set[str] = set()
    try:
        with archives.opened(content) as unpacked:
            findings += [Finding("archives.odd", Verdict.FLAGGED, each, place) for each in unpacked.oddities]
            findings += [
                Finding(
                    "archives.escape",
                    Verdict.MALICIOUS,
                    "A member would be written outside of its folder.",
                    _below(place, name),
                )
                for name in unpacked.dangers[:20]
            ]
            for name, open_member in unpacked.members:
                room.take_member()
                with open_member() as source:
                    form, inside = _unpacked(source, content.size, scanners, _below(place, name), depth, room)
                if not form and _RAW_TENSOR.search(name):
                    # in what torch writes, the numbers themselves: only the pickle beside them says what they are
                    form, inside = "raw tensor", [_as_raw(each) for each in inside]
                forms.add(form or "something unknown")
                findings += inside
                if len(findings) > 5000:
                    findings = sorted(findings, key=lambda each: -_ORDER.index(each.verdict))[:1000]
    except OverLimit:
        raise
    except Exception as error:  # noqa: BLE001  hostile input: the rest of the archive was not seen
        findings.append(
            Finding(
                "archives.malformed",
                Verdict.UNKNOWN,
                f"The archive could not be read to its end ({type(error).__name__}).",
                place,
            )
        )
    if not findings:
        findings.append(Finding("archives.empty", Verdict.DATA_ONLY, "The archive is empty.", place))
    if kind == "zip" and forms == {"npy"}:
        return "npz", findings
    return (f"{kind} of {', '.join(sorted(forms))}"[:80] if forms else kind), findings


def _as_raw(finding: Finding) -> Finding:
    if finding.rule != "walk.unknown":
        return finding
    return Finding(
        "walk.tensor", Verdict.CODE, "The numbers of a tensor, which a pickle beside them describes.", finding.place
    )


def _unpacked(
    source: IO[bytes], packed: int, scanners: Sequence[Scanner], place: str, depth: int, room: Room
) -> tuple[str, list[Finding]]:
    used = 0
    with tempfile.NamedTemporaryFile() as out:
        while chunk := source.read(_CHUNK):
            used += len(chunk)
            room.take_bytes(len(chunk), packed=packed, so_far=used)
            out.write(chunk)
        out.flush()
        return _look(Path(out.name), scanners, place, depth + 1, room)


def _disguises(content: Content, scanners: Sequence[Scanner], place: str, depth: int, room: Room) -> Iterator[Finding]:
    """One file, two formats: a reader that looks from the end finds an archive. And the file that all scanners agree to find."""
    if _EICAR in content.head:
        yield Finding("walk.eicar", Verdict.MALICIOUS, "It is the test file of the makers of virus scanners.", place)
    if content.format not in {"zip", "tar", "gzip"} and zipfile.is_zipfile(content.path):
        yield Finding(
            "walk.polyglot",
            Verdict.FLAGGED,
            "There is a ZIP archive inside of it, which some programs would open.",
            place,
        )
        _, inside = _inside(
            Content(content.path, content.size, content.head, content.data, "zip"), scanners, place, depth, room
        )
        yield from (each for each in inside if each.verdict is not Verdict.DATA_ONLY)


def _below(place: str, name: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
    return "!".join(part for part in (place, shown) if part)


@contextmanager
def _mapped(path: Path) -> Iterator[Content | None]:
    size = path.stat().st_size
    if size == 0:
        yield None
        return
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as data,
    ):
        head = bytes(data[:4096])
        yield Content(path, size, head, data, format_of(path, head, data))
