"""What an export consists of: the names of its files, its version, the shape of its records (`export.schema.json`).

The names are a closed grammar. Nothing in them is anybody's choice: repositories are called by uuid, large files by SHA-256. So a
name out of an archive is compared with the grammar, and what does not fit is refused, before it is used for anything."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import strict_json
from common.errors import Invalid

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

FORMAT = "mercato-export"
VERSION = 1
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
COLLECTIONS = "collections.jsonl"
REPOSITORY = "repository.json"
RECORDS = (
    "refs", "large_files", "versions", "marks", "aliases", "alias_moves", "measurements", "signatures", "discussions",
    "discussion_events", "grants", "lineage", "scans", "derivations", "builds",
)  # fmt: skip
"""Documents of a repository, JSON Lines each, in the order in which an import reads them."""
KEPT = "refs/keep/"
"""Commits that something names (a version, a pull request) though no branch or tag leads to them, so that git keeps them, too."""
GIT_FILES = ("HEAD", "config", "packed-refs", "refs/.keep")

MANIFEST_BYTES = 64 * 1024**2
LINE_BYTES = 48 * 1024**2
"""One record. The longest is a signature over 100,000 files."""
MEMBERS_LIMIT = 20_000_000

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PACK = r"objects/pack/pack-[0-9a-f]{40}\.(?:pack|idx)"
_GIT = "|".join([*map(re.escape, GIT_FILES), _PACK])
_NAME = re.compile(
    rf"README\.txt|{re.escape(MANIFEST)}|{CHECKSUMS}|{re.escape(COLLECTIONS)}"
    rf"|repositories/{_UUID}/(?:{re.escape(REPOSITORY)}|(?:{'|'.join(RECORDS)})\.jsonl|git/(?:{_GIT}))"
    r"|lfs/objects/(?P<a>[0-9a-f]{2})/(?P<b>[0-9a-f]{2})/(?P=a)(?P=b)[0-9a-f]{60}"
)


def is_member(name: str) -> bool:
    """Whether a file of an export can be called so."""
    return len(name) <= 120 and _NAME.fullmatch(name) is not None


def lfs_name(sha256: str) -> str:
    """Where git-lfs looks for a large file below `lfs.storage`."""
    return f"lfs/objects/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def repo_name(uuid: object, name: str) -> str:
    """A file of one repository."""
    return f"repositories/{uuid}/{name}"


def pack_prefix(uuid: object) -> str:
    return repo_name(uuid, "git/objects/pack/pack-")


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of every document of the layout, by the name of the document below `$defs`."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("export.schema.json").read_bytes())
    return found


@cache
def _validator(document: str) -> "Validator":
    # its grammar of addresses takes a second to build: every process would pay, and an export or import alone needs it
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    return Draft202012Validator({**schema(), "$ref": f"#/$defs/{document}"})


def check(document: str, value: Any, where: str) -> Any:
    """`value` itself when it has the shape of the document. Raises Invalid, which names the file and the place."""
    error = next(iter(_validator(document).iter_errors(value)), None)
    if error is not None:
        place = "/".join(str(part)[:40] for part in error.absolute_path)
        raise Invalid(f"{where} is not as this layout has it{f', at {place}' if place else ''}: {error.message[:200]}.")
    return value


def lines(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """JSON Lines: a record each, its keys in order, so that equal records are equal bytes."""
    for record in records:
        yield strict_json.dumps(record) + b"\n"


def document(record: dict[str, Any]) -> bytes:
    """One document, for people to read, too."""
    return (json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse(raw: bytes, kind: str, where: str, limit: int = LINE_BYTES) -> Any:
    """A record out of a stranger's file. Raises Invalid, TooLarge."""
    try:
        value = strict_json.loads(raw, max_bytes=limit)
    except Invalid as error:
        raise Invalid(f"{where} cannot be read: {error.message}") from error
    return check(kind, value, where)
