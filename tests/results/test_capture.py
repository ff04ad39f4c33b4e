"""Secondary Capture: what is pictured, where it lies, in which order."""

import findings_factory as make
import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicomnode.results import ResultOptions, compose
from inference.phases import Phase

VOLUME = make.volume()
FINDINGS = make.findings(VOLUME)


def captures(options: ResultOptions | None = None, **header: object) -> list[Dataset]:
    """The pictures of the synthetic findings, decoded."""
    made = make.results(FINDINGS, VOLUME, headers=make.headers(**header), options=options)
    return [make.decode(o) for o in made if o.kind == "capture"]


def test_the_summary_page_is_first_and_has_no_geometry() -> None:
    """Instance 1 is the page that a reader sees first."""
    page = captures()[0]
    assert page.InstanceNumber == 1
    assert "ImagePositionPatient" not in page
    assert "FrameOfReferenceUID" not in page


def test_every_key_slice_is_pictured_once_a_method_most_telling_first() -> None:
    """The order is that of the findings, not that of the volume."""
    headers = make.headers()
    expected = [headers[i].SOPInstanceUID for i in FINDINGS.key_slices] * 2
    assert [c.SourceImageSequence[0].ReferencedSOPInstanceUID for c in captures()[1:]] == expected


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_number_of_key_slices_is_an_option(count: int) -> None:
    """And the summary page is always there."""
    assert len(captures(ResultOptions(key_slices=count))) == 1 + 2 * count


def test_the_whole_stack_is_in_the_order_of_the_volume() -> None:
    """So that it scrolls."""
    made = captures(ResultOptions(whole_stack=True))[1:]
    heights = [c.ImagePositionPatient[2] for c in made[:3]]
    assert heights == sorted(heights)


def test_a_whole_stack_is_a_series_of_its_own_for_each_method() -> None:
    """A series that could be a volume is what viewers pair with the CT; the summary page is not in it."""
    page, *slices = captures(ResultOptions(whole_stack=True))
    by_series = {c.SeriesInstanceUID: c.SeriesDescription for c in slices}
    assert sorted(by_series.values()) == ["AI PORTAL VENOUS 93% S4 Grad-CAM", "AI PORTAL VENOUS 93% S4 SAM"]
    assert page.SeriesInstanceUID not in by_series


def test_a_whole_stack_is_one_multi_frame_instance_a_method() -> None:
    """Each with all of its slices."""
    _, *stacks = captures(ResultOptions(whole_stack=True, capture="multi-frame"))
    assert [s.NumberOfFrames for s in stacks] == [3, 3]
    assert len({s.SOPInstanceUID for s in stacks}) == 2


def test_each_picture_pixel_lies_where_its_source_pixel_lies() -> None:
    """The corners of picture and source slice are the same points of the patient, whatever the scale."""
    picture, source = captures()[1], make.header(FINDINGS.key_slices[0])
    scale = source.PixelSpacing[0] / picture.PixelSpacing[0]
    assert scale == round(scale)
    for row, column in ((0, 0), (source.Rows, source.Columns)):
        ours = _point(picture, row * scale - 0.5, column * scale - 0.5)
        theirs = _point(source, row - 0.5, column - 0.5)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def _point(dataset: Dataset, row: float, column: float) -> np.ndarray:
    """Patient coordinates of a pixel, PS3.3 C.7.6.2.1.1."""
    orientation = np.array(dataset.ImageOrientationPatient, float)
    spacing = np.array(dataset.PixelSpacing, float)
    return (
        np.array(dataset.ImagePositionPatient, float)
        + orientation[:3] * spacing[1] * column
        + orientation[3:] * spacing[0] * row
    )


def test_the_legend_lies_below_the_slice() -> None:
    """There are more rows than the slice has, and no more columns: the geometry is that of the slice."""
    picture, source = captures()[1], make.header(0)
    scale = round(source.PixelSpacing[0] / picture.PixelSpacing[0])
    assert picture.Columns == source.Columns * scale
    assert picture.Rows > source.Rows * scale


def test_without_a_frame_of_reference_there_is_no_position_but_a_spacing() -> None:
    """A position without its frame of reference says nothing; millimetres do."""
    picture = captures(FrameOfReferenceUID=None)[1]
    assert "ImagePositionPatient" not in picture
    assert "PixelSpacing" in picture


