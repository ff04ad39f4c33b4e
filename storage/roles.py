"""Signs of life: each process of the node says now and then that it is there, so that others can tell."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from storage.database import Database
from storage.schema import RoleRow


@dataclass(frozen=True, kw_only=True)
class Role:
    """The last sign of life of one process."""

    process: str
    """One start of one process, such as "worker-0:4711"."""
    role: str
    state: str
    """"running" or "stopped"."""
    text: str
    """What it does just now, without patient data."""
    since: datetime
    seen_at: datetime


class Roles:
    """The signs of life in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, process: str, role: str, *, now: datetime, text: str = "", state: str = "running") -> None:
        """A process says that it lives, or ("stopped") that it ends."""
        change = update(RoleRow).where(RoleRow.process == process)
        with self._database.writing() as connection:
            if connection.execute(change.values(state=state, text=text, seen_at=now)).rowcount == 0:
                row = {"process": process, "role": role, "state": state, "text": text}
                connection.execute(insert(RoleRow).values(since=now, seen_at=now, **row))

    def all(self) -> list[Role]:
        """All processes, by role and start."""
        with self._database.reading() as connection:
            query = select(RoleRow).order_by(RoleRow.role, RoleRow.since)
            return [Role(**row._asdict()) for row in connection.execute(query)]

    def living(self, *, now: datetime, silence: timedelta) -> set[str]:
        """The processes that run and were heard of within `silence`."""
        return {role.process for role in self.all() if role.state == "running" and role.seen_at >= now - silence}

    def keep_only(self, processes: Collection[str]) -> None:
        """Forget all other processes: at the supervisor's start none of the earlier ones lives."""
        with self._database.writing() as connection:
            connection.execute(delete(RoleRow).where(RoleRow.process.not_in(list(processes))))
