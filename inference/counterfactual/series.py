"""The counterfactual of a series: one slice that tells the phase, moved until the model would answer otherwise."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inference.counterfactual.inversion import Inversion, Refinement, invert
from inference.counterfactual.model import CounterfactualModel
from inference.counterfactual.predictor import probabilities
from inference.counterfactual.walk import STEPS_SD, Walk, walk
from inference.models import ModelCard
from inference.phases import PHASES, Phase
from inference.preprocessing import Grid, clean, place, resample
from inference.volume import Hounsfield, Volume

ARRAYS_FILE, FACTS_FILE = "counterfactual.npz", "counterfactual.json"
NOTE = "SYNTHETIC IMAGES - not the patient. Not for diagnostic use."
STEADY = 0.9
"""Spearman's correlation from which on a walk is steady: what it is to be above in the median."""
NO_SLICES = "There is no slice to start from."


@dataclass(frozen=True)
class Counterfactual:
    """What would have to change, or why that cannot be shown."""

    slice_index: int
    """Slice of the volume that it starts from."""
    answer: Phase
    """What the model says of that slice."""
    target: Phase
    """What it is moved towards."""
    walk: Walk | None
    """None where `reason` says why."""
    reason: str | None
    """A sentence for a person."""
    error_hu: float
    """Mean absolute error of the reconstruction in the body."""
    fidelity_error: float
    """Largest change of a class's probability by the reconstruction, 0..1."""
    distance: float
    """From the centre of the latents that the generator knows, about 1 for a usual one."""
    model: ModelCard
    """The generator."""


def counterfactual(
    volume: Volume,
    model: CounterfactualModel,
    slices: Sequence[int],
    target: Phase | None = None,
    refinement: Refinement | None = None,
    steps_sd: Sequence[float] = STEPS_SD,
) -> Counterfactual:
    """The walk from the first of `slices` that can be reconstructed; from the first with the reason when none can.

    `target`: by default the neighbour in time that the model thinks likelier. Raises ValueError without slices.
    """
    if not slices:
        raise ValueError(NO_SLICES)
    inversions = _inverted(volume, model, slices, refinement)
    chosen = next((i for i, inversion in enumerate(inversions) if inversion.reason is None), 0)
    inversion = inversions[chosen]
    answer = PHASES[int(inversion.source.argmax())]
    wanted = target or neighbour(answer, inversion)
    moved = None
    if inversion.reason is None:
        moved = towards(model, inversion, wanted, steps_sd)
    return Counterfactual(
        slice_index=slices[chosen],
        answer=answer,
        target=wanted,
        walk=moved,
        reason=inversion.reason,
        error_hu=inversion.error_hu,
        fidelity_error=inversion.fidelity_error,
        distance=inversion.distance,
        model=model.card,
    )


def neighbour(answer: Phase, inversion: Inversion) -> Phase:
    """The phase before or after, whichever is likelier."""
    index = PHASES.index(answer)
    beside = [i for i in (index - 1, index + 1) if 0 <= i < len(PHASES)]
    return PHASES[max(beside, key=lambda i: float(inversion.source[i]))]


def towards(
    model: CounterfactualModel, inversion: Inversion, target: Phase, steps_sd: Sequence[float] = STEPS_SD
) -> Walk:
    """Of the walks along all directions that lead to the target the best one, see `merit`."""
    answer = PHASES[int(inversion.source.argmax())]
    walks = [
        walk(model, inversion.latents, way, steps_sd, inversion.anatomy, region)
        for region in model.regions_of(inversion.anatomy)
        for way in routes(answer, target)
    ]
    return max(walks, key=merit)


def merit(made: Walk) -> tuple[bool, bool, bool, float, float]:
    """Walks that reach the target come first, of those the ones that stay there, then the steady, then the soonest."""
    steadiness = float(np.nan_to_num(made.spearman, nan=-1.0))
    return made.flip_sd is not None, made.holds, steadiness >= STEADY, -(made.flip_sd or 0.0), steadiness


def routes(answer: Phase, target: Phase) -> tuple[str, ...]:
    """Names of the directions from one phase to another: the target's own, and between neighbours the pair's."""
    near = abs(PHASES.index(answer) - PHASES.index(target)) == 1
    return (target.value, f"{answer.value} > {target.value}") if near else (target.value,)


def _inverted(
    volume: Volume, model: CounterfactualModel, slices: Sequence[int], refinement: Refinement | None
) -> tuple[Inversion, ...]:
    upright = [volume.upright(volume.slice(index)) for index in slices]
    images = torch.cat([model.view.seen(image, volume.pixel_spacing_mm)[0] for image in upright])
    judged = [_as_judged(image, volume, model.predictor.grid) for image in upright]
    source = probabilities(model.predictor.logits(np.stack(judged)))
    return invert(model, images, source, refinement)


def _as_judged(image: Hounsfield, volume: Volume, grid: Grid) -> Hounsfield:
    """The upright slice as the explained model sees it."""
    cleaned = clean(image)
    return resample(cleaned, place(cleaned, volume.pixel_spacing_mm), grid)


def facts(found: Counterfactual) -> dict[str, Any]:
    """Everything about it but the images, for JSON."""
    told: dict[str, Any] = {
        "note": NOTE,
        "generator": {"name": found.model.name, "version": found.model.version, "sha256": found.model.weights_sha256},
        "slice": found.slice_index,
        "answer": found.answer.value,
        "target": found.target.value,
        "reason": found.reason,
        "reconstruction_error_hu": round(found.error_hu, 2),
        "fidelity_error": round(found.fidelity_error, 4),
        "distance": round(found.distance, 3),
    }
    if found.walk is not None:
        rows = zip(found.walk.steps_sd, found.walk.probabilities, strict=True)
        told["direction"], told["region"] = found.walk.direction, found.walk.region.value
        told["spearman"] = round(found.walk.spearman, 4)
        told["flip_sd"] = found.walk.flip_sd
        told["steps"] = [
            {"sd": step, **{p.value: round(float(v), 4) for p, v in zip(PHASES, row, strict=True)}}
            for step, row in rows
        ]
    return told


def write(found: Counterfactual, folder: Path) -> tuple[Path, ...]:
    """Writes the facts and, where there is a walk, its images: hounsfield and change, float32[step, row, column]."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / FACTS_FILE]
    paths[0].write_text(json.dumps(facts(found), indent=2) + "\n", encoding="utf-8")
    if found.walk is not None:
        paths.append(folder / ARRAYS_FILE)
        np.savez_compressed(
            paths[1],
            hounsfield=found.walk.hounsfield,
            change=found.walk.change,
            steps_sd=np.array(found.walk.steps_sd, np.float32),
            logits=found.walk.logits.astype(np.float32),
        )
    return tuple(paths)
