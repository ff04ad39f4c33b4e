"""What is judged, set aside or refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.series.header import Header
from dicomnode.series.part10 import read_file_header
from dicomnode.series.screening import Disposition, Policy, screen

CT = Header("1.2", "1.3", "1.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2", modality="CT", has_pixel_data=True)
OTHERS = {
    "not a CT image (SR)": replace(CT, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11", modality="SR"),
    "localizer": replace(CT, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
    "no pixel data": replace(CT, has_pixel_data=False),
    "not CT": replace(CT, modality="MR"),
}


@pytest.mark.parametrize("sop_class", ["", ".1", ".2"])
def test_ct_is_judged(sop_class: str) -> None:
    """CT Image, Enhanced CT and Legacy Converted Enhanced CT; derived ones too."""
    header = replace(CT, sop_class_uid=CT.sop_class_uid + sop_class, image_type=("DERIVED", "SECONDARY", "AXIAL"))
    assert screen(header, Policy()).disposition == "judge"


def test_pixel_data_not_seen_yet_is_no_objection() -> None:
    """A receiver sees only the first bytes."""
    assert screen(replace(CT, has_pixel_data=None), Policy()).disposition is Disposition.JUDGE


@pytest.mark.parametrize("words", OTHERS)
def test_others_are_set_aside_with_a_reason_or_refused(words: str) -> None:
    """By policy; the reason is the same sentence either way."""
    kept, refused = screen(OTHERS[words], Policy()), screen(OTHERS[words], Policy(refuse_others=True))
    assert kept.disposition is Disposition.SET_ASIDE
    assert words in kept.reason
    assert kept.refusal is None
    assert refused.refusal is not None
    assert refused.refusal.reason == kept.reason
    assert refused.refusal.status in (0x0122, 0xA900, 0xC000)


@pytest.mark.parametrize(
    "header",
    [
        replace(CT, manufacturer="dicomnode"),
        replace(CT, model_name="DICOMNODE"),
        replace(CT, equipment=b"..dicomnode.."),
    ],
)
@pytest.mark.parametrize("policy", [Policy(), Policy(refuse_others=True)])
def test_what_the_node_made_is_never_judged_and_never_refused(header: Header, policy: Policy) -> None:
    """By any one of the marks, and although it looks like a CT image."""
    screening = screen(header, policy)
    assert screening.disposition is Disposition.OWN
    assert "this node" in screening.reason


@pytest.mark.real
def test_real_localizers_and_screens_are_set_aside_and_real_ct_is_judged(real_data: Path) -> None:
    """Topogram, surview, dose screens, ultrasound and SR of the wild; every slice of the CT series."""
    asides = {path.name: screen(read_file_header(path), Policy()) for path in (real_data / "robust").iterdir()}
    for part in ("topogram", "GH342", "GH178", "GH179A", "US-YBR", "no-pixel-data", "oob"):
        assert [s.disposition for name, s in asides.items() if part in name] == [Disposition.SET_ASIDE], part
    slices = [read_file_header(path) for path in (real_data / "ct").glob("*/*.dcm")]
    assert {screen(header, Policy()).disposition for header in slices} == {Disposition.JUDGE}
