"""What results cost: composing them beside judging, for one series, and where the time goes.

    python benchmarks/results.py [--slices 300] [--size 512] [--repeat 5] [--whole-stack]

Judges a synthetic series (a phantom's slices, repeated) with the shipped model, once without and once with maps of the
key slices, and prints beside it the median of `compose` (pictures, report, gate, encoding), of its parts, and, side by
side in the same run, what highdicom's evidence list costs when it is given every slice of the series instead of those
that are referred to, and what importing it costs. With --whole-stack instead: judging and composing with a map on every
slice, and the highest resident memory after each. Seconds are those of the processor, so that a busy machine tells the
same.
"""

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median

from pydicom.dataset import Dataset

from dicomnode.results import ResultContext, ResultObject, ResultOptions, capture, compose, conformance, report
from dicomnode.results.evidence import evidence_in
from dicomnode.results.normalise import normalise
from dicomnode.results.setting import open_setting
from inference import rendering
from inference.findings import Findings
from inference.judge import judge
from inference.models import default_bundle_path, load_bundle
from inference.phantom.generate import random_study
from inference.volume import Hounsfield, Volume

CONTEXT = ResultContext(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "benchmark")
DRAWN = 24
"""Slices of the phantom that are drawn; the series repeats them."""


def volume(slices: int, size: int) -> Volume:
    """An abdomen 70 s after the injection."""
    drawn = random_study(11, [70.0], slices=min(slices, DRAWN), size=size)[0].volume
    spacing = drawn.coverage_mm / slices

    def read(index: int) -> Hounsfield:
        return drawn.slice(index * len(drawn) // slices)

    positions = tuple(spacing * i for i in range(slices))
    return Volume(tuple(map(str, range(slices))), positions, drawn.shape, drawn.pixel_spacing_mm, read)


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


def row(name: str, run: Callable[[], object], repeat: int) -> float:
    """Prints and returns what one call costs."""
    seconds = timed(run, repeat)
    print(f"{name:<62}{1000 * seconds:9.1f} ms")
    return seconds


def once(run: Callable[[], object]) -> float:
    """Seconds of the processor for one call."""
    begin = os.times()
    run()
    return sum(os.times()[:2]) - sum(begin[:2])


def judged(source: Volume, **options: bool) -> tuple[Findings, float]:
    """What the shipped model says, and the seconds it took."""
    bundle = load_bundle(default_bundle_path("phase"))
    found: list[Findings] = []
    seconds = once(lambda: found.append(judge(source, bundle, **options)))
    return found[0], seconds


def megabytes(made: list[ResultObject]) -> float:
    return sum(len(one.encoded) for one in made) / 1e6


def peak_mb() -> float:
    """Highest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def key_slices(source: Volume, headers: list[Dataset], repeat: int) -> None:
    """The default: three key slices."""
    bundle = load_bundle(default_bundle_path("phase"))
    alone = once(lambda: judge(source, bundle, maps=()))
    found, whole = judged(source)
    print(f"{'judge, the answer alone':<62}{1000 * alone:9.1f} ms")
    print(f"{'judge, with maps of the key slices and their scores':<62}{1000 * whole:9.1f} ms")
    options = ResultOptions()
    made = compose(found, headers, source, options, CONTEXT)
    composed = row("compose, all", lambda: compose(found, headers, source, options, CONTEXT), repeat)
    print(f"{'compose / judge':<62}{composed / whole:9.3f}")
    print(f"{len(made)} objects, {megabytes(made):.1f} MB")
    parts(found, source, headers, made, composed, repeat)


def parts(
    found: Findings, source: Volume, headers: list[Dataset], made: list[ResultObject], composed: float, repeat: int
) -> None:
    """Where the time of composing goes, and what was kept out of its way."""
    options = ResultOptions()
    setting = open_setting(headers, options, CONTEXT, found.model, "AI PORTAL VENOUS 93%")
    root = conformance.decode(report.compose(found, source, setting))
    drawn = rendering
    row("  (normalise all headers, where compose needs only a few)", lambda: [normalise(h) for h in headers], repeat)
    row("  pictures and their encoding", lambda: list(capture.compose(found, source, setting, drawn)), repeat)
    row("  report", lambda: report.compose(found, source, setting), repeat)
    row("  gate", lambda: conformance.require(made, headers), repeat)
    quiet = replace(options, key_slices=0)
    few = row("compose with no key slices", lambda: compose(found, headers, source, quiet, CONTEXT), repeat)
    print(f"{'share of the key slices':<62}{1 - few / composed:9.2f}")
    hundred = range(100)
    ours = row(
        "evidence of what is referred to, 100 times", lambda: [evidence_in(root, setting) for _ in hundred], repeat
    )
    theirs = row(
        "evidence by highdicom over the series, 100 times",
        lambda: [highdicom_evidence(headers, root) for _ in hundred],
        repeat,
    )
    print(f"{'ratio':<62}{theirs / ours:9.1f}")
    for module in ("dicomnode.results", "dicomnode.results.reading", "dicomnode.results.objects", "highdicom"):
        print(f"{f'import {module}':<62}{1000 * import_seconds(module):9.1f} ms")


def whole_stack(source: Volume, headers: list[Dataset]) -> None:
    """A map on every slice."""
    begin = peak_mb()
    found, seconds = judged(source, whole_stack=True)
    print(f"{'judge, with maps of every slice':<62}{seconds:9.1f} s   {peak_mb() - begin:7.0f} MB more at most")
    made: list[ResultObject] = []
    options = ResultOptions(whole_stack=True)
    seconds = once(lambda: made.extend(compose(found, headers, source, options, CONTEXT)))
    print(f"{'compose':<62}{seconds:9.1f} s   {peak_mb() - begin:7.0f} MB more at most")
    print(f"{len(found.maps)} maps, {len(made)} objects, {megabytes(made):.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--whole-stack", action="store_true")
    asked = parser.parse_args()
    source = volume(asked.slices, asked.size)
    headers = [header(i, asked.size) for i in range(asked.slices)]
    print(f"{asked.slices} slices of {asked.size} x {asked.size}")
    if asked.whole_stack:
        whole_stack(source, headers)
    else:
        key_slices(source, headers, asked.repeat)


if __name__ == "__main__":
    main()
