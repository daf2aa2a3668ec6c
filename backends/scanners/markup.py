"""SVG and HTML: pictures and pages that can act."""

import re
from collections.abc import Iterable

from backends.contracts.scanners import Content, Finding, Scanner, Verdict

_LOOK_BYTES = 16 * 1024**2
_IS_MARKUP = re.compile(
    rb"^\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype\s+(?:html|svg)|<html\b|<svg\b|<(?:\w+:)?svg\b|<!doctype)",
    re.IGNORECASE | re.DOTALL,
)
_RULES: tuple[tuple[str, re.Pattern[bytes], str], ...] = (
    ("script", re.compile(rb"<\s*(?:\w+:)?script\b", re.IGNORECASE), "It holds a script."),
    ("handler", re.compile(rb"[\s\"'/]on[a-z]{3,20}\s*=", re.IGNORECASE), "It holds an event handler, which is a script."),
    ("address", re.compile(rb"(?:javascript|vbscript)\s*:|data\s*:\s*text/html", re.IGNORECASE), "An address in it is a script."),
    ("entity", re.compile(rb"<!ENTITY\b", re.IGNORECASE), "It declares entities, which read files or grow without end."),
    ("foreign", re.compile(rb"<\s*(?:\w+:)?(?:foreignObject|iframe|object|embed)\b", re.IGNORECASE), "It embeds another document."),
    ("animate", re.compile(rb"<\s*(?:animate|set)\b[^>]*attributeName\s*=\s*[\"']?(?:xlink:)?href", re.IGNORECASE), "It changes an address while it is shown."),
    ("remote", re.compile(rb"(?:xlink:)?href\s*=\s*[\"']\s*(?:https?:)?//[^\"']*[\"'][^>]*>|@import\b|url\(\s*[\"']?(?:https?:)?//", re.IGNORECASE), "It loads something from elsewhere."),
)  # fmt: skip


class MarkupScanner(Scanner):
    """Documents in SVG are pictures only without anything that acts: scripts, handlers and entities are flagged. HTML is code."""

    name = "markup"
    rules_version = "1"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format != "text" or not _IS_MARKUP.match(content.head):
            return
        data = bytes(content.data[:_LOOK_BYTES])
        is_svg = re.search(rb"<(?:\w+:)?svg\b", content.head, re.IGNORECASE) is not None
        if content.size > _LOOK_BYTES:
            yield Finding("markup.long", Verdict.UNKNOWN, "The document is too long to be read to its end.")
        if not is_svg:
            yield Finding("markup.html", Verdict.CODE, "It is a page: opening it runs what it holds.")
        for rule, pattern, message in _RULES:
            if rule == "remote" and not is_svg:
                continue
            if pattern.search(data):
                # an SVG is taken for a picture and shown in place; a page is opened knowingly
                is_usual = not is_svg and rule in {"script", "handler", "foreign"}
                yield Finding(f"markup.{rule}", Verdict.CODE if is_usual else Verdict.FLAGGED, message)
