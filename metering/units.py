"""What one call is counted in where it is paid for: calls, rows, seconds or tokens. Whole numbers; the unit is in the name, and a
second is counted as 1000 milliseconds."""

from enum import StrEnum

from metering.meters import Meter


class Unit(StrEnum):
    """What an endpoint's owner declares and plans are priced in."""

    CALLS = "calls"
    ROWS = "rows"
    """Of the first input: the length of its first axis, and 1 where it has none."""
    SECONDS = "seconds"
    """What the model computed for the call, in milliseconds, rounded up; of a run shared by several calls a part by their rows."""
    TOKENS = "tokens"
    """Elements of the input that the endpoint names for it."""


METER_OF: dict[Unit, Meter] = {
    Unit.CALLS: Meter.INFERENCE_CALLS,
    Unit.ROWS: Meter.INFERENCE_ROWS,
    Unit.SECONDS: Meter.INFERENCE_MILLISECONDS,
    Unit.TOKENS: Meter.INFERENCE_TOKENS,
}
UNIT_OF: dict[Meter, Unit] = {meter: unit for unit, meter in METER_OF.items()}
SIZES: dict[Unit, tuple[int, ...]] = {
    Unit.CALLS: (1, 1000),
    Unit.ROWS: (1, 1000),
    Unit.SECONDS: (1000,),
    Unit.TOKENS: (1000, 1_000_000),
}
"""How many of a unit one price may be for; the first is the usual one."""
SCALE: dict[Unit, int] = {Unit.CALLS: 1, Unit.ROWS: 1, Unit.SECONDS: 1000, Unit.TOKENS: 1}
"""How many are counted for one that people speak of."""


def singular(unit: str) -> str:
    """`call`, `row`, `second`, `token`."""
    return unit.removesuffix("s")


def number_of(unit: str, counted: int) -> str:
    """`1,200`; of seconds `3.5`."""
    whole, rest = divmod(counted, SCALE[Unit(unit)])
    return f"{whole:,}" + (f".{rest:03d}".rstrip("0") if rest else "")


def in_words(unit: str, counted: int) -> str:
    """`1 call`, `1,200 rows`, `3.5 seconds`."""
    return f"{number_of(unit, counted)} {singular(unit) if counted == SCALE[Unit(unit)] else unit}"


def per(unit: str, size: int) -> str:
    """What a price for `size` of them is for: `call`, `1,000 rows`, `second`."""
    return singular(unit) if size == SCALE[Unit(unit)] else in_words(unit, size)
