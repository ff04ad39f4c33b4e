"""The study that viewers are shown: a synthetic patient, and every kind of object made over it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO

import numpy as np
from archive import Archive
from pydicom.dataset import Dataset

from dicomnode.results import ResultContext, ResultObject, ResultOptions, compose, compose_declined
from dicomnode.results.synthetic import SyntheticSeries, ct_images
from inference.evidence import measure
from inference.findings import Findings, MapScore, OrganMeasurement, Seconds, SliceEvidence, SliceMap
from inference.models import ModelCard
from inference.phantom.generate import random_study
from inference.phantom.organs import Organ
from inference.phases import Phase
from inference.segment import OrganMasks
from inference.volume import Volume


@dataclass(frozen=True)
class Viewed:
    """The study as the archive holds it."""

    archive: Archive
    study_uid: str
    objects: tuple[ResultObject, ...]
    instances: tuple[str, ...]
    """Orthanc's identifiers of `objects`, in their order."""

    def of_kind(self, kind: str) -> list[str]:
        """Orthanc's identifiers of the objects of one kind."""
        return [i for o, i in zip(self.objects, self.instances, strict=True) if o.kind == kind]


MADE_AT = datetime(2026, 3, 4, 10, 15, tzinfo=UTC)
SLICES, SIZE = 16, 256
DECLINED = "The series has 3 slices; at least 8 are needed."
ALL = ResultOptions(
    parametric_map=True, segmentation=True, key_object_selection=True, presentation_state=True, pdf=True
)


@cache
def volume() -> Volume:
    """A synthetic abdomen, 70 s after the injection."""
    return random_study(7, [70.0], slices=SLICES, size=SIZE)[0].volume


def sources(one: Volume, study: str) -> list[Dataset]:
    """Its CT images, series 4 of a study."""
    return list(ct_images(one, SyntheticSeries(study, 4, "Abdomen 5.0 PORTAL", MADE_AT)))


def encoded(image: Dataset) -> bytes:
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def results(one: Volume, images: list[Dataset]) -> list[ResultObject]:
    """Every kind of object over it."""
    return compose(findings(one), [_header(i) for i in images], one, ALL, ResultContext(MADE_AT, "0.1.0"))


def segmented(one: Volume, images: list[Dataset]) -> list[ResultObject]:
    """A report whose organs are segments, and the Segmentation."""
    labels = np.zeros((len(one), SIZE, SIZE), np.uint8)
    labels[:, 110:150, 70:110] = 1
    masks = OrganMasks((Organ.LIVER,), labels, tuple(range(len(one))))
    found = findings(one)
    model = replace(found.model, name="organs-demo", task="segmentation")
    found = replace(found, organs=measure(one, masks), organ_masks=masks, organ_model=model)
    options = ResultOptions(segmentation=True)
    return compose(found, [_header(i) for i in images], one, options, ResultContext(MADE_AT, "0.1.0"))


def whole_stack(one: Volume, images: list[Dataset]) -> list[ResultObject]:
    """Pictures of every slice, with one map."""
    every = tuple(_map(one, index, "sam") for index in range(len(one)))
    found = replace(findings(one), maps=every)
    options = ResultOptions(whole_stack=True)
    return compose(found, [_header(i) for i in images], one, options, ResultContext(MADE_AT, "0.1.0"))


def multi_frame(one: Volume, images: list[Dataset]) -> list[ResultObject]:
    """The key slices as one Multi-frame True Color Secondary Capture."""
    options = ResultOptions(capture="multi-frame")
    return compose(findings(one), [_header(i) for i in images], one, options, ResultContext(MADE_AT, "0.1.0"))


def declined(images: list[Dataset]) -> list[ResultObject]:
    """The report that says why nothing was said."""
    options = ResultOptions(declined_report=True)
    return compose_declined(DECLINED, [_header(images[0])], options, ResultContext(MADE_AT, "0.1.0"))


def _header(image: Dataset) -> Dataset:
    header = Dataset()
    header.update({tag: image[tag] for tag in image.keys() if tag != 0x7FE00010})  # noqa: SIM118
    return header


def findings(one: Volume) -> Findings:
    """Portal venous with 93 %; maps that are hot in bright soft tissue of the key slices."""
    shares = {
        Phase.PORTAL_VENOUS: 0.93,
        Phase.DELAYED: 0.05,
        Phase.ARTERIAL: 0.015,
        Phase.UNENHANCED: 0.005,
    }
    keys = (SLICES // 2, SLICES // 2 - 2, SLICES // 2 + 2)
    maps = tuple(_map(one, index, method) for method in ("sam", "grad-cam") for index in keys)
    return Findings(
        phase=Phase.PORTAL_VENOUS,
        confidence=0.93,
        probabilities=shares,
        seconds=Seconds(71.0, 60.0, 84.0),
        reason=None,
        key_slices=keys,
        slices=tuple(SliceEvidence(i, shares, 1.0 if i in keys else 0.4) for i in range(len(one))),
        maps=maps,
        map_scores={"sam": MapScore(0.22, 0.81, 0.06, 0.7, False), "grad-cam": MapScore(0.31, 0.77, 0.08, 0.6, False)},
        model=ModelCard(
            "phase-demo", "0.1", "phase", "resnet", "ab" * 32, "phase", "not for diagnostic use", "synthetic"
        ),
        organs=(OrganMeasurement("liver", 110.0, 109.0, 12.0, 1500.0, SLICES // 2 + 1, _square(70, 110, 40)),),
    )


def _map(one: Volume, index: int, method: str) -> SliceMap:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    centre = (0.45, 0.32) if method == "sam" else (0.5, 0.4)
    blob = np.exp(-(((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 0.02))
    tissue = np.clip((one.slice(index) - 60) / 100, 0, 1)
    values = (blob * tissue).astype(np.float32) if method == "sam" else blob.astype(np.float32)
    return SliceMap(index, method, "block2", Phase.PORTAL_VENOUS.value, values, 1.0)


def _square(column: float, row: float, size: float) -> tuple[tuple[float, float], ...]:
    return ((column, row), (column + size, row), (column + size, row + size), (column, row + size))
