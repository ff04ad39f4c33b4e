"""The streaming sink: C-STORE data sets go from the socket into the spool without a copy in between.

Why this takes over from the library: pynetdicom reads 4 KB at a time, joins the pieces, makes an event and a queue hop
of every PDU, holds the whole data set in memory and hands it over decoded. Reading long fragments straight to where the
disk takes them from, and several short ones with one call, receives several times as many instances a second, in memory
that does not depend on their size, and lengths are checked before anything is made of them.

What it takes over is one case: the association is established (Sta6), nothing is half-read, and the next PDU is a
P-DATA-TF that begins with a whole, plain C-STORE-RQ on an accepted context. Every other byte is left to
pynetdicom: negotiation, C-ECHO, N-EVENT-REPORT, release, abort, split or odd command sets, and malformed PDUs.
A setting switches it off; the same tests then hold for pynetdicom's own path.
"""

import logging
import struct
from typing import Any

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext

from dicomnode.network.commands import (
    LONG_HEADS_BYTES,
    P_DATA_TF,
    Pdv,
    StoreCommand,
    long_fragment,
    pdvs,
    store_command,
    store_response,
)
from dicomnode.network.deposit import Deposit
from dicomnode.network.inline import InlineAssociation
from dicomnode.network.intake import Intake, Peer, StoreRequest
from dicomnode.network.negotiation import AcceptorACSE, AcceptorDUL
from dicomnode.network.transport import PDU_HEAD_BYTES, READ_AHEAD_BYTES, GuardedSocket

log = logging.getLogger(__name__)

_SLICE_SECONDS = 0.5
"""How long one wait for the peer may last, so that a stop and the time limits are seen."""
_ENOUGH_BYTES = 256 << 10
"""Once so much is there, it is written while the peer sends on, if that takes a moment."""
_MOST_ITEMS = 256
"""A peer that sends crumbs costs memory for each of them."""


class _Interrupted(Exception):
    """Another PDU came amid the data set, as a rule an A-ABORT: the instance is forgotten, pynetdicom reads the PDU."""


