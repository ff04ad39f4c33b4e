"""Grey values and heat.

Heat is drawn with the upper part of matplotlib's "inferno": perceptually uniform, its lightness rises steadily, and it
reads the same with any colour vision. Its opacity grows with the heat, so that a pixel without evidence keeps exactly
its grey, and even the hottest lets the anatomy through.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.phases import Phase

Picture = NDArray[np.uint8]

STRONGEST_OPACITY = 0.66
_COLOURS = (0.28, 0.86)
"""Part of the colour map in use: its dark end would look like a shadow, its bright end like bone."""

WINDOWS_HU: dict[Phase | None, tuple[float, float]] = {
    Phase.UNENHANCED: (-120.0, 200.0),
    Phase.ARTERIAL: (-130.0, 330.0),
    Phase.PORTAL_VENOUS: (-120.0, 260.0),
    Phase.DELAYED: (-120.0, 260.0),
    None: (-130.0, 260.0),
}
"""Display window by phase, (black, white) in HU: contrast medium should not drown in white."""


def window(hounsfield: NDArray[np.float32], low: float, high: float) -> Picture:
    """grey[row, column], `low` HU black and `high` HU white. Raises ValueError for an empty window."""
    if not high > low:
        raise ValueError(f"window {low} to {high} HU is empty")
    finite = np.nan_to_num(hounsfield, nan=low, posinf=high, neginf=low)
    grey: Picture = np.clip((finite - low) * (255.0 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
    return grey


def overlay(
    hounsfield: NDArray[np.float32],
    values: NDArray[np.float32] | None,
    scale: float,
    window_hu: tuple[float, float] = WINDOWS_HU[None],
) -> Picture:
    """rgb[row, column, 3]: the slice in grey with values[row, column] as heat over it, `scale` and above the hottest.

    Without values, or where they are zero, negative or NaN, the picture is pure grey.
    """
    grey = window(hounsfield, *window_hu)
    if values is None:
        return np.repeat(grey[..., None], 3, axis=-1)
    return heated(grey, values / scale if scale > 0 else np.zeros_like(values))


def heated(grey: Picture, heat: NDArray[np.float32]) -> Picture:
    """rgb[row, column, 3] of grey[row, column] under heat[row, column], 0..1."""
    level = np.clip(np.nan_to_num(heat, nan=0.0), 0.0, 1.0)
    colours = _colours()[np.round(level * 255).astype(np.uint8)]
    opacity = (level**0.8 * STRONGEST_OPACITY)[..., None]
    picture: Picture = (grey[..., None] * (1 - opacity) + colours * opacity + 0.5).astype(np.uint8)
    return picture


def colour_bar(width: int, height: int, grey: int = 96) -> Picture:
    """rgb[height, width, 3]: heat 0 to 1 from left to right, over the same grey."""
    heat = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    return heated(np.full((height, width), grey, np.uint8), heat)


@lru_cache(maxsize=1)
def _colours() -> NDArray[np.float32]:
    """rgb[256, 3], 0..255."""
    import matplotlib  # heavy: only once something is drawn

    levels = matplotlib.colormaps["inferno"](np.linspace(*_COLOURS, 256))
    return np.asarray(levels[:, :3] * 255, dtype=np.float32)
