"""The face of a thing that has no picture of its own: a pattern drawn from its identity, the same for ever.

The kind decides the motif (dots: dataset, quarter discs: model, bars: algorithm, waves: endpoint), the digest decides everything
else. Colours come from the style sheet (`hue-0` … `hue-11`, `f1` … `f3`), so that a face follows the theme without inline style."""

import hashlib
from collections.abc import Iterator

HUES = 12
TILE = 8
"""Edge of a tile in drawing units; a wide face is 96 × 24 of them, a square one 24 × 24."""


def hue_of(seed: str) -> int:
    """0 … 11, spread evenly."""
    return _bytes(seed)[0] % HUES


def face_svg(seed: str, kind: str, *, is_square: bool = False, classes: str = "") -> str:
    """An `<svg>` of about 1.5 kB. Takes nothing from the caller into the markup but `classes`, which is ours."""
    width = 24 if is_square else 96
    motif = {"dataset": _dots, "algorithm": _bars, "endpoint": _waves}.get(kind, _quarters)
    body = "".join(motif(_bytes(seed), width))
    shape = "face face-square" if is_square else "face"
    return (
        f'<svg class="{shape} hue-{hue_of(seed)} {classes}" viewBox="0 0 {width} 24" preserveAspectRatio="xMidYMid slice" '
        f'aria-hidden="true" focusable="false">{body}</svg>'
    )


def _bytes(seed: str) -> bytes:
    return hashlib.shake_256(f"face:{seed}".encode()).digest(160)


def _dots(data: bytes, width: int) -> Iterator[str]:
    step = 6
    for i, (x, y) in enumerate((x, y) for x in range(3, width, step) for y in range(3, 24, step)):
        value = data[1 + i]
        radius = (0.7, 1.2, 1.2, 1.8, 1.8, 2.5)[value % 6]
        yield f'<circle class="f{1 + (value >> 4) % 3}" cx="{x}" cy="{y}" r="{radius}"/>'


def _quarters(data: bytes, width: int) -> Iterator[str]:
    for i, (x, y) in enumerate((x, y) for x in range(0, width, TILE) for y in range(0, 24, TILE)):
        value = data[1 + i]
        fill = f"f{1 + (value >> 3) % 3}"
        turn, form = value & 3, (value >> 5) % 8
        if form == 0:
            yield f'<circle class="{fill}" cx="{x + 4}" cy="{y + 4}" r="2.5"/>'
        elif form <= 5:
            right, down = x + TILE, y + TILE
            yield (
                f'<path class="{fill}" d="'
                + (
                    f"M{x} {y}H{right}A8 8 0 0 1 {x} {down}Z",
                    f"M{right} {y}V{down}A8 8 0 0 1 {x} {y}Z",
                    f"M{right} {down}H{x}A8 8 0 0 1 {right} {y}Z",
                    f"M{x} {down}V{y}A8 8 0 0 1 {right} {down}Z",
                )[turn]
                + '"/>'
            )


def _bars(data: bytes, width: int) -> Iterator[str]:
    for i, x in enumerate(range(0, width, 4)):
        value = data[1 + i]
        height = 4 + value % 17
        yield f'<rect class="f{1 + (value >> 5) % 3}" x="{x + 0.5}" y="{24 - height}" width="3" height="{height}" rx="1.5"/>'


def _waves(data: bytes, width: int) -> Iterator[str]:
    for line in range(5):
        amplitude, period, shift = 1.5 + data[1 + line] % 4, (16, 24, 24, 32)[data[11 + line] % 4], data[21 + line] % 24
        y, x = 3.5 + line * 4.25, -shift
        path = f"M{x} {y}q{period / 4} {-amplitude * 2} {period / 2} 0"
        path += f"t{period / 2} 0" * (2 * (width + 48) // period)
        yield f'<path class="s{1 + (data[31 + line] + line) % 3}" stroke-width="1.4" d="{path}"/>'
