"""How well a map's order of pixels agrees with a mask or with another map.

Everything here looks at ranks alone. Shares of a map's mass, and thresholds at a part of its maximum, reward sharpness
for its own sake: squaring a map raises them. No measure in this file changes when a map is squared, except
`share_inside`, which is a share of mass and says so.

Ties are counted as if broken at random: the expected value, not one draw.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def average_precision(values: Values, mask: Mask) -> float:
    """Area under precision over recall as pixels are taken hottest first; NaN for an empty mask.

    sum over thresholds of (recall gained) x (precision there), pixels of equal value taken together.
    """
    total = int(mask.sum())
    if total == 0:
        return float("nan")
    _, group = np.unique(-np.ravel(values), return_inverse=True)
    taken = np.cumsum(np.bincount(group))
    hits = np.cumsum(np.bincount(group, weights=np.ravel(mask)))
    gained = np.diff(hits, prepend=0.0) / total
    return float((gained * hits / taken).sum())


def recall_at_matched_count(values: Values, mask: Mask) -> float:
    """Share of the mask among the K hottest pixels, K being the mask's own number of pixels; NaN for an empty mask."""
    total = int(mask.sum())
    return _hits_among_hottest(values, mask, total) / total if total else float("nan")


def specificity_at_matched_count(values: Values, mask: Mask) -> float:
    """Share of the pixels outside the mask that are not among the K hottest; NaN when all or none lie inside."""
    total = int(mask.sum())
    if total in (0, mask.size):
        return float("nan")
    false_positives = total - _hits_among_hottest(values, mask, total)
    return 1.0 - false_positives / (mask.size - total)


def pointing_game(values: Values, mask: Mask) -> float:
    """1.0 when the hottest pixel lies in the mask, 0.0 when not, a share when several are equally hot."""
    hottest = values == values.max()
    return float(mask[hottest].mean())


def share_inside(values: Values, mask: Mask) -> float | None:
    """Share of the map's mass (negative values as zero) inside the mask; None for a map without mass."""
    mass = np.clip(values, 0.0, None).astype(np.float64)
    total = float(mass.sum())
    return float(mass[mask].sum()) / total if total > 0 else None


def spearman(one: Values, other: Values) -> float:
    """Rank correlation; 0.0 when one of them is constant."""
    a, b = _ranks(one), _ranks(other)
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length > 0 else 0.0


def _hits_among_hottest(values: Values, mask: Mask, count: int) -> float:
    """Expected number of mask pixels among the `count` hottest."""
    flat, inside = np.ravel(values), np.ravel(mask)
    threshold = np.partition(flat, flat.size - count)[flat.size - count]
    above, tied = flat > threshold, flat == threshold
    return float(inside[above].sum() + (count - above.sum()) * inside[tied].mean())


def _ranks(values: Values) -> NDArray[np.float64]:
    _, group, counts = np.unique(np.ravel(values), return_inverse=True, return_counts=True)
    middle: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2.0
    return middle[group]
