"""An instance on its way into the spool: Success only for what is durable, and the right status for the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from dicomnode.errors import Refuse
from dicomnode.reception import Reception, Refused
from dicomnode.reconciliation import reconcile
from dicomnode.recorder import Recorder
from dicomnode.series.part10 import read_file_meta
from dicomnode.series.screening import Policy
from storage.arrivals import Arrival, Arrivals
from storage.database import Database, migrate
from storage.spool import Spool
from storage.states import Disposition
from tests.factories import CT_IMAGE, ct_series
from tests.story import Request, Scanner

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@dataclass(frozen=True)
class Sent:
    """What came of one instance."""

    status: int
    rows: list[Arrival | Refused]
    spool: Spool

    @property
    def kept(self) -> list[Path]:
        return [self.spool.absolute(place.path) for place in self.spool.walk()]


Send = Callable[..., Sent]


def begun(spool: Spool, path: Path, **changes: str) -> tuple[Reception, bytes, list[Arrival | Refused]]:
    """(a reception for a file, the file's dataset, the rows to come)."""
    content = path.read_bytes()
    syntax, start = read_file_meta(content)
    header = dcmread(path, stop_before_pixels=True)
    request = {"sop_class_uid": header.SOPClassUID, "sop_instance_uid": header.SOPInstanceUID} | changes
    rows: list[Arrival | Refused] = []
    asked = Request(transfer_syntax_uid=syntax, **request)
    return Reception(asked, Scanner(), spool, Policy(), rows.append, lambda: NOW), content[start:], rows


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def send(spool: Spool) -> Send:
    """Hands the dataset of a file to a reception in pieces, as the network does."""

    def run(path: Path, cut: int = 0, policy: Policy | None = None, **changes: str) -> Sent:
        content = path.read_bytes()
        syntax, start = read_file_meta(content)
        dataset = content[start : len(content) - cut]
        header = dcmread(path, stop_before_pixels=True)
        request = {"sop_class_uid": header.SOPClassUID, "sop_instance_uid": header.SOPInstanceUID} | changes
        rows: list[Arrival | Refused] = []
        reception = Reception(
            Request(transfer_syntax_uid=syntax, **request),
            Scanner(),
            spool,
            policy or Policy(),
            rows.append,
            lambda: NOW,
        )
        for position in range(0, len(dataset), 1000):
            reception.write(memoryview(dataset)[position : position + 1000])
        try:
            status = reception.finish()
            reception.settle()
        except Refuse as refusal:
            status = refusal.status
        return Sent(status, rows, spool)

    return run


@pytest.fixture
def slice_file(tmp_path: Path) -> Path:
    return ct_series(tmp_path / "in", 1, rows=64)[0]


def test_what_is_kept_is_byte_for_byte_what_came(send: Send, slice_file: Path) -> None:
    """The dataset lies in the spool as it was sent, behind meta information that names the sender."""
    sent = send(slice_file)
    assert sent.status == 0x0000
    (kept,) = sent.kept
    came, lies = slice_file.read_bytes(), kept.read_bytes()
    assert lies[read_file_meta(lies)[1] :] == came[read_file_meta(came)[1] :]
    assert dcmread(kept).file_meta.SourceApplicationEntityTitle == "SCANNER"
    (row,) = sent.rows
    assert isinstance(row, Arrival)
    assert row.disposition is Disposition.JUDGE


@pytest.mark.parametrize("rows", [180, 256, 512])
@pytest.mark.parametrize("step", [1000, 16_384, 131_060])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_ends_with_a_block_of_the_disk(
    spool: Spool, tmp_path: Path, rows: int, step: int, in_place: bool
) -> None:
    """However the bytes come; what is kept is what came, and what comes again is the same."""
    (path,) = ct_series(tmp_path / "in", 1, rows=rows)
    for duplicate in (False, True):
        reception, dataset, told = begun(spool, path)
        for at in range(0, len(dataset), step):
            piece = dataset[at : at + step]
            while piece and in_place:
                room = reception.room()
                assert room
                room[: len(piece)] = piece[: len(room)]
                reception.filled(min(len(room), len(piece)))
                piece = piece[len(room) :]
            reception.write(piece)
        assert reception.finish() == 0x0000
        reception.settle()
        (kept,) = [spool.absolute(place.path) for place in spool.walk()]
        content = kept.read_bytes()
        assert len(content) % 4096 == 0
        assert content[read_file_meta(content)[1] :] == dataset
        assert len(told) == 1, duplicate


def test_a_dataset_that_goes_on_behind_its_pixels_is_kept_whole(spool: Spool, tmp_path: Path) -> None:
    """Its file just does not end with a block."""
    (path,) = ct_series(tmp_path / "in", 1, rows=256)
    reception, dataset, _ = begun(spool, path)
    padding = b"\xfc\xff\xfc\xffOB\0\0" + (100).to_bytes(4, "little") + bytes(100)
    reception.write(dataset, padding)
    assert reception.finish() == 0x0000
    (kept,) = [spool.absolute(place.path) for place in spool.walk()]
    content = kept.read_bytes()
    assert content[read_file_meta(content)[1] :] == dataset + padding
    assert len(content) % 4096 == len(padding)


@pytest.mark.parametrize(
    ("changes", "cut", "status"),
    [
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"}, 0, 0xA900),
        ({"sop_instance_uid": "1.2.3.4"}, 0, 0xA900),
        ({"sop_instance_uid": "../../x"}, 0, 0xC000),
        ({}, 100, 0xC000),
    ],
    ids=["another SOP class", "another instance", "no UID", "truncated"],
)
def test_what_is_not_right_is_refused(
    send: Send, slice_file: Path, changes: dict[str, str], cut: int, status: int
) -> None:
    """A refusal has its status and its row, and nothing of the instance is kept."""
    sent = send(slice_file, cut, **changes)
    assert sent.status == status
    assert sent.kept == []
    (row,) = sent.rows
    assert isinstance(row, Refused)
    assert row.status == status
    assert row.reason


def test_uids_that_would_leave_the_spool_are_refused(send: Send, tmp_path: Path) -> None:
    """A study UID is a path: one that is none never becomes one."""
    path = ct_series(tmp_path / "in", 1, StudyInstanceUID="../../x")[0]
    sent = send(path)
    assert sent.status == 0xC000
    assert not (tmp_path / "x").exists()


def test_a_localizer_is_set_aside_or_refused_as_configured(send: Send, tmp_path: Path) -> None:
    """Either way the row says why."""
    path = ct_series(tmp_path / "in", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[0]
    taken = send(path)
    assert taken.status == 0x0000
    assert isinstance(taken.rows[0], Arrival)
    assert "localizer" in str(taken.rows[0].disposition_reason)
    refused = send(path, policy=Policy(refuse_others=True))
    assert refused.status != 0x0000
    assert isinstance(refused.rows[0], Refused)


def test_what_the_node_made_is_never_judged(send: Send, tmp_path: Path) -> None:
    """A PACS that sends results back starts no loop."""
    path = ct_series(tmp_path / "in", 1, Manufacturer="dicomnode")[0]
    (row,) = send(path).rows
    assert isinstance(row, Arrival)
    assert row.disposition is Disposition.OWN


def test_an_abandoned_instance_leaves_nothing(spool: Spool, slice_file: Path) -> None:
    """The association broke off in the middle of the dataset."""
    rows: list[object] = []
    request = Request(CT_IMAGE, "1.2.3", str(ImplicitVRLittleEndian))
    reception = Reception(request, Scanner(), spool, Policy(), rows.append, lambda: NOW)
    reception.write(b"\x08\x00")
    reception.abandon()
    assert rows == []
    assert not list((spool.root / "part").iterdir())


def test_the_ledger_is_made_again_from_the_spool(send: Send, spool: Spool, tmp_path: Path) -> None:
    """Rows that a crash took away come back, once, and equal what was lost."""
    lost = [row for path in ct_series(tmp_path / "in", 3) for row in send(path).rows]
    migrate(f"sqlite:///{tmp_path / 'log.sqlite'}")
    arrivals = Arrivals(Database(f"sqlite:///{tmp_path / 'log.sqlite'}"))
    assert reconcile(spool, arrivals, Policy()) == 3
    assert reconcile(spool, arrivals, Policy()) == 0
    first = lost[0]
    assert isinstance(first, Arrival)
    again = {row.path: row for row in arrivals.of_series(first.study_uid, first.series_uid)}
    assert {row.path: row.digest for row in lost if isinstance(row, Arrival)} == {p: r.digest for p, r in again.items()}


def test_the_part_file_of_the_next_instance_is_made_while_the_peer_prepares_it(send: Send, tmp_path: Path) -> None:
    """One lies ready after the answer, the next instance takes it, and none is left when nobody sends."""
    for path in ct_series(tmp_path / "in", 3):
        sent = send(path)
        assert sent.status == 0x0000
        assert len(list((sent.spool.root / "part").iterdir())) == 1
    sent.spool.discard_spares()
    assert not list((sent.spool.root / "part").iterdir())


def test_the_recorder_keeps_the_order_and_survives_errors() -> None:
    """A database that is away for a moment costs no row."""
    written: list[object] = []
    failures = iter([True])

    def write(rows: object) -> None:
        if next(failures, False):
            raise OSError("away")
        written.extend(rows)  # type: ignore[call-overload]

    recorder = Recorder(write, lambda: None)
    recorder.start()
    for number in range(50):
        recorder.put(number)
    recorder.stop()
    assert written == list(range(50))


def test_bytes_that_are_put_in_their_place_by_the_network_are_kept_like_any_other(spool: Spool, tmp_path: Path) -> None:
    path = ct_series(tmp_path / "in", 1, rows=128)[0]
    reception, dataset, rows = begun(spool, path)
    left = memoryview(dataset)
    while left:
        room = reception.room()
        assert room is not None
        count = min(len(room), len(left), 5000)
        room[:count] = left[:count]
        reception.filled(count)
        left = left[count:]
    assert reception.finish() == 0
    reception.settle()
    (row,) = rows
    assert isinstance(row, Arrival)
    assert spool.absolute(row.path).read_bytes().endswith(dataset)


def test_after_a_refusal_no_more_bytes_are_wanted(spool: Spool, tmp_path: Path) -> None:
    """What comes nevertheless changes nothing about the answer."""
    path = ct_series(tmp_path / "in", 1, rows=128)[0]
    reception, dataset, _ = begun(spool, path, sop_instance_uid="1.2.3")
    for _ in range(2):
        room = reception.room()
        if room is not None:
            room[: len(dataset)] = dataset
        reception.filled(len(dataset))
    assert reception.room() is None
    with pytest.raises(Refuse) as refusal:
        reception.finish()
    assert refusal.value.status == 0xA900
    assert list(spool.walk()) == []
