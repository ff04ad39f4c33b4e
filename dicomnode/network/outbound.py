"""Associations that the node opens. They live on the thread that uses them, and every wait has an end."""

import contextlib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import UID
from pynetdicom import build_role
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from dicomnode.network.entity import application_entity, quiet_pynetdicom
from dicomnode.network.inline import InlineAssociation
from dicomnode.network.statuses import Answer, Outcome
from dicomnode.network.transport import GuardedSocket, Limits

MOST_CONTEXTS = 128
"""Presentation contexts of one association, PS3.8 Table 9-13: odd identifiers from 1 to 255."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A peer that the node calls."""

    called_aet: str
    host: str
    port: int
    calling_aet: str = "DICOMNODE"
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    connect_seconds: float = 10.0
    """For the connection, the TLS handshake and the answer to the association request, each."""
    reply_seconds: float = 60.0
    """Longest silence while an answer is due, and longest time to take one PDU."""


class NoAssociation(Exception):
    """The peer cannot be reached, or does not want us; `answer` says whether it may later."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


@contextlib.contextmanager
def association(
    destination: Destination,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    handlers: Mapping[Any, Callable[..., Any]] | None = None,
    as_scp: Sequence[str] = (),
) -> Iterator[InlineAssociation]:
    """An established association, released at the end, or aborted if an error ends it. Raises NoAssociation.

    `contexts` are (SOP Class UID, transfer syntax UIDs); for the classes in `as_scp` the SCP role is proposed.
    """
    assoc = _prepare(destination, contexts, as_scp)
    for event, handler in (handlers or {}).items():
        assoc.bind(event, handler)
    assoc.request()
    if not assoc.is_established:
        _end(assoc)
        raise NoAssociation(_why(assoc, destination))
    assoc.dul.socket.established()
    try:
        yield assoc
        if assoc.is_established:
            assoc.release()
    finally:
        _end(assoc)


def _prepare(
    destination: Destination, contexts: Sequence[tuple[str, Sequence[str]]], as_scp: Sequence[str]
) -> InlineAssociation:
    quiet_pynetdicom()
    ae = application_entity(destination.calling_aet)
    ae.connection_timeout = ae.acse_timeout = destination.connect_seconds
    ae.dimse_timeout = ae.network_timeout = destination.reply_seconds
    try:
        remote = AddressInformation.from_addr_port(destination.host, destination.port)
    except OSError as error:
        raise NoAssociation(Answer(Outcome.LATER, None, f"host not found: {destination.host}")) from error
    local = AddressInformation("" if remote.is_ipv4 else "::0", 0)
    assoc = InlineAssociation(ae, "requestor")
    limits = Limits(idle_seconds=destination.reply_seconds, request_seconds=destination.connect_seconds)
    wire = GuardedSocket(assoc, limits, local)
    if destination.tls is not None:
        wire.tls_args = (destination.tls, destination.host)
    assoc.set_socket(wire)
    assoc.acceptor.ae_title, assoc.acceptor.address_info = destination.called_aet, remote
    assoc.requestor.ae_title, assoc.requestor.address_info = destination.calling_aet, local
    assoc.requestor.maximum_length = limits.pdu_bytes
    assoc.requestor.implementation_class_uid = ae.implementation_class_uid
    assoc.requestor.implementation_version_name = ae.implementation_version_name
    for sop_class in as_scp:
        assoc.requestor.add_negotiation_item(build_role(sop_class, scp_role=True))
    assoc.requestor.requested_contexts = [_context(2 * i + 1, *pair) for i, pair in enumerate(contexts)]
    return assoc


def _context(context_id: int, sop_class: str, syntaxes: Sequence[str]) -> PresentationContext:
    context = PresentationContext()
    context.context_id = context_id
    context.abstract_syntax = UID(sop_class)
    context.transfer_syntax = [UID(uid) for uid in syntaxes]
    return context


def _why(assoc: InlineAssociation, destination: Destination) -> Answer:
    where = f"{destination.called_aet} at {destination.host}:{destination.port}"
    primitive = assoc.acceptor.primitive
    if assoc.is_rejected and primitive is not None:
        outcome = Outcome.REJECTED if primitive.result == 1 else Outcome.LATER
        return Answer(outcome, None, f"{where} rejected the association: {primitive.reason_str}")
    if primitive is not None and primitive.result == 0:
        return Answer(Outcome.REJECTED, None, f"{where} accepts none of the presentation contexts")
    return Answer(Outcome.LATER, None, f"{where} cannot be reached or gave no answer")


def _end(assoc: InlineAssociation) -> None:
    """Leave no connection open, however the association ended."""
    if assoc.is_established:
        assoc.abort()
    assoc.dul.kill_dul()
    if assoc.dul.socket is not None:
        assoc.dul.socket._shutdown_socket()
