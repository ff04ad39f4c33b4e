"""A slice cut to the body for a small picture on a page."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference.volume import Hounsfield, Volume

AIR_HU = -1024.0
_BODY_HU = -300.0
_ABOVE_AIR_HU = 50.0


@dataclass(frozen=True)
class Crop:
    """A rectangle in upright source pixels; parts of it may lie outside of the slice."""

    top: float
    left: float
    bottom: float
    right: float


def around_body(volume: Volume, hounsfield: Hounsfield, aspect: float) -> Crop:
    """The rectangle with width / height = `aspect` (in mm) around the body on upright hounsfield[row, column]."""
    body = _body(hounsfield)
    top, bottom = _extent(body.sum(axis=1))
    left, right = _extent(body.sum(axis=0))
    row_mm, column_mm = volume.pixel_spacing_mm
    height, width = (bottom - top) * row_mm * 1.04, (right - left) * column_mm * 1.04
    height, width = max(height, width / aspect), max(width, height * aspect)
    row, column = (top + bottom) / 2, (left + right) / 2
    half_rows, half_columns = height / row_mm / 2, width / column_mm / 2
    return Crop(row - half_rows, column - half_columns, row + half_rows, column + half_columns)


def cut(image: NDArray[np.float32], crop: Crop, size: tuple[int, int], outside: float) -> NDArray[np.float32]:
    """The rectangle of image[row, column], resampled to `size` (rows, columns); `outside` where there is no image."""
    rows, columns = image.shape
    before = (max(0, int(np.ceil(-crop.top))), max(0, int(np.ceil(-crop.left))))
    after = (max(0, int(np.ceil(crop.bottom - rows))), max(0, int(np.ceil(crop.right - columns))))
    padded = np.pad(image, ((before[0], after[0]), (before[1], after[1])), constant_values=outside)
    box = (crop.left + before[1], crop.top + before[0], crop.right + before[1], crop.bottom + before[0])
    resized = Image.fromarray(np.ascontiguousarray(padded)).resize(
        (size[1], size[0]), Image.Resampling.BICUBIC if outside < 0 else Image.Resampling.BILINEAR, box=box
    )
    return np.asarray(resized, dtype=np.float32)


def _body(hounsfield: Hounsfield) -> NDArray[np.bool_]:
    """The largest connected piece of hounsfield[row, column] that is no air: the table is another.

    Some series are cut off at -200 HU or thereabouts: their air is what is lowest.
    """
    air = float(np.nan_to_num(hounsfield, nan=AIR_HU).min())
    pieces, count = ndimage.label(hounsfield > max(_BODY_HU, air + _ABOVE_AIR_HU))
    if count == 0:
        return np.ones(hounsfield.shape, np.bool_)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body: NDArray[np.bool_] = pieces == sizes.argmax()
    return body


def _extent(counts: NDArray[np.int64]) -> tuple[int, int]:
    """First index that counts anything, and the one after the last."""
    where = np.flatnonzero(counts)
    return int(where[0]), int(where[-1]) + 1
