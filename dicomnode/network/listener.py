"""The SCP: C-ECHO, C-STORE and storage commitment reports. Event -> plain values -> one callable -> status.

A listener knows whom it lets in and how much they may take (`access`, `transport.Limits`); what becomes of an instance
is for the handed-in `Intake` to say. Data sets come through the streaming sink, or, with `streaming=False`, through
pynetdicom's own receive path, with the same answers.
"""

import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from pynetdicom.presentation import PresentationContext

from dicomnode.network.acceptor import Connection
from dicomnode.network.access import AccessPolicy, address_allowed, check
from dicomnode.network.entity import application_entity, quiet_pynetdicom
from dicomnode.network.intake import Intake, Peer, RejectCause, Rejection
from dicomnode.network.server import Server, open_port
from dicomnode.network.transport import Limits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One listening port."""

    aet: str
    """AE title of the node; what it says of itself, not whom it answers to (`access.called_aets`)."""
    host: str = "127.0.0.1"
    port: int = 11112
    """0 takes a free one: see `Listener.port`."""
    limits: Limits = field(default_factory=Limits)
    access: AccessPolicy = field(default_factory=AccessPolicy)
    streaming: bool = True
    """False: pynetdicom's own receive path, several times slower and with each instance in memory."""
    shared: bool = False
    """Other processes accept on the same listening socket."""


class Listener:
    """Listens between `start` and `stop`, or within a `with` block."""

    def __init__(
        self,
        settings: ListenerSettings,
        intake: Intake,
        contexts: Sequence[PresentationContext],
        tls: ssl.SSLContext | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        """`listening` is a port that is open already; else `start` opens it."""
        quiet_pynetdicom()
        self.settings, self.intake, self.tls = settings, intake, tls
        self._listening = listening
        self._contexts = contexts
        self._guests: Counter[str] = Counter()
        self._guarding = threading.Lock()
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that is bound."""
        assert self._server is not None, "not started"
        return int(self._server.server_address[1])

    def start(self) -> "Listener":
        """Accept connections, on a thread of its own. Raises OSError if the port cannot be opened."""
        settings, limits = self.settings, self.settings.limits
        ae = application_entity(settings.aet)
        ae.maximum_pdu_size = limits.pdu_bytes
        ae.acse_timeout = limits.request_seconds
        ae.network_timeout = limits.idle_seconds
        ae.dimse_timeout = limits.idle_seconds
        self._server = Server(
            ae,
            self._listening or open_port(settings.host, settings.port),
            self._contexts,
            type("ConnectionOfListener", (Connection,), {"listener": self}),
            shared=settings.shared,
            most=limits.connections,
            welcome=lambda address: address_allowed(settings.access, address),
        )
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listener", daemon=True).start()
        return self

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Accept nothing more, let each association finish the instance it is at, then abort it."""
        server, self._server = self._server, None
        if server is None:
            return
        server.stopping = True
        server.shutdown()
        for assoc in server.active_associations:
            if not assoc.is_established:
                assoc.dul.socket.cut()
                assoc.dul.to_user_queue.put(None)  # pynetdicom's own path waits for this queue alone
            elif not self.settings.streaming:
                assoc.abort()
        ends_at = time.monotonic() + grace_seconds
        while server.connections() and time.monotonic() < ends_at:
            time.sleep(0.02)
        server.cut()

    def __enter__(self) -> "Listener":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def associations(self) -> int:
        """Accepted and not over yet."""
        with self._guarding:
            return self._guests.total()

    def come_in(self, peer: Peer) -> Rejection | None:
        """Let a peer in, and count it, or say why not."""
        limits = self.settings.limits
        rejection = check(self.settings.access, peer) or self.intake.admit(peer)
        if rejection:
            return rejection
        with self._guarding:
            if self._guests.total() >= limits.associations:
                return Rejection(RejectCause.LIMIT, "too many associations")
            if self._guests[peer.address] >= limits.associations_per_address:
                return Rejection(RejectCause.LIMIT, "too many associations from this address")
            self._guests[peer.address] += 1
        return None

    def gone(self, peer: Peer) -> None:
        """Count a peer out."""
        with self._guarding:
            self._guests[peer.address] -= 1
            self._guests += Counter()  # drops the zeros
