"""judge(): Volume + model -> Findings, the whole of inference.

    slices ──preprocessing──▶ network ──▶ one answer a slice ──phases──▶ one answer ──explain──▶ maps of key slices

Slices are read and judged in small batches, so memory stays flat in their number.
"""

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from inference.devices import OnDevice
from inference.errors import CannotJudge
from inference.explain import Map, explain
from inference.explain.scores import score_maps
from inference.explain.stack import explain_stack
from inference.findings import Findings, MapScore, Seconds, SliceEvidence, SliceMap
from inference.models import Bundle
from inference.organ_findings import heard, look, organs_on_grid
from inference.phases import (
    NO_CONTENT,
    PHASES,
    Z_80,
    Array,
    Calibration,
    Phase,
    SeriesAnswer,
    SliceAnswers,
    aggregate,
)
from inference.preprocessing import (
    FEWEST_SLICES,
    LEAST_TISSUE_CM2,
    Grid,
    Placement,
    channels,
    clean,
    noise_hu,
    place,
    resample,
    tissue_cm2,
    to_source,
)
from inference.volume import Hounsfield, Volume

if TYPE_CHECKING:
    from inference.segment import OrganMasks

log = logging.getLogger(__name__)

BATCH = 16
TIMING_CENTRE = 4.0
"""The network's timing output is ln(seconds) less this, so that it starts near a minute."""
DEFAULT_LAYERS = {"sam": "stage2"}
"""Layer of each map, unless the card says otherwise; a map not named here is made at the layer that is pooled."""
POOLED_LAYER = "stage16"


