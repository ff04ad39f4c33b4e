"""DICOM TLS in and out, with dcmtk and raw sockets as peers."""

import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import raw_peer
from raw_peer import RawPeer
from wire_ports import await_port, free_port

from dicomnode.network.outbound import Destination
from dicomnode.network.sender import echo
from dicomnode.network.statuses import Outcome
from dicomnode.network.tls import client_context, server_context


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt, and node, peer (signed by it) and stranger (by itself), each .crt and .key."""
    folder = tmp_path_factory.mktemp("keys")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-addext", names)
    openssl(*new, "-subj", "/CN=authority", "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    openssl(*new, "-subj", "/CN=stranger", "-keyout", folder / "stranger.key", "-out", folder / "stranger.crt")
    signed = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key")
    for name in ("node", "peer"):
        openssl(
            *new, *signed, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"
        )
    return folder


@pytest.fixture
def secure(listen, keys: Path):
    """A listener that wants a certificate of the authority."""
    return listen(tls=server_context(keys / "node.crt", keys / "node.key", keys / "ca.crt"))


def echoscu(require_peer, port: int, *options: object) -> int:
    command = [require_peer("echoscu"), *map(str, options), "-aec", "DICOMNODE", "localhost", str(port)]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


@pytest.mark.peer
def test_dcmtk_with_a_certificate_is_let_in(secure, keys: Path, require_peer) -> None:
    """Mutual authentication with a foreign client; without a certificate of the authority it fails."""
    port = secure[0].port
    assert echoscu(require_peer, port, "+tls", keys / "peer.key", keys / "peer.crt", "+cf", keys / "ca.crt") == 0
    assert (
        echoscu(require_peer, port, "+tls", keys / "stranger.key", keys / "stranger.crt", "+cf", keys / "ca.crt") != 0
    )
    assert echoscu(require_peer, port, "+tla", "+cf", keys / "ca.crt") != 0
    assert echoscu(require_peer, port) != 0


@pytest.mark.peer
@pytest.mark.real
def test_dcmtk_stores_over_tls_byte_for_byte(secure, keys: Path, require_peer, real_data: Path) -> None:
    """A real series over TLS arrives whole."""
    listener, shelf = secure
    command = [
        require_peer("storescu"),
        "+tls",
        str(keys / "peer.key"),
        str(keys / "peer.crt"),
        "+cf",
        str(keys / "ca.crt"),
    ]
    command += ["-aec", "DICOMNODE", "+sd", "localhost", str(listener.port), str(real_data / "ct" / "crlm1006")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert len(shelf.kept) == 51
    assert all(len(data) > 500_000 for _, data in shelf.kept.values())


def test_our_own_client_speaks_tls(secure, keys: Path) -> None:
    """Out and in with the node's own contexts; a name that the certificate lacks is refused unless that is allowed."""
    port = secure[0].port
    ours = (keys / "ca.crt", keys / "peer.crt", keys / "peer.key")
    good = Destination("DICOMNODE", "localhost", port, tls=client_context(*ours))
    assert echo(good).outcome is Outcome.ACCEPTED
    assert (
        echo(Destination("DICOMNODE", "localhost", port, tls=client_context(keys / "ca.crt"))).outcome is Outcome.LATER
    )
    unknown = client_context(keys / "stranger.crt", keys / "peer.crt", keys / "peer.key")
    assert echo(Destination("DICOMNODE", "localhost", port, tls=unknown)).outcome is Outcome.LATER


@pytest.mark.peer
def test_dcmtk_receives_over_tls(keys: Path, require_peer, tmp_path: Path) -> None:
    """Out to a foreign TLS server; one whose certificate nobody vouches for is not trusted."""
    port = free_port()
    command = [require_peer("storescp"), "+tls", keys / "node.key", keys / "node.crt", "+cf", keys / "ca.crt", port]
    process = subprocess.Popen([*map(str, command)], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        await_port(port, process)
        ours = (keys / "peer.crt", keys / "peer.key")
        assert echo(Destination("ANY", "localhost", port, tls=client_context(keys / "ca.crt", *ours))).status == 0
        wrong = client_context(keys / "stranger.crt", *ours)
        assert echo(Destination("ANY", "localhost", port, tls=wrong)).outcome is Outcome.LATER
    finally:
        process.terminate()
        process.wait()


def test_old_tls_is_refused(secure, keys: Path) -> None:
    """BCP 195: nothing below TLS 1.2."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", secure[0].port), 5) as plain, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(plain)


def test_a_silent_peer_on_the_tls_port_delays_nobody(secure, keys: Path) -> None:
    """The handshake waits on the connection's own thread, and not for ever."""
    listener, _ = secure
    ours = client_context(keys / "ca.crt", keys / "peer.crt", keys / "peer.key")
    with RawPeer(listener.port) as silent, RawPeer(listener.port) as plain:
        plain.send(raw_peer.associate())
        started = time.monotonic()
        assert echo(Destination("DICOMNODE", "localhost", listener.port, tls=ours)).status == 0
        assert time.monotonic() - started < 1.5
        assert silent.read()[0] == 0
