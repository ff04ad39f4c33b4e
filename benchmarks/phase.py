"""Phase: how right the shipped model is, beside what else can be run, and how fast.

    python benchmarks/phase.py synthetic [--patients 60] [--wide] held-out phantoms: synthetic, and called so
    python benchmarks/phase.py real ROOT [--labels labels.csv]    one folder of CT slices a series, by patient
    python benchmarks/phase.py peers ROOT --work DIR              beside TotalSegmentator's and boa-contrast's models
    python benchmarks/phase.py speed [--slices 300]               beside a network of ResNet-18's size, and memory

`real` reads DICOM through the node's own reader. `peers` needs their wheels unpacked (see --wheels) and the packages
that they were trained with; what is missing is said and skipped.
"""

import argparse
import csv
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from inference.judge import answer_slices
from inference.models import Bundle, default_bundle_path, load_bundle
from inference.phases import PHASES, Phase
from inference.training.evaluation import EvaluationReport, evaluate
from inference.training.phantoms import HELD_OUT, studies
from inference.volume import Volume

DEVELOPMENT = {
    "acrin001-abd": "unenhanced",
    "lfcp0001": "unenhanced",
    "ctpe0117": "arterial",
    "ircad17": "portal venous",
    "crlm1006": "portal venous",
    "crlm1004": "",
    "head-gbm": "",
    "tilt-ge": "",
}
"""Folder of the development set -> true phase; empty where there is none or none that is sure."""


def synthetic(bundle: Bundle, patients: int, wide: bool = False, first: Sequence[int] = (9_000,)) -> EvaluationReport:
    """Series of every phase for phantom patients whose shapes, kernels and noise were held out.

    At the times at which departments scan, or, `wide`, up to the borders of the phases. `patients` in a row from each
    number in `first` on.
    """
    batches = (studies(patients, seed=number, setting=HELD_OUT, textbook=not wide) for number in first)
    made = tqdm(chain.from_iterable(batches), total=len(first) * patients * len(PHASES), unit="series")
    patient_of: dict[str, str] = {}

    def named() -> Iterator[tuple[str, Volume, Phase | None]]:
        for study in made:
            name = f"patient {study.patient} {study.region} {study.seconds or 0:.0f} s"
            patient_of[name] = str(study.patient)
            yield name, study.volume, study.phase

    return evaluate(bundle, named(), patients=patient_of)


def real(bundle: Bundle, root: Path, labels: dict[str, str]) -> EvaluationReport:
    """Every folder that is labelled and there."""
    return evaluate(bundle, tqdm(list(_series(root, labels)), unit="series"))


def _series(root: Path, labels: dict[str, str]) -> Iterator[tuple[str, Volume | str, Phase | None]]:
    from dicomnode.series.volume import Unjudgeable, load

    for folder, name in labels.items():
        paths = sorted(path for path in (root / folder).rglob("*") if path.is_file())
        for part in load(paths) if paths else ():
            truth = Phase(name) if name else None
            yield f"{folder} {part.label}".strip(), part.reason if isinstance(part, Unjudgeable) else part.volume, truth