def judge(
    volume: Volume,
    bundle: Bundle,
    *,
    device: str = "cpu",
    key_slices: int = 3,
    maps: Sequence[str] = ("sam", "grad-cam"),
    whole_stack: bool = False,
    organs: Bundle | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """What the model says of one acquisition, and why. `progress` hears (slices done, slices in all).

    `organs` is a model that segments: its organs are measured, vote by themselves, and can withhold the answer.

    A device that fails is given up for the CPU. `maps` may be empty: then no explanation is made. `whole_stack` makes
    maps of every slice, which takes longer than all else; they are scored on the key slices.
    Raises CannotJudge when the volume is not what the model can answer for.
    """
    if len(volume) < FEWEST_SLICES:
        raise CannotJudge(f"Too few slices: {len(volume)}, and at least {FEWEST_SLICES} are needed.")
    answers = answer_slices(volume, bundle, device, progress)
    answer = aggregate(answers, Calibration.from_options(bundle.card.options))
    keys = choose_key_slices(answer, volume, key_slices)
    seen = None if organs is None else look(volume, organs, keys, device=device, with_map=bool(maps))
    masks = None if seen is None else seen.masks
    pictures, scores = explain_slices(volume, bundle, keys, _target(answer), maps, masks)
    if whole_stack and maps:
        pictures = explain_stack(volume, bundle, _target(answer), _layers(bundle, maps))
    found = Findings(
        phase=answer.phase,
        confidence=answer.confidence,
        probabilities=answer.probabilities,
        seconds=_seconds(answer),
        reason=answer.reason,
        key_slices=keys,
        slices=_slice_evidence(answer),
        maps=pictures,
        map_scores=scores,
        model=bundle.card,
    )
    return found if seen is None else heard(found, seen)


@dataclass(frozen=True)
class _Prepared:
    """Some slices as the network sees them."""

    inputs: torch.Tensor
    """[slice, window, row, column]."""
    placements: tuple[Placement, ...]
    resampled: Hounsfield
    """[slice, row, column], HU on the network's grid."""


def answer_slices(
    volume: Volume, bundle: Bundle, device: str = "cpu", progress: Callable[[int, int], None] | None = None
) -> SliceAnswers:
    """The network's answer to every slice. Raises CannotJudge when no slice holds anything."""
    grid = Grid.from_options(bundle.card.options)
    network = OnDevice(bundle.module, device, _answers)
    logits, timing, scope = list[Array](), list[Array](), list[Array]()
    noise, empty = list[float](), 0
    for indices, prepared in _prepared(volume, grid):
        outputs = network(prepared.inputs)
        logits.append(outputs[0])
        timing.append(outputs[1])
        scope.append(outputs[2])
        noise.extend(noise_hu(image[None]) for image in prepared.resampled)
        empty += sum(tissue_cm2(image, grid) < LEAST_TISSUE_CM2 or image.std() < 1.0 for image in prepared.resampled)
        if progress is not None:
            progress(indices.stop, len(volume))
    if empty == len(volume):
        raise CannotJudge(NO_CONTENT)
    return SliceAnswers(
        logits=np.concatenate(logits),
        log_seconds=np.concatenate(timing) + np.array([TIMING_CENTRE, 0.0]),
        scope=1.0 / (1.0 + np.exp(-np.clip(np.concatenate(scope), -30.0, 30.0))),
        spacing_mm=volume.slice_spacing_mm,
        noise_hu=float(np.median(noise)),
    )


def choose_key_slices(answer: SeriesAnswer, volume: Volume, count: int) -> tuple[int, ...]:
    """The slices that tell most for the most probable phase, most telling first, kept apart along the body."""
    value = answer.weights * answer.slice_probabilities[:, PHASES.index(_best(answer))]
    positions, chosen = np.array(volume.positions_mm), list[int]()
    apart_mm = volume.coverage_mm / (2.0 * max(count, 1))
    left = np.ones(len(volume), dtype=bool)
    while len(chosen) < min(count, len(volume)) and left.any():
        best = int(np.argmax(np.where(left, value, -1.0)))
        chosen.append(best)
        left &= np.abs(positions - positions[best]) > apart_mm
    return tuple(chosen)


def explain_slices(
    volume: Volume,
    bundle: Bundle,
    indices: Sequence[int],
    target: Phase,
    maps: Sequence[str],
    masks: "OrganMasks | None" = None,
) -> tuple[tuple[SliceMap, ...], Mapping[str, MapScore]]:
    """Maps of some slices on the pixels of their source, each kind with one scale for all of them, and its score.

    With `masks` the score says how much of a map lies in organs that tell the phase.
    """
    if not maps or not indices:
        return (), {}
    grid = Grid.from_options(bundle.card.options)
    prepared = _prepare([volume.upright(volume.slice(i)) for i in indices], volume, grid)
    layers = _layers(bundle, maps)
    module, number = bundle.module.cpu(), PHASES.index(target)
    # Each kind of map has its own layer; asked for together they would all be made at all layers.
    found = [
        explain(module, prepared.inputs, target=number, layers=[layer], maps=[m]).get(m) for m, layer in layers.items()
    ]
    inside = None if masks is None else organs_on_grid(masks, indices, volume, prepared.placements, grid)
    known = bundle.card.metrics.get("randomisation", {})
    scores = score_maps(module, prepared.inputs, found, number, randomisation=known, organs=inside)
    made = [_on_source(each, volume, prepared.placements, indices, target, grid) for each in found]
    return tuple(itertools.chain.from_iterable(made)), scores


def _layers(bundle: Bundle, maps: Sequence[str]) -> dict[str, str]:
    """Method -> the layer at which its map is made."""
    named = DEFAULT_LAYERS | dict(bundle.card.options.get("layers", {}))
    return {method: named.get(method, POOLED_LAYER) for method in maps}


def _answers(module: nn.Module, inputs: torch.Tensor) -> tuple[Array, Array, Array]:
    """Logits, timing and scope of each slice."""
    with torch.inference_mode():
        outputs = module.answer(inputs)  # type: ignore[operator]
        logits, timing, scope = (value.float().cpu().numpy().astype(np.float64) for value in outputs)
    return logits, timing, scope


def _prepared(volume: Volume, grid: Grid) -> Iterator[tuple[range, _Prepared]]:
    for indices, hounsfield in volume.batches(BATCH):
        yield indices, _prepare(list(volume.upright(hounsfield)), volume, grid)


def _prepare(images: Sequence[Hounsfield], volume: Volume, grid: Grid) -> _Prepared:
    cleaned = [clean(image) for image in images]
    placements = tuple(place(image, volume.pixel_spacing_mm) for image in cleaned)
    resampled = np.stack([resample(image, where, grid) for image, where in zip(cleaned, placements, strict=True)])
    return _Prepared(torch.from_numpy(channels(resampled, grid.windows)), placements, resampled)


def _on_source(
    found: Map,
    volume: Volume,
    placements: Sequence[Placement],
    indices: Sequence[int],
    target: Phase,
    grid: Grid,
) -> Iterator[SliceMap]:
    for index, placement, values in zip(indices, placements, found.values, strict=True):
        on_source = volume.upright(to_source(np.maximum(values, 0.0), placement, grid))
        yield SliceMap(index, found.method, found.layer, target.value, np.ascontiguousarray(on_source), found.scale)


def _best(answer: SeriesAnswer) -> Phase:
    return max(answer.probabilities, key=lambda phase: answer.probabilities[phase])


def _target(answer: SeriesAnswer) -> Phase:
    """What the maps explain: the answer, or what would be the answer."""
    return answer.phase or _best(answer)


def _seconds(answer: SeriesAnswer) -> Seconds | None:
    if answer.log_seconds is None:
        return None
    mean, spread = answer.log_seconds
    return Seconds(math.exp(mean), math.exp(mean - Z_80 * spread), math.exp(mean + Z_80 * spread))


def _slice_evidence(answer: SeriesAnswer) -> tuple[SliceEvidence, ...]:
    rows = zip(answer.slice_probabilities, answer.weights, strict=True)
    return tuple(
        SliceEvidence(i, {phase: float(p) for phase, p in zip(PHASES, row, strict=True)}, float(weight))
        for i, (row, weight) in enumerate(rows)
    )
