"""The formats of environment locks, each to one list of packages.

A lock pins every package to one version; what only gives ranges is read all the same and called not locked. Nothing is resolved,
nothing that a file points to is followed, and no line is ever given to an installer."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

BYTES_LIMIT = 16 * 1024**2
PACKAGES_LIMIT = 5_000
TEXT_LIMIT = 200
PYPI, CONDA, OTHER = "pypi", "conda", "other"
_NOTES_LIMIT = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONDA = re.compile(r"(?:(?P<channel>[\w./:-]+)::)?(?P<name>[A-Za-z0-9_][\w.-]*)\s*(?P<rest>.*)")
_EXACT = re.compile(r"==?\s*(?P<version>[^\s=<>!~*,|]+)(?:=(?P<build>[^\s=]+))?")
_CONDA_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-[^-]+?\.(?:conda|tar\.bz2)")


class Unreadable(Exception):
    """The file is not what its name says; the message is a sentence."""


@dataclass(frozen=True, order=True)
class Package:
    """`version` is the one exact version, or empty; `wanted` is what the file says instead. `ecosystem`: pypi, conda or other."""

    name: str
    version: str = ""
    wanted: str = ""
    ecosystem: str = PYPI
    has_hash: bool = False


@dataclass
class Lock:
    """`notes`: what was passed over, in sentences."""

    format: str
    packages: list[Package] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_cut: bool = False

    def note(self, text: str) -> None:
        if len(self.notes) < _NOTES_LIMIT:
            self.notes.append(text[:TEXT_LIMIT])


def read_lock(name: str, raw: bytes) -> Lock:
    """What the file called `name` says. Packages come by name, each version once. Raises Unreadable."""
    if len(raw) > BYTES_LIMIT:
        raise Unreadable(f"It is larger than {BYTES_LIMIT // 1024**2} MiB, which no environment is.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("It is not UTF-8 text.") from error
    label, read = FORMATS[name]
    lock = Lock(label)
    try:
        found = sorted(set(read(text, lock)), key=lambda each: (each.name.lower(), each))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise Unreadable(f"It is not what {name} should be, or it is of a version that is not known here.") from error
    merged: dict[tuple[str, str, str, str], Package] = {}
    for each in found:
        # the same package for several platforms is one line; a hash for one of them is a hash
        key = (each.name, each.version, each.wanted, each.ecosystem)
        merged[key] = each if each.has_hash or key not in merged else merged[key]
    lock.packages = list(merged.values())
    if len(lock.packages) > PACKAGES_LIMIT:
        lock.packages, lock.is_cut = lock.packages[:PACKAGES_LIMIT], True
    return lock


def _requirements(text: str, lock: Lock) -> Iterator[Package]:
    """https://pip.pypa.io/en/stable/reference/requirements-file-format/"""
    for line in _lines(text):
        if line.startswith(("-r", "--requirement", "-c", "--constraint")):
            lock.note(f"Another file is named and not followed: {line}")
        elif line.startswith(("-e", "--editable", ".", "/", "git+", "http:", "https:", "file:")):
            lock.note(f"No package of an index: {line}")
        elif not line.startswith("-"):
            if (package := _requirement(line)) is None:
                lock.note(f"Not understood: {line}")
            else:
                yield package


def _lines(text: str) -> Iterator[str]:
    """Without comments, with continued lines joined."""
    waiting = ""
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if line.endswith("\\"):
            waiting += line[:-1] + " "
            continue
        whole, waiting = (waiting + line).strip(), ""
        if whole:
            yield whole
    if waiting.strip():
        yield waiting.strip()


def _requirement(line: str) -> Package | None:
    has_hash = "--hash" in line
    head = re.split(r"\s--[a-z]", f"{line} ", maxsplit=1)[0].strip()
    try:
        wanted = Requirement(head)
    except InvalidRequirement:
        return None
    pins = [each.version for each in wanted.specifier if each.operator in {"==", "==="} and "*" not in each.version]
    version = pins[0] if len(pins) == 1 and len(wanted.specifier) == 1 else ""
    said = "" if version else wanted.url or str(wanted.specifier) or "any version"
    return _package(wanted.name, version, said, PYPI, has_hash=has_hash)


def _uv(text: str, lock: Lock) -> Iterator[Package]:
    """https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile"""
    document = tomllib.loads(text)
    if not isinstance(document["version"], int):
        raise Unreadable("It has no version of the format.")
    for each in document.get("package") or []:
        source = each.get("source") or {}
        if "virtual" in source or "editable" in source or "directory" in source:
            continue  # the project itself
        files = [each.get("sdist"), *(each.get("wheels") or [])]
        where = PYPI if "registry" in source else OTHER
        yield _package(each["name"], each.get("version", ""), "", where, has_hash=_hashed(files))


def _poetry(text: str, lock: Lock) -> Iterator[Package]:
    """https://python-poetry.org/docs/basic-usage/: version 1 keeps the hashes apart, version 2 with each package."""
    document = tomllib.loads(text)
    metadata = document["metadata"]
    apart = metadata.get("files") or metadata.get("hashes") or {}
    for each in document.get("package") or []:
        files = each.get("files") or apart.get(each["name"]) or []
        where = OTHER if (each.get("source") or {}).get("type") in {"git", "directory", "file", "url"} else PYPI
        yield _package(each["name"], each["version"], "", where, has_hash=bool(files))


