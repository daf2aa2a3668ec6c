"""Stars as numbers. Pure: no database.

The order of listings uses a Bayesian average: (5 × 3.5 + the stars of all reviews) / (5 + their number), so that one friend's five stars
do not outrank forty buyers. 3.5 and 5 are fixed and not reckoned from the market: a new review somewhere else moves no other listing.
"""

PRIOR_WEIGHT = 5
"""As many reviews as every listing is thought to have had already…"""
PRIOR_MILLI = 3_500
"""…of so many thousandths of a star each."""

CALL_BANDS = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
DAY_BANDS = (1, 2, 8, 31)


def bayesian_milli(count: int, total: int) -> int:
    """The Bayesian average of `count` reviews with `total` stars, in thousandths, rounded down; 0 without a review."""
    if not count:
        return 0
    return (PRIOR_WEIGHT * PRIOR_MILLI + total * 1000) // (PRIOR_WEIGHT + count)


def average(count: int, total: int) -> float | None:
    """The plain average, 1.0 to 5.0, as people read it; None without a review."""
    return round(total / count, 1) if count else None


def calls_in_words(calls: int) -> str:
    """The band that a number of calls, from 1 on, lies in: `1,000–10,000 calls`. The number itself tells too much of a buyer."""
    return _band(calls, CALL_BANDS, "call")


def days_in_words(days: int) -> str:
    """The band that a number of days with downloads, from 1 on, lies in: `Opened on 2–7 days`."""
    starts = [start for start in DAY_BANDS if start <= days]
    following = DAY_BANDS[len(starts)] - 1 if len(starts) < len(DAY_BANDS) else None
    if following is None:
        return f"Opened on more than {DAY_BANDS[-1] - 1} days"
    return "Opened on 1 day" if following == 1 else f"Opened on {starts[-1]}–{following} days"


def _band(number: int, starts: tuple[int, ...], unit: str) -> str:
    below = [start for start in starts if start <= number]
    if len(below) == len(starts):
        return f"More than {starts[-1]:,} {unit}s"
    return f"{below[-1]:,}–{starts[len(below)]:,} {unit}s"
