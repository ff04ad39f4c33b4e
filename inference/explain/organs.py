"""A researcher's look at a segmentation: each organ's outline and what made the network draw it, written to files.

The number that is explained is the sum over the organ's mask, of probabilities as published (EIECS 2021, "prob") or of
logits (Vinogradova et al., 2020, "logit"); every map at every layer follows from it. An organ is shown on the slice
that shows most of it; one that is nowhere in a mask has zeros and says so.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inference.errors import CannotExplain
from inference.evidence import measure
from inference.explain.engine import explain
from inference.explain.mapset import MapSet
from inference.explain.targets import mask_sum
from inference.findings import OrganMeasurement
from inference.models import Bundle, ModelCard
from inference.phantom.organs import ENGLISH, Organ
from inference.preprocessing import Grid, Placement, channels, clean, place, resample
from inference.rendering.contact_sheet import Cell, Sheet, contact_sheet
from inference.segment import OrganMasks, organ_scores, segment
from inference.volume import Hounsfield, Volume

SHEET_FILE, MAPS_FILE, FACTS_FILE = "organs.png", "organs.npz", "organs.json"
SCORES = ("prob", "logit")
NOTE = "Not for diagnostic use."


@dataclass(frozen=True)
class OrganExplanation:
    """One organ on one slice, on the network's grid."""

    organ: Organ
    slice_index: int
    hounsfield: Hounsfield
    """hounsfield[row, column], upright."""
    mask: NDArray[np.bool_]
    """mask[row, column]: where the organ is the network's first choice."""
    placement: Placement
    maps: tuple[MapSet, ...]
    """One for each of the scores that were asked for; a batch of one."""


