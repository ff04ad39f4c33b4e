"""The header scan: what a path and an arrival need, from hostile bytes, without pixels."""

import io
import random
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomnode.errors import Refuse
from dicomnode.series.header import Header, MalformedHeader, NeedMore, check_command, check_length, check_uid, scan
from dicomnode.series.part10 import SHORTEST_FILL_BYTES, file_meta, lengthened, read_file_header, read_file_meta
from tests.factories import CT_IMAGE, ct_series, ct_slice, write

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
FIELDS = {
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "sop_class_uid": "SOPClassUID",
    "sop_instance_uid": "SOPInstanceUID",
    "instance_number": "InstanceNumber",
    "series_number": "SeriesNumber",
    "acquisition_number": "AcquisitionNumber",
    "rows": "Rows",
    "columns": "Columns",
}


def encoded(dataset: Dataset, transfer_syntax: str = EXPLICIT) -> bytes:
    """The dataset without file meta information, as a C-STORE carries it."""
    from pydicom.filebase import DicomBytesIO

    buffer = DicomBytesIO()
    buffer.is_little_endian = transfer_syntax != BIG
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT
    write_dataset(buffer, dataset)
    content = buffer.getvalue()
    if transfer_syntax != DEFLATED:
        return content
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(content) + squeeze.flush()


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
def test_every_encoding_gives_the_same_header(transfer_syntax: str) -> None:
    """Byte order, VR and deflation make no difference to what is read."""
    dataset = ct_slice(3, SeriesDescription="Foie artériel", SpecificCharacterSet="ISO_IR 100")
    header = scan(encoded(dataset, transfer_syntax), transfer_syntax, final=True)
    assert header.sop_instance_uid == dataset.SOPInstanceUID
    assert header.series_description == "Foie artériel"
    assert (header.rows, header.columns, header.instance_number) == (16, 16, 4)
    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert header.has_pixel_data is True


def test_a_short_prefix_asks_for_more_until_it_is_enough() -> None:
    """Every prefix either asks for more or gives the header of the whole: never a part of a UID."""
    content = encoded(ct_slice())
    whole = scan(content, EXPLICIT)
    answers = []
    for size in range(0, len(content), 3):
        try:
            answers.append(scan(content[:size], EXPLICIT))
        except NeedMore:
            assert not answers, "a longer prefix asked again"
    assert answers
    for header in answers:
        assert (header.study_uid, header.series_uid, header.sop_instance_uid, header.instance_number) == (
            whole.study_uid, whole.series_uid, whole.sop_instance_uid, whole.instance_number)  # fmt: skip


def test_no_pixel_data_is_known_only_at_the_end() -> None:
    """An object without pixels says so when all of it was seen, and not before."""
    dataset = ct_slice()
    del dataset.PixelData
    content = encoded(dataset)
    assert scan(content, EXPLICIT).has_pixel_data is None
    assert scan(content, EXPLICIT, final=True).has_pixel_data is False


