"""Volume: one CT acquisition as numbers, read slice by slice.

A series of 2,000 slices is 2 GB as float32. A volume therefore holds no pixels: it holds what all slices
share, and a reader that yields one slice when it is asked. Memory stays flat in the number of slices.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hounsfield = NDArray[np.float32]
SliceReader = Callable[[int], Hounsfield]


@dataclass(frozen=True)
class Volume:
    """One acquisition, slices ordered from the feet to the head, on the pixel grid of its source.

    Raises ValueError when the parts do not fit each other: an invalid volume is never made.
    """

    slice_ids: tuple[str, ...]
    """Opaque name of each slice; nothing here reads anything into it."""
    positions_mm: tuple[float, ...]
    """Position of each slice along the patient's long axis, strictly rising towards the head."""
    shape: tuple[int, int]
    """(rows, columns) of every slice."""
    pixel_spacing_mm: tuple[float, float]
    """(between rows, between columns)."""
    read: SliceReader
    """read(index) -> hounsfield[row, column], float32."""
    flip_rows: bool = False
    """True when row 0 is the patient's back: the network sees the slice flipped to anterior-first."""
    flip_columns: bool = False
    """True when column 0 is the patient's left: the network sees the slice flipped to right-first."""

    def __post_init__(self) -> None:
        count = len(self.slice_ids)
        if count == 0 or count != len(self.positions_mm):
            raise ValueError(f"{count} slice ids and {len(self.positions_mm)} positions")
        if len(set(self.slice_ids)) != count:
            raise ValueError("slice ids repeat")
        if any(b <= a for a, b in zip(self.positions_mm, self.positions_mm[1:], strict=False)):
            raise ValueError("slice positions do not rise")
        if min(self.shape) < 1 or not all(np.isfinite(s) and s > 0 for s in self.pixel_spacing_mm):
            raise ValueError(f"shape {self.shape}, pixel spacing {self.pixel_spacing_mm} mm")

    @classmethod
    def from_array(
        cls,
        hounsfield: Hounsfield,
        spacing_mm: tuple[float, float, float] = (5.0, 0.8, 0.8),
        slice_ids: Sequence[str] | None = None,
    ) -> "Volume":
        """A volume over hounsfield[slice, row, column] in memory; spacing_mm is (slice, row, column)."""
        ids = tuple(slice_ids) if slice_ids is not None else tuple(f"slice {i}" for i in range(len(hounsfield)))
        return cls(
            slice_ids=ids,
            positions_mm=tuple(i * spacing_mm[0] for i in range(len(hounsfield))),
            shape=(int(hounsfield.shape[1]), int(hounsfield.shape[2])),
            pixel_spacing_mm=spacing_mm[1:],
            read=lambda index: np.asarray(hounsfield[index], dtype=np.float32),
        )

    def __len__(self) -> int:
        return len(self.slice_ids)

    @property
    def slice_spacing_mm(self) -> float:
        """Median distance between neighbouring slices; 0.0 for a single slice."""
        return float(np.median(np.diff(self.positions_mm))) if len(self) > 1 else 0.0

    @property
    def coverage_mm(self) -> float:
        """Distance from the first slice's position to the last one's."""
        return self.positions_mm[-1] - self.positions_mm[0]

    def slice(self, index: int) -> Hounsfield:
        """hounsfield[row, column] of one slice. Raises ValueError when the reader breaks its promise."""
        hounsfield = self.read(index)
        if hounsfield.shape != self.shape or hounsfield.dtype != np.float32:
            raise ValueError(f"slice {index}: {hounsfield.dtype} {hounsfield.shape}, expected float32 {self.shape}")
        return hounsfield

    def upright(self, image: Hounsfield) -> Hounsfield:
        """image[..., row, column] turned between the source's grid and anterior-first, right-first; its own inverse."""
        if self.flip_rows:
            image = image[..., ::-1, :]
        if self.flip_columns:
            image = image[..., ::-1]
        return image

    def batches(self, size: int) -> Iterator[tuple[range, Hounsfield]]:
        """(indices, hounsfield[slice, row, column]) for at most `size` neighbouring slices at a time."""
        for start in range(0, len(self), size):
            indices = range(start, min(start + size, len(self)))
            yield indices, np.stack([self.slice(i) for i in indices])
