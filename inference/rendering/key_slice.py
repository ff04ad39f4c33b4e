"""One slice with its map, and a legend below it."""

from dataclasses import dataclass

import numpy as np

from inference.findings import Findings, SliceMap
from inference.rendering.caption import Caption
from inference.rendering.colour import WINDOWS_HU, Picture, overlay
from inference.rendering.legend import Legend, legend_band
from inference.rendering.wording import WORDS, Words, certainty, most_probable, verdict
from inference.volume import Volume

NARROWEST = 512
"""Pictures are at least so many pixels wide, for the legend's sake."""


@dataclass(frozen=True)
class SlicePicture:
    """The CT lies at the top left, unturned: pixel (r, c) shows source pixel (r // scale, c // scale)."""

    pixels: Picture
    """rgb[row, column, 3]: the slice, and below it the legend band."""
    scale: int
    """Picture pixels per source pixel, both ways; the source's pixel spacing divided by it is the picture's."""
    image_rows: int
    """Rows that show the CT; the band begins there."""
    image_columns: int
    """Columns that show the CT."""


def key_slice(findings: Findings, volume: Volume, slice_index: int, method: str, caption: Caption) -> SlicePicture:
    """The slice with the map of `method` over it. Raises KeyError when findings hold no such map of that slice."""
    found = find_map(findings, slice_index, method)
    if found is None:
        raise KeyError(f"no {method} map of slice {slice_index}")
    rows, columns = volume.shape
    scale = max(1, -(-NARROWEST // columns))
    image = overlay(volume.slice(slice_index), found.values, found.scale, WINDOWS_HU[findings.phase])
    image = image.repeat(scale, axis=0).repeat(scale, axis=1)
    words = WORDS[caption.language]
    band = legend_band(columns * scale, _legend(findings, volume, found, caption, words), words)
    return SlicePicture(np.concatenate([image, band]), scale, rows * scale, columns * scale)


def find_map(findings: Findings, slice_index: int, method: str) -> SliceMap | None:
    """The map of one method on one slice; None where there is none."""
    return next((m for m in findings.maps if m.slice_index == slice_index and m.method == method), None)


def position(volume: Volume, slice_index: int, words: Words) -> str:
    """Which slice this is, counted from the feet, and where it lies."""
    where = words.slice_of.format(number=slice_index + 1, count=len(volume))
    return f"{where} · {volume.positions_mm[slice_index]:.1f} mm".replace("-", "\N{MINUS SIGN}")


def made_by(findings: Findings, caption: Caption, words: Words) -> str:
    """Model, version, weights and time."""
    card = findings.model
    model = words.model.format(name=card.name, version=card.version, digest=card.weights_sha256[:12])
    return f"{model} · {caption.made_at:%Y-%m-%d %H:%M %Z}"


def _legend(findings: Findings, volume: Volume, found: SliceMap, caption: Caption, words: Words) -> Legend:
    score = findings.map_scores.get(found.method)
    explains = words.explains.format(phase=words.phases[most_probable(findings)])
    return Legend(
        method=found.method,
        explains=f"{explains} ({certainty(findings, words)})" if findings.phase else explains,
        position=position(volume, found.slice_index, words),
        verdict=verdict(score, words),
        weak=score is not None and score.poor,
        origin=made_by(findings, caption, words),
    )
