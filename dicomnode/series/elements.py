"""The top-level elements of an encoded dataset, walked without recursion, without pydicom and without a copy.

A peer chooses these bytes, so everything is bounded: each step takes at least 8 bytes, nesting costs one integer
instead of a stack frame (a sequence 100,000 levels deep is skipped like any other), and nothing is allocated
from a length that the bytes declare. Encoding: PS3.5 section 7.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"})
"""Deflated Explicit VR Little Endian and JPIP Referenced Deflate: the whole dataset is one raw deflate stream."""

UNDEFINED_LENGTH = 0xFFFFFFFF
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""VRs with two reserved bytes and a length of 32 bits, PS3.5 section 7.1.2."""
INFLATED_BYTES = 1 << 20
"""At most so much of a deflated prefix is inflated: a kilobyte of zeros would become a megabyte."""
PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and Pixel Data."""

_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD


DELIMITERS = 0xFFFE0000
"""Tags from here on are items and delimiters: they belong into sequences."""


class Heads(NamedTuple):
    """How the head of an element is read in one byte order."""

    short: struct.Struct
    """Group, element, VR and a length of 16 bits; for implicit VR the last two are the length of 32 bits."""
    length: struct.Struct
    """A length of 32 bits."""


HEADS = (Heads(struct.Struct("<HH2sH"), struct.Struct("<L")), Heads(struct.Struct(">HH2sH"), struct.Struct(">L")))
"""Little endian, big endian."""


class NotADataset(ValueError):
    """The bytes are not a dataset of the transfer syntax that was named."""


class NestedTooDeeply(NotADataset):
    """A sequence is nested more deeply than the caller allows."""


class Element(NamedTuple):
    """One top-level element. Its value may lie partly or wholly behind the prefix."""

    tag: int
    """Group in the upper, element in the lower 16 bits."""
    start: int
    """Offset of the value in the (inflated) dataset, in bytes."""
    length: int
    """Declared length in bytes; UNDEFINED_LENGTH for pixel data in fragments."""


def inflated(prefix: bytes, transfer_syntax_uid: str) -> bytes:
    """The prefix of the dataset itself: inflated, up to INFLATED_BYTES, where the transfer syntax deflates.

    Raises NotADataset when the stream is no deflate stream.
    """
    if transfer_syntax_uid not in DEFLATED:
        return prefix
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(prefix, INFLATED_BYTES)
    except zlib.error as error:
        raise NotADataset("the deflated dataset cannot be inflated") from error


def walk(prefix: bytes, transfer_syntax_uid: str, deepest: int | None = None) -> Iterator[Element]:
    """Top-level elements in the order in which they stand, up to and including pixel data.

    `deepest` limits the levels of sequences of undefined length, for a caller whose next reader recurses: beyond it
    NestedTooDeeply is raised. Ends silently where the prefix ends, even in the middle of an element (whose value then
    reaches beyond it).
    Raises NotADataset for bytes that no encoder of this transfer syntax writes.
    """
    head = HEADS[transfer_syntax_uid == EXPLICIT_BIG]
    implicit = transfer_syntax_uid == IMPLICIT_LITTLE
    short = head.short.unpack_from
    position, size = 0, len(prefix)
    while position + 8 <= size:
        # What most elements are is read here, for this runs for every instance that is received.
        group, number, vr, length = short(prefix, position)
        if vr in SHORT_VRS and not implicit and group < 0xFFFE:
            tag, start = group << 16 | number, position + 8
        else:
            tag, vr, length, start = _head(prefix, position, head, implicit)
            if start < 0:
                return
            if tag >= DELIMITERS:
                raise NotADataset("a sequence delimiter stands outside any sequence")
        yield Element(tag, start, length)
        if tag in PIXEL_DATA:
            return
        position = start + length
        if length == UNDEFINED_LENGTH:
            # UN of undefined length holds implicit VR, whatever surrounds it (PS3.5 section 6.2.2, note 4).
            position = _after_sequence(prefix, start, head, implicit or vr == b"UN", deepest)


def _head(data: bytes, position: int, head: Heads, implicit: bool) -> tuple[int, bytes, int, int]:
    """(tag, VR or b"", length, offset of the value) of the element at `position`; offset -1 when it is cut off."""
    group, number, vr, length = head.short.unpack_from(data, position)
    tag = group << 16 | number
    if implicit or group == 0xFFFE:
        return tag, b"", head.length.unpack_from(data, position + 4)[0], position + 8
    if vr in SHORT_VRS:
        return tag, vr, length, position + 8
    if vr not in LONG_VRS:
        raise NotADataset(f"the element ({group:04X},{number:04X}) has no value representation")
    if position + 12 > len(data):
        return tag, vr, 0, -1
    return tag, vr, head.length.unpack_from(data, position + 8)[0], position + 12


def _after_sequence(data: bytes, position: int, head: Heads, implicit: bool, deepest: int | None) -> int:
    """The offset behind a sequence of undefined length whose first item stands at `position`.

    `depth` counts open sequences and open items alike, so that 100,000 levels cost as much as 100,000 elements.
    Returns the length of the prefix when the sequence ends beyond it.
    """
    depth = 1
    implicit_until = 0 if implicit else -1
    while depth and position + 8 <= len(data):
        tag, vr, length, start = _head(data, position, head, implicit_until >= 0)
        if start < 0:
            break
        if tag in (_ITEM_END, _SEQUENCE_END):
            depth -= 1
            if depth <= implicit_until:
                implicit_until = 0 if implicit else -1
            position = start
        elif length == UNDEFINED_LENGTH:
            if vr == b"UN" and implicit_until < 0:
                implicit_until = depth
            depth += 1
            position = start
            if deepest is not None and depth > 2 * deepest:
                raise NestedTooDeeply(f"sequences are nested more than {deepest} levels deep")
        else:
            position = start + length
    return position if not depth else max(position, len(data))
