"""The report: findings as a Structured Report, TID 1500 "Measurement Report".

    Imaging Measurement Report (126000, DCM)
    ├── language, observer (a device), procedure
    ├── Imaging Measurements
    │   ├── group of the series       Finding = the phase; certainty, probability of each phase, seconds since injection
    │   ├── group of an organ         Finding Site; attenuation in HU
    │   ├── group of a key slice      the second and later ones: where else the answer shows
    │   └── group of a map method     CID 217; scores that tell how far to trust the map
    └── Qualitative Evaluations       intended use, reason when indeterminate, what the header says, disagreement

Each group is TID 1410 with a region on its slice: OHIF leaves the viewport black if one group has none. Containers are
SEPARATE, so that a reader sees "label: value". An indeterminate answer has its own Finding code; the standard has
none for it. A map that failed its tests is a Finding of its own too, so that nobody takes it for evidence.

A series that was declined gets TID 2000 "Basic Diagnostic Imaging Report": nothing was measured, and text is what
every viewer shows.
"""

import math
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from dicomnode.errors import Fail
from dicomnode.results import codes, regions, uids
from dicomnode.results.codes import Concept
from dicomnode.results.envelope import (
    Setting,
    algorithm_name,
    algorithm_version,
    device_uid,
    encode,
    envelope,
    scheme_items,
)
from dicomnode.results.evidence import evidence_in, predecessor
from dicomnode.results.options import MANUFACTURER, ResultObject
from dicomnode.results.reading import ReportedFindings, read
from dicomnode.results.wording import Words
from inference.findings import Findings, MapScore, OrganMeasurement, SliceMap
from inference.volume import Volume

__all__ = ["ReportedFindings", "compose", "compose_declined", "read"]

COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"
SOP_CLASSES = {"comprehensive": COMPREHENSIVE, "comprehensive 3d": COMPREHENSIVE_3D}


def compose(findings: Findings, volume: Volume, setting: Setting) -> ResultObject:
    """The report of one judged part."""
    from highdicom import sr

    root = sr.MeasurementReport(
        observation_context=_observer(setting),
        procedure_reported=coded(codes.CT_PROCEDURE),
        imaging_measurements=list(_groups(findings, volume, setting)),
        language_of_content_item_and_descendants=_language(setting),
    )[0]
    root.ContentSequence.append(_evaluations(findings, setting))
    return encode(_document(root, setting), "report")


def compose_declined(reason: str, setting: Setting) -> ResultObject:
    """The report that says why a part was not judged."""
    from highdicom import sr

    words = Words(setting.options.language)
    said = f"{codes.DECLINED.said(setting.options.language)}: {reason}"
    section = _container(codes.FINDINGS, [_text(codes.FINDING, said), _text(codes.FINDING, words.intended_use)])
    root = sr.ContainerContentItem(coded(codes.DIAGNOSTIC_REPORT), template_id="2000")
    root.ContentSequence = [*_language(setting), *_observer(setting), section]
    return encode(_document(root, setting), "report")


def _document(root: Any, setting: Setting) -> Dataset:
    """The SR document around its content tree: PS3.3 C.17.2 and C.17.3."""
    dataset = envelope(setting, "report", SOP_CLASSES[setting.options.sr_class], "SR")
    finish(root, setting.options.language)
    for element in root:
        dataset.add(element)
    dataset.CompletionFlag, dataset.PreliminaryFlag = "COMPLETE", "FINAL"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PerformedProcedureCodeSequence = []
    dataset.ReferencedPerformedProcedureStepSequence = []
    referred = evidence_in(root, setting)
    if referred:
        dataset.CurrentRequestedProcedureEvidenceSequence = referred
    if setting.context.predecessor is not None:
        dataset.PredecessorDocumentsSequence = [predecessor(setting.context.predecessor)]
    schemes = scheme_items(sorted(schemes_of(root)))
    if schemes:
        dataset.CodingSchemeIdentificationSequence = schemes
    return dataset


