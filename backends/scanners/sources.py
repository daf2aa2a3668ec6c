"""Source code, and the licence that it names."""

import re
from collections.abc import Iterable

from backends.contracts.scanners import Content, Finding, Scanner, Verdict

_LOOK_BYTES = 1024**2
_SHEBANG = re.compile(rb"#!\s*/\S+")
_LANGUAGES: tuple[tuple[str, re.Pattern[bytes], int], ...] = (
    ("Python", re.compile(rb"^(?:import [\w., ]+(?: as \w+)?$|from [\w.]+ import |def \w+\(.*(?::|\($|,$)|class \w+(?:\(.*\))?:|    return\b|if __name__ == |async def \w+\(|@\w[\w.]*(?:\(.*\))?$)", re.MULTILINE), 2),
    ("JavaScript", re.compile(rb"^\s*(?:(?:const|let|var) \w+ = |function \w*\(|export (?:default|const|function|class) |import .* from ['\"]|module\.exports\b|\}\)?;$)", re.MULTILINE), 3),
    ("C", re.compile(rb"^(?:#include [<\"][\w./]+[>\"]|#define \w+|(?:static |inline )*(?:int|void|char|float|double) \w+\(.*\) ?\{?$)", re.MULTILINE), 2),
    ("Java", re.compile(rb"^(?:package [\w.]+;|import (?:static )?[\w.*]+;|public (?:final |abstract )?(?:class|interface|enum) \w+)", re.MULTILINE), 2),
    ("Go", re.compile(rb"^(?:package \w+$|func (?:\(\w+ \*?\w+\) )?\w+\(|import \()", re.MULTILINE), 2),
    ("Rust", re.compile(rb"^(?:use [\w:]+(?:::\{.*\})?;|(?:pub )?fn \w+|impl(?:<.*>)? \w+|(?:pub )?(?:struct|enum|mod) \w+)", re.MULTILINE), 2),
    ("R", re.compile(rb"^(?:library\(\w+\)|\w[\w.]* <- function\()", re.MULTILINE), 2),
    ("a shell", re.compile(rb"^(?:set -[euxo]+|export \w+=|if \[\[? .* \]\]?; then|for \w+ in .*; do|(?:sudo )?(?:apt-get|pip|curl|wget) (?:install|-))", re.MULTILINE), 3),
)  # fmt: skip
_SPDX = re.compile(rb"SPDX-License-Identifier:\s*([A-Za-z0-9.+() -]{1,80}?)\s*(?:\*/|-->|$)", re.MULTILINE)
_KNOWN: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for name, pattern in (
        ("AGPL-3.0", rb"GNU Affero General Public License"),
        ("LGPL", rb"GNU (?:Lesser|Library) General Public License"),
        ("GPL", rb"GNU General Public License"),
        ("Apache-2.0", rb"Apache License,?\s+(?:#|//|\*)?\s*Version 2\.0"),
        ("MPL-2.0", rb"Mozilla Public License"),
        ("BSD", rb"Redistribution and use in source and binary forms"),
        ("MIT", rb"Permission is hereby granted, free of charge"),
        ("CC-BY-NC", rb"Creative Commons Attribution-NonCommercial"),
        ("all rights reserved", rb"All rights reserved\."),
    )
)
_FETCH_AND_RUN = re.compile(
    rb"(?:curl|wget)\b[^\n|;]*[|;]\s*(?:sudo\s+)?(?:ba|z|da)?sh\b|/dev/tcp/\d|bash\s+-i\s+>&|(?:exec|eval)\s*\(\s*(?:zlib\.decompress|base64\.b64decode|bytes\.fromhex|codecs\.decode|__import__)"
)


class SourceScanner(Scanner):
    """Source code is code. Says which licence it names, so that nobody ships what he may not. What fetches and runs, or unwraps and runs,
    is flagged."""

    name = "sources"
    rules_version = "1"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format != "text":
            return
        text = bytes(content.data[:_LOOK_BYTES])
        language = _language(text)
        if language:
            yield Finding("sources.code", Verdict.CODE, f"It is source code ({language}).")
            yield Finding("sources.licence", Verdict.CODE, _licence(text))
            if _FETCH_AND_RUN.search(text):
                yield Finding("sources.fetch", Verdict.FLAGGED, "It fetches or unwraps something and runs it.")


def _language(text: bytes) -> str:
    if _SHEBANG.match(text):
        return "a script"
    for name, pattern, needed in _LANGUAGES:
        for found, _ in enumerate(pattern.finditer(text), start=1):
            if found >= needed:
                # a README quotes code in fences; it is prose around them
                return "" if b"```" in text or (text.startswith((b"---\n", b"# ")) and name != "Python") else name
    return ""


def _licence(text: bytes) -> str:
    head = text[:16384]
    if found := _SPDX.search(head):
        return f"Licence named in it: {found.group(1).decode().strip()}."
    named = [name for name, pattern in _KNOWN if pattern.search(head)]
    return f"Licence named in it: {named[0]}." if named else "It names no licence."
