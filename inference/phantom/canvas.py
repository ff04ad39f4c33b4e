"""Canvas: one slice of labels under construction, and the solid shapes that are painted on it.

Shapes are exact functions of position in millimetres, so a slice can be painted at any height and on any pixel grid
without a voxel model in between. Each pixel carries a height of its own: neighbouring pixels lie at different depths
of the slice, and averaging them later gives the partial-volume effect of thick slices at no further cost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inference.phantom.field import Field, Floats
from inference.phantom.organs import Organ

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Window = tuple[slice, slice]
Point = tuple[float, float, float]

SUPERSAMPLING = 2
"""Painted pixels per final pixel, each way."""

_MARGIN_MM = 16.0


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a slice lie in the patient: x to the patient's left, y to the back, z to the head, in mm."""

    size: int = 256
    """Rows and columns of the final picture."""
    spacing_mm: float = 1.5
    centre_mm: tuple[float, float] = (0.0, -35.0)
    """(x, y) of the picture's centre; (0, 0) is the middle of the vertebral bodies."""
    rotation: float = 0.0
    """Radians, in the plane."""
    thickness_mm: float = 3.0
    tilt: float = 0.0
    """Slope of the slice: mm of z for each mm of y."""

    def axis(self, centre: float) -> Floats:
        """mm of the painted pixels along one axis."""
        count, step = self.size * SUPERSAMPLING, self.spacing_mm / SUPERSAMPLING
        return (np.arange(count, dtype=np.float32) - (count - 1) / 2) * np.float32(step) + np.float32(centre)


@dataclass
class Canvas:
    """Labels and the extra HU of one slice, over the part of the grid that holds the body."""

    x: Floats
    """x[row, column] in mm, warped into the reference anatomy; likewise y and z."""
    y: Floats
    z: Floats
    height: float
    """z of the slice's middle in the reference anatomy."""
    row_mm: Floats
    """Axes of the painted pixels, not warped, for fields."""
    column_mm: Floats
    rotation: float
    scale: tuple[float, float, float]
    """mm of the patient for each mm of the reference anatomy (x, y, z)."""
    labels: Labels = field(init=False)
    planes: dict[Field, Floats] = field(init=False, default_factory=dict)
    """Fields that were asked for, over the whole canvas."""
    offset: Floats = field(init=False)
    """HU that a pixel has beside the value of its organ: contents, textures, plaques."""

    def __post_init__(self) -> None:
        self.labels = np.zeros(self.x.shape, np.uint8)
        self.offset = np.zeros(self.x.shape, np.float32)

    @property
    def everything(self) -> Window:
        return slice(0, self.x.shape[0]), slice(0, self.x.shape[1])

    def noise(self, noise: Field, window: Window | None = None) -> Floats:
        """The field's value[row, column] at this height; not to be written to."""
        plane = self.planes.get(noise)
        if plane is None:
            plane = noise.plane(self.height * self.scale[2], self.row_mm, self.column_mm)
            self.planes[noise] = plane
        return plane if window is None else plane[window]

    def window(self, x: float, y: float, half_x: float, half_y: float) -> Window | None:
        """Rows and columns that hold the box around (x, y) of the reference anatomy; None when none do."""
        cos, sin = float(np.cos(self.rotation)), float(np.sin(self.rotation))
        px, py = x * self.scale[0], y * self.scale[1]
        hx, hy = half_x * self.scale[0] + _MARGIN_MM, half_y * self.scale[1] + _MARGIN_MM
        rows = _span(self.row_mm, sin * px + cos * py, hy + abs(sin) * hx)
        columns = _span(self.column_mm, cos * px - sin * py, hx + abs(sin) * hy)
        return None if rows is None or columns is None else (rows, columns)

    def paint(
        self,
        window: Window,
        mask: Mask,
        organ: Organ,
        offset: float | Floats = 0.0,
        over: Iterable[Organ] | None = None,
    ) -> None:
        """Set the label and the offset where `mask`, only upon the organs of `over` when given."""
        labels = self.labels[window]
        if over is not None:
            allowed = np.zeros(256, bool)
            allowed[list(over)] = True
            mask = mask & allowed[labels]
        labels[mask] = organ
        self.offset[window][mask] = offset[mask] if isinstance(offset, np.ndarray) else offset

    def ellipsoid(self, centre: Point, radii: Point, angle: float = 0.0) -> tuple[Window, Floats] | None:
        """(window, q) with q < 1 inside the ellipsoid, turned by `angle` in the plane; None when not in the slice."""
        if abs(self.height - centre[2]) > radii[2] + 8.0:
            return None
        reach = max(radii[0], radii[1])
        window = self.window(centre[0], centre[1], reach, reach)
        if window is None:
            return None
        dx, dy = self.x[window] - np.float32(centre[0]), self.y[window] - np.float32(centre[1])
        dz = (self.z[window] - np.float32(centre[2])) * np.float32(1 / radii[2])
        if angle:
            cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            dx, dy = dx * cos + dy * sin, dy * cos - dx * sin
        dx *= np.float32(1 / radii[0])
        dy *= np.float32(1 / radii[1])
        return window, dx * dx + dy * dy + dz * dz

    def capsule(self, a: Point, b: Point, radius_a: float, radius_b: float) -> tuple[Window, Floats] | None:
        """(window, q) with q < 1 inside a rod from a to b whose radius runs from radius_a to radius_b."""
        reach = max(radius_a, radius_b)
        if not min(a[2], b[2]) - reach - 6.0 <= self.height <= max(a[2], b[2]) + reach + 6.0:
            return None
        a, b, radius_a, radius_b = self._clip(a, b, radius_a, radius_b)
        window = self.window(
            (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, abs(a[0] - b[0]) / 2 + reach, abs(a[1] - b[1]) / 2 + reach
        )
        if window is None:
            return None
        ux, uy, uz = (np.float32(q - p) for p, q in zip(a, b, strict=True))
        dx, dy, dz = (v[window] - np.float32(p) for v, p in zip((self.x, self.y, self.z), a, strict=True))
        length2 = max(float(ux * ux + uy * uy + uz * uz), 1e-6)
        t = np.clip((dx * ux + dy * uy + dz * uz) * np.float32(1 / length2), 0, 1)
        dx -= t * ux
        dy -= t * uy
        dz -= t * uz
        radius = np.float32(radius_a) + t * np.float32(radius_b - radius_a)
        return window, (dx * dx + dy * dy + dz * dz) / (radius * radius)

    def _clip(self, a: Point, b: Point, radius_a: float, radius_b: float) -> tuple[Point, Point, float, float]:
        """Shorten a rod to the part near the slice, so that steep rods get a small window."""
        rise = b[2] - a[2]
        reach = max(radius_a, radius_b) * 1.6 + 8.0
        if abs(rise) < 2 * reach:
            return a, b, radius_a, radius_b
        t = sorted(((self.height - reach - a[2]) / rise, (self.height + reach - a[2]) / rise))
        t0, t1 = max(0.0, min(1.0, t[0])), max(0.0, min(1.0, t[1]))

        def at(t: float) -> Point:
            return a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])

        return at(t0), at(t1), radius_a + t0 * (radius_b - radius_a), radius_a + t1 * (radius_b - radius_a)

    def ball(self, centre: Point, radii: Point, organ: Organ, angle: float = 0.0, **paint: object) -> None:
        """Paint an ellipsoid."""
        shape = self.ellipsoid(centre, radii, angle)
        if shape is not None:
            self.paint(shape[0], shape[1] < 1, organ, **paint)  # type: ignore[arg-type]

    def rod(self, a: Point, b: Point, radii: tuple[float, float], organ: Organ, **paint: object) -> None:
        """Paint a rod."""
        shape = self.capsule(a, b, *radii)
        if shape is not None:
            self.paint(shape[0], shape[1] < 1, organ, **paint)  # type: ignore[arg-type]

    def tube(self, points: Iterable[Point], radius: float, organ: Organ, **paint: object) -> None:
        """Paint a chain of rods of one radius."""
        chain = list(points)
        for a, b in pairwise(chain):
            self.rod(a, b, (radius, radius), organ, **paint)


