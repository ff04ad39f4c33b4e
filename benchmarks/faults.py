"""What was promised against what is there, after every fault that could be thought of: prints a table.

    python benchmarks/faults.py                         200 kills, 1,000 associations: minutes
    python benchmarks/faults.py --kills 1000 --associations 10000

The node runs whole, with its real roles under its real supervisor; a stub takes the place of the model. Most rows are
tests, run here as they run in CI; the kills and the associations are run here in the number that is asked for. The
exit status is 1 when something did not hold.
"""

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from tests import postgresql  # noqa: E402
from tests.node import kills  # noqa: E402
from tests.node.churn import Footprint, associate_often, at_rest  # noqa: E402
from tests.node.harness import StubNode  # noqa: E402

MEGABYTE = 1 << 20
WARMING = 1000
"""Associations before memory is first looked at."""
POOL_DESCRIPTORS = 4
"""A process keeps the connections to the job log that its threads once needed at a time, two descriptors each."""

ROWS = {
    "destination refuses, stalls, aborts mid-object, fails, warns, is away": [
        "tests/node/test_faults_delivery.py", "tests/node/test_faults_stow.py"
    ],
    "disk full, spool read-only, database locked, torn, deleted": ["tests/node/test_faults_disk.py"],
    "worker killed, out of memory, failing, past its time limit": ["tests/node/test_faults_worker.py"],
    "malformed PDUs and datasets (fuzzer)": ["tests/wire/test_fuzz.py"],
    "slow and half-open peers, 200 connections at once": ["tests/node/test_faults_connections.py"],
    "bad input, and everything in the folder of robust objects": ["tests/node/test_faults_input.py"],
    "wrong settings, keys, folder, port, database at the start": ["tests/node/test_faults_start.py"],
    "strangers: names, networks, certificates": ["tests/node/test_access_node.py", "tests/wire/test_tls.py"],
    "ledger away, behind; old files removed": ["tests/node/test_faults_ledger.py", "tests/node/test_faults_removal.py"],
    "PostgreSQL goes away and comes back": ["tests/node/test_postgresql.py"],
}  # fmt: skip
"""Fault -> the tests that try it."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    fault: str
    tried: str
    held: bool
    remarks: str


def main() -> int:
    """Runs all, prints the table."""
    options = _options()
    rows = []
    for row in _rows(options):
        rows.append(row)
        print(f"{row.fault}: {row.tried}: {'held' if row.held else 'DID NOT HOLD'}  {row.remarks}", flush=True)
    _print_table(rows)
    return 0 if all(row.held for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--associations", type=int, default=1000, help="one after another")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("kills", "postgresql", "associations", "tests"), help="one part of it")
    return parser.parse_args()


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        if options.only in (None, "kills"):
            yield _kills(Path(folder) / "kills", options.kills, options.seed)
        if options.only in (None, "kills", "postgresql"):
            yield _kills_on_postgresql(Path(folder) / "postgresql", options.kills, options.seed)
        if options.only in (None, "associations"):
            yield _associations(Path(folder) / "associations", options.associations)
        if options.only in (None, "tests"):
            yield from (_tests(fault, files, Path(folder)) for fault, files in ROWS.items())


def _kills_on_postgresql(folder: Path, count: int, seed: int) -> Row:
    fault = "the same with the job log in PostgreSQL, and of the server"
    programs = postgresql.programs()
    if programs is None:
        return Row(fault, "none", False, "postgresql is not installed: scripts/debian-packages.sh")
    with postgresql.running(programs) as server:
        return _kills(folder, count, seed, fault, server)


def _kills(
    folder: Path,
    count: int,
    seed: int,
    fault: str = "SIGKILL of any process: receiving, analysing, composing, delivering",
    server: postgresql.Server | None = None,
) -> Row:
    with tqdm(total=count, desc="kills", disable=None) as bar:
        tally = kills.bombard(folder, count, seed, lambda _: bar.update() and None, server)
    for damage in tally.damage[:20]:
        print(f"    {damage}")
    return Row(fault, f"{tally.kills.total()} kills", not tally.damage, str(tally))


def _associations(folder: Path, count: int) -> Row:
    receive = {"max_associations": 40, "max_associations_per_peer": 40}
    with StubNode(folder, settings={"receive": receive, "log": {"level": "error"}}) as node:
        (receiver,) = node.processes("receiver")
        associate_often(node.port, WARMING)
        before = at_rest(receiver)
        for _ in tqdm(range(count // 100), desc="associations", unit="00", disable=None):
            associate_often(node.port, 100)
        after = at_rest(receiver)
        alive = node.processes("receiver") == [receiver]
    return Row("associations one after another", f"{count}", alive and _flat(before, after), _change(before, after))


def _flat(before: Footprint, after: Footprint) -> bool:
    grown = after.resident_bytes - before.resident_bytes
    more = after.descriptors - before.descriptors
    return more <= POOL_DESCRIPTORS and after.threads <= before.threads and grown < 8 * MEGABYTE


def _change(before: Footprint, after: Footprint) -> str:
    return (
        f"receiver: {before.descriptors} -> {after.descriptors} descriptors, {before.threads} -> {after.threads} "
        f"threads, {before.resident_bytes / MEGABYTE:.1f} -> {after.resident_bytes / MEGABYTE:.1f} MiB"
    )


def _tests(fault: str, files: list[str], folder: Path) -> Row:
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short", f"--junitxml={report}", *files]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if ended.returncode not in (0, 1):
        return Row(fault, "none", False, ended.stderr[-300:])
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    skipped = [case for case in cases if case.find("skipped") is not None]
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    remarks = [f"{len(skipped)} not tried here"] if skipped else []
    remarks += [str(case.get("name")) for case in failed]
    return Row(fault, f"{len(cases) - len(skipped)} cases", not failed, "; ".join(remarks))


def _print_table(rows: list[Row]) -> None:
    print("\n| fault | tried | held |\n|---|---|---|")
    for row in rows:
        print(f"| {row.fault} | {row.tried} | {'yes' if row.held else '**no**'} |")


if __name__ == "__main__":
    sys.exit(main())
