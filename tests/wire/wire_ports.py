"""Ports and limits of the wire tests."""

import socket
import subprocess
import time

from dicomnode.network.transport import Limits

QUICK = Limits(idle_seconds=5.0, request_seconds=2.0)
"""Limits that let a test fail within seconds."""


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until something accepts on the port."""
    for _ in range(200):
        assert process.poll() is None, "the peer ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the peer does not listen")
