"""How well organs are found: the Dice coefficient of whole series, on phantoms whose setting was held out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.models import Bundle
from inference.phantom.organs import ENGLISH, Organ
from inference.phases import PHASES
from inference.segment import ORGANS, OrganMasks, segment
from inference.training.phantoms import HELD_OUT, TEXTBOOK_SECONDS
from inference.training.segmentation_data import class_table
from inference.volume import Volume

LEAST_PIXELS = 60
"""An organ of which a series shows fewer pixels than this is not scored there."""


@dataclass(frozen=True)
class LabelledVolume:
    """One series with the organ of every pixel."""

    volume: Volume
    classes: NDArray[np.uint8]
    """classes[slice, row, column]: 0 for no organ, k for ORGANS[k - 1]."""


def held_out_volumes(patients: int, seed: int, slices: int = 24, size: int = 256) -> Iterator[LabelledVolume]:
    """One series for each synthetic patient of the held-out setting, the phases in turn, at textbook times."""
    from inference.phantom.generate import random_study

    table = class_table()
    for number in range(patients):
        rng = np.random.default_rng([seed, number, 23])
        window = TEXTBOOK_SECONDS.get(PHASES[number % len(PHASES)])
        seconds = float(rng.uniform(*window)) if window else None
        region = str(rng.choice(["abdomen", "abdomen", "abdomen", "trunk"]))
        (made,) = random_study(seed + number, [seconds], slices, size, region, HELD_OUT)
        yield LabelledVolume(made.volume, table[made.labels])


def mean_dice(bundle: Bundle, volumes: Iterable[LabelledVolume]) -> dict[str, float]:
    """English name of each organ -> mean Dice over the series that show it."""
    found: dict[Organ, list[float]] = {organ: [] for organ in ORGANS}
    for each in volumes:
        for organ, value in series_dice(segment(each.volume, bundle), each.classes).items():
            found[organ].append(value)
    return {ENGLISH[organ]: float(np.mean(values)) for organ, values in found.items() if values}


def series_dice(masks: OrganMasks, classes: NDArray[np.uint8]) -> Mapping[Organ, float]:
    """Dice of each organ that the series shows, over all its segmented slices; classes[slice, row, column] is true."""
    truth = classes[list(masks.slice_indices)]
    counted = {organ: truth == number for number, organ in enumerate(ORGANS, start=1)}
    return {organ: dice(masks.mask(organ), true) for organ, true in counted.items() if true.sum() >= LEAST_PIXELS}


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|) (Dice 1945); 1.0 when both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2.0 * int((found & true).sum()) / total if total else 1.0
