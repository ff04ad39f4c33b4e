"""What the generators hand over: one picture, or one acquisition, with the truth about it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.phantom.canvas import SUPERSAMPLING
from inference.phantom.patient import Anatomy
from inference.phases import Phase
from inference.volume import Volume


@dataclass(frozen=True)
class PhantomSlice:
    """One picture and the truth about it."""

    hounsfield: NDArray[np.float32]
    """hounsfield[row, column]; row 0 is anterior, column 0 the patient's right."""
    labels: NDArray[np.uint8]
    """labels[row, column] of inference.phantom.organs.Organ."""
    spacing_mm: tuple[float, float]
    """(between rows, between columns)."""
    position: float
    """0 pelvis … 1 thoracic inlet; NaN for what is no trunk."""
    seconds: float | None
    """Since the start of the injection; None without contrast."""
    phase: Phase | None
    """None where no single name is right."""
    kind: str = "trunk"
    """"trunk", or what else it shows: "head", "leg", "water", "noise", …"""


@dataclass(frozen=True)
class PhantomVolume:
    """One acquisition and the truth about it."""

    volume: Volume
    labels: NDArray[np.uint8]
    """labels[slice, row, column] of Organ, slices from the feet to the head as in `volume`."""
    seconds: float | None
    phase: Phase | None


def final_labels(anatomy: Anatomy) -> NDArray[np.uint8]:
    """labels[row, column] on the picture's own grid."""
    return np.ascontiguousarray(anatomy.labels[::SUPERSAMPLING, ::SUPERSAMPLING])
