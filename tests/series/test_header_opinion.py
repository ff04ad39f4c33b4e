"""The header as a second opinion."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomnode.series.header_opinion import read
from inference.phases import Phase


def header(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def usage(phase: str) -> Items:
    return Items([header(ContrastBolusAgentPhase=phase, ContrastBolusAgentAdministered="YES")])


CASES: list[tuple[dict[str, Any], Phase | None, bool | None]] = [
    ({}, None, None),
    ({"SeriesDescription": "ARTERIAL 5mm"}, Phase.ARTERIAL, True),
    ({"SeriesDescription": "Abd", "ProtocolName": "portal venous"}, Phase.PORTAL_VENOUS, True),
    ({"SeriesDescription": "NATIVE", "ProtocolName": "portal venous"}, Phase.UNENHANCED, False),
    ({"ContrastBolusAgent": "OMNI", "ContrastBolusRoute": "IV"}, None, True),
    ({"ContrastBolusAgent": "GASTRO & OMNI", "ContrastBolusRoute": "Oral & IV"}, None, True),
    ({"ContrastBolusAgent": "GASTROGRAFIN", "ContrastBolusRoute": "ORAL"}, None, None),
    ({"ContrastBolusAgent": "OMNI ORAL"}, None, None),
    ({"ContrastBolusAgent": "NONE"}, None, None),
    ({"ContrastBolusAgent": "some brand"}, None, True),
    ({"SeriesDescription": "W/O", "ContrastBolusAgent": "OMNI"}, Phase.UNENHANCED, False),
    ({"StudyDescription": "CT CHEST W CONTRAST"}, None, True),
    ({"StudyDescription": "CT ABDOMEN W/WO"}, None, None),
    ({"StudyDescription": "CT CHEST WITHOUT CONTRAST", "SeriesDescription": "venous"}, Phase.PORTAL_VENOUS, True),
    ({"BodyPartExamined": "TH CT CHEST WO C"}, None, False),
    ({"ProtocolName": "5.8 TAP : 4 HELICES (SANS/THXABDO ART/AP PORT/TARDIF)"}, None, None),
    ({"ContrastBolusUsageSequence": usage("PORTAL_VENOUS")}, Phase.PORTAL_VENOUS, True),
    ({"ContrastBolusUsageSequence": usage("PRE_CONTRAST")}, Phase.UNENHANCED, False),
    ({"ContrastBolusUsageSequence": usage("DELAYED"), "SeriesDescription": "ARTERIAL"}, Phase.DELAYED, True),
    ({"ContrastBolusStartTime": "120000", "AcquisitionTime": "120030"}, Phase.ARTERIAL, True),
    ({"ContrastBolusStartTime": "120000", "AcquisitionTime": "120110.5"}, Phase.PORTAL_VENOUS, True),
    ({"ContrastBolusStartTime": "120000", "AcquisitionTime": "120500"}, Phase.DELAYED, True),
    ({"ContrastBolusStartTime": "120000", "AcquisitionTime": "115500"}, Phase.UNENHANCED, False),
    ({"ContrastBolusStartTime": "080000", "AcquisitionTime": "120500"}, None, None),
    ({"ContrastBolusStartTime": "120000", "AcquisitionTime": "115500", "SeriesDescription": "C+"}, None, True),
    ({"ContrastBolusStartTime": "120000", "AcquisitionTime": "120030", "SeriesDescription": "DELAY"}, None, True),
]


@pytest.mark.parametrize(("attributes", "phase", "contrast"), CASES)
def test_opinions(attributes: dict[str, Any], phase: Phase | None, contrast: bool | None) -> None:
    """The strongest attribute speaks; contradictions name no phase; oral contrast says nothing."""
    opinion = read([header(**attributes)])
    assert (opinion.phase, opinion.contrast) == (phase, contrast)
    assert bool(opinion.evidence) or contrast is None


def test_evidence_never_repeats_free_text() -> None:
    """A name typed into a description or an agent does not come out."""
    opinion = read([header(SeriesDescription="Mustermann arterial", ContrastBolusAgent="Mustermann 100 ml")])
    assert opinion.evidence == ("Series Description: arterial", "Contrast/Bolus Agent: given")
    assert "MUSTERMANN" not in read([header(BodyPartExamined="MUSTERMANN ABDOMEN")]).body_part


def test_the_body_part_is_passed_on_as_one_word() -> None:
    """As the header has it; the picture decides."""
    assert read([header(BodyPartExamined="Head and neck")]).body_part == "HEAD"
    assert read([header(BodyPartExamined="TH CT CHEST WO C")]).body_part == "CHEST"
    assert read([]).body_part == ""


@pytest.mark.real
def test_opinions_on_real_series(real_data: Path) -> None:
    """What a person reads in the same headers; never the contrary of the truth."""
    expected: dict[str, tuple[Phase | None, bool | None]] = {
        "acrin001-abd": (None, None),
        "lfcp0001": (None, False),
        "ctpe0117": (Phase.ARTERIAL, True),
        "ircad17": (None, None),
        "crlm1006": (None, True),
        "crlm1004": (None, True),
        "head-gbm": (None, None),
        "tilt-ge": (None, None),
    }
    for name, answer in expected.items():
        headers = [dcmread(path, stop_before_pixels=True) for path in (real_data / "ct" / name).glob("*.dcm")]
        opinion = read(headers)
        assert (opinion.phase, opinion.contrast) == answer, name
