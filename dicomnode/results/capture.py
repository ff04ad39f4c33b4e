"""Secondary Capture: the pictures of the result, in the one form that every viewer shows in colour.

Uncompressed RGB in Explicit VR Little Endian: JPEG and YBR colours are the classic trouble of viewers. Modality OT, not
CT, so that a router which looks at the modality alone does not send the pictures to be judged. A key slice has the
frame of reference, position, orientation and pixel spacing of its source, so that viewers scroll it with the CT; the
legend lies in a band below the picture and leaves the geometry as it is.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicomnode.results import codes
from dicomnode.results.envelope import code_item, encode, envelope, reference
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting, Source, date_of, series_uid, time_of
from dicomnode.results.wording import Words, method_name
from inference.findings import Findings
from inference.rendering.caption import Caption
from inference.rendering.key_slice import SlicePicture
from inference.volume import Volume

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MULTI_FRAME_TRUE_COLOR = "1.2.840.10008.5.1.4.1.1.7.4"

Picture = NDArray[np.uint8]
Shown = tuple[int, str]
"""Slice index and method."""
Drawn = tuple[Source, str, SlicePicture]
"""Source slice, method and picture."""


class Pictures(Protocol):
    """What draws: `inference.rendering`, or a stand-in."""

    def summary(self, findings: Findings, volume: Volume, caption: Caption, size: int = 1024) -> Picture: ...

    def key_slice(
        self, findings: Findings, volume: Volume, slice_index: int, method: str, caption: Caption
    ) -> SlicePicture: ...

    def organ_page(self, findings: Findings, volume: Volume, caption: Caption) -> Picture: ...


ORGAN_PAGE = 99_999
"""Index of the organs' page: the last instance, whatever the number of pictures before it."""


def compose(findings: Findings, volume: Volume, setting: Setting, pictures: Pictures) -> Iterator[ResultObject]:
    """The summary page, the key slices with each of their maps, most telling slice first, then the organs' page."""
    caption = caption_of(setting)
    yield encode(_page(pictures.summary(findings, volume, caption), setting), "capture")
    yield from _key_slices(findings, volume, setting, pictures, caption)
    if findings.organs and findings.organ_masks is not None:
        yield encode(_page(pictures.organ_page(findings, volume, caption), setting, ORGAN_PAGE), "capture")


def _key_slices(
    findings: Findings, volume: Volume, setting: Setting, pictures: Pictures, caption: Caption
) -> Iterator[ResultObject]:
    shown = shown_maps(findings, setting)

    def draw(index: int, method: str) -> Drawn:
        return setting.sources[index], method, pictures.key_slice(findings, volume, index, method, caption)

    if setting.options.capture == "multi-frame":
        for number, together in enumerate(_stacks(shown, setting), start=1):
            yield encode(_stack([draw(*one) for one in together], setting, number), "capture")
        return
    for number, one in enumerate(shown, start=1):
        yield encode(_slice(draw(*one), setting, number), "capture")


def _stacks(shown: Sequence[Shown], setting: Setting) -> list[list[Shown]]:
    """What goes into one multi-frame instance: all key slices, or the whole stack of one method."""
    if not setting.options.whole_stack:
        return [list(shown)] if shown else []
    return [[one for one in shown if one[1] == method] for method in dict.fromkeys(method for _, method in shown)]


def caption_of(setting: Setting) -> Caption:
    """What pictures say of series and moment."""
    number = setting.study.get("SeriesNumber")
    description = " ".join(
        part for part in (str(setting.study.get("SeriesDescription") or ""), setting.part_label) if part
    )
    return Caption(
        "" if number is None else str(number), description, setting.context.made_at, setting.options.language
    )


def shown_maps(findings: Findings, setting: Setting) -> list[Shown]:
    """What each picture shows: key slices, or every slice with a map in the order of the volume."""
    present = dict.fromkeys((m.slice_index, m.method) for m in findings.maps)
    methods = list(dict.fromkeys(m.method for m in findings.maps))
    if setting.options.whole_stack:
        slices: Sequence[int] = sorted({index for index, _ in present})
    else:
        slices = findings.key_slices[: setting.options.key_slices]
    return [(index, method) for method in methods for index in slices if (index, method) in present]


def _page(picture: Picture, setting: Setting, index: int = 0) -> Dataset:
    dataset = rgb_image(setting, SECONDARY_CAPTURE, index, picture[None])
    words = Words(setting.options.language)
    dataset.DerivationDescription = words.organ_page if index == ORGAN_PAGE else words.summary_page
    dataset.PatientOrientation = ""
    refer_to(dataset, list(setting.sources[:1]))
    return dataset


def _slice(drawn: Drawn, setting: Setting, number: int) -> Dataset:
    source, method, picture = drawn
    dataset = rgb_image(setting, SECONDARY_CAPTURE, number, picture.pixels[None])
    words = Words(setting.options.language)
    dataset.DerivationDescription = words.map_of(method, _where(source, setting))
    _stand_apart(dataset, method, setting)
    dataset.PatientOrientation = ""
    refer_to(dataset, [source])
    spacing = scaled_spacing(source, picture.scale)
    if spacing is not None:
        dataset.PixelSpacing = spacing
    position = scaled_position(source, picture.scale)
    if position is not None and _frame_of_reference(source):
        _write_frame_of_reference(dataset, source)
        dataset.ImagePositionPatient = position
        dataset.ImageOrientationPatient = source.header.ImageOrientationPatient
    return dataset


