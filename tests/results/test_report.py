"""The report: what it says is what was found, in codes that others know."""

from dataclasses import replace

import findings_factory as make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode.errors import Fail
from dicomnode.results import InstanceReference, ResultContext, ResultOptions, codes, compose_declined, report
from dicomnode.results.wording import Words
from inference.findings import Findings, HeaderOpinion, Seconds
from inference.phases import Phase

VOLUME = make.volume()


def reported(findings: Findings, options: ResultOptions | None = None, context: ResultContext | None = None) -> Dataset:
    """The report on the synthetic series, decoded."""
    options = replace(options or ResultOptions(), key_slices=0)
    return make.decode(make.results(findings, VOLUME, options=options, context=context)[-1])


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("phase", [*Phase, None])
def test_what_the_report_says_is_read_back(phase: Phase | None, language: str) -> None:
    """Every field of the findings that a report carries comes back as it was; sentences in its language."""
    findings = make.findings(VOLUME, phase)
    _assert_same(report.read(reported(findings, ResultOptions(language=language))), findings, Words(language))


SHARES = st.lists(st.floats(0.001, 1.0), min_size=4, max_size=4)


@settings(max_examples=25, deadline=None)
@given(SHARES, st.floats(0, 600), st.booleans(), st.sampled_from([True, False, None]), st.sampled_from(["a; b", None]))
def test_any_findings_come_back(
    shares: list[float], seconds: float, told: bool, contrast: bool | None, reason: str | None
) -> None:
    """Whatever the probabilities and the seconds are, and whatever was not measured."""
    total = sum(shares)
    probabilities = {phase: share / total for phase, share in zip(Phase, shares, strict=True)}
    top = max(probabilities, key=lambda p: probabilities[p])
    findings = make.findings(
        VOLUME,
        top,
        probabilities=probabilities,
        confidence=probabilities[top],
        seconds=Seconds(seconds, seconds / 2, seconds * 2) if told else None,
        header=HeaderOpinion(contrast, None, ("contrast agent",)) if told else None,
        disagreement=reason,
        organs=(),
    )
    _assert_same(report.read(reported(findings)), findings, Words("en"))


def _assert_same(read: report.ReportedFindings, findings: Findings, words: Words) -> None:
    uids = [h.SOPInstanceUID for h in make.headers()]
    assert read.phase == findings.phase
    assert read.confidence == pytest.approx(findings.confidence)
    assert dict(read.probabilities) == pytest.approx(dict(findings.probabilities))
    assert (read.seconds is None) == (findings.seconds is None)
    if read.seconds is not None and findings.seconds is not None:
        assert vars(read.seconds) == pytest.approx(vars(findings.seconds))
    said = [None if text is None else words.sentence(text) for text in (findings.reason, findings.disagreement)]
    assert (read.reason, read.disagreement, read.header) == (*said, findings.header)
    assert [k.sop_instance_uid for k in read.key_slices] == [uids[i] for i in findings.key_slices]
    assert read.map_scores.keys() == findings.map_scores.keys()
    for method, score in findings.map_scores.items():
        assert vars(read.map_scores[method]) == pytest.approx(vars(score))
    assert [o.organ for o in read.organs] == [o.organ for o in findings.organs]
    for ours, theirs in zip(read.organs, findings.organs, strict=True):
        assert (ours.median_hu, ours.mean_hu, ours.deviation_hu, ours.volume_ml) == pytest.approx(
            (theirs.median_hu, theirs.mean_hu, theirs.deviation_hu, theirs.volume_ml)
        )
        assert ours.slice.sop_instance_uid == uids[theirs.slice_index]
        assert not theirs.outline or ours.outline[:-1] == theirs.outline
    assert (read.model_name, read.model_version, read.weights_sha256) == (
        findings.model.name,
        findings.model.version,
        findings.model.weights_sha256,
    )


def test_numbers_are_rounded_for_people_and_exact_for_programs() -> None:
    """ "93.0 %" is read; 0.930 to the last digit is computed with."""
    dataset = reported(make.findings(VOLUME))
    series = dataset.ContentSequence[-2].ContentSequence[0]
    item = next(
        i for i in series.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == codes.CERTAINTY.value
    ).MeasuredValueSequence[0]
    assert str(item.NumericValue) == "93.0"
    assert item.FloatingPointValue == pytest.approx(93.0)


def test_an_indeterminate_answer_claims_no_certainty() -> None:
    """Its Finding is "indeterminate", its reason stands beside it, and no phase is named as found."""
    dataset = reported(make.findings(VOLUME, None))
    found = [c.CodeValue for c in _items(dataset, "ConceptCodeSequence")]
    names = [c.CodeValue for c in _items(dataset, "ConceptNameCodeSequence")]
    assert codes.INDETERMINATE.value in found
    assert codes.CERTAINTY.value not in names
    assert codes.REASON.value in names


def test_a_map_that_failed_is_not_shown_as_evidence() -> None:
    """Its Finding says that it failed, not what kind of activation it is."""
    dataset = reported(make.findings(VOLUME))
    found = [c.CodeValue for c in _items(dataset, "ConceptCodeSequence")]
    assert found.count(codes.POOR_MAP.value) == 1
    assert found.count(codes.GRADIENT_CLASS_ACTIVATION.value) == 1


@pytest.mark.parametrize(
    ("option", "sop_class"),
    [("comprehensive", "1.2.840.10008.5.1.4.1.1.88.33"), ("comprehensive 3d", "1.2.840.10008.5.1.4.1.1.88.34")],
)
def test_the_sop_class_is_a_setting(option: str, sop_class: str) -> None:
    """Comprehensive by default; 3D for sites that follow IHE AIR."""
    assert reported(make.findings(VOLUME), ResultOptions(sr_class=option)).SOPClassUID == sop_class


