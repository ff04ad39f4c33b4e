"""Association negotiation (PS3.8 7.1) that remembers: who proposes the same again is answered the same.

A PACS proposes a hundred presentation contexts or more for each series, or each image, in the same bytes every time.
pynetdicom makes thousands of objects of them, which takes as long as receiving several images. What it reads in them
and what it answers depends on nothing but the proposal, which is all of an A-ASSOCIATE-RQ behind its fixed fields
(PS3.8 Table 9-11), and on what the listener accepts. So both are kept, and pynetdicom is asked once for each proposal.
Titles, protocol version, states and whether the peer may come in are looked at every time.
"""

import struct
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext

from dicomnode.network.inline import InlineDUL

FIXED_BYTES = 74
"""PDU type to reserved field, the same in request and answer (PS3.8 Tables 9-11 and 9-17)."""
LONGEST_PROPOSAL_BYTES = 64 << 10
MOST_AGREEMENTS = 16
"""More senders than that with a proposal of their own are few; each costs up to half a megabyte."""

_ASSOCIATE_RQ, _ASSOCIATE_AC = 0x01, 0x02
_PROTOCOL_VERSION = 1
_PLAIN = (
    MaximumLengthNotification,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
)
"""What may be remembered of a peer's user information: no password, no ticket."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a proposal means, and what was agreed upon. Shared by associations, none of which changes it."""

    application_context: str
    proposed: list[PresentationContext]
    user_information: list[Any]
    accepted: dict[int, PresentationContext]
    rejected: list[PresentationContext]
    answer: bytes
    """The A-ASSOCIATE-AC behind its fixed fields."""


class Agreements:
    """Those of one listener by their proposals; the one that was not asked for longest is forgotten first."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, Agreement] = OrderedDict()
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._found)

    def find(self, proposal: bytes) -> Agreement | None:
        """What was agreed upon before."""
        with self._changing:
            if proposal in self._found:
                self._found.move_to_end(proposal)
            return self._found.get(proposal)

    def keep(self, proposal: bytes, agreement: Agreement) -> None:
        """For who proposes the same."""
        if len(proposal) > LONGEST_PROPOSAL_BYTES:
            return
        with self._changing:
            self._found[proposal] = agreement
            if len(self._found) > MOST_AGREEMENTS:
                self._found.popitem(last=False)


class _Familiar(A_ASSOCIATE_RQ):  # type: ignore[misc]
    """An A-ASSOCIATE-RQ of which only the fixed fields had to be decoded."""

    def __init__(self, agreement: Agreement) -> None:
        super().__init__()
        self._agreement = agreement

    def to_primitive(self) -> A_ASSOCIATE:
        primitive = super().to_primitive()
        primitive.application_context_name = self._agreement.application_context
        primitive.presentation_context_definition_list = self._agreement.proposed
        primitive.user_information = list(self._agreement.user_information)
        return primitive


class AcceptorDUL(InlineDUL):
    """The upper layer of an acceptor, which knows familiar proposals."""

    agreement: Agreement | None = None
    request = b""
    """The A-ASSOCIATE-RQ."""

    def _decode_pdu(self, bytestream: bytearray) -> tuple[Any, str]:
        if bytestream[0] == _ASSOCIATE_RQ and not self.request:
            self.request = bytes(bytestream)
            self.agreement = self.assoc._server.agreements.find(self.request[FIXED_BYTES:])
            if self.agreement is not None:
                pdu = _Familiar(self.agreement)
                pdu.decode(self.request[:FIXED_BYTES])
                return pdu, "Evt6"
        return super()._decode_pdu(bytestream)  # type: ignore[no-any-return]


class AcceptorACSE(ACSE):  # type: ignore[misc]
    """Association control (PS3.8 7.1.1) of an acceptor: negotiates once for each proposal."""

    dul: AcceptorDUL

    def _negotiate_as_acceptor(self) -> None:
        if self.dul.agreement is not None:
            self._agree(self.dul.agreement)
            return
        super()._negotiate_as_acceptor()
        request = self.requestor.primitive
        if self.assoc.is_established and all(isinstance(item, _PLAIN) for item in request.user_information):
            self.assoc._server.agreements.keep(self.dul.request[FIXED_BYTES:], self._agreed(request))

    def _agreed(self, request: A_ASSOCIATE) -> Agreement:
        return Agreement(
            application_context=request.application_context_name,
            proposed=request.presentation_context_definition_list,
            user_information=request.user_information,
            accepted=self.assoc._accepted_cx,
            rejected=self.assoc._rejected_cx,
            answer=A_ASSOCIATE_AC(self.acceptor.primitive).encode()[FIXED_BYTES:],
        )

    def _agree(self, agreement: Agreement) -> None:
        """Accept as before. The answer's fixed fields repeat those of the request (PS3.8 Table 9-17)."""
        assoc, dul = self.assoc, self.dul
        self.requestor.ae_title = self.requestor.primitive.calling_ae_title
        assoc._accepted_cx, assoc._rejected_cx = dict(agreement.accepted), list(agreement.rejected)
        fixed = dul.request[10:FIXED_BYTES]
        length = len(agreement.answer) + FIXED_BYTES - 6
        head = struct.pack(">BxLHxx", _ASSOCIATE_AC, length, _PROTOCOL_VERSION)
        dul.socket.send(head + fixed + agreement.answer)
        dul.state_machine.transition("Sta6")
        evt.trigger(assoc, evt.EVT_ACCEPTED, {})
        assoc.is_established = True
        evt.trigger(assoc, evt.EVT_ESTABLISHED, {})
