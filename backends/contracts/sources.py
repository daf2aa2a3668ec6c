"""A source lists files elsewhere and opens each as a stream. The one truth: it reaches the network only through the door it is given,
which knows the addresses that may be asked, and it holds no file in memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from backends.errors import Rejected

FIELD_LENGTH = 4000


class Answer(Protocol):
    """What the door gives: an answer read piece by piece. Names of `headers` are in small letters."""

    status: int
    headers: dict[str, str]

    def __iter__(self) -> Iterator[bytes]: ...


class Door(Protocol):
    """One request to an address that a person has typed: `common.outgoing.stream`, or what stands for it in a test. It checks each
    address, redirects' too, against what may be reached, and to another host hands on no header that could hold a credential."""

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        limit_bytes: int,
        timeout_s: float,
        follow: int = 0,
    ) -> AbstractContextManager[Answer]: ...


@dataclass(frozen=True)
class Field:
    """One thing that a source must be told. A secret is kept sealed, and only as long as the work takes."""

    name: str
    label: str
    help: str = ""
    is_required: bool = False
    is_secret: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFile:
    """One file that a source has. `path` is as the source names it: whoever takes the file checks it. `size_bytes`: None when only
    reading tells. `sha256`, `git_oid` (SHA-1 hex of git's blob): what the source says of the bytes, empty when it says nothing. `key`:
    what `open` needs besides, as JSON; it holds no secret, and pins the state that was listed where the source can pin one."""

    path: str
    size_bytes: int | None = None
    sha256: str = ""
    git_oid: str = ""
    key: Mapping[str, str] = field(default_factory=dict)


class Source(ABC):
    """Files elsewhere. What a caller does next is told by the error: `Rejected` (it cannot succeed as it is: tell the person), `Missing`
    (nothing is there), `Transient` (repeat the same call). Errors of the door pass through. No message repeats a secret."""

    name: ClassVar[str]
    title: ClassVar[str]
    """For people: what it is a source of."""
    fields: ClassVar[tuple[Field, ...]]

    def __init__(self, given: Mapping[str, str], door: Door) -> None:
        """`given` by the names of `fields`, as `settle` leaves it. Asks nobody. Raises Rejected for what cannot be."""
        self.given = given
        self.door = door

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the files are, for people and for the lineage: the same for the same thing, without secrets, at most 1000 characters."""

    @abstractmethod
    def files(self) -> Iterator[SourceFile]:
        """All files, page by page as it is read. Finite: a source that repeats itself is Rejected."""

    @abstractmethod
    def open(self, file: SourceFile, limit_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of a file that `files` has told of, now or in another process, in chunks. At most `limit_bytes`; more is an error
        while reading. What has changed since it was listed is Rejected where the source can tell."""

    def facts(self) -> dict[str, Any]:
        """What the source knows of how the files came about, to be kept as provenance: JSON, empty when it knows nothing."""
        return {}

    @classmethod
    def settle(cls, given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """What was given, divided into what may be shown and what is secret. Raises Rejected for what is missing, unknown or not one
        of the choices; its `args` are the sentence and the name of the field."""
        known = {each.name: each for each in cls.fields}
        if odd := sorted(set(given) - set(known)):
            raise Rejected(f"{cls.title} is not told «{odd[0][:60]}»: it takes {', '.join(known)}.", odd[0])
        shown: dict[str, str] = {}
        secret: dict[str, str] = {}
        for name, each in known.items():
            value = str(given.get(name, "") or "").strip() or each.default
            if not value and each.is_required:
                raise Rejected(f"{each.label} is missing.", name)
            if len(value) > FIELD_LENGTH or not value.isprintable():
                raise Rejected(f"{each.label} may have {FIELD_LENGTH} characters, without line breaks.", name)
            if each.choices and value not in each.choices:
                raise Rejected(f"{each.label} is one of {', '.join(each.choices)}.", name)
            if value:
                (secret if each.is_secret else shown)[name] = value
        return shown, secret