def test_colours_are_stored_as_drawn() -> None:
    """RGB, one byte a sample, interleaved, uncompressed: nothing for a viewer to guess."""
    made = compose(FINDINGS, make.headers(), VOLUME, ResultOptions(key_slices=1), make.context())
    picture = make.decode(made[1])
    assert picture.PhotometricInterpretation == "RGB"
    assert picture.PlanarConfiguration == 0
    assert picture.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    pixels = picture.pixel_array
    assert pixels.shape == (picture.Rows, picture.Columns, 3)
    assert np.ptp(pixels.astype(int), axis=2).max() > 60, "an overlay has colours"


def test_the_series_description_carries_the_answer() -> None:
    """It is visible in every study list without anything being opened."""
    page = captures()[0]
    assert page.SeriesDescription == "AI PORTAL VENOUS 93% S4 HEADER DISAGREES"
    assert page.SeriesNumber > 9000


@pytest.mark.parametrize(
    ("phase", "language", "text"),
    [
        (Phase.ARTERIAL, "en", "AI ARTERIAL 93% S4"),
        (None, "en", "AI INDETERMINATE S4"),
        (Phase.PORTAL_VENOUS, "de", "KI PORTALVENÖS 93% S4"),
        (None, "de", "KI UNBESTIMMT S4"),
    ],
)
def test_the_answer_is_told_in_the_language_of_the_options(phase: Phase | None, language: str, text: str) -> None:
    """English or German, indeterminate said as such."""
    findings = make.findings(VOLUME, phase, disagreement=None)
    made = make.results(findings, VOLUME, options=ResultOptions(language=language))
    assert {make.decode(o).SeriesDescription for o in made} == {text}


def test_parts_of_one_series_are_told_apart() -> None:
    """Another label, series number and series UID for the second acquisition."""
    one, two = (
        make.decode(make.results(FINDINGS, VOLUME, context=make.context(part_label=label, part_index=index))[0])
        for index, label in enumerate(("acquisition 1", "acquisition 2"))
    )
    assert "acquisition 2" in two.SeriesDescription
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert one.SeriesNumber != two.SeriesNumber


def test_multi_frame_holds_all_key_slices_with_their_positions() -> None:
    """One instance, one frame a picture, each with its plane."""
    page, stack = captures(ResultOptions(capture="multi-frame"))
    assert page.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert stack.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7.4"
    assert stack.NumberOfFrames == 6 == len(stack.PerFrameFunctionalGroupsSequence)
    planes = [g.PlanePositionSequence[0].ImagePositionPatient[2] for g in stack.PerFrameFunctionalGroupsSequence]
    assert planes[:3] == [5.0 * i for i in FINDINGS.key_slices]


def test_multi_frame_without_a_frame_of_reference_numbers_its_pages() -> None:
    """It is still one valid object."""
    _, stack = captures(ResultOptions(capture="multi-frame"), FrameOfReferenceUID=None)
    assert stack.PageNumberVector == [1, 2, 3, 4, 5, 6]


def test_what_was_lossy_once_stays_lossy() -> None:
    """PS3.3 C.7.6.1.1.5."""
    picture = captures(
        LossyImageCompression="01", LossyImageCompressionRatio="10", LossyImageCompressionMethod="ISO_10918_1"
    )[1]
    assert picture.LossyImageCompression == "01"


def test_frames_of_an_enhanced_ct_are_referred_to_by_number() -> None:
    """All slices have the instance's UID; the frame tells them apart."""
    headers = make.headers(SOPClassUID=make.ENHANCED_CT, SOPInstanceUID="2.25.77", NumberOfFrames=12)
    made = make.results(FINDINGS, VOLUME, headers=headers, context=make.context(frames=tuple(range(1, 13))))
    frames = [make.decode(o).SourceImageSequence[0].ReferencedFrameNumber for o in made if o.kind == "capture"]
    assert frames[1:4] == [i + 1 for i in FINDINGS.key_slices]


@pytest.mark.parametrize(("part", "told"), [("BREAST", True), ("CHEST", False), (None, False)])
def test_laterality_is_there_where_a_body_part_may_have_one(part: str | None, told: bool) -> None:
    """Type 2C: present, and empty when the source tells none."""
    page = captures(BodyPartExamined=part)[0]
    assert ("Laterality" in page) == told
    assert page.get("Laterality", "") == ""
