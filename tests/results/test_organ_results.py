"""Organs in the results: segments that are the masks, groups that refer to them, a page, and names that keep apart."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import findings_factory as make
import numpy as np
import pytest
from pydicom.dataset import Dataset
from test_result_peers import complaints, iod_errors, write

from dicomnode.results import ResultObject, ResultOptions, codes, report
from dicomnode.results.capture import ORGAN_PAGE
from dicomnode.results.segmentation import SEGMENTATION

VOLUME = make.volume()
FOUND = make.organ_findings(VOLUME)
WITH_SEGMENTS = ResultOptions(key_slices=1, segmentation=True)
AS_LABEL_MAP = replace(WITH_SEGMENTS, segmentation_kind="label map")


def of_kind(kind: str, options: ResultOptions = WITH_SEGMENTS, **header: object) -> list[Dataset]:
    """The objects of one kind over findings with organs."""
    return [make.decode(o) for o in made(options, **header) if o.kind == kind]


def made(options: ResultOptions = WITH_SEGMENTS, **header: object) -> list[ResultObject]:
    return make.results(FOUND, VOLUME, options=options, headers=make.headers(**header))


def test_a_segment_is_its_organs_mask_on_every_slice() -> None:
    """Frame by frame, in the order of segments and slices, pixel by pixel."""
    (segmentation,) = of_kind("segmentation")
    assert [s.SegmentLabel for s in segmentation.SegmentSequence] == ["aorta", "liver"]
    masks = FOUND.organ_masks
    assert masks is not None
    expected = np.concatenate([masks.labels == 1, masks.labels == 2])
    np.testing.assert_array_equal(segmentation.pixel_array.astype(bool), expected)
    groups = segmentation.PerFrameFunctionalGroupsSequence
    heights = [g.PlanePositionSequence[0].ImagePositionPatient[2] for g in groups]
    assert heights == [5.0 * i for i in masks.slice_indices] * 2
    assert [g.SegmentIdentificationSequence[0].ReferencedSegmentNumber for g in groups] == [1] * 6 + [2] * 6


def test_a_label_map_holds_the_same_masks() -> None:
    """One frame a slice, the number of the segment in each pixel, the background described."""
    (label_map,) = of_kind("segmentation", AS_LABEL_MAP)
    assert label_map.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert [(s.SegmentNumber, s.SegmentLabel) for s in label_map.SegmentSequence] == [
        (0, "Background"),
        (1, "aorta"),
        (2, "liver"),
    ]
    masks = FOUND.organ_masks
    assert masks is not None
    np.testing.assert_array_equal(label_map.pixel_array, masks.labels)


@pytest.mark.parametrize("options", [WITH_SEGMENTS, AS_LABEL_MAP], ids=["binary", "label map"])
def test_highdicom_reads_the_segments_back(options: ResultOptions) -> None:
    """A reader of another make opens the file and finds each organ by its label, with the pixels that were written."""
    from highdicom.seg import segread

    (encoded,) = (o.encoded for o in made(options) if o.kind == "segmentation")
    found = segread(BytesIO(encoded))
    numbers = {label: found.get_segment_numbers(segment_label=label)[0] for label in ("aorta", "liver")}
    sources = [make.header(i).SOPInstanceUID for i in FOUND.organ_masks.slice_indices]  # type: ignore[union-attr]
    pixels = found.get_pixels_by_source_instance(sources, segment_numbers=list(numbers.values()))
    for segment in (1, 2):
        np.testing.assert_array_equal(pixels[..., segment - 1], FOUND.organ_masks.labels == segment)  # type: ignore[union-attr]


def test_the_report_refers_to_the_segments_that_were_made() -> None:
    """Every organ's group names its segment and keeps its numbers; with or without one, it draws the outline."""
    (segmentation,) = of_kind("segmentation")
    read = report.read(of_kind("report")[0])
    assert [o.segment for o in read.organs] == [(segmentation.SOPInstanceUID, 1), (segmentation.SOPInstanceUID, 2)]
    assert [o.median_hu for o in read.organs] == pytest.approx([o.median_hu for o in FOUND.organs])
    drawn = report.read(of_kind("report", ResultOptions(key_slices=1))[0])
    assert [o.segment for o in drawn.organs] == [None, None]
    for one in (read, drawn):
        assert [o.outline[:-1] for o in one.organs] == [o.outline for o in FOUND.organs]
    told = replace(read, organs=drawn.organs, summary_page=drawn.summary_page)
    assert told == drawn, "model, maps and their scores are read wherever TID 4019 stands"


