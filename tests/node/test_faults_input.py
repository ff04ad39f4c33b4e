"""Bad input over the wire: the right status, or a declined job with a reason; and the node goes on."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomnode.network import sender
from dicomnode.network.archive import files
from dicomnode.series.part10 import read_file_header
from storage.joblog import Job
from storage.states import JobState
from tests.factories import CORONAL, CT_IMAGE, SECONDARY_CAPTURE, ct_datasets, ct_series, ct_slice, uid, write
from tests.node.encoding import encoded
from tests.node.harness import StubNode, statuses
from tests.node.kills import CountingArchive
from tests.wire.raw_peer import RawPeer, store

pytestmark = pytest.mark.xdist_group("node")

CANNOT_UNDERSTAND, MISMATCH = 0xC000, 0xA900


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubNode]:
    folder = tmp_path_factory.mktemp("input")
    with ExitStack() as stack:
        archive = stack.enter_context(CountingArchive(folder / "archive"))
        places = [{"name": "pacs", "ae_title": archive.aet, "port": archive.port}]
        node = StubNode(folder / "node", settings={"analyse": {"attempts": 1}}, destinations=places)
        yield stack.enter_context(node)


def put(node: StubNode, sop_uid: str, data: bytes, sop_class: str = CT_IMAGE) -> int:
    """The status of one C-STORE."""
    with RawPeer(node.port).associated(abstract=sop_class) as peer:
        peer.send(store(sop_uid, data, sop_class=sop_class))
        return peer.status()


def dataset_of(index: int = 0, **attributes: Any) -> tuple[str, bytes]:
    dataset = ct_slice(index, **attributes)
    file_meta = dataset.file_meta
    del dataset.file_meta
    return str(file_meta.MediaStorageSOPInstanceUID), encoded(dataset)


def jobs(node: StubNode, series: object) -> list[Job]:
    """The jobs of a series, oldest first."""
    return [line.job for line in reversed(node.lines()) if line.job.series_uid == uid(series)]


def ended(node: StubNode, series: object, count: int = 1) -> Job:
    """The newest job of a series, once it has so many and they are ended."""

    def done() -> bool:
        found = jobs(node, series)
        return len(found) >= count and found[-1].finished_at is not None

    node.wait(done, 60, f"end of {count} jobs of {series}")
    return jobs(node, series)[-1]


def test_a_truncated_object_is_refused(node: StubNode) -> None:
    """Pixel data that end early: 0xC000, and nothing of it in the spool."""
    sop_uid, data = dataset_of(series="truncated")
    assert put(node, sop_uid, data[:-100]) == CANNOT_UNDERSTAND
    assert not list((node.folder / "var" / "spool").rglob(f"{sop_uid}*"))


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("bad", ["../../x", "1.2/../../../etc", "", "1.2.x", "9" * 65])
def test_uids_that_are_none_are_refused_and_become_no_path(node: StubNode, keyword: str, bad: str) -> None:
    before = {path for path in node.folder.rglob("*") if path.is_dir()}
    dataset = ct_slice(series="bad uids")
    del dataset.file_meta
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pydicom.config.settings._writing_validation_mode", 0)
        dataset[keyword]._value = bad
        data = encoded(dataset)
    assert put(node, str(dataset.SOPInstanceUID), data) == CANNOT_UNDERSTAND
    assert {path for path in node.folder.rglob("*") if path.is_dir()} == before
    assert not (node.folder.parent / "x").exists()


def test_an_instance_uid_that_is_none_is_refused(node: StubNode) -> None:
    """In the command already."""
    _, data = dataset_of(series="bad instance")
    assert put(node, "../../x", data) == CANNOT_UNDERSTAND


def test_a_class_or_instance_that_differs_from_the_command_is_refused(node: StubNode) -> None:
    """0xA900: data set does not match SOP class."""
    sop_uid, data = dataset_of(series="mismatch", SOPClassUID=SECONDARY_CAPTURE)
    assert put(node, sop_uid, data) == MISMATCH
    _, data = dataset_of(series="mismatch")
    assert put(node, "1.2.3.4", data) == MISMATCH


def test_objects_without_pixel_data_are_set_aside_and_their_series_is_declined(node: StubNode, tmp_path: Path) -> None:
    def without(index: int, dataset: Dataset) -> None:
        del dataset.PixelData

    ct_series(tmp_path, 10, series="no pixels", change=without)
    assert statuses(node.send(tmp_path)) == {0x0000}
    job = ended(node, "no pixels")
    assert job.state is JobState.DECLINED
    assert "no pixel data" in job.reason


def test_a_series_of_one_slice_is_declined(node: StubNode, tmp_path: Path) -> None:
    ct_series(tmp_path, 1, series="single")
    assert statuses(node.send(tmp_path)) == {0x0000}
    job = ended(node, "single")
    assert job.state is JobState.DECLINED
    assert "slice" in job.reason


def test_slices_of_two_orientations_are_no_stack(node: StubNode, tmp_path: Path) -> None:
    """Neither half is long enough: declined with a reason, and the node goes on."""

    def turn(index: int, dataset: Dataset) -> None:
        if index % 2:
            dataset.ImageOrientationPatient = list(CORONAL)

    ct_series(tmp_path, 10, series="two orientations", change=turn)
    assert statuses(node.send(tmp_path)) == {0x0000}
    job = ended(node, "two orientations")
    assert job.state is JobState.DECLINED
    assert len(job.reason) > 20


def test_the_same_instances_again_succeed_and_open_no_second_job(node: StubNode, tmp_path: Path) -> None:
    ct_series(tmp_path, 10, series="twice")
    assert statuses(node.send(tmp_path)) == {0x0000}
    ended(node, "twice")
    assert statuses(node.send(tmp_path)) == {0x0000}
    time.sleep(3.0)
    assert len(jobs(node, "twice")) == 1


def test_other_bytes_under_the_same_uid_are_both_kept_and_flagged(node: StubNode, tmp_path: Path) -> None:
    """Two files, both marked as changed, and the next generation judges anew."""
    ct_series(tmp_path / "first", 10, series="changed")
    node.send(tmp_path / "first")
    ended(node, "changed")
    write(tmp_path / "second", [ct_slice(3, series="changed", SeriesDescription="Other bytes")])
    assert statuses(node.send(tmp_path / "second")) == {0x0000}
    job = ended(node, "changed", 2)
    kept = list((node.folder / "var" / "spool").rglob(f"{uid('changed', 3)}_*.dcm"))
    assert len(kept) == 2
    assert job.generation == 2
    from storage.arrivals import Arrivals

    arrived = Arrivals(node.database()).of_series(uid("study"), uid("changed"))
    assert [row.changed for row in arrived].count(True) == 2


def test_a_late_slice_opens_a_generation_whose_report_names_the_one_before(node: StubNode, tmp_path: Path) -> None:
    """Predecessor Documents Sequence of the new report; `jobs show` says which is current."""
    datasets = ct_datasets(12, series="late")
    write(tmp_path / "first", datasets[:11])
    node.send(tmp_path / "first")
    first = ended(node, "late")
    write(tmp_path / "second", datasets[11:])
    node.send(tmp_path / "second")
    second = ended(node, "late", 2)
    assert (second.generation, second.supersedes, second.instance_count) == (2, first.id, 12)
    reports = {job.id: _report(node, job.id) for job in (first, second)}
    (predecessor,) = reports[second.id].PredecessorDocumentsSequence
    (series,) = predecessor.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == reports[first.id].SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in reports[first.id]
    line = next(line for line in node.lines() if line.job.id == first.id)
    assert line.superseded_by == second.id


def _report(node: StubNode, job_id: int) -> Dataset:
    results = node.folder / "var" / "results"
    found = [dcmread(results / item.path) for item in node.results(job_id)]
    return next(dataset for dataset in found if dataset.Modality == "SR")


def test_everything_in_the_robust_folder_is_taken_or_refused_and_costs_nothing(node: StubNode, real_data: Path) -> None:
    """Stored or refused; each series judged or declined with a reason; giant Rows and deep nesting stay cheap."""
    known = {line.job.id for line in node.lines()}
    taken = set()
    for item in files(real_data / "robust"):
        for (_, _, path), answer in sender.send(node.peer("ROBUST"), [item]):
            assert answer.status is not None or answer.outcome == "rejected", (path.name, answer)
            if answer.status == 0x0000:
                taken.add(read_file_header(path).series_uid)
    began = time.monotonic()
    node.wait(lambda: taken <= {line.job.series_uid for line in node.lines()} and node.finished(1), 120, "all jobs")
    assert time.monotonic() - began < 60
    for line in node.lines():
        if line.job.id not in known:
            assert line.job.state in (JobState.BUILT, JobState.DECLINED), line.job
            assert line.job.state is JobState.BUILT or len(line.job.reason) > 15
    (worker,) = node.processes("worker")
    peak = next(text for text in Path(f"/proc/{worker}/status").read_text().splitlines() if text.startswith("VmHWM"))
    assert int(peak.split()[1]) < 700_000
    assert statuses(node.send(real_data / "robust", "AGAIN")) >= {0x0000}
