"""A hospital's own labelled series as training data: split by patient, written as shards.

The caller reads the files; here are only volumes. Patients are known by a hash from here on.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.phases import Phase
from inference.preprocessing import Grid
from inference.training.datasets import Batch, Sample, pack, write_shard
from inference.volume import Volume

TRAINING, VALIDATION = "training", "validation"


@dataclass(frozen=True)
class Labelled:
    """One series of one patient, as the caller hands it in."""

    patient: str
    """Anything that is the same for all series of one patient; only its hash is kept."""
    volume: Volume
    phase: Phase | None
    """None for a series of no abdomen or thorax: it teaches what to decline."""
    seconds: float | None = None
    """Since injection, where known."""


def part_of(patient: str, validation_share: float, seed: int) -> str:
    """TRAINING or VALIDATION, always the same for one patient and seed."""
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    return VALIDATION if int.from_bytes(digest[:8], "big") < validation_share * 2**64 else TRAINING


def write_own(
    folder: Path,
    labelled: Iterable[Labelled],
    grid: Grid,
    *,
    validation_share: float = 0.2,
    seed: int = 0,
    most_slices: int = 200,
    packed: Callable[[Iterable[Sample], Grid], Batch] = pack,
    progress: Callable[[int], None] | None = None,
) -> tuple[Labelled, ...]:
    """Write the training patients' slices as shards under `folder`; the validation patients' series come back.

    At most `most_slices` evenly spaced slices of a series are kept. A series that is already there is not written
    again, so that an interrupted import goes on where it was. `packed` makes the kind of shard that is wanted.
    `progress` hears how many series are done.
    """
    kept = []
    for done, series in enumerate(labelled, start=1):
        if part_of(series.patient, validation_share, seed) == VALIDATION:
            kept.append(series)
        elif not (folder / _name(series)).exists():
            write_shard(folder, _name(series), packed(_samples(series, most_slices), grid))
        if progress is not None:
            progress(done)
    return tuple(kept)


def own_share(folder: Path, share: float) -> float:
    """The share of a batch that comes from `folder` of handed-in series: none without any."""
    return share if any(folder.glob("[!.]*")) else 0.0


def _name(series: Labelled) -> str:
    """A name without the patient's: a hash of the patient and the slices."""
    text = "\n".join((series.patient, str(series.phase), *series.volume.slice_ids))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _samples(series: Labelled, most_slices: int) -> Iterator[Sample]:
    volume = series.volume
    count = min(len(volume), most_slices)
    for i in np.unique(np.linspace(0, len(volume) - 1, count).round().astype(int)):
        picture = volume.upright(volume.slice(int(i)))
        yield Sample(picture, volume.pixel_spacing_mm, series.phase, series.seconds, in_scope=series.phase is not None)
