"""Synthetic series and findings in a line: a body of water with a bright vessel, and maps that point at it."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomnode.results import ResultContext, ResultObject, ResultOptions, compose
from inference.evidence import measure
from inference.findings import (
    Findings,
    HeaderOpinion,
    MapScore,
    OrganMeasurement,
    OrganVote,
    Seconds,
    SliceEvidence,
    SliceMap,
)
from inference.models import ModelCard
from inference.phantom.organs import Organ
from inference.phases import Phase
from inference.rendering import Caption, SlicePicture
from inference.rendering.colour import Picture
from inference.segment import OrganMasks
from inference.volume import Volume

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
STUDY = "2.25.1001"
SERIES = "2.25.1002"
FRAME_OF_REFERENCE = "2.25.1003"


def header(index: int, size: int = 128, **values: Any) -> Dataset:
    """The header of slice `index` of a synthetic CT series; keywords overwrite attributes, None removes one."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = f"2.25.2{index:04d}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.StudyDate, dataset.StudyTime = "20260102", "101500"
    dataset.AccessionNumber, dataset.StudyID = "ACC1", "7"
    dataset.ReferringPhysicianName = "Ref^Phys"
    dataset.PatientName, dataset.PatientID = "Phantom^Synthetic", "PH-1"
    dataset.PatientBirthDate, dataset.PatientSex = "19600102", "F"
    dataset.StudyDescription, dataset.SeriesDescription = "CT abdomen", "Abdomen 5.0 PORTAL"
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "CT", "ACME", "Scanner 1"
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.SeriesNumber, dataset.InstanceNumber = 4, index + 1
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    dataset.ImagePositionPatient = [-150.0, -120.0, 5.0 * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.8], "5"
    dataset.Rows, dataset.Columns = size, size
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    for keyword, value in values.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    return dataset


def headers(count: int = 12, size: int = 128, **values: Any) -> list[Dataset]:
    """`count` headers of one series."""
    return [header(index, size, **values) for index in range(count)]


def volume(count: int = 12, size: int = 128) -> Volume:
    """An elliptic body of 40 HU with an aorta of 180 HU in air."""
    rows, columns = np.mgrid[0:size, 0:size] / size - 0.5
    body = (rows / 0.33) ** 2 + (columns / 0.45) ** 2 < 1
    vessel = (rows - 0.1) ** 2 + columns**2 < 0.05**2
    one = np.where(vessel, 180.0, np.where(body, 40.0, -1000.0)).astype(np.float32)
    return Volume.from_array(np.repeat(one[None], count, axis=0), (5.0, 0.8, 0.8))


def card(**values: Any) -> ModelCard:
    """A model card; keywords overwrite fields."""
    base = ModelCard(
        "phase-test", "0.1", "phase", "resnet", "ab" * 32, "Contrast phase of CT", "not for diagnostic use", "synthetic"
    )
    return replace(base, **values)


def findings(source: Volume, phase: Phase | None = Phase.PORTAL_VENOUS, **values: Any) -> Findings:
    """Findings over a volume: the phase with 93 %, three key slices, SAM and Grad-CAM, two organs."""
    named = phase or Phase.PORTAL_VENOUS
    top = 0.93 if phase is not None else 0.41
    shares = {p: top if p is named else (1 - top) / 3 for p in Phase}
    middle = len(source) // 2
    keys = tuple(dict.fromkeys((middle, max(middle - 2, 0), min(middle + 2, len(source) - 1))))
    base = Findings(
        phase=phase,
        confidence=top,
        probabilities=shares,
        seconds=Seconds(72.4, 58.0, 91.3),
        reason=None if phase is not None else "arterial and portal venous are equally probable",
        key_slices=keys,
        slices=tuple(SliceEvidence(i, shares, 0.5 + 0.5 * (i in keys)) for i in range(len(source))),
        maps=tuple(_map(source, i, method) for method in ("sam", "grad-cam") for i in keys),
        map_scores={"sam": MapScore(0.21, 0.84, 0.05, 0.62, False), "grad-cam": MapScore(0.4, 0.7, None, None, True)},
        model=card(),
        header=HeaderOpinion(True, Phase.ARTERIAL, ("series description", "contrast agent")),
        disagreement="header: arterial; image: portal venous",
        organs=(
            OrganMeasurement("aorta", 171.0, 172.5, 11.25, 80.0, middle, ((60.0, 70.0), (70.0, 70.0), (65.0, 80.0))),
            OrganMeasurement("liver", 104.0, 103.0, 14.0, 1500.0, middle),
        ),
    )
    return replace(base, **values)


