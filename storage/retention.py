"""What was received does not stay for ever: files of series that are done with are removed, their rows stay.

A series is done with when its newest job is BUILT or DECLINED, every result of all its jobs has arrived (confirmed,
where its destination confirms; or refused for good), nothing of it waits for a job, and nothing came for `keep`. What
this node made and got back from an archive is removed by its age alone.

The row is marked first and the file deleted second, in the held folder: a copy that is received at the same moment
either renews the date of the file, and then it stays, or finds it gone and is kept anew.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path

from sqlalchemy import Connection, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from storage.arrivals import Arrivals
from storage.database import Database
from storage.durable import locked
from storage.events import NewEvent, append
from storage.results import ResultStore
from storage.schema import ArrivalRow, JobRow, OutboxRow
from storage.spool import Spool
from storage.states import Disposition, JobState, OutboxState

AT_ONCE = 50
"""Series that are removed in one step."""
PAUSE = timedelta(minutes=10)
"""Between two looks, where a tenth of the time that files are kept is not shorter."""


@dataclass(frozen=True)
class Doomed:
    """A series whose time is over."""

    study_uid: str
    series_uid: str


class Retention:
    """Removes what is older than `keep` and done with. One process a node calls `step`, now and then."""

    def __init__(
        self,
        database: Database,
        spool: Spool,
        results: ResultStore,
        keep: timedelta,
        confirming: Collection[str] = (),
    ) -> None:
        """`confirming` names the destinations that are asked whether they keep what was sent."""
        self._database, self._spool, self._results = database, spool, results
        self._keep, self._confirming = keep, tuple(confirming)
        self._next_at: datetime | None = None

    def step(self, now: datetime) -> int:
        """Remove the series whose time is over, unless that was done a moment ago; how many."""
        if self._next_at is None:
            self._finish_interrupted()
        elif now < self._next_at:
            return 0
        with self._database.reading() as connection:
            found = chain(self._finished(connection, now - self._keep), _own(connection, now - self._keep))
            doomed = list(islice(found, AT_ONCE))
        removed = sum(self._removed(series, now) for series in doomed)
        self._next_at = now if len(doomed) >= AT_ONCE and removed else now + min(PAUSE, self._keep / 10)
        return removed

    def _finished(self, connection: Connection, before: datetime) -> Iterator[Doomed]:
        """Series whose newest job ended before that time, with files in the spool and nothing open."""
        newer, kept = aliased(JobRow), aliased(ArrivalRow)
        of_series = (JobRow.study_uid == kept.study_uid, JobRow.series_uid == kept.series_uid)
        query = (
            select(JobRow.study_uid, JobRow.series_uid)
            .where(JobRow.state.in_((JobState.BUILT, JobState.DECLINED)), JobRow.finished_at <= before)
            .where(exists().where(*of_series, kept.removed_at.is_(None)))
            .where(~exists().where(newer.study_uid == JobRow.study_uid, newer.series_uid == JobRow.series_uid,
                                   newer.generation > JobRow.generation))
            .order_by(JobRow.finished_at)
        )  # fmt: skip
        for row in connection.execute(query):
            series = Doomed(row.study_uid, row.series_uid)
            if not self._is_held(connection, series, before):
                yield series

    def _is_held(self, connection: Connection, series: Doomed, before: datetime) -> bool:
        """Whether something of the series is new, waits for a job, or is still on its way."""
        mine = (ArrivalRow.study_uid == series.study_uid, ArrivalRow.series_uid == series.series_uid)
        waits = ArrivalRow.job_id.is_(None) & (ArrivalRow.disposition == Disposition.JUDGE)
        new = select(ArrivalRow.id).where(*mine, or_(waits, ArrivalRow.received_at > before)).limit(1)
        jobs = select(JobRow.id).where(JobRow.study_uid == series.study_uid, JobRow.series_uid == series.series_uid)
        busy = jobs.where(JobRow.state.in_((JobState.QUEUED, JobState.RUNNING)))
        unsent = OutboxRow.state == OutboxState.PENDING
        unconfirmed = (OutboxRow.state == OutboxState.SENT) & OutboxRow.destination.in_(self._confirming)
        on_its_way = select(OutboxRow.id).where(OutboxRow.job_id.in_(jobs), or_(unsent, unconfirmed)).limit(1)
        return any(connection.execute(query).first() is not None for query in (new, busy, on_its_way))

    def _removed(self, series: Doomed, now: datetime) -> bool:
        folder = self._spool.root / series.study_uid / series.series_uid
        try:
            with locked(folder):
                return self._remove(series, now)
        except FileNotFoundError:
            return self._remove(series, now)

    def _remove(self, series: Doomed, now: datetime) -> bool:
        """Mark, then delete. False when the series came to life meanwhile."""
        before = now - self._keep
        mine = (ArrivalRow.study_uid == series.study_uid, ArrivalRow.series_uid == series.series_uid)
        with self._database.writing() as connection:
            query = select(ArrivalRow.path).where(*mine, ArrivalRow.removed_at.is_(None))
            paths = [Path(path) for path in connection.scalars(query)]
            if self._is_held(connection, series, before) or any(self._is_new(path, before) for path in paths):
                return False
            results = _results(connection, series)
            connection.execute(update(ArrivalRow).where(*mine, ArrivalRow.removed_at.is_(None)).values(removed_at=now))
            append(connection, _event(series, len(paths), len(results), now))
        self._results.remove(results)
        self._spool.remove(paths)
        return True

    def _is_new(self, path: Path, before: datetime) -> bool:
        """Whether the file, or another copy of it, came after that time."""
        try:
            return self._spool.absolute(path).stat().st_mtime > before.timestamp()
        except FileNotFoundError:
            return False

    def _finish_interrupted(self) -> None:
        """Deletes what a crash left behind between marking and deleting."""
        arrivals = Arrivals(self._database)
        for place in arrivals.left_behind(self._spool.walk()):
            folder = self._spool.absolute(place.path).parent
            with suppress(FileNotFoundError), locked(folder):
                if self._spool.absolute(place.path).stat().st_mtime <= place.modified:
                    self._spool.remove([place.path])


def _own(connection: Connection, before: datetime) -> Iterator[Doomed]:
    """Series that hold nothing but what this node made, all of it older than that time."""
    other = aliased(ArrivalRow)
    same = (other.study_uid == ArrivalRow.study_uid, other.series_uid == ArrivalRow.series_uid)
    query = (
        select(ArrivalRow.study_uid, ArrivalRow.series_uid)
        .where(ArrivalRow.removed_at.is_(None), ArrivalRow.disposition == Disposition.OWN)
        .where(~exists().where(*same, other.disposition != Disposition.OWN))
        .group_by(ArrivalRow.study_uid, ArrivalRow.series_uid)
        .having(func.max(ArrivalRow.received_at) <= before)
        .limit(AT_ONCE)
    )
    yield from (Doomed(*row) for row in connection.execute(query))


def _results(connection: Connection, series: Doomed) -> list[str]:
    jobs = select(JobRow.id).where(JobRow.study_uid == series.study_uid, JobRow.series_uid == series.series_uid)
    return sorted(set(connection.scalars(select(OutboxRow.path).where(OutboxRow.job_id.in_(jobs)))))


def _event(series: Doomed, instances: int, results: int, now: datetime) -> NewEvent:
    return NewEvent(
        at=now,
        kind="removed",
        role="assembler",
        text=f"{instances} received instances and {results} result files removed: the series is done with",
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        data={"instances": instances, "results": results},
    )
