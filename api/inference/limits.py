"""How many calls a token may make: a bucket of tokens per credential, in memory."""

import time
from uuid import UUID

from common.errors import TooMany

BURST_S = 2.0
"""A bucket holds as much as flows in during this time."""
_FORGET_AT = 50_000


class RateLimiter:
    """`calls_per_s` for each credential and process; bursts of BURST_S times as much."""

    def __init__(self, calls_per_s: int) -> None:
        self.calls_per_s = calls_per_s
        self._size = calls_per_s * BURST_S
        self._buckets: dict[UUID, tuple[float, float]] = {}

    def take(self, credential: UUID) -> None:
        """Raises TooMany."""
        now = time.monotonic()
        left, at = self._buckets.get(credential, (self._size, now))
        left = min(self._size, left + (now - at) * self.calls_per_s)
        if left < 1.0:
            self._buckets[credential] = (left, now)
            raise TooMany(f"This token may make {self.calls_per_s} calls a second.", retry_after_s=1)
        self._buckets[credential] = (left - 1.0, now)
        if len(self._buckets) > _FORGET_AT:
            # whoever was quiet for so long has a full bucket anyway
            self._buckets = {key: each for key, each in self._buckets.items() if now - each[1] < BURST_S}
