"""The kinds of objects that are off by default: valid, deterministic, and each in its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import findings_factory as make
import numpy as np
import pytest
from pydicom.dataset import Dataset
from test_result_peers import complaints, iod_errors, state_complaints, template_complaints, write

from dicomnode.results import ResultOptions, regions
from inference.findings import OrganMeasurement

VOLUME = make.volume()
ALL = ResultOptions(
    key_slices=1,
    parametric_map=True,
    segmentation=True,
    key_object_selection=True,
    presentation_state=True,
    pdf=True,
)
KINDS = ("parametric map", "segmentation", "key objects", "presentation state", "pdf")


def made(kind: str, options: ResultOptions = ALL, **header: object) -> list[Dataset]:
    """The objects of one kind over the synthetic findings."""
    objects = make.results(make.findings(VOLUME), VOLUME, options=options, headers=make.headers(**header))
    return [make.decode(o) for o in objects if o.kind == kind]


def test_nothing_is_made_that_was_not_asked_for() -> None:
    """By default: pictures and a report."""
    kinds = {o.kind for o in make.results(make.findings(VOLUME), VOLUME)}
    assert kinds == {"capture", "report"}


@pytest.mark.parametrize(
    "option", ["parametric_map", "segmentation", "key_object_selection", "presentation_state", "pdf"]
)
def test_an_option_adds_its_kind_and_changes_no_other_object(option: str) -> None:
    """Switching one on later sends nothing anew that was sent before."""
    plain = make.results(make.findings(VOLUME), VOLUME, options=ResultOptions(key_slices=1))
    more = make.results(make.findings(VOLUME), VOLUME, options=replace(ResultOptions(key_slices=1), **{option: True}))
    assert [o.encoded for o in more[: len(plain)]] == [o.encoded for o in plain]
    assert len({o.kind for o in more} - {"capture", "report"}) == 1


def test_the_same_input_makes_the_same_bytes_of_every_kind() -> None:
    """No library's clock or random number is left in."""
    one, two = (make.results(make.findings(VOLUME), VOLUME, options=ALL) for _ in range(2))
    assert [o.encoded for o in one] == [o.encoded for o in two]


@pytest.mark.peer
def test_validators_find_nothing_in_any_kind(require_peer: Callable[[str], str], tmp_path: Path) -> None:
    """dciodvfy over all, DicomSRValidator over the key objects; the report has tests of its own."""
    paths = write(make.results(make.findings(VOLUME), VOLUME, options=ALL), tmp_path)
    assert complaints(require_peer, paths, templates=False) == []
    selection = next(p for p in paths if "key-objects" in p.name)
    assert template_complaints(require_peer, selection) == []


@pytest.mark.peer
def test_a_fault_in_a_presentation_state_is_told(require_peer: Callable[[str], str], tmp_path: Path) -> None:
    """dcmpschk ends with 0 whatever it finds: what it says is read."""
    (state,) = made("presentation state", replace(ALL, language="de"))
    state.PresentationLUTShape = "DARK"
    state.save_as(tmp_path / "state.dcm")
    (told,) = state_complaints(require_peer, tmp_path / "state.dcm")
    assert "DARK" in told


@pytest.mark.peer
def test_every_kind_is_made_of_a_multi_frame_source(require_peer: Callable[[str], str], tmp_path: Path) -> None:
    """References name the frame."""
    headers = make.headers(SOPClassUID=make.ENHANCED_CT, SOPInstanceUID="2.25.77", NumberOfFrames=12)
    context = make.context(frames=tuple(range(1, 13)))
    objects = make.results(make.findings(VOLUME), VOLUME, options=ALL, headers=headers, context=context)
    assert {o.kind for o in objects} == {"capture", "report", *KINDS}
    assert [line for path in write(objects, tmp_path) for line in iod_errors(require_peer, path)] == []


def test_a_parametric_map_holds_the_map_as_it_is() -> None:
    """Float for float, frame for slice, in the order of the volume."""
    findings = make.findings(VOLUME)
    sam, cam = made("parametric map")
    maps = sorted((m for m in findings.maps if m.method == "sam"), key=lambda m: m.slice_index)
    stored = np.frombuffer(sam.FloatPixelData, "<f4").reshape(sam.NumberOfFrames, sam.Rows, sam.Columns)
    np.testing.assert_array_equal(stored, np.stack([m.values for m in maps]))
    heights = [g.PlanePositionSequence[0].ImagePositionPatient[2] for g in sam.PerFrameFunctionalGroupsSequence]
    assert heights == [5.0 * m.slice_index for m in maps]
    assert sam.SOPInstanceUID != cam.SOPInstanceUID


