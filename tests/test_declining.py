"""Series that are declined before they are read: which of them are answered by a report, and what it says."""

import os
from collections.abc import Sequence
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomnode.results import ResultOptions
from storage.joblog import JobLine
from storage.retention import Retention
from storage.states import JobState, OutboxState, VerdictState
from tests.factories import ENHANCED_CT, SECONDARY_CAPTURE, ct_datasets, ct_series, uid, write
from tests.story import Story

MR = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}
PET = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT"}
LOCALIZER = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
STORAGE = "1.2.840.10008.5.1.4.1.1."
NOT_ANSWERED = {
    "another node's report": {"SOPClassUID": f"{STORAGE}88.33", "Modality": "SR"},
    "a capture": {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "OT"},
    "a capture that says CT": {"SOPClassUID": SECONDARY_CAPTURE},
    "a segmentation": {"SOPClassUID": f"{STORAGE}66.4", "Modality": "SEG"},
    "a presentation state": {"SOPClassUID": f"{STORAGE}11.1", "Modality": "PR"},
    "key objects": {"SOPClassUID": f"{STORAGE}88.59", "Modality": "KO"},
    "a document": {"SOPClassUID": f"{STORAGE}104.1", "Modality": "DOC"},
    "a structure set": {"SOPClassUID": f"{STORAGE}481.3", "Modality": "RTSTRUCT"},
    "a radiograph": {"SOPClassUID": f"{STORAGE}1.1", "Modality": "DX"},
    "a private class": {"SOPClassUID": "1.2.3.4", "Modality": "CT"},
}
REPORTS = ResultOptions(declined_report=True)
REFUSED = "1" * 65
"""A version that the gate lets into no object: LO has 64 characters."""


def told(tmp_path: Path, options: ResultOptions = REPORTS) -> Story:
    """A node that reports what it declines."""
    return Story(tmp_path / "node", options=options)


def end(story: Story, paths: Sequence[Path]) -> JobLine:
    """The job of these files, when it has ended and been delivered."""
    assert set(story.receive(paths)) <= {0x0000}
    story.assemble()
    story.work()
    story.deliver()
    return story.jobs.list()[0]


def reports(story: Story) -> list[Dataset]:
    """What the archive was sent, decoded."""
    return [dcmread(BytesIO(encoded)) for encoded in story.archive.values()]


