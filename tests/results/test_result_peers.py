"""What other programs say of the objects: validators of three makers, over synthetic, real and odd sources."""

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import findings_factory as make
import pydicom
import pytest
from pydicom.data import get_charset_files
from pydicom.dataset import Dataset

from dicomnode import pipeline
from dicomnode.config import Settings
from dicomnode.results import ResultObject, ResultOptions, compose_declined
from dicomnode.results.normalise import normalise
from dicomnode.series.part10 import read_file_header
from dicomnode.series.screening import Policy, screen
from dicomnode.worker import judge_with, part_limits
from inference.phases import Phase
from tests.factories import ct_series

pytestmark = pytest.mark.peer
Find = Callable[[str], str]

VOLUME = make.volume()
EVERYTHING = ResultOptions(
    key_slices=1,
    parametric_map=True,
    segmentation=True,
    key_object_selection=True,
    presentation_state=True,
    pdf=True,
)
KINDS = {"capture", "report", "parametric map", "segmentation", "key objects", "presentation state", "pdf"}
PLACED = {"parametric map", "segmentation"}
"""They say where in the patient each frame lies, and are left out where the source does not."""
VARIANTS = {
    "default": ResultOptions(),
    "german, 3d, multi-frame": ResultOptions(language="de", sr_class="comprehensive 3d", capture="multi-frame"),
    "whole stack": ResultOptions(whole_stack=True),
}


def write(made: Sequence[ResultObject], folder: Path) -> list[Path]:
    """The objects as files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:02d}-{o.kind.replace(' ', '-')}.dcm" for index, o in enumerate(made)]
    for path, one in zip(paths, made, strict=True):
        path.write_bytes(one.encoded)
    return paths


def iod_errors(find: Find, path: Path) -> list[str]:
    """Errors of dciodvfy, which checks IODs, modules, types and values."""
    told = subprocess.run([find("dciodvfy"), "-new", str(path)], capture_output=True, text=True, errors="replace")
    return [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]


def template_complaints(find: Find, path: Path) -> list[str]:
    """Errors and warnings of PixelMed's DicomSRValidator, which checks templates and context groups."""
    jar = Path("/usr/share/java/pixelmed.jar")
    # The time goes into compiling 6 MB of XSLT that run once: two fifths are spared without the optimising compiler.
    once = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    limits = [f"-Djdk.xml.xpath{name}=0" for name in ("ExprOpLimit", "ExprGrpLimit", "TotalOpLimit")]
    program = ["-cp", str(jar), "com.pixelmed.validate.DicomSRValidator", "-checkcontentitemorder", "-checktemplateid"]
    command = [find("java"), *once, *limits, *program, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, errors="replace")
    lines = (told.stdout + told.stderr).splitlines()
    assert any("IOD validation complete" in line for line in lines), lines[-5:]
    return [line for line in lines if line.startswith(("Error", "Warning"))]


def dump_complaints(find: Find, path: Path) -> list[str]:
    """What dcmtk's dsrdump says against a report; it knows no UTF-8 of its own, which it says once."""
    told = subprocess.run([find("dsrdump"), str(path)], capture_output=True, text=True, errors="replace")
    lines = told.stderr.splitlines() + ([] if told.returncode == 0 else ["dsrdump failed"])
    return [line for line in lines if "VR checker does not support" not in line]


FALSE_ALARM = re.compile(
    r"E: Error: Attribute value does not conform to data type definition\.\n"
    r"E: +Affected attribute: (?:ContributionDateTime \(0018,a002\), Type DT|.*, Type (?:LO|ST))\n"
    r"E: +Attribute value   : \[(?:\d{14}\+\d{4}|.*[^\x00-\x7f].*)\]\n"
    r"(?:E: +(?:Expected|Maximum).*\n)*E: *\n"
)
"""dcmpschk 3.6.7 takes no plus sign in an offset from UTC, against the format that it prints, and no UTF-8 in text."""


def state_complaints(find: Find, path: Path) -> list[str]:
    """Errors and warnings of dcmpschk, which checks Presentation States; it ends with 0 whatever it finds."""
    told = subprocess.run([find("dcmpschk"), "-v", str(path)], capture_output=True, encoding="utf-8", errors="replace")
    assert "Pass 3" in told.stderr, told.stderr
    said, alarms = FALSE_ALARM.subn("", told.stderr)
    verdicts = ("W: Testing", "W: Test passed", *(["W: Test failed"] if alarms else []))
    lines = [line for line in said.splitlines() if line.startswith(("E:", "W:", "F:"))]
    return [line for line in lines if not line.startswith(verdicts)]


