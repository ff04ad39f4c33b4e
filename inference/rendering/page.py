"""Page: a dark sheet on which text never leaves the room it was given."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inference.rendering.colour import Picture

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

BACKGROUND: Colour = (13, 16, 20)
WHITE: Colour = (245, 247, 250)
PALE: Colour = (168, 176, 186)
FAINT: Colour = (52, 58, 66)
AMBER: Colour = (255, 183, 77)
BLUE: Colour = (86, 180, 233)
"""From Okabe and Ito's palette, as amber nearly is: told apart with any colour vision."""


class Page:
    """A sheet of width x height pixels; distances are in pixels, text sizes are heights of the font in pixels."""

    def __init__(self, width: int, height: int, background: Colour = BACKGROUND) -> None:
        self._image = Image.new("RGB", (width, height), background)
        self._draw = ImageDraw.Draw(self._image)
        self.placed: list[tuple[str, Box]] = []
        """Every line of text that was written, with the pixels it covers."""

    def text(
        self, at: tuple[float, float], text: str, size: float, room: float, colour: Colour = WHITE, style: str = ""
    ) -> float:
        """Writes one line, vertically centred on `at`, and returns its width.

        `style` is made of "bold" and "right" (`at` is the right end). Text wider than `room` is set smaller, down to
        three quarters of the size, and then shortened with an ellipsis.
        """
        bold = "bold" in style
        font = fitting(text, size, room, bold)
        text = _shortened(text, font, room)
        self._write(at, text, font, colour, "rm" if "right" in style else "lm")
        return float(font.getlength(text))

    def paragraph(
        self, at: tuple[float, float], text: str, size: float, room: float, lines: int, colour: Colour
    ) -> int:
        """Writes at most `lines` lines from the top left `at`, and returns how many."""
        font = face(size, False)
        found = wrapped(text, size, room)[:lines]
        if len(wrapped(text, size, room)) > lines:
            found[-1] = _shortened(found[-1] + " …", font, room)
        for number, line in enumerate(found):
            self._write((at[0], at[1] + (number + 0.5) * size * 1.3), line, font, colour, "lm")
        return len(found)

    def box(
        self, left: float, top: float, right: float, bottom: float, fill: Colour, line: Colour | None = None
    ) -> None:
        """A filled rectangle with a thin border."""
        self._draw.rectangle((round(left), round(top), round(right) - 1, round(bottom) - 1), fill=fill, outline=line)

    def picture(self, left: float, top: float, picture: Picture) -> None:
        """Puts rgb[row, column, 3] onto the page."""
        self._image.paste(Image.fromarray(picture), (round(left), round(top)))

    def _write(
        self, at: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, colour: Colour, anchor: str
    ) -> None:
        if text:
            self._draw.text(at, text, fill=colour, font=font, anchor=anchor)
            self.placed.append((text, self._draw.textbbox(at, text, font=font, anchor=anchor)))

    def pixels(self) -> Picture:
        """rgb[row, column, 3]."""
        return np.array(self._image, dtype=np.uint8)


@lru_cache(maxsize=64)
def face(size: float, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships with its licence."""
    import matplotlib  # heavy: only once something is drawn

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), max(7, round(size)))


def fitting(text: str, size: float, room: float, bold: bool) -> ImageFont.FreeTypeFont:
    """The largest font in which the text fits, but not below three quarters of the size."""
    font = face(round(size), bold)
    length = font.getlength(text)
    if length <= room:
        return font
    smaller = max(0.75 * size, size * room / length - 0.5)
    return face(int(smaller), bold)


def wrapped(text: str, size: float, room: float) -> list[str]:
    """Lines no wider than `room`; a word wider than that is cut."""
    font, lines = face(size, False), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= room:
            lines[-1] = longer
        elif lines[-1]:
            lines.append(_shortened(word, font, room))
        else:
            lines[-1] = _shortened(word, font, room)
    return lines


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"
