"""Receiving: instances a second into this node and its peers, interleaved in one run, with the ratios.

    python benchmarks/ingest.py [--rounds 15] [--instances 300] [--associations 1 4 16] [--folder DIR]
    python benchmarks/ingest.py soak [--instances 100000] [--kilobytes 64]     resident memory of one receiver
    python benchmarks/ingest.py visits [--associations 10000] [--strangers]    what associations cost one receiver

The node is `dicomnode serve receiver`, two that share a port as it comes, with its spool, its ledger and all its
checks: it answers Success when the file, its name and its folders are synced. Orthanc syncs file and database as well;
storescp and pynetdicom's application sync nothing. The floor is a page or three of C that does no more than a durable
receiver must: it tells which figures this machine lets anyone reach. Two senders: dcmtk's `storescu` as it comes, which
is what people have, and a bare one of a few lines that is never the bottleneck. Every receiver runs with TCP_NODELAY=1:
without it Debian's peers stall 44 ms an instance on loopback, and the comparison would be with that. `storescu` runs
without: what a receiver does about a sender under Nagle's algorithm is part of the comparison, and `--nodelay` takes it
out. Absolute figures are the machine's; compare ratios. Paired medians over the rounds.
"""

import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CT = b"1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2"
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
PLACE = {kind: f"2.25.{digit}{0:029d}".encode() for digit, kind in enumerate(("study", "series", "instance"), start=1)}
"""UIDs of fixed length in the one object that is sent: overwritten for each instance."""


@dataclass(frozen=True)
class Receiver:
    """Something that takes C-STORE."""

    name: str
    durable: bool
    start: Callable[[Path, int], list[subprocess.Popen[bytes]]]
    most_associations: int = 1000
    """More at once are rejected; they are not tried."""


def popen(*command: object, share: Sequence[int] = (), **environment: object) -> list[subprocess.Popen[bytes]]:
    """One process, silent; it inherits the descriptors `share`."""
    env = {**ENVIRONMENT, **{key: str(value) for key, value in environment.items()}}
    quiet = subprocess.DEVNULL
    words = [str(part) for part in command]
    return [subprocess.Popen(words, env=env, stdout=quiet, stderr=quiet, process_group=0, pass_fds=share)]


def node(processes: int, streaming: bool = True) -> Callable[[Path, int], list[subprocess.Popen[bytes]]]:
    """`processes` receivers that share a port, as the supervisor starts them."""

    def start(folder: Path, port: int) -> list[subprocess.Popen[bytes]]:
        settings = {
            "DICOMNODE_NODE_PORT": port,
            "DICOMNODE_STORAGE_FOLDER": folder,
            "DICOMNODE_STORAGE_RESERVE_BYTES": 0,
            "DICOMNODE_RECEIVE_STREAMING": str(streaming).lower(),
            "DICOMNODE_NODE_RECEIVERS": processes,
        }
        command = (sys.executable, "-m", "dicomnode", "serve", "receiver", "--sockets")
        started: list[subprocess.Popen[bytes]] = []
        with socket.create_server(("127.0.0.1", port), backlog=256) as shared:
            for _ in range(processes):
                started += popen(*command, shared.fileno(), share=[shared.fileno()], **settings)
                await_idle(started[-1:])  # the port is open from the start
        return started

    return start


def storescp(*options: str) -> Callable[[Path, int], list[subprocess.Popen[bytes]]]:
    """dcmtk's receiver."""
    return lambda folder, port: popen("storescp", *options, "-od", folder, port)


def orthanc(folder: Path, port: int) -> list[subprocess.Popen[bytes]]:
    """Debian's Orthanc with SQLite, as it comes, but for access and ports."""
    configuration = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomPort": port,
        "HttpPort": free_port(),
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "RemoteAccessAllowed": False,
        "Plugins": [],
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    return popen("/usr/sbin/Orthanc", file)


def pynetdicom(folder: Path, port: int) -> list[subprocess.Popen[bytes]]:
    """pynetdicom's application."""
    return popen(sys.executable, "-m", "pynetdicom", "storescp", "-od", folder, port)


