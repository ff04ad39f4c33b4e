"""Who gets in, on the whole node: allow-lists, the warning where there are none, and TLS in both directions."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicomnode.config import Access, Settings
from dicomnode.config import Node as NodeSettings
from dicomnode.network import sender
from dicomnode.node import warn_of_open_doors
from storage.states import JobState, OutboxState
from tests.factories import ct_series
from tests.node.harness import StubNode, free_port, statuses
from tests.wire.raw_peer import RawPeer, associate

pytestmark = pytest.mark.xdist_group("node")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubNode]:
    """A node that takes instances of two scanners on this machine, called by its own name, and of nobody else."""
    access = {"calling_ae_titles": ["CT1", "CT2"], "networks": ["127.0.0.0/8"], "check_called_ae_title": True}
    node = StubNode(tmp_path_factory.mktemp("guarded"), settings={"access": access})
    node.launch()
    node.wait(lambda: not sender.echo(node.peer("CT1")).reason, 60, "an answer to C-ECHO")
    yield node
    node.stop()


@pytest.mark.parametrize(
    ("calling", "called", "answer"),
    [
        ("CT1", "DICOMNODE", (2,)),
        ("CT2", "DICOMNODE", (2,)),
        ("CT3", "DICOMNODE", (3, 1, 1, 3)),
        ("ct1", "DICOMNODE", (3, 1, 1, 3)),
        ("CT1", "ANYNODE", (3, 1, 1, 7)),
    ],
)
def test_only_the_listed_names_get_in(guarded: StubNode, calling: str, called: str, answer: tuple[int, ...]) -> None:
    """PS3.8 Table 9-21: rejected for good, with the name that is not recognised as the reason."""
    with RawPeer(guarded.port) as peer:
        peer.send(associate(calling=calling, called=called))
        kind, body = peer.read()
    assert (kind, *body[1:4])[: len(answer)] == answer


def test_the_rejected_is_named_in_the_log_and_the_admitted_in_the_audit_log(guarded: StubNode, tmp_path: Path) -> None:
    from storage.audit import Audit

    ct_series(tmp_path, 10, series="guarded")
    assert statuses(guarded.send(tmp_path, "CT1")) == {0x0000}
    assert statuses(guarded.send(tmp_path, "STRANGER")) == {None}
    guarded.wait(lambda: "association from STRANGER" in guarded.log(), 10, "word of the stranger")
    guarded.wait(lambda: any(e.action == "stored" for e in Audit(guarded.database()).entries()), 10, "an audit row")
    stored = [entry for entry in Audit(guarded.database()).entries() if entry.action == "stored"]
    assert stored[-1].actor.startswith("CT1@")
    assert Audit(guarded.database()).verify() is None
    assert not any("PHANTOM" in f"{entry}" for entry in Audit(guarded.database()).entries())


def test_no_patient_is_named_in_the_log(guarded: StubNode, tmp_path: Path) -> None:
    """Name and ID of the patient appear nowhere in what is written at the default level."""
    ct_series(tmp_path, 10, series="private", PatientName="Secret^Person", PatientID="SECRET-ID")
    guarded.send(tmp_path, "CT2")
    guarded.wait(lambda: guarded.finished(1), 60, "end of the job")
    assert "Secret" not in guarded.log()
    assert "SECRET" not in guarded.log()


def test_another_network_is_not_answered(tmp_path: Path) -> None:
    """Once networks are listed, a connection from elsewhere is closed before a byte is read."""
    node = StubNode(tmp_path, settings={"access": {"networks": ["192.0.2.0/24"]}})
    node.launch()
    try:
        node.wait(lambda: "started as process" in node.log(), 60, "the start")
        node.wait(lambda: _is_closed_at_once(node.port), 30, "a closed connection")
    finally:
        node.stop()


def _is_closed_at_once(port: int) -> bool:
    try:
        with RawPeer(port) as peer:
            peer.send(associate())
            return peer.read() == (0, b"")
    except OSError:
        return False


@pytest.mark.parametrize(
    ("host", "access", "warned"),
    [
        ("0.0.0.0", Access(), True),
        ("192.0.2.7", Access(check_called_ae_title=True), True),
        ("0.0.0.0", Access(calling_ae_titles=("CT1",)), False),
        ("0.0.0.0", Access(networks=("192.0.2.0/24",)), False),
        ("127.0.0.1", Access(), False),
        ("::1", Access(), False),
    ],
)
def test_listening_beyond_this_machine_without_a_list_is_warned_of_loudly(
    caplog: pytest.LogCaptureFixture, host: str, access: Access, warned: bool
) -> None:
    """ANYBODY may send: a warning at the start, unless a list of callers or networks is set."""
    warn_of_open_doors(Settings(node=NodeSettings(host=host), access=access))
    assert any("ANYBODY" in record.message and record.levelname == "WARNING" for record in caplog.records) is warned


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt, and keys signed by it for "node", "scanner" and "archive", each named 127.0.0.1; "stranger" is not."""
    folder = tmp_path_factory.mktemp("keys")

    def openssl(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    for name in ("ca", "stranger"):
        openssl(*new, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt")
    for name in ("node", "scanner", "archive"):
        openssl(
            *new, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-subj", f"/CN={name}",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt",
        )  # fmt: skip
    return folder


def test_series_and_results_travel_over_tls_both_ways(
    tmp_path: Path, keys: Path, require_peer: Callable[[str], str]
) -> None:
    """dcmtk sends with a certificate, the results go to dcmtk over TLS; without a known certificate nobody gets in."""
    storescu, storescp = require_peer("storescu"), require_peer("storescp")
    series = tmp_path / "series"
    ct_series(series, 12, series="over tls")
    archive, tls_port = free_port(), free_port()
    (tmp_path / "archive").mkdir()
    secure = ["+tls", keys / "archive.key", keys / "archive.crt", "+cf", keys / "ca.crt", "-rc"]
    with ExitStack() as stack:
        command = [storescp, *secure, "-aet", "ARCHIVE", "-od", tmp_path / "archive", archive]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        process = stack.enter_context(subprocess.Popen([*map(str, command)], env=environment))
        stack.callback(process.terminate)
        node = StubNode(
            tmp_path / "node",
            settings={
                "node": {"tls_port": tls_port},
                "tls": {
                    "certificate": str(keys / "node.crt"),
                    "key": str(keys / "node.key"),
                    "authorities": str(keys / "ca.crt"),
                },
            },
            destinations=[{"name": "pacs", "ae_title": "ARCHIVE", "port": archive, "tls": True}],
        )
        stack.enter_context(node)

        def store_as(name: str) -> int:
            own = ["+tls", keys / f"{name}.key", keys / f"{name}.crt", "+cf", keys / "ca.crt"]
            call = [storescu, *own, "-aec", "DICOMNODE", "127.0.0.1", tls_port, "+sd", series]
            return subprocess.run([*map(str, call)], capture_output=True, timeout=60).returncode

        assert store_as("stranger") != 0
        assert not node.lines()
        assert store_as("scanner") == 0
        node.wait(lambda: node.finished(1), 60, "end of the job")
        (line,) = node.lines()
        assert line.job.state is JobState.BUILT
        node.wait(lambda: {i.state for i in node.results(line.job.id)} == {OutboxState.SENT}, 30, "delivery")
        assert len(list((tmp_path / "archive").iterdir())) == 2
