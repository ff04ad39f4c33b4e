"""STOW-RS and QIDO-RS, against a service of a few lines that answers as it is told."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from test_sending import instance

from dicomnode.errors import Retry
from dicomnode.network.statuses import Outcome
from dicomnode.network.stow import WebDestination, instances_present, store
from tests.dicomweb import JsonService


class Service(JsonService):
    """Answers each POST with the next of `answers`; GET lists `listed`."""

    answers: list[tuple[int, dict]]
    listed: list[str]
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.body())
        self.answer(*self.answers.pop(0))

    def do_GET(self) -> None:
        self.answer(200, [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in self.listed])


@pytest.fixture
def service() -> Iterator[tuple[type[Service], WebDestination]]:
    kind = type("Told", (Service,), {"answers": [], "listed": [], "bodies": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kind, WebDestination(f"http://127.0.0.1:{server.server_address[1]}/dicom-web", timeout_seconds=5)
        server.shutdown()


def referenced(tag: str, uid: str, **reason: int) -> dict:
    """The Store Instances Response Module with one item in the sequence `tag`."""
    item = {"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": [uid]}}
    item.update({name.removeprefix("x"): {"vr": "US", "Value": [value]} for name, value in reason.items()})
    return {tag: {"vr": "SQ", "Value": [item]}}


def test_each_instance_has_its_own_answer(service, tmp_path: Path) -> None:
    """Success, warning, failure reason, and HTTP statuses are told apart."""
    kind, destination = service
    items = [instance(tmp_path, number) for number in range(1, 9)]
    kind.answers += [
        (200, referenced("00081199", "1.2.3.1")),
        (202, referenced("00081199", "1.2.3.2", x00081196=0xB007)),
        (202, referenced("00081198", "1.2.3.3", x00081197=0xA700)),
        (409, referenced("00081198", "1.2.3.4", x00081197=0xC000)),
        (503, {}),
        (400, {}),
        (401, {}),
        (409, {}),
    ]
    answers = [answer for _, answer in store(destination, items)]
    assert [(answer.outcome, answer.status) for answer in answers] == [
        (Outcome.ACCEPTED, 0x0000),
        (Outcome.ACCEPTED, 0xB007),
        (Outcome.LATER, 0xA700),
        (Outcome.REJECTED, 0xC000),
        (Outcome.LATER, 503),
        (Outcome.REJECTED, 400),
        (Outcome.LATER, 401),
        (Outcome.REJECTED, 409),
    ]
    assert items[0][2].read_bytes()[132:] in kind.bodies[0]


def test_a_service_that_is_away_is_tried_later(tmp_path: Path) -> None:
    """Storing is LATER, asking is Retry; a broken file is rejected."""
    away = WebDestination("http://127.0.0.1:1/dicom-web", timeout_seconds=2)
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    items = [instance(tmp_path, 1), ("1.2", "1.2.9", tmp_path / "broken.dcm")]
    assert [answer.outcome for _, answer in store(away, items)] == [Outcome.LATER, Outcome.REJECTED]
    with pytest.raises(Retry):
        instances_present(away, "1.2.3", "1.2.3.0", ["1.2.3.1"])


def test_what_is_listed_is_there(service) -> None:
    """Read-back by QIDO-RS."""
    kind, destination = service
    kind.listed += ["1.2.3.1", "1.2.3.7"]
    assert instances_present(destination, "1.2.3", "1.2.3.0", ["1.2.3.1", "1.2.3.2"]) == {"1.2.3.1"}
