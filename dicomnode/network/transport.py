"""Sockets with limits: what pynetdicom's own do not bound.

pynetdicom reads whatever 32-bit PDU length a peer declares, blocks without limit in the middle of a PDU, shakes hands
for TLS on the thread that accepts, and copies all presentation contexts for each association (24 set-ups a second
instead of several hundred). Instead, for both receive paths and for sending:

    GuardedSocket      refuses a PDU or a message over the cap before reading it, and every wait has an end
    server.Server      one thread a connection, a cap on connections, a shared port, TLS on the connection's own thread
"""

import contextlib
import logging
import os
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from dicomnode.network.commands import A_ABORT_INVALID_PARAMETER
from dicomnode.network.readahead import ReadAhead

log = logging.getLogger(__name__)

SMALLEST_PDU_CAP = 131_072
"""Bytes. An A-ASSOCIATE-RQ with 128 contexts may be that long whatever the node announces for P-DATA."""

PDU_HEAD_BYTES = 6
READ_AHEAD_BYTES = 384 << 10
"""So much of a data set is gathered, besides the PDU that exceeds it, before it is written."""

GLANCE_BYTES = 8 << 10
"""So much is read at once where what is read may have to be moved: some small instance as a whole."""
_LINGER_SECONDS = 1.0

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Offence(ConnectionError):
    """The peer sends what it may not, or more than it may: the association ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener lets peers take of it. Seconds and bytes."""

    pdu_bytes: int = 131_072
    """Announced as Maximum Length (PS3.8 D.1); a longer PDU ends the association before it is read."""
    instance_bytes: int = 4 * 1024**3
    """Longest message as it comes over the wire; a longer one ends the association, and nothing of it is kept."""
    idle_seconds: float = 60.0
    """Longest silence, between messages and within one."""
    request_seconds: float = 15.0
    """From connection to A-ASSOCIATE-RQ, TLS handshake included (ARTIM, PS3.8 9.1.5)."""
    association_seconds: float = 6 * 3600.0
    """Longest association, however busy."""
    associations: int = 64
    """At once, in this process; one more is rejected as transient."""
    associations_per_address: int = 32
    """At once, from one IP address."""
    connections: int = 256
    """At once, in this process, half-open ones included; one more is closed without an answer."""

    @property
    def pdu_cap(self) -> int:
        """Bytes of the longest PDU that is read, of whatever type."""
        return max(self.pdu_bytes, SMALLEST_PDU_CAP)


