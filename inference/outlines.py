"""Outlines: the border of a mask as a polygon along the edges of its pixels.

Pixel (r, c) reaches from (c, r) to (c + 1, r + 1), as in PS3.3 C.10.5.1.2, so that a polygon drawn again by the
even-odd rule gives the mask back.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Point = tuple[float, float]
Outline = tuple[Point, ...]
"""Corners (column, row) of a polygon that closes from the last to the first."""

_CLOSE_PX = 1.0
"""Corners nearer than this to the line between their neighbours are left out: the stairs of a slanting border."""


def outline(mask: Mask, close_px: float = _CLOSE_PX) -> Outline:
    """The outer border of the largest piece of mask[row, column]; empty for an empty mask.

    `close_px` 0.0 keeps every corner, and the polygon then holds exactly the pixels of a piece without holes.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if count == 0:
        return ()
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    piece = pieces == sizes.argmax()
    corners = _straightened(_border(ndimage.binary_fill_holes(piece)))
    return tuple(_simplified(corners, close_px)) if close_px > 0 else tuple(corners)


def _border(piece: Mask) -> list[Point]:
    """Corners of the pixel edges around a piece without holes, the piece always to the right, from its top left on."""
    rows, columns = piece.shape
    padded = np.pad(piece, 1)
    row, column = (int(value) for value in np.argwhere(piece)[0])
    start, way = (row, column), 0
    at, found = start, list[Point]()
    for _ in range(4 * (rows + 1) * (columns + 1)):
        found.append((float(at[1]), float(at[0])))
        step = _WAYS[way]
        at = (at[0] + step[0], at[1] + step[1])
        way = _turned(padded, at, way)
        if at == start and way == 0:
            break
    return found


_WAYS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Along a corner grid: right, down, left, up, as (rows, columns)."""
_AHEAD = (((0, 1), (1, 1)), ((1, 1), (1, 0)), ((1, 0), (0, 0)), ((0, 0), (0, 1)))
"""Way -> where in the padded piece the pixels ahead of a corner lie: at its left hand, at its right hand."""


def _turned(padded: Mask, corner: tuple[int, int], way: int) -> int:
    """The way that keeps the piece to the right; where pixels touch at a corner only, they stay apart."""
    left, right = (bool(padded[corner[0] + r, corner[1] + c]) for r, c in _AHEAD[way])
    if not right:
        return (way + 1) % 4
    return (way - 1) % 4 if left else way


def _straightened(corners: list[Point]) -> list[Point]:
    """Without the corners at which the border goes straight on."""
    count = len(corners)
    return [
        corners[i]
        for i in range(count)
        if not (
            corners[i - 1][0] == corners[i][0] == corners[(i + 1) % count][0]
            or corners[i - 1][1] == corners[i][1] == corners[(i + 1) % count][1]
        )
    ]


def _simplified(corners: list[Point], close_px: float) -> list[Point]:
    """Douglas and Peucker's thinning (Cartographica, 1973) of a closed polygon; never fewer than its four extremes."""
    if len(corners) <= 4:
        return corners
    points = np.array(corners)
    far = int(np.argmax(((points - points[0]) ** 2).sum(axis=1)))
    kept = {0, far}
    stretches = [(0, far), (far, len(points))]
    ring = np.vstack([points, points[:1]])
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        distance = _distance(ring[first + 1 : last], ring[first], ring[last])
        worst = int(np.argmax(distance))
        if distance[worst] > close_px:
            kept.add(first + 1 + worst)
            stretches += [(first, first + 1 + worst), (first + 1 + worst, last)]
    return [corners[i] for i in sorted(kept)] if len(kept) > 2 else corners


def _distance(points: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of points[point, 2] to the line from a to b, or to a where the two are one."""
    along = b - a
    length = float(np.hypot(*along))
    if length == 0:
        return np.asarray(np.hypot(*(points - a).T))
    offset = points - a
    return np.asarray(np.abs(along[0] * offset[:, 1] - along[1] * offset[:, 0]) / length)
