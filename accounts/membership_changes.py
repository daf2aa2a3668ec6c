"""Who wants to know when people leave an organisation, or join or leave a team: apps above register here, in config/wiring.py."""

from collections.abc import Callable

from accounts.actors import Actor

Handler = Callable[[Actor, int], None]
_HANDLERS: list[Handler] = []


def register(handler: Handler) -> None:
    """Have `handler(actor, namespace_id)` called whenever the members or the teams of an organisation have changed, inside the
    transaction that changes them: what follows from it happens with it or not at all. A second registration changes nothing."""
    if handler not in _HANDLERS:
        _HANDLERS.append(handler)


def tell(actor: Actor, namespace_id: int) -> None:
    """Call those who registered, in the caller's transaction."""
    for handler in _HANDLERS:
        handler(actor, namespace_id)
