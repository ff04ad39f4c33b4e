"""How long to wait before trying again: doubling, capped, with jitter so that many do not come back at once."""

from datetime import timedelta
from random import Random

DOUBLINGS = 40
"""Beyond this the doubled pause is longer than any cap; it keeps the power small."""


def pause(attempt: int, *, first: timedelta, longest: timedelta, rng: Random) -> timedelta:
    """The pause after the `attempt`-th failure (1 = the first): between half and all of min(longest, first·2^(n-1))."""
    if attempt < 1:
        raise ValueError("attempts are counted from 1")
    full = min(longest.total_seconds(), first.total_seconds() * 2.0 ** min(attempt - 1, DOUBLINGS))
    return timedelta(seconds=full * rng.uniform(0.5, 1.0))
