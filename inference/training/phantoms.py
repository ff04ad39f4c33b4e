"""Phantoms as training data: shards of synthetic slices, and whole synthetic series to calibrate and evaluate with.

Shards are written by worker processes with the least priority, each from seeds of its own; training starts with the
first shard and takes up the others as they come.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference.phases import PHASES, Phase
from inference.preprocessing import Grid
from inference.training.datasets import NO_PHASE, Batch, Sample, pack, phase_share, write_shard
from inference.training.generator_data import Pair, pack_pairs
from inference.training.segmentation_data import pack_masks
from inference.volume import Volume

if TYPE_CHECKING:
    from inference.phantom.labelled import Labelled
    from inference.phantom.slices import PhantomSlice

TRAINING, HELD_OUT = "training", "held-out"
SLICE_PIXELS = 208
"""Rows and columns of a phantom slice: about as fine as the network's grid, for finer ones take longer to make."""
TEXTBOOK_SECONDS = {Phase.ARTERIAL: (20.0, 40.0), Phase.PORTAL_VENOUS: (60.0, 90.0), Phase.DELAYED: (180.0, 600.0)}
"""When the phases are scanned, in seconds after the start of the injection."""
SLICES, OUTLIERS, MASKS, PAIRS = "slices", "outliers", "masks", "pairs"


@dataclass(frozen=True)
class Study:
    """One synthetic series with its truth."""

    patient: int
    """Series of one patient have the same anatomy."""
    phase: Phase | None
    """None between two phases."""
    seconds: float | None
    """Since injection; None without."""
    region: str
    volume: Volume

    @property
    def truth(self) -> dict[Phase, float]:
        """The phase's shares, as they are taught."""
        index = NO_PHASE if self.phase is None else PHASES.index(self.phase)
        return dict(zip(PHASES, (float(share) for share in phase_share(index, self.seconds)), strict=True))


def studies(
    patients: int,
    seed: int,
    setting: str = TRAINING,
    *,
    between: bool = False,
    textbook: bool = False,
    slices: int = 16,
) -> Iterator[Study]:
    """A series of every phase for each synthetic patient, and one between portal venous and delayed where wanted.

    `textbook`: only at TEXTBOOK_SECONDS, when departments scan; otherwise up to the borders of the phases, where two
    patients with different hearts look alike at different times. A patient's series are in memory together; the next
    patient's are made when they are asked for.
    """
    from inference.phantom.generate import random_study

    for patient in range(seed, seed + patients):
        rng = np.random.default_rng([patient, 17])
        region = str(rng.choice(["abdomen", "abdomen", "trunk", "thorax"]))
        times = [_time_of(phase, patient, setting, rng, textbook) for phase in Phase]
        if between:
            times.append(float(rng.uniform(110.0, 170.0)))
        for made in random_study(patient, times, slices, 256, region, setting):
            yield Study(patient, made.phase, made.seconds, region, made.volume)


def _time_of(phase: Phase, seed: int, setting: str, rng: np.random.Generator, textbook: bool) -> float | None:
    """A time at which this patient looks like the phase: so late that iodine has left, nobody calls it delayed."""
    from inference.phantom.contrast import enhancement, random_seconds
    from inference.phantom.organs import Organ
    from inference.phantom.patient import Patient

    # The patient that random_study makes of this seed.
    body = Patient.random(int(np.random.default_rng([seed, 3]).integers(2**31)), setting).physiology
    low, high = TEXTBOOK_SECONDS.get(phase, (0.0, 0.0)) if textbook else (0.0, float("inf"))
    for _ in range(200):
        seconds = random_seconds(phase, body, rng)
        reached = seconds is None or enhancement(Organ.AORTA, seconds, body) > body.native[Organ.AORTA] + 30.0
        if reached and (seconds is None or low <= seconds <= high):
            break
    return seconds


@dataclass(frozen=True)
class Order:
    """What the workers are to write."""

    folder: Path
    kind: str
    """SLICES, OUTLIERS, MASKS: slices with the organ of every pixel, or PAIRS: slices at two times."""
    shards: int
    seed: int
    setting: str = TRAINING
    slices_a_shard: int = 256


class Workers:
    """Processes that fill orders; a context manager that ends them."""

    def __init__(self, orders: Sequence[Order], grid: Grid, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.processes = [
            context.Process(target=fill, args=(tuple(orders), grid, part, count), daemon=True) for part in range(count)
        ]

    def __enter__(self) -> "Workers":
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
            process.join()


def fill(orders: Sequence[Order], grid: Grid, part: int = 0, parts: int = 1, niceness: int = 10) -> None:
    """Write every `parts`-th shard of the orders from the `part`-th on; what is already there is not written again."""
    os.nice(niceness)
    most = max((order.shards for order in orders), default=0)
    for number in range(part, most, parts):
        for order in orders:
            name = f"{order.seed:06d}-{number:05d}"
            if number < order.shards and not (order.folder / name).exists():
                write_shard(order.folder, name, _packed(order, number, grid))


def write_repainted(folder: Path, labelled: "Labelled", shards: int, seed: int, grid: Grid, slices: int = 192) -> None:
    """Shards of a real labelled volume, bent at random and repainted at random times; goes on where it was stopped."""
    from inference.phantom.repaint import repainted_stream

    for number in range(shards):
        name = f"{seed:06d}-{number:05d}"
        if not (folder / name).exists():
            made = islice(repainted_stream(labelled, seed * 1_000_003 + number, SLICE_PIXELS), slices)
            write_shard(folder, name, pack(map(sample_of, made), grid))


def _packed(order: Order, number: int, grid: Grid) -> Batch:
    from inference.phantom.generate import random_pairs, random_slices

    what = (order.seed * 1_000_003 + number, order.slices_a_shard, SLICE_PIXELS, order.setting)
    if order.kind == MASKS:
        return pack_masks(random_slices(*what), grid)
    if order.kind == PAIRS:
        both = random_pairs(*what)
        return pack_pairs((Pair(sample_of(one), sample_of(other), one.labels) for one, other in both), grid)
    return pack(_samples(order, number), grid)


def sample_of(made: "PhantomSlice") -> Sample:
    """A slice of a trunk and what is true of it."""
    return Sample(made.hounsfield, made.spacing_mm, made.phase, made.seconds, True)


def _samples(order: Order, number: int) -> Iterator[Sample]:
    from inference.phantom.generate import random_slices
    from inference.phantom.outliers import random_outliers

    seed = order.seed * 1_000_003 + number
    if order.kind == OUTLIERS:
        slices = random_outliers(seed, order.slices_a_shard, SLICE_PIXELS)
    else:
        slices = random_slices(seed, order.slices_a_shard, SLICE_PIXELS, order.setting)
    for made in slices:
        in_scope = order.kind == SLICES
        phase = made.phase if in_scope else None
        yield Sample(made.hounsfield, made.spacing_mm, phase, made.seconds if in_scope else None, in_scope)
