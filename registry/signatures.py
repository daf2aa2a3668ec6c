"""Whether a program that calls one version of a model can call another without a change of its own.

A signature names inputs and outputs with Open Inference datatypes, shapes (-1 where the caller chooses), the columns of a table's
row, the classes of an answer, and how a picture becomes numbers. The rule is that of types: a version may ask for less than the one
before and may give more, never the other way round."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class Compatibility(enum.StrEnum):
    """Worst last."""

    SAME = "compatible"
    ADDITIONS = "compatible with additions"
    UNKNOWN = "unknown"
    BREAKING = "breaking"


@dataclass(frozen=True)
class Reason:
    """One difference in words. `is_breaking` is False for what a caller does not notice."""

    text: str
    is_breaking: bool


@dataclass(frozen=True)
class SignatureVerdict:
    compatibility: Compatibility
    reasons: tuple[Reason, ...]

    @property
    def can_upgrade(self) -> bool:
        return self.compatibility in {Compatibility.SAME, Compatibility.ADDITIONS}


_NAMES = 8
"""Names listed in one reason."""


def compatibility(before: object, after: object) -> SignatureVerdict:
    """What a caller of `before` meets who is sent to `after`. Total: what is not a signature counts as one that says nothing, and
    of two of which one says nothing the verdict is unknown. Reflexive for what says something, and transitive as long as
    nothing breaks."""
    old, new = _Signature.of(before), _Signature.of(after)
    if old.is_empty or new.is_empty:
        if old.is_empty and new.is_empty:
            who = "Neither version says"
        else:
            who = f"The {'base' if old.is_empty else 'version'} does not say"
        return SignatureVerdict(Compatibility.UNKNOWN, (Reason(f"{who} what it takes and gives.", is_breaking=False),))
    reasons = (*_tasks(old, new), *_inputs(old, new), *_outputs(old, new))
    if any(reason.is_breaking for reason in reasons):
        return SignatureVerdict(Compatibility.BREAKING, reasons)
    return SignatureVerdict(Compatibility.ADDITIONS if reasons else Compatibility.SAME, reasons)


@dataclass(frozen=True)
class _Tensor:
    name: str
    datatype: str
    shape: tuple[int, ...] | None
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    image: tuple[tuple[str, object], ...]

    @classmethod
    def of(cls, each: Mapping[Any, Any]) -> "_Tensor":
        shape, image = each.get("shape"), each.get("image")
        return cls(
            str(each.get("name", "")),
            str(each.get("datatype", "")),
            tuple(size if type(size) is int and size >= 0 else -1 for size in shape)
            if isinstance(shape, list | tuple)
            else None,
            _texts(each.get("columns")),
            _texts(each.get("classes")),
            tuple(sorted((str(key), value) for key, value in image.items())) if isinstance(image, Mapping) else (),
        )


@dataclass(frozen=True)
class _Signature:
    task: str
    inputs: dict[str, _Tensor]
    outputs: dict[str, _Tensor]

    @classmethod
    def of(cls, value: object) -> "_Signature":
        given = value if isinstance(value, Mapping) else {}
        inputs, outputs = (
            {
                tensor.name: tensor
                for tensor in (_Tensor.of(each) for each in _list(given.get(part)) if isinstance(each, Mapping))
            }
            for part in ("inputs", "outputs")
        )
        return cls(str(given.get("task") or ""), inputs, outputs)

    @property
    def is_empty(self) -> bool:
        return not self.inputs and not self.outputs


def _tasks(old: _Signature, new: _Signature) -> Iterator[Reason]:
    if old.task != new.task and old.task and new.task:
        yield _broken(f"It does {new.task} instead of {old.task}.")


def _inputs(old: _Signature, new: _Signature) -> Iterator[Reason]:
    for name in sorted(old.inputs.keys() - new.inputs.keys()):
        yield _broken(f"The input {name} is gone.")
    for name in sorted(new.inputs.keys() - old.inputs.keys()):
        yield _broken(f"It needs a new input, {name}.")
    for name in sorted(old.inputs.keys() & new.inputs.keys()):
        one, two = old.inputs[name], new.inputs[name]
        if one.datatype != two.datatype:
            yield _broken(f"The input {name} is {two.datatype} instead of {one.datatype}.")
        yield from _columns(name, one.columns, two.columns)
        if one.image != two.image:
            yield _broken(f"The input {name} takes pictures of another size, colour or scale.")
        yield from _input_shape(name, one.shape, two.shape)


def _columns(name: str, one: Sequence[str], two: Sequence[str]) -> Iterator[Reason]:
    if one == two:
        return
    gone, new = [each for each in one if each not in two], [each for each in two if each not in one]
    if not two:
        yield _broken(f"The columns of the input {name} are not named any more: {_named(gone)}.")
    elif not one:
        yield Reason(f"The columns of the input {name} are named now.", is_breaking=False)
    elif gone or new:
        if gone:
            yield _broken(f"The input {name} has no column {_named(gone)} any more.")
        if new:
            yield _broken(f"The input {name} needs the new column {_named(new)}.")
    else:
        yield _broken(f"The columns of the input {name} stand in another order.")


def _input_shape(name: str, one: tuple[int, ...] | None, two: tuple[int, ...] | None) -> Iterator[Reason]:
    """What was accepted before must be accepted still."""
    if one == two or two is None:
        return
    if one is None or len(one) != len(two) or any(b not in {-1, a} for a, b in zip(one, two, strict=True)):
        yield _broken(f"The input {name} has the shape {_shape(two)} instead of {_shape(one)}.")
    else:
        yield Reason(f"The input {name} accepts more shapes: {_shape(two)}.", is_breaking=False)


def _outputs(old: _Signature, new: _Signature) -> Iterator[Reason]:
    for name in sorted(old.outputs.keys() - new.outputs.keys()):
        yield _broken(f"The output {name} is gone.")
    for name in sorted(new.outputs.keys() - old.outputs.keys()):
        yield Reason(f"There is a new output, {name}.", is_breaking=False)
    for name in sorted(old.outputs.keys() & new.outputs.keys()):
        one, two = old.outputs[name], new.outputs[name]
        if one.datatype != two.datatype:
            yield _broken(f"The output {name} is {two.datatype} instead of {one.datatype}.")
        yield from _classes(name, one.classes, two.classes)
        if one.columns != two.columns and one.columns:
            yield _broken(f"The output {name} has other columns.")
        yield from _output_shape(one, two)


def _classes(name: str, one: Sequence[str], two: Sequence[str]) -> Iterator[Reason]:
    if one == two:
        return
    gone, new = [each for each in one if each not in two], [each for each in two if each not in one]
    if gone:
        yield _broken(f"The output {name} knows no class {_named(gone)} any more.")
    elif not one:
        yield Reason(f"The classes of the output {name} are named now.", is_breaking=False)
    elif tuple(two[: len(one)]) != tuple(one):
        yield _broken(f"The classes of the output {name} stand in another order.")
    else:
        yield Reason(f"The output {name} knows a new class, {_named(new)}.", is_breaking=False)


def _output_shape(old: _Tensor, new: _Tensor) -> Iterator[Reason]:
    """What is given must be among what was given; a last dimension may grow by the classes that were added behind."""
    one, two, name = old.shape, new.shape, old.name
    if one == two or one is None:
        return
    if two is None or len(one) != len(two):
        yield _broken(f"The output {name} has the shape {_shape(two)} instead of {_shape(one)}.")
        return
    grown = bool(one) and one[-1] == len(old.classes) > 0 and two[-1] == len(new.classes) > len(old.classes)
    pairs = list(zip(one, two, strict=True))
    if any(a not in {-1, b} for a, b in (pairs[:-1] if grown else pairs)):
        yield _broken(f"The output {name} has the shape {_shape(two)} instead of {_shape(one)}.")
    elif not grown:
        yield Reason(f"The output {name} has a fixed shape now: {_shape(two)}.", is_breaking=False)


def _broken(text: str) -> Reason:
    return Reason(text, is_breaking=True)


def _named(names: Sequence[str]) -> str:
    return ", ".join(name[:60] for name in names[:_NAMES]) + (
        f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    )


def _shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "unknown"
    return " × ".join("any" if size == -1 else str(size) for size in shape) or "one number"


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in _list(value))


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
