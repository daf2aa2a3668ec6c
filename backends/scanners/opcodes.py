"""Reading the opcodes of pickles: what a stream would import, call and set. Nothing is executed; strings are followed through stack
and memo as the unpickler would, because that is where names hide."""

import io
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_OPCODES = 5_000_000
_LOOK_BYTES = 64 * 1024**2
"""Opcodes stand at the front of pickles with tensors; what is not understood by here stays unproven anyway."""
_FRAMED = re.compile(rb"\x80[\x00-\x05]")
_TEXT_IMPORT = re.compile(rb"(?:^|\n|[(N0-9\]}l])[ci][A-Za-z_][\w.]*\n[A-Za-z_][\w.<>]*\n")
_BINARY_IMPORT = re.compile(
    rb"(?:\x8c.|X.{4})([A-Za-z_][\w.]{0,80})(?:\x94|q.|r.{4})?(?:\x8c.|X.{4})([A-Za-z_][\w.]{0,80})(?:\x94|q.|r.{4})?\x93",
    re.DOTALL,
)
_MOST_PLACES = 200


@dataclass
class Reading:
    """What is known of one stream of opcodes."""

    imports: set[tuple[str, str]] = field(default_factory=set)
    """Module and name of everything it imports; a part that is only known when it runs is `?`."""
    oddities: set[str] = field(default_factory=set)
    """Sentences on what no ordinary pickle does."""
    calls: int = 0
    end: int | None = None
    """Where the STOP is behind, when the stream came to one with a valid stack."""


class _Underflow(Exception):
    """An opcode takes what is not on the stack: these bytes are no pickle, or one that fails."""


_MARK: Any = object()
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_CALLS = frozenset({"REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "INST"})
_TEXTS = frozenset(
    {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)


class _Machine:
    """Stack and memo of an unpickler that holds strings and nothing else."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self.stack:
            raise _Underflow
        return self.stack.pop()

    def pop_to_mark(self) -> None:
        while self.pop() is not _MARK:
            pass

    def step(self, opcode: Any, argument: Any) -> None:
        name = opcode.name
        reading = self.reading
        if name in _CALLS:
            reading.calls += 1
        if name in _TEXTS:
            self.stack.append(argument if isinstance(argument, str) else None)
        elif name in _PUTS or name == "MEMOIZE":
            if not self.stack:
                raise _Underflow
            self.memo[len(self.memo) if name == "MEMOIZE" else int(argument)] = self.stack[-1]
        elif name in _GETS:
            self.stack.append(self.memo.get(int(argument)))
        elif name in {"GLOBAL", "INST"}:
            module, _, attribute = str(argument).partition(" ")
            reading.imports.add((module, attribute))
            if name == "INST":
                self.pop_to_mark()
            self.stack.append(None)
        elif name == "STACK_GLOBAL":
            attribute, module = self.pop(), self.pop()
            reading.imports.add(tuple(part if isinstance(part, str) else "?" for part in (module, attribute)))  # type: ignore[arg-type]
            self.stack.append(None)
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name == "DUP":
            if not self.stack:
                raise _Underflow
            self.stack.append(self.stack[-1])
        elif name == "POP":
            self.pop()
        else:
            self._by_description(opcode, name)

    def _by_description(self, opcode: Any, name: str) -> None:
        if name.startswith("EXT"):
            self.reading.oddities.add("It uses an extension code, whose meaning is not in the file.")
        elif name in {"PERSID", "BINPERSID"}:
            self.reading.oddities.add("It asks its reader for an object (persistent id).")
        elif name in {"NEXT_BUFFER", "READONLY_BUFFER"}:
            self.reading.oddities.add("It takes buffers from outside the file.")
        for kind in reversed(opcode.stack_before):
            if kind is pickletools.stackslice:
                continue
            if kind is pickletools.markobject:
                self.pop_to_mark()
            else:
                self.pop()
        self.stack.extend(None for _ in opcode.stack_after)


def read(data: bytes) -> Reading:
    """Follow the opcodes from the first byte to the STOP, or as far as they make sense."""
    reading = Reading()
    machine = _Machine(reading)
    stream = io.BytesIO(data)
    try:
        for count, (opcode, argument, _position) in enumerate(pickletools.genops(stream)):
            if opcode.name == "STOP":
                machine.pop()
                reading.end = stream.tell()
                return reading
            if opcode.name == "FRAME" and argument is not None and argument > len(data) - stream.tell():
                reading.oddities.add("A frame is said to be longer than the file.")
            machine.step(opcode, argument)
            if count > MOST_OPCODES:
                reading.oddities.add("It has more opcodes than are read.")
                return reading
    except Exception:  # noqa: BLE001  hostile input: genops raises whatever the bytes lead to
        return reading
    return reading


def is_pickle(data: memoryview, *, is_text: bool) -> bool:
    """Whether a reader of pickles would begin here: the opcodes import something, call what stands outside of the file, or come to
    an end. Text counts only when they come to an end and do more than stop: otherwise a full stop would be a pickle. An odd first
    opcode alone proves nothing: of random bytes, every fortieth file has one."""
    if _FRAMED.match(data[:2]):
        return True
    reading = read(bytes(data[: 65536 if is_text else _LOOK_BYTES]))
    if reading.end is not None:
        return bool(reading.end > 2 or reading.imports or reading.oddities)
    return not is_text and bool(reading.imports or (reading.oddities and reading.calls))


def all_of(data: memoryview) -> Iterator[tuple[int, Reading]]:
    """Every pickle of a file that holds several, one behind the other, by position; then what else imports something in the bytes
    that could not be followed (tensors between, a stream that is cut off or means to look like it)."""
    looked = bytes(data[:_LOOK_BYTES])
    at = 0
    for _ in range(_MOST_PLACES):
        reading = read(looked[at:])
        if reading.end is None:
            if at == 0 or reading.imports:
                yield at, reading
            break
        yield at, reading
        at += reading.end
        if at >= len(looked) or (not _FRAMED.match(looked[at : at + 2]) and read(looked[at:]).end is None):
            break
    rest = looked[at:]
    hidden = Reading(imports=set(hidden_imports(rest)))
    if hidden.imports:
        yield at, hidden


def hidden_imports(data: bytes) -> Iterator[tuple[str, str]]:
    """Module and name of what looks like an import opcode anywhere in these bytes."""
    for count, found in enumerate(_BINARY_IMPORT.finditer(data)):
        if count >= _MOST_PLACES:
            return
        yield found.group(1).decode(), found.group(2).decode()
    for text in _text_pickles(data):
        yield from text.imports


def _text_pickles(data: bytes) -> Iterator[Reading]:
    for count, found in enumerate(_TEXT_IMPORT.finditer(data)):
        if count >= _MOST_PLACES:
            return
        start = found.end() - len(found.group().lstrip(b"\n(N0123456789]}l"))
        reading = read(data[start : start + 65536])
        if reading.end is not None and reading.imports:
            yield reading


def in_text(text: bytes) -> set[tuple[str, str]]:
    """What pickles of the old text protocol import that stand somewhere in this text and can be read to their STOP."""
    return {each for reading in _text_pickles(text) for each in reading.imports}
