"""What a try-it form offers for a model, derived from its signature alone: how each input can be given and how each output is drawn.
Pure and total: a signature is what its publisher wrote, so anything in it may be missing or nonsense.

Beside name, datatype and shape the signature may say of an input `columns` (of a table's row), `image` (`width`, `height`, `channels`,
`layout` NCHW or NHWC, and `scale`, `mean`, `std`: a byte of a pixel times scale, less mean, divided by std is the number to send),
`audio` (`sample_rate`, `channels`); and of an output `classes`, `columns`, `role` (label, probabilities, boxes, scores, labels),
`box_format` (xyxy, xywh, cxcywh) and `box_units` (pixels of the input, or relative: 0 to 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NUMBERS = frozenset({"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"})
FLOATS = frozenset({"FP16", "FP32", "FP64"})
_SMALLEST_PICTURE, _LARGEST_PICTURE = 4, 4096
_DEFAULT_RATE = 16_000
_CHANNELS = {1: "grey", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class ImagePlan:
    """Pixels. `mean` and `std` have a value for each channel, or none."""

    width: int
    height: int
    channels: int
    layout: str
    scale: float
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def in_words(self) -> str:
        order = "channels first" if self.layout == "NCHW" else "channels last"
        colours = _CHANNELS[self.channels] + ("" if self.channels == 1 else f", {order}")
        values = "normalised" if self.mean or self.std else f"values 0 to {255 * self.scale:g}"
        return f"{self.width} × {self.height}, {colours}, {values}"


@dataclass(frozen=True)
class AudioPlan:
    """Samples from -1 to 1 (whole numbers for integer types). `samples` 0: as many as there are."""

    sample_rate: int
    channels: int
    samples: int

    @property
    def in_words(self) -> str:
        length = f", cut or filled up to {self.samples / self.sample_rate:.3g} s" if self.samples else ""
        return f"{self.sample_rate:,} samples a second, {'mono' if self.channels == 1 else f'{self.channels} channels'}{length}"


@dataclass(frozen=True)
class InputPlan:
    """`kind`: table, image, audio, text or json, the first that fits; a file and JSON fit every input besides."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    kind: str
    columns: tuple[str, ...] = ()
    image: ImagePlan | None = None
    audio: AudioPlan | None = None


@dataclass(frozen=True)
class OutputPlan:
    """`kind`: classes, label, boxes, scores, labels, table, text or json."""

    name: str
    kind: str
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    is_probability: bool = False
    box_format: str = "xyxy"
    is_relative: bool = False


