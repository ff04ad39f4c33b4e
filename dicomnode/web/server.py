"""Serves the application until it is told to stop. No access log: addresses may name a patient."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

STOP_SECONDS = 5
"""How long requests may still take after the stop."""


class _Server(uvicorn.Server):
    """Leaves the signals to the role that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(app: Starlette, *, host: str, port: int, stopped: threading.Event) -> None:
    """Answer requests on (host, port) until `stopped`. Raises OSError when the port cannot be had."""
    with contextlib.closing(_bound(host, port)) as listening:
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        server = _Server(config)
        watch = threading.Thread(target=_stop_when, args=(stopped, server), name="stop of the pages", daemon=True)
        watch.start()
        server.run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _stop_when(stopped: threading.Event, server: uvicorn.Server) -> None:
    stopped.wait()
    server.should_exit = True
