"""The organs' page: where they were found, their HU beside what is usual in each phase, and what the network saw.

Colours are the organs' own on every page; a colour is always next to its organ's name.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.findings import Findings, OrganMeasurement
from inference.organ_vote import load
from inference.organ_words import COLOURS, DECIDED, ORGAN_WORDS, OrganWords, evidence, whole
from inference.phantom.organs import ENGLISH
from inference.phases import PHASES, Phase
from inference.rendering.caption import Caption
from inference.rendering.colour import WINDOWS_HU, Picture, colour_bar, overlay
from inference.rendering.crop import AIR_HU, Crop, around_body, cut
from inference.rendering.key_slice import made_by, position
from inference.rendering.page import AMBER, FAINT, PALE, WHITE, Colour, Page, fitting
from inference.rendering.wording import WORDS, Words
from inference.sentences import percent
from inference.volume import Volume

if TYPE_CHECKING:
    from inference.segment import OrganMasks

SIZE = 1024
_FREE, _LEFT, _RIGHT = 60, 32, 992
_PICTURES, _TOP, _BOTTOM = 3, 278, 566
_ROW, _TABLE = 32, 582
_PHASE_COLUMNS = (553, 680, 807, 932)
"""Centres of the phases' columns of the table."""
_LINE_PX = 2


def organ_page(findings: Findings, volume: Volume, caption: Caption) -> Picture:
    """rgb[1024, 1024, 3]. Raises ValueError when findings hold no organ or no masks."""
    return laid_out(findings, volume, caption).pixels()


def laid_out(findings: Findings, volume: Volume, caption: Caption) -> Page:
    """The same as a page, which knows where each text stands."""
    masks = findings.organ_masks
    if masks is None or not findings.organs:
        raise ValueError("no organs were measured")
    page, words, organs = Page(SIZE, SIZE), WORDS[caption.language], ORGAN_WORDS[caption.language]
    _headline(page, findings, words, organs, caption.language)
    _pictures(page, findings, volume, masks, words, organs)
    _table(page, findings, organs)
    _footer(page, findings, caption, words, organs)
    return page


def _headline(page: Page, findings: Findings, words: Words, organs: OrganWords, language: str) -> None:
    """What the organs speak for, and whether the network says so too."""
    page.text((_LEFT, _FREE + 15), organs.title, 24, 560, PALE)
    page.text((_RIGHT, _FREE + 15), words.not_for_diagnosis.upper(), 24, 390, AMBER, "bold right")
    said = findings.organ_vote
    if said is None:
        page.text((_LEFT, _FREE + 66), organs.no_vote, 40, 960, WHITE, "bold")
        return
    large = organs.undecided
    if said.confidence >= DECIDED:
        large = organs.say.format(phase=organs.phases[said.phase].upper(), percent=percent(said.confidence))
    used = page.text((_LEFT, _FREE + 66), large, 44, 640, AMBER if said.contradicts else WHITE, "bold")
    beside, colour = _agreement(findings, organs)
    page.text((_RIGHT, _FREE + 70), beside, 26, _RIGHT - _LEFT - used - 24, colour, "right")
    page.paragraph((_LEFT, _FREE + 102), evidence(said, findings.organs, language), 24, 960, 2, PALE)


def _agreement(findings: Findings, organs: OrganWords) -> tuple[str, Colour]:
    said = findings.organ_vote
    assert said is not None
    if said.contradicts:
        return organs.contradicts, AMBER
    if said.confidence < DECIDED:
        return organs.rather.format(phase=organs.phases[said.phase], percent=percent(said.confidence)), PALE
    network = max(PHASES, key=lambda phase: findings.probabilities.get(phase, 0.0))
    if network is said.phase:
        return organs.agrees, PALE
    return organs.differs.format(phase=organs.phases[network]), PALE


def _pictures(
    page: Page, findings: Findings, volume: Volume, masks: "OrganMasks", words: Words, organs: OrganWords
) -> None:
    """Slices with the organs' outlines, and the map of the organ that told most."""
    seen = findings.organ_map
    shown = telling_slices(masks, _PICTURES - (seen is not None))
    width, height = 310, _BOTTOM - _TOP
    for column, index in enumerate([*shown, *([] if seen is None else [seen.slice_index])]):
        left, of_map = _LEFT + column * 325, seen is not None and column == len(shown)
        page.text((left, _TOP - 15), position(volume, index, words), 19, width, PALE)
        picture = _outlined(volume, masks, index, findings, (height, width), with_map=of_map)
        page.picture(left, _TOP, picture)
        page.text((left + 6, _TOP + height / 2), words.right, 20, 30, PALE)
        label = organs.saw.format(organ=organs.name(seen.target)) if of_map and seen is not None else organs.outlines
        page.text((left, _TOP - 37), label, 19, width, WHITE)


def telling_slices(masks: "OrganMasks", count: int) -> list[int]:
    """Slices that together show the organs at their largest, the best one first; indices into the volume."""
    areas = np.array([np.bincount(labels.ravel(), minlength=len(masks.organs) + 1)[1:] for labels in masks.labels])
    shares = areas / np.maximum(areas.max(axis=0), 1)
    chosen: list[int] = []
    seen = np.zeros(shares.shape[1])
    for _ in range(min(count, len(shares))):
        gained = np.maximum(shares - seen, 0.0).sum(axis=1)
        if gained.max() <= 0:
            break
        chosen.append(int(gained.argmax()))
        seen = np.maximum(seen, shares[chosen[-1]])
    return [masks.slice_indices[row] for row in chosen]


