"""Storage Commitment Push Model (PS3.4 Annex J): N-ACTION out, N-EVENT-REPORT -> plain outcome.

The report may come on the association of the request, while that is still open, or on a new one that the peer opens:
the listener takes it there.
"""

import time
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt

from dicomnode.network.contexts import COMMITMENT, PLAIN
from dicomnode.network.inline import InlineAssociation
from dicomnode.network.intake import CommitmentReport
from dicomnode.network.outbound import Destination, NoAssociation, association
from dicomnode.network.statuses import PROCESSING_FAILURE, Answer, Outcome

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Instance, PS3.4 J.3.5."""

NO_REASON_GIVEN = 0x0110
"""Failure Reason where the peer leaves it out, PS3.3 C.14.1.1."""

_REQUEST = 1
"""Action Type ID of a storage commitment request, PS3.4 Table J.3-1."""


def request(
    destination: Destination, transaction_uid: str, instances: Sequence[tuple[str, str]], wait_seconds: float = 0.0
) -> tuple[Answer, CommitmentReport | None]:
    """Ask the peer to commit itself to keep `instances`, (SOP Class UID, SOP Instance UID) each.

    ACCEPTED means that it will report. The report is returned if it comes on this association within `wait_seconds`.
    """
    reports: list[CommitmentReport] = []

    def keep(event: Any) -> tuple[int, None]:
        try:
            reports.append(report_of(event.event_information))
        except Exception:
            return PROCESSING_FAILURE, None
        return 0x0000, None

    try:
        with association(destination, [(COMMITMENT, PLAIN)], handlers={evt.EVT_N_EVENT_REPORT: keep}) as assoc:
            status, _ = assoc.send_n_action(
                _information(transaction_uid, instances), _REQUEST, COMMITMENT, WELL_KNOWN_INSTANCE
            )
            answer = _answer(status.get("Status"))
            if answer.outcome is Outcome.ACCEPTED:
                _await_report(assoc, reports, wait_seconds)
    except NoAssociation as error:
        return error.answer, None
    return answer, next((report for report in reports if report.transaction_uid == transaction_uid), None)


def report_of(information: Dataset) -> CommitmentReport:
    """The Event Information of an N-EVENT-REPORT, PS3.4 Table J.3-2. Raises AttributeError without a transaction."""
    return CommitmentReport(
        transaction_uid=str(information.TransactionUID),
        committed=tuple(str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence") or ()),
        failed=tuple(
            (str(item.ReferencedSOPInstanceUID), int(item.get("FailureReason") or NO_REASON_GIVEN))
            for item in information.get("FailedSOPSequence") or ()
        ),
    )


def _information(transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Dataset:
    """Action Information, PS3.4 Table J.3-1."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = []
    for sop_class, sop_instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        information.ReferencedSOPSequence.append(item)
    return information


def _answer(status: int | None) -> Answer:
    if status is None:
        return Answer(Outcome.LATER, None, "no answer to the storage commitment request")
    if status == 0x0000:
        return Answer(Outcome.ACCEPTED, status, "")
    outcome = Outcome.LATER if status in (PROCESSING_FAILURE, 0x0213) else Outcome.REJECTED
    return Answer(outcome, status, f"storage commitment refused with status 0x{status:04X}")


def _await_report(assoc: InlineAssociation, reports: list[CommitmentReport], seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while True:
        assoc.serve_reports()
        left = ends_at - time.monotonic()
        if reports or left <= 0 or not assoc.dul.is_alive() or assoc.acse.is_aborted():
            return
        assoc.dul.step(min(left, 0.5))
