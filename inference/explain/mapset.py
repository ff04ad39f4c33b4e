"""MapSet: raw maps and what each of them is."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SCALE_PERCENTILE = 99.5


@dataclass(frozen=True)
class Map:
    """One kind of map at one layer, for every image of the batch."""

    method: str
    """A key of inference.explain.METHODS."""
    layer: str
    """Name of the module; "" for maps of the input alone."""
    values: NDArray[np.float32]
    """values[batch, row, column] or [batch, slice, row, column], raw: no scaling, no clipping but the method's own."""

    @cached_property
    def scale(self) -> float:
        """The value shown as full heat: one for the whole batch, so that an image without evidence looks cold."""
        return series_scale(self.values)


@dataclass(frozen=True)
class MapSet:
    """Everything that one call explained."""

    maps: tuple[Map, ...]
    target: str
    """What was explained, in words."""
    score_kind: str
    """"logit", "prob" or "custom": the kind of number whose gradient was taken."""
    scores: NDArray[np.float32]
    """scores[batch]: that number."""
    present: NDArray[np.bool_]
    """present[batch]: False where there was nothing to explain (no pixel in the mask) and the maps are zero."""
    sam_kind: str
    """How SAM was put together; its published equation was not at hand."""
    model_hash: str
    """Of the network's weights, as handed in."""

    def __iter__(self) -> Iterator[Map]:
        return iter(self.maps)

    def __len__(self) -> int:
        return len(self.maps)

    def get(self, method: str, layer: str | None = None) -> Map:
        """The map of a method, at a layer where there are several. Raises KeyError when there is none."""
        for found in self.maps:
            if found.method == method and layer in (None, found.layer):
                return found
        raise KeyError(f"no {method} map" + ("" if layer is None else f" at {layer}"))


def series_scale(values: NDArray[np.float32], percentile: float = SCALE_PERCENTILE) -> float:
    """The value to show as full heat, one for all images of values[batch, …].

    It is the percentile over all pixels of all images, not the maximum: a single hot pixel would leave everything else
    cold. A map sparser than that is scaled by its maximum, and 1.0 stands for a map with nothing above zero.
    """
    if values.size == 0:
        return 1.0
    # A partition is linear in the number of pixels where np.percentile on float32 maps sorts and copies.
    flat = np.ravel(values)
    rank = min(flat.size - 1, int(np.ceil(flat.size * percentile / 100)) - 1)
    high = float(np.partition(flat, rank)[rank])
    if high <= 0:
        high = float(flat.max())
    return high if high > 0 and np.isfinite(high) else 1.0
