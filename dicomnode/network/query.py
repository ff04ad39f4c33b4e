"""C-FIND (PS3.4 Annex C): what the archive says it has."""

from collections.abc import Iterable, Mapping

from pydicom.dataset import Dataset

from dicomnode.errors import Retry
from dicomnode.network.contexts import PLAIN
from dicomnode.network.outbound import Destination, NoAssociation, association

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

_PENDING = (0xFF00, 0xFF01)
"""PS3.4 Table C.4-1."""


def series_instances(destination: Destination, study_uid: str, series_uid: str) -> int | None:
    """Number of Series Related Instances (0020,1209); None if the archive does not know the series or does not count.

    Raises Retry if it cannot be asked.
    """
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "NumberOfSeriesRelatedInstances": None}
    for found in _find(destination, "SERIES", keys):
        number = found.get("NumberOfSeriesRelatedInstances")
        if number is not None and found.get("SeriesInstanceUID") == series_uid:
            return int(number)
    return None


def instances_present(
    destination: Destination, study_uid: str, series_uid: str, sop_instance_uids: Iterable[str]
) -> frozenset[str]:
    """Those of the instances that the archive lists. Raises Retry if it cannot be asked."""
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": ""}
    listed = {str(found.get("SOPInstanceUID")) for found in _find(destination, "IMAGE", keys)}
    return frozenset(sop_instance_uids) & listed


def _find(destination: Destination, level: str, keys: Mapping[str, str | None]) -> list[Dataset]:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    found: list[Dataset] = []
    try:
        with association(destination, [(STUDY_ROOT_FIND, PLAIN)]) as assoc:
            for status, identifier in assoc.send_c_find(query, STUDY_ROOT_FIND):
                code = status.get("Status")
                if code in _PENDING and identifier is not None:
                    found.append(identifier)
                elif code != 0x0000:
                    raise Retry(f"{destination.called_aet} could not answer a query: {_named(code)}")
    except NoAssociation as error:
        raise Retry(error.answer.reason) from error
    return found


def _named(status: int | None) -> str:
    return "no answer" if status is None else f"status 0x{status:04X}"