@dataclass(frozen=True)
class OrganExplanations:
    """Every organ that was found in a volume."""

    organs: tuple[OrganExplanation, ...]
    measurements: tuple[OrganMeasurement, ...]
    """Of the organs that are plausible; fewer than were found, it may be."""
    absent: tuple[str, ...]
    """Organs that the network knows and found nowhere."""
    mask: str
    """Which of the network's masks was explained; "" for a network with one."""
    grid: Grid
    model: ModelCard

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Writes a sheet of pictures, the raw maps and what they are. Returns the files' paths.

        The npz holds "organ/method@layer/score" -> float32[row, column] on the network's grid, and for each organ
        "organ/hounsfield" and "organ/mask".
        """
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(folder / name for name in (SHEET_FILE, MAPS_FILE, FACTS_FILE))
        Image.fromarray(contact_sheet(_sheet(self))).save(paths[0])
        np.savez_compressed(paths[1], **dict(_arrays(self)))  # type: ignore[arg-type]
        paths[2].write_text(json.dumps(facts(self), indent=2) + "\n", encoding="utf-8")
        return paths


def explain_organs(
    volume: Volume,
    bundle: Bundle,
    layers: Sequence[str] = (),
    maps: Sequence[str] = ("grad-cam", "hirescam", "sam"),
    *,
    scores: Sequence[str] = SCORES,
    organ: str | None = None,
    mask: str | None = None,
) -> OrganExplanations:
    """Maps of each organ's mask, or of one `organ`'s, at `layers` (by default the card's for Grad-CAM and SAM).

    `mask` chooses among the masks of a network that has several ("first" or "second" of a Double U-Net).
    Raises CannotJudge where there is nothing to segment, CannotExplain when a map has no meaning for the network or the
    mask is not there, ValueError for names that are not there.
    """
    chosen = bundle if mask is None else replace(bundle, module=_showing(bundle, mask))
    layers = layers or _layers(bundle, mask)
    found = segment(volume, chosen)
    wanted = [each for each in found.organs if organ in (None, ENGLISH[each])]
    if not wanted:
        raise ValueError(f"organ {organ!r}: there are {', '.join(ENGLISH[each] for each in found.organs)}")
    areas = _areas(found)
    shown = [each for each in wanted if areas[found.organs.index(each)].any()]
    return OrganExplanations(
        organs=tuple(_explained(volume, chosen, found, each, layers, maps, scores) for each in shown),
        measurements=measure(volume, found),
        absent=tuple(ENGLISH[each] for each in wanted if each not in shown),
        mask=str(mask or getattr(chosen.module, "mask", "")),
        grid=Grid.from_options(bundle.card.options),
        model=bundle.card,
    )


def _layers(bundle: Bundle, mask: str | None) -> tuple[str, ...]:
    """The card's layers; those of a Double U-Net's first network stand in for its second where the first is shown."""
    named = dict.fromkeys(bundle.card.options.get("layers", {}).values())
    return tuple(re.sub("(aspp|decoder)2", r"\g<1>1", name) if mask == "first" else name for name in named)


def _showing(bundle: Bundle, mask: str) -> torch.nn.Module:
    showing = getattr(bundle.module, "showing", None)
    if showing is None:
        raise CannotExplain(f"{bundle.card.network} has one mask only")
    module: torch.nn.Module = showing(mask)
    return module


def _areas(masks: OrganMasks) -> NDArray[np.int64]:
    """Pixels of each organ on each slice: int[organ, slice]."""
    return np.array([np.bincount(labels.ravel(), minlength=len(masks.organs) + 1)[1:] for labels in masks.labels]).T


def _explained(
    volume: Volume,
    bundle: Bundle,
    masks: OrganMasks,
    organ: Organ,
    layers: Sequence[str],
    maps: Sequence[str],
    scores: Sequence[str],
) -> OrganExplanation:
    number, grid = masks.organs.index(organ), Grid.from_options(bundle.card.options)
    index = masks.slice_indices[int(_areas(masks)[number].argmax())]
    image = clean(volume.upright(volume.slice(index)))
    placement = place(image, volume.pixel_spacing_mm)
    resampled = resample(image, placement, grid)
    inputs = torch.from_numpy(channels(resampled[None], grid.windows))
    made = tuple(
        explain(
            bundle.module,
            inputs,
            target=mask_sum(score=score, channel=number + 1),
            layers=layers,
            maps=maps,
            model_hash=bundle.card.weights_sha256,
        )
        for score in scores
    )
    mask = organ_scores(bundle.module, inputs)[0].argmax(0).numpy() == number + 1
    return OrganExplanation(organ, index, resampled, mask, placement, made)


def facts(found: OrganExplanations) -> dict[str, Any]:
    """Everything about the maps but their values, for JSON."""
    card = found.model
    return {
        "note": NOTE,
        "model": {"name": card.name, "version": card.version, "weights_sha256": card.weights_sha256},
        "network": card.network,
        "mask": found.mask,
        "grid": found.grid.as_options(),
        "organs": [_organ_facts(each, found) for each in found.organs],
        "absent": list(found.absent),
    }


def _organ_facts(each: OrganExplanation, found: OrganExplanations) -> dict[str, Any]:
    name = ENGLISH[each.organ]
    measured = next((organ for organ in found.measurements if organ.organ == name), None)
    return {
        "organ": name,
        "slice": each.slice_index,
        "field_centre_px": list(each.placement.centre),
        "median_hu": None if measured is None else round(measured.median_hu, 1),
        "volume_ml": None if measured is None else round(measured.volume_ml, 1),
        "maps": [
            {
                "key": _key(name, one.method, one.layer, made.score_kind),
                "explains": made.target,
                "in_mask": bool(made.present[0]),
                "score": float(made.scores[0]),
                "scale": one.scale,
            }
            for made in each.maps
            for one in made
        ],
    }


def _arrays(found: OrganExplanations) -> Iterator[tuple[str, NDArray[Any]]]:
    for each in found.organs:
        name = ENGLISH[each.organ]
        yield f"{name}/hounsfield", each.hounsfield
        yield f"{name}/mask", each.mask
        for made in each.maps:
            for one in made:
                yield _key(name, one.method, one.layer, made.score_kind), one.values[0]


def _key(organ: str, method: str, layer: str, score: str) -> str:
    return f"{organ}/{method}@{layer}/{score}" if layer else f"{organ}/{method}/{score}"


def _sheet(found: OrganExplanations) -> Sheet:
    """A row an organ: its outline, then each map under the same outline."""
    columns = ["outline"]
    if found.organs:
        columns += [
            f"{one.method}\n{one.layer or 'input'}\nsum of {made.score_kind}"
            for made in found.organs[0].maps
            for one in made
        ]
    measured = {organ.organ: organ for organ in found.measurements}
    rows, cells = [], []
    for each in found.organs:
        hu = measured.get(ENGLISH[each.organ])
        said = "not plausible" if hu is None else f"{hu.median_hu:.0f} HU, {hu.volume_ml:.0f} ml"
        rows.append(f"{ENGLISH[each.organ]}\nslice {each.slice_index + 1}\n{said}")
        cells.append(tuple(_cells(each)))
    card, mask = found.model, f", {found.mask} mask" if found.mask else ""
    footer = f"{card.name} {card.version} ({card.network}{mask}) · weights {card.weights_sha256[:12]}"
    return Sheet("Organs, and what made the network draw them", tuple(columns), tuple(rows), tuple(cells), footer)


def _cells(each: OrganExplanation) -> Iterator[Cell]:
    yield Cell(each.hounsfield, outlined=each.mask)
    for made in each.maps:
        for one in made:
            yield Cell(each.hounsfield, np.maximum(one.values[0], 0), one.scale, outlined=each.mask)
