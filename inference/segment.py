"""segment(): Volume + organ bundle -> OrganMasks, the organs whose enhancement is the phase, slice by slice.

    slices ──preprocessing──▶ network ──▶ organ probabilities ──bilinear──▶ the most probable organ of each source pixel

Slices are read and segmented in small batches; only the labels grow with their number, one byte a pixel.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.devices import OnDevice
from inference.errors import CannotJudge, InvalidBundle
from inference.models import Bundle
from inference.phantom.organs import Organ
from inference.phases import NO_CONTENT
from inference.preprocessing import (
    FEWEST_SLICES,
    LEAST_TISSUE_CM2,
    Grid,
    Placement,
    channels,
    clean,
    place,
    resample,
    tissue_cm2,
    to_source,
)
from inference.volume import Hounsfield, Volume

log = logging.getLogger(__name__)

Scores = NDArray[np.float32]

BATCH = 8
ORGANS: tuple[Organ, ...] = (
    Organ.AORTA,
    Organ.INFERIOR_VENA_CAVA,
    Organ.PORTAL_VEIN,
    Organ.LIVER,
    Organ.SPLEEN,
    Organ.KIDNEY_CORTEX,
    Organ.KIDNEY_MEDULLA,
    Organ.RENAL_PELVIS,
    Organ.BLADDER,
)
"""The network's classes 1, 2, …; class 0 is everything else."""
MERGED: Mapping[Organ, Organ] = {Organ.INFRARENAL_VENA_CAVA: Organ.INFERIOR_VENA_CAVA, Organ.HEPATIC_VEIN: Organ.LIVER}
"""Organs that the phantoms tell apart and the network does not: the whole vena cava is one, and the liver has veins."""


@dataclass(frozen=True)
class OrganMasks:
    """Which pixel belongs to which organ, on the slices that were segmented."""

    organs: tuple[Organ, ...]
    labels: NDArray[np.uint8]
    """labels[slice, row, column] on the pixels of the source: 0 for no organ, k for organs[k - 1]."""
    slice_indices: tuple[int, ...]
    """The volume's slice that each slice of `labels` is, rising."""

    def mask(self, organ: Organ) -> NDArray[np.bool_]:
        """Where the organ is: mask[slice, row, column]. Raises ValueError for an organ that was not looked for."""
        return np.asarray(self.labels == self.organs.index(organ) + 1)


def segment(volume: Volume, bundle: Bundle, *, device: str = "cpu", most_slices: int | None = None) -> OrganMasks:
    """The organs of one acquisition, on all slices or on `most_slices` that are spread evenly over it.

    A device that fails is given up for the CPU. Raises CannotJudge when the volume has too few slices or none that
    holds tissue, InvalidBundle when the bundle is not one for segmentation.
    """
    organs, grid = organs_of(bundle), Grid.from_options(bundle.card.options)
    if len(volume) < FEWEST_SLICES:
        raise CannotJudge(f"Too few slices: {len(volume)}, and at least {FEWEST_SLICES} are needed.")
    indices = spread(len(volume), most_slices)
    labels = np.zeros((len(indices), *volume.shape), np.uint8)
    network, full = OnDevice(bundle.module, device, _scores), 0
    for first in range(0, len(indices), BATCH):
        images = [volume.upright(volume.slice(i)) for i in indices[first : first + BATCH]]
        for offset, (label, holds_tissue) in enumerate(_labelled(images, volume.pixel_spacing_mm, network, grid)):
            full += holds_tissue
            if holds_tissue:
                labels[first + offset] = _turned(label, volume)
    if not full:
        raise CannotJudge(NO_CONTENT)
    return OrganMasks(organs, labels, indices)


def organs_of(bundle: Bundle) -> tuple[Organ, ...]:
    """The organs that a bundle tells apart. Raises InvalidBundle when it does not say, or is not for segmentation."""
    card = bundle.card
    if card.task != "segmentation":
        raise InvalidBundle(f"{card.name} is a bundle for the task {card.task!r}, not for segmentation")
    try:
        return tuple(Organ[name] for name in card.options["organs"])
    except KeyError as error:
        raise InvalidBundle(f"The card of {card.name} does not name its organs: {error}") from error


def spread(count: int, most: int | None) -> tuple[int, ...]:
    """At most `most` of `count` slices, evenly spread, each in the middle of the slices that it stands for."""
    if most is None or most >= count:
        return tuple(range(count))
    return tuple(int((i + 0.5) * count / most) for i in range(max(most, 1)))


def organ_scores(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Probability of each class: float32[slice, class, row, column] from input[slice, window, row, column]."""
    with torch.inference_mode():
        return torch.softmax(module(inputs).float(), dim=1)


def _scores(module: nn.Module, inputs: torch.Tensor) -> Scores:
    """As `organ_scores`, in memory of the CPU."""
    scores = organ_scores(module, inputs.contiguous(memory_format=torch.channels_last))
    return np.ascontiguousarray(scores.cpu().numpy())


def _labelled(
    images: Sequence[Hounsfield], spacing_mm: tuple[float, float], network: OnDevice[Scores], grid: Grid
) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    """(labels[row, column], holds tissue) of upright images, on their own pixels."""
    cleaned = [clean(image) for image in images]
    placements = [place(image, spacing_mm) for image in cleaned]
    resampled = np.stack([resample(image, where, grid) for image, where in zip(cleaned, placements, strict=True)])
    scores = network(torch.from_numpy(channels(resampled, grid.windows)))
    for image, where, score in zip(resampled, placements, scores, strict=True):
        holds_tissue = tissue_cm2(image, grid) >= LEAST_TISSUE_CM2 and image.std() >= 1.0
        yield labels_on_source(score, where, grid), bool(holds_tissue)


def _turned(label: NDArray[np.uint8], volume: Volume) -> NDArray[np.uint8]:
    """An upright label[row, column] on the source's own grid."""
    return np.ascontiguousarray(volume.upright(label))  # type: ignore[arg-type]  # turning asks for no HU


def labels_on_source(scores: NDArray[np.float32], placement: Placement, grid: Grid) -> NDArray[np.uint8]:
    """scores[class, row, column] of the network's field -> the best class of each source pixel; 0 outside the field."""
    best = to_source(scores[0], placement, grid)
    labels = np.zeros(placement.shape, np.uint8)
    for number in range(1, len(scores)):
        if scores[number].max() < 1.0 / len(scores):
            continue  # nowhere the most probable one
        score = to_source(scores[number], placement, grid)
        better = score > best
        labels[better] = number
        best = np.where(better, score, best)
    return labels
