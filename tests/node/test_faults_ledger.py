"""The ledger behind the receivers: written late, again, or from the spool, but never wrongly."""

import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode import recorder as recorder_module
from dicomnode.intake import Ledger, Opened
from dicomnode.network.intake import Peer
from dicomnode.reception import Reception
from dicomnode.reconciliation import reconcile
from dicomnode.recorder import Recorder
from dicomnode.series.screening import Policy
from storage.arrivals import Arrival, Arrivals
from storage.associations import Associations
from storage.audit import Audit
from storage.database import Database, migrate
from storage.errors import DatabaseLocked, DatabaseRefused
from storage.spool import Spool
from tests.factories import CT_IMAGE, ct_slice, uid
from tests.node.encoding import encoded

EXPLICIT = "1.2.840.10008.1.2.1"
PEER = Peer(calling_aet="CT1", called_aet="DICOMNODE", address="127.0.0.1", token="t1")


class Request:
    """A C-STORE command."""

    sop_class_uid, transfer_syntax_uid = CT_IMAGE, EXPLICIT

    def __init__(self, sop_instance_uid: str) -> None:
        self.sop_instance_uid = sop_instance_uid


@pytest.fixture
def database(tmp_path: Path) -> Database:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    migrate(url)
    return Database(url)


def now() -> datetime:
    return datetime.now(UTC)


def receive(spool: Spool, index: int, **attributes: object) -> Arrival:
    """One slice, as a receiver takes it; its row is not written."""
    rows: list[object] = []
    dataset = ct_slice(index, **attributes)
    del dataset.file_meta
    reception = Reception(Request(uid("series", index)), PEER, spool, Policy(), rows.append, now)
    reception.write(encoded(dataset))
    assert reception.finish() == 0x0000
    reception.settle()
    (row,) = rows
    assert isinstance(row, Arrival)
    return row


def run(write: object, rows: Sequence[object], catch_up: object = lambda: None, limit: int = 1000) -> None:
    """A recorder that writes these rows and stops."""
    recorder = Recorder(write, catch_up, limit)  # type: ignore[arg-type]
    for row in rows:
        recorder.put(row)
    recorder.start()
    recorder.stop(20)


def test_rows_of_associations_that_end_together_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for haste waits a moment for the others."""
    monkeypatch.setattr(recorder_module, "HURRY_SECONDS", 0.5)
    batches: list[list[object]] = []
    recorder = Recorder(lambda rows: batches.append(list(rows)), lambda: None)
    recorder.start()
    recorder.put("first")
    recorder.hurry()
    time.sleep(0.1)
    recorder.put("second")
    recorder.hurry()
    recorder.stop(20)
    assert batches == [["first", "second"]]


def test_the_ledger_is_the_same_whether_written_or_rebuilt_from_the_spool(tmp_path: Path, database: Database) -> None:
    """But for the association, which no file tells of."""
    spool, arrivals = Spool(tmp_path / "spool"), Arrivals(database)
    written = {row.path: row for row in (receive(spool, index) for index in range(3))}
    assert reconcile(spool, arrivals, Policy()) == 3
    assert reconcile(spool, arrivals, Policy()) == 0
    for row in arrivals.of_series(uid("study"), uid("series")):
        before = written[row.path]
        same = ("digest", "size", "sop_uid", "sop_class_uid", "transfer_syntax_uid", "patient_id", "disposition")
        assert [getattr(row, name) for name in same] == [getattr(before, name) for name in same]
        assert abs((row.received_at - before.received_at).total_seconds()) < 5


def test_a_file_put_into_the_spool_by_hand_stops_nothing(tmp_path: Path, database: Database) -> None:
    """It is told, left alone but for a name that would promise something, and the others are taken in."""
    spool = Spool(tmp_path / "spool")
    place = spool.absolute(receive(spool, 0).path)
    stranger = place.with_name(f"1.2.3_{'0' * 16}.dcm")
    stranger.write_bytes(b"no instance at all")
    note = place.with_name("note.txt")
    note.write_text("hello")
    assert reconcile(spool, Arrivals(database), Policy()) == 1
    assert note.exists()
    (aside,) = place.parent.glob("*.damaged-*")
    assert aside.read_bytes() == b"no instance at all"


@pytest.mark.parametrize("left", ["half of it", "nothing of it", "zeros", "one bit changed"])
def test_a_name_whose_bytes_the_power_cut_took_is_set_aside_and_told(
    tmp_path: Path, database: Database, caplog: pytest.LogCaptureFixture, left: str
) -> None:
    """As when the power goes out between rename and sync: no row says it is there, and it can be sent again."""
    spool, arrivals = Spool(tmp_path / "spool"), Arrivals(database)
    row = receive(spool, 0)
    place = spool.absolute(row.path)
    whole = place.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    cut = {"half of it": whole[: len(whole) // 2], "nothing of it": b"", "zeros": bytes(len(whole))}.get(left, flipped)
    place.write_bytes(cut)
    assert reconcile(spool, arrivals, Policy()) == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "set aside" in caplog.text
    (aside,) = place.parent.iterdir()
    assert aside.read_bytes() == cut
    assert list(spool.walk()) == []
    assert receive(spool, 0).path == row.path
    assert place.read_bytes() == whole
    assert reconcile(spool, arrivals, Policy()) == 1


def test_what_a_killed_receiver_left_in_memory_is_synced_before_its_row(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the power could take the file and leave the row that says it is there."""
    spool, arrivals = Spool(tmp_path / "spool"), Arrivals(database)
    place = spool.absolute(receive(spool, 0).path)
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    later = Spool(tmp_path / "spool")
    assert reconcile(later, arrivals, Policy()) == 1
    folders = [str(folder) for folder in (place.parent, *place.parent.parents[:2])]
    assert {str(place), *folders} <= set(synced)


