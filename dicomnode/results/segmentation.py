"""Segmentation: the measured organs, each a segment (PS3.3 A.51), or one label map of them (PS3.3 A.51.8).

A segment is its organ's mask on every slice that was segmented; of long series that is every n-th, and the description
says how many. Findings without masks give one cross-section an organ, its outline. Nothing is made where there is
nothing to draw, or the source has no frame of reference. Binary is what viewers read; label maps are smaller and newer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicomnode.identity import MANUFACTURER
from dicomnode.results import codes, regions, uids
from dicomnode.results.codes import Concept
from dicomnode.results.envelope import code_item, encode
from dicomnode.results.multiframe import Frame, derive, has_geometry, multiframe
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting, algorithm_name
from inference.findings import Findings, OrganMeasurement
from inference.models import ModelCard
from inference.organ_words import COLOURS
from inference.phantom.organs import ENGLISH

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Plane:
    """One organ on one slice."""

    segment: int
    slice_index: int
    mask: Mask


def compose(findings: Findings, setting: Setting) -> list[ResultObject]:
    """One Segmentation with a segment an organ, in the order of `segmented`; none where there is nothing to draw."""
    organs = segmented(findings, setting)
    if not organs:
        return []
    planes = _planes(findings, organs, setting)
    if not all(has_geometry(setting.sources[plane.slice_index]) for plane in planes):
        return []
    make = _label_map if setting.options.segmentation_kind == "label map" else _binary
    dataset = make(planes, setting)
    _describe(dataset, planes, findings)
    numbered = [_segment(number, organ.organ, findings, setting) for number, organ in enumerate(organs, start=1)]
    dataset.SegmentSequence = [*dataset.SegmentSequence, *numbered]
    return [encode(dataset, "segmentation")]


def segmented(findings: Findings, setting: Setting) -> tuple[OrganMeasurement, ...]:
    """The organs that are segments, number 1 first: those that have a code and something to draw."""
    drawn = {ENGLISH[organ] for organ in findings.organ_masks.organs} if findings.organ_masks is not None else None
    return tuple(
        organ
        for organ in findings.organs
        if codes.organ(organ.organ) and (organ.organ in drawn if drawn is not None else len(organ.outline) > 2)
    )


def _planes(findings: Findings, organs: Sequence[OrganMeasurement], setting: Setting) -> list[_Plane]:
    """Segment by segment, from the feet to the head."""
    masks = findings.organ_masks
    if masks is None:
        shape = (int(setting.study.Rows), int(setting.study.Columns))
        return [
            _Plane(number, organ.slice_index, regions.mask(regions.closed(organ.outline), shape))
            for number, organ in enumerate(organs, start=1)
        ]
    names = [ENGLISH[organ] for organ in masks.organs]
    found = (
        _Plane(number, index, labels == names.index(organ.organ) + 1)
        for number, organ in enumerate(organs, start=1)
        for index, labels in zip(masks.slice_indices, masks.labels, strict=True)
    )
    return [plane for plane in found if plane.mask.any()]


def _binary(planes: Sequence[_Plane], setting: Setting) -> Dataset:
    """One frame for each organ on each slice, a bit a pixel."""
    slices = sorted({plane.slice_index for plane in planes})
    frames = [
        Frame(setting.sources[plane.slice_index], slices.index(plane.slice_index) + 1, plane.segment)
        for plane in planes
    ]
    dataset = _dataset(SEGMENTATION, "BINARY", frames, setting)
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    bits = np.concatenate([plane.mask.ravel() for plane in planes])
    _write_pixels(dataset, np.packbits(bits, bitorder="little").tobytes())
    return dataset


def _label_map(planes: Sequence[_Plane], setting: Setting) -> Dataset:
    """One frame for each slice, a byte a pixel: the number of its segment, 0 for none."""
    slices = sorted({plane.slice_index for plane in planes})
    labels = np.zeros((len(slices), *planes[0].mask.shape), np.uint8)
    for plane in planes:
        labels[slices.index(plane.slice_index)][plane.mask] = plane.segment
    frames = [Frame(setting.sources[index], number) for number, index in enumerate(slices, start=1)]
    dataset = _dataset(LABEL_MAP, "LABELMAP", frames, setting)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PixelPaddingValue = 7, 0, 0
    dataset.SegmentSequence = [_item(0, "Background", (codes.BACKGROUND, codes.BACKGROUND), (0, 0, 0), setting)]
    _write_pixels(dataset, labels.tobytes())
    return dataset


def _dataset(sop_class_uid: str, kind: str, frames: Sequence[Frame], setting: Setting) -> Dataset:
    dataset = multiframe(setting, "segmentation", sop_class_uid, "SEG", 0, frames)
    derive(dataset, frames, codes.SEGMENTATION)
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.LossyImageCompression = "00"
    dataset.SegmentationType, dataset.SegmentsOverlap = kind, "NO"
    dataset.SegmentSequence = []
    return dataset


def _write_pixels(dataset: Dataset, data: bytes) -> None:
    dataset.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))


def _describe(dataset: Dataset, planes: Sequence[_Plane], findings: Findings) -> None:
    dataset.ContentLabel = "ORGANS"
    dataset.ContentDescription = "One cross-section of each measured organ"
    if findings.organ_masks is not None:
        dataset.ContentDescription = f"Organs on {len(findings.organ_masks.slice_indices)} of the slices"
    dataset.ContentCreatorName = f"{MANUFACTURER}^"


def _segment(number: int, organ: str, findings: Findings, setting: Setting) -> Dataset:
    concept = codes.organ(organ)
    if concept is None:
        raise ValueError(f"no code for {organ}")
    kinds, colour = (codes.ANATOMICAL_STRUCTURE, concept), COLOURS.get(organ, (200, 200, 200))
    item = _item(number, organ, kinds, colour, setting, findings.organ_model)
    item.TrackingID = organ[:64]
    item.TrackingUID = uids.derive("tracking", f"organ {organ}", setting.key)
    if findings.organ_model is not None:
        item.SegmentationAlgorithmIdentificationSequence = [_algorithm(findings.organ_model)]
    return item


def _algorithm(model: ModelCard) -> Dataset:
    """The model that found the organ, PS3.3 section 10.16; the same values as in TID 4019 of the report."""
    item = Dataset()
    item.AlgorithmFamilyCodeSequence = [code_item(codes.ARTIFICIAL_INTELLIGENCE)]
    item.AlgorithmName, item.AlgorithmVersion = model.name, model.version
    item.AlgorithmParameters = f"weights sha256 {model.weights_sha256}"
    return item


def _item(
    number: int,
    label: str,
    kinds: tuple[Concept, Concept],
    colour: tuple[int, int, int],
    setting: Setting,
    model: ModelCard | None = None,
) -> Dataset:
    """One item of the Segment Sequence; `kinds` are its property category (CID 7150) and type."""
    from highdicom.color import CIELabColor

    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, label[:64]
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = model.name if model is not None else algorithm_name(setting)
    item.SegmentedPropertyCategoryCodeSequence = [code_item(kinds[0])]
    item.SegmentedPropertyTypeCodeSequence = [code_item(kinds[1])]
    item.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*colour).value)
    return item
