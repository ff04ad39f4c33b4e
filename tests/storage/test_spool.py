"""The spool: what is reported as kept is there, whatever happens."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.direct import BLOCK_BYTES, CHUNK_BYTES, DIRECT_BYTES
from storage.errors import NotAUid, SpoolError, SpoolFull, SpoolUnwritable
from storage.part import Kept
from storage.results import ResultStore
from storage.spool import SPARE_SECONDS, Spool, check_uid

UIDS = ("1.2.3", "1.2.3.4", "1.2.3.4.5")

WRITER = """
import sys
from pathlib import Path
from storage.spool import Spool

spool = Spool(Path(sys.argv[1]))
for number in range(1_000_000):
    data = (b"%d." % number) * 20_000
    with spool.open_part() as part:
        part.write_meta(b"meta")
        for start in range(0, len(data), 16_384):
            part.write(memoryview(data)[start : start + 16_384])
        kept = part.keep("1.2", f"1.2.{number % 7}", f"1.2.{number % 7}.{number}")
    print(number, kept.path, kept.digest, flush=True)
"""


def keep(spool: Spool, data: bytes, meta: bytes = b"meta", uids: tuple[str, str, str] = UIDS) -> Kept:
    with spool.open_part() as part:
        part.write_meta(meta)
        part.write(data)
        return part.keep(*uids)


@given(data=st.binary(max_size=5000), cuts=st.lists(st.integers(1, 700), max_size=20))
def test_bytes_come_back_as_they_came_however_they_were_cut(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int]
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    rest = memoryview(data)
    with spool.open_part() as part:
        part.write_meta(b"meta")
        for cut in cuts:
            part.write(rest[:cut])
            rest = rest[cut:]
        part.write(rest)
        kept = part.keep(*UIDS)
    assert spool.absolute(kept.path).read_bytes() == b"meta" + data
    assert (kept.digest, kept.size) == (hashlib.sha256(data).hexdigest(), len(data))


@given(
    meta=st.integers(100, 600),
    size=st.one_of(st.integers(0, 2 * CHUNK_BYTES), st.integers(CHUNK_BYTES - 9000, CHUNK_BYTES + 9000)),
    before=st.integers(0, 2 * CHUNK_BYTES),
)
@settings(max_examples=150, deadline=None)
def test_meta_information_that_grows_lets_the_file_end_with_a_block(
    tmp_path_factory: pytest.TempPathFactory, meta: int, size: int, before: int
) -> None:
    """Whatever was gathered before; not where that is on the disk already, nor where it pays nothing."""
    spool, data = Spool(tmp_path_factory.mktemp("spool")), Random(size).randbytes(size)
    with spool.open_part() as part:
        part.write_meta(bytes(meta))
        part.write(data[:before])
        if count := part.lacking(size, 64):
            assert 64 <= count < 64 + BLOCK_BYTES
            part.replace_meta(b"m" * (meta + count))
        part.write(data[before:])
        kept = part.keep(*UIDS)
    content = spool.absolute(kept.path).read_bytes()
    assert content[len(content) - size :] == data
    assert content[: len(content) - size] in (bytes(meta), b"m" * (meta + count))
    assert (kept.digest, kept.size) == (hashlib.sha256(data).hexdigest(), size)
    gathered = meta + min(before, size)
    if size < DIRECT_BYTES or gathered >= CHUNK_BYTES:
        assert count == 0
    elif gathered + count < CHUNK_BYTES:
        assert len(content) % BLOCK_BYTES == 0


@given(sizes=st.lists(st.sampled_from([0, 1, 700, 70_000]), max_size=5), repeats=st.sampled_from([1, 300]))
def test_pieces_that_are_written_together_come_back_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], repeats: int
) -> None:
    """Few or many, hashed as they come or once they are enough."""
    spool = Spool(tmp_path_factory.mktemp("spool"))
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)] * (repeats if sum(sizes) < 2000 else 1)
    with spool.open_part() as part:
        part.write(*pieces)
        part.write(*pieces)
        kept = part.keep(*UIDS)
    data = b"".join(pieces) * 2
    assert spool.absolute(kept.path).read_bytes() == data
    assert (kept.digest, kept.size) == (hashlib.sha256(data).hexdigest(), len(data))


def test_the_path_is_a_function_of_uids_and_dataset_only(tmp_path: Path) -> None:
    kept = keep(Spool(tmp_path / "a"), b"pixels", meta=b"from one")
    other = keep(Spool(tmp_path / "b"), b"pixels", meta=b"from another")
    digest16 = hashlib.sha256(b"pixels").hexdigest()[:16]
    assert kept.path == other.path == Path(f"1.2.3/1.2.3.4/1.2.3.4.5_{digest16}.dcm")


def test_the_same_dataset_again_keeps_the_first_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first, again = keep(spool, b"pixels", meta=b"one"), keep(spool, b"pixels", meta=b"two")
    assert (first.duplicate, again.duplicate, first.path) == (False, True, again.path)
    assert spool.absolute(first.path).read_bytes() == b"onepixels"
    assert len(list(spool.walk())) == 1
    assert list((tmp_path / "part").iterdir()) == []


def test_other_bytes_under_the_same_uid_are_kept_beside_the_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    paths = {keep(spool, b"pixels").path, keep(spool, b"other pixels").path}
    assert {spool.absolute(path).read_bytes() for path in paths} == {b"metapixels", b"metaother pixels"}


def test_a_damaged_file_is_healed_when_its_instance_comes_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    path = spool.absolute(keep(spool, b"pixels").path)
    path.write_bytes(b"")
    assert not keep(spool, b"pixels").duplicate
    assert path.read_bytes() == b"metapixels"


def test_a_series_folder_that_someone_deleted_is_made_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    keep(spool, b"pixels")
    shutil.rmtree(tmp_path / "1.2.3")
    assert spool.absolute(keep(spool, b"pixels").path).exists()


def test_the_file_has_its_name_and_both_are_synced_before_keep_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, calls = Spool(tmp_path), list[str]()

    def seen(name: str) -> object:
        real = getattr(os, name)

        def call(first: int | str, *rest: str, **more: int) -> object:
            fd = first if isinstance(first, int) else more["dst_dir_fd"]
            where = Path(os.readlink(f"/proc/self/fd/{fd}"), *rest)
            calls.append(f"{name} {os.path.relpath(where, tmp_path)}")
            return real(first, *rest, **more)

        return call

    for name in ("fsync", "fdatasync", "rename"):
        monkeypatch.setattr(os, name, seen(name))
    kept = keep(spool, b"pixels")
    assert calls == [
        "fsync 1.2.3",
        "fsync .",
        f"rename {kept.path}",
        f"fdatasync {kept.path}",
        "fsync 1.2.3/1.2.3.4",
    ]


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_what_the_disk_refuses_to_sync_has_no_name_and_can_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    spool = Spool(tmp_path)
    spool.make_durable_folder(Path("1.2.3/1.2.3.4"))

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(SpoolUnwritable, match="Input/output"):
            keep(spool, b"pixels")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not keep(spool, b"pixels").duplicate


def test_a_sync_that_fails_takes_back_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another association brought the same instance meanwhile, and its file took the name."""
    spool, real = Spool(tmp_path), os.fdatasync
    kept = []

    def refuse(fd: int) -> None:
        monkeypatch.setattr(os, "fdatasync", real)
        with spool.open_part() as other:
            other.write(b"pixels")
            other.keep_as(spool.path_of(*UIDS, other.digest))
            kept.append(spool.path_of(*UIDS, other.digest))
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(SpoolUnwritable):
        keep(spool, b"pixels", meta=b"")
    assert spool.absolute(kept[0]).read_bytes() == b"pixels"


