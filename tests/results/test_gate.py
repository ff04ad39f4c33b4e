"""The gate: each rule refuses what breaks it, and nothing else does."""

from collections.abc import Callable

import findings_factory as make
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicomnode.errors import Fail, Verdict, verdict
from dicomnode.results import ResultObject, ResultOptions, conformance, uids
from dicomnode.results.conformance import check, require
from dicomnode.results.envelope import encode
from dicomnode.results.rules import RULES

VOLUME = make.volume()
HEADERS = make.headers()
MADE = make.results(make.findings(VOLUME), VOLUME, options=ResultOptions(key_slices=1))
STACK = make.results(make.findings(VOLUME), VOLUME, options=ResultOptions(capture="multi-frame"))
SIBLINGS = [(o.sop_class_uid, o.sop_instance_uid) for o in MADE]


def capture() -> Dataset:
    return make.decode(MADE[1])


def report() -> Dataset:
    return make.decode(MADE[-1])


def stack() -> Dataset:
    return make.decode(STACK[1])


def _set(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


def _delete(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def _private(dataset: Dataset) -> None:
    dataset.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "x")


def _nested_private(dataset: Dataset) -> None:
    _private(dataset.ContributingEquipmentSequence[0])


def _wrong_instance(dataset: Dataset) -> None:
    dataset.SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.404"


def _wrong_class(dataset: Dataset) -> None:
    dataset.SourceImageSequence[0].ReferencedSOPClassUID = make.ENHANCED_CT


def _wrong_frame(dataset: Dataset) -> None:
    dataset.SourceImageSequence[0].ReferencedFrameNumber = 99


def _unknown_code(dataset: Dataset) -> None:
    dataset.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue = "0"


def _half_code(dataset: Dataset) -> None:
    del dataset.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeMeaning


def _implicit(dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def _other_meta(dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.5"


def _no_device(dataset: Dataset) -> None:
    del dataset.ContributingEquipmentSequence[-1].DeviceUID


def _continuous(dataset: Dataset) -> None:
    dataset.ContentSequence[-1].ContinuityOfContent = "CONTINUOUS"


def _no_region(dataset: Dataset) -> None:
    group = dataset.ContentSequence[-2].ContentSequence[0]
    group.ContentSequence = [c for c in group.ContentSequence if c.ValueType != "SCOORD"]


def _frame_too_few(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0]


def _frame_nowhere(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def _frame_unmeasured(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence


BREAKS: list[tuple[str, Callable[[], Dataset], Callable[[Dataset], None]]] = [
    ("iod.attributes", capture, _delete("InstanceNumber")),
    ("iod.attributes", capture, _delete("ConversionType")),
    ("iod.attributes", capture, _set("Modality", "")),
    ("iod.attributes", capture, _delete("BitsStored")),
    ("iod.attributes", report, _delete("ReferencedPerformedProcedureStepSequence")),
    ("iod.attributes", report, _set("VerificationFlag", "")),
    ("study.same", capture, _set("PatientID", "OTHER")),
    ("study.same", report, _set("AccessionNumber", "")),
    ("study.same", report, _set("PatientComments", "new")),
    ("uid.own", report, _set("SeriesInstanceUID", "1.2.3")),
    ("uid.own", capture, _set("SeriesInstanceUID", make.SERIES)),
    ("reference.resolves", capture, _wrong_instance),
    ("reference.resolves", capture, _wrong_class),
    ("reference.resolves", capture, _wrong_frame),
    ("code.known", capture, _unknown_code),
    ("code.known", report, _delete("CodingSchemeIdentificationSequence")),
    ("private.none", capture, _private),
    ("private.none", report, _nested_private),
    ("pixel.length", capture, _set("Rows", 7)),
    ("pixel.length", capture, _delete("PixelData")),
    ("frame.groups", stack, _frame_too_few),
    ("frame.groups", stack, _frame_nowhere),
    ("frame.groups", stack, _frame_unmeasured),
    ("value.form", capture, _set("ContentDate", "2026-01-01")),
    ("value.form", report, _set("SeriesDescription", "x" * 65)),
    ("text.utf-8", report, _set("SpecificCharacterSet", "ISO_IR 100")),
    ("encoding", capture, _implicit),
    ("encoding", report, _other_meta),
    ("mark.own", capture, _set("Manufacturer", "ACME")),
    ("mark.own", capture, _set("SeriesNumber", 4)),
    ("mark.own", capture, _set("Modality", "CT")),
    ("mark.own", report, _no_device),
    ("mark.own", report, _set("InstanceCreatorUID", "2.25.1")),
    ("picture.burned-in", capture, _set("BurnedInAnnotation", "NO")),
    ("picture.burned-in", capture, _set("PhotometricInterpretation", "YBR_FULL")),
    ("picture.burned-in", capture, _delete("SourceImageSequence")),
    ("report.tree", report, _set("PreliminaryFlag", "PRELIMINARY")),
    ("report.tree", report, _continuous),
    ("report.tree", report, _no_region),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rule", "source", "spoil"), BREAKS)
def test_a_rule_refuses_what_breaks_it_and_no_other_does(
    rule: str, source: Callable[[], Dataset], spoil: Callable[[Dataset], None]
) -> None:
    """One fault, one rule: the job log names the right one."""
    dataset = source()
    spoil(dataset)
    assert {violation.rule for violation in check(dataset, HEADERS, SIBLINGS)} == {rule}


def test_every_rule_has_a_break() -> None:
    """A rule that nothing breaks is not a rule."""
    assert {rule for rule, _, _ in BREAKS} == set(RULES)


@pytest.mark.parametrize("index", range(len(MADE)))
def test_what_is_composed_passes(index: int) -> None:
    """No rule is broken by the node's own objects."""
    assert check(MADE[index], HEADERS, SIBLINGS) == []


def test_the_gate_fails_closed_and_names_the_rule() -> None:
    """The job is FAILED with the rule's name, and no value of the patient's in the message."""
    spoiled = capture()
    spoiled.PatientID = "OTHER"
    with pytest.raises(Fail, match=r"study\.same") as raised:
        require([MADE[0], encode(spoiled, "capture")], HEADERS)
    assert verdict(raised.value) is Verdict.FAIL
    assert "OTHER" not in str(raised.value)
    assert "PH-1" not in str(raised.value)


def test_an_object_that_cannot_be_read_back_is_refused() -> None:
    """Bytes that are no file leave nobody's outbox."""
    torn = ResultObject("1.2", uids.derive("x"), uids.derive("y"), "capture", MADE[1].encoded[:50])
    assert [v.rule for v in check(torn, HEADERS)] == ["encoding"]


def test_without_sources_nothing_passes() -> None:
    """What cannot be compared cannot leave."""
    assert [v.rule for v in check(MADE[0], [])] == ["sources"]


def test_a_rule_that_cannot_be_evaluated_counts_as_broken() -> None:
    """A missing attribute that a rule needs is not a reason to pass."""
    dataset = capture()
    del dataset.BitsAllocated
    assert "pixel.length" in {v.rule for v in check(dataset, HEADERS)}


def test_an_unknown_sop_class_is_refused() -> None:
    """Only what stands in the tables can be checked."""
    dataset = capture()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9999"
    assert {v.rule for v in check(dataset, HEADERS)} == {"iod.attributes"}


def test_an_overlong_accession_number_is_no_reason_to_withhold_a_result() -> None:
    """It is the source's, and identifies."""
    headers = make.headers(AccessionNumber="A" * 20)
    assert make.results(make.findings(VOLUME), VOLUME, headers=headers)


def test_the_gate_reads_no_patient_data_into_its_messages() -> None:
    """Violations name keywords, never values."""
    dataset = report()
    dataset.PatientName = "Secret^Name"
    texts = " ".join(v.text for v in conformance.check(dataset, HEADERS))
    assert "PatientName" in texts
    assert "Secret" not in texts