def floor(folder: Path, port: int) -> list[subprocess.Popen[bytes]]:
    """floor.c: what is left when a durable receiver does nothing but receive, write, sync and answer."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("the floor needs a C compiler: name the other receivers with --only")
    program = folder / "floor"
    subprocess.run([compiler, "-O2", "-o", program, Path(__file__).with_name("floor.c")], check=True)
    return popen(program, port, folder)


ALONE = Receiver("dicomnode, 1 process", True, node(1))
RECEIVERS = (
    Receiver("dicomnode", True, node(2)),
    ALONE,
    Receiver("dicomnode, streaming off", True, node(2, streaming=False)),
    Receiver("storescp", False, storescp()),
    Receiver("storescp --fork", False, storescp("--fork")),
    Receiver("storescp +B, PDU 131,072", False, storescp("+B", "--max-pdu", "131072")),
    Receiver("storescp --fork +B, PDU 131,072", False, storescp("--fork", "+B", "--max-pdu", "131072")),
    Receiver("Orthanc", True, orthanc),
    Receiver("python -m pynetdicom storescp", False, pynetdicom, 10),
    Receiver("floor in C", True, floor),
)


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until something accepts."""
    for _ in range(400):
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} does not listen")


def await_idle(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until they have begun to work and have nothing to do."""
    before = -1.0
    while (now := cpu_seconds(processes)) != before or not now:
        before = now
        time.sleep(1.0)


@contextlib.contextmanager
def running(receiver: Receiver, folder: Path) -> Iterator[tuple[int, list[subprocess.Popen[bytes]]]]:
    """A receiver with an empty folder; it is stopped and the folder put away afterwards."""
    folder.mkdir(parents=True)
    port = free_port()
    processes = receiver.start(folder, port)
    try:
        await_port(port, processes[0])
        yield port, processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        put_away(folder)


def put_away(folder: Path) -> None:
    """Give the room back, but delete the files at the very end: ext4 slows whoever makes a file after many were."""
    for path, _, names in os.walk(folder):
        for name in names:
            os.truncate(Path(path, name), 0)
    folder.rename(folder.with_name(f"{folder.name}-{time.monotonic_ns()}"))


def cpu_seconds(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """User and system time of the processes and of the children that they have waited for or still have."""
    ticks = 0
    wanted = {process.pid for process in processes}
    stats: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stats[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
    for pid, fields in stats.items():
        if pid in wanted:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) in wanted:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def synthetic(kilobytes: int) -> bytes:
    """An encoded CT object (explicit VR little endian) with pixels of about that size; synthetic noise."""
    from io import BytesIO

    import numpy as np
    from pydicom.dataset import Dataset
    from pydicom.filewriter import write_dataset

    side = int((kilobytes * 512) ** 0.5)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT.decode(), PLACE["instance"].decode()
    dataset.StudyDate, dataset.Modality, dataset.Manufacturer = "20200101", "CT", "benchmark"
    dataset.PatientName, dataset.PatientID = "Benchmark", "benchmark"
    dataset.SliceThickness, dataset.KVP = "1.0", "120"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = PLACE["study"].decode(), PLACE["series"].decode()
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.Rows, dataset.Columns = (
        1,
        "MONOCHROME2",
        side,
        side,
    )
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
    pixels = np.random.default_rng(1).integers(0, 2048, side * side, dtype="<u2")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    buffer = BytesIO()
    from pydicom.filebase import DicomFileLike

    file = DicomFileLike(buffer)
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, dataset)
    return buffer.getvalue()


def part10(encoded: bytes, number: int) -> bytes:
    """A file with its own SOP Instance UID, for storescu."""
    uid = f"2.25.3{number:029d}".encode()
    meta = b"".join(
        struct.pack("<HH2sH", 2, tag, b"UI", len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)
        for tag, value in ((0x02, CT), (0x03, uid), (0x10, EXPLICIT), (0x12, b"1.2.3"))
    )
    version = struct.pack("<HH2sHL", 2, 1, b"OB", 0, 2) + b"\0\1"
    length = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(version) + len(meta))
    return b"\0" * 128 + b"DICM" + length + version + meta + encoded.replace(PLACE["instance"], uid)


class Bare:
    """The neutral sender: prebuilt bytes, one instance after the other, as the protocol wants it."""

    counter = itertools.count(1)

    def __init__(self, encoded: bytes, contexts: int = 1) -> None:
        """`contexts` presentation contexts are proposed, of which the first is used."""
        self.implementation = b"1.2.3"
        """Implementation Class UID, a part of the proposal."""
        proposed = [(CT, [EXPLICIT])]
        proposed += [(b"1.2.840.10008.5.1.4.1.1.%d" % (10 + n), [EXPLICIT, IMPLICIT]) for n in range(1, contexts)]
        self._contexts = b"".join(_context(2 * n + 1, *both) for n, both in enumerate(proposed))
        self._data = bytearray(encoded)
        self._at = {kind: encoded.index(uid) for kind, uid in PLACE.items()}

    def run(self, port: int, instances: int, associations: int) -> None:
        """All instances, shared out to associations, each in a process of its own. Raises if one is not a success."""
        first = [next(self.counter) for _ in range(instances)]
        series = next(self.counter)
        shares = [first[start::associations] for start in range(associations)]
        children = [self._fork(port, series, share) for share in shares if share]
        failed = [os.waitpid(child, 0)[1] for child in children]
        if any(failed):
            raise SystemExit("the bare sender was refused")

    def _fork(self, port: int, series: int, share: list[int]) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            self.send(port, series, share)
            code = 0
        finally:
            os._exit(code)

    def send(self, port: int, series: int, numbers: list[int]) -> None:
        """One association."""
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            most = self._associate(connection)
            for message_id, number in enumerate(numbers, start=1):
                uid = f"2.25.3{number:029d}".encode()
                for kind, value in (("study", series), ("series", series)):
                    start = self._at[kind]
                    self._data[start + 6 : start + 35] = f"{value:029d}".encode()
                self._data[self._at["instance"] : self._at["instance"] + len(uid)] = uid
                self._store(connection, most, message_id & 0xFFFF, uid)
            connection.sendall(bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
            _pdu(connection)

    def _associate(self, connection: socket.socket) -> int:
        user = _item(0x51, struct.pack(">L", 131_072)) + _item(0x52, self.implementation)
        body = struct.pack(">HH16s16s32x", 1, 0, b"ANY".ljust(16), b"BENCHMARK".ljust(16))
        body += _item(0x10, b"1.2.840.10008.3.1.1.1") + self._contexts + _item(0x50, user)
        connection.sendall(struct.pack(">BBL", 1, 0, len(body)) + body)
        kind, answer = _pdu(connection)
        if kind != 2:
            raise ConnectionError("not accepted")
        start = answer.index(b"\x51\0\0\4") + 4
        return min(struct.unpack_from(">L", answer, start)[0] or 131_072, 131_072)

    def _store(self, connection: socket.socket, most: int, message_id: int, uid: bytes) -> None:
        command = b"".join(
            struct.pack("<HHL", 0, tag, len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)
            for tag, value in (
                (0x0002, CT),
                (0x0100, b"\1\0"),
                (0x0110, struct.pack("<H", message_id)),
                (0x0700, b"\2\0"),
                (0x0800, b"\1\0"),
                (0x1000, uid),
            )
        )
        command = struct.pack("<HHLL", 0, 0, 4, len(command)) + command
        connection.sendall(struct.pack(">BBLLBB", 4, 0, len(command) + 6, len(command) + 2, 1, 3) + command)
        data, step = memoryview(self._data), most - 6
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            last = 2 if start + step >= len(data) else 0
            header = struct.pack(">BBLLBB", 4, 0, len(piece) + 6, len(piece) + 2, 1, last)
            sent = connection.sendmsg([header, piece])
            if sent < len(piece) + 12:
                connection.sendall(piece[max(0, sent - 12) :])
        kind, answer = _pdu(connection)
        at = answer.rindex(b"\0\0\0\x09\2\0\0\0") + 8
        if kind != 4 or answer[at : at + 2] != b"\0\0":
            raise ConnectionError("not a success")


def _context(number: int, abstract: bytes, transfers: Sequence[bytes]) -> bytes:
    syntaxes = _item(0x30, abstract) + b"".join(_item(0x40, transfer) for transfer in transfers)
    return _item(0x20, bytes((number, 0, 0, 0)) + syntaxes)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _pdu(connection: socket.socket) -> tuple[int, bytes]:
    header = _exactly(connection, 6)
    return header[0], _exactly(connection, struct.unpack(">L", header[2:])[0])


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


class Storescu:
    """dcmtk's sender; it invents a SOP Instance UID for each file, so that no receiver sees one twice."""

    def __init__(self, files: Sequence[Path], nodelay: bool) -> None:
        self._files = [str(file) for file in files]
        self._environment = ENVIRONMENT if nodelay else dict(os.environ)

    def run(self, port: int, instances: int, associations: int) -> None:
        """As `Bare.run`."""
        shares = [self._files[:instances][start::associations] for start in range(associations)]
        options = ["storescu", "+II", "+IR", "1000000", "-aec", "ANY", "127.0.0.1", str(port)]
        started = [
            subprocess.Popen(
                [*options, *share], env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for share in shares
            if share
        ]
        if sum(process.wait() for process in started):
            raise SystemExit("storescu was refused")


@dataclass(frozen=True)
class Run:
    """One measurement."""

    per_second: float
    cpu_seconds: float


Results = dict[tuple[str, str, int], list[Run]]


def compare(options: argparse.Namespace) -> None:
    """All receivers, both senders, interleaved."""
    results: Results = defaultdict(list)
    encoded = synthetic(options.kilobytes)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="ingest-") as place:
        files = [Path(place) / "series" / f"{number}.dcm" for number in range(options.instances)]
        files[0].parent.mkdir()
        for number, file in enumerate(files):
            file.write_bytes(part10(encoded, number))
        senders = {"storescu": Storescu(files, options.nodelay), "bare": Bare(encoded)}
        receivers = [r for r in RECEIVERS if not options.only or any(name == r.name for name in options.only)]
        with contextlib.suppress(KeyboardInterrupt):
            rounds(receivers, Path(place) / "receiver", senders, options, results)
    report(results, receivers, options)


def rounds(
    receivers: list[Receiver],
    folder: Path,
    senders: dict[str, "Storescu | Bare"],
    options: argparse.Namespace,
    results: Results,
) -> None:
    """Each round in another order. What was measured before an interruption counts."""
    for turn in range(options.rounds):
        for receiver in receivers[turn % len(receivers) :] + receivers[: turn % len(receivers)]:
            one_round(receiver, folder, senders, options, results)
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)