def organ_findings(source: Volume, **values: Any) -> Findings:
    """The same findings where organs were segmented on every second slice: an aorta, a liver on the right, a vote."""
    rows, columns = np.mgrid[0 : source.shape[0], 0 : source.shape[1]] / source.shape[0] - 0.5
    one = np.zeros(source.shape, np.uint8)
    one[(rows / 0.2) ** 2 + ((columns + 0.2) / 0.15) ** 2 < 1] = 2
    one[(rows - 0.1) ** 2 + columns**2 < 0.05**2] = 1
    indices = tuple(range(0, len(source), 2))
    masks = OrganMasks((Organ.AORTA, Organ.LIVER), np.repeat(one[None], len(indices), axis=0), indices)
    probabilities = dict(zip(Phase, (0.01, 0.02, 0.93, 0.04), strict=True))
    base = findings(
        source,
        organs=measure(source, masks),
        organ_vote=OrganVote(probabilities, ("aorta", "liver")),
        organ_masks=masks,
        organ_map=_map(source, 2, "grad-cam", "aorta"),
        organ_model=card(name="organs-test", task="segmentation", weights_sha256="cd" * 32),
    )
    return replace(base, **values)


def context(**values: Any) -> ResultContext:
    """The circumstances of a test; keywords overwrite fields."""
    return replace(ResultContext(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "0.1.0"), **values)


def _map(source: Volume, index: int, method: str, target: str = Phase.PORTAL_VENOUS.value) -> SliceMap:
    rows, columns = source.shape
    r, c = np.mgrid[0:rows, 0:columns]
    heat = np.exp(-(((r - 0.6 * rows) ** 2 + (c - 0.5 * columns) ** 2) / (0.02 * rows * columns)))
    return SliceMap(index, method, "block2", target, heat.astype(np.float32), 1.0)


class Sketches:
    """`Pictures` that are drawn in no time: a red square over a grey slice, and a band below it."""

    def summary(self, findings: Findings, volume: Volume, caption: Caption, size: int = 64) -> Picture:
        return np.full((size, size, 3), (10, 20, 30), np.uint8)

    def key_slice(
        self, findings: Findings, volume: Volume, slice_index: int, method: str, caption: Caption
    ) -> SlicePicture:
        rows, columns = volume.shape
        pixels = np.full((2 * rows + 32, 2 * columns, 3), 90, np.uint8)
        pixels[rows : rows + 20, columns : columns + 20] = (250, 30, 20)
        return SlicePicture(pixels, 2, 2 * rows, 2 * columns)

    def organ_page(self, findings: Findings, volume: Volume, caption: Caption) -> Picture:
        return np.full((48, 48, 3), (20, 10, 30), np.uint8)


def results(found: Findings, source: Volume, **values: Any) -> list[ResultObject]:
    """`compose` with sketches for pictures; keywords: headers, options, context."""
    return compose(
        found,
        values.get("headers") or headers(len(source), source.shape[0]),
        source,
        values.get("options") or ResultOptions(),
        values.get("context") or context(),
        Sketches(),
    )


def decode(made: ResultObject) -> Dataset:
    """The dataset of an object."""
    return dcmread(BytesIO(made.encoded))
