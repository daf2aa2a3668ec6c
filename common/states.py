"""State machines as tables: which state may follow which, written once, walked by the tests."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from common.errors import Conflict

State = TypeVar("State", bound=StrEnum)


class StateMachine(Generic[State]):
    """`table` maps each state to the states that may follow it; a state that maps to nothing is final."""

    def __init__(self, noun: str, table: Mapping[State, frozenset[State]]) -> None:
        self.noun = noun
        self.table = dict(table)

    def ensure(self, present: State, wanted: State) -> None:
        """Raises Conflict unless `wanted` may follow `present`."""
        if wanted not in self.table[present]:
            raise Conflict(f"This {self.noun} is {present} and cannot become {wanted}.", state=str(present))

    def is_final(self, state: State) -> bool:
        return not self.table[state]

    @property
    def final(self) -> frozenset[State]:
        return frozenset(state for state, following in self.table.items() if not following)
