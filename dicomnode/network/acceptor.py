"""One connection, from accept to close: what pynetdicom's events mean for the listener.

The thread of the connection owns the association; at its end, and only there, the peer is counted out.
"""

import logging
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler

from dicomnode.network.commitment import report_of
from dicomnode.network.deposit import Deposit
from dicomnode.network.intake import Ending, Peer, RejectCause, Rejection, StoreRequest
from dicomnode.network.statuses import PROCESSING_FAILURE
from dicomnode.network.stream import StreamingAssociation
from dicomnode.network.transport import GuardedSocket

if TYPE_CHECKING:
    from dicomnode.network.listener import Listener

log = logging.getLogger(__name__)


class Connection(RequestHandler):  # type: ignore[misc]
    """Runs one association; `listener` is set on the class that a listener makes for itself."""

    listener: "Listener"
    request: socket.socket

    def handle(self) -> None:
        """TLS, association request, everything until the end. Errors end this connection alone."""
        assoc: Association | None = None
        try:
            self.request.settimeout(self.listener.settings.limits.request_seconds)
            self._shake_hands()
            assoc = self._create_association()
            self.server.enter(assoc)
            assoc.run_reactor()
        except OSError as error:
            log.info("connection lost before an association: %s", type(error).__name__)
        except Exception as error:
            # The border to the outside: pynetdicom raises whatever a malformed association request makes of its code.
            log.warning(
                "connection ended by an error: %s", type(error).__name__, exc_info=log.isEnabledFor(logging.DEBUG)
            )
        finally:
            if assoc is not None:
                assoc.dul.kill_dul()
                self.server.leave(assoc)
                _over(assoc, self.listener)
            self.server.shutdown_request(self.request)

    def _shake_hands(self) -> None:
        """The TLS handshake, here and not where connections are accepted: a silent peer delays nobody else."""
        if self.listener.tls is None:
            return
        plain = self.request
        self.request = self.listener.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.server.replace(plain, self.request)
        try:
            self.request.do_handshake()
        except ssl.SSLError as error:
            log.warning("TLS handshake failed: %s", error.reason)
            raise

    def _create_association(self) -> Association:
        """As in pynetdicom, but for the class, the socket and the contexts, which are shared and not copied."""
        settings = self.listener.settings
        kind = StreamingAssociation if settings.streaming else Association
        assoc = kind(self.ae, "acceptor")
        assoc._server = self.server
        assoc.set_socket(GuardedSocket(assoc, settings.limits, self.request))
        assoc.acceptor.maximum_length = self.ae.maximum_pdu_size
        assoc.acceptor.ae_title = self.server.ae_title
        assoc.acceptor.address_info = self.local
        assoc.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = self.ae.implementation_version_name
        assoc.acceptor.supported_contexts = self.server.contexts
        assoc.requestor.address_info = self.remote
        for event, handler in _HANDLERS.items():
            assoc.bind(event, handler, [self.listener])
        assoc.peer = assoc.greeted = None
        return assoc


def _requested(event: Any, listener: "Listener") -> None:
    """A-ASSOCIATE-RQ. An error here must not let the peer in: pynetdicom would go on."""
    assoc = event.assoc
    request = assoc.requestor.primitive
    peer = Peer(
        calling_aet=request.calling_ae_title.strip(),
        called_aet=request.called_ae_title.strip(),
        address=assoc.requestor.address_info.address,
        token=secrets.token_hex(8),
    )
    try:
        rejection = listener.come_in(peer)
    except Exception:
        log.exception("an association request could not be judged")
        rejection = Rejection(RejectCause.CONGESTION, "internal error")
    if rejection is None:
        assoc.peer = peer
        return
    log.warning("association from %s at %s rejected: %s", peer.calling_aet, peer.address, rejection.reason)
    assoc.acse.send_reject(*rejection.cause.value)
    assoc.kill()


def _established(event: Any, listener: "Listener") -> None:
    assoc = event.assoc
    assoc.dul.socket.established()
    assoc.intake, assoc.idle_seconds = listener.intake, listener.settings.limits.idle_seconds
    assoc.greeted = True
    listener.intake.opened(assoc.peer)


def _over(assoc: Association, listener: "Listener") -> None:
    if assoc.peer is None:
        return
    listener.gone(assoc.peer)
    if assoc.greeted:
        listener.intake.closed(assoc.peer, Ending.RELEASED if assoc.is_released else Ending.ABORTED)


def _store(event: Any, listener: "Listener") -> Dataset:
    """C-STORE in pynetdicom's own path: the whole encoded data set is there."""
    request = event.request
    sop_class, sop_instance = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
    value = StoreRequest(sop_class, sop_instance, str(event.context.transfer_syntax), request.MessageID)
    matches = sop_class == event.context.abstract_syntax
    with Deposit(listener.intake, value, event.assoc.peer, class_matches=matches) as deposit:
        deposit.write(request.DataSet.getvalue())
        status, comment = deposit.finish()
    response = Dataset()
    response.Status = status
    if comment:
        response.ErrorComment = comment[:64]
    return response


def _reported(event: Any, listener: "Listener") -> tuple[int, None]:
    """N-EVENT-REPORT of storage commitment, PS3.4 J.3.3."""
    try:
        report = report_of(event.event_information)
        return listener.intake.committed(report, event.assoc.peer), None
    except Exception as error:
        log.warning("a storage commitment report could not be kept: %s", type(error).__name__)
        return PROCESSING_FAILURE, None


_HANDLERS = {
    evt.EVT_REQUESTED: _requested,
    evt.EVT_ESTABLISHED: _established,
    evt.EVT_C_STORE: _store,
    evt.EVT_N_EVENT_REPORT: _reported,
}
