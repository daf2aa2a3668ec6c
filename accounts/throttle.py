"""Counting attempts in fixed windows, in the cache that the site's processes share."""

from django.core.cache import cache

from common.clock import now
from common.errors import TooMany


def hit(name: str, who: str, *, limit: int, window_s: int) -> None:
    """Count one attempt of `who` at `name`. Raises TooMany, with the seconds to wait, from the attempt after `limit` in a window
    on. The count is as exact as the cache: an eviction forgives."""
    moment = int(now().timestamp())
    key = f"throttle:{name}:{who}:{moment // window_s}"
    cache.add(key, 0, timeout=window_s + 5)
    try:
        count = cache.incr(key)
    except ValueError:
        count = 1
    if count > limit:
        raise TooMany("Too many attempts: wait a little.", retry_after_s=window_s - moment % window_s)


def is_over(name: str, who: str, *, limit: int, window_s: int) -> bool:
    """Whether `who` has used up the window, without counting."""
    count = cache.get(f"throttle:{name}:{who}:{int(now().timestamp()) // window_s}", 0)
    return int(count) >= limit
