"""Reading a report back, with pydicom alone: what an archive or another program can learn from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicomnode.results import codes
from dicomnode.results.codes import Concept
from inference.findings import HeaderOpinion, MapScore, Seconds
from inference.phases import Phase


@dataclass(frozen=True)
class SliceReference:
    """One slice of the source."""

    sop_instance_uid: str
    frame: int | None
    """1-based frame number; None for a single-frame instance."""


@dataclass(frozen=True)
class ReportedOrgan:
    """An organ's measurement as reported; the fields are those of `inference.findings.OrganMeasurement`."""

    organ: str
    median_hu: float
    mean_hu: float
    deviation_hu: float
    volume_ml: float
    slice: SliceReference | None
    """The slice of the outline; None where there is none."""
    outline: tuple[tuple[float, float], ...]
    """Closed polygon (column, row)."""
    segment: tuple[str, int] | None = None
    """SOP Instance UID of the Segmentation, and the number in it; None where there is the outline alone."""


@dataclass(frozen=True)
class ReportedFindings:
    """What a report says; the fields are those of `inference.findings.Findings`, slices named by instance."""

    phase: Phase | None
    confidence: float
    probabilities: Mapping[Phase, float]
    seconds: Seconds | None
    reason: str | None
    key_slices: tuple[SliceReference, ...]
    summary_page: str | None
    """SOP Instance UID of the Secondary Capture that shows the answer; its series holds the other pictures."""
    map_scores: Mapping[str, MapScore]
    organs: tuple[ReportedOrgan, ...]
    header: HeaderOpinion | None
    disagreement: str | None
    organ_vote: str | None
    """What the organs speak for, in words; None where they had no vote."""
    model_name: str
    model_version: str
    weights_sha256: str


def read(report: Dataset) -> ReportedFindings:
    """The findings in a report of this project. Raises ValueError when it is none, or was declined."""
    measurements = list(_named(report, codes.IMAGING_MEASUREMENTS))
    groups = [group for one in measurements for group in _named(one, codes.MEASUREMENT_GROUP)]
    series = next((g for g in groups if _finding(g) in _ANSWERS), None)
    if series is None:
        raise ValueError("not a report of a judged series")
    probabilities = _probabilities(series)
    header, reason, disagreement = _evaluations(report)
    return ReportedFindings(
        phase=_ANSWERS[_finding(series)],
        confidence=_share(series, codes.CERTAINTY) or max(probabilities.values(), default=0.0),
        probabilities=probabilities,
        seconds=_seconds(series),
        reason=reason,
        key_slices=tuple(_slice(g) for g in groups if g is series or _finding(g) == codes.KEY_SLICE.key),
        summary_page=next(_pictures(report), None),
        map_scores={_algorithm(codes.ALGORITHM_NAME, g): _score(g) for g in groups if _holds(g, codes.DELETION)},
        organs=tuple(_organ(g, _outlined(g, groups)) for g in groups if _holds(g, codes.MEDIAN_HU)),
        header=header,
        disagreement=disagreement,
        organ_vote=_organ_vote(report),
        model_name=_algorithm(codes.ALGORITHM_NAME, series, *measurements),
        model_version=_algorithm(codes.ALGORITHM_VERSION, series, *measurements),
        weights_sha256=_algorithm(codes.ALGORITHM_PARAMETERS, series, *measurements).removeprefix("weights sha256 "),
    )


_ANSWERS: Mapping[tuple[str, str], Phase | None] = {
    **{concept.key: phase for phase, concept in codes.PHASES.items()},
    codes.INDETERMINATE.key: None,
}


def _key(items: object) -> tuple[str, str]:
    code = items[0] if items else Dataset()  # type: ignore[index]
    return str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", ""))


def _named(item: Dataset, name: Concept) -> Iterator[Dataset]:
    """The children of a content item that bear a concept name."""
    return (c for c in item.get("ContentSequence", ()) if _key(c.get("ConceptNameCodeSequence")) == name.key)


def _algorithm(name: Concept, *containers: Dataset) -> str:
    """A row of TID 4019 in the first of the containers that has it, in its own right or with a number."""
    places = [p for c in containers for p in (c, *(i for i in c.ContentSequence if i.ValueType == "NUM"))]
    return next((text for place in places for text in _texts(place, name)), "")


def _pictures(report: Dataset) -> Iterator[str]:
    """What the Image Library lists, TID 1600."""
    for library in _named(report, codes.IMAGE_LIBRARY):
        for group in _named(library, codes.IMAGE_LIBRARY_GROUP):
            images = (item for item in group.ContentSequence if item.ValueType == "IMAGE")
            yield from (str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in images)


def _finding(group: Dataset) -> tuple[str, str]:
    return next((_key(item.ConceptCodeSequence) for item in _named(group, codes.FINDING)), ("", ""))


