"""From a shard and its xorbs back to the plain bytes of files."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import BinaryIO, Self

from api.hf.xet.shard import Term
from api.hf.xet.xorb import Chunk, read_chunk, scan_chunks
from common.errors import Invalid

OpenXorb = Callable[[str], tuple[BinaryIO, int]]
"""Opens the xorb of a hash: its body and its size in bytes. Raises Invalid when there is none."""

_OPEN_XORBS = 16
"""Files of one shard mostly take runs from a few xorbs; this bounds open files and chunk lists."""


class Xorbs:
    """The xorbs of one session, the last few kept open. Use `with`."""

    def __init__(self, open_xorb: OpenXorb) -> None:
        self._open_xorb = open_xorb
        self._open: dict[str, tuple[BinaryIO, list[Chunk]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for body, _chunks in self._open.values():
                stack.callback(body.close)
            self._open.clear()

    def plain_bytes(self, terms: Iterable[Term]) -> Iterator[bytes]:
        """The bytes of a file, a chunk at a time. Raises Invalid for a xorb that is missing or broken, and for a term that
        names chunks its xorb does not have or states another length.
        """
        for term in terms:
            body, chunks = self._get(term.xorb)
            if term.end > len(chunks):
                raise Invalid("A term of the shard names chunks that its xorb does not have.")
            run = chunks[term.first : term.end]
            if sum(chunk.plain_bytes for chunk in run) != term.plain_bytes:
                raise Invalid("A term of the shard states another length than its chunks have.")
            for chunk in run:
                yield read_chunk(body, chunk)

    def _get(self, xorb: str) -> tuple[BinaryIO, list[Chunk]]:
        if xorb in self._open:
            # moved to the end, so that the first one is always the longest unused
            self._open[xorb] = self._open.pop(xorb)
            return self._open[xorb]
        body, size_bytes = self._open_xorb(xorb)
        try:
            chunks = scan_chunks(body, size_bytes)
        except BaseException:
            body.close()
            raise
        if len(self._open) == _OPEN_XORBS:
            self._open.pop(next(iter(self._open)))[0].close()
        self._open[xorb] = (body, chunks)
        return self._open[xorb]
