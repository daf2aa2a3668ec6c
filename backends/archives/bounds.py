"""How much an archive may hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """`ratio`: unpacked to packed, asked from `ratio_from` unpacked bytes on: tables are packed ten to one, a picture of one colour a
    hundred."""

    entries: int = 100_000
    unpacked_bytes: int = 16 * 1024**3
    ratio: int = 300
    ratio_from: int = 64 * 1024**2
