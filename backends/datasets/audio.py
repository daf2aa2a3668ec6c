"""Sound: length, rate, channels, loudness, and the outline of the wave. Read a block at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it brings no types

from backends.datasets.layouts import File
from backends.datasets.numbers import summary, top

SAMPLES = 24
PEAKS = 120
"""Bars of a waveform."""
LISTED = 100
_BLOCK = 65_536


@dataclass(frozen=True)
class Clip:
    """`peaks`: the greatest amplitude (0–1) in each of PEAKS parts of equal length."""

    file: File
    duration_s: float = 0.0
    rate: int = 0
    channels: int = 0
    format: str = ""
    peaks: list[float] = field(default_factory=list)
    peak: float = 0.0
    problem: str = ""


def listen(file: File) -> Clip:
    """Decode the file to its end; `problem` says why that was not possible."""
    if _is_cut(file):
        return Clip(file, problem="it ends before its announced length")
    try:
        with soundfile.SoundFile(str(file.path)) as sound:
            frames = sound.frames
            if frames <= 0 or sound.samplerate <= 0:
                return Clip(file, problem="it holds no sound")
            peaks, at = np.zeros(PEAKS, dtype=np.float32), 0
            for block in sound.blocks(blocksize=_BLOCK, dtype="float32", always_2d=True):
                loud = np.nan_to_num(np.abs(block).max(axis=1))
                places = np.minimum((np.arange(at, at + len(loud)) * PEAKS) // frames, PEAKS - 1)
                np.maximum.at(peaks, places, loud)
                at += len(loud)
            if at < frames:
                return Clip(file, problem="it ends before its announced length")
            shown = [round(min(float(peak), 1.0), 3) for peak in peaks]
            return Clip(
                file, frames / sound.samplerate, sound.samplerate, sound.channels, sound.format, shown, max(shown)
            )
    except (RuntimeError, ValueError, OSError) as error:
        return Clip(file, problem=str(error).replace(str(file.path), "the file")[:160] or "it cannot be read")


def _is_cut(file: File) -> bool:
    """Whether a RIFF file is shorter than it says: libsndfile reads what is there and does not tell."""
    with file.path.open("rb") as stream:
        head = stream.read(8)
    return head.startswith(b"RIFF") and int.from_bytes(head[4:], "little") + 8 > file.size_bytes + 1


def describe(files: Sequence[File], *, has_classes: bool) -> tuple[dict[str, Any], list[Clip]]:
    """Statistics per split, damaged files and samples with their waveforms; and the clips, for rules."""
    clips = [listen(file) for file in sorted(files, key=lambda each: each.name)]
    splits = []
    for split in sorted({each.file.split for each in clips}):
        members = [each for each in clips if each.file.split == split]
        whole = [each for each in members if not each.problem]
        classes = Counter(each.file.label for each in members) if has_classes else Counter()
        splits.append(
            {
                "split": split,
                "count": len(members),
                "corrupt": len(members) - len(whole),
                "silent": sum(each.peak < 0.001 for each in whole),
                "total_s": sum(each.duration_s for each in whole),
                "duration_s": summary([each.duration_s for each in whole]),
                "rates": top(Counter(str(each.rate) for each in whole), 10),
                "channels": top(Counter(str(each.channels) for each in whole), 10),
                "formats": top(Counter(each.format for each in whole), 10),
                "classes": top(classes, 1000),
                "class_count": len(classes),
            }
        )
    good = [each for each in clips if not each.problem]
    step = max(1, len(good) // SAMPLES)
    return {
        "splits": splits,
        "corrupt": [{"path": each.file.name, "problem": each.problem} for each in clips if each.problem][:LISTED],
        "samples": [
            {
                "path": each.file.name,
                "split": each.file.split,
                "label": each.file.label if has_classes else "",
                "duration_s": each.duration_s,
                "rate": each.rate,
                "channels": each.channels,
                "peaks": each.peaks,
            }
            for each in good[::step][:SAMPLES]
        ],
    }, clips
