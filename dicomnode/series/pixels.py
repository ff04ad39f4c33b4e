"""Pixels of one slice: checked against the bytes that are there before anything is allocated, decoded when asked.

The declared size decides how much memory a decoder takes, and a sender declares what it likes: 65,535 x 65,535
pixels in a file of 900 bytes. So the layout is compared with the file first, and the codestream's own size with the
layout.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID

from dicomnode.errors import Decline
from dicomnode.series.elements import (
    DEFLATED,
    PIXEL_DATA,
    UNDEFINED_LENGTH,
    Element,
    NestedTooDeeply,
    NotADataset,
    walk,
)
from dicomnode.series.part10 import file_meta, read_file_meta

LARGEST_SIDE = 8192
"""Rows and columns of the largest slice that is read; CT detectors give 512 to 2,048."""
AIR_HU = -1024.0
"""What lies outside the scanned circle, and the least value that any slice has."""
MOST_HU = 32767.0
LARGEST_HEADER_BYTES = 64 << 20
MOST_FRAGMENTS = 100_000
DEEPEST = 50
"""Levels of sequences; objects of the field have four or five, and pydicom recurses into each."""
LARGEST_INFLATED_BYTES = 256 << 20
_FIRST_READ_BYTES = 64 << 10
_EXPLICIT = "1.2.840.10008.1.2.1"
_NATIVE = {"1.2.840.10008.1.2", _EXPLICIT}


SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG's start-of-frame markers, and JPEG-LS's."""


class BadPixels(ValueError):
    """The pixel data are not what the attributes say; the message names the fault in few words."""


