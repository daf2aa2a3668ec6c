"""Which address means what. Two base paths lead to the same models: `/v2` knows all by slug, `/serve/<namespace>/<endpoint>/v2`
one endpoint each, for clients that do not escape slashes in names."""

from dataclasses import dataclass
from enum import Enum, auto


class Deed(Enum):
    HEALTH = auto()
    METRICS = auto()
    LIVE = auto()
    READY = auto()
    SERVER = auto()
    INDEX = auto()
    ALL_STATISTICS = auto()
    MODEL = auto()
    MODEL_READY = auto()
    MODEL_STATISTICS = auto()
    INFER = auto()
    NOT_OFFERED = auto()


METHOD = {Deed.INFER: "POST", Deed.INDEX: "POST"}
"""What is not GET."""


@dataclass(frozen=True, slots=True)
class Route:
    """`model` is the model's name as it stands in the path, `version` too ("" when left out); `home` the namespace and endpoint
    of an own base path, in lower case."""

    deed: Deed
    model: str = ""
    version: str = ""
    home: tuple[str, str] | None = None

    @property
    def method(self) -> str:
        return METHOD.get(self.deed, "GET")


_SERVER = {
    (): Deed.SERVER,
    ("",): Deed.SERVER,
    ("health", "live"): Deed.LIVE,
    ("health", "ready"): Deed.READY,
    ("repository", "index"): Deed.INDEX,
    ("models", "stats"): Deed.ALL_STATISTICS,
}
_MODEL = {
    (): Deed.MODEL,
    ("ready",): Deed.MODEL_READY,
    ("stats",): Deed.MODEL_STATISTICS,
    ("infer",): Deed.INFER,
}
_CACHE_LIMIT = 10_000
_cache: dict[str, Route | None] = {}


def route_of(path: str) -> Route | None:
    """The route of a decoded path; None when there is none. Remembered: the same few paths come again and again."""
    try:
        return _cache[path]
    except KeyError:
        if len(_cache) >= _CACHE_LIMIT:
            _cache.clear()
        _cache[path] = found = _parse(path)
        return found


def _parse(path: str) -> Route | None:
    if path == "/health":
        return Route(Deed.HEALTH)
    if path == "/metrics":
        return Route(Deed.METRICS)
    parts = tuple(path.split("/")[1:])
    home = None
    if len(parts) >= 4 and parts[0] == "serve":
        home = (parts[1].lower(), parts[2].lower())
        parts = parts[3:]
    if not parts or parts[0] != "v2":
        return None
    rest = parts[1:]
    if rest in _SERVER:
        return Route(_SERVER[rest], home=home)
    if len(rest) < 2 or rest[0] != "models" or not rest[1]:
        return Route(Deed.NOT_OFFERED, home=home)
    model, tail, version = rest[1], rest[2:], ""
    if len(tail) >= 2 and tail[0] == "versions":
        version, tail = tail[1], tail[2:]
    return Route(_MODEL.get(tail, Deed.NOT_OFFERED), model, version, home)
