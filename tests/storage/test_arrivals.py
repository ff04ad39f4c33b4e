"""The ledgers of arrivals and associations."""

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_factories import NOON, SERIES, STUDY, arrival
from sqlalchemy import Engine, event, text

from storage.arrivals import Arrivals, Arrived
from storage.associations import Associations
from storage.database import Database
from storage.events import Events
from storage.jobs import Jobs
from storage.states import Disposition


def opened(associations: Associations, token: str, process: str = "receiver-0:1") -> None:
    associations.opened(
        token, calling_aet="SCANNER", called_aet="DICOMNODE", address="10.0.0.1", process=process, now=NOON
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab")), max_size=6), max_size=5))
def test_recording_is_idempotent_and_flags_changed_twins(
    database: Database, batches: list[list[tuple[int, str]]]
) -> None:
    with database.writing() as connection:
        connection.execute(text("DELETE FROM arrivals"))
    ledger = Arrivals(database)
    new = sum(ledger.record_many([arrival(n, content=content) for n, content in batch]) for batch in batches)
    distinct = {instance for batch in batches for instance in batch}
    rows = ledger.of_series(STUDY, SERIES)
    assert new == len(rows) == len(distinct)
    twins = {arrival(n).sop_uid for n, _ in distinct if {(n, "a"), (n, "b")} <= distinct}
    assert {row.sop_uid for row in rows if row.changed} == twins


def test_a_second_receipt_changes_nothing_of_the_first(database: Database) -> None:
    ledger = Arrivals(database)
    ledger.record_many([arrival(1)])
    before = ledger.of_series(STUDY, SERIES)
    assert ledger.record_many([arrival(1, calling_aet="OTHER", received_at=NOON + timedelta(days=1))]) == 0
    assert ledger.of_series(STUDY, SERIES) == before


def test_paths_without_a_row_are_found(database: Database) -> None:
    ledger = Arrivals(database)
    ledger.record_many([arrival(n) for n in range(500)])
    paths = [arrival(n).path for n in range(1000)]
    assert list(ledger.unknown(paths)) == paths[500:]
    assert list(ledger.known_paths()) == paths[:500]


def test_a_series_that_is_set_aside_whole_waits_for_one_job(database: Database) -> None:
    """Its job says why it is declined; what is set aside later opens no other one."""
    aside = {"disposition": Disposition.SET_ASIDE, "disposition_reason": "localizer"}
    Arrivals(database).record_many([arrival(n, **aside) for n in range(3)])
    jobs = Jobs(database)
    (series,) = jobs.open_series()
    assert series.count == 3
    assert jobs.create(series.study_uid, series.series_uid, closed_reason="quiet", now=NOON) is not None
    Arrivals(database).record_many([arrival(3, **aside)])
    assert jobs.open_series() == []


def test_what_was_set_aside_is_found_by_class_up_to_a_job(database: Database) -> None:
    """Neither what is judged or our own, nor another class, nor what came later; no more than asked for."""
    aside = {"disposition": Disposition.SET_ASIDE, "disposition_reason": "localizer"}
    Arrivals(database).record_many(
        [arrival(0), arrival(1, disposition=Disposition.OWN), arrival(2, sop_class_uid="1.2.3", **aside)]
        + [arrival(n, **aside) for n in (3, 4, 5)]
    )
    ids = {row.sop_uid: row.id for row in _aside(database, up_to=1000, limit=10)}
    assert list(ids) == [arrival(n).sop_uid for n in (3, 4, 5)]
    assert len(_aside(database, up_to=1000, limit=2)) == 2
    assert [row.sop_uid for row in _aside(database, up_to=ids[arrival(4).sop_uid], limit=10)] == list(ids)[:2]


def test_what_is_left_of_what_was_set_aside_comes_first(database: Database) -> None:
    """One that was removed would be no help."""
    aside = {"disposition": Disposition.SET_ASIDE, "disposition_reason": "localizer"}
    Arrivals(database).record_many([arrival(n, **aside) for n in range(3)])
    with database.writing() as connection:
        connection.execute(text("UPDATE arrivals SET removed_at = :now WHERE id < 3"), {"now": "2026-01-02 00:00:00"})
    (first,) = _aside(database, up_to=1000, limit=1)
    assert (first.sop_uid, first.removed_at) == (arrival(2).sop_uid, None)


def _aside(database: Database, *, up_to: int, limit: int) -> list[Arrived]:
    return Arrivals(database).set_aside(STUDY, SERIES, [arrival(0).sop_class_uid], up_to=up_to, limit=limit)


def test_what_is_set_aside_beside_slices_opens_no_job_of_its_own(database: Database) -> None:
    """A localizer in a series of slices goes with the slices' job."""
    aside = {"disposition": Disposition.SET_ASIDE, "disposition_reason": "localizer"}
    Arrivals(database).record_many([arrival(0), arrival(1, **aside)])
    (series,) = Jobs(database).open_series()
    assert (series.count, series.new_count) == (1, 1)


def test_what_the_node_made_opens_nothing(database: Database) -> None:
    """An archive that sends results back starts no loop."""
    Arrivals(database).record_many([arrival(0, disposition=Disposition.OWN)])
    assert Jobs(database).open_series() == []


def test_an_open_series_tells_its_evidence(database: Database) -> None:
    opened(Associations(database), "a1")
    Arrivals(database).record_many([arrival(n) for n in range(3)] + [arrival(0, content="changed")])
    (series,) = Jobs(database).open_series()
    assert (series.new_count, series.count, series.generation, series.open_associations) == (4, 3, 1, 1)
    assert (series.first_at, series.last_at) == (NOON, NOON + timedelta(seconds=0.2))


def test_only_associations_that_brought_the_series_count_as_open(database: Database) -> None:
    associations = Associations(database)
    for token in ("a1", "a2", "a3"):
        opened(associations, token)
    Arrivals(database).record_many(
        [arrival(1, token="a1"), arrival(2, token="a2"), arrival(3, series="1.9", token="a3")]
    )
    associations.closed("a1", "released", now=NOON)
    assert associations.open_for_series(STUDY, SERIES) == 1
    associations.closed("a2", "aborted", now=NOON)
    assert associations.open_for_series(STUDY, SERIES) == 0


def test_associations_of_dead_processes_are_closed_as_lost(database: Database) -> None:
    associations = Associations(database)
    opened(associations, "a1", "receiver-0:1")
    opened(associations, "a2", "receiver-1:2")
    associations.closed("a2", "released", now=NOON)
    assert associations.close_orphans({"receiver-1:2"}, now=NOON) == 1
    assert {a.token: a.outcome for a in associations.latest()} == {"a1": "lost", "a2": "released"}


def test_a_refused_instance_is_logged_with_its_status(database: Database) -> None:
    Arrivals(database).refused("its SOP Class UID is not that of the command", now=NOON, status=0xA900)
    (event,) = Events(database).latest(kind="refused")
    assert event.data == {"status": "0xA900"}
    assert event.text == "refused: its SOP Class UID is not that of the command"


def test_batches_of_all_lengths_need_few_statements(database: Database) -> None:
    """A driver keeps each one that it has seen: a receiver would grow with every new length of a batch."""
    seen: set[str] = set()
    listener = ("before_cursor_execute", lambda *call: seen.add(call[2]))
    event.listen(Engine, *listener)
    try:
        for length in range(1, 40):
            Arrivals(database).record_many([arrival(1000 * length + n) for n in range(length)])
    finally:
        event.remove(Engine, *listener)
    together = {statement for statement in seen if " IN (" in statement}
    assert 3 <= len(together) <= 3 * 7
