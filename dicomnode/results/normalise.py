"""A clean copy of a source header: what is copied into results, whatever state the source is in.

Real headers hold empty first character sets, sexes outside M, F and O, dates of zeros, lists where one value belongs,
private elements and half-filled sequences. A result that inherits them fails validators, and highdicom raises. The copy
is text in ISO_IR 192 (UTF-8), of standard attributes only, in the form their value representation asks for (PS3.5 6.2).

What identifies is never altered: a Patient ID, name or accession number that is too long stays too long. A cut one
would be another patient's.
"""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import cast

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from dicomnode.results import standard

CHARACTER_SET = "ISO_IR 192"

STUDY_MODULES = ("patient", "clinical-trial-subject", "general-study", "patient-study", "clinical-trial-study")
"""Modules whose attributes are the same in every instance of a study and are taken over from the source."""

IDENTITY = frozenset(
    {
        "PatientID",
        "PatientName",
        "IssuerOfPatientID",
        "OtherPatientIDs",
        "OtherPatientNames",
        "AccessionNumber",
        "StudyID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "SOPClassUID",
        "FrameOfReferenceUID",
    }
)
"""Attributes whose value is taken over even when it is too long for its value representation."""

INSTANCE_KEYWORDS = (
    "TimezoneOffsetFromUTC",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "InstanceNumber",
    "AcquisitionNumber",
    "Modality",
    "BodyPartExamined",
    "Laterality",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "InstitutionName",
    "StationName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "PatientPosition",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "RescaleIntercept",
    "RescaleSlope",
)
"""Attributes of series and instance that results are made from."""

_LENGTHS = {"LO": 64, "SH": 16, "CS": 16, "AE": 16, "ST": 1024, "LT": 10240, "IS": 12, "DS": 16, "AS": 4}
_DEPTH = 5


def normalise(header: Dataset) -> Dataset:
    """A new dataset with the study's and the instance's attributes in clean form; `header` is left as it was.

    Every type 2 attribute of the Patient and General Study modules is present, empty where the source tells nothing.
    """
    clean = Dataset()
    for keyword in (*study_keywords(), *INSTANCE_KEYWORDS):
        element = _element(header, keyword)
        if element is not None:
            clean.add(element)
    for module in ("patient", "general-study"):
        for attribute in standard.at_path(module, ()):
            if attribute.type == "2" and attribute.keyword not in clean:
                setattr(clean, attribute.keyword, "")
    _require_complete_sequences(clean)
    _require_method_of_deidentification(clean)
    clean.SpecificCharacterSet = CHARACTER_SET
    return clean


def study_keywords() -> tuple[str, ...]:
    """Keywords of the attributes that are equal throughout a study, in the order of their modules."""
    return tuple(
        dict.fromkeys(
            a.keyword for module in STUDY_MODULES for a in standard.at_path(module, ()) if _is_known(a.keyword)
        )
    )


def _is_known(keyword: str) -> bool:
    return tag_for_keyword(keyword) is not None


def _element(header: Dataset, keyword: str, depth: int = 0) -> DataElement | None:
    """One attribute in clean form; None when it is absent or holds nothing that can be kept."""
    tag = tag_for_keyword(keyword)
    value = _read(header, tag) if tag is not None and tag in header else None
    if value is None or tag is None:
        return None
    representation = dictionary_VR(tag)
    if representation == "SQ":
        items = _items(value, depth) if isinstance(value, Sequence) else []
        return DataElement(tag, "SQ", Sequence(items)) if items else None
    cleaned = _values(value, representation, keyword, dictionary_VM(tag))
    return DataElement(tag, representation, cleaned) if cleaned is not None else None


def _read(header: Dataset, tag: int) -> object | None:
    """A value as pydicom converts it; as latin-1 text where its character set or form forbids that."""
    try:
        return cast(object, header[tag].value)
    except (ValueError, LookupError, TypeError, OverflowError, NotImplementedError):
        raw = header.get_item(tag)
        return raw.value if raw is not None and isinstance(raw.value, bytes) else None


def _items(items: Iterable[Dataset], depth: int) -> list[Dataset]:
    if depth >= _DEPTH:
        return []
    cleaned = []
    for item in items:
        copy = Dataset()
        for tag in sorted(item.keys()):
            keyword = "" if tag.is_private else keyword_for_tag(tag)
            element = _element(item, keyword, depth + 1) if keyword else None
            if element is not None:
                copy.add(element)
        if len(copy):
            cleaned.append(copy)
    return cleaned


