"""Listeners for the wire tests, each run over both receive paths: the streaming sink and pynetdicom's own."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wire_intake import Shelf
from wire_ports import QUICK, await_port, free_port

from dicomnode.network.contexts import accepted_contexts
from dicomnode.network.listener import Listener, ListenerSettings

Listen = Callable[..., tuple[Listener, Shelf]]


@pytest.fixture(params=[True, False], ids=["streaming", "stock"])
def streaming(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def listen(streaming: bool) -> Iterator[Listen]:
    """listen(shelf=…, limits=…, access=…, tls=…, others=…) -> a listener on a free port, and its shelf."""
    with ExitStack() as stack:

        def start(
            shelf: Shelf | None = None,
            tls: Any = None,
            others: tuple[str, ...] = (),
            listening: socket.socket | None = None,
            **changes: Any,
        ):
            settings = replace(ListenerSettings("DICOMNODE", port=0, limits=QUICK, streaming=streaming), **changes)
            shelf = shelf or Shelf()
            return stack.enter_context(
                Listener(settings, shelf, accepted_contexts(others=others), tls, listening)
            ), shelf

        yield start


@pytest.fixture
def storescp(require_peer: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., tuple[int, Path]]]:
    """storescp("+B", …) -> port and folder of a dcmtk receiver."""
    with ExitStack() as stack:

        def start(*options: object) -> tuple[int, Path]:
            port, folder = free_port(), tmp_path / "storescp"
            folder.mkdir()
            command = [require_peer("storescp"), *map(str, options), "-aet", "STORESCP", "-od", str(folder), str(port)]
            environment = {**os.environ, "TCP_NODELAY": "1"}
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment))
            stack.callback(process.terminate)
            await_port(port, process)
            return port, folder

        yield start
