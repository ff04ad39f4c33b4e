"""Frames of a counterfactual: a synthetic image, what has changed in it, and what the model says of it.

Every frame says in words that it is synthetic, above, inside and below its images, so that no part of one can be taken
for an acquisition.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.counterfactual.series import Counterfactual
from inference.counterfactual.walk import Walk
from inference.phases import PHASES
from inference.rendering.caption import Caption
from inference.rendering.colour import Picture, colour_bar, overlay, window
from inference.rendering.page import AMBER, BLUE, FAINT, PALE, WHITE, Page
from inference.rendering.wording import WORDS, Words
from inference.sentences import percent

STRIP_FILE = "counterfactual.png"
WIDTH, HEIGHT = 960, 720
DISPLAY_HU = (-120.0, 280.0)
FULL_HEAT_HU = 150.0
"""Change that is shown as full heat: the same in every frame of every series."""
_PICTURE, _TOP, _LEFT, _RIGHT = 448, 84, 24, 488
_BARS, _BAR, _NAME, _SCALE = 614, 300, 150, 550


@dataclass(frozen=True)
class CounterfactualWords:
    """The texts of one language; fields in braces are filled in."""

    synthetic: str
    short: str
    title: str
    step: str
    unmoved: str
    looks: str
    changed: str
    towards: str
    origin: str


COUNTERFACTUAL_WORDS: Mapping[str, CounterfactualWords] = {
    "en": CounterfactualWords(
        synthetic="SYNTHETIC IMAGE – not the patient",
        short="SYNTHETIC",
        title="What would have to change for the model to answer otherwise?",
        step="{step} sd",
        unmoved="unchanged",
        looks="The model calls this image {phase}",
        changed="change against 0",
        towards="{start} → {target}",
        origin="Drawn from slice {number} by {name} {version} · weights {digest} · {made_at}",
    ),
    "de": CounterfactualWords(
        synthetic="SYNTHETISCHES BILD – nicht der Patient",
        short="SYNTHETISCH",
        title="Was müsste anders sein, damit das Modell anders antwortet?",
        step="{step} SD",
        unmoved="unverändert",
        looks="Das Modell nennt dieses Bild {phase}",
        changed="Änderung gegenüber 0",
        towards="{start} → {target}",
        origin="Erzeugt aus Schicht {number} von {name} {version} · Gewichte {digest} · {made_at}",
    ),
}


def frames(found: Counterfactual, caption: Caption) -> tuple[Picture, ...]:
    """rgb[720, 960, 3] of each step of the walk; none where there is no walk."""
    if found.walk is None:
        return ()
    return tuple(laid_out(found, found.walk, step, caption).pixels() for step in range(len(found.walk.steps_sd)))


def laid_out(found: Counterfactual, walk: Walk, step: int, caption: Caption) -> Page:
    """One frame as a page, which knows where each text stands."""
    words, said = WORDS[caption.language], COUNTERFACTUAL_WORDS[caption.language]
    page = Page(WIDTH, HEIGHT)
    page.text((_LEFT, 28), said.synthetic, 28, 640, AMBER, "bold")
    page.text((WIDTH - _LEFT, 28), words.not_for_diagnosis, 19, 290, AMBER, "bold right")
    page.text((_LEFT, 62), said.title, 18, WIDTH - 2 * _LEFT, PALE)
    _images(page, walk, step, words, said)
    _scale(page, walk, step, found, words, said)
    _answer(page, walk, step, words, said)
    _footer(page, found, caption, said)
    return page


def _images(page: Page, walk: Walk, step: int, words: Words, said: CounterfactualWords) -> None:
    grey = window(_enlarged(walk.hounsfield[step]), *DISPLAY_HU)
    page.picture(_LEFT, _TOP, np.repeat(grey[..., None], 3, axis=2))
    first = _enlarged(walk.hounsfield[walk.start])
    page.picture(_RIGHT, _TOP, overlay(first, _enlarged(walk.change[step]), FULL_HEAT_HU, DISPLAY_HU))
    for left in (_LEFT, _RIGHT):
        page.text((left + 8, _TOP + 16), said.short, 20, _PICTURE - 60, AMBER, "bold")
        page.text((left + _PICTURE - 8, _TOP + _PICTURE - 16), said.short, 20, _PICTURE - 60, AMBER, "bold right")
        page.text((left + 8, _TOP + _PICTURE / 2), words.right, 18, 40, WHITE)
    page.text((_RIGHT + _PICTURE - 8, _TOP + 16), said.changed, 16, 220, WHITE, "right")
    bar = colour_bar(110, 10)
    page.picture(_RIGHT + 8, _TOP + _PICTURE - 24, bar)
    page.text((_RIGHT + 124, _TOP + _PICTURE - 19), f"{FULL_HEAT_HU:.0f} HU", 14, 90, WHITE)


def _scale(page: Page, walk: Walk, step: int, found: Counterfactual, words: Words, said: CounterfactualWords) -> None:
    """Where on the way this frame is."""
    left, right = 300.0, WIDTH - _LEFT - 12.0
    low, high = walk.steps_sd[0], walk.steps_sd[-1]
    way = said.towards.format(start=words.phases[found.answer], target=words.phases[found.target])
    page.text((_LEFT, _SCALE), way, 18, 260, WHITE)
    page.box(left, _SCALE - 2, right, _SCALE + 2, FAINT)
    for value in walk.steps_sd:
        x = left + (value - low) / (high - low) * (right - left)
        page.box(x - 1, _SCALE - 7, x + 1, _SCALE + 7, FAINT)
    here = left + (walk.steps_sd[step] - low) / (high - low) * (right - left)
    page.box(here - 7, _SCALE - 11, here + 7, _SCALE + 11, BLUE)
    text = said.unmoved if step == walk.start else said.step.format(step=signed(walk.steps_sd[step]))
    style = "right" if here > (left + right) / 2 else ""
    page.text((here + (-10 if style else 10), _SCALE + 19), text, 16, 150, WHITE, f"bold {style}")


def _answer(page: Page, walk: Walk, step: int, words: Words, said: CounterfactualWords) -> None:
    """What the model says of this image, as words and as a bar for each phase."""
    row = walk.probabilities[step]
    best = PHASES[int(row.argmax())]
    page.text((_LEFT, 592), said.looks.format(phase=words.phases[best].upper()), 21, WIDTH - 2 * _LEFT, WHITE, "bold")
    for index, (phase, value) in enumerate(zip(PHASES, row, strict=True)):
        left, top = _LEFT + (index % 2) * (WIDTH - 2 * _LEFT) / 2, _BARS + 6 + (index // 2) * 30
        _bar(page, left, top, words.phases[phase], float(value), phase is best)


def _bar(page: Page, left: float, top: float, name: str, value: float, best: bool) -> None:
    middle = top + 12
    page.text((left, middle), name, 17, _NAME - 8, WHITE if best else PALE, "bold" if best else "")
    start, room = left + _NAME, _BAR - 80.0
    page.box(start, middle - 8, start + room, middle + 8, FAINT)
    if value > 0.004:
        page.box(start, middle - 8, start + max(2.0, room * value), middle + 8, BLUE if best else PALE)
    page.text((start + room + 8, middle), f"{percent(value)} %", 16, 60, WHITE if best else PALE)


def _footer(page: Page, found: Counterfactual, caption: Caption, said: CounterfactualWords) -> None:
    text = said.origin.format(
        number=found.slice_index + 1,
        name=found.model.name,
        version=found.model.version,
        digest=found.model.weights_sha256[:12],
        made_at=f"{caption.made_at:%Y-%m-%d %H:%M %Z}",
    )
    page.text((_LEFT, HEIGHT - 24), text, 14, WIDTH - 2 * _LEFT, PALE)


def signed(step: float) -> str:
    """A step with its sign: "+1.5", "−2"."""
    return f"{step:+g}".replace("-", "\N{MINUS SIGN}")


def strip(found: Counterfactual, size: int = 160) -> Picture:
    """rgb: all steps side by side, images above and changes below, for a page or a look."""
    walk = found.walk
    if walk is None:
        raise ValueError(found.reason or "no walk")
    said, words = COUNTERFACTUAL_WORDS["en"], WORDS["en"]
    page = Page(max(900, len(walk.steps_sd) * (size + 4) + 24), 2 * size + 130)
    page.text((12, 22), said.synthetic, 22, 460, AMBER, "bold")
    page.text((page.pixels().shape[1] - 12, 22), words.not_for_diagnosis, 17, 300, AMBER, "bold right")
    for step, value in enumerate(walk.steps_sd):
        left, row = 12 + step * (size + 4), walk.probabilities[step]
        best = PHASES[int(row.argmax())]
        page.text((left, 54), "0" if step == walk.start else signed(value), 15, size, WHITE)
        page.text((left, 76), f"{words.phases[best]} {percent(float(row.max()))} %", 14, size, PALE)
        grey = window(_enlarged(walk.hounsfield[step], size), *DISPLAY_HU)
        page.picture(left, 92, np.repeat(grey[..., None], 3, axis=2))
        first, heat = _enlarged(walk.hounsfield[walk.start], size), _enlarged(walk.change[step], size)
        page.picture(left, 96 + size, overlay(first, heat, FULL_HEAT_HU, DISPLAY_HU))
    text = f"{found.answer.value} → {found.target.value}, {found.model.name} {found.model.version}"
    page.text((12, 2 * size + 114), text, 14, 860, PALE)
    return page.pixels()


def write_strip(found: Counterfactual, folder: Path) -> tuple[Path, ...]:
    """Writes the strip as a PNG; nothing where there is no walk."""
    if found.walk is None:
        return ()
    path = folder / STRIP_FILE
    Image.fromarray(strip(found)).save(path)
    return (path,)


def _enlarged(values: NDArray[np.float32], size: int = _PICTURE) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
