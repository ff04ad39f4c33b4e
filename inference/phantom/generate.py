"""Generate: endless labelled CT slices, and studies of one patient in several phases.

    random_slices(seed, count)      a list, phases balanced, all confounders mixed
    stream(seed)                    the same without an end
    random_study(seed, seconds)     one patient, one volume for each time
    random_outliers(seed, count)    what must not be judged: heads, legs, water, noise

Everything is a function of the seed. `setting` 'training' and 'held-out' differ in the family of shapes and in the
scanner's kernels, noise and tables, so that a model can be tested on what it has not seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inference.phantom.contrast import EarlierBolus, attenuation_table, enhancement, phase_at, random_seconds
from inference.phantom.organs import PHASE_BEARING, Organ
from inference.phantom.outliers import random_outliers
from inference.phantom.patient import Patient
from inference.phantom.scanner import Scan, picture
from inference.phantom.slices import PhantomSlice, PhantomVolume, final_labels
from inference.phases import Phase
from inference.volume import Volume

__all__ = [
    "REGIONS",
    "PhantomSlice",
    "PhantomVolume",
    "random_outliers",
    "random_pairs",
    "random_slices",
    "random_study",
    "stream",
]

REGIONS: Mapping[str, tuple[float, float]] = {
    "pelvis": (0.03, 0.34),
    "abdomen": (0.30, 0.72),
    "thorax": (0.62, 0.99),
    "trunk": (0.02, 0.99),
}
"""Region -> (lowest, highest) position."""

_PATIENTS_AT_ONCE = 2
_PLACES = 4
_VARIANTS = 3


def random_slices(seed: int, count: int, size: int = 256, setting: str = "training") -> list[PhantomSlice]:
    """`count` slices of many patients; the same for the same arguments."""
    return list(islice(stream(seed, size, setting), count))


def stream(seed: int, size: int = 256, setting: str = "training") -> Iterator[PhantomSlice]:
    """Slices without an end; neighbours in the stream come from a few patients, shuffled."""
    rng = np.random.default_rng([seed, size, int(setting == "held-out")])
    while True:
        group: list[PhantomSlice] = []
        for _ in range(_PATIENTS_AT_ONCE):
            patient = Patient.random(int(rng.integers(2**31)), setting)
            for _ in range(_PLACES):
                group += _variants(patient, size, setting, rng)
        rng.shuffle(group)
        yield from group


def random_pairs(
    seed: int, count: int, size: int = 256, setting: str = "training"
) -> Iterator[tuple[PhantomSlice, PhantomSlice]]:
    """`count` slices, each at two times after the injection: one anatomy on one scanner, noise and dose anew."""
    return islice(_pairs(np.random.default_rng([seed, size, int(setting == "held-out"), 2]), size, setting), count)


def _pairs(rng: Generator, size: int, setting: str) -> Iterator[tuple[PhantomSlice, PhantomSlice]]:
    while True:
        patient = Patient.random(int(rng.integers(2**31)), setting)
        for _ in range(_PLACES):
            made = list(_variants(patient, size, setting, rng))
            yield from zip(made, made[1:] + made[:1], strict=True)


def random_position(rng: Generator) -> float:
    """A height in the trunk: anywhere, more often in the abdomen."""
    region = "abdomen" if rng.random() < 0.5 else "trunk"
    return float(rng.uniform(*REGIONS[region]))


def _variants(patient: Patient, size: int, setting: str, rng: Generator) -> Iterator[PhantomSlice]:
    """The same slice of the same patient in several phases, each with its own dose."""
    scan = Scan.random(rng, patient, setting)
    anatomy = patient.labels(random_position(rng), scan.grid(size))
    labels = final_labels(anatomy)
    seen = _seen(labels)
    phases = list(Phase)
    rng.shuffle(phases)
    for phase in phases[:_VARIANTS]:
        seconds, earlier = _when(phase, patient, seen, rng)
        table = attenuation_table(seconds, patient.physiology, earlier)
        hounsfield = picture(anatomy, table, scan.noisier(float(np.exp(rng.normal(0, 0.25)))), rng)
        named = None if earlier is not None else phase_at(seconds)
        spacing = (anatomy.grid.spacing_mm, anatomy.grid.spacing_mm)
        yield PhantomSlice(hounsfield, labels, spacing, anatomy.position, seconds, named)


def _seen(labels: NDArray[np.uint8]) -> frozenset[Organ]:
    """Organs of which the slice shows enough to tell something from."""
    pixels = np.bincount(labels.ravel(), minlength=256)
    return frozenset(organ for organ in PHASE_BEARING if pixels[organ] >= 6)


def _when(
    phase: Phase, patient: Patient, seen: frozenset[Organ], rng: Generator
) -> tuple[float | None, EarlierBolus | None]:
    """Mostly a time of `phase`; now and then one in between, or a portal venous one after an earlier bolus."""
    draw = rng.random()
    if phase is not Phase.UNENHANCED and draw < 0.07:
        return float(rng.uniform(45, 55) if rng.random() < 0.3 else rng.uniform(110, 170)), None
    seconds = _telling_seconds(phase, patient, seen, rng)
    if phase is Phase.PORTAL_VENOUS and draw > 0.95:
        return seconds, EarlierBolus(float(rng.uniform(180, 600)), float(rng.uniform(0.3, 1.0)))
    return seconds, None


def _telling_seconds(phase: Phase, patient: Patient, seen: frozenset[Organ], rng: Generator) -> float | None:
    """A time at which this slice looks like its phase: arteries that are reached, no late washout without kidneys."""
    p = patient.physiology
    seconds = random_seconds(phase, p, rng)
    for _ in range(12):
        if seconds is None or phase is Phase.PORTAL_VENOUS:
            break
        bright = max((enhancement(o, seconds, p) - p.native.get(o, 0.0) for o in seen), default=0.0)
        if bright > (70 if phase is Phase.ARTERIAL else 25):
            break
        seconds = random_seconds(phase, p, rng)
    return seconds


def random_study(
    seed: int, seconds: Sequence[float | None], slices: int = 40, size: int = 512, region: str = "abdomen",
    setting: str = "training",
) -> list[PhantomVolume]:  # fmt: skip
    """One volume for each time in `seconds`, of one patient on one scanner, slice by slice the same anatomy.

    Raises KeyError for a region that does not exist.
    """
    rng = np.random.default_rng([seed, 3])
    patient = Patient.random(int(rng.integers(2**31)), setting)
    scan = Scan.random(rng, patient, setting)
    tables = [attenuation_table(s, patient.physiology) for s in seconds]
    hounsfield = np.zeros((len(seconds), slices, size, size), np.float32)
    labels = np.zeros((slices, size, size), np.uint8)
    positions = np.linspace(*REGIONS[region], slices)
    for i, position in enumerate(positions):
        anatomy = patient.labels(float(position), scan.grid(size))
        labels[i] = final_labels(anatomy)
        for k, table in enumerate(tables):
            hounsfield[k, i] = picture(anatomy, table, scan, rng)
    step = float(positions[1] - positions[0]) * patient.trunk_mm if slices > 1 else 5.0
    pixel = scan.grid(size).spacing_mm
    return [
        PhantomVolume(Volume.from_array(hounsfield[k], (step, pixel, pixel)), labels, s, phase_at(s))
        for k, s in enumerate(seconds)
    ]
