"""A wire between node and archive that breaks as it is told."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class BadWire:
    """Forwards connections to `target`; each in turn takes the next fault, and when they are used up it passes.

    A fault is ("refuse", 0), ("cut", n) or ("stall", n): at once, or after n bytes towards the target.
    """

    target: int
    faults: list[tuple[str, int]] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> "BadWire":
        self._server = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.close()

    @property
    def port(self) -> int:
        """Where to connect."""
        return int(self._server.getsockname()[1])

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._server.accept()[0]
                self.connections += 1
                kind, limit = self.faults.pop(0) if self.faults else ("pass", 0)
                threading.Thread(target=self._serve, args=(client, kind, limit), daemon=True).start()

    def _serve(self, client: socket.socket, kind: str, limit: int) -> None:
        with client:
            if kind == "refuse":
                return
            with socket.create_connection(("127.0.0.1", self.target)) as archive:
                threading.Thread(target=_pump, args=(archive, client), daemon=True).start()
                for data in _some(client, limit if kind in ("cut", "stall") else 1 << 60):
                    archive.sendall(data)
                if kind == "stall":
                    self._closing.wait(60)
                # Closing alone would leave the archive waiting: the other thread still reads from this socket.
                with contextlib.suppress(OSError):
                    archive.shutdown(socket.SHUT_RDWR)


def _some(source: socket.socket, limit: int) -> Iterator[bytes]:
    """What comes, up to `limit` bytes."""
    with contextlib.suppress(OSError):
        while limit > 0 and (data := source.recv(min(limit, 65_536))):
            limit -= len(data)
            yield data


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
