"""What surrounds every page: navigation, who is signed in, the theme."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from notices.queries import unread_count

THEMES = ("auto", "light", "dark")
SECTIONS = (
    (
        "Market",
        "/",
        (
            "/listings",
            "/orders",
            "/invoices",
            "/library",
            "/approvals",
            "/subscriptions",
            "/evaluations",
            "/certificates",
        ),
    ),
    ("Models", "/models", ()),
    ("Datasets", "/datasets", ()),
    ("Algorithms", "/algorithms", ()),
    ("Jobs", "/jobs", ()),
    ("Endpoints", "/endpoints", ()),
    ("Sell", "/sell", ("/earnings", "/payouts", "/recalls")),
    ("Licences", "/licences", ("/waivers",)),
)


@dataclass(frozen=True)
class Section:
    label: str
    href: str
    is_current: bool


@dataclass(frozen=True)
class Frame:
    """Names for `base/site.html`."""

    sections: list[Section]
    username: str
    is_staff: bool
    unread: int
    theme: str
    path: str
    is_debug: bool

    @classmethod
    def of(cls, request: HttpRequest) -> "Frame":
        actor = request.actor  # type: ignore[attr-defined]
        theme = request.COOKIES.get("theme", "auto")
        return cls(
            sections=[Section(label, href, _is_current(request.path, href, more)) for label, href, more in SECTIONS],
            username=actor.username,
            is_staff=actor.is_staff,
            unread=unread_count(actor) if actor.is_authenticated else 0,
            theme=theme if theme in THEMES else "auto",
            path=request.get_full_path(),
            is_debug=settings.DEBUG,
        )


def _is_current(path: str, href: str, more: tuple[str, ...]) -> bool:
    if href == "/":
        return path == "/" or path.startswith(more)
    return path == href or path.startswith((f"{href}/", *more))


def frame(request: HttpRequest) -> dict[str, Frame]:
    """Context processor: also the pages of allauth get a frame."""
    if not hasattr(request, "actor"):
        return {}
    return {"frame": getattr(request, "frame", None) or Frame.of(request)}