def complaints(find: Find, paths: Sequence[Path], templates: bool = True) -> list[str]:
    """What the validators say against any of the files; the template validator costs seconds a report."""
    found = [f"{p.name}: {line}" for p in paths for line in iod_errors(find, p)]
    for path in (p for p in paths if "report" in p.name):
        found += [f"{path.name}: {line}" for line in dump_complaints(find, path)]
        found += [f"{path.name}: {line}" for line in template_complaints(find, path)] if templates else []
    for path in (p for p in paths if "presentation-state" in p.name):
        found += [f"{path.name}: {line}" for line in state_complaints(find, path)]
    return found


@pytest.mark.parametrize(
    ("variant", "phase"), list(zip(VARIANTS, [Phase.PORTAL_VENOUS, None, Phase.UNENHANCED], strict=True))
)
def test_validators_find_nothing(phase: Phase | None, variant: str, require_peer: Find, tmp_path: Path) -> None:
    """dciodvfy: 0 errors; DicomSRValidator: 0 errors, 0 warnings; dsrdump: clean."""
    made = make.results(make.findings(VOLUME, phase), VOLUME, options=VARIANTS[variant])
    assert complaints(require_peer, write(made, tmp_path)) == []


@pytest.mark.parametrize("language", ["en", "de"])
def test_validators_find_nothing_in_a_declined_report(language: str, require_peer: Find, tmp_path: Path) -> None:
    """TID 2000 is checked like TID 1500."""
    options = ResultOptions(declined_report=True, language=language)
    made = compose_declined("too few slices", make.headers(), options, make.context())
    assert complaints(require_peer, write(made, tmp_path)) == []


UNREAD = {
    "MR": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"},
    "PET": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT"},
    "localizer": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "no pixel data": {"PixelData": None},
    "others removed": {},
}
"""Attributes of a series that is declined before it is read."""


@pytest.mark.parametrize(("kind", "language"), list(zip(UNREAD, ["en", "de", "de", "en", "de"], strict=True)))
def test_validators_find_nothing_in_a_report_of_a_series_that_was_not_read(
    kind: str, language: str, require_peer: Find, tmp_path: Path
) -> None:
    """From the file to the report, as the worker goes; dcentvfy finds one patient and one study."""
    sources = ct_series(tmp_path / "in", 1, **UNREAD[kind])
    reason = screen(read_file_header(sources[0]), Policy()).reason or "The whole series must be sent again."
    options = ResultOptions(declined_report=True, language=language)
    (made,) = pipeline.compose([pipeline.decline(sources, reason)], options, make.context(), {})
    paths = write(made, tmp_path / "out")
    assert len(paths) == 1
    assert complaints(require_peer, paths, templates=kind in ("MR", "localizer")) == []
    assert new_inconsistencies(require_peer, sources, paths) == []


def test_the_html_of_a_report_reads_as_a_report(require_peer: Find, tmp_path: Path) -> None:
    """dsr2html writes label and value on their own lines: containers are SEPARATE."""
    (path,) = write(make.results(make.findings(VOLUME), VOLUME)[-1:], tmp_path)
    html = subprocess.run([require_peer("dsr2html"), str(path)], capture_output=True, text=True, check=True).stdout
    for words in ("portal venous phase", "Certainty of Finding:", "93.0 %", "Not for diagnostic use", "72 s"):
        assert words in html


DECLINED = {"head-gbm", "tilt-ge"}
SERIES = ["acrin001-abd", "crlm1004", "crlm1006", "ctpe0117", "ircad17", "lfcp0001", *sorted(DECLINED)]
FULL = replace(EVERYTHING, capture="multi-frame", language="de", sr_class="comprehensive 3d", declined_report=True)
"""Everything that is off by default."""


@pytest.mark.real
@pytest.mark.parametrize("name", SERIES)
def test_results_of_a_real_series_fit_into_its_study(
    name: str, real_data: Path, require_peer: Find, tmp_path: Path
) -> None:
    """As the shipped models judge it, organs included: validators find nothing, and dcentvfy one patient and study.

    By default, and with everything on; every report is read by all three makers' validators.
    """
    sources = sorted((real_data / "ct" / name).glob("*.dcm"))
    (outcome,) = pipeline.analyse(sources, judge_with(Settings()), part_limits(Settings()))
    plain = results_of(outcome, ResultOptions(declined_report=True))
    full = results_of(outcome, FULL)
    placed = all("FrameOfReferenceUID" in header for header in outcome.part.headers)  # ircad17 came without one
    assert {o.kind for o in plain} == ({"report"} if name in DECLINED else {"capture", "report"})
    assert {o.kind for o in full} == ({"report"} if name in DECLINED else KINDS if placed else KINDS - PLACED)
    paths = [*write(plain, tmp_path / "plain"), *write(full, tmp_path / "full")]
    assert complaints(require_peer, paths) == []
    assert new_inconsistencies(require_peer, sources, paths) == []