def _groups(findings: Findings, volume: Volume, setting: Setting) -> Iterator[Any]:
    yield _series_group(findings, volume, setting)
    for organ in findings.organs:
        yield _organ_group(organ, volume, setting)
    for rank in range(1, len(findings.key_slices)):
        yield _slice_group(rank, findings, volume, setting)
    for rank, (method, score) in enumerate(findings.map_scores.items(), start=1):
        yield _map_group(rank, method, score, findings, volume, setting)


def _series_group(findings: Findings, volume: Volume, setting: Setting) -> Any:
    """The answer: Finding, its certainty, the probability of each phase, the seconds since injection."""
    index = findings.key_slices[0] if findings.key_slices else len(volume) // 2
    numbers = [] if findings.phase is None else [_percent(codes.CERTAINTY, findings.confidence)]
    ordered = sorted(findings.probabilities.items(), key=lambda item: -item[1])
    shares = [_percent(codes.PROBABILITIES[phase], share) for phase, share in ordered]
    time = findings.seconds
    first = [] if time is None else [_number(codes.SECONDS, time.estimate, codes.SECOND, 0)]
    last = [] if time is None else [
        _number(codes.SECONDS_LOW, time.low, codes.SECOND, 0),
        _number(codes.SECONDS_HIGH, time.high, codes.SECOND, 0),
    ]  # fmt: skip
    # OHIF draws five numbers of a group: the time is among them, the bounds are not.
    numbers += [*shares[:1], *first, *shares[1:], *last]
    words = Words(setting.options.language)
    description = f"{setting.study.get('SeriesDescription') or ''} {setting.context.part_label}".strip()
    return _group(
        words.series(str(setting.study.get("SeriesNumber") or ""), description),
        ("series", regions.answer_region(findings, volume, index), index),
        codes.PHASES[findings.phase] if findings.phase is not None else codes.INDETERMINATE,
        numbers,
        setting,
        algorithm=_algorithm(findings, setting),
    )


def _organ_group(organ: OrganMeasurement, volume: Volume, setting: Setting) -> Any:
    outline = organ.outline
    polygon = regions.closed(outline) if len(outline) > 2 else regions.body_region(volume, organ.slice_index)
    numbers = [
        _number(codes.MEDIAN_HU, organ.median_hu, codes.HOUNSFIELD, 0),
        _number(codes.MEAN_HU, organ.mean_hu, codes.HOUNSFIELD, 0),
        _number(codes.DEVIATION_HU, organ.deviation_hu, codes.HOUNSFIELD, 0),
        _number(codes.VOLUME, organ.volume_ml, codes.MILLILITRE, 0),
    ]
    place = (f"organ {organ.organ}", polygon, organ.slice_index)
    return _group(organ.organ, place, None, numbers, setting, site=codes.organ(organ.organ))


def _slice_group(rank: int, findings: Findings, volume: Volume, setting: Setting) -> Any:
    """A further key slice; the first one is that of the series' group. No numbers: they would be drawn on the slice."""
    index = findings.key_slices[rank]
    place = (f"key slice {index}", regions.answer_region(findings, volume, index), index)
    return _group(Words(setting.options.language).key_slice(rank + 1), place, codes.KEY_SLICE, [], setting)


def _map_group(rank: int, method: str, score: MapScore, findings: Findings, volume: Volume, setting: Setting) -> Any:
    """How far a kind of map can be trusted, with its hottest part on a key slice.

    Viewers draw the numbers of a group at its region: each method takes another slice, so that none hides the answer.
    """
    index, found = _shown_on(rank, method, findings, volume)
    hot = regions.hot_region(found) if found is not None else None
    numbers = [
        _number(codes.DELETION, score.deletion_auc, codes.NO_UNITS, 2),
        _number(codes.INSERTION, score.insertion_auc, codes.NO_UNITS, 2),
    ]
    if score.randomisation_rho is not None:
        numbers.append(_number(codes.RANDOMISATION, score.randomisation_rho, codes.NO_UNITS, 2))
    if score.organ_share is not None:
        numbers.append(_percent(codes.ORGAN_SHARE, score.organ_share))
    return _group(
        Words(setting.options.language).map_name(method),
        (f"map {method}", hot if hot is not None else regions.body_region(volume, index), index),
        codes.POOR_MAP if score.poor else codes.explanation(method),
        numbers,
        setting,
        algorithm=_map_algorithm(method, found, setting),
    )


