"""Slices for a generator: from shards, cut to its view; a batch is a function of the seed and the step."""

import numpy as np
import torch
from torch import Tensor

from inference.counterfactual.view import View
from inference.training.datasets import ShardPool

JITTER = 3
"""Pixels by which a slice is moved at most, either way: bodies are never centred alike."""


def real_images(pool: ShardPool, view: View, count: int, seed: int, step: int) -> Tensor:
    """image[slice, 1, row, column] in -1..1: what the pool holds, drawn for this step."""
    random = np.random.default_rng([seed, step])
    pool.random = random
    wide = torch.from_numpy(pool.draw(count).hounsfield.astype(np.float32))
    return view.units(_cut(wide, view.size, random))[:, None]


def _cut(wide: Tensor, size: int, random: np.random.Generator) -> Tensor:
    """The middle of hounsfield[slice, row, column], each moved a little."""
    middle = (wide.shape[-1] - size) // 2
    reach = min(JITTER, middle)
    corners = middle + random.integers(-reach, reach + 1, (len(wide), 2))
    return torch.stack([image[r : r + size, c : c + size] for image, (r, c) in zip(wide, corners, strict=True)])


def middle_images(pool: ShardPool, view: View, count: int, seed: int) -> Tensor:
    """image[slice, 1, row, column] in -1..1 as it is met later: centred, not moved."""
    pool.random = np.random.default_rng([seed, 1])
    wide = torch.from_numpy(pool.draw(count).hounsfield.astype(np.float32))
    corner = (wide.shape[-1] - view.size) // 2
    return view.units(wide[:, corner : corner + view.size, corner : corner + view.size])[:, None]
