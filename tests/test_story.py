"""The way of a series, from the first byte to the archive's word that it keeps the results; and every step twice."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode import pipeline
from dicomnode.errors import Fail
from inference.errors import CannotJudge
from inference.findings import Findings
from inference.volume import Volume
from storage.states import JobState, OutboxState
from tests.factories import ct_series
from tests.story import Said, Story

COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "node")


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return ct_series(tmp_path / "in", 12, rows=64)


def _states(story: Story) -> list[JobState]:
    return [line.job.state for line in story.jobs.list()]


def test_a_series_comes_back_into_its_study(story: Story, series: list[Path]) -> None:
    """Received, closed, judged, delivered and confirmed: pictures and one report lie in the study they came from."""
    assert set(story.receive(series)) == {0x0000}
    story.assemble()
    story.work()
    story.deliver()
    (line,) = story.jobs.list()
    assert (line.job.state, line.delivered) == (JobState.BUILT, True)
    assert "no association is open" in line.job.closed_reason
    objects = [dcmread(BytesIO(encoded)) for encoded in story.archive.values()]
    assert {made.StudyInstanceUID for made in objects} == {line.job.study_uid}
    assert sum(made.SOPClassUID == COMPREHENSIVE_SR for made in objects) == 1
    items = story.outbox.of_job(line.job.id)
    story.outbox.asked([item.id for item in items], transaction_uid="2.25.1", now=story.now)
    pipeline.confirm("2.25.1", [item.sop_uid for item in items], [], story.outbox, story.now)
    assert {item.state for item in story.outbox.of_job(line.job.id)} == {OutboxState.COMMITTED}


def test_every_verb_may_run_twice(story: Story, series: list[Path]) -> None:
    """Receiving, judging and sending the same again adds nothing and changes no byte."""
    for _ in range(2):
        story.receive(series)
        story.assemble()
        story.work()
        story.deliver()
    first = dict(story.archive)
    story.jobs.requeue_by_hand(1, now=story.now)
    story.work()
    story.deliver()
    assert story.archive == first
    assert _states(story) == [JobState.BUILT]


def test_results_that_come_back_start_no_loop(story: Story, series: list[Path], tmp_path: Path) -> None:
    """A PACS that routes everything sends the node its own objects: they are kept, and no job is made of them."""
    story.receive(series)
    story.assemble()
    story.work()
    story.deliver()
    returned = [tmp_path / f"{number}.dcm" for number in range(len(story.archive))]
    for path, encoded in zip(returned, story.archive.values(), strict=True):
        path.write_bytes(encoded)
    assert set(story.receive(returned)) == {0x0000}
    story.assemble()
    assert len(story.jobs.list()) == 1


def test_a_late_slice_opens_the_next_generation(story: Story, series: list[Path]) -> None:
    """Its report names the one that it takes the place of, and the job log knows which is current."""
    for paths in (series[:-1], series[-1:]):
        story.receive(paths)
        story.assemble()
        story.work()
        story.deliver()
    newer, older = story.jobs.list()
    assert (newer.job.generation, newer.job.supersedes, older.superseded_by) == (2, older.job.id, newer.job.id)
    reports = [dcmread(BytesIO(made)) for made in story.archive.values()]
    reports = [made for made in reports if made.SOPClassUID == COMPREHENSIVE_SR]
    (superseding,) = [made for made in reports if "PredecessorDocumentsSequence" in made]
    (named,) = superseding.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID in {made.SOPInstanceUID for made in reports if made is not superseding}


def test_what_cannot_be_judged_is_declined_with_the_reason(tmp_path: Path, series: list[Path]) -> None:
    """The reason is the one that the judgement gave."""

    def head(volume: Volume) -> Findings:
        raise CannotJudge("The images show a head.")

    story = Story(tmp_path / "node", head)
    story.receive(series)
    story.assemble()
    story.work()
    (line,) = story.jobs.list()
    assert (line.job.state, line.job.reason) == (JobState.DECLINED, "The images show a head.")
    assert story.outbox.of_job(line.job.id) == []


@pytest.mark.parametrize(
    ("attributes", "slices", "said"),
    [
        ({}, 1, "1 slice"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, 2, "localizer"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}, 12, "not a CT image"),
        ({"PixelData": None}, 12, "no pixel data"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, 12, "not axial"),
    ],
    ids=["one slice", "localizer", "not CT", "no pixel data", "sagittal"],
)
def test_every_series_has_a_job_that_says_what_became_of_it(
    story: Story, tmp_path: Path, attributes: dict[str, object], slices: int, said: str
) -> None:
    """What can never be judged is declined too, in words, instead of being passed over in silence."""
    paths = ct_series(tmp_path / "odd", slices, rows=64, **attributes)
    assert set(story.receive(paths)) == {0x0000}
    story.assemble()
    story.work()
    (line,) = story.jobs.list()
    assert line.job.state is JobState.DECLINED
    assert said in line.job.reason


def test_other_bytes_under_the_same_uid_are_kept_and_flagged(story: Story, series: list[Path], tmp_path: Path) -> None:
    """Neither version is lost, and the later one makes the next generation."""
    story.receive(series)
    story.assemble()
    story.work()
    changed = ct_series(tmp_path / "changed", 12, rows=64, SeriesDescription="changed")
    assert set(story.receive(changed[:1])) == {0x0000}
    story.assemble()
    job = story.jobs.list()[0].job
    arrived = story.arrivals.of_series(job.study_uid, job.series_uid)
    assert len(arrived) == 13
    assert sum(arrival.changed for arrival in arrived) == 2
    assert job.generation == 2


def test_an_error_costs_one_attempt_and_the_last_one_fails_the_job(tmp_path: Path, series: list[Path]) -> None:
    """After the limit the job is FAILED, with the reason, and nothing was sent."""

    def broken(volume: Volume) -> Findings:
        raise RuntimeError("out of luck")

    story = Story(tmp_path / "node", broken)
    story.receive(series)
    story.assemble()
    while story.work(attempts=2):
        pass
    (line,) = story.jobs.list()
    assert (line.job.state, line.job.attempts) == (JobState.FAILED, 2)
    assert "out of luck" in line.job.reason


def test_the_gate_fails_a_job_at_once(tmp_path: Path, series: list[Path]) -> None:
    """What would fail again is not tried again."""

    def refused(volume: Volume) -> Findings:
        raise Fail("rule 7: a reference leads nowhere")

    story = Story(tmp_path / "node", refused)
    story.receive(series)
    story.assemble()
    story.work()
    (line,) = story.jobs.list()
    assert (line.job.state, line.job.attempts) == (JobState.FAILED, 1)


def test_an_archive_that_is_away_gets_everything_in_the_end(story: Story, series: list[Path]) -> None:
    """Transient answers are tried again; a warning is an acceptance; a refusal stays visible."""
    story.receive(series)
    story.assemble()
    story.work()
    story.answers = [Said("later", None, "no answer")] * 8 + [
        Said("accepted", 0xB000, "coerced"),
        Said("rejected", 0xA900),
    ]
    for _ in range(3):
        story.deliver()
    states = [item.state for item in story.outbox.of_job(1)]
    assert states.count(OutboxState.REJECTED) == 1
    assert states.count(OutboxState.SENT) == len(states) - 1


def test_the_header_never_overrides_the_picture(tmp_path: Path) -> None:
    """Where the two contradict each other the result says so, and the phase stays the picture's."""
    story = Story(tmp_path / "node")
    story.receive(ct_series(tmp_path / "in", 12, rows=64, SeriesDescription="Abdomen NATIV"))
    story.assemble()
    story.work()
    (verdict,) = story.jobs.list()[0].verdicts
    assert verdict.phase == "portal venous"
    assert verdict.disagreement == "header: unenhanced; image: portal venous"
