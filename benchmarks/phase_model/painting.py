"""Painting: slices of a donor as they would have looked at a random time after the injection of random contrast.

Slice by slice and without bending, unlike `inference.phantom.repaint`, which the training uses beside it: every organ
is moved by what the contrast model adds to it, unmixed contrast and oral contrast included.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from donors import Donor, Floats, Labels
from numpy.random import Generator
from scipy import ndimage

from inference.phantom.contrast import EarlierBolus, Physiology, attenuation_table, random_seconds
from inference.phantom.organs import Organ
from inference.phases import PHASES, Phase
from inference.training.datasets import Sample
from inference.training.generator_data import Pair

BLOOD = (
    Organ.AORTA,
    Organ.INFERIOR_VENA_CAVA,
    Organ.PORTAL_VEIN,
    Organ.HEPATIC_VEIN,
    Organ.LEFT_HEART,
    Organ.RIGHT_HEART,
    Organ.PULMONARY_VEIN,
    Organ.PULMONARY_ARTERY,
    Organ.SUPERIOR_VENA_CAVA,
    Organ.BRACHIOCEPHALIC_VEIN,
)
LEAST_PIXELS = 300
"""Of outlined organs, that most slices must have."""


@dataclass(frozen=True)
class Moment:
    """When a slice is painted."""

    phase: Phase | None
    """None between two phases or after an earlier injection."""
    seconds: float | None
    earlier: EarlierBolus | None = None

    @classmethod
    def random(cls, physiology: Physiology, rng: Generator) -> "Moment":
        """A phase; now and then a time between two, or a portal venous time after an earlier injection."""
        phase = PHASES[rng.integers(len(PHASES))]
        seconds, chance = random_seconds(phase, physiology, rng), rng.random()
        if phase is not Phase.UNENHANCED and chance < 0.16:
            return cls(None, float(rng.uniform(45, 55) if rng.random() < 0.2 else rng.uniform(108, 172)))
        if phase is Phase.PORTAL_VENOUS and chance < 0.3:
            return cls(None, seconds, EarlierBolus(float(rng.uniform(150, 600)), float(rng.uniform(0.3, 1.0))))
        return cls(phase, seconds)


def any_donor(donors: Mapping[str, Donor], weights: Mapping[str, float], rng: Generator) -> Donor:
    """One of the donors, drawn by their weights."""
    names = sorted(donors)
    share = np.array([weights.get(name, 1.0) for name in names])
    return donors[names[rng.choice(len(names), p=share / share.sum())]]


def painted(donor: Donor, rng: Generator) -> Sample:
    """One slice with the contrast of a random patient at a random time."""
    i = _slice_with_organs(donor, rng)
    image = _blended(donor, i, rng)
    return _at_some_time(donor, i, image, Physiology.random(rng), rng)


def painted_pair(donor: Donor, rng: Generator) -> Pair:
    """The same slice of one random patient at two random times, and its organs."""
    i = _slice_with_organs(donor, rng)
    image, physiology = _blended(donor, i, rng), Physiology.random(rng)
    first, other = (_at_some_time(donor, i, image, physiology, rng) for _ in range(2))
    return Pair(first, other, donor.labels[i])


def _at_some_time(donor: Donor, i: int, image: Floats, physiology: Physiology, rng: Generator) -> Sample:
    labels, moment = donor.labels[i], Moment.random(physiology, rng)
    mean, unmixed = attenuation_table(moment.seconds, physiology, moment.earlier)
    change = _change(labels, mean, physiology, rng)[labels] + unmixed[labels] * _streams(image.shape, rng)
    change = ndimage.gaussian_filter(change, rng.uniform(0.6, 1.3))
    if rng.random() < 0.25:
        change = change + _oral(labels, rng)
    spacing_mm = donor.spacing_mm[1], donor.spacing_mm[2]
    return Sample((image + change).astype(np.float32), spacing_mm, moment.phase, moment.seconds, True)


def _slice_with_organs(donor: Donor, rng: Generator) -> int:
    while True:
        i = int(rng.integers(len(donor.labels)))
        if (donor.labels[i] > Organ.MARROW).sum() > LEAST_PIXELS or rng.random() < 0.1:
            return i


def _blended(donor: Donor, i: int, rng: Generator) -> Floats:
    """The slice, now and then mixed with its neighbour where both hold the same organs: less noise, thicker slices."""
    image: Floats = donor.hounsfield[i].astype(np.float32)
    if rng.random() < 0.4 and 0 < i < len(donor.labels) - 1:
        j = i + int(rng.choice([-1, 1]))
        differ = (donor.labels[j] != donor.labels[i]).astype(np.float32)
        same = 1 - ndimage.gaussian_filter(differ, 1)
        image[:] = image * (1 - 0.5 * same) + donor.hounsfield[j] * 0.5 * same
    return image


def _change(labels: Labels, mean: Floats, physiology: Physiology, rng: Generator) -> Floats:
    """HU to add to each organ: what contrast adds, and how patients differ without it."""
    change = np.zeros(256, np.float32)
    for organ in (Organ(int(value)) for value in np.unique(labels)):
        if organ is Organ.BONE:
            change[organ] = rng.uniform(-100, 150)
        elif organ not in (Organ.BACKGROUND, Organ.LUNG):
            change[organ] = mean[organ] - physiology.native.get(organ, 0.0)
    anaemia = rng.normal(0, 4)
    for organ in (Organ.LIVER, Organ.SPLEEN, Organ.KIDNEY_CORTEX, Organ.PANCREAS, Organ.BODY):
        change[organ] += rng.normal(0, 5)
    if rng.random() < 0.2:
        change[Organ.LIVER] -= rng.uniform(5, 50)
    change[list(BLOOD)] += anaemia
    return change


def _streams(shape: tuple[int, ...], rng: Generator) -> Floats:
    """Smooth noise with a standard deviation of one: where unmixed contrast runs."""
    noise = ndimage.gaussian_filter(rng.normal(0, 1, shape).astype(np.float32), 4)
    return np.asarray(noise / (noise.std() + 1e-6))


def _oral(labels: Labels, rng: Generator) -> Floats:
    """Dense oral contrast in some of the bowel."""
    blobs = ndimage.gaussian_filter(rng.normal(0, 1, labels.shape), rng.uniform(6, 14))
    filled = (labels == Organ.BOWEL_WALL) & (blobs > blobs.std() * rng.uniform(0.5, 1.2))
    dense = np.where(filled, rng.uniform(100, 600), 0).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(dense, 1))
