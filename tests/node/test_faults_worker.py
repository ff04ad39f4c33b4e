"""A worker that is killed, runs out of memory, fails or hangs costs its own job, and nobody else anything."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.joblog import retry
from storage.joblog import Job
from storage.states import JobState
from tests.factories import ct_series, uid
from tests.node.harness import StubNode, statuses

pytestmark = pytest.mark.xdist_group("node")

ATTEMPTS = 2
ADDRESS_SPACE = 3_000_000_000


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubNode]:
    analyse = {"attempts": ATTEMPTS, "time_limit_seconds": 3.0, "memory_limit_bytes": ADDRESS_SPACE}
    with StubNode(tmp_path_factory.mktemp("worker"), settings={"analyse": analyse}) as node:
        yield node


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("die", "the worker stopped without a word: killed, out of memory, or past its time limit"),
        ("hang", "the worker stopped without a word: killed, out of memory, or past its time limit"),
        ("eat", "out of memory: "),
        ("raise", "the judge fails"),
    ],
)
def test_a_fault_in_the_worker_costs_its_job_the_attempts_and_the_listener_nothing(
    node: StubNode, tmp_path: Path, fault: str, reason: str
) -> None:
    """FAILED with the reason after the limit; meanwhile every instance is taken; afterwards the job runs by hand."""
    node.says(fault)
    ct_series(tmp_path / "bad", 12, series=f"bad {fault}")
    node.send(tmp_path / "bad")
    answers, seconds, ends_at = [], [], time.monotonic() + 90
    while _state(node, f"bad {fault}") is not JobState.FAILED and time.monotonic() < ends_at:
        folder = tmp_path / f"other-{len(answers)}"
        ct_series(folder, 2, series=f"other {fault}")
        began = time.monotonic()
        answers += [answer.status for answer in node.send(folder)]
        seconds.append(time.monotonic() - began)
        time.sleep(0.1)
    job = _job(node, f"bad {fault}")
    assert job.state is JobState.FAILED
    assert job.attempts == ATTEMPTS
    assert reason in job.reason
    assert "given up after 2 attempts" in job.reason
    assert set(answers) == {0x0000}
    assert statistics.median(seconds) < 3.0
    node.says("judge")
    assert retry(node.file, job.id) == 0
    node.wait(lambda: _state(node, f"bad {fault}") is JobState.BUILT, 60, "the job, by hand")


def test_a_series_behind_a_job_that_failed_is_judged(node: StubNode, tmp_path: Path) -> None:
    """The next job finds a worker."""
    node.says("judge")
    ct_series(tmp_path / "next", 12, series="next")
    assert statuses(node.send(tmp_path / "next")) == {0x0000}
    node.wait(lambda: _state(node, "next") is JobState.BUILT, 60, "the next job")


def _job(node: StubNode, series: str) -> Job:
    return next(line.job for line in node.lines() if line.job.series_uid == uid(series))


def _state(node: StubNode, series: str) -> JobState | None:
    return next((line.job.state for line in node.lines() if line.job.series_uid == uid(series)), None)


def test_a_stop_during_a_long_job_costs_it_no_attempt(tmp_path: Path) -> None:
    """The job is put back before the worker is killed, and judged after the next start."""
    with StubNode(tmp_path / "node", settings={"analyse": {"attempts": 1, "time_limit_seconds": 60.0}}) as node:
        node.says("hang")
        ct_series(tmp_path / "long", 12, series="long")
        node.send(tmp_path / "long")
        node.wait(lambda: _state(node, "long") is JobState.RUNNING, 30, "the start of the job")
        node.halt()
        job = _job(node, "long")
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)
        assert node.events("job retry")[0].endswith("the node was stopped")
        node.says("judge")
        node.launch()
        node.wait(lambda: _state(node, "long") is JobState.BUILT, 60, "the job, after the next start")
