"""Field: smooth random functions of position, cheap enough to be asked for every slice.

A field is a periodic lattice of random numbers read through cubic B-splines. Splines are separable, so a whole
plane is two small matrix products. All patients share one lattice and look at different places of it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_NODES = 48


@lru_cache(maxsize=2)
def _lattice(bank: int) -> Floats:
    lattice = np.random.default_rng(7_000 + bank).standard_normal((_NODES, _NODES, _NODES), dtype=np.float32)
    # A cubic B-spline of white noise has a variance of about 0.48 an axis: put it back to 1.
    return lattice * np.float32(1.0 / 0.4793**1.5)


def _basis(positions: Floats) -> Floats:
    """weights[position, node] of the periodic cubic B-spline; `positions` in lattice steps."""
    base = np.floor(positions)
    t = (positions - base).astype(np.float32)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    matrix = np.zeros((len(positions), _NODES), np.float32)
    rows, first = np.arange(len(positions)), base.astype(np.int64) - 1
    for k, weight in enumerate(weights):
        matrix[rows, (first + k) % _NODES] += weight / 6
    return matrix


@dataclass(frozen=True)
class Field:
    """A smooth random function with unit variance and a grain of `scale_mm`."""

    scale_mm: float
    """Distance of the lattice's nodes; features are about twice that."""
    shift: tuple[float, float, float]
    """Where on the lattice this field lies (z, y, x), in steps."""
    bank: int = 0

    @classmethod
    def random(cls, rng: Generator, scale_mm: float, bank: int = 0) -> "Field":
        z, y, x = (float(v) for v in rng.uniform(0, _NODES, 3))
        return cls(scale_mm, (z, y, x), bank)

    def plane(self, z_mm: float, y_mm: Floats, x_mm: Floats) -> Floats:
        """value[row, column] over the axes y_mm[row] and x_mm[column] at height z_mm."""
        lattice = _lattice(self.bank)
        z = _basis(np.array([z_mm / self.scale_mm + self.shift[0]], np.float32))
        coefficients = np.tensordot(z[0], lattice, axes=1)
        rows = _basis((y_mm / self.scale_mm + self.shift[1]).astype(np.float32))
        columns = _basis((x_mm / self.scale_mm + self.shift[2]).astype(np.float32))
        plane: Floats = rows @ coefficients @ columns.T
        return plane
