"""The report: findings as a Structured Report, TID 1500 "Measurement Report".

    Imaging Measurement Report (126000, DCM)
    ├── language, observer (a device), procedure
    ├── Image Library                 the summary page, whose series holds the other pictures
    ├── Imaging Measurements
    │   ├── group of the series       Finding = the phase; certainty, probability of each phase, seconds since injection
    │   ├── group of an organ         Finding Site; attenuation in HU; see `organs`
    │   ├── group of a key slice      the second and later ones: where else the answer shows
    │   └── group of a map method     CID 217; scores that tell how far to trust the map
    └── Qualitative Evaluations       intended use, reason when indeterminate, what header and organs say, disagreement

Each group is TID 1410 with a region on its slice, or TID 1411 with a segment where a Segmentation was asked for, and
then another group has the region: OHIF leaves the viewport black if a Tracking Unique Identifier has none. TID 4019
stands in the groups, or, where one of them is TID 1411, where the templates have a row for it (`place_algorithms`).

Containers are SEPARATE, so that a reader sees "label: value". An indeterminate answer has its own Finding code; the
standard has none for it. A map that failed its tests is a Finding of its own too, so that nobody takes it for evidence.

A series that was declined gets TID 2000 "Basic Diagnostic Imaging Report": nothing was measured, and text is what
every viewer shows. It names no predecessor: it includes nothing of an earlier report (PS3.3 C.17.2), which stands.
"""

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from dicomnode.results import codes, regions
from dicomnode.results.codes import Concept
from dicomnode.results.content import (
    algorithm,
    coded,
    container,
    evaluation,
    finish,
    group,
    image_library,
    language,
    map_algorithm,
    number,
    observer,
    percent,
    place_algorithms,
    schemes_of,
    text,
)
from dicomnode.results.envelope import encode, envelope, scheme_items
from dicomnode.results.evidence import evidence_in, predecessor
from dicomnode.results.options import ResultObject
from dicomnode.results.organs import organ_groups, vote_said
from dicomnode.results.reading import ReportedFindings, read
from dicomnode.results.setting import Setting
from dicomnode.results.wording import Words
from inference.findings import Findings, MapScore, SliceMap
from inference.volume import Volume

__all__ = ["ReportedFindings", "compose", "compose_declined", "read"]

COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"

COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"

SOP_CLASSES = {"comprehensive": COMPREHENSIVE, "comprehensive 3d": COMPREHENSIVE_3D}


def compose(
    findings: Findings,
    volume: Volume,
    setting: Setting,
    page: ResultObject | None = None,
    segments: ResultObject | None = None,
) -> ResultObject:
    """The report of one judged part; it refers to its summary page and to the segments of organs, where made."""
    from highdicom import sr

    root = sr.MeasurementReport(
        observation_context=observer(setting),
        procedure_reported=coded(codes.CT_PROCEDURE),
        imaging_measurements=list(_groups(findings, volume, setting, segments)),
        language_of_content_item_and_descendants=language(setting),
    )[0]
    root.ContentSequence.append(_evaluations(findings, setting))
    place = _place(root, codes.IMAGING_MEASUREMENTS)
    place_algorithms(root.ContentSequence[place])
    if page is not None:
        root.ContentSequence.insert(place, image_library(page))
    dataset = _document(root, setting, page, segments)
    if setting.context.predecessor is not None:
        dataset.PredecessorDocumentsSequence = [predecessor(setting.context.predecessor)]
    return encode(dataset, "report")


def _place(root: Any, name: Concept) -> int:
    """Where among the children of the root the first one of a name stands."""
    names = [child.ConceptNameCodeSequence[0].CodeValue for child in root.ContentSequence]
    return names.index(name.value)


def compose_declined(reason: str, setting: Setting) -> ResultObject:
    """The report that says why a part was not judged."""
    from highdicom import sr

    words = Words(setting.options.language)
    said = f"{codes.DECLINED.said(setting.options.language)}: {words.sentence(reason)}"
    section = container(codes.FINDINGS, [text(codes.FINDING, said), text(codes.FINDING, words.intended_use)])
    root = sr.ContainerContentItem(coded(codes.DIAGNOSTIC_REPORT), template_id="2000")
    root.ContentSequence = [*language(setting), *observer(setting), section]
    return encode(_document(root, setting), "report")


def _document(root: Any, setting: Setting, *referred_to: ResultObject | None) -> Dataset:
    """The SR document around its content tree: PS3.3 C.17.2 and C.17.3."""
    dataset = envelope(setting, "report", SOP_CLASSES[setting.options.sr_class], "SR")
    finish(root, setting.options.language)
    for element in root:
        dataset.add(element)
    dataset.CompletionFlag, dataset.PreliminaryFlag = "COMPLETE", "FINAL"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PerformedProcedureCodeSequence = []
    dataset.ReferencedPerformedProcedureStepSequence = []
    referred = evidence_in(root, setting, *referred_to)
    if referred:
        dataset.CurrentRequestedProcedureEvidenceSequence = referred
    schemes = scheme_items(sorted(schemes_of(root)))
    if schemes:
        dataset.CodingSchemeIdentificationSequence = schemes
    return dataset