def test_the_same_dataset_again_relies_on_nothing_that_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wrote the first file may have died before it was durable."""
    kept, synced, real = keep(Spool(tmp_path), b"pixels"), list[str](), os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    spool = Spool(tmp_path)
    assert keep(spool, b"pixels").duplicate
    assert synced[-4:] == ["1.2.3", ".", str(kept.path), "1.2.3/1.2.3.4"]


def test_the_same_dataset_again_waits_until_the_first_is_durable_or_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is named and not synced when the second comes; then the disk refuses the first."""
    spool, real = Spool(tmp_path), os.fdatasync
    named, second = threading.Event(), list[Kept]()
    again = threading.Thread(target=lambda: named.wait(10) and second.append(keep(spool, b"pixels")))

    def refuse(fd: int) -> None:
        monkeypatch.setattr(os, "fdatasync", real)
        named.set()
        again.join(0.5)
        assert not second, "it relied on a file that is not durable"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuse)
    again.start()
    with pytest.raises(SpoolUnwritable):
        keep(spool, b"pixels")
    again.join(10)
    assert spool.absolute(second[0].path).read_bytes() == b"metapixels"


def test_a_damaged_file_is_set_aside_but_not_the_one_that_took_its_place(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    path = keep(spool, b"pixels").path
    spool.absolute(path).write_bytes(b"torn")
    inode = spool.absolute(path).stat().st_ino
    aside = spool.set_aside(path, inode)
    assert aside is not None
    assert spool.absolute(aside).read_bytes() == b"torn"
    assert list(spool.walk()) == []
    assert spool.set_aside(path, inode) is None
    keep(spool, b"pixels")
    assert spool.set_aside(path, inode) is None
    assert spool.absolute(path).read_bytes() == b"metapixels"


def test_a_part_that_was_made_ahead_is_used_while_it_is_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an old one, which may be swept meanwhile."""
    spool, now = Spool(tmp_path), [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    spool.prepare_part()
    (ready,) = (tmp_path / "part").iterdir()
    keep(spool, b"pixels")
    assert not ready.exists()
    assert list((tmp_path / "part").iterdir()) == []
    spool.prepare_part()
    (old,) = (tmp_path / "part").iterdir()
    now[0] += SPARE_SECONDS
    with spool.open_part():
        (fresh,) = (tmp_path / "part").iterdir()
        assert fresh != old


def test_as_many_parts_as_are_wanted_lie_ready_and_no_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for _ in range(50):
        spool.prepare_part()
    assert 0 < len(list((tmp_path / "part").iterdir())) <= 8
    spool.discard_spares()
    assert list((tmp_path / "part").iterdir()) == []


def test_whatever_is_reported_as_kept_survives_a_kill_byte_for_byte(tmp_path: Path) -> None:
    """Several kills of a writing process, each at a random moment; every path that it told is there and whole."""
    rng = Random(7)
    told = dict[int, tuple[str, str]]()
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(rng.randrange(5, 60)):
                number, path, digest = writer.stdout.readline().split()
                told[int(number)] = (path, digest)
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout.read().splitlines(keepends=True):
                if line.endswith("\n"):
                    number, path, digest = line.split()
                    told[int(number)] = (path, digest)
    for number, (path, digest) in told.items():
        data = (tmp_path / path).read_bytes()
        assert data == b"meta" + (b"%d." % number) * 20_000
        assert hashlib.sha256(data[4:]).hexdigest() == digest
    located = {str(found.path): found for found in Spool(tmp_path).walk()}
    assert {path for path, _ in told.values()} <= set(located)
    for found in located.values():
        data = (tmp_path / found.path).read_bytes()
        assert hashlib.sha256(data[4:]).hexdigest().startswith(found.digest16), "a name promises what is not there"


def test_a_part_that_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with spool.open_part() as part:
        part.write(b"half")
    assert list(spool.walk()) == []
    assert list((tmp_path / "part").iterdir()) == []


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "../../x", "1.2/3", "1..2", ".1", "1.", "1.2\n", "1.2.a", "1." * 32 + "1", "１.2"]
)
def test_what_is_not_a_uid_never_becomes_a_path(tmp_path: Path, bad: str) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(NotAUid):
        keep(spool, b"pixels", uids=("1.2", bad, "1.2.3"))
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


@given(st.text(alphabet="0123456789./_ a\x00\n", max_size=70))
def test_a_checked_uid_is_one_harmless_path_component(text: str) -> None:
    try:
        uid = check_uid(text)
    except NotAUid:
        return
    assert 0 < len(uid) <= 64
    assert Path(uid).name == uid
    assert set(uid) <= set("0123456789.")


def test_walk_tells_from_the_paths_what_was_received(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    kept = keep(spool, b"pixels")
    (tmp_path / "1.2.3" / "1.2.3.4" / "notes.txt").write_text("not ours")
    (tmp_path / "lost+found").mkdir()
    (found,) = spool.walk()
    assert (found.study_uid, found.series_uid, found.sop_uid) == UIDS
    assert (found.path, found.digest16, found.size) == (kept.path, kept.digest[:16], 10)


def test_only_old_parts_are_swept(tmp_path: Path) -> None:
    spool, now = Spool(tmp_path), datetime.now(UTC)
    old, new = tmp_path / "part" / "old.part", tmp_path / "part" / "new.part"
    for path in (old, new):
        path.touch()
    os.utime(old, (now.timestamp() - 7200, now.timestamp() - 7200))
    assert spool.sweep_parts(timedelta(hours=1), now) == 1
    assert not old.exists()
    assert new.exists()


def test_there_is_no_room_below_the_reserve(tmp_path: Path) -> None:
    assert Spool(tmp_path, reserve_bytes=0).has_room()
    assert not Spool(tmp_path, reserve_bytes=1 << 62).has_room()


def test_a_spool_below_a_file_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnwritable):
        Spool(tmp_path / "file" / "spool")


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True)
    if made.returncode != 0:
        pytest.skip("a small disk can only be mounted as root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_told_and_forgotten_once_there_is_room(small_disk: Path) -> None:
    spool = Spool(small_disk)
    with pytest.raises(SpoolFull):
        keep(spool, b"x" * 2_000_000)
    assert list((small_disk / "part").iterdir()) == []
    kept = keep(spool, b"pixels")
    assert spool.absolute(kept.path).read_bytes() == b"metapixels"


def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    spool = Spool(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(SpoolUnwritable, match="Read-only"):
        keep(spool, b"pixels")


def test_a_result_is_there_once_put_and_replaced_at_once(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    path = store.put("17/1.2.3.dcm", b"first")
    assert store.put("17/1.2.3.dcm", b"second") == path
    assert store.read(path) == b"second"


@pytest.mark.parametrize("name", ["x.dcm", "../x.dcm", "/etc/x", "1/../x", "1/2/3.dcm", "1/.hidden", ""])
def test_a_result_stays_inside_its_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpoolError):
        ResultStore(tmp_path / "results").put(name, b"")