def test_every_tracking_identifier_has_a_region() -> None:
    """What OHIF puts together by it; without a region it draws nothing of the whole report."""
    (dataset,) = of_kind("report")
    measurements = next(i for i in dataset.ContentSequence if named(i) == codes.IMAGING_MEASUREMENTS.value)
    regions: dict[str, bool] = {}
    for group in (i for i in measurements.ContentSequence if i.ValueType == "CONTAINER"):
        tracking = next(i.UID for i in group.ContentSequence if named(i) == codes.TRACKING_UID.value)
        regions[tracking] = regions.get(tracking, False) or any(i.ValueType == "SCOORD" for i in group.ContentSequence)
    assert len(regions) == 7, "series, two organs, two key slices, two maps"
    assert all(regions.values())


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Organs speak for portal venous, 93 %"), ("de", "Organe sprechen für portalvenös")]
)
def test_the_report_says_what_the_organs_speak_for(language: str, words: str) -> None:
    """In the language of the report, with the evidence."""
    said = report.read(of_kind("report", ResultOptions(key_slices=1, language=language))[0]).organ_vote
    assert said is not None
    assert words in said
    assert "Aorta 180 HU" in said if language == "de" else "aorta 180 HU" in said


def test_the_organs_have_a_page_in_the_capture_series() -> None:
    """One picture more, in the same series as the summary, and last."""
    pages = of_kind("capture", ResultOptions(key_slices=1))
    assert [d.InstanceNumber for d in pages] == [1, 2, 3, ORGAN_PAGE + 1]
    assert len({d.SeriesInstanceUID for d in pages}) == 1
    assert pages[-1].DerivationDescription == "Organs as found, and their attenuation. Not for diagnostic use."


def test_objects_name_the_model_that_found_the_organs() -> None:
    """Contributing Equipment has an item for each of the two, with a Device UID of its own."""
    (one,) = of_kind("report")
    models = [i for i in one.ContributingEquipmentSequence if i.get("DeviceUID")]
    assert [i.ManufacturerModelName for i in models] == ["phase-test", "organs-test"]
    assert len({i.DeviceUID for i in models}) == 2


def test_what_says_something_else_is_named_otherwise() -> None:
    """Organs or none, segments or none, another organ model: an archive keeps each, and none replaces another."""
    other = replace(FOUND, organ_model=make.card(weights_sha256="ee" * 32))
    plain = replace(FOUND, organ_model=None, organ_masks=None, organs=(), organ_vote=None)
    reports = [
        make.results(found, VOLUME, options=options)
        for found, options in (
            (FOUND, WITH_SEGMENTS),
            (FOUND, AS_LABEL_MAP),
            (FOUND, ResultOptions(key_slices=1)),
            (other, ResultOptions(key_slices=1)),
            (plain, ResultOptions(key_slices=1)),
        )
    ]
    names = [next(o.sop_instance_uid for o in objects if o.kind == "report") for objects in reports]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("options", [WITH_SEGMENTS, AS_LABEL_MAP], ids=["binary", "label map"])
def test_without_a_frame_of_reference_there_are_no_segments(options: ResultOptions) -> None:
    """The report draws the outlines then."""
    assert of_kind("segmentation", options, FrameOfReferenceUID=None) == []
    read = report.read(of_kind("report", options, FrameOfReferenceUID=None)[0])
    assert all(o.segment is None and o.outline for o in read.organs)


@pytest.mark.peer
def test_validators_find_nothing_in_segments(require_peer: Callable[[str], str], tmp_path: Path) -> None:
    """dciodvfy over segments, page and report; DicomSRValidator and dsrdump over the report with TID 1411."""
    assert complaints(require_peer, write(made(), tmp_path)) == []