def _values(value: object, representation: str, keyword: str, multiplicity: str) -> object | None:
    """The value or values in clean form; None when nothing remains."""
    parts = list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]
    cleaned = [c for c in (_one(part, representation, keyword) for part in parts) if c is not None]
    if multiplicity == "1":
        # An identifier with a backslash in it was split by the reader: what was one value is one value again.
        if keyword in IDENTITY and len(cleaned) > 1:
            return "^".join(str(c) for c in cleaned) if representation == "PN" else "/".join(str(c) for c in cleaned)
        return cleaned[0] if cleaned else None
    if len(cleaned) != len(parts) and not multiplicity.endswith("n"):
        return None
    if multiplicity.isdigit() and len(cleaned) != int(multiplicity):
        return None
    if not cleaned:
        return None
    return cleaned if len(cleaned) > 1 else cleaned[0]


def _one(value: object, representation: str, keyword: str) -> object | None:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    text = "" if value is None else str(value)
    if representation in ("US", "UL", "SS", "SL", "FD", "FL", "UV", "SV"):
        return value if isinstance(value, (int, float)) else None
    if representation in ("OB", "OW", "UN", "AT", "OF", "OD"):
        return None
    text = _printable(text, keep_lines=representation in ("LT", "ST", "UT"))
    if keyword == "TimezoneOffsetFromUTC":
        return text if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", text) else None
    if keyword == "PatientSex":
        return text.upper() if text.upper() in ("M", "F", "O") else None
    form = _received_uid if representation == "UI" and keyword in IDENTITY else _FORMS.get(representation)
    cleaned = form(text) if form else text
    if not cleaned:
        return None
    limit = _LENGTHS.get(representation)
    return cleaned if limit is None or keyword in IDENTITY else cleaned[:limit].rstrip()


def _printable(text: str, keep_lines: bool) -> str:
    kept = "\r\n\t\f" if keep_lines else ""
    text = "".join(c if c in kept or (c.isprintable() and c != "\ufffd") else " " if c.isspace() else "" for c in text)
    return text.encode("utf-8", "ignore").decode("utf-8").replace("\\", "/").strip(" \0")


def _date(text: str) -> str:
    text = re.sub(r"[.\-/]", "", text)
    try:
        return text if len(text) == 8 and date(int(text[:4]), int(text[4:6]), int(text[6:])) else ""
    except ValueError:
        return ""


_TIME = re.compile(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?")


def _time(text: str) -> str:
    text = text.replace(":", "")
    return text if _TIME.fullmatch(text) else ""


def _decimal(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return ""
    if not number.is_finite():
        return ""
    return text if len(text) <= 16 else f"{float(number):.10g}"


def _integer(text: str) -> str:
    return text if re.fullmatch(r"[+-]?\d{1,11}", text) and abs(int(text)) < 2**31 else ""


def _uid(text: str) -> str:
    return text if len(text) <= 64 and re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*", text) else ""


def _received_uid(text: str) -> str:
    """A component with a leading zero is no UID (PS3.5 9.1), but is what the archive knows the study by."""
    return text if len(text) <= 64 and re.fullmatch(r"\d+(\.\d+)*", text, re.ASCII) else ""


def _code_string(text: str) -> str:
    text = text.upper()
    return text if re.fullmatch(r"[A-Z0-9 _]{1,16}", text) else ""


def _age(text: str) -> str:
    return text if re.fullmatch(r"\d{3}[DWMY]", text) else ""


_FORMS = {
    "DA": _date,
    "TM": _time,
    "DS": _decimal,
    "IS": _integer,
    "UI": _uid,
    "CS": _code_string,
    "AS": _age,
}


def _require_complete_sequences(clean: Dataset) -> None:
    """Drops a sequence of which an item lacks what its macro requires: half a code says nothing."""
    for module in STUDY_MODULES:
        for attribute in standard.at_path(module, ()):
            if attribute.keyword in clean and dictionary_VR(attribute.keyword) == "SQ":
                items = clean[attribute.keyword].value
                if not all(_is_complete(item, module, (attribute.keyword,)) for item in items):
                    del clean[attribute.keyword]


def _require_method_of_deidentification(clean: Dataset) -> None:
    """ "Patient identity removed" without a method (1C) claims what nobody can check; the claim is not passed on."""
    if "DeidentificationMethod" not in clean and "DeidentificationMethodCodeSequence" not in clean:
        clean.pop("PatientIdentityRemoved", None)


def _is_code(item: Dataset) -> bool:
    """PS3.3 section 8.8: a short or long value in a scheme, or a URN."""
    return "URNCodeValue" in item or (
        "CodingSchemeDesignator" in item and ("CodeValue" in item or "LongCodeValue" in item)
    )


def _is_complete(item: Dataset, module: str, path: tuple[str, ...]) -> bool:
    for attribute in standard.at_path(module, path):
        if attribute.type == "1" and not item.get(attribute.keyword):
            return False
        if attribute.type == "2" and attribute.keyword not in item:
            return False
    if "CodeMeaning" in item and not _is_code(item):
        return False
    nested = [element for element in item if element.VR == "SQ"]
    return all(_is_complete(child, module, (*path, element.keyword)) for element in nested for child in element.value)