def test_texts_and_numbers_that_a_database_may_refuse_are_made_harmless(tmp_path: Path) -> None:
    """A zero byte in a text, a number of more than 32 bits."""
    row = receive(Spool(tmp_path), 0, PatientID="A\0B", InstanceNumber=99_999_999_999)
    assert row.patient_id == "A B"
    assert row.instance_number is None


def test_rows_wait_for_a_database_that_is_away(tmp_path: Path) -> None:
    """Tried until it works; no row is lost and none is written twice."""
    failures, written = [DatabaseLocked("away")] * 3, list[object]()

    def write(rows: Sequence[object]) -> None:
        if failures:
            raise failures.pop()
        written.extend(rows)

    run(write, ["a", "b", "c"])
    assert written == ["a", "b", "c"]


def test_a_row_that_is_refused_holds_up_no_other() -> None:
    written: list[object] = []

    def write(rows: Sequence[object]) -> None:
        if "poison" in rows:
            raise DatabaseRefused("no")
        written.extend(rows)

    run(write, ["a", "poison", "b"])
    assert written == ["a", "b"]


def test_it_begins_with_what_an_earlier_process_left_and_repeats_that_after_an_overflow() -> None:
    """Rows that did not fit into the queue are made from the spool."""
    caught_up: list[int] = []
    written: list[object] = []
    begun, full = threading.Event(), threading.Event()

    def catch_up() -> None:
        caught_up.append(len(written))
        begun.set()
        full.wait(10)

    recorder = Recorder(written.extend, catch_up, 2)
    recorder.start()
    assert begun.wait(10)
    for number in range(5):
        recorder.put(number)
    full.set()
    recorder.stop(20)
    assert caught_up[0] == 0
    assert len(caught_up) == 2
    assert written == [0, 1]


def test_a_batch_that_failed_half_way_is_written_again_without_harm(tmp_path: Path, database: Database) -> None:
    """An association that is in the ledger already does not keep the arrivals behind it out."""
    ledger = Ledger(Arrivals(database), Associations(database), Audit(database), "receiver:1")
    row = receive(Spool(tmp_path / "spool"), 0)
    ledger.write([Opened(PEER, now())])
    ledger.write([Opened(PEER, now()), row])
    assert len(Arrivals(database).of_series(row.study_uid, row.series_uid)) == 1
