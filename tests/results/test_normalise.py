"""The clean copy of a source header, for every kind of bad header that was met."""

from io import BytesIO
from pathlib import Path

import findings_factory as make
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_charset_files
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicomnode.results.normalise import normalise


@pytest.mark.parametrize("sex", ["U", "", "X", "female", "\\"])
def test_a_sex_that_dicom_does_not_know_becomes_empty(sex: str) -> None:
    """M, F and O are the only values of Patient's Sex; highdicom raises for others."""
    assert normalise(make.header(0, PatientSex=sex)).PatientSex == ""


def test_a_sex_in_small_letters_is_understood() -> None:
    """What is meant is kept."""
    assert normalise(make.header(0, PatientSex="m")).PatientSex == "M"


@pytest.mark.parametrize("date", ["00000000", "0000", "20261301", "2026-13-01", "ANON", "20260230"])
def test_a_date_that_is_none_becomes_empty(date: str) -> None:
    """Dates of zeros are what de-identification leaves behind."""
    assert normalise(_raw("StudyDate", date)).StudyDate == ""


def test_a_date_in_the_old_notation_is_understood() -> None:
    """ACR-NEMA wrote 1995.01.31."""
    assert normalise(_raw("StudyDate", "1995.01.31")).StudyDate == "19950131"


def test_missing_type_2_attributes_are_there_and_empty() -> None:
    """Patient and General Study are complete, whatever the source lacked."""
    clean = normalise(Dataset())
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        assert clean[keyword].is_empty
    for keyword in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        assert clean[keyword].is_empty


def test_private_attributes_stay_behind() -> None:
    """At the root and in sequences."""
    header = make.header(0)
    header.add_new(0x00090010, "LO", "ACME")
    header.add_new(0x00091001, "LO", "secret")
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", "one"
    item.add_new(0x00090010, "LO", "ACME")
    header.ProcedureCodeSequence = [item]
    clean = normalise(header)
    assert clean.ProcedureCodeSequence[0].CodeValue == "1"
    assert not any(element.tag.is_private for element in clean.iterall())


def test_a_code_without_a_scheme_is_dropped() -> None:
    """Half a code says nothing, and validators refuse it."""
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "CTABD", "CT abdomen"
    assert "ProcedureCodeSequence" not in normalise(make.header(0, ProcedureCodeSequence=[item]))


def test_what_identifies_is_never_cut() -> None:
    """A shorter accession number would be another one; a shorter name another patient."""
    clean = normalise(make.header(0, AccessionNumber="A" * 20, PatientName="B" * 70, PatientID="C" * 70))
    assert (clean.AccessionNumber, str(clean.PatientName), clean.PatientID) == ("A" * 20, "B" * 70, "C" * 70)


def test_a_description_is_cut_to_what_its_representation_holds() -> None:
    """LO holds 64 characters."""
    assert normalise(make.header(0, StudyDescription="D" * 90)).StudyDescription == "D" * 64


def test_a_list_where_one_value_belongs_is_one_value() -> None:
    """The first value of a description; an identifier stays whole."""
    header = make.header(0, StudyDescription="one\\two", PatientID="A\\B")
    clean = normalise(header)
    assert clean.StudyDescription == "one"
    assert clean.PatientID == "A/B"


@pytest.mark.parametrize("path", sorted(get_charset_files("*.dcm")), ids=lambda p: Path(p).stem)
def test_names_in_every_character_set_survive(path: str) -> None:
    """The name is the one pydicom reads, in ISO_IR 192."""
    source = pydicom.dcmread(path)
    clean = normalise(source)
    assert clean.SpecificCharacterSet == "ISO_IR 192"
    assert str(clean.PatientName) == str(source.get("PatientName", ""))
    assert "\ufffd" not in str(clean.PatientName)


def test_an_empty_first_character_set_is_understood() -> None:
    r"""`\ISO 2022 IR 87` is what Japanese scanners write; highdicom raises for it."""
    header = make.header(0, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=None)
    header.add_new("PatientName", "PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B")
    assert str(normalise(_decode(_encode(header))).PatientName) == "Yamada^Tarou=山田^太郎"


@pytest.mark.parametrize("term", ["ISO_IR 999", "UTF-8     ", "latin1    ", "\\ISO_IR100"])
def test_an_unknown_character_set_loses_no_name(term: str) -> None:
    """What can be read as latin-1 is."""
    encoded = _encode(make.header(0)).replace(b"ISO_IR 100", term.encode())
    assert str(normalise(_decode(encoded)).PatientName) == "Phantom^Synthetic"


KEYWORDS = st.sampled_from(["StudyDescription", "StudyDate", "StudyTime", "PatientAge", "PatientSex"])


@given(st.text(max_size=80), KEYWORDS)
def test_normalising_twice_is_normalising_once(text: str, keyword: str) -> None:
    """What is clean stays as it is, whatever was there before."""
    once = normalise(_raw(keyword, text))
    assert normalise(once) == once


def test_the_source_is_left_as_it_was() -> None:
    """Normalising copies."""
    header = make.header(0, PatientSex="U")
    before = header.to_json()
    normalise(header)
    assert header.to_json() == before


def _raw(keyword: str, value: str) -> Dataset:
    """A header with a value as it comes from a file, which pydicom would not set without a warning."""
    header = make.header(0)
    tag = Tag(keyword)
    encoded = value.encode("latin-1", "replace")
    header[tag] = RawDataElement(tag, dictionary_VR(tag), len(encoded), encoded, 0, False, True)
    return header


def _encode(header: Dataset) -> bytes:
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, header, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def _decode(encoded: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(encoded), force=True)


def test_a_claim_of_deidentification_without_a_method_is_not_passed_on() -> None:
    """PS3.3 C.7.1.1 requires a method; with one, the claim stays."""
    assert "PatientIdentityRemoved" not in normalise(make.header(0, PatientIdentityRemoved="YES"))
    told = make.header(0, PatientIdentityRemoved="YES", DeidentificationMethod="removed by hand")
    assert normalise(told).PatientIdentityRemoved == "YES"
