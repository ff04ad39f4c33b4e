"""A small archive that speaks real DICOM: what the demonstration and the tests have instead of a PACS.

It is built on pynetdicom's own SCP and not on this package's listener, so that each is tested against code that is not
its own. Not for use with patients: no access list, no index, nothing synced.

    C-ECHO   C-STORE in: keeps Part 10 files in a folder   C-STORE out: sends a folder, as a PACS would
    C-FIND at series and image level   storage commitment: report on a new association to the requester
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from dicomnode.network.commitment import WELL_KNOWN_INSTANCE
from dicomnode.network.contexts import COMMITMENT, PLAIN, VERIFICATION
from dicomnode.network.entity import quiet_pynetdicom
from dicomnode.network.outbound import Destination, NoAssociation, association
from dicomnode.network.query import STUDY_ROOT_FIND
from dicomnode.network.sender import Item, send
from dicomnode.network.statuses import CANNOT_UNDERSTAND, SUCCESS, Answer

log = logging.getLogger(__name__)

_NO_SUCH_INSTANCE = 0x0112
"""Failure Reason, PS3.3 C.14.1.1."""

_ALL_COMMITTED, _SOME_FAILED = 1, 2
"""Event Type ID, PS3.4 Table J.3-2."""


class Archive:
    """Listens within a `with` block. `callers` maps a calling AE title to the (host, port) where it takes reports."""

    def __init__(
        self,
        folder: Path,
        aet: str = "ARCHIVE",
        *,
        port: int = 0,
        callers: Mapping[str, tuple[str, int]] | None = None,
        verdict: Callable[[str], int] = lambda _sop_instance_uid: SUCCESS,
    ) -> None:
        """`verdict` gives the status for each SOP Instance UID; what has Success or a warning is kept."""
        self.folder, self.aet = folder, aet
        self.callers = dict(callers or {})
        self._port, self._verdict = port, verdict
        self._server: Any = None
        self._index: dict[str, Path] = {}
        self._changed = threading.Condition()

    def __enter__(self) -> "Archive":
        quiet_pynetdicom()
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.dcm"):
            self._index[str(read_file_meta_info(path).MediaStorageSOPInstanceUID)] = path
        ae = AE(ae_title=self.aet)
        ae.add_supported_context(VERIFICATION)
        ae.add_supported_context(COMMITMENT)
        ae.add_supported_context(STUDY_ROOT_FIND)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        handlers = [
            (evt.EVT_CONN_OPEN, _answer_at_once),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_ACTION, self._commit),
        ]
        self._server = ae.start_server(("127.0.0.1", self._port), block=False, evt_handlers=handlers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    @property
    def port(self) -> int:
        """The port that is bound, on loopback."""
        return int(self._server.server_address[1])

    def instances(self) -> dict[str, Path]:
        """SOP Instance UID -> file."""
        with self._changed:
            return dict(self._index)

    def wait_for(self, enough: Callable[[dict[str, Path]], bool], seconds: float) -> bool:
        """Until what is kept is enough; False if it is not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: enough(dict(self._index)), seconds)

    def send(self, destination: Destination, folder: Path) -> Iterator[tuple[Item, Answer]]:
        """C-STORE every DICOM file in a folder, as the PACS that routes a series does."""
        return send(destination, files(folder))

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        status = self._verdict(uid)
        if status != SUCCESS and not 0xB000 <= status <= 0xBFFF:
            return status
        if not set(uid) <= set("0123456789."):
            return CANNOT_UNDERSTAND
        path = self.folder / f"{uid}.dcm"
        path.write_bytes(event.encoded_dataset())
        with self._changed:
            self._index[uid] = path
            self._changed.notify_all()
        return status

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        level = query.get("QueryRetrieveLevel")
        matching = [
            header
            for header in map(_header, self.instances().values())
            if header.get("SeriesInstanceUID") == query.get("SeriesInstanceUID")
        ]
        if level == "SERIES" and matching:
            yield 0xFF00, _series(matching)
        elif level == "IMAGE":
            yield from ((0xFF00, _image(header)) for header in matching)

    def _commit(self, event: Any) -> tuple[int, None]:
        """Answer the N-ACTION; the report follows on a thread and an association of its own."""
        caller = event.assoc.requestor.ae_title.strip()
        known = self.callers.get(caller)
        if known is None:
            return 0x0110, None
        report = _report(event.action_information, self.instances())
        target = Destination(caller, *known, calling_aet=self.aet)
        threading.Thread(target=_send_report, args=(target, report), daemon=True).start()
        return SUCCESS, None


def files(folder: Path) -> Iterator[Item]:
    """Every Part 10 file below a folder, by its file meta information; others are passed over."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            meta = read_file_meta_info(path)
            yield str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), path
        except Exception as error:
            log.info("passed over a file: %s", type(error).__name__)


def _answer_at_once(event: Any) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _header(path: Path) -> Dataset:
    return dcmread(
        path,
        stop_before_pixels=True,
        specific_tags=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"],
    )


def _series(headers: list[Dataset]) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = "SERIES"
    found.StudyInstanceUID = headers[0].StudyInstanceUID
    found.SeriesInstanceUID = headers[0].SeriesInstanceUID
    found.Modality = headers[0].get("Modality", "")
    found.NumberOfSeriesRelatedInstances = str(len(headers))
    return found


def _image(header: Dataset) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = "IMAGE"
    found.StudyInstanceUID = header.StudyInstanceUID
    found.SeriesInstanceUID = header.SeriesInstanceUID
    found.SOPInstanceUID = header.SOPInstanceUID
    found.SOPClassUID = header.SOPClassUID
    return found


def _report(request: Dataset, kept: Mapping[str, Path]) -> Dataset:
    report = Dataset()
    report.TransactionUID = request.TransactionUID
    report.ReferencedSOPSequence, failed = [], []
    for item in request.ReferencedSOPSequence:
        if item.ReferencedSOPInstanceUID in kept:
            report.ReferencedSOPSequence.append(item)
        else:
            item.FailureReason = _NO_SUCH_INSTANCE
            failed.append(item)
    if failed:
        report.FailedSOPSequence = failed
    return report


def _send_report(target: Destination, report: Dataset) -> None:
    event_type = _SOME_FAILED if "FailedSOPSequence" in report else _ALL_COMMITTED
    try:
        with association(target, [(COMMITMENT, PLAIN)], as_scp=[COMMITMENT]) as assoc:
            assoc.send_n_event_report(report, event_type, COMMITMENT, WELL_KNOWN_INSTANCE)
    except NoAssociation as error:
        log.warning("a storage commitment report could not be sent: %s", error)