def _groups(findings: Findings, volume: Volume, setting: Setting, segments: ResultObject | None) -> Iterator[Any]:
    yield _series_group(findings, volume, setting)
    yield from organ_groups(findings, volume, setting, segments)
    for rank in range(1, len(findings.key_slices)):
        yield _slice_group(rank, findings, volume, setting)
    for rank, (method, score) in enumerate(findings.map_scores.items(), start=1):
        yield _map_group(rank, method, score, findings, volume, setting)


def _series_group(findings: Findings, volume: Volume, setting: Setting) -> Any:
    """The answer: Finding, its certainty, the probability of each phase, the seconds since injection."""
    index = findings.key_slices[0] if findings.key_slices else len(volume) // 2
    numbers = [] if findings.phase is None else [percent(codes.CERTAINTY, findings.confidence)]
    ordered = sorted(findings.probabilities.items(), key=lambda item: -item[1])
    shares = [percent(codes.PROBABILITIES[phase], share) for phase, share in ordered]
    time = findings.seconds
    first = [] if time is None else [number(codes.SECONDS, time.estimate, codes.SECOND, 0)]
    last = [] if time is None else [
        number(codes.SECONDS_LOW, time.low, codes.SECOND, 0),
        number(codes.SECONDS_HIGH, time.high, codes.SECOND, 0),
    ]  # fmt: skip
    # OHIF draws five numbers of a group: the time is among them, the bounds are not.
    numbers += [*shares[:1], *first, *shares[1:], *last]
    words = Words(setting.options.language)
    description = f"{setting.study.get('SeriesDescription') or ''} {setting.part_label}".strip()
    return group(
        words.series(str(setting.study.get("SeriesNumber") or ""), description),
        ("series", regions.answer_region(findings, volume, index), index),
        codes.PHASES[findings.phase] if findings.phase is not None else codes.INDETERMINATE,
        numbers,
        setting,
        algorithm=algorithm(findings, setting),
    )


def _slice_group(rank: int, findings: Findings, volume: Volume, setting: Setting) -> Any:
    """A further key slice; the first one is that of the series' group. No numbers: they would be drawn on the slice."""
    index = findings.key_slices[rank]
    place = (f"key slice {index}", regions.answer_region(findings, volume, index), index)
    return group(Words(setting.options.language).key_slice(rank + 1), place, codes.KEY_SLICE, [], setting)


def _map_group(rank: int, method: str, score: MapScore, findings: Findings, volume: Volume, setting: Setting) -> Any:
    """How far a kind of map can be trusted, with its hottest part on a key slice.

    Viewers draw the numbers of a group at its region: each method takes another slice, so that none hides the answer.
    """
    index, found = _shown_on(rank, method, findings, volume)
    hot = regions.hot_region(found) if found is not None else None
    numbers = [
        number(codes.DELETION, score.deletion_auc, codes.NO_UNITS, 2),
        number(codes.INSERTION, score.insertion_auc, codes.NO_UNITS, 2),
    ]
    if score.randomisation_rho is not None:
        numbers.append(number(codes.RANDOMISATION, score.randomisation_rho, codes.NO_UNITS, 2))
    if score.organ_share is not None:
        numbers.append(percent(codes.ORGAN_SHARE, score.organ_share))
    return group(
        Words(setting.options.language).map_name(method),
        (f"map {method}", hot if hot is not None else regions.body_region(volume, index), index),
        codes.POOR_MAP if score.poor else codes.explanation(method),
        numbers,
        setting,
        algorithm=map_algorithm(method, found, setting),
    )


def _shown_on(rank: int, method: str, findings: Findings, volume: Volume) -> tuple[int, SliceMap | None]:
    """The slice for the scores of a method, and its map there: the rank-th key slice that has one, counted round."""
    maps = {m.slice_index: m for m in findings.maps if m.method == method}
    slices = [i for i in findings.key_slices if i in maps] or list(maps)
    if not slices:
        return len(volume) // 2, None
    index = slices[rank % len(slices)]
    return index, maps[index]


def _evaluations(findings: Findings, setting: Setting) -> Any:
    """Qualitative Evaluations, TID 1500 rows 12 to 14: codes first, then words, for the order of rows counts."""
    header = findings.header
    words, items = Words(setting.options.language), []
    if header is not None and header.contrast is not None:
        items.append(evaluation(codes.HEADER_CONTRAST, codes.YES if header.contrast else codes.NO))
    if header is not None and header.phase is not None:
        items.append(evaluation(codes.HEADER_PHASE, codes.PHASES[header.phase]))
    if findings.disagreement:
        items.append(text(codes.DISAGREEMENT, words.sentence(findings.disagreement)))
    if findings.reason:
        items.append(text(codes.REASON, words.sentence(findings.reason)))
    said = header.evidence if header is not None else ()
    items.extend(text(codes.HEADER_EVIDENCE, words.evidence(line)) for line in said)
    items.extend(vote_said(findings, setting))
    items.append(text(codes.INTENDED_USE, words.intended_use))
    return container(codes.QUALITATIVE, items)