class StreamingAssociation(InlineAssociation):
    """An acceptor that writes the data sets of C-STORE requests itself."""

    upper_layer = AcceptorDUL
    dul: AcceptorDUL
    intake: Intake
    peer: Peer
    idle_seconds: float
    is_established: bool

    def __init__(self, ae: Any, mode: str) -> None:
        super().__init__(ae, mode)
        self.acse = AcceptorACSE(self)

    def _run_reactor(self) -> None:
        """What pynetdicom's reactor does once the association is established, without its polling."""
        quiet = 0.0
        while not self._kill:
            heard = self._wire.wait(_SLICE_SECONDS)
            quiet = 0.0 if heard else quiet + _SLICE_SECONDS
            if heard and self._stored():
                if not (self._server.stopping or self._wire.overdue):
                    continue
            else:
                self.dul.step(0.0)
            self._serve_messages()
            if self._released() or self._lost():
                return
            if quiet >= self.idle_seconds or self._wire.overdue or self._server.stopping:
                self.abort()

    @property
    def _wire(self) -> GuardedSocket:
        wire: GuardedSocket = self.dul.socket
        return wire

    def _serve_messages(self) -> None:
        context_id, message = self.dimse.get_msg(block=False)
        if message:
            self._serve_request(message, context_id)
        self.serve_reports()

    def _released(self) -> bool:
        if not self.is_established or not self.acse.is_release_requested():
            return False
        self.acse.send_release(is_response=True)
        self.is_released, self.is_established = True, False
        evt.trigger(self, evt.EVT_RELEASED, {})
        self.kill()
        return True

    def _lost(self) -> bool:
        if not self.acse.is_aborted() and self.dul.is_alive():
            return False
        self.is_aborted, self.is_established = True, False
        evt.trigger(self, evt.EVT_ABORTED, {})
        self.kill()
        return True

    def _stored(self) -> bool:
        """True if the next PDU began an instance, which was then received and answered, and nothing else came."""
        if self.dul.state_machine.current_state != "Sta6" or self.dimse.message or not self.dimse.msg_queue.empty():
            return False
        try:
            self._wire.rewind()
            self._wire.glance(PDU_HEAD_BYTES, 0)
            pdu = self._p_data()
            start = _store_start(pdu) if pdu else None
            context = self._accepted_cx.get(start[0].context_id) if start else None
            if pdu is None or start is None or context is None or start[1].sop_class_uid != context.abstract_syntax:
                return False
            self._wire.use(len(pdu))
            self._receive(start[1], context, start[2])
            return True
        except _Interrupted:
            return False
        except OSError as error:
            log.info("association lost: %s", type(error).__name__)
            self.dul.lost()
            return False

    def _receive(self, command: StoreCommand, context: PresentationContext, first: list[Pdv]) -> None:
        context_id = context.context_id
        syntax = str(context.transfer_syntax[0])
        request = StoreRequest(command.sop_class_uid, command.sop_instance_uid, syntax, command.message_id)
        with Deposit(self.intake, request, self.peer) as deposit:
            complete = self._write(deposit, context_id, first)
            while not complete:
                complete = self._next(deposit, context_id)
            status, comment = deposit.finish()
            self._wire.send(store_response(context_id, command, status, comment))
        self.dul._idle_timer.restart()

    def _next(self, deposit: Deposit, context_id: int | None) -> bool:
        """Write the fragments that come next; True with the last one."""
        wire = self._wire
        fragment = long_fragment(wire.glance(PDU_HEAD_BYTES, LONG_HEADS_BYTES), context_id)
        if fragment is None:
            return self._write(deposit, context_id, self._next_items())
        wire.allow(fragment.length + LONG_HEADS_BYTES - PDU_HEAD_BYTES)
        wire.use(LONG_HEADS_BYTES)
        _stream(wire, deposit, fragment.length)
        return fragment.is_last

    def _next_items(self) -> list[Pdv]:
        """The items of the next PDUs: so many that writing them is worth a call, up to the last of the data set."""
        self._wire.rewind()
        items = self._items()
        if not items:
            raise _Interrupted
        gathered = _bytes(items)
        while gathered < READ_AHEAD_BYTES and len(items) < _MOST_ITEMS and not items[-1].is_last and self._wire.roomy:
            more = self._items(wait=gathered < _ENOUGH_BYTES)
            if not more:
                break
            items += more
            gathered += _bytes(more)
        return items

    def _items(self, wait: bool = True) -> list[Pdv]:
        """The items of the next PDU; none if it is no P-DATA-TF or, without `wait`, not all there."""
        pdu = self._p_data(wait)
        if pdu is None:
            return []
        self._wire.use(len(pdu))
        try:
            return list(pdvs(pdu[PDU_HEAD_BYTES:]))
        except ValueError as error:
            self._wire.refuse(str(error))

    def _write(self, deposit: Deposit, context_id: int | None, items: list[Pdv]) -> bool:
        """Write the fragments; True with the last one. An item that is no part of the data set ends the association."""
        for at, item in enumerate(items, start=1):
            if item.is_command or item.context_id != context_id or (item.is_last and at != len(items)):
                self._wire.refuse("a foreign item amid a data set")
        if items:
            deposit.write(*[item.fragment for item in items])
        return bool(items) and items[-1].is_last

    def _p_data(self, wait: bool = True) -> memoryview | None:
        """The next PDU, head included, if it is a P-DATA-TF and, without `wait`, all there; else None.

        It is still to be used. Raises OSError, Offence among them.
        """
        head = self._wire.peek(PDU_HEAD_BYTES, wait)
        if len(head) < PDU_HEAD_BYTES or head[0] != P_DATA_TF:
            return None
        length = int(struct.unpack_from(">L", head, 2)[0])
        self._wire.allow(length)
        pdu = self._wire.peek(PDU_HEAD_BYTES + length, wait)
        if len(pdu) < PDU_HEAD_BYTES + length:
            if wait:
                raise ConnectionError("the connection ended within a PDU")
            return None
        return pdu


def _stream(wire: GuardedSocket, deposit: Deposit, left: int) -> None:
    """The next `left` bytes go from the socket to where the disk takes them from, or nowhere if they are not wanted."""
    while left:
        room = deposit.room() or memoryview(bytearray(left))
        got = wire.read_into(room[:left], LONG_HEADS_BYTES)
        deposit.filled(got)
        left -= got


def _bytes(items: list[Pdv]) -> int:
    return sum(len(item.fragment) for item in items)


def _store_start(pdu: memoryview) -> tuple[Pdv, StoreCommand, list[Pdv]] | None:
    """The item with the command, the command, and what else is in the PDU."""
    try:
        first, *rest = pdvs(pdu[PDU_HEAD_BYTES:])
    except ValueError:
        return None
    if not (first.is_command and first.is_last):
        return None
    command = store_command(first.fragment)
    return (first, command, rest) if command else None