def _span(axis: Floats, middle: float, half: float) -> slice | None:
    """Indices of a rising, even axis within middle ± half; None when there are none."""
    step = float(axis[1] - axis[0])
    first = max(0, int((middle - half - float(axis[0])) / step))
    last = min(len(axis), int((middle + half - float(axis[0])) / step) + 2)
    return slice(first, last) if last - first > 1 else None


def canvas_for(
    grid: Grid, height_mm: float, scale: tuple[float, float, float], warp: tuple[Field, Field, float],
    extent: tuple[float, float, float],
) -> tuple[Canvas, Window]:  # fmt: skip
    """A canvas over the part of `grid` that holds the body, and that part.

    `height_mm` is the slice's height in the patient, `warp` two fields and their strength in mm, `extent`
    (half width, front, back) of the body in patient mm.
    """
    half, front, back = extent
    row_mm, column_mm = grid.axis(grid.centre_mm[1]), grid.axis(grid.centre_mm[0])
    slack = 12.0 + abs(grid.rotation) * 250.0
    rows = _span(row_mm, (back + front) / 2, (back - front) / 2 + slack) or slice(0, 2)
    columns = _span(column_mm, 0.0, half + slack) or slice(0, 2)
    # Even starts and lengths, so that the supersampled window covers whole final pixels.
    rows, columns = _even(rows, len(row_mm)), _even(columns, len(column_mm))
    row_mm, column_mm = row_mm[rows], column_mm[columns]
    cos, sin = np.float32(np.cos(grid.rotation)), np.float32(np.sin(grid.rotation))
    dx, dy = (f.plane(height_mm, row_mm, column_mm) for f in warp[:2])
    x = (cos * column_mm[None, :] + sin * row_mm[:, None] + np.float32(warp[2]) * dx) / np.float32(scale[0])
    y = (cos * row_mm[:, None] - sin * column_mm[None, :] + np.float32(warp[2]) * dy) / np.float32(scale[1])
    z = np.full(x.shape, height_mm, np.float32)
    z += np.float32(grid.tilt) * row_mm[:, None]
    for (i, j), share in {(0, 0): -0.375, (1, 1): -0.125, (0, 1): 0.125, (1, 0): 0.375}.items():
        z[i::2, j::2] += np.float32(share * grid.thickness_mm)
    z /= np.float32(scale[2])
    canvas = Canvas(x, y, z, height_mm / scale[2], row_mm, column_mm, grid.rotation, scale)
    return canvas, (rows, columns)


def _even(span: slice, limit: int) -> slice:
    return slice(span.start // 2 * 2, min(limit, (span.stop + 1) // 2 * 2))