def _number(group: Dataset, name: Concept) -> float | None:
    for item in _named(group, name):
        value = item.MeasuredValueSequence[0]
        return float(value.get("FloatingPointValue", value.NumericValue))
    return None


def _required(group: Dataset, name: Concept) -> float:
    value = _number(group, name)
    if value is None:
        raise ValueError(f"a group lacks {name.meaning}")
    return value


def _share(group: Dataset, name: Concept) -> float | None:
    value = _number(group, name)
    return None if value is None else value / 100


def _holds(group: Dataset, name: Concept) -> bool:
    return _number(group, name) is not None


def _texts(item: Dataset, name: Concept) -> tuple[str, ...]:
    return tuple(str(child.TextValue) for child in _named(item, name))


def _one_text(item: Dataset, name: Concept) -> str:
    return next(iter(_texts(item, name)), "")


def _probabilities(group: Dataset) -> dict[Phase, float]:
    shares = {phase: _share(group, concept) for phase, concept in codes.PROBABILITIES.items()}
    return {phase: share for phase, share in shares.items() if share is not None}


def _seconds(group: Dataset) -> Seconds | None:
    if not _holds(group, codes.SECONDS):
        return None
    return Seconds(*(_required(group, name) for name in (codes.SECONDS, codes.SECONDS_LOW, codes.SECONDS_HIGH)))


def _slice(group: Dataset) -> SliceReference:
    region = next(_named(group, codes.IMAGE_REGION))
    item = region.ContentSequence[0].ReferencedSOPSequence[0]
    frame = item.get("ReferencedFrameNumber")
    return SliceReference(str(item.ReferencedSOPInstanceUID), None if frame is None else int(frame))


def _score(group: Dataset) -> MapScore:
    return MapScore(
        deletion_auc=_required(group, codes.DELETION),
        insertion_auc=_required(group, codes.INSERTION),
        randomisation_rho=_number(group, codes.RANDOMISATION),
        organ_share=_share(group, codes.ORGAN_SHARE),
        poor=_finding(group) == codes.POOR_MAP.key,
    )


def _outlined(group: Dataset, groups: Sequence[Dataset]) -> Dataset | None:
    """The group with the region of an organ: the one that measures it, or another of its Tracking Unique Identifier."""
    tracked = [g for g in groups if _tracking_uid(g) == _tracking_uid(group)]
    return next((g for g in tracked if any(_named(g, codes.IMAGE_REGION))), None)


def _tracking_uid(group: Dataset) -> str:
    return next((str(item.UID) for item in _named(group, codes.TRACKING_UID)), "")


def _organ(group: Dataset, outlined: Dataset | None) -> ReportedOrgan:
    region = next(_named(outlined, codes.IMAGE_REGION)) if outlined is not None else None
    data = [] if region is None else [float(value) for value in region.GraphicData]
    return ReportedOrgan(
        organ=_one_text(group, codes.TRACKING_IDENTIFIER),
        median_hu=_required(group, codes.MEDIAN_HU),
        mean_hu=_required(group, codes.MEAN_HU),
        deviation_hu=_required(group, codes.DEVIATION_HU),
        volume_ml=_required(group, codes.VOLUME),
        slice=None if outlined is None else _slice(outlined),
        outline=tuple(zip(data[0::2], data[1::2], strict=True)),
        segment=_segment(group),
    )


def _segment(group: Dataset) -> tuple[str, int] | None:
    """The segment that a group refers to, TID 1411."""
    for item in _named(group, codes.REFERENCED_SEGMENT):
        referred = item.ReferencedSOPSequence[0]
        return str(referred.ReferencedSOPInstanceUID), int(referred.ReferencedSegmentNumber)
    return None


def _organ_vote(report: Dataset) -> str | None:
    container = next(_named(report, codes.QUALITATIVE), Dataset())
    return _one_text(container, codes.ORGAN_VOTE) or None


def _evaluations(report: Dataset) -> tuple[HeaderOpinion | None, str | None, str | None]:
    """(what the header says, reason, disagreement) from the Qualitative Evaluations."""
    container = next(_named(report, codes.QUALITATIVE), Dataset())
    contrast = next((_key(i.ConceptCodeSequence) for i in _named(container, codes.HEADER_CONTRAST)), None)
    phase = next((_key(i.ConceptCodeSequence) for i in _named(container, codes.HEADER_PHASE)), None)
    evidence = _texts(container, codes.HEADER_EVIDENCE)
    reason, disagreement = _one_text(container, codes.REASON), _one_text(container, codes.DISAGREEMENT)
    said = contrast is not None or phase is not None or bool(evidence)
    opinion = HeaderOpinion(
        None if contrast is None else contrast == codes.YES.key, _ANSWERS[phase] if phase else None, evidence
    )
    return opinion if said else None, reason or None, disagreement or None
