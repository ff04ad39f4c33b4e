"""STOW-RS (PS3.18 10.5): the second kind of destination, through dicomweb-client.

Each instance is one request, so that one that is refused does not hold up the others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomnode.errors import Retry
from dicomnode.network.statuses import Answer, Outcome, answer_of

Item = tuple[str, str, Path]
"""SOP Class UID, SOP Instance UID, and the Part 10 file."""

_LATER = frozenset((401, 403, 404, 408, 425, 429))
"""HTTP statuses that an administrator of the archive may mend; so may 5xx. Others of 4xx are about the instance."""


@dataclass(frozen=True, slots=True)
class WebDestination:
    """A DICOMweb service."""

    url: str
    """Of the service; /studies is appended."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with each request, such as ("Authorization", "Bearer …")."""
    authorities: Path | None = None
    """PEM file of the authorities that vouch for the service; None: those of the system."""
    certificate: tuple[Path, Path] | None = None
    """Our own certificate and key."""
    timeout_seconds: float = 60.0


def store(destination: WebDestination, items: Iterable[Item]) -> Iterator[tuple[Item, Answer]]:
    """Store each file, in order; every item is answered once."""
    client = _client(destination)
    for item in items:
        yield item, _store_one(client, item)


def instances_present(
    destination: WebDestination, study_uid: str, series_uid: str, sop_instance_uids: Iterable[str]
) -> frozenset[str]:
    """Those of the instances that the service lists (QIDO-RS, PS3.18 10.6). Raises Retry if it cannot be asked."""
    try:
        found = _client(destination).search_for_instances(study_uid, series_uid, fields=["00080018"])
    except (requests.RequestException, ValueError) as error:
        raise Retry(f"the DICOMweb service could not answer a query: {type(error).__name__}") from error
    listed = {value for instance in found for value in instance.get("00080018", {}).get("Value", ())}
    return frozenset(sop_instance_uids) & listed


def _client(destination: WebDestination) -> Any:
    from dicomweb_client import DICOMwebClient

    session = requests.Session()
    if destination.authorities is not None:
        session.verify = str(destination.authorities)
    if destination.certificate is not None:
        session.cert = (str(destination.certificate[0]), str(destination.certificate[1]))
    client = DICOMwebClient(
        destination.url, session=session, headers=dict(destination.headers), timeout=destination.timeout_seconds
    )
    # The outbox has pauses of its own.
    client.set_http_retry_params(retry=False)
    return client


def _store_one(client: Any, item: Item) -> Answer:
    try:
        dataset = dcmread(item[2])
    except Exception as error:
        return Answer(Outcome.REJECTED, None, f"the file cannot be read: {type(error).__name__}")
    try:
        return _stored(client.store_instances([dataset]), item[1]) or Answer(Outcome.ACCEPTED, 200, "")
    except requests.HTTPError as error:
        return _refused(error.response, item[1])
    except (requests.RequestException, ValueError) as error:
        return Answer(Outcome.LATER, None, f"no answer from the DICOMweb service: {type(error).__name__}")


def _stored(response: Dataset, sop_instance_uid: str) -> Answer | None:
    """What the Store Instances Response Module says of the instance, PS3.18 Table I.2-1; None if it is silent."""
    for failed in response.get("FailedSOPSequence") or ():
        if failed.get("ReferencedSOPInstanceUID") == sop_instance_uid:
            return answer_of(int(failed.get("FailureReason") or 0x0110))
    for stored in response.get("ReferencedSOPSequence") or ():
        if stored.get("ReferencedSOPInstanceUID") == sop_instance_uid:
            return answer_of(int(stored.get("WarningReason") or 0))
    return None


def _refused(response: requests.Response | None, sop_instance_uid: str) -> Answer:
    """409 Conflict carries the same module with the reason; else the HTTP status has to do."""
    if response is None:
        return Answer(Outcome.LATER, None, "no answer from the DICOMweb service")
    status = response.status_code
    if status == 409:
        try:
            answer = _stored(Dataset.from_json(response.json()), sop_instance_uid)
        except (ValueError, KeyError, TypeError, AttributeError):
            answer = None
        return answer or Answer(Outcome.REJECTED, status, "conflict, without a reason that can be read")
    outcome = Outcome.LATER if status in _LATER or status >= 500 else Outcome.REJECTED
    return Answer(outcome, status, f"HTTP {status}")
