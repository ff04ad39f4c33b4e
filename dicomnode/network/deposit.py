"""One instance being received: whatever goes wrong on our side becomes its status, never the association's end.

After a refusal the rest of the data set is read and dropped, so that the peer hears the status instead of an abort.
"""

import logging
from types import TracebackType

from dicomnode.errors import Refuse
from dicomnode.network.intake import Intake, Peer, Receiving, StoreRequest
from dicomnode.network.statuses import SOP_CLASS_NOT_SUPPORTED, status_of

log = logging.getLogger(__name__)


class Deposit:
    """A `Receiving` whose errors are statuses. Left without `finish`, it is abandoned; left with it, settled."""

    def __init__(self, intake: Intake, request: StoreRequest, peer: Peer, class_matches: bool = True) -> None:
        self._receiving: Receiving | None = None
        self._finished: Receiving | None = None
        self._refusal: tuple[int, str] | None = None
        try:
            if not class_matches:
                raise Refuse("SOP class is not that of the presentation context", SOP_CLASS_NOT_SUPPORTED)
            self._receiving = intake.begin(request, peer)
        except Exception as error:
            self._refuse(error)

    def __enter__(self) -> "Deposit":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settle()
        self._abandon()

    def write(self, *pieces: memoryview | bytes) -> None:
        """The next bytes of the data set."""
        if self._receiving is None:
            return
        try:
            self._receiving.write(*pieces)
        except Exception as error:
            self._refuse(error)

    def room(self) -> memoryview | None:
        """Memory for the next bytes of the data set; None where they are not wanted."""
        if self._receiving is None:
            return None
        try:
            return self._receiving.room()
        except Exception as error:
            self._refuse(error)
            return None

    def filled(self, count: int) -> None:
        """`count` bytes are where `room` said."""
        if self._receiving is None:
            return
        try:
            self._receiving.filled(count)
        except Exception as error:
            self._refuse(error)

    def finish(self) -> tuple[int, str]:
        """(status, comment) for the C-STORE-RSP."""
        if self._receiving is not None:
            try:
                status = self._receiving.finish()
                self._finished, self._receiving = self._receiving, None
                return status, ""
            except Exception as error:
                self._refuse(error)
        assert self._refusal is not None
        return self._refusal

    def _refuse(self, error: Exception) -> None:
        self._refusal = status_of(error)
        expected = isinstance(error, (Refuse, OSError))
        log.warning("instance not taken: 0x%04X %s", *self._refusal, exc_info=None if expected else error)
        self._abandon()

    def _settle(self) -> None:
        finished, self._finished = self._finished, None
        if finished is None:
            return
        try:
            finished.settle()
        except Exception:
            log.exception("what follows the answer to a C-STORE failed; the instance is kept")

    def _abandon(self) -> None:
        receiving, self._receiving = self._receiving, None
        if receiving is None:
            return
        try:
            receiving.abandon()
        except Exception:
            log.exception("a part of an instance could not be removed")