@dataclass(frozen=True)
class TryForm:
    inputs: tuple[InputPlan, ...]
    outputs: tuple[OutputPlan, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def table(self) -> list[InputPlan]:
        """The inputs that are columns of one table."""
        return [each for each in self.inputs if each.kind == "table"]


def form_of(signature: object) -> TryForm:
    """The form for a signature; without inputs and outputs for what says nothing."""
    given = signature if isinstance(signature, Mapping) else {}
    task = str(given.get("task") or "").lower()
    return TryForm(
        tuple(_input(each, task) for each in _tensors(given.get("inputs"))),
        tuple(_output(each, task) for each in _tensors(given.get("outputs"))),
    )


def _input(each: Mapping[Any, Any], task: str) -> InputPlan:
    name, datatype, shape = str(each["name"]), str(each.get("datatype") or ""), _shape(each.get("shape"))
    columns = _texts(each.get("columns"))
    if (
        columns
        and shape[:1] == (-1,)
        and shape[1:] in {(len(columns),), (-1,)} | ({()} if len(columns) == 1 else set())
    ):
        return InputPlan(name, datatype, shape, "table", columns)
    if datatype in NUMBERS:
        if (image := _image(each.get("image"), shape, datatype, task)) is not None:
            return InputPlan(name, datatype, shape, "image", image=image)
        if (audio := _audio(each.get("audio"), shape, datatype, task)) is not None:
            return InputPlan(name, datatype, shape, "audio", audio=audio)
    is_text = datatype == "BYTES" and len(shape) in {1, 2} and set(shape) <= {-1, 1}
    return InputPlan(name, datatype, shape, "text" if is_text else "json")


def _image(said: object, shape: tuple[int, ...], datatype: str, task: str) -> ImagePlan | None:
    """What is said of the picture; where nothing is, what the shape says, if the task is about pictures."""
    given = said if isinstance(said, Mapping) else {}
    if not given and not any(word in task for word in ("image", "vision", "detection", "segmentation", "ocr")):
        return None
    layout = str(given.get("layout") or "").upper()
    if layout not in {"NCHW", "NHWC"}:
        layout = "NHWC" if len(shape) == 4 and shape[3] in _CHANNELS and shape[1] not in _CHANNELS else "NCHW"
    fixed: tuple[int, ...] = ()
    if len(shape) == 4:
        fixed = (shape[1], shape[2], shape[3]) if layout == "NCHW" else (shape[3], shape[1], shape[2])
    channels, height, width = (
        _whole(given.get(key)) or (fixed[place] if fixed else 0)
        for place, key in enumerate(("channels", "height", "width"))
    )
    sides_fit = all(_SMALLEST_PICTURE <= side <= _LARGEST_PICTURE for side in (width, height))
    dims_fit = all(size in {-1, wanted} for size, wanted in zip(fixed, (channels, height, width), strict=False))
    if channels not in _CHANNELS or not sides_fit or len(shape) != 4 or not dims_fit or shape[0] not in {-1, 1}:
        return None
    mean, std = (_per_channel(given.get(key), channels) for key in ("mean", "std"))
    scale = given.get("scale")
    default = 1 / 255 if datatype in FLOATS else 1.0
    return ImagePlan(
        width, height, channels, layout, float(scale) if _is_number(scale) and scale else default, mean,
        std if 0 not in std else (),
    )  # fmt: skip


def _audio(said: object, shape: tuple[int, ...], datatype: str, task: str) -> AudioPlan | None:
    given = said if isinstance(said, Mapping) else {}
    if not given and not any(word in task for word in ("audio", "speech", "sound")):
        return None
    if len(shape) not in {1, 2, 3} or datatype not in FLOATS | {"INT16", "INT32"}:
        return None
    channels = _whole(given.get("channels")) or (shape[1] if len(shape) == 3 and shape[1] > 0 else 1)
    rate = _whole(given.get("sample_rate")) or _DEFAULT_RATE
    fits = (len(shape) == 3 or channels == 1) and (len(shape) < 2 or shape[0] in {-1, 1})
    if not fits or channels > 2 or not 3000 <= rate <= 192_000:
        return None
    if len(shape) == 3 and shape[1] not in {-1, channels}:
        return None
    return AudioPlan(rate, channels, max(shape[-1], 0))


def _output(each: Mapping[Any, Any], task: str) -> OutputPlan:
    name, datatype, shape = str(each["name"]), str(each.get("datatype") or ""), _shape(each.get("shape"))
    role, classes, columns = (
        str(each.get("role") or "").lower(),
        _texts(each.get("classes")),
        _texts(each.get("columns")),
    )
    if "detection" in task or role in {"boxes", "scores", "labels"}:
        role = role or next((word for word in ("boxes", "scores", "labels") if word in name.lower()), "")
        if role == "boxes" and shape[-1:] == (4,):
            boxes = str(each.get("box_format") or "xyxy")
            return OutputPlan(
                name, "boxes", box_format=boxes if boxes in {"xyxy", "xywh", "cxcywh"} else "xyxy",
                is_relative=each.get("box_units") == "relative",
            )  # fmt: skip
        if role in {"scores", "labels"}:
            return OutputPlan(name, role, classes)
    if role == "label" or (datatype in {"BYTES", "INT64", "INT32"} and classes and len(shape) == 1):
        return OutputPlan(name, "label", classes)
    if classes and datatype in FLOATS and shape[-1:] in {(len(classes),), (-1,)}:
        return OutputPlan(name, "classes", classes, is_probability=role == "probabilities")
    if datatype == "BYTES":
        return OutputPlan(name, "text")
    return OutputPlan(name, "table" if len(shape) <= 2 else "json", columns=columns)


def _tensors(value: object) -> list[Mapping[Any, Any]]:
    return [each for each in _list(value) if isinstance(each, Mapping) and each.get("name")]


def _shape(value: object) -> tuple[int, ...]:
    return tuple(size if type(size) is int and size >= 0 else -1 for size in _list(value))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in _list(value))


def _per_channel(value: object, channels: int) -> tuple[float, ...]:
    values = _list(value)
    fits = len(values) == channels and all(_is_number(each) for each in values)
    return tuple(float(each) for each in values) if fits else ()


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else []
