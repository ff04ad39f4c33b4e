"""A researcher's look at one series: any maps at any layers of some of its slices, with scores, written to files."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inference.explain.engine import explain
from inference.explain.mapset import Map, MapSet
from inference.explain.scores import score_maps
from inference.findings import MapScore
from inference.models import Bundle, ModelCard
from inference.phases import PHASES, Phase
from inference.preprocessing import Grid, Placement, channels, clean, place, resample
from inference.rendering.colour import WINDOWS_HU
from inference.rendering.contact_sheet import Cell, Sheet, contact_sheet
from inference.sentences import percent
from inference.volume import Hounsfield, Volume

SHEET_FILE, MAPS_FILE, FACTS_FILE = "maps.png", "maps.npz", "maps.json"
SLICES = 5
NOTE = "Not for diagnostic use."


@dataclass(frozen=True)
class ExplainResult:
    """Maps of some slices of a series, on the network's grid."""

    maps: MapSet
    scores: tuple[MapScore, ...]
    """One for each of `maps`."""
    target: Phase
    """What was explained."""
    slices: tuple[int, ...]
    """Indices into the volume, in the order of the maps' batch."""
    slice_ids: tuple[str, ...]
    positions_mm: tuple[float, ...]
    probabilities: NDArray[np.float32]
    """probabilities[slice, phase] of each slice alone, uncalibrated."""
    hounsfield: Hounsfield
    """hounsfield[slice, row, column] on the network's grid, upright."""
    placements: tuple[Placement, ...]
    """Where the network's field lies on each upright slice; inference.preprocessing.to_source takes maps back there."""
    grid: Grid
    model: ModelCard

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Writes the contact sheet, the raw maps and what they are. Returns the files' paths.

        The npz holds "method@layer" -> float32[slice, row, column], and "hounsfield" in the same shape.
        """
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(folder / name for name in (SHEET_FILE, MAPS_FILE, FACTS_FILE))
        Image.fromarray(contact_sheet(_sheet(self), window_hu=WINDOWS_HU[self.target])).save(paths[0])
        arrays = {_key(found): found.values for found in self.maps}
        np.savez_compressed(paths[1], hounsfield=self.hounsfield, **arrays)  # type: ignore[arg-type]
        paths[2].write_text(json.dumps(facts(self), indent=2) + "\n", encoding="utf-8")
        return paths


def explain_series(
    volume: Volume,
    bundle: Bundle,
    layers: Sequence[str],
    maps: Sequence[str],
    target: Phase | None = None,
    slices: Sequence[int] | None = None,
) -> ExplainResult:
    """Maps of `slices` (by default five, evenly spaced), of what speaks for `target` (by default the likeliest phase).

    Raises CannotExplain when a map has no meaning for the bundle's network, ValueError for names and slices that are
    not there.
    """
    chosen = _checked(slices, len(volume))
    grid = Grid.from_options(bundle.card.options)
    images = [clean(volume.upright(volume.slice(i))) for i in chosen]
    placements = tuple(place(image, volume.pixel_spacing_mm) for image in images)
    resampled = np.stack([resample(image, at, grid) for image, at in zip(images, placements, strict=True)])
    inputs = torch.from_numpy(channels(resampled, grid.windows))
    with torch.inference_mode():
        probabilities = torch.softmax(bundle.module(inputs).float(), 1).cpu().numpy()
    phase = target or PHASES[int(probabilities.mean(0).argmax())]
    index = PHASES.index(phase)
    made = explain(bundle.module, inputs, target=index, layers=layers, maps=maps, model_hash=bundle.card.weights_sha256)
    return ExplainResult(
        maps=made,
        scores=_scores(bundle, inputs, made, index),
        target=phase,
        slices=chosen,
        slice_ids=tuple(volume.slice_ids[i] for i in chosen),
        positions_mm=tuple(volume.positions_mm[i] for i in chosen),
        probabilities=probabilities,
        hounsfield=resampled,
        placements=placements,
        grid=grid,
        model=bundle.card,
    )


def facts(result: ExplainResult) -> dict[str, Any]:
    """Everything about the maps but their values, for JSON."""
    made, card = result.maps, result.model
    return {
        "note": NOTE,
        "model": {"name": card.name, "version": card.version, "weights_sha256": card.weights_sha256},
        "target": result.target.value,
        "score_kind": made.score_kind,
        "sam": f"a reconstruction: {made.sam_kind}",
        "grid": result.grid.as_options(),
        "slices": list(_slice_facts(result)),
        "maps": [
            {"key": _key(found), "method": found.method, "layer": found.layer, "scale": found.scale, **asdict(score)}
            for found, score in zip(made, result.scores, strict=True)
        ],
    }


def _slice_facts(result: ExplainResult) -> Iterator[dict[str, Any]]:
    for row, index in enumerate(result.slices):
        phases = {phase.value: round(float(p), 4) for phase, p in zip(PHASES, result.probabilities[row], strict=True)}
        yield {
            "index": index,
            "id": result.slice_ids[row],
            "position_mm": result.positions_mm[row],
            "field_centre_px": list(result.placements[row].centre),
            "logit": float(result.maps.scores[row]),
            "probabilities": phases,
        }


def _scores(bundle: Bundle, inputs: torch.Tensor, made: MapSet, target: int) -> tuple[MapScore, ...]:
    """Each map's own score: several layers of one method are scored one by one."""
    known = bundle.card.metrics.get("randomisation", {})
    return tuple(
        score_maps(bundle.module, inputs, [found], target, randomisation=known)[found.method] for found in made
    )


def _checked(slices: Sequence[int] | None, count: int) -> tuple[int, ...]:
    if slices is None:
        evenly = (np.arange(SLICES) + 0.5) / SLICES * count
        return tuple(sorted({int(place) for place in evenly}))
    if not slices or min(slices) < 0 or max(slices) >= count:
        raise ValueError(f"slices {list(slices)}: there are 0 to {count - 1}")
    return tuple(slices)


def _key(found: Map) -> str:
    return f"{found.method}@{found.layer}" if found.layer else found.method


def _sheet(result: ExplainResult) -> Sheet:
    card = result.model
    columns = ["slice"]
    for found, score in zip(result.maps, result.scores, strict=True):
        auc = f"del {score.deletion_auc:.2f} ins {score.insertion_auc:.2f}"
        columns.append(f"{found.method}\n{found.layer or 'input'}\n{'WEAK ' if score.poor else ''}{auc}")
    index = PHASES.index(result.target)
    rows = [
        f"slice {place + 1}\n{position:.1f} mm\n{result.target.value} {percent(float(row[index]))} %"
        for place, position, row in zip(result.slices, result.positions_mm, result.probabilities, strict=True)
    ]
    cells = tuple(
        (Cell(image), *(Cell(image, np.maximum(found.values[row], 0), found.scale) for found in result.maps))
        for row, image in enumerate(result.hounsfield)
    )
    footer = f"{card.name} {card.version} · weights {card.weights_sha256[:12]} · SAM is a reconstruction"
    return Sheet(f"What spoke for {result.target.value}", tuple(columns), tuple(rows), cells, footer)