def one_round(
    receiver: Receiver,
    folder: Path,
    senders: dict[str, "Storescu | Bare"],
    options: argparse.Namespace,
    results: Results,
) -> None:
    """Every sender and number of associations, into a receiver that was just started and warmed up."""
    with running(receiver, folder) as (port, processes):
        senders["bare"].run(port, 5, 1)
        for name, sender in senders.items():
            for associations in filter(lambda count: count <= receiver.most_associations, options.associations):
                os.sync()  # or the pages that one receiver left would be written in the time of the next
                before, started = cpu_seconds(processes), time.perf_counter()
                sender.run(port, options.instances, associations)
                seconds = time.perf_counter() - started
                time.sleep(0.3)  # children of --fork are waited for, and the node's ledger is written
                run = Run(options.instances / seconds, cpu_seconds(processes) - before)
                results[receiver.name, name, associations].append(run)


def report(results: Results, receivers: Sequence[Receiver], options: argparse.Namespace) -> None:
    """Medians, and the paired ratio to the first receiver: how many times as fast that one was in the same round."""
    first = receivers[0].name
    done = min(len(results[receiver.name, "bare", options.associations[0]]) for receiver in receivers)
    if done == 0:
        raise SystemExit("interrupted before the first round was done")
    print(f"{options.instances} instances of {options.kilobytes} KB, {done} rounds; load {os.getloadavg()}")
    for name, associations in itertools.product(("storescu", "bare"), options.associations):
        print(f"\nsender {name}, {associations} association(s)")
        print(f"{'receiver':34} {'durable':8} {'inst/s':>8} {'CPU s':>7} {first + ' is':>16}")
        for receiver in receivers:
            runs = results[receiver.name, name, associations][:done]
            if not runs:
                print(f"{receiver.name:34} takes {receiver.most_associations} at most")
                continue
            pairs = zip(results[first, name, associations], runs, strict=False)
            ratios = sorted(ours.per_second / theirs.per_second for ours, theirs in pairs)
            speed = statistics.median(run.per_second for run in runs)
            cpu = statistics.median(run.cpu_seconds for run in runs)
            low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
            spread = f"{statistics.median(ratios):6.2f}x ({low:.2f}-{high:.2f})"
            print(f"{receiver.name:34} {'yes' if receiver.durable else 'no':8} {speed:8.0f} {cpu:7.2f} {spread:>20}")


