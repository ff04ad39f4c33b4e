"""DICOMweb archives that refuse, stall, break off, fail or are away: delivered in the end, or shown as refused."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from storage.outbox import OutboxItem
from storage.states import OutboxState
from tests.factories import ct_series
from tests.node.bad_wire import BadWire
from tests.node.harness import StubNode, free_port
from tests.node.stow_archive import StowArchive

pytestmark = pytest.mark.xdist_group("node")

RESULTS = 2
"""A capture and a report."""
GOOD = (200, 0x0000)


class Busy:
    """The first answers of all, then success."""

    def __init__(self, *answers: tuple[int, int]) -> None:
        self._answers = list(answers)

    def __call__(self, _: str) -> tuple[int, int]:
        return self._answers.pop(0) if self._answers else GOOD


VERDICTS: dict[str, Callable[[str], tuple[int, int]]] = {
    "good": lambda _: GOOD,
    "coerces": lambda _: (202, 0xB000),
    "full": Busy((202, 0xA700), (202, 0xA700)),
    "overloaded": Busy((503, 0), (429, 0)),
    "locked": Busy((401, 0), (403, 0)),
    "never": lambda _: (409, 0xC123),
    "forbids": lambda _: (400, 0),
}
FAULTS = {
    "refuses": [("refuse", 0)] * 3,
    "aborts": [("cut", 300), ("cut", 3_000), ("cut", 9_000)],
    "stalls": [("stall", 0), ("stall", 5_000)],
}


@dataclass
class Delivery:
    """One node, one job, and many archives."""

    node: StubNode
    archives: dict[str, StowArchive]
    away: int
    """The port of the archive that is away."""

    def items(self, name: str) -> list[OutboxItem]:
        return [item for item in self.node.results(1) if item.destination == name]

    def states(self, name: str) -> set[OutboxState]:
        return {item.state for item in self.items(name)}

    def wait_for(self, name: str, state: OutboxState, seconds: float = 60.0) -> None:
        self.node.wait(lambda: self.states(name) == {state}, seconds, f"{state} at {name}")


def _place(name: str, port: int) -> dict[str, object]:
    url = f"http://127.0.0.1:{port}/dicom-web"
    return {"name": name, "kind": "stow-rs", "url": url, "timeout_seconds": 2.0, "verify": name != "coerces"}


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    folder = tmp_path_factory.mktemp("stow")
    with ExitStack() as stack:
        archives, places = {}, []
        for name in [*VERDICTS, *FAULTS]:
            archives[name] = stack.enter_context(StowArchive(VERDICTS.get(name, VERDICTS["good"])))
            port = archives[name].port
            if name in FAULTS:
                port = stack.enter_context(BadWire(port, list(FAULTS[name]))).port
            places.append(_place(name, port))
        away = free_port()
        places.append(_place("away", away))
        node = stack.enter_context(StubNode(folder / "node", destinations=places))
        ct_series(folder / "series", 12, rows=64)
        node.send(folder / "series")
        node.wait(lambda: node.finished(1), 60, "end of the job")
        yield Delivery(node, archives, away)


def test_an_archive_that_answers_has_all_and_says_so_while_another_is_away(delivery: Delivery) -> None:
    """Sent, and verified by QIDO-RS; the one that is away has not had a single one."""
    delivery.wait_for("good", OutboxState.VERIFIED, 30)
    assert len(delivery.archives["good"].stores) == RESULTS
    assert delivery.states("away") == {OutboxState.PENDING}


def test_a_warning_counts_as_sent_and_is_shown(delivery: Delivery) -> None:
    delivery.wait_for("coerces", OutboxState.SENT)
    assert {item.last_status for item in delivery.items("coerces")} == {0xB000}
    assert all("warning" in item.last_reason for item in delivery.items("coerces"))


@pytest.mark.parametrize(("name", "status"), [("never", 0xC123), ("forbids", 400)])
def test_a_refusal_for_good_stops_and_is_shown(delivery: Delivery, name: str, status: int) -> None:
    """REJECTED with the status and in words, and never sent a second time."""
    delivery.wait_for(name, OutboxState.REJECTED)
    assert {item.last_status for item in delivery.items(name)} == {status}
    assert all(item.last_reason for item in delivery.items(name))
    delivery.wait_for("full", OutboxState.VERIFIED)
    assert len(delivery.archives[name].stores) == RESULTS


@pytest.mark.parametrize("name", ["full", "overloaded", "locked", "refuses", "aborts", "stalls"])
def test_a_passing_fault_is_outlived(delivery: Delivery, name: str) -> None:
    """Delivered and verified in the end: each result once, and whatever was sent again was the same bytes."""
    delivery.wait_for(name, OutboxState.VERIFIED)
    archive = delivery.archives[name]
    assert archive.kept.keys() == {item.sop_uid for item in delivery.items(name)}
    assert len(set(archive.stores)) == RESULTS


def test_an_archive_that_is_away_for_long_gets_everything_when_it_is_back(delivery: Delivery) -> None:
    """Tried again and again, with the reason shown; delivered once it listens."""
    node = delivery.node
    node.wait(lambda: min(item.attempts for item in delivery.items("away")) >= 3, 60, "attempts")
    assert all("no answer from the DICOMweb service" in item.last_reason for item in delivery.items("away"))
    with StowArchive(port=delivery.away) as archive:
        delivery.wait_for("away", OutboxState.VERIFIED, 30)
        assert len(archive.stores) == RESULTS
