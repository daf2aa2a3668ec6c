"""Versions and builds that endpoints may not answer with for the time being. Who says so stands above this app; `config/wiring.py` joins them. Nothing
is written into endpoints, so that all is as before when the hold ends."""

from collections.abc import Callable, Collection
from uuid import UUID

from common.errors import Conflict

Asked = Callable[[Collection[UUID]], Collection[UUID]]
"""Those of the versions and builds that are held. A fixed number of queries."""

_ASKED: list[Asked] = []


def register(asked: Asked) -> None:
    """Have `asked` be asked what is held. Twice is once."""
    if asked not in _ASKED:
        _ASKED.append(asked)


def held_things(uuids: Collection[UUID]) -> set[UUID]:
    """Those of the versions and builds that no endpoint answers with now."""
    return {uuid for asked in _ASKED for uuid in asked(uuids)} if uuids else set()


def refuse_held(uuid: UUID, deed: str) -> None:
    """Raises Conflict for a held version; `deed` says what it can't be used for: `deployed`."""
    if held_things([uuid]):
        raise Conflict(f"This version was recalled and can't be {deed}: take another version.", code="recalled")
