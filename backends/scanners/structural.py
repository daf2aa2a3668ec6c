"""The scanner that proves: it recognises a few formats completely, byte by byte. What it does not prove is not called data."""

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from backends.contracts.scanners import Content, Finding, Scanner, Verdict
from backends.scanners import gguf, tensors
from backends.scanners.formats import CLOSED
from backends.scanners.media import Malformed, media_of

_PICKLED_ARROW = b"arrow.py_extension_type"


class StructuralScanner(Scanner):
    """Data-only: safetensors, ONNX with inline tensors, GGUF, numeric npy, Parquet, Arrow, plain UTF-8 text (CSV and JSON with it), PNG,
    JPEG, GIF, WAV, WebP. What begins as one of them and does not keep to it is unknown."""

    name = "structural"
    rules_version = "2"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format in CLOSED:
            yield _unknown(
                "structural.closed",
                f"It is a {content.format} archive, which is not looked into here: unpack it, or use ZIP.",
            )
        elif content.format == "executable":
            yield Finding("structural.executable", Verdict.FLAGGED, "It is a program or a library of machine code.")
        elif (prove := _PROOFS.get(content.format) or _media(content)) is not None:
            try:
                yield from prove(content)
            except Malformed as error:
                yield _unknown("structural.malformed", f"{str(error)[:1].upper()}{str(error)[1:]}.")


def _proof(content: Content) -> Finding:
    return Finding("structural.proof", Verdict.DATA_ONLY, f"Read as {content.format} to its last byte.")


def _unknown(rule: str, message: str) -> Finding:
    return Finding(rule, Verdict.UNKNOWN, message)


def _safetensors(content: Content) -> Iterable[Finding]:
    tensors.safetensors(content.data)
    yield _proof(content)


def _npy(content: Content) -> Iterable[Finding]:
    with content.path.open("rb") as stream:
        try:
            tensors.npy(stream, content.size)
        except tensors.HoldsObjects as error:
            yield Finding("structural.objects", Verdict.FLAGGED, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        else:
            yield _proof(content)


def _onnx(content: Content) -> Iterable[Finding]:
    tensors.onnx(content.data)
    yield _proof(content)


def _gguf(content: Content) -> Iterable[Finding]:
    gguf.walk(content.data)
    yield _proof(content)


def _parquet(content: Content) -> Iterable[Finding]:
    with pq.ParquetFile(
        content.path, thrift_string_size_limit=64 * 1024**2, thrift_container_size_limit=4_000_000
    ) as file:
        said = file.metadata.metadata or {}
        if any(_PICKLED_ARROW in part for pair in said.items() for part in pair):
            yield _pickled_type()
        else:
            yield _proof(content)


def _arrow(content: Content) -> Iterable[Finding]:
    with pa.memory_map(str(content.path)) as source, pyarrow.ipc.open_file(source) as file:
        if _PICKLED_ARROW in file.schema.serialize().to_pybytes():
            yield _pickled_type()
            return
        for number in range(file.num_record_batches):
            file.get_batch(number).validate(full=True)
    yield _proof(content)


def _pickled_type() -> Finding:
    return Finding(
        "structural.pickled-type", Verdict.MALICIOUS, "It declares an Arrow extension type that is a pickle."
    )


def _text(content: Content) -> Iterable[Finding]:
    yield _proof(content)


def _media(content: Content) -> "Callable[[Content], Iterable[Finding]] | None":
    found = media_of(content.head)
    if found is None:
        return None
    walk = found[1]

    def prove(content: Content) -> Iterable[Finding]:
        walk(content.data)
        yield _proof(content)

    return prove


_PROOFS: dict[str, Callable[[Content], Iterable[Finding]]] = {
    "safetensors": _safetensors,
    "npy": _npy,
    "onnx": _onnx,
    "gguf": _gguf,
    "parquet": _parquet,
    "arrow": _arrow,
    "text": _text,
}
