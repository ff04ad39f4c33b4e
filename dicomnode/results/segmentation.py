"""Segmentation: the outlines of the measured organs, each on the slice that shows most of it (PS3.3 A.51).

The findings keep one outline an organ; a segment is therefore one cross-section, not a volume, and says so in its
description. Nothing is made where no outline was kept, or the source has no frame of reference.
"""

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from dicomnode.results import codes, regions, uids
from dicomnode.results.envelope import Setting, algorithm_name, code_item, encode
from dicomnode.results.multiframe import Frame, derive, has_geometry, multiframe
from dicomnode.results.options import MANUFACTURER, ResultObject
from inference.findings import Findings, OrganMeasurement

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"

# CIELab as DICOM stores it (PS3.3 C.10.7.1.1): lightness and two colour axes, 16 bits each.
_COLOURS = ([41000, 46000, 45000], [47000, 25000, 41000], [36000, 37000, 18000], [52000, 31000, 50000])


def compose(findings: Findings, setting: Setting) -> list[ResultObject]:
    """One binary Segmentation with a segment an organ; none where there is nothing to draw."""
    organs = [
        organ
        for organ in findings.organs
        if len(organ.outline) > 2 and codes.organ(organ.organ) and has_geometry(setting.sources[organ.slice_index])
    ]
    return [encode(_segmentation(organs, setting), "segmentation")] if organs else []


def _segmentation(organs: Sequence[OrganMeasurement], setting: Setting) -> Dataset:
    slices = sorted({organ.slice_index for organ in organs})
    frames = [
        Frame(setting.sources[organ.slice_index], slices.index(organ.slice_index) + 1, number)
        for number, organ in enumerate(organs, start=1)
    ]
    dataset = multiframe(setting, "segmentation", SEGMENTATION, "SEG", 0, frames)
    derive(dataset, frames, codes.SEGMENTATION)
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ContentLabel = "ORGANS"
    dataset.ContentDescription = "One cross-section of each measured organ"
    dataset.ContentCreatorName = f"{MANUFACTURER}^"
    dataset.LossyImageCompression = "00"
    dataset.SegmentationType = "BINARY"
    dataset.SegmentSequence = [_segment(number, organ, setting) for number, organ in enumerate(organs, start=1)]
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    shape = (int(dataset.Rows), int(dataset.Columns))
    masks = np.stack([regions.mask(regions.closed(organ.outline), shape) for organ in organs])
    data = np.packbits(masks.ravel(), bitorder="little").tobytes()
    dataset.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
    return dataset


def _segment(number: int, organ: OrganMeasurement, setting: Setting) -> Dataset:
    concept = codes.organ(organ.organ)
    if concept is None:
        raise ValueError(f"no code for {organ.organ}")
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, organ.organ[:64]
    item.SegmentAlgorithmType, item.SegmentAlgorithmName = "AUTOMATIC", algorithm_name(setting)
    item.SegmentedPropertyCategoryCodeSequence = [code_item(codes.ANATOMICAL_STRUCTURE)]
    item.SegmentedPropertyTypeCodeSequence = [code_item(concept)]
    item.RecommendedDisplayCIELabValue = list(_COLOURS[(number - 1) % len(_COLOURS)])
    item.TrackingID = organ.organ[:64]
    item.TrackingUID = uids.derive("tracking", f"organ {organ.organ}", setting.key)
    return item