def test_where_groups_refer_to_segments_the_algorithm_stands_where_the_templates_have_a_row() -> None:
    """Of the answer: in TID 1500, for all groups. Of organs and maps: with each of their numbers, TID 1419."""
    (dataset,) = of_kind("report")
    measurements = next(i for i in dataset.ContentSequence if named(i) == codes.IMAGING_MEASUREMENTS.value)
    answering = [i.TextValue for i in measurements.ContentSequence if named(i) == codes.ALGORITHM_NAME.value]
    assert answering == ["phase-test"]
    groups = [i for i in measurements.ContentSequence if i.ValueType == "CONTAINER"]
    told = [{named(i) for i in group.ContentSequence} & ALGORITHM_ROWS for group in groups]
    assert told == [set()] * len(groups)
    names = {i.ContentSequence[0].TextValue for g in groups[1:] for i in g.ContentSequence if i.ValueType == "NUM"}
    assert names == {"organs-test", "sam", "grad-cam"}


def test_without_segments_the_algorithm_stands_in_its_group() -> None:
    """Where viewers and dsr2html show it, above the numbers."""
    (dataset,) = of_kind("report", ResultOptions(key_slices=1))
    measurements = next(i for i in dataset.ContentSequence if named(i) == codes.IMAGING_MEASUREMENTS.value)
    names = [
        i.TextValue
        for group in measurements.ContentSequence
        for i in group.ContentSequence
        if named(i) == codes.ALGORITHM_NAME.value
    ]
    assert names == ["phase-test", "organs-test", "organs-test", "sam", "grad-cam"]


ALGORITHM_ROWS = {
    concept.value
    for concept in (codes.ALGORITHM_NAME, codes.ALGORITHM_VERSION, codes.ALGORITHM_PARAMETERS, codes.ALGORITHM_FAMILY)
}


def named(item: Dataset) -> str:
    """The concept name of a content item."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def test_a_segment_names_the_model_that_found_it() -> None:
    """With the hash of its weights, as the report does where there is no segment."""
    for options in (WITH_SEGMENTS, AS_LABEL_MAP):
        (segmentation,) = of_kind("segmentation", options)
        found = [s.SegmentationAlgorithmIdentificationSequence[0] for s in segmentation.SegmentSequence[-2:]]
        assert [a.AlgorithmName for a in found] == ["organs-test"] * 2
        assert {a.AlgorithmParameters for a in found} == {f"weights sha256 {'cd' * 32}"}


@pytest.mark.peer
def test_a_validator_of_2022_finds_nothing_in_a_label_map_but_what_makes_it_one(
    require_peer: Callable[[str], str], tmp_path: Path
) -> None:
    """dciodvfy does not know the class: under the name of the older one, it objects to what is new and no more.

    New in PS3.3 A.51.8 and C.8.20.2: the type, a segment 0 for the background, no segment named by a frame.
    """
    (dataset,) = of_kind("segmentation", AS_LABEL_MAP)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SEGMENTATION
    dataset.save_as(tmp_path / "older.dcm")
    found = iod_errors(require_peer, tmp_path / "older.dcm")
    new = ("Unrecognized enumerated value = <LABELMAP>", "SegmentNumber", "Module=<SegmentationMacro>")
    assert [line for line in found if not any(words in line for words in new)] == []
    assert any("LABELMAP" in line for line in found)


@pytest.mark.peer
def test_validators_find_nothing_in_outlines(require_peer: Callable[[str], str], tmp_path: Path) -> None:
    """Groups of TID 1410 and the organs' page, in German."""
    assert complaints(require_peer, write(made(ResultOptions(key_slices=1, language="de")), tmp_path)) == []


@pytest.mark.peer
def test_validators_find_nothing_in_organs_of_a_multi_frame_source(
    require_peer: Callable[[str], str], tmp_path: Path
) -> None:
    """References name the frame."""
    headers = make.headers(SOPClassUID=make.ENHANCED_CT, SOPInstanceUID="2.25.77", NumberOfFrames=12)
    context = make.context(frames=tuple(range(1, 13)))
    objects = make.results(FOUND, VOLUME, options=WITH_SEGMENTS, headers=headers, context=context)
    assert [line for path in write(objects, tmp_path) for line in iod_errors(require_peer, path)] == []


def test_segments_cost_no_more_than_their_pixels() -> None:
    """A bit a pixel and frame in the binary object, a byte a pixel and slice in the label map, and some KB."""
    (binary,), (label_map,) = of_kind("segmentation"), of_kind("segmentation", AS_LABEL_MAP)
    assert len(binary.PixelData) == 12 * 128 * 128 // 8
    assert len(label_map.PixelData) == 6 * 128 * 128
