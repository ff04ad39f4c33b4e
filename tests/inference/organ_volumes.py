"""Volumes of blocks with known HU, and a network that knows organs by their brightness: for tests of the organs."""

from typing import Any

import numpy as np
import torch
from torch import nn

from inference.models import Bundle, ModelCard
from inference.phantom.organs import Organ
from inference.preprocessing import Grid
from inference.segment import OrganMasks
from inference.volume import Volume

ORGANS = (Organ.AORTA, Organ.LIVER, Organ.PORTAL_VEIN)
GRID = Grid(size=64, pixel_mm=4.0, windows=((-100.0, 300.0),))
SPACING_MM = (5.0, 1.0, 1.0)


def blocks(hounsfield: dict[Organ, float], slices: int = 6, size: int = 120, noise: float = 4.0) -> Volume:
    """Fat in air with a block of each organ on every slice."""
    labels = block_labels(slices, size)
    image = np.full(labels.shape, -1000.0, np.float32)
    image[:, 8:-8, 8:-8] = -90.0
    for number, organ in enumerate(ORGANS, start=1):
        if organ in hounsfield:
            image[labels == number] = hounsfield[organ]
    image += np.random.default_rng(1).normal(0, noise, image.shape).astype(np.float32)
    return Volume.from_array(image, SPACING_MM)


def block_labels(slices: int = 6, size: int = 120) -> np.ndarray:
    """uint8[slice, row, column]: the blocks of `blocks`."""
    labels = np.zeros((slices, size, size), np.uint8)
    labels[:, 60:80, 50:70] = 1
    labels[:, 20:55, 15:60] = 2
    labels[:, 30:50, 70:90] = 3
    return labels


def block_masks(slices: int = 6, size: int = 120) -> OrganMasks:
    """The truth about `blocks`."""
    return OrganMasks(ORGANS, block_labels(slices, size), tuple(range(slices)))


class ByBrightness(nn.Module):
    """logits[slice, class, row, column]: each organ where the window's value is near its own."""

    def __init__(self, values: tuple[float, ...]) -> None:
        super().__init__()
        self.seen = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.seen.weight)
        self.values = values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.seen(x)
        organs = [4.0 - 400.0 * (x - value) ** 2 for value in self.values]
        return torch.cat([torch.zeros_like(x), *organs], 1)


def organ_bundle(hounsfield: dict[Organ, float], **options: Any) -> Bundle:
    """A bundle that finds blocks of these HU."""
    low, high = GRID.windows[0]
    values = tuple(2.0 * (hounsfield.get(organ, -95.0) - low) / (high - low) - 1.0 for organ in ORGANS)
    kept = {**GRID.as_options(), "organs": [organ.name for organ in ORGANS], "layers": {"grad-cam": "seen"}, **options}
    card = ModelCard("blocks", "0", "segmentation", "by-brightness", "e" * 64, "tests", "all", "none", options=kept)
    return Bundle(card, ByBrightness(values).eval().requires_grad_(False))
