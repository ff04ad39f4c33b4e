"""Repaint: a real labelled CT as it would have looked at another time after another injection.

What is real stays: texture, bowel, bones, fat planes. What contrast changes is moved: every organ by the difference
between the contrast model's value and the organ's own median. The volume is stretched, bent and turned at random
first, as SynthSeg does (Billot, Med Image Anal 2023;86:102789), so that one patient becomes many.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from inference.phantom.contrast import Physiology, attenuation_table, phase_at, random_seconds
from inference.phantom.field import Field, Floats
from inference.phantom.labelled import Labelled, load_labelled, read_nifti
from inference.phantom.organs import PHASE_BEARING, Organ
from inference.phantom.patient import Patient
from inference.phantom.scanner import Scan, finished
from inference.phantom.slices import PhantomSlice
from inference.phases import Phase

__all__ = ["Labelled", "load_labelled", "read_nifti", "repaint", "repainted_stream"]


def repaint(
    labelled: Labelled, seconds: float | None, physiology: Physiology, rng: Generator, count: int = 4, size: int = 256
) -> list[PhantomSlice]:
    """`count` slices of one random deformation of the volume, `seconds` after the injection; None for unenhanced."""
    scan = _scan(labelled, rng)
    mean, _ = attenuation_table(seconds, physiology)
    coloured = labelled.hounsfield + _change(labelled, mean, physiology, rng)[labelled.organs]
    if rng.random() < 0.25:
        _feed(coloured, labelled, rng)
    deformation = _Deformation.random(rng, labelled, scan, size)
    return [_slice(labelled, coloured, deformation, scan, seconds, rng) for _ in range(count)]


def repainted_stream(labelled: Labelled, seed: int, size: int = 256) -> Iterator[PhantomSlice]:
    """Repainted slices without an end, phases balanced, every patient's circulation drawn anew."""
    rng = np.random.default_rng([seed, size, 9])
    while True:
        physiology = Physiology.random(rng)
        for phase in Phase:
            yield from repaint(labelled, random_seconds(phase, physiology, rng), physiology, rng, 3, size)


def _scan(labelled: Labelled, rng: Generator) -> Scan:
    return Scan.random(rng, Patient.random(int(rng.integers(2**31))))


def _change(labelled: Labelled, mean: Floats, physiology: Physiology, rng: Generator) -> Floats:
    """HU to add to each organ's voxels: float32[256]; what the contrast model does not know is hardly touched."""
    change = np.zeros(256, np.float32)
    for organ in Organ:
        own = labelled.means[organ]
        if np.isnan(own):
            continue
        if organ in PHASE_BEARING or organ in (Organ.BODY, Organ.ADRENAL, Organ.CYST, Organ.GALLBLADDER):
            change[organ] = mean[organ] - own
        elif organ in (Organ.FAT, Organ.BONE, Organ.STOMACH, Organ.BOWEL):
            change[organ] = rng.normal(0, 6 if organ is Organ.FAT else 12)
    # The wall is a voxel's edge: half of it is not wall.
    change[Organ.BOWEL_WALL] = 0.5 * (mean[Organ.BOWEL_WALL] - physiology.native[Organ.BOWEL_WALL])
    return change


def _feed(hu: Floats, labelled: Labelled, rng: Generator) -> None:
    """Oral contrast in parts of stomach and bowel."""
    lumen = np.isin(labelled.organs, (Organ.BOWEL, Organ.STOMACH)) & (labelled.hounsfield > -20)
    pieces, count = ndimage.label(lumen)
    fill = np.where(rng.random(count + 1) < 0.6, rng.uniform(80, 600, count + 1), 0).astype(np.float32)
    fill[0] = 0
    hu += fill[pieces]


@dataclass(frozen=True)
class _Deformation:
    """Where in the volume each pixel of a slice is found."""

    size: int
    spacing_mm: float
    centre: NDArray[np.float64]
    """(row, column) of the volume's body, voxels."""
    scale: tuple[float, float, float]
    rotation: float
    tilt: tuple[float, float]
    bend: tuple[Field, Field, Field]
    bend_mm: float

    @classmethod
    def random(cls, rng: Generator, labelled: Labelled, scan: Scan, size: int) -> "_Deformation":
        where = np.argwhere(labelled.body[len(labelled.body) // 2] > 0.5)
        width = float(np.ptp(where[:, 1])) * labelled.spacing_mm[2]
        field = width * rng.uniform(0.95, 1.45)
        return cls(
            size=size,
            spacing_mm=field / size,
            centre=where.mean(axis=0) + rng.normal(0, 3, 2),
            scale=(float(rng.uniform(0.85, 1.2)), float(rng.uniform(0.85, 1.15)), float(rng.uniform(0.85, 1.15))),
            rotation=float(rng.normal(0, 0.06)),
            tilt=(float(rng.normal(0, 0.04)), float(rng.normal(0, 0.04))),
            bend=(Field.random(rng, 45), Field.random(rng, 45), Field.random(rng, 45)),
            bend_mm=float(rng.uniform(2, 9)),
        )

    def coordinates(self, height: float, spacing: tuple[float, float, float]) -> Floats:
        """coordinates[3, row, column] in voxels of the slice at voxel height `height`."""
        axis = ((np.arange(self.size) - (self.size - 1) / 2) * self.spacing_mm).astype(np.float32)
        dz, dy, dx = (np.float32(self.bend_mm) * f.plane(height * spacing[0], axis, axis) for f in self.bend)
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        y = (cos * axis[:, None] - sin * axis[None, :]) / self.scale[1] + dy
        x = (sin * axis[:, None] + cos * axis[None, :]) / self.scale[2] + dx
        z = height * spacing[0] + self.tilt[0] * y + self.tilt[1] * x + dz
        return np.stack([z / spacing[0], y / spacing[1] + self.centre[0], x / spacing[2] + self.centre[1]]).astype(
            np.float32
        )


def _slice(
    labelled: Labelled, coloured: Floats, deformation: _Deformation, scan: Scan, seconds: float | None, rng: Generator
) -> PhantomSlice:
    depth = len(labelled.hounsfield)
    height = float(rng.uniform(0.03, 0.97) * (depth - 1))
    at = deformation.coordinates(height, labelled.spacing_mm)
    hu = ndimage.map_coordinates(coloured, at, order=1, mode="constant", cval=-1000.0)
    organs = ndimage.map_coordinates(labelled.organs, at, order=0, mode="constant", cval=0)
    body = ndimage.map_coordinates(labelled.body, at, order=1, mode="constant", cval=0.0)
    spacing = deformation.spacing_mm
    if rng.random() < 0.5:  # a volume of 3 mm is softer than most kernels: give some of its edges back
        hu = hu + np.float32(rng.uniform(0.3, 1.5)) * (hu - ndimage.gaussian_filter(hu, 2.2 / spacing, truncate=2.5))
    hounsfield = finished(hu.astype(np.float32), body.astype(np.float32), scan, spacing, rng)
    return PhantomSlice(
        hounsfield, organs, (spacing, spacing), height / (depth - 1), seconds, phase_at(seconds), "repainted"
    )
