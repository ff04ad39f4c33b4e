"""Declined unread: series of which the ledger alone says that they cannot be judged.

Either all of a series was set aside when it came, or some of it was removed since, its time being over. Where reports
of declining are on, one header is read all the same, for a report names patient and study:

set aside    the first instance of a class that is answered (series.screening.ANSWERED_CLASSES); others get no report
removed      the first instance that is left; where none is, the reason says that no report can be sent
"""

from collections.abc import Sequence

from dicomnode import pipeline
from dicomnode.series.screening import ANSWERED_CLASSES
from dicomnode.series.volume import MOST_TRIED
from storage.arrivals import Arrivals, Arrived
from storage.joblog import Job
from storage.spool import Spool

SEND_AGAIN = "The whole series must be sent again."
NO_HEADER = "No report can be sent: no instance is left whose header can be read."


def declined_unread(
    job: Job, arrived: Sequence[Arrived], arrivals: Arrivals, spool: Spool, *, report: bool
) -> pipeline.Declined | None:
    """The outcome of a series that is declined unread; None when it is to be read.

    `arrived` is what is to be judged of it; `report` says whether a report is wanted. Raises OSError.
    """
    removed = sum(one.removed_at is not None for one in arrived)
    if arrived and not removed:
        return None
    if arrived:
        reason, sources = _removed(removed, len(arrived)), arrived
    else:
        series = (job.study_uid, job.series_uid)
        reason = " ".join(arrivals.aside_reasons(*series, up_to=job.last_arrival_id))
        sources = arrivals.set_aside(*series, ANSWERED_CLASSES, up_to=job.last_arrival_id, limit=MOST_TRIED)
    return _declined(reason, sources if report else (), spool)


def _removed(removed: int, count: int) -> str:
    gone = f"{removed} of the {count} instances of this series were removed, their time being over."
    return f"{gone} {SEND_AGAIN}"


def _declined(reason: str, sources: Sequence[Arrived], spool: Spool) -> pipeline.Declined:
    """With the header of the first source that can be read."""
    left = (spool.absolute(one.path) for one in sources if one.removed_at is None)
    declined = pipeline.decline(left, reason)
    if sources and not declined.part.headers:
        return pipeline.decline((), f"{reason} {NO_HEADER}")
    return declined
