"""The database: migrations, one writer, readers that cannot write, and errors that say what to do."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from ledger_factories import NOON, ON_POSTGRESQL, ON_SQLITE, SERIES, STUDY, arrival, queued
from sqlalchemy import insert, make_url, text

from storage.arrivals import Arrivals
from storage.database import MEANINGS, Database, is_gone, migrate, newest_revision, translate
from storage.errors import (
    DatabaseCorrupt,
    DatabaseLocked,
    DatabaseMissing,
    DatabaseOutdated,
    DatabaseRefused,
    DatabaseUnwritable,
)
from storage.joblog import JobLog
from storage.schema import Base, JobRow, RoleRow


def test_the_migrations_make_exactly_the_tables_of_the_schema(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


@ON_SQLITE
def test_the_indexes_of_the_schema_have_their_conditions_in_the_database(database: Database) -> None:
    wanted = {
        index.name: index.dialect_options["sqlite"]["where"]
        for t in Base.metadata.tables.values()
        for index in t.indexes
    }
    with database.reading() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"))
        found = {name: sql.partition(" WHERE ")[2] for name, sql in rows}
    assert found == {name: str(where) if where is not None else "" for name, where in wanted.items()}


def test_migrating_twice_changes_nothing(database: Database, database_url: str) -> None:
    job = queued(database)
    migrate(database_url)
    assert JobLog(database).get(job.id) == job


def test_processes_that_migrate_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new folder/node.db"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(migrate, [url] * 3)
    Database(url).check()


@ON_SQLITE
def test_what_is_committed_is_synced_to_the_disk(database: Database) -> None:
    """journal_mode=WAL with synchronous=FULL (2): a commit survives the power going out."""
    with database.reading() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_read_only_database_refuses_to_write(database_url: str) -> None:
    reader = Database(database_url, read_only=True)
    with pytest.raises(DatabaseUnwritable), reader.writing():
        pass
    with pytest.raises(DatabaseUnwritable), reader.reading() as connection:
        connection.execute(text("DELETE FROM jobs"))


def test_a_reader_does_not_wait_for_a_writer(database: Database, database_url: str) -> None:
    job = queued(database)
    reader = JobLog(Database(database_url, read_only=True, busy_seconds=0.01))
    with database.writing() as connection:
        connection.execute(text("UPDATE jobs SET reason = 'half way'"))
        assert reader.get(job.id).reason == ""


def test_a_failed_transaction_leaves_nothing_behind(database: Database) -> None:
    row = {"process": "p", "role": "r", "state": "running", "text": "", "since": NOON, "seen_at": NOON}

    def insert_twice() -> None:
        with database.writing() as connection:
            for _ in range(2):
                connection.execute(insert(RoleRow).values(**row))

    with pytest.raises(DatabaseRefused):
        insert_twice()
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM roles")) == 0


def test_a_second_writer_gives_up_after_the_busy_time_out(database: Database, database_url: str) -> None:
    other = Database(database_url, busy_seconds=0.05)
    with database.writing(), pytest.raises(DatabaseLocked, match="another process holds"), other.writing():
        pass


@ON_SQLITE
def test_a_torn_database_file_is_named_as_such(database: Database, database_url: str, tmp_path: Path) -> None:
    queued(database, slices=200)
    database.close()
    file = tmp_path / "node.db"
    with open(file, "r+b") as torn:
        torn.truncate(file.stat().st_size // 2)
    with pytest.raises(DatabaseCorrupt, match=r"node\.db: the database file is damaged"):
        Database(database_url).check()


@pytest.mark.parametrize("act", [migrate, lambda url: Database(url).check()])
def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path, act: object) -> None:
    (tmp_path / "node.db").write_bytes(b"no database at all\n" * 500)
    with pytest.raises(DatabaseCorrupt, match="not a database"):
        act(f"sqlite:///{tmp_path}/node.db")  # type: ignore[operator]


def test_a_missing_database_says_so_instead_of_being_made(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing, match="migrate"):
        Database(f"sqlite:///{tmp_path}/node.db").check()
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_version_says_so(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(DatabaseOutdated, match="version 0000"):
        database.check()


def test_the_newest_revision_is_the_one_that_a_migrated_database_has(database: Database) -> None:
    with database.reading() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == newest_revision()


@pytest.mark.parametrize(("part", "kind"), [(part, kind) for part, kind, _ in MEANINGS])
def test_each_known_message_of_the_driver_has_its_own_error(part: str, kind: type[Exception]) -> None:
    assert type(translate(sqlite3.OperationalError(f"xx {part} xx"), "node.db")) is kind


@ON_POSTGRESQL
def test_a_database_that_the_server_lacks_is_told_and_its_password_is_not(database_url: str) -> None:
    absent = make_url(database_url).set(database="absent", password="secret")
    with pytest.raises(DatabaseMissing, match="does not let the node in") as told:
        Database(absent.render_as_string(hide_password=False)).check()
    assert "secret" not in str(told.value)


@ON_POSTGRESQL
def test_a_server_that_ended_the_connections_is_used_again(database: Database) -> None:
    job = queued(database)
    with pytest.raises(DatabaseMissing, match="ended the connection"), database.reading() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert JobLog(database).get(job.id) == job


def test_a_nul_in_a_text_keeps_no_row_out(database: Database) -> None:
    """A peer may send one in any text of the header."""
    Arrivals(database).record_many([arrival(1, series_description="a\0b")])
    (kept,) = Arrivals(database).of_series(STUDY, SERIES)
    assert kept.series_description == ("a\0b" if database.dialect == "sqlite" else "a\N{REPLACEMENT CHARACTER}b")


def test_a_value_that_the_database_cannot_keep_is_refused(database: Database) -> None:
    """One such row must not hold up the others: see the recorder."""
    job = queued(database)
    with pytest.raises(DatabaseRefused), database.writing() as connection:
        connection.execute(JobRow.__table__.update().values(generation=None))
    assert JobLog(database).get(job.id) == job


@ON_POSTGRESQL
def test_a_number_too_large_for_its_column_is_refused(database: Database) -> None:
    job = queued(database)
    with pytest.raises(DatabaseRefused), database.writing() as connection:
        connection.execute(JobRow.__table__.update().values(series_number=2**40))
    assert JobLog(database).get(job.id) == job


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    job = queued(database)
    with pytest.raises(Exception, match="without a zone"), database.writing() as connection:
        connection.execute(JobRow.__table__.update().values(created_at=NOON.replace(tzinfo=None)))
    assert JobLog(database).get(job.id).created_at == NOON


@ON_SQLITE
def test_a_file_that_was_deleted_under_a_connection_is_missed_and_not_written_into_nowhere(
    database: Database, tmp_path: Path
) -> None:
    queued(database)
    (tmp_path / "node.db").unlink()
    with pytest.raises(DatabaseMissing):
        JobLog(database).counts()


@ON_SQLITE
def test_a_file_that_was_replaced_is_used_from_then_on(database: Database, database_url: str, tmp_path: Path) -> None:
    queued(database)
    (tmp_path / "node.db").rename(tmp_path / "away")
    migrate(database_url)
    assert JobLog(database).list() == []
    queued(database)
    assert len(JobLog(database).list()) == 1


@ON_SQLITE
def test_a_new_database_takes_nothing_over_from_the_log_of_an_earlier_one(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """The write-ahead log that was left beside a deleted file belongs to that file."""
    queued(database)
    assert (tmp_path / "node.db-wal").exists()
    (tmp_path / "node.db").unlink()
    migrate(database_url)
    assert JobLog(Database(database_url)).list() == []
    Database(database_url).check()


@ON_SQLITE
def test_a_missing_file_is_noticed(database_url: str, tmp_path: Path) -> None:
    assert not is_gone(database_url)
    (tmp_path / "node.db").unlink()
    assert is_gone(database_url)
    assert not is_gone("postgresql+psycopg://node@server/node")
