"""The summary page: what a radiographer should know after three seconds, and what it rests on."""

from inference.findings import Findings
from inference.phases import Phase
from inference.rendering.caption import Caption
from inference.rendering.colour import WINDOWS_HU, Picture, colour_bar, overlay
from inference.rendering.crop import AIR_HU, around_body, cut
from inference.rendering.key_slice import find_map, made_by, position
from inference.rendering.page import AMBER, BACKGROUND, BLUE, FAINT, PALE, WHITE, Page, wrapped
from inference.rendering.wording import (
    METHOD_NAMES,
    WORDS,
    Words,
    answer,
    certainty,
    timing,
    verdict,
    warnings,
)
from inference.sentences import percent
from inference.volume import Volume

PICTURES = 3
_PREFERRED = ("sam", "grad-cam")
FREE = 80
"""Height at the top that stays empty, of 1,024: viewers write into the corners and lay controls over it. OHIF's reach
100 in the middle: the first line of text leaves a gap there."""
_MOST_LINES = 3
"""Of one warning."""
_SMALLEST, _LARGEST = 384, 4096


def summary(findings: Findings, volume: Volume, caption: Caption, size: int = 1024) -> Picture:
    """rgb[size, size, 3]: phase, certainty, probabilities, warnings, key slices with maps, origin.

    Everything is drawn at `size`, not scaled to it. Raises ValueError for a size in which it cannot be read.
    """
    return laid_out(findings, volume, caption, size).pixels()


def laid_out(findings: Findings, volume: Volume, caption: Caption, size: int) -> Page:
    """The summary as a page, which knows where each text stands."""
    if not _SMALLEST <= size <= _LARGEST:
        raise ValueError(f"a summary of {size} pixels: {_SMALLEST} to {_LARGEST} can be drawn")
    sheet = _Sheet(findings, volume, caption, size)
    top = sheet.headline()
    top = sheet.warnings(top)
    top = sheet.bars(top)
    sheet.pictures(top, sheet.footer())
    return sheet.page


