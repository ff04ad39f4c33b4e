"""Content items of a report, built with highdicom: the few templates of PS3.16 that the project writes."""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from pydicom.dataset import Dataset

from dicomnode.errors import Fail
from dicomnode.identity import MANUFACTURER
from dicomnode.results import codes, regions, uids
from dicomnode.results.codes import Concept
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting, algorithm_name, algorithm_version, device_uid
from inference.findings import Findings, SliceMap


def group(
    identifier: str,
    place: tuple[str, regions.Polygon, int],
    finding: Concept | None,
    numbers: list[Any],
    setting: Setting,
    *,
    site: Concept | None = None,
    algorithm: Any = None,
) -> Any:
    """One measurement group, TID 1410; place is (name for its tracking UID, region, slice index)."""
    from highdicom import sr

    name, polygon, index = place
    source = setting.sources[index]
    frames = [source.frame] if source.frame is not None else None
    image = sr.SourceImageForRegion(source.sop_class_uid, source.sop_instance_uid, frames)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uids.derive("tracking", name, setting.key), identifier),
        referenced_region=sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, polygon, image),
        finding_type=coded(finding) if finding is not None else None,
        finding_sites=[sr.FindingSite(coded(site))] if site is not None else None,
        algorithm_id=algorithm,
        measurements=numbers,
    )


def image_library(page: ResultObject) -> Any:
    """Image Library, TID 1600: the summary page that goes with a report. Its series holds the other pictures."""
    from highdicom import sr

    related = sr.RelationshipTypeValues.CONTAINS
    image = sr.ImageContentItem(
        coded(codes.SOURCE), page.sop_class_uid, page.sop_instance_uid, relationship_type=related
    )
    library = container(codes.IMAGE_LIBRARY, [container(codes.IMAGE_LIBRARY_GROUP, [image])])
    # TID 1601 gives an image of the library no concept name; highdicom cannot make one without.
    del library.ContentSequence[0].ContentSequence[0].ConceptNameCodeSequence
    return library


def observer(setting: Setting) -> Any:
    """The device that speaks, TID 1001 and 1004; the same values as in Contributing Equipment."""
    from highdicom import sr

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(setting),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=algorithm_name(setting),
        serial_number=setting.context.device_serial or None,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=coded(codes.DEVICE), observer_identifying_attributes=device
        )
    )


def language(setting: Setting) -> Any:
    from highdicom import sr

    return sr.LanguageOfContentItemAndDescendants(coded(codes.LANGUAGES[setting.options.language]))


def algorithm(findings: Findings, setting: Setting) -> Any:
    """TID 4019 of the model, its weights by their hash."""
    from highdicom import sr

    return sr.AlgorithmIdentification(
        name=algorithm_name(setting),
        version=algorithm_version(setting),
        parameters=[f"weights sha256 {findings.model.weights_sha256}"],
        family=coded(codes.ARTIFICIAL_INTELLIGENCE),
    )


def map_algorithm(method: str, found: SliceMap | None, setting: Setting) -> Any:
    from highdicom import sr

    parameters = [f"layer {found.layer}", f"target {found.target}"] if found is not None else None
    return sr.AlgorithmIdentification(method, setting.context.software_version, parameters)


def place_algorithms(measurements: Dataset) -> None:
    """Moves TID 4019 out of the groups of Imaging Measurements, where one of them is TID 1411.

    TID 1410 and 1411 have no row for it. TID 1500 has one for all groups: there goes the first group's, the model that
    answers. TID 1419 has one for each number: there go the others'. Without TID 1411 they stay in their groups, where
    every viewer shows them, and where validators read the groups as TID 1501, which has a row for it.
    """
    first, *others = measurements.ContentSequence
    if not any(_has(one, codes.REFERENCED_SEGMENT) for one in others):
        return
    answering = _taken_algorithm(first)
    for one in others:
        _give_to_numbers(one, _taken_algorithm(one))
    measurements.ContentSequence = [*answering, first, *others]


_ALGORITHM_ROWS = (
    codes.ALGORITHM_NAME,
    codes.ALGORITHM_VERSION,
    codes.ALGORITHM_PARAMETERS,
    codes.ALGORITHM_FAMILY,
)


def _taken_algorithm(one: Dataset) -> list[Dataset]:
    """The rows of TID 4019 in a group, which loses them."""
    rows: list[Dataset] = []
    others: list[Dataset] = []
    for item in one.ContentSequence:
        (rows if any(_is(item, name) for name in _ALGORITHM_ROWS) else others).append(item)
    one.ContentSequence = others
    return rows


def _give_to_numbers(one: Dataset, algorithm: Sequence[Dataset]) -> None:
    """Name and version, which TID 4019 requires, and parameters where no segment tells them; never the family."""
    told = _ALGORITHM_ROWS[: 2 if _has(one, codes.REFERENCED_SEGMENT) else 3]
    rows = [row for row in algorithm if any(_is(row, name) for name in told)]
    for item in one.ContentSequence:
        if rows and item.ValueType == "NUM":
            item.ContentSequence = deepcopy(rows)


def _has(one: Dataset, name: Concept) -> bool:
    return any(_is(item, name) for item in one.ContentSequence)


def _is(item: Dataset, name: Concept) -> bool:
    return bool(item.ConceptNameCodeSequence[0].CodeValue == name.value)


def coded(concept: Concept) -> Any:
    """A concept as highdicom wants it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(concept.value, concept.scheme, concept.meaning)


def container(name: Concept, items: list[Any]) -> Any:
    from highdicom import sr

    container = sr.ContainerContentItem(coded(name), relationship_type=sr.RelationshipTypeValues.CONTAINS)
    container.ContentSequence = items
    return container


def text(name: Concept, value: str) -> Any:
    from highdicom import sr

    return sr.TextContentItem(coded(name), value, sr.RelationshipTypeValues.CONTAINS)


def evaluation(name: Concept, value: Concept) -> Any:
    from highdicom import sr

    return sr.CodeContentItem(coded(name), coded(value), sr.RelationshipTypeValues.CONTAINS)


def percent(name: Concept, share: float) -> Any:
    return number(name, 100 * share, codes.PERCENT, 1)


def number(name: Concept, value: float, unit: Concept, decimals: int) -> Any:
    """A measurement, TID 300: rounded for people in Numeric Value, exact for programs in Floating Point Value."""
    from highdicom import sr

    if not math.isfinite(value):
        raise Fail(f"{name.meaning} is not a number")
    measurement = sr.Measurement(coded(name), float(value), coded(unit))
    measurement[0].MeasuredValueSequence[0].NumericValue = f"{value:.{decimals}f}"
    return measurement


def finish(item: Dataset, language: str) -> None:
    """Every container SEPARATE, every code called by its name in the report's language."""
    if item.get("ValueType") == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    concept = codes.ALL.get((item.get("CodeValue", ""), item.get("CodingSchemeDesignator", "")))
    if concept is not None:
        item.CodeMeaning = concept.said(language)
    for element in item:
        if element.VR == "SQ":
            for child in element.value:
                finish(child, language)


def schemes_of(item: Dataset) -> set[str]:
    """Designators of all coding schemes used in a content tree."""
    found = {item.CodingSchemeDesignator} if "CodingSchemeDesignator" in item else set()
    return found.union(*(schemes_of(child) for element in item if element.VR == "SQ" for child in element.value))
