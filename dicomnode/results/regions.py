"""Regions on a slice: the outline of what a map shows hot, or of the body, as a closed polygon.

Every measurement group of a report needs one: OHIF shows nothing of a TID 1500 report of which one group has no region.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inference.findings import Findings, SliceMap
from inference.volume import Volume

Polygon = NDArray[np.float64]
"""polygon[point, (column, row)], closed: the last point is the first.

Pixel (r, c) reaches from (c, r) to (c + 1, r + 1), PS3.3 C.10.5.1.2."""

BODY_HU = -300.0
"""Above it, a voxel is body rather than air or lung, in HU."""
HOT = 0.5
"""A pixel is hot from this share of its map's largest value on the slice."""


def answer_region(findings: Findings, volume: Volume, slice_index: int) -> Polygon:
    """Where on a slice the answer was seen: the hot part of its first map, else the body."""
    found = next((m for m in findings.maps if m.slice_index == slice_index), None)
    hot = hot_region(found) if found is not None else None
    return hot if hot is not None else body_region(volume, slice_index)


def hot_region(found: SliceMap) -> Polygon | None:
    """Convex outline of the largest hot part of a map; None when the map is empty."""
    peak = float(np.max(found.values, initial=0.0))
    if not np.isfinite(peak) or peak <= 0:
        return None
    return _outline(found.values >= HOT * peak)


def body_region(volume: Volume, slice_index: int) -> Polygon:
    """Convex outline of the body on a slice; the whole slice where there is none."""
    body = volume.slice(slice_index) > BODY_HU
    return _outline(body if body.any() else np.ones(volume.shape, bool))


def closed(points: Sequence[tuple[float, float]]) -> Polygon:
    """A polygon from its corners (column, row), the first one repeated at the end unless it is there already."""
    polygon = np.asarray(points, float)
    return polygon if (polygon[0] == polygon[-1]).all() else np.vstack([polygon, polygon[:1]])


def mask(polygon: Polygon, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """mask[row, column] of the pixels whose centre lies inside a polygon; even-odd rule."""
    columns, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in pairwise(polygon):
        if y0 != y1:
            crosses = (rows < max(y0, y1)) & (rows >= min(y0, y1))
            inside ^= crosses & (columns < x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _outline(hit: NDArray[np.bool_]) -> Polygon:
    from scipy import ndimage

    labels, count = ndimage.label(hit)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])) if count > 1 else hit
    rows, columns = np.nonzero(largest)
    # The corners of each pixel, not its centre: one pixel alone is an outline too.
    corners = np.concatenate([np.stack([columns + i, rows + j], 1) for i in (0, 1) for j in (0, 1)])
    return closed([(float(x), float(y)) for x, y in _hull(np.unique(corners, axis=0))])


def _hull(points: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Convex hull of points sorted by column, then row, by Andrew's monotone chain (1979)."""

    def half(ordered: NDArray[np.int64]) -> list[tuple[int, int]]:
        chain: list[tuple[int, int]] = []
        for x, y in ordered.tolist():
            while len(chain) > 1 and _turn(chain[-2], chain[-1], (x, y)) <= 0:
                chain.pop()
            chain.append((x, y))
        return chain

    return half(points)[:-1] + half(points[::-1])[:-1]


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
