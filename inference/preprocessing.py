"""Hounsfield slices -> what the network sees, and maps on the network's grid -> the source's pixels.

A slice is laid on a square field of fixed size in millimetres, centred on the body, so that an aorta of 25 mm is as
many pixels wide in every patient and at every field of view. Each window is one channel: a soft-tissue window in
which iodine saturates would hide what must be told apart, so iodine and bone have windows of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.volume import Hounsfield

AIR_HU = -1000.0
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
SOFT_TISSUE_HU = (-150.0, 300.0)
FEWEST_SLICES = 3
"""A volume with fewer slices is not judged."""
LEAST_TISSUE_CM2 = 20.0
"""A slice with less soft tissue than this is empty: a trunk has ten times as much, also that of a child."""
Window = tuple[float, float]


@dataclass(frozen=True)
class Grid:
    """The network's input: `size` x `size` pixels of `pixel_mm` mm, one channel for each (low, high) window in HU."""

    size: int = 160
    pixel_mm: float = 2.5
    windows: tuple[Window, ...] = ((-160.0, 240.0), (0.0, 500.0), (-1000.0, 1000.0))

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Grid":
        """The grid that a model card names. Raises KeyError or TypeError when the card does not."""
        windows = tuple((float(low), float(high)) for low, high in options["windows"])
        return cls(int(options["size"]), float(options["pixel_mm"]), windows)

    def as_options(self) -> dict[str, Any]:
        """What a model card keeps of it."""
        return {"size": self.size, "pixel_mm": self.pixel_mm, "windows": [list(window) for window in self.windows]}


@dataclass(frozen=True)
class Placement:
    """Where the network's field lies on one slice."""

    shape: tuple[int, int]
    """(rows, columns) of the source."""
    pixel_spacing_mm: tuple[float, float]
    """(between rows, between columns)."""
    centre: tuple[float, float]
    """(row, column) of the field's centre, in source pixels from the centre of pixel (0, 0)."""


def clean(hounsfield: Hounsfield) -> Hounsfield:
    """hounsfield[..., row, column] with NaN and infinity as air and the rest within what a CT can store."""
    finite = np.nan_to_num(hounsfield, nan=AIR_HU, posinf=AIR_HU, neginf=AIR_HU)
    return np.clip(finite, LOWEST_HU, HIGHEST_HU).astype(np.float32)


def place(hounsfield: Hounsfield, pixel_spacing_mm: tuple[float, float]) -> Placement:
    """The field centred on the median of the soft tissue in hounsfield[row, column]; a table hardly moves a median."""
    tissue = (hounsfield > SOFT_TISSUE_HU[0]) & (hounsfield < SOFT_TISSUE_HU[1])
    rows, columns = hounsfield.shape
    centre = (_median_index(tissue.sum(axis=1)), _median_index(tissue.sum(axis=0)))
    return Placement((rows, columns), pixel_spacing_mm, centre)


def resample(hounsfield: Hounsfield, placement: Placement, grid: Grid) -> Hounsfield:
    """hounsfield[row, column] on the network's grid, averaged over each of its pixels; air outside the source."""
    down = _weights(placement, grid, axis=0) @ (hounsfield - AIR_HU) @ _weights(placement, grid, axis=1).T
    return (down + AIR_HU).astype(np.float32)


def channels(hounsfield: Hounsfield, windows: Sequence[Window]) -> NDArray[np.float32]:
    """hounsfield[slice, row, column] -> [slice, window, row, column], each window mapped to -1..1."""
    layers = [np.clip((hounsfield - low) / (high - low), 0.0, 1.0) * 2.0 - 1.0 for low, high in windows]
    return np.stack(layers, axis=1).astype(np.float32)


def prepare(
    hounsfield: Hounsfield, pixel_spacing_mm: tuple[float, float], grid: Grid
) -> tuple[NDArray[np.float32], tuple[Placement, ...]]:
    """Upright hounsfield[slice, row, column] -> input[slice, window, row, column] and where each slice's field lies."""
    cleaned = clean(hounsfield)
    placements = tuple(place(image, pixel_spacing_mm) for image in cleaned)
    resampled = [resample(image, placement, grid) for image, placement in zip(cleaned, placements, strict=True)]
    return channels(np.stack(resampled), grid.windows), placements


