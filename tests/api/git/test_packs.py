"""Packs from strangers: read to the last byte or refused, whatever they say of themselves, in bounded memory."""

import hashlib
import os
import random
import struct
import tracemalloc
import zlib
from contextlib import closing

import pytest

from common.errors import Invalid, TooLarge
from registry.services import gitpacks
from registry.services.gitpacks import BrokenPack, IncomingPack, Spool
from tests.api.git.packs import BLOB, COMMIT, OFS_DELTA, REF_DELTA, TREE, Objects, delta, entry, oid_of, pack_of

MIB = 1024**2


def spool_of(raw: bytes, piece: int = 1000) -> Spool:
    spool = Spool()
    for start in range(0, len(raw), piece):
        spool.write(raw[start : start + piece])
    return spool


def contents(raw: bytes, *oids: str, piece: int = MIB) -> list[bytes | None]:
    """What a pack holds under some ids."""
    with closing(spool_of(raw, piece)) as spool, IncomingPack(spool) as pack:
        for _ in pack.index():
            pass
        if pack.too_large:
            raise pack.too_large
        found = [pack.find(oid) for oid in oids]
        return [pack.content(each) if each else None for each in found]


def test_objects_whole_and_as_deltas_are_found_by_their_id() -> None:
    base = os.urandom(5000)
    first, second = base + b"one", base[:4000] + b"two" + base[4000:]
    third = second + b"three"
    oids = [oid_of(BLOB, content) for content in (base, first, second, third)]
    whole = entry(BLOB, base)
    near = entry(OFS_DELTA, delta(base, first), base=len(whole))
    # by name, before its own base has come; the base is a delta itself
    ahead = entry(REF_DELTA, delta(second, third), base=bytes.fromhex(oids[2]))
    behind = entry(REF_DELTA, delta(base, second), base=bytes.fromhex(oids[0]))
    raw = pack_of([whole, near, ahead, behind, entry(BLOB, b""), entry(BLOB, base)])
    for piece in (1, 19, MIB):
        found = contents(raw, *oids, oid_of(BLOB, b""), "0" * 40, piece=piece)
        assert found == [base, first, second, third, b"", None]


def test_a_long_chain_of_deltas_is_settled() -> None:
    content = b"start\n" * 100
    entries, oids = [entry(BLOB, content)], []
    for number in range(3000):
        before, content = content, content + b"%d" % number if number % 50 else b"start\n" * 100
        entries.append(entry(OFS_DELTA, delta(before, content), base=len(entries[-1])))
        oids.append(oid_of(BLOB, content))
    assert contents(pack_of(entries), oids[-1]) == [content]


def lie(size: int) -> bytes:
    """A delta of a few bytes that says its result has `size`."""
    number, raw = size, b""
    while True:
        raw += bytes([number & 0x7F | (0x80 if number > 0x7F else 0)])
        number >>= 7
        if not number:
            return b"\x01" + raw + b"\x91\x00\x01"


