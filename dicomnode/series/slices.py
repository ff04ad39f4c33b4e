"""One file -> its CT slices, each with its place in the patient and the way to its Hounsfield units.

What is no slice that can be judged comes out as LeftOut with the reason in few words: one bad instance
never costs a series.
"""

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicomnode.identity import CT_CLASSES
from dicomnode.series import attributes as read
from dicomnode.series.geometry import Plane
from dicomnode.series.header import MalformedHeader
from dicomnode.series.pixels import BadPixels, Content, Layout, Rescale, check, native_offset, read_content

MULTI_FRAME_CT = frozenset(CT_CLASSES) - {"1.2.840.10008.5.1.4.1.1.2"}
"""Enhanced CT and Legacy Converted Enhanced CT."""

LOCALIZER_WORDS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"})
NOT_ATTENUATION_WORDS = frozenset(
    {"PERFUSION", "RCBF", "RCBV", "CBF", "CBV", "MTT", "TMAX", "TTP", "IODINE", "IODINE_MAP", "MATERIAL", "ZEFF"}
    | {"Z_EFF", "RHO", "VECTOR_MAP", "DOSE_INFO", "SCREEN_SAVE", "SCREEN SAVE"}
)
"""Values of Image Type that stand for maps and screens in CT objects."""
LARGEST_VALUE_BYTES = 64 << 10
"""Longer values (lookup tables, private blobs) do not stay in the headers that are kept."""
COARSEST_SLOPE_HU = 16.0
"""More HU a grey level than this cannot tell a phase: the difference looked for is a few tens of HU."""


@dataclass(frozen=True)
class LeftOut:
    """An instance or frame that is not judged, and why, in few words: "localizer or scout image"."""

    sop_instance_uid: str
    reason: str
    header: Dataset | None = None
    """None when it cannot be read."""


class Moment(NamedTuple):
    """What the header says of when a slice was made; None where it does not. Times in seconds since midnight."""

    temporal_position: int | None
    acquisition_number: int | None
    acquired_at: float | None
    made_at: float | None
    instance_number: int | None
    """Frame number for a multi-frame object."""


@dataclass(frozen=True)
class Slice:
    """One CT slice, without its pixels."""

    slice_id: str
    sop_instance_uid: str
    header: Dataset
    """Without pixel data; of a multi-frame object, this frame's attributes at the top level."""
    frame: int | None
    """Frame number from 1; None for a single-frame object."""
    plane: Plane
    spacing_mm: tuple[float, float]
    """(between rows, between columns)."""
    layout: Layout
    rescale: Rescale
    moment: Moment
    caveats: tuple[str, ...] = ()
    """What had to be assumed, as sentences."""


def read_slices(path: Path) -> Iterator[Slice | LeftOut]:
    """The slices of one DICOM file, or what is wrong with it. Raises OSError only."""
    try:
        content = read_content(path)
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(io.BytesIO(content.data), stop_before_pixels=True)
            _lighten(dataset)
            yield from _slices(path, content, dataset)
    except MalformedHeader as error:
        yield LeftOut("", error.reason)
    except BadPixels as error:
        yield LeftOut("", str(error))
    except RecursionError:
        yield LeftOut("", "sequences nested too deeply")
    except OSError:
        raise
    # pydicom on damaged bytes raises whatever it meets: here each means that this file is left out.
    except Exception as error:
        yield LeftOut("", f"header that cannot be read ({type(error).__name__})")


def _lighten(dataset: Dataset) -> None:
    """Private and very long values go: 2,000 headers stay in memory together."""
    for tag in [tag for tag in dataset.keys() if tag.is_private or _long(dataset, tag)]:  # noqa: SIM118
        del dataset[tag]


def _long(dataset: Dataset, tag: object) -> bool:
    found = dataset.get_item(tag)
    return isinstance(found.value, bytes) and len(found.value) > LARGEST_VALUE_BYTES and found.VR != "SQ"


