"""The database: one writer at a time, readers that cannot write, and errors that say what to do.

SQLite is the default: WAL, so that readers never wait; synchronous=FULL, so that what is committed survives the power
going out; BEGIN IMMEDIATE for writers, so that two of them wait for each other instead of failing half way. PostgreSQL
keeps the same promises: writers take one lock first, readers see one moment.

A `Database` may be carried over a fork: the child drops the parent's connections unused.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url, text
from sqlalchemy.pool import QueuePool

from storage.errors import (
    DatabaseCorrupt,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    DatabaseMissing,
    DatabaseOutdated,
    DatabaseRefused,
    DatabaseUnwritable,
)

WRITERS_LOCK = 0x0D1C03
"""PostgreSQL's advisory lock that each writer takes; any number that no other program takes in this database."""
BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""

MEANINGS: tuple[tuple[str, type[DatabaseError], str], ...] = (
    ("malformed", DatabaseCorrupt, "the database file is damaged: restore it from a backup, or move it away and start"),
    ("not a database", DatabaseCorrupt, "the file is not a database: move it away and start again"),
    ("locked", DatabaseLocked, "another process holds the database"),
    ("lock timeout", DatabaseLocked, "another process holds the database"),
    ("readonly", DatabaseUnwritable, "the database cannot be written: check the owner and the mode of its folder"),
    ("query_only", DatabaseUnwritable, "the database was opened for reading only"),
    ("read-only transaction", DatabaseUnwritable, "the database was opened for reading only"),
    ("disk is full", DatabaseFull, "the disk that holds the database is full"),
    ("no space left", DatabaseFull, "the disk that holds the database is full"),
    ("connection failed", DatabaseMissing, "the database server does not let the node in"),
    ("terminating connection", DatabaseMissing, "the database server ended the connection"),
    ("server closed the connection", DatabaseMissing, "the database server ended the connection"),
    ("no such table", DatabaseOutdated, "the database lacks a table: migrate it"),
    ("no such column", DatabaseOutdated, "the database lacks a column: migrate it"),
    ("does not exist", DatabaseOutdated, "the database lacks a table or column: migrate it"),
    ("unable to open", DatabaseMissing, "the database cannot be opened"),
    ("disk i/o", DatabaseUnwritable, "the disk that holds the database fails"),
)
"""Part of a driver's message -> the error it stands for, and what to tell a person. The first match counts."""


def translate(error: exc.SQLAlchemyError | sqlite3.Error, where: str) -> DatabaseError:
    """The storage error that a foreign one stands for; `where` names the database without its password."""
    if isinstance(error, (exc.IntegrityError, exc.DataError, sqlite3.IntegrityError)):
        return DatabaseRefused(f"{where}: {error}")
    cause = " ".join(str(getattr(error, "orig", None) or error).split())
    message = cause.lower()
    for part, kind, advice in MEANINGS:
        if part in message:
            return kind(f"{where}: {advice} ({cause})")
    return DatabaseError(f"{where}: {cause}")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """The one place where errors of SQLAlchemy and its drivers become errors of this package."""
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise translate(error, where) from error