def _pixi(text: str, lock: Lock) -> Iterator[Package]:
    """https://pixi.sh/latest/workspace/lockfile/: versions 4 to 6 tell packages by their addresses."""
    document = _yaml(text)
    if not 4 <= document["version"] <= 9:
        raise Unreadable("It is of a version of the format that is not known here.")
    for each in document["packages"]:
        address = each.get("conda") or each.get("pypi") or each.get("url") or ""
        ecosystem = CONDA if each.get("conda") or each.get("kind") == "conda" else PYPI
        name, version = each.get("name"), each.get("version")
        if name is None or version is None:
            match = _CONDA_FILE.fullmatch(unquote(urlsplit(address).path.rsplit("/", 1)[-1]))
            name, version = (match["name"], match["version"]) if match else (name, version)
        if name is None:
            lock.note(f"No package can be told from {address}")
            continue
        has_hash = bool(each.get("sha256") or each.get("md5"))
        yield _package(name, version or "", "" if version else "any version", ecosystem, has_hash=has_hash)


def _conda_lock(text: str, lock: Lock) -> Iterator[Package]:
    """https://conda.github.io/conda-lock/output/: the unified format, version 1."""
    document = _yaml(text)
    if document["version"] != 1:
        raise Unreadable("It is of a version of the format that is not known here.")
    for each in document["package"]:
        where = PYPI if each.get("manager") == "pip" else CONDA
        yield _package(each["name"], each["version"], "", where, has_hash=_hashed([each.get("hash")]))


def _conda(text: str, lock: Lock) -> Iterator[Package]:
    """`conda env export`, and MLflow's conda.yaml: a list of conda's short words, one of them a list for pip."""
    for each in _yaml(text)["dependencies"]:
        if isinstance(each, dict):
            yield from _pip(each.get("pip"), lock)
        elif not isinstance(each, str) or (package := _conda_word(each)) is None:
            lock.note(f"Not understood: {each}" if isinstance(each, str) else "A line was not understood.")
        else:
            yield package


def _conda_word(word: str) -> Package | None:
    match = _CONDA.fullmatch(word.strip())
    if match is None:
        return None
    rest = match["rest"].strip()
    exact = _EXACT.fullmatch(rest)
    # one equals sign takes every version that begins so: with three numbers that is one release, in all but name
    if exact and (exact["build"] or rest.startswith("==") or exact["version"].count(".") >= 2):
        return _package(match["name"], exact["version"], "", CONDA)
    return _package(match["name"], "", rest or "any version", CONDA)


def _python_env(text: str, lock: Lock) -> Iterator[Package]:
    """MLflow's python_env.yaml: the interpreter, what builds, what is needed."""
    document = _yaml(text)
    if python := document.get("python"):
        yield _package("python", python, "", OTHER)
    for part in ("build_dependencies", "dependencies"):
        yield from _pip(document.get(part), lock)


def _pip(lines: Any, lock: Lock) -> Iterator[Package]:
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, str):
            yield from _requirements(line, lock)


FORMATS: dict[str, tuple[str, Callable[[str, Lock], Iterable[Package]]]] = {
    "uv.lock": ("uv", _uv),
    "poetry.lock": ("Poetry", _poetry),
    "pixi.lock": ("pixi", _pixi),
    "conda-lock.yml": ("conda-lock", _conda_lock),
    "requirements.lock": ("pip requirements", _requirements),
    "requirements.txt": ("pip requirements", _requirements),
    "conda.yaml": ("conda environment", _conda),
    "environment.yml": ("conda environment", _conda),
    "environment.yaml": ("conda environment", _conda),
    "python_env.yaml": ("MLflow Python environment", _python_env),
}
"""What is recognised, by its name at the root; the first that is there is read."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe, and every scalar a text: 3.10 is no number here. Aliases share what they name; nothing here is ever expanded."""


_Loader.yaml_implicit_resolvers = {}


def _yaml(text: str) -> dict[str, Any]:
    document = yaml.load(text, Loader=_Loader)  # noqa: S506, TID251 - a SafeLoader, inside of the sandbox
    if not isinstance(document, dict):
        raise Unreadable("It holds no settings.")
    if isinstance(document.get("version"), str) and document["version"].isdigit():
        document["version"] = int(document["version"])
    return document


def _hashed(files: Iterable[Any]) -> bool:
    return any(isinstance(each, dict) and (each.get("hash") or each.get("sha256") or each.get("md5")) for each in files)


def _package(name: str, version: str, wanted: str, ecosystem: str, *, has_hash: bool = False) -> Package:
    if not isinstance(name, str) or not isinstance(version, str):
        raise TypeError("a name and a version are texts")
    plain = canonicalize_name(name) if ecosystem == PYPI and _NAME.fullmatch(name) else name
    return Package(_text(plain), _text(version), _text(wanted), ecosystem, has_hash)


def _text(value: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in value).strip()[:TEXT_LIMIT]