def _slices(path: Path, content: Content, dataset: Dataset) -> Iterator[Slice | LeftOut]:
    uid = read.text(dataset, "SOPInstanceUID")
    try:
        reason = _unfit(dataset) if uid else "no SOP Instance UID"
        if reason:
            raise BadPixels(reason)
        layout = _layout(path, content, dataset)
        check(layout, content)
    except BadPixels as error:
        yield LeftOut(uid, str(error), dataset)
        return
    for number, header in _frames(dataset, layout.frames):
        yield _slice(uid, number, header, layout)


def _unfit(dataset: Dataset) -> str | None:
    """Why an object as a whole is no CT slice; None when it may be one."""
    words = {word.upper() for word in read.texts(dataset, "ImageType")}
    if read.text(dataset, "SOPClassUID") not in CT_CLASSES:
        return f"not a CT image ({_class_name(dataset)})"
    if words & LOCALIZER_WORDS:
        return "localizer or scout image"
    if words & NOT_ATTENUATION_WORDS:
        return "map or screen picture instead of attenuation"
    if read.integer(dataset, "SamplesPerPixel") not in (None, 1):
        return "colour picture"
    if read.text(dataset, "PhotometricInterpretation") not in ("", "MONOCHROME2"):
        return "pixels that are not plain grey values"
    if (read.integer(dataset, "BitsStored") or 16) <= 8:
        return "8 bits a pixel, too coarse for Hounsfield units"
    return None


def _class_name(dataset: Dataset) -> str:
    uid = UID(read.text(dataset, "SOPClassUID"))
    return uid.name.removesuffix(" Storage") if uid.name != uid else "unknown SOP class"


def _layout(path: Path, content: Content, dataset: Dataset) -> Layout:
    allocated = read.integer(dataset, "BitsAllocated") or 16
    return Layout(
        path=path,
        transfer_syntax_uid=content.transfer_syntax_uid,
        rows=read.integer(dataset, "Rows") or 0,
        columns=read.integer(dataset, "Columns") or 0,
        frames=max(1, read.integer(dataset, "NumberOfFrames") or 1),
        bits_allocated=allocated,
        bits_stored=read.integer(dataset, "BitsStored") or allocated,
        signed=read.integer(dataset, "PixelRepresentation") == 1,
        offset=native_offset(content),
    )


def _frames(dataset: Dataset, frames: int) -> Iterator[tuple[int | None, Dataset]]:
    """(frame number, header of that frame): PS3.3 section C.7.6.16, functional groups brought to the top level."""
    if read.text(dataset, "SOPClassUID") not in MULTI_FRAME_CT:
        yield (None, dataset)
        return
    per_frame = read.items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = read.item(dataset, "SharedFunctionalGroupsSequence")
    common = {
        tag: dataset.get_item(tag)
        for tag in dataset.keys()  # noqa: SIM118
        if tag not in (0x52009229, 0x52009230)
    }
    for number, groups in enumerate(per_frame[:frames], start=1):
        header = Dataset()
        header._dict.update(common)
        header.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)
        for group in (shared, groups):
            _flatten(group, header)
        yield (number, header)


def _flatten(group: Dataset, header: Dataset) -> None:
    """The attributes of each functional group's first item, put into the header."""
    for element in group:
        if element.VR == "SQ" and not element.tag.is_private:
            for inner in read.item(group, element.keyword):
                header[inner.tag] = inner


