"""`dicomnode demo`: the whole way in one go. A small archive and the node, both real, speak DICOM over loopback.

archive ──C-STORE──▶ node: receive, assemble, analyse, compose ──C-STORE──▶ archive ──storage commitment──▶ node
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dicomnode.config import Settings, load
from dicomnode.errors import ConfigurationError, DicomnodeError
from dicomnode.joblog import job_row
from dicomnode.network import sender
from dicomnode.network.archive import Archive, files
from dicomnode.network.outbound import Destination
from dicomnode.results.picture import picture
from dicomnode.results.synthetic import SyntheticSeries, write_ct_images
from inference.sentences import percent
from storage.database import Database
from storage.errors import DatabaseError
from storage.joblog import JobLine, JobLog
from storage.outbox import Outbox, OutboxItem
from storage.states import JobState, OutboxState

PHASES_SECONDS: tuple[tuple[str, float | None], ...] = (
    ("unenhanced", None),
    ("arterial", 28.0),
    ("portal venous", 72.0),
)
SEED = 24
SLICES, SIZE = 32, 384
START_SECONDS, JOBS_SECONDS = 60.0, 600.0


def demo(out: Path, series: Path | None) -> int:
    """Everything lies below `out` afterwards. 0 when every series that was sent came back with results."""
    started = time.monotonic()
    _clear(out)
    source = series or _write_phantom_study(out / "sent")
    settings = _write_settings(out)
    archive = Archive(out / "archive", "ARCHIVE", port=_port(settings), callers=_where_reports_go(settings))
    with archive, _node(out / "dicomnode.toml", settings):
        sent = _send(source, settings)
        lines = _wait_for_jobs(settings, sent)
    _print_results(settings, lines, out)
    print(f"\nThe whole way took {time.monotonic() - started:.0f} s. Not for diagnostic use.")
    if series is None:
        print("The series sent were synthetic: a phantom in three phases, not a patient.")
    return 0 if lines and all(line.job.state in (JobState.BUILT, JobState.DECLINED) for line in lines) else 1


def _clear(out: Path) -> None:
    """Removes what an earlier demonstration left, and nothing else."""
    if out.exists() and any(out.iterdir()) and not (out / "dicomnode.toml").exists():
        raise ConfigurationError(f"--out: {out} is not empty and no earlier demonstration made it")
    for name in ("sent", "archive", "var", "results"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)


def _write_phantom_study(folder: Path) -> Path:
    from inference.phantom.generate import random_study

    print("making a synthetic study: one phantom patient, three phases", flush=True)
    volumes = random_study(SEED, [seconds for _, seconds in PHASES_SECONDS], slices=SLICES, size=SIZE)
    for number, volume in enumerate(volumes, 2):
        described = SyntheticSeries(f"demo {SEED}", number, "Synthetic abdomen 5.0", datetime.now(UTC))
        write_ct_images(volume.volume, described, folder / f"series-{number}")
    return folder


def _write_settings(out: Path) -> Settings:
    """A settings file such as an administrator would write; it stays in `out`."""
    port, web_port, archive_port = _free_ports(3)
    file = out / "dicomnode.toml"
    file.write_text(
        "# written by `dicomnode demo`\n"
        f"[node]\nport = {port}\n\n"
        f"[storage]\nfolder = {json.dumps(str(out / 'var'))}\nreserve_bytes = 100000000\n\n"
        "[assemble]\nquiet_seconds = 2\n\n"
        f"[web]\nport = {web_port}\n\n"
        '[[destinations]]\nname = "archive"\nae_title = "ARCHIVE"\n'
        f"port = {archive_port}\ncommitment = true\n"
    )
    return load(file, {})


def _port(settings: Settings) -> int:
    return settings.destination("archive").port


def _where_reports_go(settings: Settings) -> dict[str, tuple[str, int]]:
    """The archive reports storage commitment on an association of its own, to the port it has on file."""
    return {settings.node.ae_title: ("127.0.0.1", settings.node.port)}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def _node(file: Path, settings: Settings) -> Iterator[None]:
    """The node as an administrator starts it, until the block ends."""
    command = [sys.executable, "-m", "dicomnode", "--config", str(file), "serve"]
    with open(file.parent / "node.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for_answer(process, settings, file.parent / "node.log")
            yield
        finally:
            process.terminate()
            process.wait(30)


def _wait_for_answer(process: "subprocess.Popen[bytes]", settings: Settings, log: Path) -> None:
    """Until the node answers to C-ECHO."""
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at:
        if process.poll() is not None:
            raise DicomnodeError(f"the node did not start: {log.read_text()[-500:]}")
        if not sender.echo(_peer(settings)).reason:
            return
        time.sleep(0.1)
    raise DicomnodeError(f"the node did not answer within {START_SECONDS:.0f} s: see {log}")


def _peer(settings: Settings) -> Destination:
    return Destination(settings.node.ae_title, "127.0.0.1", settings.node.port, calling_aet="ARCHIVE")


def _bar(steps: Any, what: str, total: int, unit: str) -> Any:
    """A progress bar for a person, a line now and then for a log."""
    from tqdm import tqdm

    seconds = 0.1 if sys.stderr.isatty() else 15.0
    return tqdm(steps, what, total, unit=unit, mininterval=seconds, maxinterval=seconds)


def _send(source: Path, settings: Settings) -> int:
    """Routes what lies in a folder to the node, as a PACS would; the number of series."""
    from dicomnode.series.header import MalformedHeader
    from dicomnode.series.part10 import read_file_header

    items = list(files(source))
    if not items:
        raise ConfigurationError(f"--series: there is no DICOM object in {source}")
    series = set()
    for item, answer in _bar(sender.send(_peer(settings), items), "sending", len(items), "instance"):
        if answer.outcome != "accepted":
            print(f"refused: {item[2].name}: {answer.reason}", file=sys.stderr)
            continue
        try:
            header = read_file_header(item[2])
            series.add((header.study_uid, header.series_uid))
        except MalformedHeader as error:
            print(f"{item[2].name}: {error}", file=sys.stderr)
    return len(series)


def _wait_for_jobs(settings: Settings, series: int) -> Sequence[JobLine]:
    """Until as many jobs as series are finished and their results confirmed."""
    ends_at = time.monotonic() + JOBS_SECONDS
    with _bar(None, "judging and delivering", series, "series") as bar:
        while time.monotonic() < ends_at:
            lines = _lines(settings)
            if done := sum(_done(line) for line in lines) - bar.n:
                bar.update(done)
            if len(lines) >= series and all(_done(line) for line in lines):
                return lines
            time.sleep(0.2)
    raise DicomnodeError(f"not all series were done within {JOBS_SECONDS:.0f} s")


def _lines(settings: Settings) -> Sequence[JobLine]:
    try:
        return JobLog(Database(settings.storage.url, read_only=True)).list()
    except DatabaseError:
        return []


def _done(line: JobLine) -> bool:
    if line.job.state in (JobState.DECLINED, JobState.FAILED):
        return True
    states = {state for counts in line.outbox.values() for state in counts}
    return line.job.state is JobState.BUILT and states <= {OutboxState.COMMITTED, OutboxState.REJECTED}


def _print_results(settings: Settings, lines: Sequence[JobLine], out: Path) -> None:
    outbox = Outbox(Database(settings.storage.url, read_only=True))
    for line in reversed(lines):
        row = job_row(line)
        print(f"\njob {row['id']}  {row['state']}  {row['instances']} slices  closed: {row['closed_reason']}")
        if row["reason"]:
            print(f"  {row['reason']}")
        for part in row["parts"]:
            if part["phase"] is None:
                continue
            print(f"  {part['label']} {part['phase'].upper()}  {percent(part['confidence'])} %".replace("   ", "  "))
            print("  " + "   ".join(f"{name} {percent(value)} %" for name, value in part["probabilities"].items()))
            for note in (part["reason"], part["disagreement"]):
                if note:
                    print(f"  {note}")
        for text in _pictures(outbox.of_job(line.job.id), settings, out / "results" / f"job-{row['id']}"):
            print(f"  {text}")


def _pictures(items: Sequence[OutboxItem], settings: Settings, folder: Path) -> Iterator[str]:
    """Copies the result objects where a person finds them, with a PNG beside each picture."""
    for number, item in enumerate(items, 1):
        encoded = (settings.storage.folder / "results" / item.path).read_bytes()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number:02d}.dcm"
        path.write_bytes(encoded)
        status = "-" if item.last_status is None else f"0x{item.last_status:04X}"
        yield f"{path}  {item.state} {status}"
        if (image := picture(encoded)) is not None:
            path.with_suffix(".png").write_bytes(image)
            yield f"{path.with_suffix('.png')}"