def results_of(outcome: pipeline.Outcome, options: ResultOptions) -> list[ResultObject]:
    """The objects as the worker makes them."""
    (objects,) = pipeline.compose([outcome], options, make.context(), {})
    return objects


def new_inconsistencies(find: Find, sources: Sequence[Path], results: Sequence[Path]) -> list[str]:
    """What dcentvfy says of source and results together, less what it says of the source alone."""

    def told(paths: Sequence[Path]) -> set[str]:
        run = subprocess.run([find("dcentvfy"), *map(str, paths)], capture_output=True, text=True, errors="replace")
        return {line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")}

    return sorted(told([*sources[:3], *results]) - told(sources[:3]))


def odd_headers() -> list[Path]:
    """pydicom's files in other character sets."""
    return [Path(p) for p in sorted(get_charset_files("*.dcm"))]


@pytest.mark.parametrize("path", odd_headers(), ids=lambda p: p.stem)
def test_a_series_with_names_in_any_character_set_has_clean_results(
    path: Path, require_peer: Find, tmp_path: Path
) -> None:
    """The name of a charset file on a CT header."""
    named = pydicom.dcmread(path, stop_before_pixels=True)
    headers = [_renamed(header, named) for header in make.headers()]
    options = ResultOptions(key_slices=1)
    made = make.results(make.findings(VOLUME), VOLUME, headers=headers, options=options)
    assert "PatientName" not in named or make.decode(made[-1]).PatientName == normalise(named).PatientName
    assert complaints(require_peer, write(made, tmp_path), templates=False) == []


def _renamed(header: Dataset, named: Dataset) -> Dataset:
    header.SpecificCharacterSet = named.get("SpecificCharacterSet", "")
    if "PatientName" in named:
        header.PatientName = named.PatientName
    return header


@pytest.mark.real
def test_every_odd_header_has_clean_results(real_data: Path, require_peer: Find, tmp_path: Path) -> None:
    """Sent all the same: whatever header could be read and has the UIDs that a result needs."""
    found: list[str] = []
    judged = 0
    for number, path in enumerate(sorted((real_data / "robust").iterdir())):
        headers = _like(path)
        if headers is None:
            continue
        judged += 1
        options = ResultOptions(key_slices=1)
        made = make.results(make.findings(VOLUME), VOLUME, headers=headers, options=options)
        found += [
            f"{path.name}: {line}"
            for line in complaints(require_peer, write(made, tmp_path / str(number)), templates=False)
        ]
    assert found == []
    assert judged > 20


def _like(path: Path) -> list[Dataset] | None:
    """The synthetic series with an odd file's header; None where the file cannot be read or names no study."""
    try:
        odd = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except RecursionError:
        return None
    if not normalise(odd).get("StudyInstanceUID"):
        return None
    headers = []
    for header in make.headers():
        copy = Dataset()
        copy.update(odd)
        copy.SpecificCharacterSet = odd.get("SpecificCharacterSet", "")
        for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "Columns", "SeriesInstanceUID"):
            setattr(copy, keyword, header[keyword].value)
        copy.pop("NumberOfFrames", None)
        headers.append(copy)
    return headers


STRANGE: dict[str, dict[str, object]] = {
    "sex U": {"PatientSex": "U"},
    "no type 2": dict.fromkeys(("PatientName", "PatientID", "PatientSex", "StudyTime", "StudyID", "AccessionNumber")),
    "64 characters": {"PatientName": "N" * 64, "StudyDescription": "D" * 64},
    "empty StudyID": {"StudyID": ""},
    "no frame of reference": {"FrameOfReferenceUID": None, "PositionReferenceIndicator": None},
    "no series number": {"SeriesNumber": None},
    "no manufacturer": {"Manufacturer": None},
    "no spacing": {"PixelSpacing": None},
    "dates of zeros": {"StudyDate": "00000000", "PatientBirthDate": "00000000"},
    "Japanese": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    "with an offset": {"TimezoneOffsetFromUTC": "+0900"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_header_is_no_reason_to_send_nothing(name: str, require_peer: Find, tmp_path: Path) -> None:
    """Each has clean results, single-frame and multi-frame."""
    headers = make.headers(**STRANGE[name])
    for capture in ("single-frame", "multi-frame"):
        options = ResultOptions(capture=capture, key_slices=1)
        made = make.results(make.findings(VOLUME), VOLUME, headers=headers, options=options)
        assert complaints(require_peer, write(made, tmp_path / capture), templates=False) == []
