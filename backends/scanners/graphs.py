"""ONNX models that reach outside of their file, and templates in GGUF headers."""

import re
from collections.abc import Iterable

from backends.contracts.scanners import Content, Finding, Scanner, Verdict
from backends.scanners import gguf, tensors
from backends.scanners.media import Malformed

_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"})
_TEMPLATE_ATTACK = re.compile(
    r"__\w+__|\b(?:import|eval|exec|popen|subprocess|getattr)\b\s*[(\s]|\bos\.|cycler|lipsum|joiner|namespace\.__|request\.|attr\s*\("
)


class GraphScanner(Scanner):
    """ONNX: tensors in other files are unknown, and flagged when the path leads out of the folder; operators that are in no standard need a
    library from somewhere, so they are code. GGUF: templates that reach for Python's insides are malicious."""

    name = "graphs"
    rules_version = "1"

    def look(self, content: Content) -> Iterable[Finding]:
        try:
            if content.format == "onnx":
                yield from _of_onnx(content.data)
            elif content.format == "gguf":
                yield from _of_gguf(content.data)
        except Malformed:
            return  # the structural scanner says so


def _of_onnx(data: memoryview) -> Iterable[Finding]:
    facts = tensors.onnx(data)
    for location in sorted(facts.locations)[:20]:
        shown = repr(location[:80])
        parts = re.split(r"[/\\]", location)
        if ".." in parts or parts[0] == "" or ":" in parts[0] or "\x00" in location:
            yield Finding(
                "graphs.external-path",
                Verdict.FLAGGED,
                f"It reads tensors from {shown}, which is outside of its folder.",
            )
        else:
            yield Finding(
                "graphs.external",
                Verdict.UNKNOWN,
                f"It keeps tensors in another file, {shown}, which may change apart from it.",
            )
    if facts.is_external and not facts.locations:
        yield Finding("graphs.external", Verdict.UNKNOWN, "It keeps tensors in other files, which it does not name.")
    for domain in sorted(facts.domains - _STANDARD - facts.functions)[:20]:
        said = f"It uses operators of {domain[:80]!r}, which need a library of native code from elsewhere."
        is_python = "contrib" in domain or "python" in domain.lower() or "aten" in domain
        yield Finding("graphs.custom-operator", Verdict.FLAGGED if is_python else Verdict.CODE, said)


def _of_gguf(data: memoryview) -> Iterable[Finding]:
    for key, text in gguf.texts(data):
        if "template" in key and (found := _TEMPLATE_ATTACK.search(text)):
            yield Finding(
                "graphs.template",
                Verdict.MALICIOUS if found.group().startswith("__") else Verdict.FLAGGED,
                f"The template {key[:80]} reaches for {found.group()[:40].strip()!r}, which no chat needs.",
            )
