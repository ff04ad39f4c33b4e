"""The organs in the report: a measurement group each, and what they say together.

A group refers to the organ's outline on the slice that shows most of it (TID 1410). Where a Segmentation goes with the
report, the group with the numbers refers to the segment instead (TID 1411), and one of the same Tracking Unique
Identifier to the outline: OHIF puts the two together, and draws a report only if it finds a region for each identifier.
The model that found the organs is named with every organ (TID 4019).
Tracking Identifiers are the organs' English names in every language: by them an organ is followed from report to
report, and a report is read back.
"""

from collections.abc import Iterator
from typing import Any

from dicomnode.results import codes, regions, uids
from dicomnode.results.content import coded, group, number, text
from dicomnode.results.options import ResultObject
from dicomnode.results.segmentation import segmented
from dicomnode.results.setting import Setting
from inference.findings import Findings, OrganMeasurement
from inference.organ_words import spoken
from inference.volume import Volume


def organ_groups(findings: Findings, volume: Volume, setting: Setting, made: ResultObject | None) -> Iterator[Any]:
    """One group an organ, in the order of the findings; `made` is the Segmentation that holds them, if there is one.

    A Segmentation of cross-sections alone says no more than outlines, and the groups keep those.
    """
    whole = made is not None and findings.organ_masks is not None
    numbers = {organ.organ: rank for rank, organ in enumerate(segmented(findings, setting), start=1)} if whole else {}
    for organ in findings.organs:
        if made is not None and organ.organ in numbers:
            yield _segment_group(organ, numbers[organ.organ], made, setting)
            yield _region_group(organ, volume, setting, measured=False)
        else:
            yield _region_group(organ, volume, setting)


def vote_said(findings: Findings, setting: Setting) -> list[Any]:
    """What the organs speak for, as text; empty where they had no vote."""
    if findings.organ_vote is None:
        return []
    return [text(codes.ORGAN_VOTE, spoken(findings.organ_vote, findings.organs, setting.options.language))]


def _segment_group(organ: OrganMeasurement, segment: int, made: ResultObject, setting: Setting) -> Any:
    """TID 1411: the whole organ, by its segment."""
    from highdicom import sr

    site = codes.organ(organ.organ)
    series = sr.SourceSeriesForSegmentation(str(setting.study.SeriesInstanceUID))
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uids.derive("tracking", _place(organ), setting.key), organ.organ),
        referenced_segment=sr.ReferencedSegment(
            made.sop_class_uid, made.sop_instance_uid, segment, source_series=series
        ),
        finding_sites=[sr.FindingSite(coded(site))] if site is not None else None,
        algorithm_id=_algorithm(setting),
        measurements=_numbers(organ),
    )


def _region_group(organ: OrganMeasurement, volume: Volume, setting: Setting, *, measured: bool = True) -> Any:
    """TID 1410: one cross-section of the organ; without numbers and model where they stand with the segment."""
    outline = organ.outline
    polygon = regions.closed(outline) if len(outline) > 2 else regions.body_region(volume, organ.slice_index)
    place = (_place(organ), polygon, organ.slice_index)
    site = codes.organ(organ.organ)
    numbers, algorithm = (_numbers(organ), _algorithm(setting)) if measured else ([], None)
    return group(organ.organ, place, None, numbers, setting, site=site, algorithm=algorithm)


def _place(organ: OrganMeasurement) -> str:
    """The name that its Tracking Unique Identifier is made of."""
    return f"organ {organ.organ}"


def _numbers(organ: OrganMeasurement) -> list[Any]:
    return [
        number(codes.MEDIAN_HU, organ.median_hu, codes.HOUNSFIELD, 0),
        number(codes.MEAN_HU, organ.mean_hu, codes.HOUNSFIELD, 0),
        number(codes.DEVIATION_HU, organ.deviation_hu, codes.HOUNSFIELD, 0),
        number(codes.VOLUME, organ.volume_ml, codes.MILLILITRE, 0),
    ]


def _algorithm(setting: Setting) -> Any:
    """TID 4019 of the model that found the organs; None where none is told."""
    from highdicom import sr

    model = setting.organ_model
    if model is None:
        return None
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"weights sha256 {model.weights_sha256}"],
        family=coded(codes.ARTIFICIAL_INTELLIGENCE),
    )