@pytest.mark.parametrize("uid", ["../../x", "1.2.3/4", "", "1..2", "1.2.", ".1", "1." + "2" * 63, "1.2\\1.3", "1.2\n"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    """Only digits and dots become a path."""
    with pytest.raises(MalformedHeader):
        check_uid(uid)
    content = encoded(ct_slice(SeriesInstanceUID=None))
    bad = struct.pack("<HH2sH", 0x20, 0x0E, b"UI", len(uid)) + uid.encode()
    at = content.index(struct.pack("<HH2s", 0x20, 0x11, b"IS"))
    with pytest.raises(Refuse) as refused:
        scan(content[:at] + bad + content[at:], EXPLICIT, final=True)
    assert refused.value.status == 0xC000


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_missing_uid_is_refused(keyword: str) -> None:
    """Without its four UIDs an instance has no place."""
    dataset = ct_slice()
    delattr(dataset, keyword)
    with pytest.raises(MalformedHeader, match="missing"):
        scan(encoded(dataset), EXPLICIT, final=True)


def test_two_different_series_uids_in_one_object_are_refused() -> None:
    """An object that lies in two series would be looked up in the one and stored in the other."""
    content = encoded(ct_slice())
    second = struct.pack("<HH2sH", 0x20, 0x0E, b"UI", 4) + b"1.2\0"
    with pytest.raises(MalformedHeader, match="twice"):
        scan(content[: content.index(b"\x28\x00\x02\x00US")] + second, EXPLICIT, final=True)


def test_the_command_must_name_the_object_that_is_sent() -> None:
    """Another SOP class or instance than the command's is answered 0xA900."""
    header = scan(encoded(ct_slice()), EXPLICIT)
    check_command(header, CT_IMAGE, header.sop_instance_uid)
    for command in [("1.2.840.10008.5.1.4.1.1.4", header.sop_instance_uid), (CT_IMAGE, "1.2.3")]:
        with pytest.raises(MalformedHeader) as refused:
            check_command(header, *command)
        assert refused.value.status == 0xA900


def test_a_truncated_object_is_seen_by_its_length() -> None:
    """Pixel data that end before their declared length are a truncated object; a whole one passes."""
    content = encoded(ct_slice())
    header = scan(content[:2000], EXPLICIT)
    check_length(header, len(content))
    with pytest.raises(MalformedHeader, match="truncated"):
        check_length(header, len(content) - 2)


def test_a_sequence_nested_100_000_deep_costs_a_tenth_of_a_second_and_no_stack() -> None:
    """Nesting is counted, not recursed into; what stands behind it is still found."""
    level = struct.pack("<HH2sHL", 0x08, 0x1111, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    close = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    content = encoded(ct_slice())
    at = content.index(struct.pack("<HH2s", 0x10, 0x10, b"PN"))
    started = time.process_time()
    header = scan(content[:at] + level * 100_000 + close * 100_000 + content[at:], EXPLICIT)
    assert header == replace(scan(content, EXPLICIT), pixel_end=header.pixel_end)
    assert time.process_time() - started < 3


def test_a_delimiter_outside_any_sequence_is_no_dataset_whatever_follows_its_tag() -> None:
    """Not even what looks like the value representation and the length of an ordinary element."""
    element = struct.pack("<HH2sH", 0xFFFE, 0xE000, b"UI", 2) + b"1\0"
    with pytest.raises(MalformedHeader, match="delimiter"):
        scan(element + bytes(16), EXPLICIT, final=True)


def test_implicit_content_of_an_unknown_sequence_is_skipped() -> None:
    """UN of undefined length holds implicit VR (PS3.5 6.2.2 note 4), nested sequences included."""
    inner = struct.pack("<HHL", 0x09, 0x1001, 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    inner += struct.pack("<HHL", 0x09, 0x1002, 4) + b"abcd"
    inner += struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH2sHL", 0x09, 0x1000, b"UN", 0, 0xFFFFFFFF)
    unknown += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    unknown += struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    content = encoded(ct_slice())
    at = content.index(struct.pack("<HH2s", 0x10, 0x10, b"PN"))
    header = scan(content[:at] + unknown + content[at:], EXPLICIT)
    assert header.series_uid == scan(content, EXPLICIT).series_uid


def test_nested_attributes_are_not_taken_for_the_objects_own() -> None:
    """A referenced series' UID inside a sequence never becomes the path."""
    item = Dataset()
    item.SeriesInstanceUID = item.StudyInstanceUID = item.SOPInstanceUID = "1.2.3"
    for undefined in (False, True):
        dataset = ct_slice(ReferencedStudySequence=Items([item]))
        dataset["ReferencedStudySequence"].is_undefined_length = undefined
        assert scan(encoded(dataset), EXPLICIT).series_uid == dataset.SeriesInstanceUID


def test_a_deflate_bomb_is_inflated_only_in_part() -> None:
    """A megabyte of zeros from a kilobyte: refused, at bounded cost."""
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = squeeze.compress(bytes(1 << 28)) + squeeze.flush()
    with pytest.raises(MalformedHeader):
        scan(bomb[: 64 << 10], DEFLATED, final=True)


@given(st.binary(max_size=400), st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]), st.booleans())
def test_any_bytes_give_a_header_or_a_refusal(content: bytes, transfer_syntax: str, final: bool) -> None:
    """Nothing but Header, MalformedHeader and NeedMore ever comes out."""
    _scan_anything(content, transfer_syntax, final)


def _scan_anything(content: bytes, transfer_syntax: str, final: bool) -> bool:
    allowed = (MalformedHeader,) if final else (MalformedHeader, NeedMore)
    try:
        header = scan(content, transfer_syntax, final)
    except allowed:
        return False
    for uid in (header.study_uid, header.series_uid, header.sop_instance_uid, header.sop_class_uid):
        assert set(uid) <= set("0123456789.")
        assert 0 < len(uid) <= 64
    return True


def _mutated(content: bytes, dice: random.Random) -> bytes:
    """Bytes changed, cut out, repeated, or a length field blown up: one to four times."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data))
        match dice.randrange(5):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                data[at : at + 4] = dice.choice(
                    [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\0\xe0", b"\xff\xff\xff\x7f"]
                )
            case 2:
                del data[at : at + dice.randrange(40)]
            case 3:
                data[at:at] = data[dice.randrange(len(data)) :][: dice.randrange(200)]
            case _:
                del data[max(at, 40) :]
    return bytes(data)


def _fuzz(seeds: list[tuple[str, bytes]], count: int) -> tuple[int, float]:
    """(how many mutants still gave a header, the slowest scan in CPU seconds)."""
    dice = random.Random(20240501)
    accepted, slowest = 0, 0.0
    for number in range(count):
        transfer_syntax, content = seeds[number % len(seeds)]
        mutant = _mutated(content, dice)
        started = time.process_time()
        accepted += _scan_anything(mutant, transfer_syntax, final=bool(number % 2))
        slowest = max(slowest, time.process_time() - started)
    return accepted, slowest


def test_20_000_mutated_headers_give_a_header_or_a_refusal() -> None:
    """Mutants of synthetic objects in four encodings: no other exception, no slow one, some of each outcome."""
    syntaxes = (IMPLICIT, EXPLICIT, BIG, DEFLATED)
    accepted, slowest = _fuzz([(s, encoded(ct_slice(), s)[:2000]) for s in syntaxes], 20_000)
    assert 1000 < accepted < 19_000
    assert slowest < 1


@pytest.mark.real
def test_20_000_mutants_of_real_headers_give_a_header_or_a_refusal(real_data: Path) -> None:
    """The same with seeds from real files."""
    seeds = []
    for path in [*sorted((real_data / "robust").iterdir()), *sorted((real_data / "ct").glob("*/*01.dcm"))]:
        content = path.read_bytes()[: 8 << 10]
        transfer_syntax, start = read_file_meta(content)
        seeds.append((transfer_syntax, content[start:]))
    accepted, slowest = _fuzz(seeds, 20_000)
    assert accepted > 1000
    assert slowest < 1


@pytest.mark.real
def test_the_scan_agrees_with_pydicom_on_every_real_file(real_data: Path) -> None:
    """On all real CT and all robust files the fields are pydicom's."""
    checked = 0
    for path in [*(real_data / "ct").glob("*/*.dcm"), *(real_data / "robust").iterdir()]:
        header = read_file_header(path)
        try:
            dataset = dcmread(path, stop_before_pixels=True)
        except RecursionError:
            continue
        for field, keyword in FIELDS.items():
            assert getattr(header, field) == dataset.get(keyword), (path.name, keyword)
        assert header.series_description == (dataset.get("SeriesDescription") or "")
        assert header.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
        checked += 1
    assert checked > 400


def test_file_meta_is_what_pydicom_reads_back(tmp_path: Path) -> None:
    """Preamble and group 2 before the raw dataset make a Part 10 file, the same one each time."""
    dataset = ct_slice()
    meta = file_meta(CT_IMAGE, dataset.SOPInstanceUID, IMPLICIT, "SCANNER")
    assert meta == file_meta(CT_IMAGE, dataset.SOPInstanceUID, IMPLICIT, "SCANNER")
    content = meta + encoded(dataset, IMPLICIT)
    back = dcmread(io.BytesIO(content))
    assert back.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert back.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert back.file_meta.SourceApplicationEntityTitle == "SCANNER"
    assert back.PixelData == dataset.PixelData
    (tmp_path / "a.dcm").write_bytes(content)
    assert read_file_header(tmp_path / "a.dcm") == scan(content[len(meta) :], IMPLICIT)


@given(st.integers(SHORTEST_FILL_BYTES // 2, SHORTEST_FILL_BYTES // 2 + 2100).map(lambda half: 2 * half))
def test_lengthened_file_meta_is_as_long_as_is_asked_and_says_the_same(count: int) -> None:
    """For pydicom and for our own reader; the group length (0002,0000) is right."""
    dataset = ct_slice()
    meta = file_meta(CT_IMAGE, dataset.SOPInstanceUID, IMPLICIT, "SCANNER")
    longer = lengthened(meta, count)
    assert len(longer) == len(meta) + count
    content = longer + encoded(dataset, IMPLICIT)
    assert read_file_meta(content) == (IMPLICIT, len(longer))
    back = dcmread(io.BytesIO(content))
    assert back.PixelData == dataset.PixelData
    assert back.file_meta.FileMetaInformationGroupLength == len(longer) - 144
    assert not any(back.file_meta.PrivateInformation)
    plain = dcmread(io.BytesIO(meta + encoded(dataset, IMPLICIT))).file_meta
    del back.file_meta.PrivateInformation, back.file_meta.PrivateInformationCreatorUID
    back.file_meta.FileMetaInformationGroupLength = plain.FileMetaInformationGroupLength
    assert back.file_meta == plain


def test_a_header_longer_than_the_first_read_is_read_on(tmp_path: Path) -> None:
    """A 300 kB private element before the UIDs only makes the reader read more."""
    dataset = ct_slice()
    dataset.add_new(0x00090010, "LO", "LONG")
    dataset.add_new(0x00091001, "OB", bytes(300_000))
    [path] = write(tmp_path, [dataset])
    assert read_file_header(path).series_uid == dataset.SeriesInstanceUID


@pytest.mark.parametrize("content", [b"", b"x" * 200, bytes(128) + b"DICM", bytes(128) + b"DICM" + b"\2\0\0\0UL"])
def test_what_is_no_dicom_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of something else is a MalformedHeader, not a crash."""
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(MalformedHeader):
        read_file_header(tmp_path / "x")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """A file whose pixels were cut off is recognised from its header and its size."""
    [path, *_] = ct_series(tmp_path, 2)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MalformedHeader, match="truncated"):
        read_file_header(path)


def test_big_endian_is_read(tmp_path: Path) -> None:
    """Explicit VR Big Endian, retired but still stored in archives."""
    [path, *_] = ct_series(tmp_path, 1, transfer_syntax=ExplicitVRBigEndian)
    header = read_file_header(path)
    assert isinstance(header, Header)
    assert header.rows == 16
