"""The audit log: nothing in the past changes unseen."""

import multiprocessing
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_factories import NOON
from sqlalchemy import text

from storage.audit import Audit, Head, NewEntry
from storage.database import Database

SWAP = [
    "UPDATE audit SET id = 99 WHERE id = 4",
    "UPDATE audit SET id = 4 WHERE id = 5",
    "UPDATE audit SET id = 5 WHERE id = 99",
]


def entry(number: int) -> NewEntry:
    return NewEntry(at=NOON + timedelta(seconds=number), actor="SCANNER", action="stored", subject=f"1.2.{number}")


def append_some(url: str, start: int) -> None:
    audit = Audit(Database(url))
    for number in range(start, start + 10):
        audit.append(entry(number))


def tamper(database: Database, *statements: str) -> None:
    with database.writing() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.fixture
def audit(database: Database) -> Audit:
    audit = Audit(database)
    audit.append(*[entry(number) for number in range(1, 11)])
    return audit


def test_an_untouched_log_is_sound(audit: Audit) -> None:
    assert audit.verify() is None
    assert audit.head().count == 10


def test_an_empty_log_is_sound(database: Database) -> None:
    assert Audit(database).verify() is None


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "detail"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
@given(row=st.integers(1, 10))
def test_any_changed_value_is_found_at_its_row(audit: Audit, database: Database, column: str, row: int) -> None:
    with database.reading() as connection:
        before = connection.scalar(text(f"SELECT {column} FROM audit WHERE id = {row}"))
    changed = "2020-01-01 00:00:00.000000" if column == "at" else f"{before}!"
    tamper(database, f"UPDATE audit SET {column} = '{changed}' WHERE id = {row}")
    damage = audit.verify()
    tamper(database, f"UPDATE audit SET {column} = '{before}' WHERE id = {row}")
    assert damage is not None
    assert (damage.id, damage.reason) == (row, "was changed")
    assert audit.verify() is None


@pytest.mark.parametrize(
    ("statements", "row"),
    [
        (["DELETE FROM audit WHERE id = 4"], 4),
        (["DELETE FROM audit WHERE id = 1"], 1),
        (["DELETE FROM audit WHERE id = 4", "UPDATE audit SET id = id - 1 WHERE id > 4"], 4),
        (SWAP, 4),
        (["DELETE FROM audit WHERE id > 8"], 9),
        (["DELETE FROM audit"], 1),
        (["DELETE FROM audit WHERE id > 8", "UPDATE audit_head SET count = 8"], 8),
        (["DELETE FROM audit_head"], 10),
    ],
)
def test_missing_and_moved_rows_are_found(audit: Audit, database: Database, statements: list[str], row: int) -> None:
    tamper(database, *statements)
    damage = audit.verify()
    assert damage is not None
    assert damage.id == row


def test_a_tail_cut_off_with_its_head_row_is_found_by_a_head_kept_elsewhere(audit: Audit, database: Database) -> None:
    kept = audit.head()
    tamper(
        database,
        "DELETE FROM audit WHERE id > 8",
        "UPDATE audit_head SET count = 8, hash = (SELECT hash FROM audit WHERE id = 8)",
    )
    assert audit.verify() is None
    damage = audit.verify(kept)
    assert damage is not None
    assert damage.id == 9


def test_a_chain_made_anew_is_found_by_a_head_kept_elsewhere(audit: Audit) -> None:
    damage = audit.verify(Head(5, "f" * 64))
    assert damage is not None
    assert damage.id == 5


def test_processes_that_write_at_once_make_one_chain(database: Database, database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(append_some, [(database_url, 100 * n) for n in range(3)])
    audit = Audit(database)
    assert audit.verify() is None
    assert [row.id for row in audit.entries()] == list(range(1, 31))


def test_a_nul_in_a_text_breaks_no_chain(audit: Audit) -> None:
    """As an AE title may have it: not every database keeps one."""
    audit.append(NewEntry(at=NOON, actor="A\0B", action="connected", subject="\0", detail=""))
    assert audit.verify() is None