def _shown_on(rank: int, method: str, findings: Findings, volume: Volume) -> tuple[int, SliceMap | None]:
    """The slice for the scores of a method, and its map there: the rank-th key slice that has one, counted round."""
    maps = {m.slice_index: m for m in findings.maps if m.method == method}
    slices = [i for i in findings.key_slices if i in maps] or list(maps)
    if not slices:
        return len(volume) // 2, None
    index = slices[rank % len(slices)]
    return index, maps[index]


def _group(
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


def _evaluations(findings: Findings, setting: Setting) -> Any:
    """Qualitative Evaluations, TID 1500 rows 12 to 14: codes first, then words, for the order of rows counts."""
    header = findings.header
    items = []
    if header is not None and header.contrast is not None:
        items.append(_evaluation(codes.HEADER_CONTRAST, codes.YES if header.contrast else codes.NO))
    if header is not None and header.phase is not None:
        items.append(_evaluation(codes.HEADER_PHASE, codes.PHASES[header.phase]))
    if findings.disagreement:
        items.append(_text(codes.DISAGREEMENT, findings.disagreement))
    if findings.reason:
        items.append(_text(codes.REASON, findings.reason))
    items.extend(_text(codes.HEADER_EVIDENCE, line) for line in (header.evidence if header is not None else ()))
    items.append(_text(codes.INTENDED_USE, Words(setting.options.language).intended_use))
    return _container(codes.QUALITATIVE, items)


def _observer(setting: Setting) -> Any:
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


def _language(setting: Setting) -> Any:
    from highdicom import sr

    return sr.LanguageOfContentItemAndDescendants(coded(codes.LANGUAGES[setting.options.language]))


def _algorithm(findings: Findings, setting: Setting) -> Any:
    """TID 4019 of the model, its weights by their hash."""
    from highdicom import sr

    return sr.AlgorithmIdentification(
        name=algorithm_name(setting),
        version=algorithm_version(setting),
        parameters=[f"weights sha256 {findings.model.weights_sha256}"],
        family=coded(codes.ARTIFICIAL_INTELLIGENCE),
    )


def _map_algorithm(method: str, found: SliceMap | None, setting: Setting) -> Any:
    from highdicom import sr

    parameters = [f"layer {found.layer}", f"target {found.target}"] if found is not None else None
    return sr.AlgorithmIdentification(method, setting.context.software_version, parameters)


def coded(concept: Concept) -> Any:
    """A concept as highdicom wants it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(concept.value, concept.scheme, concept.meaning)


def _container(name: Concept, items: list[Any]) -> Any:
    from highdicom import sr

    container = sr.ContainerContentItem(coded(name), relationship_type=sr.RelationshipTypeValues.CONTAINS)
    container.ContentSequence = items
    return container


def _text(name: Concept, value: str) -> Any:
    from highdicom import sr

    return sr.TextContentItem(coded(name), value, sr.RelationshipTypeValues.CONTAINS)


def _evaluation(name: Concept, value: Concept) -> Any:
    from highdicom import sr

    return sr.CodeContentItem(coded(name), coded(value), sr.RelationshipTypeValues.CONTAINS)


def _percent(name: Concept, share: float) -> Any:
    return _number(name, 100 * share, codes.PERCENT, 1)


def _number(name: Concept, value: float, unit: Concept, decimals: int) -> Any:
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