def _outlined(
    volume: Volume, masks: "OrganMasks", index: int, findings: Findings, size: tuple[int, int], *, with_map: bool
) -> Picture:
    """rgb of one slice around the body: every organ's outline, or the map with the outline of its organ alone."""
    hounsfield = volume.upright(volume.slice(index))
    crop = around_body(volume, hounsfield, size[1] / size[0])
    seen, heat, only = findings.organ_map, None, None
    if with_map and seen is not None:
        heat, only = cut(volume.upright(seen.values), crop, size, 0.0), seen.target
    scale = 1.0 if seen is None else seen.scale
    picture = overlay(cut(hounsfield, crop, size, AIR_HU), heat, scale, WINDOWS_HU[findings.phase])
    labels = volume.upright(masks.labels[masks.slice_indices.index(index)].astype(np.float32))
    for number, organ in enumerate(masks.organs, start=1):
        name = ENGLISH[organ]
        if only in (None, name):
            picture[border(labels == number, crop, size)] = COLOURS.get(name, WHITE)
    return picture


def border(mask: NDArray[np.bool_], crop: Crop, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of a picture at which the outline of mask[row, column] is drawn, a thin line within the mask."""
    if not mask.any():
        return np.zeros(size, np.bool_)
    large = cut(mask.astype(np.float32), crop, size, 0.0) > 0.5
    inner = ndimage.binary_erosion(large, iterations=_LINE_PX, border_value=1)
    return np.asarray(large & ~inner)


def _table(page: Page, findings: Findings, organs: OrganWords) -> None:
    """A row an organ: colour, name, HU, volume, and what is usual in each phase."""
    middle = _TABLE + 10
    page.text((_LEFT + 32, middle), organs.organ, 20, 220, PALE)
    page.text((390, middle), "HU", 20, 60, PALE, "right")
    page.text((470, middle), organs.volume, 20, 60, PALE, "right")
    for phase, centre in zip(PHASES, _PHASE_COLUMNS, strict=True):
        _centred(page, centre, middle, organs.phases[phase], PALE)
    for number, found in enumerate(_ordered(findings)):
        _row(page, middle + 32 + number * _ROW, found, organs)
    below = middle + 32 + len(findings.organs) * _ROW
    if below < 906:
        page.text((_RIGHT, below), organs.expected, 18, 960, PALE, "right")


def _ordered(findings: Findings) -> Sequence[OrganMeasurement]:
    """Most telling first, as the vote has them; what did not vote last."""
    telling = findings.organ_vote.telling if findings.organ_vote else ()
    return sorted(findings.organs, key=lambda found: telling.index(found.organ) if found.organ in telling else 99)


def _row(page: Page, middle: float, found: OrganMeasurement, organs: OrganWords) -> None:
    page.box(_LEFT, middle - 9, _LEFT + 20, middle + 9, COLOURS.get(found.organ, WHITE))
    page.text((_LEFT + 32, middle), organs.name(found.organ), 23, 250, WHITE)
    page.text((390, middle), whole(found.median_hu), 25, 70, WHITE, "bold right")
    page.text((470, middle), f"{found.volume_ml:.0f}", 20, 70, PALE, "right")
    for phase, centre in zip(PHASES, _PHASE_COLUMNS, strict=True):
        low, high = _usual(phase, found.organ)
        if low is None or high is None:
            continue
        fits = low <= found.median_hu <= high
        if fits:
            page.box(centre - 60, middle - 14, centre + 60, middle + 14, FAINT)
        _centred(page, centre, middle, f"{whole(low)}–{whole(high)}", WHITE if fits else PALE)


def _usual(phase: Phase, organ: str) -> tuple[float, float] | tuple[None, None]:
    return load().quantiles[phase].get(organ, (None, None))


def _centred(page: Page, centre: float, middle: float, text: str, colour: Colour) -> None:
    width = fitting(text, 20, 124, False).getlength(text)
    page.text((centre - width / 2, middle), text, 20, 126, colour)


def _footer(page: Page, findings: Findings, caption: Caption, words: Words, organs: OrganWords) -> None:
    """Legend of the colours, series, models, time: as on the summary page."""
    page.box(_LEFT, 918, _RIGHT, 920, FAINT)
    series = words.series.format(number=caption.series_number) if caption.series_number else ""
    about = " · ".join(part for part in (series, caption.series_description) if part)
    page.text((_LEFT, 941), about, 22, 560, PALE)
    if findings.organ_map is not None:
        used = _RIGHT - page.text((_RIGHT, 941), words.high, 21, 120, PALE, "right")
        page.picture(used - 140, 932, colour_bar(130, 18))
        page.text((used - 150, 941), words.low, 21, 150, PALE, "right")
    model = findings.organ_model
    if model is not None:
        by = organs.by.format(name=model.name, version=model.version, digest=model.weights_sha256[:12])
        page.text((_LEFT, 968), f"{by} · {caption.made_at:%Y-%m-%d %H:%M %Z}", 21, 960, PALE)
    else:
        page.text((_LEFT, 968), made_by(findings, caption, words), 21, 960, PALE)
    page.text((_LEFT, 994), words.disclaimer, 20, 640, PALE)
    page.text((_RIGHT, 994), words.not_for_diagnosis, 21, 310, AMBER, "bold right")
