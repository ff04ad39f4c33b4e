"""What composing costs: all objects of a 300-slice series, and where the time goes.

    python benchmarks/results.py [--slices 300] [--size 512] [--repeat 5]

Prints the median of `compose` (pictures, report, gate, encoding), of its parts, and, side by side in the same run, what
highdicom's evidence list costs when it is given every slice of the series instead of those that are referred to, and
what importing it costs. Seconds are those of the processor, so that a busy machine tells the same. The input is
synthetic; the maps are noise.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median

import numpy as np
from pydicom.dataset import Dataset

from dicomnode.results import ResultContext, ResultOptions, capture, compose, conformance, report
from dicomnode.results.envelope import open_setting
from dicomnode.results.evidence import evidence_in
from dicomnode.results.normalise import normalise
from inference import rendering
from inference.findings import Findings, MapScore, Seconds, SliceEvidence, SliceMap
from inference.models import ModelCard
from inference.phases import Phase
from inference.volume import Volume

CONTEXT = ResultContext(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "benchmark")


def volume(slices: int, size: int) -> Volume:
    """Noise around soft tissue, one slice repeated."""
    one = np.random.default_rng(0).normal(40, 20, (size, size)).astype(np.float32)
    positions = tuple(float(i) for i in range(slices))
    return Volume(tuple(map(str, range(slices))), positions, (size, size), (0.8, 0.8), lambda index: one)


def header(index: int, size: int) -> Dataset:
    """A CT header as scanners write it, private elements and all."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"2.25.9{index:05d}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "2.25.1", "2.25.2", "2.25.3"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "A^B", "1", "", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.StudyID = "20260102", "030405", "1", "1"
    dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = "CT", 4, "Abdomen"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, index], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.Rows, dataset.Columns = [0.8, 0.8], size, size
    dataset.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "private")
    return dataset


def findings(source: Volume) -> Findings:
    """Three key slices, two kinds of maps."""
    shares = dict(zip(Phase, (0.01, 0.02, 0.93, 0.04), strict=True))
    heat = np.random.default_rng(1).random(source.shape, dtype=np.float32) ** 8
    keys = (len(source) // 2, len(source) // 3, len(source) // 4)
    return Findings(
        Phase.PORTAL_VENOUS, 0.93, shares, Seconds(70, 60, 80), None, keys,
        tuple(SliceEvidence(i, shares, 1.0) for i in range(len(source))),
        tuple(SliceMap(i, m, "block2", "portal venous", heat, 1.0) for m in ("sam", "grad-cam") for i in keys),
        {m: MapScore(0.2, 0.8, 0.1, None, False) for m in ("sam", "grad-cam")},
        ModelCard("benchmark", "0", "phase", "none", "ab" * 32, "none", "none", "synthetic"),
    )  # fmt: skip


def timed(run: Callable[[], object], repeat: int) -> float:
    """Median seconds of the processor for one call, children included, after one that is not counted."""
    run()
    spent = []
    for _ in range(repeat):
        begin = os.times()
        run()
        end = os.times()
        spent.append(sum(end[:4]) - sum(begin[:4]))
    return median(spent)


def import_seconds(module: str) -> float:
    """Seconds that a fresh interpreter needs for one import, less those it needs for none."""

    def run(code: str) -> float:
        return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True), 3)

    return run(f"import {module}") - run("pass")


def highdicom_evidence(headers: list[Dataset], content: Dataset) -> object:
    """What highdicom does for its evidence sequence when the whole series is given."""
    from highdicom.sr.utils import collect_evidence

    return collect_evidence(headers, content, study_instance_uid="2.25.1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    source = volume(asked.slices, asked.size)
    headers = [header(i, asked.size) for i in range(asked.slices)]
    found, options = findings(source), ResultOptions()
    setting = open_setting(headers, options, CONTEXT, found.model, "AI PORTAL VENOUS 93%")
    made = compose(found, headers, source, options, CONTEXT)
    one = report.compose(found, source, setting)
    root = conformance.decode(one)

    def row(name: str, run: Callable[[], object]) -> float:
        seconds = timed(run, asked.repeat)
        print(f"{name:<58}{1000 * seconds:9.1f} ms")
        return seconds

    size = sum(len(o.encoded) for o in made) / 1e6
    print(f"{asked.slices} slices of {asked.size} x {asked.size}: {len(made)} objects, {size:.1f} MB")
    whole = row("compose, all", lambda: compose(found, headers, source, options, CONTEXT))
    row("  (normalise all headers, where compose needs only a few)", lambda: [normalise(h) for h in headers])
    row("  pictures and their encoding", lambda: list(capture.compose(found, source, setting, rendering)))
    row("  report", lambda: report.compose(found, source, setting))
    row("  gate", lambda: conformance.require(made, headers))
    ours = row("evidence of what is referred to, 100 times", lambda: [evidence_in(root, setting) for _ in range(100)])
    theirs = row(
        "evidence by highdicom over the series, 100 times",
        lambda: [highdicom_evidence(headers, root) for _ in range(100)],
    )
    print(f"{'ratio':<58}{theirs / ours:9.1f}")
    quiet = replace(options, key_slices=0)
    few = row("compose with no key slices", lambda: compose(found, headers, source, quiet, CONTEXT))
    print(f"{'share of the key slices':<58}{1 - few / whole:9.2f}")
    for module in ("dicomnode.results", "dicomnode.results.reading", "dicomnode.results.objects", "highdicom"):
        print(f"{f'import {module}':<58}{1000 * import_seconds(module):9.1f} ms")


if __name__ == "__main__":
    main()
