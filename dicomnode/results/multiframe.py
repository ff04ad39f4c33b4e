"""Functional groups: where each frame of a multi-frame object lies and what it was made from (PS3.3 C.7.6.16)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicomnode.results import codes, uids
from dicomnode.results.codes import Concept
from dicomnode.results.envelope import code_item, envelope, reference
from dicomnode.results.setting import Setting, Source, device_uid

_PLANE_POSITION_SEQUENCE = 0x00209113
_IMAGE_POSITION = 0x00200032
_SEGMENT_IDENTIFICATION_SEQUENCE = 0x0062000A
_REFERENCED_SEGMENT_NUMBER = 0x0062000B


@dataclass(frozen=True)
class Frame:
    """One frame on the pixel grid of its source slice."""

    source: Source
    position: int
    """1-based rank of its slice among the slices of the object."""
    segment: int | None = None
    """1-based segment number; None where the object has no segments."""


def has_geometry(source: Source) -> bool:
    """Whether a slice tells where it lies; objects of functional groups cannot do without."""
    needed = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    return all(source.header.get(keyword) for keyword in needed)


def multiframe(
    setting: Setting, kind: str, sop_class_uid: str, modality: str, index: int, frames: Sequence[Frame]
) -> Dataset:
    """A dataset with dimensions and functional groups; shared: the grid, per frame: position and source.

    Every frame's source must have geometry, see `has_geometry`.
    """
    first = frames[0].source.header
    dataset = envelope(setting, kind, sop_class_uid, modality, index)
    dataset.DeviceSerialNumber = setting.context.device_serial or device_uid(setting)
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = first.get("PositionReferenceIndicator") or ""
    dataset.NumberOfFrames = len(frames)
    dataset.Rows, dataset.Columns = first.Rows, first.Columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    _write_dimensions(dataset, setting, kind, index, segmented=frames[0].segment is not None)
    dataset.SharedFunctionalGroupsSequence = [_shared(frames[0].source)]
    dataset.PerFrameFunctionalGroupsSequence = [_per_frame(frame, dataset) for frame in frames]
    return dataset


def derive(dataset: Dataset, frames: Sequence[Frame], method: Concept) -> None:
    """Derivation Image of every frame, made from its source by `method` (CID 7203), and the sources at the root."""
    for group, frame in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
        origin = reference(frame.source.sop_class_uid, frame.source.sop_instance_uid, frame.source.frame)
        origin.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_IMAGE)]
        origin.SpatialLocationsPreserved = "YES"
        derivation = Dataset()
        derivation.SourceImageSequence = [origin]
        derivation.DerivationCodeSequence = [code_item(method)]
        group.DerivationImageSequence = [derivation]
    dataset.ReferencedSeriesSequence = [_series(frames)]


def _series(frames: Sequence[Frame]) -> Dataset:
    """Common Instance Reference: each source once, PS3.3 C.12.2."""
    sources = {frame.source.sop_instance_uid: frame.source for frame in frames}
    item = Dataset()
    item.SeriesInstanceUID = frames[0].source.header.SeriesInstanceUID
    item.ReferencedInstanceSequence = [reference(s.sop_class_uid, s.sop_instance_uid) for s in sources.values()]
    return item


def _write_dimensions(dataset: Dataset, setting: Setting, kind: str, index: int, segmented: bool) -> None:
    organisation = Dataset()
    organisation.DimensionOrganizationUID = uids.derive("dimension", kind, str(index), setting.key)
    dataset.DimensionOrganizationSequence = [organisation]
    pointers = [(_REFERENCED_SEGMENT_NUMBER, _SEGMENT_IDENTIFICATION_SEQUENCE)] if segmented else []
    pointers.append((_IMAGE_POSITION, _PLANE_POSITION_SEQUENCE))
    dataset.DimensionIndexSequence = []
    for pointer, group in pointers:
        item = Dataset()
        item.DimensionIndexPointer, item.FunctionalGroupPointer = pointer, group
        item.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        item.DimensionDescriptionLabel = "Segment" if pointer == _REFERENCED_SEGMENT_NUMBER else "Position"
        dataset.DimensionIndexSequence.append(item)


def _shared(source: Source) -> Dataset:
    measures, orientation, item = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = source.header.PixelSpacing
    measures.SliceThickness = source.header.get("SliceThickness") or "1"
    orientation.ImageOrientationPatient = source.header.ImageOrientationPatient
    item.PixelMeasuresSequence = [measures]
    item.PlaneOrientationSequence = [orientation]
    return item


def _per_frame(frame: Frame, dataset: Dataset) -> Dataset:
    content, plane, item = Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [frame.position] if frame.segment is None else [frame.segment, frame.position]
    plane.ImagePositionPatient = frame.source.header.ImagePositionPatient
    item.FrameContentSequence = [content]
    item.PlanePositionSequence = [plane]
    if frame.segment is not None:
        segment = Dataset()
        segment.ReferencedSegmentNumber = frame.segment
        item.SegmentIdentificationSequence = [segment]
    return item
