"""The server: who connects gets a thread, as long as there are not too many.

Several processes may accept on one listening socket, which whoever starts them opens: a peer that connects while one of
them is being started again waits a moment instead of being refused.
"""

import contextlib
import errno
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from dicomnode.network.negotiation import Agreements
from dicomnode.network.transport import close

log = logging.getLogger(__name__)

BACKLOG = 256
"""Connections that wait for somebody to accept them."""
COURTESY_SECONDS = 0.003
"""A process lets the others go first for so long, times the connections it has: the kernel shares out nothing."""
LONGEST_COURTESY_SECONDS = 0.012


def open_port(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)


class Server(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections and gives each a thread."""

    daemon_threads = True

    def __init__(
        self,
        ae: ApplicationEntity,
        listening: socket.socket,
        contexts: Iterable[PresentationContext],
        handler: Callable[..., Any],
        *,
        shared: bool,
        most: int,
        welcome: Callable[[str], bool],
    ) -> None:
        self._listening, self._shared, self._most, self._welcome = listening, shared, most, welcome
        self.socket: socket.socket
        self._open: set[socket.socket] = set()
        self._live: set[Any] = set()
        self._counting = threading.Lock()
        self.stopping = False
        self.agreements = Agreements()
        super().__init__(ae, listening.getsockname()[:2], ae.ae_title, list(contexts), request_handler=handler)

    def server_bind(self) -> None:
        """The port is open already."""
        self.socket.close()
        self.socket = self._listening
        # Another process may have accepted what this one was woken for.
        self.socket.setblocking(False)
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """The port is open already."""

    def server_close(self) -> None:
        """Only this process leaves the port; pynetdicom's own would shut it for all."""
        self.socket.close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; raises OSError, which drops it, when there are too many or it may not come in."""
        if self._shared:
            time.sleep(min(len(self._open) * COURTESY_SECONDS, LONGEST_COURTESY_SECONDS))
        try:
            connection, address = self.socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(0.05)  # without a free descriptor the waiting connection would be offered again at once
            raise
        with self._counting:
            full = len(self._open) >= self._most
            if not full:
                self._open.add(connection)
        if full or not self._welcome(address[0]):
            self.shutdown_request(connection)
            raise ConnectionRefusedError("too many connections" if full else "network not allowed")
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and count it out."""
        with self._counting:
            self._open.discard(request)
        close(request)

    def replace(self, old: socket.socket, new: socket.socket) -> None:
        """The same connection, now wrapped."""
        with self._counting:
            self._open.discard(old)
            self._open.add(new)

    def enter(self, assoc: Any) -> None:
        """An association begins."""
        with self._counting:
            self._live.add(assoc)

    def leave(self, assoc: Any) -> None:
        """An association is over."""
        with self._counting:
            self._live.discard(assoc)

    @property
    def active_associations(self) -> list[Any]:
        """Those that have begun and are not over; pynetdicom looks through all threads for them."""
        with self._counting:
            return list(self._live)

    def connections(self) -> int:
        """Open now, half-open ones included."""
        with self._counting:
            return len(self._open)

    def shutdown(self) -> None:
        """Accept nothing more. pynetdicom's own also strikes the server off its AE's list, where this one is not."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()

    def cut(self) -> None:
        """Close every connection, whatever it is at."""
        with self._counting:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """socketserver would print the traceback, with what is in it, to standard error."""
        log.warning("a connection failed", exc_info=log.isEnabledFor(logging.DEBUG))