class GuardedSocket(AssociationSocket):  # type: ignore[misc]
    """pynetdicom's socket, with an end to every wait and a cap on every length."""

    def __init__(self, assoc: Any, limits: Limits, connection: socket.socket | AddressInformation) -> None:
        """`connection` is an accepted one, or the local address to connect from."""
        self._limits = limits
        self._ahead = ReadAhead(READ_AHEAD_BYTES + 2 * (PDU_HEAD_BYTES + limits.pdu_cap))
        self._unanswered = 0
        self._pdu_cap = limits.pdu_cap
        self._stalls = False
        self._ends_at = time.monotonic() + limits.request_seconds
        self._poll = select.poll()
        if isinstance(connection, AddressInformation):
            super().__init__(assoc, address=connection)
        else:
            super().__init__(assoc, client_socket=connection)
            self._arm(connection)

    def connect(self, primitive: T_CONNECT) -> None:
        """As pynetdicom does, which then waits for the peer without limit."""
        super().connect(primitive)
        if self.socket is not None:
            self._arm(self.socket)

    def _arm(self, connection: socket.socket) -> None:
        self._poll.register(connection, select.POLLIN)
        connection.settimeout(self._limits.request_seconds)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stalls = hasattr(socket, "TCP_QUICKACK") and connection.family in _INTERNET

    def established(self) -> None:
        """The association request was accepted: from now on the limits of an association hold."""
        self._ends_at = time.monotonic() + self._limits.association_seconds
        if self.socket is not None:
            self.socket.settimeout(self._limits.idle_seconds)

    @property
    def overdue(self) -> bool:
        """True once the association has lasted as long as it may."""
        return time.monotonic() > self._ends_at

    @property
    def ready(self) -> bool:
        """pynetdicom's question whether there is something to read."""
        if self.overdue:
            self.event_queue.put("Evt17")
            return False
        return self.wait(0.0)

    def wait(self, seconds: float) -> bool:
        """True once there is something to read, the end of the connection included."""
        if self.socket is None or not self._is_connected:
            return False
        if len(self._ahead) or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            return True
        return bool(self._poll.poll(seconds * 1000))

    def recv(self, nr_bytes: int) -> bytearray:
        """All of `nr_bytes`, or fewer at the end of the connection. Raises Offence, TimeoutError, OSError."""
        self.allow(nr_bytes)
        data = bytearray(nr_bytes)
        view = memoryview(data)
        got = len(ahead := self._ahead.view(nr_bytes))
        view[:got] = ahead
        self._ahead.use(got)
        while got < nr_bytes and (count := self._read([view[got:]])):
            got += count
        self._unanswered += got
        return data if got == nr_bytes else data[:got]

    def peek(self, count: int, wait: bool = True) -> memoryview:
        """The next `count` bytes, still to be used; fewer at the end of the connection or, without `wait`, for now.

        Whatever else there is and fits is read along with them. Raises as `recv` does.
        """
        while len(self._ahead) < count and (got := self._read([self._ahead.room(count)], wait)):
            self._ahead.filled(got)
        return self._ahead.view(count)

    def glance(self, count: int, most: int) -> memoryview:
        """As `peek`, or up to `most` bytes if they are there, with little behind them: that is to be read elsewhere."""
        ahead = self._ahead
        if len(ahead) < count:
            ahead.rewind()
            while len(ahead) < count and (got := self._read([ahead.room(count)[:GLANCE_BYTES]])):
                ahead.filled(got)
        return ahead.view(most)

    def read_into(self, view: memoryview, beyond: int) -> int:
        """The next bytes, at least one, straight to their place, and up to `beyond` more for `glance`.

        Raises as `recv` does, and at the end of the connection too.
        """
        ahead, room = self._ahead, len(view)
        if got := min(room, len(ahead)):
            view[:got] = ahead.view(got)
            ahead.use(got)
        else:
            ahead.rewind()
            got = self._read([view, ahead.room(beyond)[:beyond]])
            if got > room:
                ahead.filled(got - room)
                got = room
        if not got:
            raise ConnectionError("the connection ended within a PDU")
        self._unanswered += got
        return got

    def use(self, count: int) -> None:
        """The next `count` bytes, which `peek` showed, are read."""
        self._ahead.use(count)
        self._unanswered += count

    def rewind(self) -> None:
        """What `peek` showed so far is not looked at any more."""
        self._ahead.rewind()

    @property
    def roomy(self) -> bool:
        """Whether `peek` can show another PDU beside what it showed since `rewind`."""
        return self._ahead.roomy(PDU_HEAD_BYTES + self._pdu_cap)

    def _read(self, views: list[memoryview], wait: bool = True) -> int:
        """What there is and fits into `views`, the first of them at least; 0 at the end or, without `wait`, for now."""
        if self.socket is None or self.overdue:
            raise Offence("the association has lasted too long")
        if isinstance(self.socket, ssl.SSLSocket):
            got = self.socket.recv_into(views[0]) if wait or self.wait(0.0) else 0
        else:
            got = self._read_plain(self.socket, views, wait)
        if got and self._stalls:
            self._acknowledge(self.socket)
        return got

    def _read_plain(self, connection: socket.socket, views: list[memoryview], wait: bool) -> int:
        """Tries, then waits; `recv_into` of a socket with a time limit waits first, with one more system call."""
        while True:
            try:
                return os.readv(connection.fileno(), views)
            except BlockingIOError:
                if not wait:
                    return 0
            seconds = connection.gettimeout()
            if not self._poll.poll(None if seconds is None else seconds * 1000):
                raise TimeoutError("the peer is silent")

    def allow(self, count: int) -> None:
        """Raises Offence, after an A-ABORT, if reading `count` more bytes would break a cap."""
        if count > self._pdu_cap:
            self.refuse(f"a PDU of {count} bytes")
        if self._unanswered + count > self._limits.instance_bytes:
            self.refuse(f"a message of more than {self._limits.instance_bytes} bytes")

    def send(self, bytestream: bytes) -> None:
        """What pynetdicom sends, at once; the next message of the peer starts at zero bytes."""
        self._unanswered = 0
        if (sent := self._sent_at_once(bytestream)) < len(bytestream):
            super().send(bytestream[sent:])

    def _sent_at_once(self, data: bytes) -> int:
        """How many bytes went out without waiting, as a rule all: asking first would be one more system call."""
        if self.socket is None or isinstance(self.socket, ssl.SSLSocket):
            return 0
        try:
            return os.write(self.socket.fileno(), data)
        except OSError:
            return 0

    def refuse(self, what: str) -> NoReturn:
        """End the association with an A-ABORT. Raises Offence."""
        log.warning("association ended by the node: the peer sends %s", what)
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.sendall(A_ABORT_INVALID_PARAMETER)
        raise Offence(what)

    def cut(self) -> None:
        """End the connection from another thread: whoever waits for the peer wakes up."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def linger(self) -> None:
        """Nothing more from us; the peer gets a moment to read what was sent last: closing on unread bytes resets."""
        if self.socket is None:
            return
        ends_at = time.monotonic() + _LINGER_SECONDS
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            while (left := ends_at - time.monotonic()) > 0 and self._poll.poll(left * 1000):
                if not self.socket.recv(65_536):
                    return

    def _acknowledge(self, connection: socket.socket) -> None:
        """Linux forgets TCP_QUICKACK; a sender under Nagle's algorithm waits 40 ms for each delayed acknowledgement."""
        # Not contextlib.suppress: this runs for each piece that is read.
        try:  # noqa: SIM105
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError:
            pass

    def _shutdown_socket(self) -> None:
        """Closed even where shutting down fails: pynetdicom's own leaves the descriptor open after a reset."""
        if self.socket is not None:
            close(self.socket)


def close(connection: socket.socket) -> None:
    """Shut down and close, whatever state it is in."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()