def _stack(drawn: Sequence[Drawn], setting: Setting, number: int) -> Dataset:
    """All key slices as one Multi-frame True Color Secondary Capture, PS3.3 A.8.5."""
    pixels = np.stack([picture.pixels for _, _, picture in drawn])
    dataset = rgb_image(setting, MULTI_FRAME_TRUE_COLOR, number, pixels)
    words = Words(setting.options.language)
    dataset.DerivationDescription = words.maps_of(list(dict.fromkeys(method for _, method, _ in drawn)))
    dataset.PatientOrientation = ""
    shown = {source.header.SOPInstanceUID + str(source.frame): source for source, _, _ in drawn}
    refer_to(dataset, list(shown.values()))
    _stand_apart(dataset, drawn[0][1], setting)
    dataset.NumberOfFrames = len(drawn)
    dataset.BurnedInAnnotation = "YES"
    groups = [_functional_groups(source, picture.scale) for source, _, picture in drawn]
    if all(groups) and _frame_of_reference(drawn[0][0]):
        dataset.FrameIncrementPointer = 0x52009230
        dataset.PerFrameFunctionalGroupsSequence = groups
        dataset.SharedFunctionalGroupsSequence = [Dataset()]
        _write_frame_of_reference(dataset, drawn[0][0])
    else:
        dataset.FrameIncrementPointer = 0x00182001
        dataset.PageNumberVector = list(range(1, len(drawn) + 1))
    return dataset


def _stand_apart(dataset: Dataset, method: str, setting: Setting) -> None:
    """A whole stack is a series of its own for each method, evenly spaced, so that viewers pair it with the CT.

    OHIF synchronises only series that could be a volume: not one that holds a page without a position as well.
    """
    if setting.options.whole_stack:
        dataset.SeriesInstanceUID = series_uid(setting, f"capture {method}")
        dataset.SeriesDescription = f"{setting.answer} {setting.series_name} {method_name(method)}"[:64].rstrip()


def _functional_groups(source: Source, scale: int) -> Dataset | None:
    """Pixel Measures, Plane Position and Plane Orientation of one frame; None where the source has no geometry."""
    spacing, position = scaled_spacing(source, scale), scaled_position(source, scale)
    if spacing is None or position is None:
        return None
    measures, plane, orientation, item = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = spacing
    measures.SliceThickness = source.header.get("SliceThickness") or "1"
    plane.ImagePositionPatient = position
    orientation.ImageOrientationPatient = source.header.ImageOrientationPatient
    item.PixelMeasuresSequence = [measures]
    item.PlanePositionSequence = [plane]
    item.PlaneOrientationSequence = [orientation]
    return item


def rgb_image(
    setting: Setting, sop_class_uid: str, index: int, pixels: NDArray[np.uint8], kind: str = "capture"
) -> Dataset:
    """An RGB Secondary Capture of pixels[frame, row, column, 3] with all but its geometry."""
    dataset = envelope(setting, kind, sop_class_uid, "OT", index)
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ConversionType = "WSD"
    dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = date_of(setting), time_of(setting)
    dataset.SecondaryCaptureDeviceManufacturer = dataset.Manufacturer
    dataset.SecondaryCaptureDeviceManufacturerModelName = dataset.ManufacturerModelName
    dataset.SecondaryCaptureDeviceSoftwareVersions = dataset.SoftwareVersions
    dataset.BurnedInAnnotation = "YES"
    _inherit_loss(dataset, setting)
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = int(pixels.shape[1]), int(pixels.shape[2])
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    data = np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()
    dataset.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
    return dataset


def _inherit_loss(dataset: Dataset, setting: Setting) -> None:
    """Once lossy, always lossy: PS3.3 C.7.6.1.1.5."""
    if setting.study.get("LossyImageCompression") == "01":
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in setting.study:
                dataset.add(setting.study[keyword])


def refer_to(dataset: Dataset, sources: Sequence[Source]) -> None:
    """Source Image Sequence with its purpose, CID 7202."""
    items = []
    for source in sources:
        item = reference(source.sop_class_uid, source.sop_instance_uid, source.frame)
        item.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_IMAGE)]
        items.append(item)
    dataset.SourceImageSequence = items


def _where(source: Source, setting: Setting) -> str:
    number = source.frame if source.frame is not None else source.header.get("InstanceNumber")
    return f"{setting.series_name} #{number}" if number is not None else setting.series_name


def _frame_of_reference(source: Source) -> str:
    return str(source.header.get("FrameOfReferenceUID") or "")


def _write_frame_of_reference(dataset: Dataset, source: Source) -> None:
    dataset.FrameOfReferenceUID = source.header.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = source.header.get("PositionReferenceIndicator") or ""


def scaled_spacing(source: Source, scale: int) -> list[float] | None:
    """Pixel Spacing in mm of a picture with scale x scale pixels for each of the source's."""
    spacing = source.header.get("PixelSpacing")
    return [_short(float(value) / scale) for value in spacing] if spacing else None


def scaled_position(source: Source, scale: int) -> list[float] | None:
    """Image Position of that picture: the centre of its first pixel is not the centre of the source's first pixel."""
    position, orientation = source.header.get("ImagePositionPatient"), source.header.get("ImageOrientationPatient")
    spacing = source.header.get("PixelSpacing")
    if not (position and orientation and spacing):
        return None
    along_row, along_column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    shift = (1 / scale - 1) / 2 * (along_row * float(spacing[1]) + along_column * float(spacing[0]))
    return [_short(value) for value in np.array(position, float) + shift]


def _short(value: float) -> float:
    """A number whose decimal string fits into DS, 16 characters."""
    return float(f"{value:.9g}")
