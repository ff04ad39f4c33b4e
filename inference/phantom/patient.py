"""Patient: one phantom person, from whom a slice of labels can be asked at any height and on any pixel grid."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.phantom import abdomen, bowel, skeleton, thorax, vessels
from inference.phantom.body import extent, paint_wall
from inference.phantom.canvas import SUPERSAMPLING, Canvas, Grid, canvas_for
from inference.phantom.contrast import Physiology
from inference.phantom.traits import Traits

TRUNK_MM = 620.0
"""Reference height from position 0 (lower edge of the pelvis) to position 1 (thoracic inlet)."""


@dataclass(frozen=True)
class Anatomy:
    """One slice of truth, painted finer than the picture that will be made of it."""

    labels: NDArray[np.uint8]
    """labels[row, column] of Organ, `SUPERSAMPLING` pixels for each final one."""
    offset: NDArray[np.float32]
    """HU beside the organ's value."""
    grid: Grid
    position: float
    """0 pelvis … 1 thoracic inlet."""


@dataclass(frozen=True)
class Patient:
    """Shape and circulation of one person."""

    traits: Traits
    physiology: Physiology
    seed: int = field(default=0)

    @classmethod
    def random(cls, seed: int, family: str = "training", switches: Mapping[str, bool] | None = None) -> "Patient":
        """The patient of a seed; `switches` set confounders by name. Raises as `Traits.random` does."""
        traits = Traits.random(seed, family, switches)
        return cls(traits, Physiology.random(traits.rng("physiology")), seed)

    @property
    def trunk_mm(self) -> float:
        """Distance from position 0 to position 1 in this patient."""
        return TRUNK_MM * self.traits.scale[2]

    def labels(self, position: float, grid: Grid) -> Anatomy:
        """The slice at `position` (0 pelvis … 1 thoracic inlet) on `grid`."""
        t = self.traits
        canvas, window = canvas_for(grid, position * self.trunk_mm, t.scale, (*t.warp, t.warp_mm), extent(t))
        _paint(canvas, t)
        count = grid.size * SUPERSAMPLING
        labels, offset = np.zeros((count, count), np.uint8), np.zeros((count, count), np.float32)
        labels[window], offset[window] = canvas.labels, canvas.offset
        return Anatomy(labels, offset, grid, position)


def _paint(canvas: Canvas, traits: Traits) -> None:
    """Everything that crosses this slice, from the outside in; what comes later lies upon what came before."""
    spaces = paint_wall(canvas, traits)
    bowel.paint_pelvic_organs(canvas, traits)
    skeleton.paint_muscles(canvas, traits)
    thorax.paint_lungs(canvas, traits, spaces)
    abdomen.paint_liver(canvas, traits, spaces)
    abdomen.paint_upper_organs(canvas, traits, spaces)
    abdomen.paint_kidneys(canvas, traits)
    abdomen.paint_stomach(canvas, traits, spaces)
    bowel.paint_colon(canvas, traits, spaces)
    bowel.paint_small_bowel(canvas, traits, spaces)
    bowel.paint_ascites(canvas, traits, spaces)
    abdomen.paint_liver_lesions(canvas, traits)
    thorax.paint_heart(canvas, traits)
    vessels.paint_abdominal_vessels(canvas, traits)
    thorax.paint_great_vessels(canvas, traits)
    skeleton.paint_spine(canvas, traits)
    skeleton.paint_ribs(canvas, traits, spaces)
    skeleton.paint_shoulders(canvas, traits)
    skeleton.paint_pelvis(canvas, traits)
    vessels.paint_plaque(canvas, traits)
    skeleton.roughen_marrow(canvas, traits)
    skeleton.paint_metal(canvas, traits)