def _slice(uid: str, number: int | None, header: Dataset, layout: Layout) -> Slice | LeftOut:
    frame_words = {word.upper() for word in read.texts(header, "FrameType")} if number else set()
    if frame_words & LOCALIZER_WORDS:
        return LeftOut(uid, "localizer or scout image", header)
    rescale = _rescale(header)
    if isinstance(rescale, str):
        return LeftOut(uid, rescale, header)
    plane, caveats = _plane(header)
    if plane is None:
        return LeftOut(uid, "no position in the patient", header)
    spacing, spacing_caveat = _spacing(header, layout)
    if spacing is None:
        return LeftOut(uid, "no pixel spacing", header)
    return Slice(
        slice_id=uid if number is None else f"{uid}:{number}",
        sop_instance_uid=uid,
        header=header,
        frame=number,
        plane=plane,
        spacing_mm=spacing,
        layout=layout,
        rescale=rescale,
        moment=_moment(header, number),
        caveats=caveats + spacing_caveat,
    )


def _moment(header: Dataset, frame: int | None) -> Moment:
    def first(*keywords: str) -> int | None:
        return next((found for word in keywords if (found := read.integer(header, word)) is not None), None)

    return Moment(
        temporal_position=first("TemporalPositionIdentifier", "TemporalPositionIndex"),
        acquisition_number=first("FrameAcquisitionNumber", "AcquisitionNumber"),
        acquired_at=read.seconds(header, "FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
        made_at=read.seconds(header, "ContentTime"),
        instance_number=frame if frame is not None else first("InstanceNumber"),
    )


def _rescale(header: Dataset) -> Rescale | str:
    """The rescale, or why there is none."""
    slope, intercept = read.number(header, "RescaleSlope"), read.number(header, "RescaleIntercept")
    kind = read.text(header, "RescaleType").upper()
    if kind not in ("", "HU", "HU_MOD", "US"):
        return f"pixel values in {kind[:16]} instead of Hounsfield units"
    if slope is None or intercept is None:
        return "no valid rescale to Hounsfield units"
    if not 1e-3 <= abs(slope) <= COARSEST_SLOPE_HU or abs(intercept) > 1e5 or slope < 0:
        return f"absurd rescale to Hounsfield units (slope {slope:g}, intercept {intercept:g})"
    return Rescale(slope, intercept, _padding(header))


def _padding(header: Dataset) -> tuple[int, int] | None:
    first = read.integer(header, "PixelPaddingValue")
    if first is None:
        return None
    last = read.integer(header, "PixelPaddingRangeLimit")
    last = first if last is None else last
    if read.integer(header, "PixelRepresentation") == 1:
        # Written as unsigned by some devices although the pixels are signed.
        first, last = ((v - 65536 if v >= 32768 else v) for v in (first, last))
    return min(first, last), max(first, last)


def _plane(header: Dataset) -> tuple[Plane | None, tuple[str, ...]]:
    position, directions = read.numbers(header, "ImagePositionPatient"), read.numbers(header, "ImageOrientationPatient")
    caveats: tuple[str, ...] = ()
    if len(position) != 3 or len(directions) != 6:
        location = read.number(header, "SliceLocation")
        if location is None or len(position) == 3 or len(directions) == 6:
            return None, ()
        position, directions = (0.0, 0.0, location), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        caveats = ("The slices carry no orientation; they are ordered by Slice Location.",)
    try:
        x, y = directions[:3], directions[3:]
        return Plane((position[0], position[1], position[2]), (x[0], x[1], x[2]), (y[0], y[1], y[2])), caveats
    except ValueError:
        return None, ()


def _spacing(header: Dataset, layout: Layout) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Pixel Spacing, or what can stand in for it: Imager Pixel Spacing, or the diameter of the reconstruction."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        found = read.numbers(header, keyword)
        if len(found) == 2 and all(0.05 <= value <= 5 for value in found):
            caveat = f"Pixel spacing is taken from {keyword}." if keyword != "PixelSpacing" else ""
            return (found[0], found[1]), (caveat,) if caveat else ()
    diameter = read.number(header, "ReconstructionDiameter")
    if diameter is not None and 30 <= diameter <= 1500:
        side = diameter / layout.columns
        return (side, side), ("Pixel spacing is taken from the reconstruction's diameter.",)
    return None, ()
