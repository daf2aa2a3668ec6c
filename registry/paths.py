"""Names inside repositories: what a path, a branch, a version may look like. A path is a key in the database, never a file name
on the server."""

import re

from common.errors import Invalid
from registry.errors import PathNotAllowed
from registry.version_names import parse

PATH_LIMIT = 1000
SEGMENT_LIMIT = 255
"""Bytes of one segment: what the file systems that people clone to can hold."""

LATEST = "latest"
"""Where a version is asked for: the newest one, by the order of names, that is not withdrawn."""

PULL_PREFIX = "refs/pr/"
"""The branch of pull request N is called `refs/pr/N`, in the database, too."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_REF = re.compile(r"(?![/.])(?!.*(?://|\.\.|@\{|/\.|\.lock(?:/|\Z)))[^\x00-\x20\x7f~^:?*\[\\]{1,200}(?<![./])")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_SHORT_ID = re.compile(r"[0-9a-f]{5,40}")
_ALIAS = re.compile(r"[a-z](?:[a-z0-9._-]{0,38}[a-z0-9])?")


def check_path(path: str) -> str:
    """`path` itself when a commit may hold it: relative, no empty, `.` or `..` segment, no `.git` segment, no control
    character, no backslash. Raises PathNotAllowed."""
    problem = _problem(path)
    if problem:
        shown = path[:80].encode("ascii", "backslashreplace").decode()
        raise PathNotAllowed(f"The path {shown!r} is not allowed: {problem}.", path=shown)
    return path


def _problem(path: str) -> str:
    if not path:
        return "it is empty"
    if len(path) > PATH_LIMIT:
        return f"it is longer than {PATH_LIMIT} characters"
    if _CONTROL.search(path):
        return "it holds a control character"
    if "\\" in path:
        return "it holds a backslash"
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            return "it begins or ends with a slash, or has an empty, . or .. part"
        if segment.lower() == ".git" or segment.lower().startswith("git~"):
            return "git keeps that name for itself"
        if len(segment.encode()) > SEGMENT_LIMIT:
            return f"a part is longer than {SEGMENT_LIMIT} bytes"
    return ""


def check_ref(name: str) -> str:
    """`name` itself when a branch or tag may have it: git's rules, no 40-hex name, which would hide a commit, and nothing below
    `refs/`, where the branches of pull requests are. Raises Invalid."""
    is_kept = name in {"@", "HEAD", "refs"} or name.startswith(("-", "refs/"))
    if not _REF.fullmatch(name) or _COMMIT_ID.fullmatch(name) or is_kept:
        raise Invalid("This is not a valid branch or tag name.", fields={"name": "not valid"})
    return name


def check_alias(name: str) -> str:
    """`name` itself when it may be the alias of a version: a lower-case word that is no version's name, no commit's and not `latest`,
    which always is the newest. Raises Invalid."""
    if not _ALIAS.fullmatch(name) or name == LATEST or _SHORT_ID.fullmatch(name) or parse(name) is not None:
        raise Invalid(
            "An alias is a word like champion or staging: lower-case letters, digits, dot, dash, underscore, a letter first; "
            "not latest, which always is the newest version.",
            fields={"name": "not valid"},
        )
    return name


def is_alias(text: str) -> bool:
    """Whether an alias could be called so, without asking whether there is one."""
    return bool(_ALIAS.fullmatch(text))