def test_a_parametric_map_never_has_a_frame_for_every_slice_of_a_stack() -> None:
    """Key slices alone, although every slice has a map: a viewer lays the frames of a complete one on wrong slices."""
    findings = make.findings(VOLUME)
    one = findings.maps[0]
    every = replace(findings, maps=tuple(replace(one, slice_index=index) for index in range(len(VOLUME))))
    objects = make.results(every, VOLUME, options=replace(ALL, whole_stack=True))
    (stored,) = (make.decode(o) for o in objects if o.kind == "parametric map")
    assert stored.NumberOfFrames == len(findings.key_slices)


def test_a_segment_is_the_outline_of_its_organ() -> None:
    """Read back with pydicom: the mask of the polygon, one segment an organ that has one."""
    (segmentation,) = made("segmentation")
    assert [s.SegmentLabel for s in segmentation.SegmentSequence] == ["aorta"]
    outline = make.findings(VOLUME).organs[0].outline
    expected = regions.mask(regions.closed(outline), VOLUME.shape)
    np.testing.assert_array_equal(segmentation.pixel_array.reshape(VOLUME.shape).astype(bool), expected)


def test_two_organs_are_two_segments_on_their_slices() -> None:
    """Frames lie where the organs were outlined."""
    square = ((20.0, 20.0), (30.0, 20.0), (30.0, 30.0), (20.0, 30.0))
    organs = tuple(
        OrganMeasurement(name, 1.0, 1.0, 1.0, 1.0, index, square) for name, index in (("liver", 3), ("aorta", 7))
    )
    findings = make.findings(VOLUME, organs=organs)
    objects = make.results(findings, VOLUME, options=replace(ALL, parametric_map=False))
    segmentation = next(make.decode(o) for o in objects if o.kind == "segmentation")
    groups = segmentation.PerFrameFunctionalGroupsSequence
    assert [g.PlanePositionSequence[0].ImagePositionPatient[2] for g in groups] == [15.0, 35.0]
    assert segmentation.pixel_array.sum(axis=(1, 2)).tolist() == [100, 100]


def test_key_objects_are_the_key_slices_of_the_source() -> None:
    """Not the pictures: a reader opens the CT there."""
    (selection,) = made("key objects")
    images = [c.ReferencedSOPSequence[0] for c in selection.ContentSequence if c.ValueType == "IMAGE"]
    assert [i.ReferencedSOPInstanceUID for i in images] == [
        make.header(i).SOPInstanceUID for i in make.findings(VOLUME).key_slices
    ]


def test_a_presentation_state_says_what_it_shows() -> None:
    """A region and the answer on every key slice, in the window of the phase."""
    (state,) = made("presentation state")
    assert len(state.GraphicAnnotationSequence) == 3
    text = state.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue
    assert text == "AI PORTAL VENOUS 93%. Not for diagnostic use"
    assert state.SoftcopyVOILUTSequence[0].WindowWidth > 100


def test_the_pdf_is_a_pdf() -> None:
    """Its length is told, and the padding is not counted."""
    (document,) = made("pdf")
    encapsulated = bytes(document.EncapsulatedDocument)
    assert encapsulated.startswith(b"%PDF-")
    assert encapsulated[: document.EncapsulatedDocumentLength].rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize("kind", ["parametric map", "segmentation"])
def test_without_a_frame_of_reference_no_object_is_made_that_needs_one(kind: str) -> None:
    """The others are sent all the same."""
    assert made(kind, FrameOfReferenceUID=None) == []
    assert made("key objects", FrameOfReferenceUID=None)


@pytest.mark.parametrize("values", [{"capture": "gif"}, {"language": "fr"}, {"sr_class": "basic"}, {"key_slices": -1}])
def test_options_that_mean_nothing_are_refused(values: dict[str, object]) -> None:
    """An option is valid once constructed."""
    with pytest.raises(ValueError, match=next(iter(values))):
        ResultOptions(**values)
