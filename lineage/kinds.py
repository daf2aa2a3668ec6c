"""What the graph does not know: how a thing is called, where its page is, and who may see it. Each app that has things in the
graph describes its kinds; `config/wiring.py` brings them together."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from accounts.actors import Actor


@dataclass(frozen=True, slots=True)
class NodeCard:
    """How a thing shows itself to somebody who may see it. `url`: path of its page, empty when it has none."""

    title: str
    url: str
    detail: str = ""


Describe = Callable[[Actor, Collection[UUID]], Mapping[UUID, NodeCard]]
"""The cards of those among the uuids that the actor may see; the others are left out. A fixed number of queries."""

_KINDS: dict[str, Describe] = {}


def register(kind: str, describe: Describe) -> None:
    """Say how nodes of `kind` are described. The same kind twice is an error of the wiring."""
    if _KINDS.get(kind, describe) is not describe:
        raise ValueError(f"two descriptions for the kind {kind}")
    _KINDS[kind] = describe


def cards(actor: Actor, wanted: Mapping[str, Collection[UUID]]) -> dict[tuple[str, UUID], NodeCard]:
    """The cards of what the actor may see of `wanted` (kind → uuids). A kind that nobody describes is seen by nobody."""
    found: dict[tuple[str, UUID], NodeCard] = {}
    for kind, uuids in wanted.items():
        if kind in _KINDS and uuids:
            found |= {(kind, uuid): card for uuid, card in _KINDS[kind](actor, uuids).items()}
    return found
