"""What the organs say of one acquisition: masks, their HU, the phase these speak for, and what the network saw of them.

    slices ──segment──▶ masks ──evidence──▶ HU ──organ_vote──▶ a vote ──agreement──▶ with the phase network, or against

Nothing here knows the phase network's answer but `heard`, which only ever withholds it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from inference.errors import CannotExplain, CannotJudge
from inference.evidence import measure
from inference.explain import explain, mask_sum
from inference.findings import Findings, OrganMeasurement, OrganVote, SliceMap
from inference.models import Bundle, ModelCard
from inference.organ_vote import vote
from inference.phantom.organs import ENGLISH
from inference.phases import Phase
from inference.preprocessing import AIR_HU, Grid, Placement, prepare, resample, to_source
from inference.segment import OrganMasks, segment, spread
from inference.volume import Volume

log = logging.getLogger(__name__)

MOST_SLICES = 32
"""Slices that are segmented besides the key slices; evenly spread, they measure an organ as well as all of them."""
SURE = 0.98
"""Probability of another phase from which the organs' vote contradicts an answer, which has at least 0.7 itself."""
LEAST_SHARE = 0.01
"""Share of the pixels of the key slices that organs must cover before maps are scored by them."""


@dataclass(frozen=True)
class OrganFindings:
    """What was found of the organs."""

    masks: OrganMasks
    measurements: tuple[OrganMeasurement, ...]
    vote: OrganVote | None
    map: SliceMap | None
    """Of the organ that told most, on the slice that shows most of it."""
    model: ModelCard


def look(
    volume: Volume, bundle: Bundle, key_slices: Sequence[int] = (), *, device: str = "cpu", with_map: bool = True
) -> OrganFindings | None:
    """The organs on MOST_SLICES slices and on the key slices; None where the volume holds nothing to segment.

    Raises InvalidBundle when the bundle is not one for segmentation.
    """
    indices = tuple(sorted({*spread(len(volume), MOST_SLICES), *key_slices}))
    try:
        found = segment(some_slices(volume, indices), bundle, device=device)
    except CannotJudge as error:
        log.info("organs not looked for: %s", error.reason)
        return None
    masks = OrganMasks(found.organs, found.labels, indices)
    measurements = measure(volume, masks)
    said = vote(measurements)
    shown = _most_telling(measurements, said) if with_map else None
    seen = None if shown is None else organ_map(volume, bundle, masks, shown)
    return OrganFindings(masks, measurements, said, seen, bundle.card)


def some_slices(volume: Volume, indices: Sequence[int]) -> Volume:
    """A volume of some of a volume's slices, in their order from feet to head."""
    return replace(
        volume,
        slice_ids=tuple(volume.slice_ids[i] for i in indices),
        positions_mm=tuple(volume.positions_mm[i] for i in indices),
        read=lambda index: volume.read(indices[index]),
    )


def heard(findings: Findings, seen: OrganFindings) -> Findings:
    """The findings of the phase network once the organs have been heard: no phase where their vote rules it out."""
    found = replace(
        findings,
        organs=seen.measurements,
        organ_vote=seen.vote,
        organ_masks=seen.masks,
        organ_map=seen.map,
        organ_model=seen.model,
    )
    if findings.phase is None or seen.vote is None or not contradicts(findings.phase, seen.vote):
        return found
    reason = contradiction(findings.phase, seen.vote.phase)
    return replace(found, phase=None, reason=reason, organ_vote=replace(seen.vote, contradicts=True))


def contradicts(phase: Phase, said: OrganVote) -> bool:
    """Whether the organs are sure of another phase."""
    return said.phase is not phase and said.confidence >= SURE


def contradiction(phase: Phase, by_organs: Phase) -> str:
    """The reason in words for a person."""
    return (
        f"The images as a whole look {phase.value}, but the measured attenuation of the organs is that of the "
        f"{by_organs.value} phase."
    )


def _most_telling(measurements: Sequence[OrganMeasurement], said: OrganVote | None) -> OrganMeasurement | None:
    """The organ to show: the vote's first, or the largest where there was no vote."""
    if said is not None:
        return next(found for found in measurements if found.organ == said.telling[0])
    return max(measurements, key=lambda found: found.volume_ml, default=None)


def organ_map(volume: Volume, bundle: Bundle, masks: OrganMasks, shown: OrganMeasurement) -> SliceMap | None:
    """Grad-CAM of one organ's mask (sum of its logits) on the slice that shows most of it, on the source's pixels.

    None where the network's own grid has no pixel of it, or it has no layer to explain at.
    """
    organ = next(organ for organ in masks.organs if ENGLISH[organ] == shown.organ)
    grid, index = Grid.from_options(bundle.card.options), shown.slice_index
    inputs, placements = prepare(volume.upright(volume.slice(index))[None], volume.pixel_spacing_mm, grid)
    target = mask_sum(score="logit", channel=masks.organs.index(organ) + 1)
    try:
        layer = explained_layer(bundle)
        made = explain(bundle.module.cpu(), torch.from_numpy(inputs), target=target, layers=[layer], maps=["grad-cam"])
    except CannotExplain as error:
        log.warning("the organs' map was not made: %s", error)
        return None
    if not made.present[0]:
        return None
    found = made.get("grad-cam")
    values = volume.upright(to_source(found.values[0], placements[0], grid))
    return SliceMap(index, "grad-cam", layer, shown.organ, np.ascontiguousarray(values), found.scale)


def explained_layer(bundle: Bundle) -> str:
    """The layer at which the card wants Grad-CAM. Raises CannotExplain when it names none."""
    layer = bundle.card.options.get("layers", {}).get("grad-cam")
    if layer is None:
        raise CannotExplain(f"the card of {bundle.card.name} names no layer for grad-cam")
    return str(layer)


def organs_on_grid(
    masks: OrganMasks, indices: Sequence[int], volume: Volume, placements: Sequence[Placement], grid: Grid
) -> NDArray[np.bool_] | None:
    """organ[slice, row, column] on a network's grid, for slices of a volume; None where they show hardly any organ."""
    known = {index: row for row, index in enumerate(masks.slice_indices)}
    if any(index not in known for index in indices):
        return None
    found = []
    for index, placement in zip(indices, placements, strict=True):
        mask = volume.upright(masks.labels[known[index]].astype(np.float32)) > 0
        # Resampling knows air outside the slice: what is no organ is air here, and what is one is water.
        solid = resample(np.where(mask, np.float32(0.0), np.float32(AIR_HU)), placement, grid)
        found.append(solid > AIR_HU / 2.0)
    organs = np.stack(found)
    return organs if organs.mean() >= LEAST_SHARE else None