class _Sheet:
    """One page being filled from the top; distances are in 1/1024 of its width until they are drawn."""

    def __init__(self, findings: Findings, volume: Volume, caption: Caption, size: int) -> None:
        self.findings, self.volume, self.caption = findings, volume, caption
        self.words: Words = WORDS[caption.language]
        self.unit = size / 1024
        self.page = Page(size, size)

    def headline(self) -> float:
        """Title, the phase in large letters, certainty and seconds. Returns where it ends."""
        words, findings = self.words, self.findings
        self._text(32, FREE + 15, words.title, 24, 376, PALE)
        self._text(992, FREE + 15, words.not_for_diagnosis.upper(), 24, 380, AMBER, "bold right")
        known = findings.phase is not None
        room = 640 if known else 960
        self._text(32, FREE + 78, answer(findings, words), 84, room, WHITE if known else AMBER, "bold")
        if known:
            self._text(992, FREE + 82, certainty(findings, words), 46, 300, WHITE, "bold right")
        below = " · ".join(
            part for part in ("" if known else certainty(findings, words), timing(findings, words)) if part
        )
        self._text(32, FREE + 141, below, 30, 960, PALE)
        return FREE + 163 if below else FREE + 127

    def warnings(self, top: float) -> float:
        """One amber box for each thing to be careful about."""
        for warning in warnings(self.findings, self.words):
            room = 960 - 32
            lines = min(_MOST_LINES, len(wrapped(warning, 25 * self.unit, room * self.unit)))
            bottom = top + 16 + lines * 25 * 1.3
            self._box(32, top, 992, bottom, (58, 42, 14), AMBER)
            at = (48 * self.unit, (top + 8) * self.unit)
            self.page.paragraph(at, warning, 25 * self.unit, room * self.unit, _MOST_LINES, AMBER)
            top = bottom + 8
        return top

    def bars(self, top: float) -> float:
        """A bar for each phase, in the order of time."""
        top += 8
        pitch = 36 if top < 300 else 31  # room for the pictures below two warnings
        for phase in Phase:
            probability = self.findings.probabilities.get(phase, 0.0)
            chosen = phase is self.findings.phase
            middle, style = top + 17, "bold" if chosen else ""
            self._text(32, middle, self.words.phases[phase], 26, 215, WHITE if chosen else PALE, style)
            self._box(252, top + 5, 892, top + 29, FAINT)
            self._box(252, top + 5, 252 + max(2.0, 640 * min(1.0, probability)), top + 29, BLUE if chosen else PALE)
            self._text(992, middle, f"{percent(probability)} %", 26, 92, WHITE if chosen else PALE, style + "right")
            top += pitch
        return top + 8

    def pictures(self, top: float, bottom: float) -> None:
        """The key slices, one row for each kind of map."""
        slices = self.findings.key_slices[:PICTURES]
        if not slices:
            self._text(32, (top + bottom) / 2, self.words.no_pictures, 26, 960, PALE)
            return
        methods = self._methods()
        width = 960 / PICTURES - 10
        for column, index in enumerate(slices):
            label = position(self.volume, index, self.words)
            self._text(32 + column * (width + 15), top + 13, label, 21, width, PALE)
        top += 28
        room = (bottom - top) / max(1, len(methods))
        for method in methods or [""]:
            height = room - (36 if method else 8)
            for column, index in enumerate(slices):
                self._picture(32 + column * (width + 15), top, (width, height), index, method)
            if method:
                self._row_label(top + height + 18, method)
            top += room

    def footer(self) -> float:
        """Legend of the colours, series, model, time. Returns where it begins."""
        words, caption = self.words, self.caption
        self._box(32, 918, 992, 920, FAINT)
        series = words.series.format(number=caption.series_number) if caption.series_number else ""
        about = " · ".join(part for part in (series, caption.series_description) if part)
        self._text(32, 941, about, 22, 560, PALE)
        used = 992 - self._text(992, 941, words.high, 21, 120, PALE, "right")
        bar = colour_bar(round(130 * self.unit), round(18 * self.unit))
        self.page.picture((used - 140) * self.unit, 932 * self.unit, bar)
        self._text(used - 150, 941, words.low, 21, 150, PALE, "right")
        self._text(32, 968, made_by(self.findings, caption, words), 21, 960, PALE)
        self._text(32, 994, words.disclaimer, 20, 640, PALE)
        self._text(992, 994, words.not_for_diagnosis, 21, 310, AMBER, "bold right")
        return 914

    def _methods(self) -> list[str]:
        there = {found.method for found in self.findings.maps if found.slice_index in self.findings.key_slices}
        return [m for m in _PREFERRED if m in there] or sorted(there)[: len(_PREFERRED)]

    def _picture(self, left: float, top: float, size: tuple[float, float], index: int, method: str) -> None:
        columns, rows = round(size[0] * self.unit), round(size[1] * self.unit)
        hounsfield = self.volume.upright(self.volume.slice(index))
        crop = around_body(self.volume, hounsfield, columns / rows)
        found, heat = find_map(self.findings, index, method), None
        if found is not None:
            heat = cut(self.volume.upright(found.values), crop, (rows, columns), 0.0)
        image = cut(hounsfield, crop, (rows, columns), AIR_HU)
        picture = overlay(image, heat, found.scale if found else 1.0, WINDOWS_HU[self.findings.phase])
        self.page.picture(left * self.unit, top * self.unit, picture)
        self._text(left + 6, top + size[1] / 2, self.words.right, 20, 30, PALE)

    def _row_label(self, middle: float, method: str) -> None:
        score = self.findings.map_scores.get(method)
        weak = score is not None and score.poor
        used = 32 + self._text(32, middle, METHOD_NAMES.get(method, method), 24, 230, WHITE, "bold") + 14
        said = 12 + self._text(992, middle, verdict(score, self.words), 21, 400, AMBER if weak else PALE, "right")
        self._text(used, middle, self.words.methods.get(method, ""), 21, 992 - said - used, PALE)

    def _text(
        self, x: float, y: float, text: str, size: float, room: float, colour: tuple[int, int, int], style: str = ""
    ) -> float:
        at = (x * self.unit, y * self.unit)
        return self.page.text(at, text, size * self.unit, room * self.unit, colour, style) / self.unit

    def _box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        fill: tuple[int, int, int] = BACKGROUND,
        line: tuple[int, int, int] | None = None,
    ) -> None:
        u = self.unit
        self.page.box(left * u, top * u, right * u, bottom * u, fill, line)
