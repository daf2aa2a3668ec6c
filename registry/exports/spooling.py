"""What is on its way into an archive: its name, its size, its bytes in pieces."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Self

from registry.services.gitobjects import spool_folder

_CHUNK = 1024**2


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an export. `sha256`: what its bytes must have, when that is known before they are read."""

    name: str
    size_bytes: int
    chunks: Iterable[bytes]
    sha256: str = ""

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> "Member":
        return cls(name, len(content), [content])

    def below(self, folder: str) -> "Member":
        """The same file, in a folder."""
        return Member(f"{folder}/{self.name}", self.size_bytes, self.chunks, self.sha256)


class Spooled:
    """A file without a name, for what has to be whole before its size is known. Use it in a `with`."""

    def __init__(self) -> None:
        self.count = 0
        """Pieces that were filled in."""
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=spool_folder())  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def fill(self, pieces: Iterable[bytes]) -> None:
        """Append the pieces."""
        for piece in pieces:
            self.file.write(piece)
            self.count += 1

    def member(self, name: str) -> Member:
        """All that was written, as a file of an export; read it while this is open."""
        return Member(name, self.file.seek(0, os.SEEK_END), self._read())

    def tail(self, count: int) -> bytes:
        """The last bytes."""
        self.file.seek(-count, os.SEEK_END)
        return self.file.read(count)

    def _read(self) -> Iterator[bytes]:
        self.file.seek(0)
        while chunk := self.file.read(_CHUNK):
            yield chunk