class Database:
    """Writing and reading transactions on one database that exists and is migrated (see `migrate`)."""

    def __init__(self, url: str, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> None:
        """`url` as SQLAlchemy writes it; a file must exist.

        Such as "sqlite:////var/lib/node/node.db" or "postgresql+psycopg://node:secret@server/node".
        """
        self.url = _parsed(url)
        self.read_only = read_only
        self.where = self.url.render_as_string(hide_password=True)
        self._engine = _engine(self.url, "ro" if read_only else "rw", busy_seconds)
        self._writing = _writing(self._engine)
        _OPEN.add(self)

    @property
    def dialect(self) -> str:
        """The name of the SQL dialect: "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, or rolled back by an exception."""
        if self.read_only:
            raise DatabaseUnwritable(f"{self.where}: the database was opened for reading only")
        with translated(self.where), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A view of one moment, that cannot write when the database was opened read-only."""
        with translated(self.where), self._engine.connect() as connection:
            yield connection

    def check(self) -> None:
        """Read the tables' names and the migration they stand at. Raises DatabaseError with what to do."""
        with self.reading() as connection:
            if self.dialect == "sqlite":
                _check_pages(connection, self.where)
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found != newest_revision():
            raise DatabaseOutdated(f"{self.where}: its tables are of version {found}: migrate it")

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()


def newest_revision() -> str:
    """The name of the last migration: the files are numbered, so it is the last by name."""
    versions = Path(__file__).parent / "migrations" / "versions"
    return max(path.name for path in versions.glob("[0-9]*.py"))[:4]


def migrate(url: str) -> None:
    """Bring the database to this version's tables, making it where there is none. Several may do so at once."""
    from alembic import command
    from alembic.config import Config

    parsed = _parsed(url)
    where = parsed.render_as_string(hide_password=True)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with translated(where):
        engine = _engine(parsed, "rwc", BUSY_SECONDS)
        if path := _file_of(parsed):
            _make_file(path)
        try:
            with _writing(engine).begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        finally:
            engine.dispose()


def _parsed(url: str) -> URL:
    """Raises DatabaseMissing, which does not repeat what may hold a password."""
    try:
        return make_url(url)
    except exc.ArgumentError:
        raise DatabaseMissing("not a URL such as postgresql+psycopg://USER:PASSWORD@SERVER/DATABASE") from None


def _engine(url: URL, mode: str, busy_seconds: float) -> Engine:
    """An engine; for SQLite with our own connecting and our own BEGIN."""
    if url.get_backend_name() != "sqlite":
        return _server_engine(url, mode, busy_seconds)
    if not url.database or url.database == ":memory:":
        raise DatabaseMissing(f"{url}: the node's processes meet in the database, so it must be a file")
    path = Path(url.database).absolute()
    engine = create_engine(url, creator=lambda: _connect(path, mode, busy_seconds), poolclass=QueuePool)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "connect", lambda _, record: record.info.update(file=_identity(path)))
    event.listen(engine, "checkout", lambda _, record, __: _check_identity(path, record.info["file"]))
    return engine


def _server_engine(url: URL, mode: str, busy_seconds: float) -> Engine:
    """An engine for PostgreSQL. What is read without the writers' lock is read as of one moment."""
    where = url.render_as_string(hide_password=True)
    if url.get_backend_name() != "postgresql":
        raise DatabaseMissing(f"{where}: the job log is kept in SQLite or PostgreSQL")
    try:
        engine = create_engine(url, pool_pre_ping=True, isolation_level="REPEATABLE READ")
    except ImportError as error:
        raise DatabaseMissing(f"{where}: a driver is missing: install dicomnode[postgresql] ({error})") from error
    if mode == "ro":
        engine = engine.execution_options(postgresql_readonly=True)

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("writing", False):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(busy_seconds * 1000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")

    event.listen(engine, "begin", begin)
    return engine


def _writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(writing=True)
    # A moment fixed before the lock was had would be an old one.
    return engine.execution_options(writing=True, isolation_level="READ COMMITTED")


def _file_of(url: URL) -> Path | None:
    """The database's file; None where it is a server's."""
    return Path(url.database).absolute() if url.get_backend_name() == "sqlite" and url.database else None


def is_gone(url: str) -> bool:
    """Whether the database's file is not there (any more)."""
    path = _file_of(_parsed(url))
    return path is not None and not path.exists()


def _make_file(path: Path) -> None:
    """An empty file where there is none. What an earlier one left beside it must not be taken for the new one's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            for suffix in ("-wal", "-shm", "-journal"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            path.touch()
    finally:
        os.close(folder)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_identity(path: Path, opened: tuple[int, int] | None) -> None:
    """A connection to a file that was deleted or replaced writes into nowhere: it is dropped, and another one made."""
    if _identity(path) != opened:
        raise exc.DisconnectionError(f"{path} is another file now")


def _connect(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    """One SQLite connection with the pragmas this package relies on."""
    if mode == "rwc":
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise DatabaseMissing(f"{path}: there is no database yet: migrate it")
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        if mode == "ro":
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    """Take the write lock at once when writing: a lock taken half way could only fail, not wait."""
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _check_pages(connection: Connection, where: str) -> None:
    found: Any = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise DatabaseCorrupt(f"{where}: the database file is damaged: restore it from a backup ({found})")


def _forget_connections() -> None:
    """In a child after fork: drop the parent's connections without closing them."""
    for database in list(_OPEN):
        database._engine.dispose(close=False)


_OPEN: WeakSet[Database] = WeakSet()
os.register_at_fork(after_in_child=_forget_connections)