def said(report: Dataset) -> str:
    """Every text in the findings of a report."""
    items = (item for section in report.ContentSequence for item in section.get("ContentSequence", ()))
    return " ".join(item.get("TextValue", "") for item in items)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (MR, "This object is not a CT image (MR)."),
        (PET, "This object is not a CT image (PT)."),
        (LOCALIZER, "This is a localizer (scout) image."),
        ({"PixelData": None}, "This object has no pixel data."),
        ({"SOPClassUID": ENHANCED_CT, "PixelData": None}, "This object has no pixel data."),
        ({"Modality": "MR"}, "The modality is MR, not CT."),
    ],
    ids=["MR", "PET", "localizer", "no pixels", "enhanced, no pixels", "wrong modality"],
)
def test_a_series_that_was_set_aside_whole_is_answered(tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    """One report in the patient's study that gives the reason of the job, and a row and item as for every series."""
    story = told(tmp_path)
    line = end(story, ct_series(tmp_path / "in", 3, **attributes))
    assert (line.job.state, line.job.reason, line.delivered) == (JobState.DECLINED, reason, True)
    (report,) = reports(story)
    assert reason in said(report)
    assert (report.StudyInstanceUID, report.PatientID) == (uid("study"), "PHANTOM")
    assert report.SeriesDescription == "AI NOT JUDGED S2"
    (verdict,) = line.verdicts
    assert (verdict.part, verdict.state, verdict.reason) == (1, VerdictState.DECLINED, reason)
    assert verdict.findings["report"]["sop_instance_uid"] == report.SOPInstanceUID
    (item,) = story.outbox.of_job(line.job.id)
    assert (item.state, item.sop_uid) == (OutboxState.SENT, report.SOPInstanceUID)


@pytest.mark.parametrize("kind", NOT_ANSWERED)
def test_what_no_scanner_made_is_never_answered(tmp_path: Path, kind: str) -> None:
    """Two nodes that answer each other's results would never stop: declined in the job log, and nothing sent."""
    story = told(tmp_path)
    line = end(story, ct_series(tmp_path / "in", 2, **NOT_ANSWERED[kind]))
    assert line.job.state is JobState.DECLINED
    assert line.job.reason.startswith("This object is not a CT image (")
    assert "eport" not in line.job.reason
    assert [verdict.state for verdict in line.verdicts] == [VerdictState.DECLINED]
    assert story.archive == {}


def test_the_nodes_own_reports_are_not_answered(tmp_path: Path) -> None:
    """A report that it declined comes back: kept, no job, no report; without its marks a job, and no report."""
    story = told(tmp_path)
    end(story, ct_series(tmp_path / "in", 3, **LOCALIZER))
    (report,) = reports(story)
    assert set(story.receive(write(tmp_path / "back", [report]))) == {0x0000}
    story.assemble()
    assert len(story.jobs.list()) == 1
    report.Manufacturer = report.ManufacturerModelName = "Archive"
    del report.ContributingEquipmentSequence
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    line = end(story, write(tmp_path / "stripped", [report]))
    assert (line.job.id, line.job.state) == (2, JobState.DECLINED)
    assert len(story.archive) == 1


def test_without_the_setting_nothing_is_said_and_nothing_read(tmp_path: Path) -> None:
    """The files may as well be gone."""
    story = told(tmp_path, ResultOptions())
    story.receive(ct_series(tmp_path / "in", 3, **LOCALIZER))
    story.spool.remove(Path(path) for path in story.arrivals.known_paths())
    line = end(story, [])
    assert (line.job.state, line.job.reason) == (JobState.DECLINED, "This is a localizer (scout) image.")
    assert story.archive == {}


def test_one_header_is_enough(tmp_path: Path) -> None:
    """All files but the third are gone: the first is passed over, those behind it are not missed."""
    story = told(tmp_path)
    story.receive(ct_series(tmp_path / "in", 20, **MR))
    paths = [Path(path) for path in story.arrivals.known_paths()]
    story.spool.remove(path for index, path in enumerate(paths) if index != 2)
    assert end(story, []).job.state is JobState.DECLINED
    assert len(story.archive) == 1


def test_the_same_job_again_says_the_same(tmp_path: Path) -> None:
    """Byte for byte."""
    story = told(tmp_path)
    end(story, ct_series(tmp_path / "in", 3, **MR))
    first = dict(story.archive)
    story.jobs.requeue_by_hand(1, now=story.now)
    story.work()
    story.deliver()
    assert (story.archive, len(first)) == (first, 1)


def test_what_came_after_the_job_was_closed_is_not_its_reason(tmp_path: Path) -> None:
    """A capture that joins a localizer's series later changes nothing of what is said."""
    story = told(tmp_path)
    localizer, capture = ct_datasets(2, **LOCALIZER)
    capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    paths = write(tmp_path / "in", [localizer, capture])
    story.receive(paths[:1])
    story.assemble()
    line = end(story, paths[1:])
    assert line.job.reason == "This is a localizer (scout) image."


def _removed(story: Story) -> None:
    """Everything that is done with leaves the spool."""
    for path in story.spool.root.rglob("*.dcm"):
        os.utime(path, (0, 0))
    story.now += timedelta(days=2)
    assert Retention(story.database, story.spool, story.results, timedelta(days=1)).step(story.now) == 1


def test_a_slice_that_comes_after_the_others_were_removed_answers_for_the_series(tmp_path: Path) -> None:
    """What is left gives patient and study; the reason says what to do."""
    story = told(tmp_path)
    paths = ct_series(tmp_path / "in", 12, rows=64)
    end(story, paths[:-1])
    _removed(story)
    story.archive.clear()
    line = end(story, paths[-1:])
    reason = (
        "11 of the 12 instances of this series were removed, their time being over. "
        "The whole series must be sent again."
    )
    assert (line.job.state, line.job.generation, line.job.reason) == (JobState.DECLINED, 2, reason)
    (report,) = reports(story)
    assert reason in said(report)
    assert "PredecessorDocumentsSequence" not in report, "the earlier report stands"


@pytest.mark.parametrize("attributes", [{}, LOCALIZER], ids=["judged", "set aside"])
def test_a_series_of_which_nothing_is_left_gets_no_report_and_the_job_log_says_so(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    """Tried again by hand after its time was over."""
    story = told(tmp_path)
    end(story, ct_series(tmp_path / "in", 12, rows=64, **attributes))
    _removed(story)
    story.archive.clear()
    story.jobs.requeue_by_hand(1, now=story.now)
    line = end(story, [])
    assert line.job.state is JobState.DECLINED
    assert line.job.reason.endswith("No report can be sent: no instance is left whose header can be read.")
    assert story.archive == {}


def test_a_report_that_the_gate_refuses_leaves_the_series_declined(tmp_path: Path) -> None:
    """The job log names the rule, and nothing is sent."""
    story = Story(tmp_path / "node", options=REPORTS, version=REFUSED)
    line = end(story, ct_series(tmp_path / "in", 3, **LOCALIZER))
    assert line.job.state is JobState.DECLINED
    assert line.job.reason.startswith("This is a localizer (scout) image. No report is sent: ")
    assert "SoftwareVersions" in line.job.reason
    assert [verdict.reason for verdict in line.verdicts] == ["This is a localizer (scout) image."]
    assert story.archive == {}


def test_a_judged_series_that_the_gate_refuses_still_fails(tmp_path: Path) -> None:
    """Its answer is missing, and an administrator must look."""
    story = Story(tmp_path / "node", options=REPORTS, version=REFUSED)
    assert end(story, ct_series(tmp_path / "in", 12, rows=64)).job.state is JobState.FAILED


@pytest.mark.parametrize(("attributes", "state"), [(LOCALIZER, JobState.DECLINED), ({}, JobState.BUILT)])
@pytest.mark.filterwarnings("ignore")
def test_a_study_whose_uid_has_a_leading_zero_is_answered_under_that_uid(
    tmp_path: Path, attributes: dict[str, Any], state: JobState
) -> None:
    """Not allowed, and met all the same: the archive knows the study by no other name."""
    names = {"StudyInstanceUID": "1.2.03", "FrameOfReferenceUID": "1.2.04", "SeriesInstanceUID": "1.2.05"}
    story = told(tmp_path)
    line = end(story, ct_series(tmp_path / "in", 12, rows=64, **names, **attributes))
    assert (line.job.state, line.job.reason == "", bool(story.archive)) == (state, state is JobState.BUILT, True)
    assert {report.StudyInstanceUID for report in reports(story)} == {"1.2.03"}


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_answer_speaks_the_language_of_the_results(tmp_path: Path, language: str) -> None:
    """The job log stays English."""
    story = told(tmp_path, ResultOptions(declined_report=True, language=language))
    line = end(story, ct_series(tmp_path / "in", 3, **MR))
    german = "Dieses Objekt ist kein CT-Bild (MR)."
    assert said(reports(story)[0]).count(german if language == "de" else line.job.reason) == 1
    assert line.job.reason == "This object is not a CT image (MR)."


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_odd_files_leave_a_row_and_at_most_one_report(tmp_path: Path, real_data: Path) -> None:
    """Each of them that is received has a job that ended DECLINED; reports are made of those that a scanner made."""
    story = told(tmp_path)
    sent: list[str] = []
    for path in sorted((real_data / "robust").iterdir()):
        sent += _received(story, path)
    story.assemble()
    while story.work():
        pass
    story.deliver()
    lines = story.jobs.list(limit=1000)
    assert len(sent) > 20
    assert {line.job.state for line in lines} == {JobState.DECLINED}
    assert 5 < len(story.archive) <= len(lines)


def _received(story: Story, path: Path) -> list[str]:
    """Its name, when the receiver took it."""
    try:
        return [path.name for status in story.receive([path]) if status == 0x0000]
    except Exception:  # what cannot be read is no object to send; what the receiver refuses never gets a job
        return []
