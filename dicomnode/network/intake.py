"""What the network hands to the rest of the node, and what it asks of it.

The listener knows neither spool nor database. Whoever owns those implements `Intake` and `Receiving`; all values that
cross are frozen.

    association request ── admit(peer) ──▶ accepted ── opened(peer)
    C-STORE ── begin(request, peer) ──▶ Receiving ── write … write ── finish() ──▶ status ── settle()
    N-EVENT-REPORT ── committed(report, peer) ──▶ status
    association over ── closed(peer, ending)
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of one association."""

    calling_aet: str
    """Calling AE title of the A-ASSOCIATE-RQ, without padding; what the peer says it is."""
    called_aet: str
    """Called AE title of the A-ASSOCIATE-RQ, without padding; whom the peer thinks it talks to."""
    address: str
    """IP address as text."""
    token: str
    """Names this association; never given twice."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """The C-STORE-RQ command (PS3.7 9.3.1.1) and its presentation context, as sent: nothing in it is checked yet."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    message_id: int


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """The answer to one storage commitment request (PS3.4 J.3.3)."""

    transaction_uid: str
    committed: tuple[str, ...]
    """SOP Instance UIDs that the peer has taken responsibility for."""
    failed: tuple[tuple[str, int], ...]
    """(SOP Instance UID, Failure Reason (0008,1197)) of those that it has not."""


class RejectCause(Enum):
    """(Result, Source, Reason/Diag.) of an A-ASSOCIATE-RJ, PS3.8 Table 9-21."""

    NOT_WELCOME = (1, 1, 1)
    CALLING_AET = (1, 1, 3)
    CALLED_AET = (1, 1, 7)
    CONGESTION = (2, 3, 1)
    LIMIT = (2, 3, 2)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is not accepted."""

    cause: RejectCause
    reason: str
    """One sentence for the log."""


class Ending(StrEnum):
    """How an accepted association ended."""

    RELEASED = "released"
    ABORTED = "aborted"


class Receiving(Protocol):
    """One instance on its way into the spool. Each call may raise: `statuses.status_of` turns it into a status."""

    def write(self, *pieces: memoryview | bytes) -> None:
        """The next bytes of the encoded data set. Their memory is reused after the call."""

    def room(self) -> memoryview | None:
        """Memory for the next bytes, for who can put them there himself; None where they are not wanted."""

    def filled(self, count: int) -> None:
        """`count` bytes are where the last `room` said."""

    def finish(self) -> int:
        """Make the instance durable; its DIMSE status. 0x0000 is a promise. A `Refuse` is answered with its reason."""

    def settle(self) -> None:
        """What can wait until the peer has its answer. Called once, after `finish` has returned."""

    def abandon(self) -> None:
        """Forget it: nothing of it is kept. Called once, and never after `finish` has returned."""


class Intake(Protocol):
    """The rest of the node, as the listener sees it. Called from one thread an association."""

    def admit(self, peer: Peer) -> Rejection | None:
        """May this peer come in now? Access lists and caps were already checked."""

    def opened(self, peer: Peer) -> None:
        """The association was accepted."""

    def closed(self, peer: Peer, ending: Ending) -> None:
        """It is over. Called exactly once for each `opened`."""

    def begin(self, request: StoreRequest, peer: Peer) -> Receiving:
        """An instance is about to come. Raises `Refuse` for one that is not taken."""

    def committed(self, report: CommitmentReport, peer: Peer) -> int:
        """Keep the outcome of a storage commitment request; DIMSE status of the answer, PS3.7 10.1.1.1.8."""
