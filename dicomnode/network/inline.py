"""pynetdicom's state machine without its threads.

pynetdicom runs two threads an association that meet in queues and look into them every millisecond: idle associations
cost processor time, each message waits for both, and 200 connections at once saturate a core. Here the thread that owns
the association also turns the state machine: it sleeps in poll(2) until the peer says something. States, transitions,
PDUs, negotiation, release, abort and services stay pynetdicom's; overridden is only who turns the crank. Pinned to
pynetdicom 3.0.4, since these methods are not all public.
"""

import queue
import time
from collections import deque
from typing import Any, ClassVar

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, N_EVENT_REPORT
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import A_P_ABORT

_SLICE_SECONDS = 0.5
"""How long one look at the connection may last, so that timers are seen."""


class InlineDUL(DULServiceProvider):  # type: ignore[misc]
    """The upper layer (PS3.8), turned by `step`."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self._running = False

    def start(self) -> None:
        """Nothing to start."""
        self._running = True
        self._idle_timer.start()
        self.assoc._dul_ready.set()

    def is_alive(self) -> bool:
        return self._running and not self._kill_thread

    def stop_dul(self) -> bool:
        """Called until it is True by pynetdicom's `kill`."""
        if self.state_machine.current_state != "Sta1":
            self.step(0.01)
        if self.state_machine.current_state == "Sta1":
            self._kill_thread = True
        return bool(self._kill_thread)

    def send_pdu(self, primitive: Any) -> None:
        super().send_pdu(primitive)
        self._send_pending()

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:
        """The next primitive for the service user, turning the state machine until there is one."""
        ends_at = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while wait and self.to_user_queue.empty() and self.is_alive() and time.monotonic() < ends_at:
            self.step(min(_SLICE_SECONDS, max(0.0, ends_at - time.monotonic())))
        return super().receive_pdu(wait=False)

    def step(self, seconds: float) -> None:
        """One turn: what is pending, then at most one PDU of the peer, for which it waits up to `seconds`."""
        self._send_pending()
        if not self.is_alive():
            return
        if self.state_machine.current_state == "Sta13":
            # Awaiting the end of the connection: what still comes has no meaning, and pynetdicom would answer it.
            self.socket.linger()
            self.socket.close()
        elif self.socket.wait(seconds):
            self._is_transport_event()
            self._idle_timer.restart()
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        self._send_pending()

    def lost(self) -> None:
        """The connection is gone (Evt17)."""
        self.event_queue.put("Evt17")
        self._send_pending()

    def _send_pending(self) -> None:
        self._act()
        while self.is_alive() and self._process_recv_primitive():
            self._act()

    def _act(self) -> None:
        while True:
            try:
                event = self.event_queue.get(block=False)
            except queue.Empty:
                return
            try:
                self.state_machine.do_action(event)
            except Exception:
                # An event that the state does not know: pynetdicom's own thread dies of it, here the association ends.
                self._kill_thread = True
                self.socket._shutdown_socket()
                if self.assoc.is_established:
                    self.to_user_queue.put(A_P_ABORT())
                return


class InlineDIMSE(DIMSEServiceProvider):  # type: ignore[misc]
    """The message exchange (PS3.7); who waits for a message turns the state machine meanwhile."""

    message: DIMSEMessage | None

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.reports: deque[tuple[int, N_EVENT_REPORT]] = deque()
        """N-EVENT-REPORT requests not answered yet: they may come while the answer to something else is awaited."""

    def receive_primitive(self, primitive: Any) -> None:
        """As in pynetdicom, but an N-EVENT-REPORT request waits its turn and does not get a thread of its own."""
        message = self.message = self.message or DIMSEMessage()
        if not message.decode_msg(primitive, self.assoc):
            return
        self.message = None
        try:
            decoded = message.message_to_primitive()
        except Exception:
            self.dul.event_queue.put("Evt19")
            return
        if isinstance(decoded, C_CANCEL):
            self.cancel_req = {decoded.MessageIDBeingRespondedTo: decoded}
        elif isinstance(decoded, N_EVENT_REPORT) and decoded.is_valid_request:
            self.reports.append((message.context_id, decoded))
        else:
            self.msg_queue.put((message.context_id, decoded))

    def get_msg(self, block: bool = False) -> Any:
        seconds = self.dimse_timeout
        ends_at = time.monotonic() + (seconds if seconds is not None else float("inf"))
        while block and self.msg_queue.empty() and self.dul.is_alive() and time.monotonic() < ends_at:
            self.dul.step(min(_SLICE_SECONDS, max(0.0, ends_at - time.monotonic())))
        return super().get_msg(block=False)


class InlineAssociation(Association):  # type: ignore[misc]
    """An association that lives on the thread that uses it."""

    upper_layer: ClassVar[type[InlineDUL]] = InlineDUL
    _sent_abort: bool

    def __init__(self, ae: Any, mode: str) -> None:
        super().__init__(ae, mode)
        self.dul = self.upper_layer(self)
        self.dimse = InlineDIMSE(self)
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout
        # No reactor thread runs that a sender would have to pause first.
        self._is_paused = True

    def serve_reports(self) -> None:
        """Answer the N-EVENT-REPORT requests that have come."""
        while self.dimse.reports:
            context_id, report = self.dimse.reports.popleft()
            self._serve_request(report, context_id)

    def _abort_blocking(self, block: bool = True) -> None:
        """As in pynetdicom, but without its tenth of a second for the other threads."""
        if self._sent_abort or self.is_released:
            return
        self._sent_abort = True
        self.acse.send_abort(0x00)
        evt.trigger(self, evt.EVT_ABORTED, {})
        if block:
            self.kill()
            self.dul.socket._shutdown_socket()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        super()._serve_request(msg, context_id)
        self._is_paused = True
