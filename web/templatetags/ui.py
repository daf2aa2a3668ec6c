"""What templates need to show numbers, times and signs the house way. No tag reads the database."""

from datetime import datetime

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from common.clock import now
from common.money import Money, format_money
from web.faces import face_svg, hue_of

register = template.Library()

KIND_ICONS = {
    "model": "box",
    "dataset": "table",
    "algorithm": "workflow",
    "endpoint": "zap",
    "job": "cpu",
    "build": "package",
    "listing": "store",
    "order": "receipt",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """An icon of the sprite; it decorates, so it is hidden from assistive technology: the words stand beside it."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        classes,
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
def kind_icon(kind: str) -> SafeString:
    return icon(KIND_ICONS.get(kind, "circle-dashed"))


@register.simple_tag
def face(seed: object, kind: str = "model", shape: str = "wide") -> SafeString:
    """The generated pattern of `seed`; `shape` is wide, square or small."""
    svg = face_svg(str(seed), kind, is_square=shape != "wide", classes="face-small" if shape == "small" else "")
    return mark_safe(svg)  # noqa: S308 - built from numbers only


@register.filter
def hue(seed: object) -> str:
    return f"hue-{hue_of(str(seed))}"


@register.filter
def size(value: int | None) -> str:
    """Bytes for people: `1.4 MB` (powers of 1000, as disks and networks count)."""
    if value is None:
        return "–"
    if value < 1000:
        return f"{value} B"
    power = next((power for power in (1, 2, 3) if value < 999.95 * 1000**power), 4)
    amount, unit = value / 1000**power, ("kB", "MB", "GB", "TB")[power - 1]
    return f"{amount:.1f} {unit}" if amount < 100 else f"{amount:.0f} {unit}"


@register.filter
def count(value: int | None) -> str:
    """`12,345`."""
    return "–" if value is None else f"{value:,}"


@register.filter
def number(value: float | None) -> str:
    """A measured number, four significant digits, no trailing noise."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.3e}"


@register.filter
def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value * 100:.{digits}f} %"


@register.filter
def money(value: Money | None) -> str:
    return "–" if value is None else format_money(value).replace("-", "−")


@register.filter
def duration(value: float | None) -> str:
    """Seconds for people: `3 min 20 s`, `2 h 5 min`."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < _MINUTE:
        return f"{value:.0f} s"
    whole = round(value)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """`<time>` with the exact instant in the title: `5 min ago`, `in 3 days`, and the date when it is far."""
    if value is None:
        return "–"
    seconds = (now() - value).total_seconds()
    distance = abs(seconds)
    if distance < _MINUTE:
        words = "just now"
    elif distance < _HOUR:
        words = f"{distance // _MINUTE:.0f} min"
    elif distance < _DAY:
        words = f"{distance // _HOUR:.0f} h"
    elif distance < 30 * _DAY:
        days = int(distance // _DAY)
        words = f"{days} day" if days == 1 else f"{days} days"
    else:
        return _time(value, f"{value:%-d %b %Y}")
    if distance >= _MINUTE:
        words = f"{words} ago" if seconds > 0 else f"in {words}"
    return _time(value, words)


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """`<time>`: `2 Jan 2026, 15:04 UTC`."""
    return "–" if value is None else _time(value, f"{value:%-d %b %Y, %H:%M} UTC")


def _time(value: datetime, words: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', value.isoformat(), f"{value:%Y-%m-%d %H:%M:%S} UTC", words
    )


@register.filter
def short(digest: object, length: int = 8) -> str:
    return str(digest)[:length]


@register.filter
def initials(name: object) -> str:
    words = str(name).replace("-", " ").replace("_", " ").split()
    return "".join(word[0] for word in words[:2]) or "?"


@register.filter
def controllers(names: str) -> list[str]:
    """The addresses of controllers named with spaces between."""
    return [static(f"js/controllers/{name}.js") for name in names.split()]


@register.filter
def tone(level: str) -> str:
    """The tone of a component for a level of Django's messages."""
    return {"error": "danger", "warning": "caution", "success": "ok"}.get(level, "")
