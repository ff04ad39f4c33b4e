"""The server: who connects gets a thread, as long as there are not too many."""

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

from dicomnode.network.transport import close

log = logging.getLogger(__name__)


class Server(ThreadedAssociationServer):  # type: ignore[misc]
    """Accepts connections and gives each a thread."""

    request_queue_size = 256
    daemon_threads = True

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        contexts: Iterable[PresentationContext],
        handler: Callable[..., Any],
        *,
        reuse_port: bool,
        most: int,
        welcome: Callable[[str], bool],
    ) -> None:
        self._reuse_port, self._most, self._welcome = reuse_port, most, welcome
        self._open: set[socket.socket] = set()
        self._live: set[Any] = set()
        self._counting = threading.Lock()
        self.stopping = False
        super().__init__(ae, address, ae.ae_title, list(contexts), request_handler=handler)

    def server_bind(self) -> None:
        """With SO_REUSEPORT several processes share the port, and the kernel shares out the connections."""
        if self._reuse_port:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; raises OSError, which drops it, when there are too many or it may not come in."""
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
