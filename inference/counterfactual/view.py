"""View: what a generator sees of a slice, and how its images are given to the model that is explained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from inference.errors import CannotExplain
from inference.preprocessing import Grid, Placement, clean, place, resample
from inference.volume import Hounsfield


@dataclass(frozen=True)
class View:
    """`size` x `size` pixels of `pixel_mm` mm, one channel: `low` HU is -1, `high` HU is 1, linear and clipped."""

    size: int = 128
    pixel_mm: float = 3.125
    low: float = -200.0
    high: float = 400.0

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "View":
        """The view that a model card names. Raises KeyError or TypeError when the card does not."""
        low, high = options["window_hu"]
        return cls(int(options["size"]), float(options["pixel_mm"]), float(low), float(high))

    def as_options(self) -> dict[str, Any]:
        """What a model card keeps of it."""
        return {"size": self.size, "pixel_mm": self.pixel_mm, "window_hu": [self.low, self.high]}

    @property
    def grid(self) -> Grid:
        """The same as a grid for resampling."""
        return Grid(self.size, self.pixel_mm, ((self.low, self.high),))

    def units(self, hounsfield: Tensor) -> Tensor:
        """HU -> -1..1, any shape."""
        return ((hounsfield - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * 2.0 - 1.0

    def hounsfield(self, image: Tensor) -> Tensor:
        """-1..1 -> HU within the window, any shape."""
        return (image.clamp(-1.0, 1.0) + 1.0) * 0.5 * (self.high - self.low) + self.low

    def seen(self, hounsfield: Hounsfield, pixel_spacing_mm: tuple[float, float]) -> tuple[Tensor, Placement]:
        """Upright hounsfield[row, column] -> image[1, 1, row, column] in -1..1, and where its field lies."""
        cleaned = clean(hounsfield)
        where = place(cleaned, pixel_spacing_mm)
        return self.units(torch.from_numpy(resample(cleaned, where, self.grid)))[None, None], where

    def onto(self, hounsfield: Tensor, grid: Grid) -> Hounsfield:
        """hounsfield[slice, row, column] of this view -> the same field on `grid`, bicubic.

        Raises CannotExplain when `grid` covers another field.
        """
        if abs(grid.size * grid.pixel_mm - self.size * self.pixel_mm) > 1e-3:
            raise CannotExplain(
                f"The model sees {grid.size * grid.pixel_mm:.0f} mm and the generator {self.size * self.pixel_mm:.0f}"
                " mm: train a generator for this model."
            )
        if grid.size == self.size:
            return np.asarray(hounsfield.cpu().numpy(), dtype=np.float32)
        size = (grid.size, grid.size)
        found = F.interpolate(hounsfield[:, None].float(), size=size, mode="bicubic", align_corners=False)
        return np.asarray(found[:, 0].clamp(self.low, self.high).cpu().numpy(), dtype=np.float32)