BASE = entry(BLOB, b"x")
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "no-pack": b"PACKET" * 100,
    "digest": pack_of([BASE])[:-1] + b"\x00",
    "cut": pack_of([BASE, entry(BLOB, os.urandom(3000))])[:-1500],
    "cut-inside": pack_of([BASE[:-3]]),
    "version": b"",
    "fewer": pack_of([BASE], count=2),
    "more": pack_of([BASE, BASE], count=1),
    "trailing": pack_of([BASE, b"rubbish"], count=1),
    "type-0": pack_of([bytes([0x01]) + zlib.compress(b"x")]),
    "type-5": pack_of([bytes([0x51]) + zlib.compress(b"x")]),
    "longer-than-said": pack_of([entry(BLOB, b"xyz", size=2)]),
    "shorter-than-said": pack_of([entry(BLOB, b"xyz", size=4)]),
    "endless-length": pack_of([b"\xbf" + b"\xff" * 4000 + b"\x01"]),
    "huge-length": pack_of([b"\xbf" + b"\xff" * 7 + b"\x7f" + zlib.compress(b"x")]),
    "not-deflated": pack_of([bytes([0x35]) + b"\xde\xad\xbe\xef" * 20]),
    "bomb": pack_of([entry(BLOB, bytes(30 * MIB), size=1000)]),
    "delta-to-nowhere": pack_of([BASE, entry(OFS_DELTA, delta(b"x", b"xy"), base=5)]),
    "delta-before-the-pack": pack_of([BASE, entry(OFS_DELTA, delta(b"x", b"xy"), base=10_000)]),
    "delta-on-itself": pack_of([BASE, entry(OFS_DELTA, delta(b"x", b"xy"), base=0)]),
    "thin": pack_of([entry(REF_DELTA, delta(b"x" * 100, b"x" * 101), base=bytes(20))]),
    "circle": pack_of([
        entry(REF_DELTA, delta(b"one" * 30, b"two" * 30), base=bytes.fromhex(oid_of(BLOB, b"one" * 30))),
        entry(REF_DELTA, delta(b"two" * 30, b"one" * 30), base=bytes.fromhex(oid_of(BLOB, b"two" * 30))),
    ]),
    "other-base-length": pack_of([BASE, entry(OFS_DELTA, delta(b"xx", b"xxy"), base=len(BASE))]),
    "delta-lies": pack_of([BASE, entry(OFS_DELTA, lie(500), base=len(BASE))]),
    "delta-lies-much": pack_of([BASE, entry(OFS_DELTA, lie(2**40), base=len(BASE))]),
    "delta-lies-without-end": pack_of([BASE, entry(OFS_DELTA, lie(2**90), base=len(BASE))]),
    "delta-without-length": pack_of([BASE, entry(OFS_DELTA, b"\xff\xff", base=len(BASE))]),
    "delta-empty": pack_of([BASE, entry(OFS_DELTA, b"", base=len(BASE))]),
    "delta-cut": pack_of([BASE, entry(OFS_DELTA, delta(b"x", b"x" + bytes(range(99)))[:-20], base=len(BASE))]),
    "delta-reads-outside": pack_of([BASE, entry(OFS_DELTA, b"\x01\x40\xb1\x50\x60\x40", base=len(BASE))]),
    "delta-of-nothing-but-steps": pack_of([BASE, entry(OFS_DELTA, b"\x01\x02" + b"\x01a" * 5000, base=len(BASE))]),
    "many-files-said": pack_of([BASE], count=2**32 - 1),
    "tree-too-long": pack_of([entry(TREE, bytes(5 * MIB))]),
    "commit-too-long": pack_of([entry(COMMIT, bytes(2 * MIB))]),
}  # fmt: skip
_raw = bytearray(pack_of([BASE])[:-20])
_raw[7] = 9
HOSTILE["version"] = bytes(_raw) + hashlib.sha1(_raw).digest()


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_honest_pack_is_refused_with_a_sentence(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((BrokenPack, TooLarge)) as error:
            contents(raw)
        assert error.value.message.endswith(".")
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()


def test_a_pack_of_bombs_ends_at_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitpacks, "OF_PUSHES", gitpacks.Limits(inflated_bytes=20 * MIB))
    with pytest.raises(TooLarge, match="git lfs"):
        contents(pack_of([entry(BLOB, bytes(9 * MIB))] * 3))
    base = bytes(9 * MIB)
    whole = entry(BLOB, base)
    copies, at = [whole], len(whole)
    for _ in range(2):
        copies.append(entry(OFS_DELTA, delta(base, base + b"x"), base=at))
        at = len(copies[-1])
    with pytest.raises(TooLarge, match="push a part"):
        contents(pack_of(copies))


def test_too_many_objects_and_too_many_bytes_are_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitpacks, "OF_PUSHES", gitpacks.Limits(objects=2))
    with pytest.raises(TooLarge, match="3 objects; 2 can be taken"):
        contents(pack_of([BASE] * 3))
    monkeypatch.setattr(gitpacks, "OF_PUSHES", gitpacks.Limits(pack_bytes=50))
    with closing(spool_of(pack_of([entry(BLOB, os.urandom(100))]), 10)) as spool:
        assert spool.file.tell() <= 50
        with pytest.raises(TooLarge, match="git lfs"):
            spool.check()


def test_a_large_file_is_known_by_its_id_so_that_its_name_can_be_told() -> None:
    large = os.urandom(1000) * (11 * 1024)
    raw = pack_of([
        first := entry(BLOB, large),
        entry(OFS_DELTA, delta(large, large + b"more"), base=len(first)),
    ])  # fmt: skip
    with closing(spool_of(raw, MIB)) as spool, IncomingPack(spool) as pack:
        for _ in pack.index():
            pass
        packed = pack.find(oid_of(BLOB, large))
        assert packed is not None
        assert packed.size_bytes == len(large)
        assert isinstance(pack.too_large, TooLarge)
        with pytest.raises(TooLarge, match="git lfs migrate import"):
            pack.content(packed)


def test_packs_with_flipped_bits_are_read_or_refused_and_nothing_else() -> None:
    objects = Objects()
    objects.files({f"{number}.txt": b"content %d" % number * 50 for number in range(10)})
    base = b"base" * 100
    honest = [entry(kind, content) for kind, content in objects.all]
    honest.append(entry(BLOB, base))
    honest.append(entry(OFS_DELTA, delta(base, base + b"end"), base=len(honest[-1])))
    body = pack_of(honest)[12:-20]
    dice = random.Random(7)
    for _ in range(300):
        broken = bytearray(body)
        for _ in range(dice.randint(1, 3)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        head = b"PACK" + struct.pack(">LL", 2, len(honest))
        try:
            contents(head + bytes(broken) + hashlib.sha1(head + broken).digest())
        except (Invalid, TooLarge):
            pass
