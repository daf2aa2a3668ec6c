"""Names of members of archives: which may become paths, and which would be one file for one machine and two for another."""

import re
import unicodedata
from collections.abc import Iterable

SHOWN = 80
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")
# marks that turn the direction of writing, so that a name reads as another; and blanks without width
_DISGUISE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


class Refused(ValueError):
    """The archive is not unpacked; the message is a sentence that says why."""


def path_of(name: str) -> str:
    """The path that a member's name stands for, relative and plain; `./` before it is how tar writes a folder's own files. Raises Refused."""
    while name.startswith("./"):
        name = name[2:]
    problem = _problem(name)
    if problem:
        raise Refused(f"The archive holds {shown(name)}, and {problem}.")
    return name


def shown(name: str) -> str:
    """A name in a sentence, without what could disguise it."""
    return repr(name[:SHOWN].encode("ascii", "backslashreplace").decode())


def _problem(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name)
    ways = {".."} & {*name.split("/"), *folded.replace("\\", "/").split("/")}
    problems = (
        (not name, "a member without a name cannot be written"),
        (_CONTROL.search(name), "its name has a control character in it, or is not text"),
        (_DISGUISE.search(name), "its name has invisible marks in it, by which it reads as another"),
        (
            name.startswith("/") or _DRIVE.match(name),
            "that is an absolute path, outside of the folder it is unpacked into",
        ),
        ("\\" in name, "its name has a backslash in it, which some machines take for a slash"),
        (ways, "that leads out of the folder it is unpacked into"),
        (
            folded.count("/") != name.count("/") or "\\" in folded,
            "its name has a character in it that some machines take for a slash",
        ),
        ({"", "."} & {*name.split("/")}, "its path has an empty part"),
    )
    return next((said for is_so, said in problems if is_so), "")


def check_tree(names: Iterable[str], *, holder: str) -> set[str]:
    """Paths that `holder` (the archive, the source) brings: none twice, none that is a file and a folder. Returns the folders and the files.
    Raises Refused."""
    files: set[str] = set()
    folders: set[str] = set()
    for name in names:
        if name in files:
            raise Refused(f"{holder} holds {shown(name)} twice, and nobody can say which one is meant.")
        files.add(name)
        at = name.rpartition("/")[0]
        while at and at not in folders:
            folders.add(at)
            at = at.rpartition("/")[0]
    if both := sorted(files & folders):
        raise Refused(f"{holder} holds {shown(both[0])} as a file and as a folder.")
    return files | folders


def check_together(names: Iterable[str]) -> None:
    """Names of one archive, each passed by `path_of`, must be different files everywhere: `check_tree`, and no two that differ in case or
    spelling only. Raises Refused."""
    spelled: dict[str, str] = {}
    for name in sorted(check_tree(names, holder="The archive")):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
        before = spelled.setdefault(folded, name)
        if before != name:
            raise Refused(
                f"The archive holds {shown(before)} and {shown(name)}, which are one file on machines that do not tell them apart."
            )