def soak(options: argparse.Namespace) -> None:
    """Resident memory of one receiver from 1,000 to many instances; what it keeps is deleted on the way."""
    bare = Bare(synthetic(options.kilobytes))
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="soak-") as place:
        folder = Path(place) / "receiver"
        with running(ALONE, folder) as (port, processes):
            done = 0
            print(f"{'instances':>10} {'resident KiB':>13}")
            while done < options.instances:
                bare.run(port, 1000, 4)
                done += 1000
                for study in (folder / "spool").glob("[0-9]*"):
                    shutil.rmtree(study, ignore_errors=True)
                if done in (1000, 2000, 5000) or done % 10_000 == 0 or done >= options.instances:
                    time.sleep(1)
                    print(f"{done:10} {resident_kib(processes[0].pid):13}", flush=True)


def visits(options: argparse.Namespace) -> None:
    """Associations one after another, each with one small instance: what they cost one receiver, and what stays."""
    bare = Bare(synthetic(8), contexts=128)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="visits-") as place:
        folder = Path(place) / "receiver"
        with running(ALONE, folder) as (port, processes):
            print(f"{'associations':>12} {'descriptors':>12} {'threads':>8} {'resident KiB':>13} {'CPU ms each':>12}")
            before = cpu_seconds(processes)
            for done in range(1, options.associations[0] + 1):
                if options.strangers:
                    bare.implementation = b"1.2.3.%d" % done
                bare.send(port, 1, [done])
                if done in (100, 1000) or done % 2500 == 0 or done == options.associations[0]:
                    process = Path(f"/proc/{processes[0].pid}")
                    counts = [len(os.listdir(process / "fd")), len(os.listdir(process / "task"))]
                    each = 1000 * (cpu_seconds(processes) - before) / done
                    memory = resident_kib(processes[0].pid)
                    print(f"{done:12} {counts[0]:12} {counts[1]:8} {memory:13} {each:12.1f}", flush=True)


def main() -> None:
    """Arguments only."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("compare", "soak", "visits"), default="compare")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--instances", type=int)
    parser.add_argument("--associations", type=int, nargs="+")
    parser.add_argument("--kilobytes", type=int)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these receivers, by their names in the table")
    parser.add_argument("--nodelay", action="store_true", help="storescu with TCP_NODELAY=1 as well")
    parser.add_argument("--strangers", action="store_true", help="each visit proposes what nobody proposed before")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (default: the temporary folder)")
    options = parser.parse_args()
    defaults = {"compare": (300, [1, 4, 16], 525), "soak": (100_000, [4], 64), "visits": (0, [10_000], 8)}
    instances, associations, kilobytes = defaults[options.what]
    options.instances = options.instances or instances
    options.associations = options.associations or associations
    options.kilobytes = options.kilobytes or kilobytes
    {"compare": compare, "soak": soak, "visits": visits}[options.what](options)


if __name__ == "__main__":
    main()
