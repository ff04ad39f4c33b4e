"""Slices for a generator: from shards, cut to its view; a batch is a function of the seed and the step.

Each slice comes with another of the same anatomy at another time after the injection, where there is one, as phantoms
and painted volumes have it: by them a generator learns to tell what contrast does from where things lie.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.counterfactual.view import View
from inference.phantom.tissues import UNKNOWN, tissue_table
from inference.preprocessing import Grid, Placement, clean, place, resample
from inference.training.datasets import Batch, Sample, ShardPool, pack, stored_grid
from inference.training.segmentation_data import most_of

JITTER = 3
"""Pixels by which a slice is moved at most, either way: bodies are never centred alike."""


@dataclass(frozen=True)
class Pair:
    """One slice at two times."""

    first: Sample
    other: Sample
    """The same as `first` where there is no other."""
    labels: NDArray[np.uint8] | None = None
    """[row, column] of Organ, of both; None where nobody knows."""


@dataclass(frozen=True)
class PairBatch(Batch):
    """Slices, each with the same slice at another time, and what each pixel is made of."""

    other: NDArray[np.int16]
    """[slice, row, column], where `hounsfield` lies; the same as it where there is no other."""
    tissue: NDArray[np.uint8]
    """[slice, row, column] of Tissue, UNKNOWN where nobody knows."""


def pack_pairs(pairs: Iterable[Pair], grid: Grid) -> PairBatch:
    """Slices, their others and their tissues on the shards' grid; what is true of the first is kept."""
    made, wide = list(pairs), stored_grid(grid)
    packed = pack((pair.first for pair in made), grid)
    others, tissues = [], []
    for pair in made:
        # All lie where the first does: another contrast may move the field by a pixel.
        where = place(clean(pair.first.hounsfield), pair.first.pixel_spacing_mm)
        others.append(resample(clean(pair.other.hounsfield), where, wide))
        tissues.append(_tissues(pair.labels, where, wide))
    other = np.rint(np.stack(others)).astype(np.int16)
    return PairBatch(packed.hounsfield, packed.phase, packed.scope, packed.seconds, other, np.stack(tissues))


def pack_alone(samples: Iterable[Sample], grid: Grid) -> PairBatch:
    """Slices of which there is no other, and nobody knows the tissues."""
    return pack_pairs((Pair(sample, sample) for sample in samples), grid)


def _tissues(labels: NDArray[np.uint8] | None, where: Placement, grid: Grid) -> NDArray[np.uint8]:
    """Of each of the grid's pixels the tissue that fills most of it."""
    if labels is None:
        return np.full((grid.size, grid.size), UNKNOWN, np.uint8)
    # Counted from one, for most_of takes nought for what is none of them; UNKNOWN becomes nought and comes back.
    return most_of(tissue_table()[labels] + np.uint8(1), where, grid) - np.uint8(1)


@dataclass(frozen=True)
class Images:
    """What a step learns from."""

    real: Tensor
    """image[slice, 1, row, column] in -1..1."""
    other: Tensor
    """The same slices at another time, or `real` again."""
    tissue: Tensor
    """uint8[slice, row, column] of Tissue or UNKNOWN."""

    @classmethod
    def alone(cls, real: Tensor) -> "Images":
        """Slices of which nothing else is known."""
        return cls(real, real, torch.full((len(real), *real.shape[2:]), UNKNOWN, dtype=torch.uint8))

    def to(self, device: torch.device) -> "Images":
        """The same on a device."""
        return Images(self.real.to(device), self.other.to(device), self.tissue.to(device))


def drawn_images(pool: ShardPool, view: View, count: int, seed: int, step: int) -> Images:
    """What the pool holds, drawn for this step. Raises TypeError for a pool of single slices."""
    random = np.random.default_rng([seed, step])
    pool.random = random
    drawn = pool.draw(count)
    if not isinstance(drawn, PairBatch):
        raise TypeError("a generator learns from pairs of slices")
    middle = (drawn.hounsfield.shape[-1] - view.size) // 2
    reach = min(JITTER, middle)
    corners = middle + random.integers(-reach, reach + 1, (count, 2))
    first, other, tissue = (_cut(part, view.size, corners) for part in (drawn.hounsfield, drawn.other, drawn.tissue))
    return Images(view.units(first.float())[:, None], view.units(other.float())[:, None], tissue)


def _cut(wide: NDArray[Any], size: int, corners: NDArray[np.int64]) -> Tensor:
    """`size` rows and columns of wide[slice, row, column] from corners[slice, (row, column)] on."""
    cut = [image[r : r + size, c : c + size] for image, (r, c) in zip(wide, corners, strict=True)]
    return torch.from_numpy(np.stack(cut))


def middle_images(pool: ShardPool, view: View, count: int, seed: int) -> Tensor:
    """image[slice, 1, row, column] in -1..1 as it is met later: centred, not moved."""
    pool.random = np.random.default_rng([seed, 1])
    wide = torch.from_numpy(pool.draw(count).hounsfield.astype(np.float32))
    corner = (wide.shape[-1] - view.size) // 2
    return view.units(wide[:, corner : corner + view.size, corner : corner + view.size])[:, None]