def test_equipment_observer_and_algorithm_tell_the_same() -> None:
    """IHE AIR: Contributing Equipment, TID 1004 and TID 4019 carry the same values."""
    findings = make.findings(VOLUME)
    dataset = reported(findings, context=make.context(device_serial="SN-1"))
    equipment = dataset.ContributingEquipmentSequence[-1]
    told = {i.ConceptNameCodeSequence[0].CodeValue: i for i in _content(dataset)}
    assert equipment.DeviceUID == told[codes.DEVICE_UID.value].UID
    assert told[codes.DEVICE_MODEL.value].TextValue == equipment.ManufacturerModelName == findings.model.name
    assert told[codes.DEVICE_SERIAL.value].TextValue == equipment.DeviceSerialNumber == "SN-1"
    series = next(
        i for i in _content(dataset) if i.ConceptNameCodeSequence[0].CodeValue == codes.ALGORITHM_VERSION.value
    )
    assert series.TextValue == equipment.SoftwareVersions == findings.model.version


def test_a_report_that_supersedes_names_its_predecessor() -> None:
    """A late slice made a new generation."""
    earlier = InstanceReference(make.STUDY, "2.25.8", report.COMPREHENSIVE, "2.25.9")
    dataset = reported(make.findings(VOLUME), context=make.context(generation=2, predecessor=earlier))
    item = dataset.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert item.ReferencedSOPInstanceUID == "2.25.9"


def test_a_report_of_declining_names_no_predecessor() -> None:
    """It includes nothing of the earlier report, which stands: PS3.3 C.17.2."""
    earlier = InstanceReference(make.STUDY, "2.25.8", report.COMPREHENSIVE, "2.25.9")
    context = make.context(generation=2, predecessor=earlier)
    (made,) = compose_declined("too few slices", make.headers(), ResultOptions(declined_report=True), context)
    assert "PredecessorDocumentsSequence" not in make.decode(made)


def test_evidence_lists_what_is_referred_to_and_nothing_else() -> None:
    """A series of 2,000 slices does not make 2,000 references."""
    dataset = reported(make.findings(VOLUME))
    listed = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    slices, pictures = ({i.ReferencedSOPInstanceUID for i in series.ReferencedSOPSequence} for series in listed)
    used = {i.ReferencedSOPInstanceUID for i in _items(dataset.ContentSequence[-2], "ReferencedSOPSequence")}
    assert (slices, len(used)) == (used, 3) or (pictures, len(used)) == (used, 3)
    assert len(slices) + len(pictures) == 4, "three slices and the summary page"


@pytest.mark.parametrize("options", [ResultOptions(), ResultOptions(capture="multi-frame", whole_stack=True)])
def test_the_report_names_its_summary_page(options: ResultOptions) -> None:
    """Where the answer can be seen; one picture of however many."""
    made = make.results(make.findings(VOLUME), VOLUME, options=options)
    dataset = make.decode(made[-1])
    assert report.read(dataset).summary_page == made[0].sop_instance_uid
    named = {i.ReferencedSOPInstanceUID for i in _items(dataset, "ReferencedSOPSequence")}
    assert made[1].sop_instance_uid not in named


def test_a_declined_series_gets_a_report_only_where_asked_for() -> None:
    """With the reason in words, in the language of the options."""
    assert compose_declined("too few slices", make.headers(), ResultOptions(), make.context()) == []
    options = ResultOptions(declined_report=True, language="de")
    (made,) = compose_declined("zu wenige Schichten", make.headers(), options, make.context())
    dataset = make.decode(made)
    assert dataset.SeriesDescription == "KI NICHT BEURTEILT S4"
    assert any("zu wenige Schichten" in i.get("TextValue", "") for i in _content(dataset))


def test_a_declined_report_holds_no_findings() -> None:
    """Reading it as findings is refused."""
    (made,) = compose_declined("a head", make.headers(), ResultOptions(declined_report=True), make.context())
    with pytest.raises(ValueError, match="not a report"):
        report.read(make.decode(made))


def test_a_number_that_is_none_fails() -> None:
    """Nothing is sent rather than "nan %"."""
    with pytest.raises(Fail, match="not a number"):
        reported(make.findings(VOLUME, seconds=Seconds(float("nan"), 1, 2)))


def test_the_same_input_makes_the_same_bytes() -> None:
    """No clock, no random number: a job that runs twice makes the objects it made before."""
    findings = make.findings(VOLUME)
    one, two = (make.results(findings, VOLUME) for _ in range(2))
    assert [o.encoded for o in one] == [o.encoded for o in two]


@pytest.mark.parametrize(
    "change",
    [{"generation": 2}, {"part_index": 1}, {"software_version": "0.2.0"}],
)
def test_another_generation_part_or_version_makes_other_objects(change: dict[str, object]) -> None:
    """No UID is used twice for different content."""
    findings = make.findings(VOLUME)
    one = make.results(findings, VOLUME)
    two = make.results(findings, VOLUME, context=make.context(**change))
    assert not {o.sop_instance_uid for o in one} & {o.sop_instance_uid for o in two}


def test_another_model_makes_other_objects() -> None:
    """The weights' hash is part of every name."""
    cards = (make.card(weights_sha256=sha * 32) for sha in ("ab", "cd"))
    one, two = (make.results(make.findings(VOLUME, model=card), VOLUME) for card in cards)
    assert not {o.sop_instance_uid for o in one} & {o.sop_instance_uid for o in two}


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return [item for element in dataset.iterall() if element.keyword == keyword for item in element.value]


def _content(dataset: Dataset) -> list[Dataset]:
    return [item for item in _items(dataset, "ContentSequence") if "ConceptNameCodeSequence" in item]