def to_source(values: NDArray[np.float32], placement: Placement, grid: Grid) -> NDArray[np.float32]:
    """A map[row, column] that covers the network's field -> the source's pixels, bilinear; zero outside the field.

    The map may be coarser than the grid (a deep layer's): it is taken to cover the same field.
    """
    coarse = Grid(values.shape[0], grid.pixel_mm * grid.size / values.shape[0], grid.windows)
    up = _interpolation(placement, coarse, axis=0) @ values @ _interpolation(placement, coarse, axis=1).T
    return up.astype(np.float32)


def tissue_cm2(hounsfield: Hounsfield, grid: Grid) -> float:
    """Area of soft tissue in hounsfield[row, column] on the network's grid."""
    tissue = (hounsfield > SOFT_TISSUE_HU[0]) & (hounsfield < SOFT_TISSUE_HU[1])
    return float(tissue.sum()) * grid.pixel_mm**2 / 100.0


def noise_hu(hounsfield: Hounsfield) -> float:
    """Robust standard deviation of the noise in the soft tissue of hounsfield[slice, row, column]; 0.0 without tissue.

    Immerkaer's Laplacian difference (Computer Vision and Image Understanding, 1996), with a median for its mean.
    """
    image = hounsfield
    edges = image[:, :-2] - 2 * image[:, 1:-1] + image[:, 2:]
    laplacian = edges[:, :, :-2] - 2 * edges[:, :, 1:-1] + edges[:, :, 2:]
    inner = image[:, 1:-1, 1:-1]
    tissue = (inner > SOFT_TISSUE_HU[0]) & (inner < SOFT_TISSUE_HU[1])
    return float(np.median(np.abs(laplacian[tissue])) / 0.6745 / 6.0) if tissue.any() else 0.0


def _median_index(counts: NDArray[np.integer[Any]]) -> float:
    total = int(counts.sum())
    if total == 0:
        return (len(counts) - 1) / 2.0
    return float(np.searchsorted(np.cumsum(counts), total / 2.0))


def _offsets(placement: Placement, grid: Grid, axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Centres of the grid's pixels and of the source's, and the width of the grid's, all in source pixels."""
    step = grid.pixel_mm / placement.pixel_spacing_mm[axis]
    centres = placement.centre[axis] + (np.arange(grid.size) - (grid.size - 1) / 2.0) * step
    return np.asarray(centres, dtype=np.float64), np.arange(placement.shape[axis], dtype=np.float64), step


def _weights(placement: Placement, grid: Grid, axis: int) -> NDArray[np.float32]:
    """weights[grid pixel, source pixel]: a triangle as wide as the coarser of the two; they sum to 1 inside."""
    centres, sources, step = _offsets(placement, grid, axis)
    width = max(step, 1.0)
    weights = _triangle(centres[:, None] - sources[None, :], width)
    # Divided by the whole triangle, also where part of it falls outside the source: what lies there is air.
    reach = np.arange(-np.ceil(width), np.ceil(width) + 1)
    whole = _triangle((centres - np.round(centres))[:, None] - reach[None, :], width).sum(axis=1)
    return np.asarray(weights / whole[:, None], dtype=np.float32)


def _interpolation(placement: Placement, grid: Grid, axis: int) -> NDArray[np.float32]:
    """weights[source pixel, grid pixel]: linear between the grid's pixel centres, held to its border, zero beyond."""
    centres, sources, step = _offsets(placement, grid, axis)
    held = np.clip(sources, centres[0], centres[-1])
    weights = _triangle(held[:, None] - centres[None, :], step)
    inside = np.abs(sources - placement.centre[axis]) <= grid.size * step / 2.0
    return np.asarray(weights * inside[:, None], dtype=np.float32)


def _triangle(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    return np.clip(1.0 - np.abs(distance) / width, 0.0, None)