@dataclass(frozen=True)
class Layout:
    """How the pixels of an instance lie in its file."""

    path: Path
    transfer_syntax_uid: str
    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    offset: int
    """Of the value of Pixel Data in the file, in bytes; -1 where the pixels are compressed or deflated."""

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * (self.bits_allocated // 8)


@dataclass(frozen=True)
class Rescale:
    """Stored values to Hounsfield units: PS3.3 section C.11.1.1.2 and C.7.5.1.1.2 (padding)."""

    slope: float
    intercept: float
    padding: tuple[int, int] | None = None
    """Lowest and highest stored value that mean "no pixel"."""

    def hounsfield(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """hounsfield[row, column]; what is padded or below air is air."""
        result = stored.astype(np.float32)
        result *= np.float32(self.slope)
        result += np.float32(self.intercept)
        if self.padding is not None and self._pads(stored):
            result[(stored >= self.padding[0]) & (stored <= self.padding[1])] = AIR_HU
        return np.clip(result, AIR_HU, MOST_HU, out=result)

    def _pads(self, stored: NDArray[Any]) -> bool:
        """Whether the padding is to be believed: some devices declare water (0) as padding in every slice.

        A padding value among those of tissue counts only where it fills the corners, which no body does.
        """
        assert self.padding is not None
        low, high = self.padding
        if all(not -900 < value * self.slope + self.intercept < 3000 for value in (low, high)):
            return True
        corners = stored[[0, 0, -1, -1], [0, -1, 0, -1]]
        return bool(((corners >= low) & (corners <= high)).all())


@dataclass(frozen=True)
class Content:
    """The beginning of a file, as far as its pixels or further."""

    data: bytes
    """Inflated where the file is deflated: then a file in Explicit VR Little Endian."""
    transfer_syntax_uid: str
    """The file's own."""
    pixels: Element | None
    """Pixel data, with its offset in `data` (and so in the file, unless that is deflated); None: it has none."""
    size: int
    """Bytes of the whole file, inflated."""


def read_content(path: Path) -> Content:
    """The file up to its pixels, in as few reads as will do.

    Raises MalformedHeader when it is no DICOM file, BadPixels when it is too large, OSError.
    """
    size = path.stat().st_size
    wanted = _FIRST_READ_BYTES
    with path.open("rb") as file:
        while True:
            file.seek(0)
            data = file.read(wanted)
            transfer_syntax_uid, start = read_file_meta(data)
            if transfer_syntax_uid in DEFLATED:
                data, start = _inflated(data[start:] + file.read(LARGEST_INFLATED_BYTES))
                return Content(data, transfer_syntax_uid, _pixel_element(data, start, _EXPLICIT), len(data))
            pixels = _pixel_element(data, start, transfer_syntax_uid)
            if pixels is not None or wanted >= size:
                return Content(data, transfer_syntax_uid, pixels, size)
            if wanted >= LARGEST_HEADER_BYTES:
                raise BadPixels("no pixel data within the first 64 MB")
            wanted *= 8


def _pixel_element(content: bytes, start: int, transfer_syntax_uid: str) -> Element | None:
    """The pixel data element, with its offset in the file."""
    try:
        for element in walk(content[start:], transfer_syntax_uid, DEEPEST):
            if element.tag in PIXEL_DATA:
                return element._replace(start=element.start + start)
    except NestedTooDeeply as error:
        raise BadPixels("sequences nested too deeply") from error
    except NotADataset:
        pass
    return None


def _inflated(compressed: bytes) -> tuple[bytes, int]:
    """(a Part 10 file in Explicit VR Little Endian, offset of its dataset) from a deflated dataset."""
    try:
        dataset = zlib.decompressobj(-zlib.MAX_WBITS).decompress(compressed, LARGEST_INFLATED_BYTES)
    except zlib.error as error:
        raise BadPixels("damaged deflated data") from error
    if len(dataset) >= LARGEST_INFLATED_BYTES:
        raise BadPixels("too large when inflated")
    meta = file_meta("1.2", "1.2", _EXPLICIT)
    return meta + dataset, len(meta)


def check(layout: Layout, content: Content) -> None:
    """Raises BadPixels unless the pixels that the layout declares can be there. Allocates nothing."""
    if content.pixels is None:
        raise BadPixels("no pixel data")
    if not (1 <= layout.rows <= LARGEST_SIDE and 1 <= layout.columns <= LARGEST_SIDE):
        raise BadPixels(f"absurd size of {layout.rows} x {layout.columns} pixels")
    if layout.bits_allocated not in (8, 16, 32) or not 1 <= layout.bits_stored <= layout.bits_allocated:
        raise BadPixels(f"absurd number of bits a pixel ({layout.bits_stored} of {layout.bits_allocated})")
    if not decodable(layout.transfer_syntax_uid):
        raise BadPixels(f"compression without a decoder ({UID(layout.transfer_syntax_uid).name})")
    if content.pixels.length == UNDEFINED_LENGTH:
        _check_fragments(layout, content.pixels.start)
    elif content.pixels.start + content.pixels.length > content.size:
        raise BadPixels("truncated pixel data")
    elif layout.frame_bytes * layout.frames > content.pixels.length:
        raise BadPixels("fewer pixels than rows and columns say")


def _check_fragments(layout: Layout, start: int) -> None:
    """Raises BadPixels unless the fragments end in the file and begin with a codestream of the declared size."""
    position, size = start, layout.path.stat().st_size
    with layout.path.open("rb") as file:
        for fragment in range(MOST_FRAGMENTS):
            file.seek(position)
            head = file.read(8)
            if position == size and fragment > 1 and layout.frames == 1:
                return  # Only the closing delimiter is missing: some encoders forget it.
            if len(head) < 8:
                raise BadPixels("truncated pixel data")
            group, number, length = struct.unpack("<HHL", head)
            if (group, number) == (0xFFFE, 0xE0DD):
                return
            if (group, number) != (0xFFFE, 0xE000):
                raise BadPixels("damaged pixel data")
            if fragment == 1:  # The first item is the offset table.
                _check_codestream(layout, file.read(min(length, 4096)))
            position += 8 + length
    raise BadPixels("absurd number of fragments")


def _check_codestream(layout: Layout, head: bytes) -> None:
    size = codestream_size(head)
    if size is not None and size != (layout.rows, layout.columns):
        raise BadPixels("compressed pixels of another size than declared")


def codestream_size(head: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream declares; None where it is none or says it later.

    JPEG: SOF markers, ITU-T T.81 B.2.2 and T.87 C.2.2. JPEG 2000: SIZ marker, ITU-T T.800 A.5.1.
    """
    if head[:4] == b"\xff\x4f\xff\x51" and len(head) >= 24:
        columns, rows, left, top = struct.unpack_from(">4L", head, 8)
        return rows - top, columns - left
    if head[:2] != b"\xff\xd8":
        return None
    position = 2
    while position + 9 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker in SIZE_MARKERS:
            rows, columns = struct.unpack_from(">HH", head, position + 5)
            return rows, columns
        position += 2 + int(struct.unpack_from(">H", head, position + 2)[0])
    return None


def stored_values(layout: Layout, frame: int) -> NDArray[Any]:
    """stored[row, column] of the frame (from 0), unused bits removed (PS3.5 section 8.1.1).

    Raises Decline when it cannot be decoded.
    """
    try:
        stored = _native(layout, frame) if layout.offset >= 0 else _decoded(layout, frame)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    # Decoders are foreign code on damaged data and raise whatever they like, those in Rust even a BaseException
    # (pyo3's PanicException): here they all mean one thing.
    except BaseException as error:
        raise Decline("The pixels of a slice cannot be decoded.") from error
    if stored.shape != (layout.rows, layout.columns):
        raise Decline("The pixels of a slice have another size than its header says.")
    unused = layout.bits_allocated - layout.bits_stored
    return stored if not unused or stored.dtype.itemsize * 8 != layout.bits_allocated else (stored << unused) >> unused


def _native(layout: Layout, frame: int) -> NDArray[Any]:
    kind = f"<{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}"
    with layout.path.open("rb") as file:
        file.seek(layout.offset + frame * layout.frame_bytes)
        return np.frombuffer(file.read(layout.frame_bytes), kind).reshape(layout.rows, layout.columns)


def _decoded(layout: Layout, frame: int) -> NDArray[Any]:
    source: Path | io.BytesIO = layout.path
    if layout.transfer_syntax_uid in DEFLATED:
        source = io.BytesIO(read_content(layout.path).data)
    return np.asarray(pixel_array(source, index=frame, raw=True))


def decodable(transfer_syntax_uid: str) -> bool:
    """Whether the pixels can be read: uncompressed, or a decoder for them is installed."""
    uid = UID(transfer_syntax_uid)
    if not uid.is_transfer_syntax:
        return False
    try:
        return not uid.is_encapsulated or bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False


def native_offset(content: Content) -> int:
    """The offset in the file from which pixels can be read as they lie; -1 where a decoder is needed."""
    pixels = content.pixels
    if pixels is None or content.transfer_syntax_uid not in _NATIVE or pixels.length == UNDEFINED_LENGTH:
        return -1
    return pixels.start
