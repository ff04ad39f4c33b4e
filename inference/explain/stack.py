"""Maps of every slice of a volume: made in batches, kept on the network's grid, laid over their slice when looked at.

One slice of 512 x 512 pixels takes a megabyte a map; on the grid it takes a tenth of that, so that a series of
hundreds of slices stays small in memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inference.explain.engine import explain
from inference.explain.mapset import series_scale
from inference.findings import SliceMap
from inference.models import Bundle
from inference.phases import PHASES, Phase
from inference.preprocessing import Grid, Placement, channels, clean, place, resample, to_source
from inference.volume import Volume

BATCH = 16

Array = NDArray[np.float32]


def explain_stack(
    volume: Volume,
    bundle: Bundle,
    target: Phase,
    layers: Mapping[str, str],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SliceMap, ...]:
    """A map of each method in `layers` (method -> layer) for every slice, each method with one scale for all slices.

    `progress` hears (slices done, slices in all). Raises CannotExplain when a map has no meaning for the network.
    """
    grid = Grid.from_options(bundle.card.options)
    made: dict[str, list[Array]] = {method: [] for method in layers}
    placements: list[Placement] = []
    for indices, hounsfield in volume.batches(BATCH):
        images = [clean(image) for image in volume.upright(hounsfield)]
        placed = [place(image, volume.pixel_spacing_mm) for image in images]
        resampled = np.stack([resample(image, at, grid) for image, at in zip(images, placed, strict=True)])
        inputs = torch.from_numpy(channels(resampled, grid.windows))
        for method, found in _explained(bundle, inputs, target, layers).items():
            made[method].append(np.maximum(found, 0.0))
        placements += placed
        if progress is not None:
            progress(indices.stop, len(volume))
    return tuple(
        SliceMap(index, method, layers[method], target.value, values, scale, _Laid(volume, placements[index], grid))
        for method, parts in made.items()
        for scale in [series_scale(np.concatenate(parts))]
        for index, values in enumerate(value for part in parts for value in part)
    )


@dataclass(frozen=True)
class _Laid:
    """values[row, column] on the network's grid -> on the pixels of the source slice, as it is stored."""

    volume: Volume
    placement: Placement
    grid: Grid

    def __call__(self, values: Array) -> Array:
        return np.ascontiguousarray(self.volume.upright(to_source(values, self.placement, self.grid)))


def _explained(bundle: Bundle, inputs: torch.Tensor, target: Phase, layers: Mapping[str, str]) -> dict[str, Array]:
    """values[slice, row, column] of each method on the grid; each has a layer of its own."""
    module, number = bundle.module.cpu(), PHASES.index(target)
    return {
        method: explain(module, inputs, target=number, layers=[layer], maps=[method]).get(method).values
        for method, layer in layers.items()
    }
