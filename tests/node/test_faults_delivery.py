"""Archives that refuse, stall, break off, fail, warn or are away: delivered in the end, or shown as refused."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.outbox import OutboxItem
from storage.states import OutboxState
from tests.factories import ct_series
from tests.node.bad_wire import BadWire
from tests.node.harness import StubNode, free_port
from tests.node.kills import CountingArchive

pytestmark = pytest.mark.xdist_group("node")

RESULTS = 2
"""A capture and a report."""


class Busy:
    """Answers the first `times` stores of all with a failure, then with success."""

    def __init__(self, status: int, times: int) -> None:
        self.status, self.left = status, times

    def __call__(self, _: str) -> int:
        self.left -= 1
        return self.status if self.left >= 0 else 0x0000


@dataclass
class Delivery:
    """One node, one job, and many archives."""

    node: StubNode
    archives: dict[str, CountingArchive]
    away: int
    """The port of the archive that is away."""

    def items(self, name: str) -> list[OutboxItem]:
        """The results for one archive."""
        return [item for item in self.node.results(1) if item.destination == name]

    def states(self, name: str) -> set[OutboxState]:
        return {item.state for item in self.items(name)}

    def wait_sent(self, name: str, seconds: float = 60.0) -> None:
        self.node.wait(lambda: self.states(name) == {OutboxState.SENT}, seconds, f"delivery to {name}")


VERDICTS: dict[str, Callable[[str], int]] = {
    "good": lambda _: 0x0000,
    "coerces": lambda _: 0xB000,
    "discards": lambda _: 0xB006,
    "mismatch": lambda _: 0xB007,
    "full": Busy(0xA700, 2),
    "failing": Busy(0x0110, 2),
    "never": lambda _: 0xC123,
    "forbids": lambda _: 0x0124,
}
FAULTS = {
    "refuses": [("refuse", 0)] * 3,
    "aborts": [("cut", 400), ("cut", 3_000), ("cut", 9_000)],
    "stalls": [("stall", 0), ("stall", 5_000)],
}


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    folder = tmp_path_factory.mktemp("delivery")
    with ExitStack() as stack:
        archives, places = {}, []
        for name in [*VERDICTS, *FAULTS]:
            archive = CountingArchive(folder / name, verdict=VERDICTS.get(name, VERDICTS["good"]))
            archives[name] = stack.enter_context(archive)
            port = archive.port
            if name in FAULTS:
                port = stack.enter_context(BadWire(port, list(FAULTS[name]))).port
            places.append({"name": name, "ae_title": archive.aet, "port": port, "timeout_seconds": 2.0})
        away = free_port()
        places.append({"name": "away", "ae_title": "ARCHIVE", "port": away, "timeout_seconds": 2.0})
        node = StubNode(folder / "node", destinations=places)
        stack.enter_context(node)
        ct_series(folder / "series", 12, rows=64)
        node.send(folder / "series")
        node.wait(lambda: node.finished(1), 60, "end of the job")
        yield Delivery(node, archives, away)


def test_an_archive_that_answers_is_served_while_others_do_not(delivery: Delivery) -> None:
    """The results are with the good archive while another has not had a single one."""
    delivery.wait_sent("good", 30)
    assert delivery.states("away") == {OutboxState.PENDING}


@pytest.mark.parametrize(("name", "status"), [("coerces", 0xB000), ("discards", 0xB006), ("mismatch", 0xB007)])
def test_a_warning_counts_as_sent_and_is_shown(delivery: Delivery, name: str, status: int) -> None:
    delivery.wait_sent(name)
    assert {item.last_status for item in delivery.items(name)} == {status}
    assert all("warning" in item.last_reason for item in delivery.items(name))


@pytest.mark.parametrize(("name", "status"), [("never", 0xC123), ("forbids", 0x0124)])
def test_a_refusal_for_good_stops_and_is_shown(delivery: Delivery, name: str, status: int) -> None:
    """REJECTED with the status and in words, and never sent a second time."""
    delivery.node.wait(lambda: delivery.states(name) == {OutboxState.REJECTED}, 60, "refusal")
    assert {item.last_status for item in delivery.items(name)} == {status}
    assert all(item.last_reason for item in delivery.items(name))
    delivery.wait_sent("full")
    assert len(delivery.archives[name].stores) == RESULTS


@pytest.mark.parametrize("name", ["full", "failing", "refuses", "aborts", "stalls"])
def test_a_passing_fault_is_outlived(delivery: Delivery, name: str) -> None:
    """Delivered in the end: each result once, and whatever was sent again was the same bytes."""
    delivery.wait_sent(name)
    archive = delivery.archives[name]
    assert archive.instances().keys() == {item.sop_uid for item in delivery.items(name)}
    assert len(set(archive.stores)) == RESULTS
    assert max(item.attempts for item in delivery.items(name)) >= 1


def test_an_archive_that_is_away_for_long_gets_everything_when_it_is_back(delivery: Delivery, tmp_path: Path) -> None:
    """Tried again and again, with the reason shown; delivered once it listens."""
    node = delivery.node
    node.wait(lambda: min(item.attempts for item in delivery.items("away")) >= 4, 60, "attempts")
    assert all("cannot be reached" in item.last_reason for item in delivery.items("away"))
    with CountingArchive(tmp_path / "away", port=delivery.away) as archive:
        delivery.wait_sent("away", 30)
        assert len(archive.stores) == RESULTS


def test_the_story_tells_every_failed_attempt(delivery: Delivery) -> None:
    """What happened to each result is in the job's story, with the status."""
    delivery.wait_sent("full")
    texts = delivery.node.events("result later")
    assert any("0xA700" in text for text in texts)
    assert any("0xC123" in text for text in delivery.node.events("result reject"))
