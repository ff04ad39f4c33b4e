"""Slices with the organ of every pixel: how they are stored, and changed at random together with their labels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inference.phantom.organs import Organ
from inference.phantom.slices import PhantomSlice
from inference.preprocessing import AIR_HU, HIGHEST_HU, LOWEST_HU, Grid, Placement, clean, place, resample
from inference.segment import MERGED, ORGANS
from inference.training.augmentation import Augmentation
from inference.training.datasets import Batch, Sample, pack, stored_grid


@dataclass(frozen=True)
class MaskBatch(Batch):
    """Slices of phantoms or of repainted volumes, with labels."""

    labels: NDArray[np.uint8]
    """[slice, row, column], on the grid of `stored_grid`: 0 for no organ, k for ORGANS[k - 1]."""


def class_table(organs: tuple[Organ, ...] = ORGANS) -> NDArray[np.uint8]:
    """table[Organ] = class of the network, 0 where it has none; what MERGED names counts with its organ."""
    table = np.zeros(256, np.uint8)
    for number, organ in enumerate(organs, start=1):
        table[organ] = number
    for part, whole in MERGED.items():
        table[part] = table[whole]
    return table


def pack_masks(slices: Iterable[PhantomSlice], grid: Grid) -> MaskBatch:
    """Slices and their labels on the shards' grid."""
    made, table, wide = list(slices), class_table(), stored_grid(grid)
    samples = (Sample(m.hounsfield, m.spacing_mm, m.phase, m.seconds, True) for m in made)
    packed = pack(samples, grid)
    labels = [most_of(table[m.labels], place(clean(m.hounsfield), m.spacing_mm), wide) for m in made]
    return MaskBatch(packed.hounsfield, packed.phase, packed.scope, packed.seconds, np.stack(labels))


def most_of(classes: NDArray[np.uint8], placement: Placement, grid: Grid) -> NDArray[np.uint8]:
    """classes[row, column] on the network's grid: of each of its pixels the class that fills most of it."""
    shares = np.zeros((int(classes.max()) + 1, grid.size, grid.size), np.float32)
    for number in np.unique(classes[classes > 0]):
        # resample takes what lies outside for air: moved so that air is nothing of the organ.
        shares[number] = resample((classes == number) + np.float32(AIR_HU), placement, grid) - AIR_HU
    shares[0] = 1.0 - shares[1:].sum(axis=0)
    return np.asarray(shares.argmax(axis=0), dtype=np.uint8)


class MaskAugmentation(Augmentation):
    """The same changes for picture and labels; no blocks are cut out, for nobody could say what is under them."""

    def together(self, hounsfield: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """hounsfield[slice, row, column] and labels[slice, row, column], changed at random and cropped to `size`."""
        image = hounsfield[:, None].float()
        movement = self._movement(*image.shape[::3])
        image = F.grid_sample(image - AIR_HU, movement, align_corners=False) + AIR_HU
        moved = F.grid_sample(labels[:, None].float(), movement, mode="nearest", align_corners=False)[:, 0].long()
        image = self._noisy(self._resharpened(self._retoned(image)))
        image = self._rarely(self._cut_field, image)
        moved[image[:, 0] == AIR_HU] = 0
        for change in (self._clipped, self._eight_bits):
            image = self._rarely(change, image)
        return image.clamp(LOWEST_HU, HIGHEST_HU)[:, 0], moved

    def _rarely(self, change: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        chosen = self._chance(len(image), self.strength.rare)
        return torch.where(chosen, change(image), image) if bool(chosen.any()) else image