class Residual(nn.Module):
    """The basic block of ResNet-18, at its own widths."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet18() -> nn.Module:
    """ResNet-18 with random weights: the floor that a common choice of network would set."""
    blocks: list[nn.Module] = []
    for inputs, outputs, stride in ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2),
                                    (256, 256, 1), (256, 512, 2), (512, 512, 1)):  # fmt: skip
        blocks.append(Residual(inputs, outputs, stride))
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 4)).eval()


def speed(bundle: Bundle, slices: int, repeats: int = 3) -> list[tuple[str, float]]:
    """Seconds, median of interleaved runs: the whole judgement without maps, and ResNet-18's network alone."""
    volume = _one_volume(slices)
    floor, picture = resnet18(), torch.zeros(16, 3, 224, 224)
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(_timed(lambda: answer_slices(volume, bundle)))
        with torch.inference_mode():
            theirs.append(_timed(lambda: [floor(picture) for _ in range((slices + 15) // 16)]))
    return [
        (f"read, resample and judge {slices} slices of 512 x 512", statistics.median(ours)),
        (f"ResNet-18, {slices} pictures of 224 x 224 that are there already", statistics.median(theirs)),
    ]


def memory(bundle: Bundle, counts: Sequence[int] = (50, 200, 800, 2000)) -> list[tuple[int, float]]:
    """(slices, highest resident memory so far in MB): what grows with the slices is not streamed."""
    found = []
    for count in counts:
        answer_slices(_one_volume(count), bundle)
        found.append((count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return found


def _one_volume(slices: int) -> Volume:
    """A body-like slice of 512 x 512, read anew each time."""
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = np.where(y**2 / 0.4 + x**2 / 0.7 < 1, 40.0, -1000.0).astype(np.float32)
    return Volume(
        slice_ids=tuple(str(i) for i in range(slices)),
        positions_mm=tuple(float(i) for i in range(slices)),
        shape=(512, 512),
        pixel_spacing_mm=(0.8, 0.8),
        read=lambda index: body + np.float32(index % 7),
    )


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(report: EvaluationReport, kind: str) -> None:
    """The table of the series and the figures, as text."""
    print(f"{kind}; model {report.model.name} {report.model.version}, weights {report.model.weights_sha256[:12]}")
    for row in report.series:
        said = row.phase.value if row.phase else ("declined" if row.declined else "indeterminate")
        truth = row.truth.value if row.truth else "-"
        print(f"{row.folder:32s} {truth:14s} {said:14s} {row.confidence:5.2f}  {row.reason or ''}")
    print(json.dumps(report.summary()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=default_bundle_path("phase"))
    commands = parser.add_subparsers(dest="command", required=True)
    held_out = commands.add_parser("synthetic")
    held_out.add_argument("--patients", type=int, default=60)
    held_out.add_argument("--first", type=int, nargs="+", default=[9_000], help="first synthetic patient of each batch")
    held_out.add_argument("--wide", action="store_true", help="times up to the borders of the phases")
    folders = commands.add_parser("real")
    folders.add_argument("root", type=Path)
    folders.add_argument("--labels", type=Path, help="CSV with the columns folder,phase; default: the development set")
    peers = commands.add_parser("peers")
    peers.add_argument("root", type=Path, help="the development series; needs nibabel")
    peers.add_argument(
        "--work", type=Path, required=True, help="for the volumes as NIfTI: real pixels, not for sharing"
    )
    peers.add_argument("--wheels", type=Path, default=Path("wheels"), help="folder with the peers' unpacked wheels")
    peers.add_argument("--peer-python", type=Path, default=Path(sys.executable), help="interpreter of the peers")
    fast = commands.add_parser("speed")
    fast.add_argument("--slices", type=int, default=300)
    options = parser.parse_args(arguments)
    bundle = load_bundle(options.bundle)
    if options.command == "synthetic":
        show(synthetic(bundle, options.patients, options.wide, options.first), "SYNTHETIC, held-out setting")
    elif options.command == "real":
        show(real(bundle, options.root, _labels(options.labels)), "Real series, by patient")
    elif options.command == "peers":
        from phase_peers import table

        print(table(bundle, options.root, options.work, DEVELOPMENT, options.wheels, options.peer_python))
    else:
        for name, seconds in speed(bundle, options.slices):
            print(f"{seconds:8.2f} s  {name}")
        for count, megabytes in memory(bundle):
            print(f"{megabytes:8.0f} MB highest resident memory after {count} slices")
    return 0


def _labels(path: Path | None) -> dict[str, str]:
    if path is None:
        return DEVELOPMENT
    with path.open(newline="", encoding="utf-8") as file:
        return {row["folder"]: row["phase"] for row in csv.DictReader(file)}


if __name__ == "__main__":
    sys.exit(main())
