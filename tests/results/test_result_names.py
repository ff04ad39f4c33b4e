"""Names: UIDs are functions of the input, codes fit their attributes."""

from io import BytesIO

import findings_factory as make
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from dicomnode.identity import CT_CLASSES
from dicomnode.results import codes, uids
from dicomnode.series.header import Header
from dicomnode.series.part10 import file_meta
from dicomnode.series.screening import Disposition, Policy, screen

LETTERS = st.characters(exclude_characters="\x1f", exclude_categories=["Cs"])
PARTS = st.lists(st.text(LETTERS, max_size=20), min_size=1, max_size=4)


@given(PARTS)
def test_a_derived_uid_is_a_uid_below_2_25(parts: list[str]) -> None:
    """Whatever it is derived from, it is digits and at most 64 characters."""
    uid = uids.derive(*parts)
    assert uid.startswith("2.25.")
    assert uid[5:].isdigit()
    assert not uid[5:].startswith("0")
    assert len(uid) <= 44


@given(PARTS, PARTS)
def test_different_parts_make_different_uids(one: list[str], other: list[str]) -> None:
    """The same parts make the same UID, others another, however they are cut."""
    assert (uids.derive(*one) == uids.derive(*other)) == (one == other)


@given(st.lists(st.text("0123456789.", min_size=1), min_size=1, unique=True))
def test_a_fingerprint_does_not_depend_on_the_order(names: list[str]) -> None:
    """A part has the same name in whatever order its slices came."""
    assert uids.fingerprint(names) == uids.fingerprint(reversed(names))


def test_retrained_weights_are_another_device() -> None:
    """IHE AIR: a new Device UID for each retrained model."""
    assert uids.device("ab" * 32) != uids.device("cd" * 32)


def test_what_is_received_and_what_is_made_name_one_implementation() -> None:
    """File meta information of both; and the screening of what comes back knows the maker that results carry."""
    made = make.decode(make.results(make.findings(make.volume()), make.volume())[0])
    received = dcmread(BytesIO(file_meta("1.2", "1.3", "1.2.840.10008.1.2.1")), stop_before_pixels=True).file_meta
    for keyword in ("ImplementationClassUID", "ImplementationVersionName"):
        assert made.file_meta[keyword].value == received[keyword].value
    back = Header("1.2", "1.3", "1.4", next(iter(CT_CLASSES)), "1.2.840.10008.1.2", manufacturer=made.Manufacturer)
    assert screen(back, Policy()).disposition is Disposition.OWN


def test_every_code_fits_its_attributes() -> None:
    """Code Value is SH, Code Meaning LO, in both languages."""
    for concept in codes.ALL.values():
        assert 0 < len(concept.value) <= 16, concept
        assert 0 < len(concept.meaning) <= 64, concept
        assert len(concept.german) <= 64, concept


def test_no_two_concepts_share_a_code() -> None:
    """A value of a scheme means one thing."""
    concepts = [c for c in vars(codes).values() if isinstance(c, codes.Concept)]
    keys = [c.key for c in concepts]
    assert len(keys) == len(set(keys))


def test_codes_of_dicom_are_those_of_dicom() -> None:
    """Each DCM code that pydicom's copy of PS3.16 knows bears the meaning it has there."""
    from pydicom.sr._concepts_dict import concepts

    known = {value: meaning for items in concepts["DCM"].values() for value, (meaning, _) in items.items()}
    ours = [c for c in codes.ALL.values() if c.scheme == "DCM"]
    assert len(ours) > 20
    for concept in ours:
        assert known.get(concept.value, concept.meaning).lower() == concept.meaning.lower()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aorta", "15825003"),
        ("portal_vein", "32764006"),
        ("left kidney", "64033007"),
        ("KIDNEY_CORTEX", "50403003"),
        ("renal medulla", "64033007"),
    ],
)
def test_an_organ_is_found_under_its_usual_names(name: str, value: str) -> None:
    """Underscores, case and sides do not matter."""
    found = codes.organ(name)
    assert found is not None
    assert found.value == value


def test_an_unknown_organ_has_no_code() -> None:
    """It is named in words, never by a wrong code."""
    assert codes.organ("flux capacitor") is None


def test_factory_makes_a_volume_that_fits_its_headers() -> None:
    """The synthetic series is consistent in itself."""
    assert len(make.volume()) == len(make.headers())
