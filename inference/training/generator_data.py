"""Slices for a generator: from shards, cut to its view; a batch is a function of the seed and the step.

Each slice comes with another of the same anatomy at another time after the injection, where there is one, as phantoms
and painted volumes have it: by them a generator learns to tell what contrast does from where things lie.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.counterfactual.view import View
from inference.preprocessing import Grid, clean, place, resample
from inference.training.datasets import Batch, Sample, ShardPool, pack, stored_grid

JITTER = 3
"""Pixels by which a slice is moved at most, either way: bodies are never centred alike."""


@dataclass(frozen=True)
class PairBatch(Batch):
    """Slices, each with the same slice at another time."""

    other: NDArray[np.int16]
    """[slice, row, column], where `hounsfield` lies; the same as it where there is no other."""


def pack_pairs(pairs: Iterable[tuple[Sample, Sample]], grid: Grid) -> PairBatch:
    """Slices and their others on the shards' grid; what is true of the first is kept."""
    made, wide = list(pairs), stored_grid(grid)
    packed = pack((first for first, _ in made), grid)
    others = [
        # Both lie where the first does: another contrast may move the field by a pixel.
        resample(clean(other.hounsfield), place(clean(first.hounsfield), first.pixel_spacing_mm), wide)
        for first, other in made
    ]
    other = np.rint(np.stack(others)).astype(np.int16)
    return PairBatch(packed.hounsfield, packed.phase, packed.scope, packed.seconds, other)


def pack_alone(samples: Iterable[Sample], grid: Grid) -> PairBatch:
    """Slices of which there is no other."""
    return pack_pairs(((sample, sample) for sample in samples), grid)


@dataclass(frozen=True)
class Lesson:
    """What a step is to reconstruct; all image[slice, 1, row, column] in -1..1."""

    real: Tensor
    """Slices: where things lie."""
    wanted: Tensor
    """The same slices or their others: how they are to look."""
    counts: Tensor
    """What each pixel counts: where contrast changes much, more."""

    @classmethod
    def of(cls, real: Tensor, other: Tensor, same: float, changed: float, random: torch.Generator) -> "Lesson":
        """`same`: share of the slices that are wanted as they are; `changed`: see Weights."""
        kept = torch.rand(len(real), generator=random) < same
        wanted = torch.where(kept.to(real.device)[:, None, None, None], real, other)
        return cls(real, wanted, 1.0 + changed * (real - other).abs())


def real_pairs(pool: ShardPool, view: View, count: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Two image[slice, 1, row, column] in -1..1, slices and their others: what the pool holds, drawn for this step.

    Raises TypeError for a pool of single slices.
    """
    random = np.random.default_rng([seed, step])
    pool.random = random
    drawn = pool.draw(count)
    if not isinstance(drawn, PairBatch):
        raise TypeError("a generator learns from pairs of slices")
    middle = (drawn.hounsfield.shape[-1] - view.size) // 2
    reach = min(JITTER, middle)
    corners = middle + random.integers(-reach, reach + 1, (count, 2))
    first, other = (_cut(part, view, corners) for part in (drawn.hounsfield, drawn.other))
    return first, other


def _cut(wide: NDArray[np.int16], view: View, corners: NDArray[np.int64]) -> Tensor:
    """The view of wide[slice, row, column] from corners[slice, (row, column)] on."""
    size = view.size
    cut = [image[r : r + size, c : c + size] for image, (r, c) in zip(wide, corners, strict=True)]
    return view.units(torch.from_numpy(np.stack(cut).astype(np.float32)))[:, None]


def middle_images(pool: ShardPool, view: View, count: int, seed: int) -> Tensor:
    """image[slice, 1, row, column] in -1..1 as it is met later: centred, not moved."""
    pool.random = np.random.default_rng([seed, 1])
    wide = torch.from_numpy(pool.draw(count).hounsfield.astype(np.float32))
    corner = (wide.shape[-1] - view.size) // 2
    return view.units(wide[:, corner : corner + view.size, corner : corner + view.size])[:, None]
