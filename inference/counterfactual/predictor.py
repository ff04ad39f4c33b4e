"""The model that is explained, as a function: slices in, logits out. Nothing else of it is used."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inference.models import Bundle
from inference.preprocessing import Grid, channels
from inference.volume import Hounsfield

Array = NDArray[np.float64]
BATCH = 64


@dataclass(frozen=True)
class Predictor:
    """A black box that tells classes of slices."""

    grid: Grid
    """The field and the pixels that it wants."""
    logits: Callable[[Hounsfield], Array]
    """logits(hounsfield[slice, row, column] on `grid`) -> [slice, class]."""


def predictor_of(bundle: Bundle, device: str = "cpu") -> Predictor:
    """The phase model of a bundle as a black box; classes in the order of inference.phases.PHASES."""
    grid = Grid.from_options(bundle.card.options)

    @torch.inference_mode()
    def logits(hounsfield: Hounsfield) -> Array:
        # The network is shared with who else explains it, and may have been left on another device.
        module, found = bundle.module.to(device), []
        for start in range(0, len(hounsfield), BATCH):
            inputs = torch.from_numpy(channels(hounsfield[start : start + BATCH], grid.windows)).to(device)
            found.append(module(inputs).float().cpu().numpy())
        return np.concatenate(found).astype(np.float64)

    return Predictor(grid, logits)


def probabilities(logits: Array) -> Array:
    """Softmax over the last axis."""
    exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True))
