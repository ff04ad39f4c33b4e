"""The node says who it is in every association, whichever side opened it."""

import socket
import threading
from pathlib import Path

from raw_peer import RawPeer, associate, item

from dicomnode.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.network.outbound import Destination
from dicomnode.network.sender import echo

NAMES = item(0x52, IMPLEMENTATION_CLASS_UID.encode()), item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
"""Sub-items of the User Information, PS3.7 Tables D.3-1 and D.3-3."""


def test_the_listener_names_itself(listen) -> None:
    """In the A-ASSOCIATE-AC."""
    listener, _ = listen()
    with RawPeer(listener.port) as peer:
        peer.send(associate())
        kind, body = peer.read()
    assert kind == 2
    assert all(name in body for name in NAMES)


def test_the_sender_names_itself() -> None:
    """In the A-ASSOCIATE-RQ."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hear() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65_536))

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        echo(Destination("PEER", "127.0.0.1", server.getsockname()[1], connect_seconds=5.0))
        thread.join(5)
    assert asked[0][0] == 1
    assert all(name in asked[0] for name in NAMES)


def test_the_conformance_statement_names_the_implementation() -> None:
    """Both names, as they go over the wire."""
    text = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert f"`{IMPLEMENTATION_CLASS_UID}`" in text
    assert f"`{IMPLEMENTATION_VERSION_NAME}`" in text
