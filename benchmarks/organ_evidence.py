"""Organ evidence: how right the organs' vote is, when it may contradict the network, and what it costs.

    python benchmarks/organ_evidence.py synthetic [--patients 12] [--wheels DIR --peer-python PYTHON]
    python benchmarks/organ_evidence.py threshold [--patients 12]
    python benchmarks/organ_evidence.py real CT_ROOT
    python benchmarks/organ_evidence.py masks CT_ROOT [--wheels DIR --peer-python PYTHON]
    python benchmarks/organ_evidence.py time [--slices 300 --rounds 3]
    python benchmarks/organ_evidence.py page docs/organs.png

`synthetic`: held-out phantoms in four phases, by their true masks, by the masks of the organ model where there is one,
and as TotalSegmentator's and boa-contrast's phase models read the true masks (see phase_peers.py for what they need).
`threshold`: answers of the phase network on the same phantoms, and how many right and wrong ones are withheld.
`real`: the development series with and without organs. `masks`: the vote on masks that others made of three of them.
`time`: seconds of the organs beside those of the phase and its maps, one run. `page`: the organs' page of a phantom.
All but `real` and `masks` is synthetic.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from node_maps import KEY_SLICES, MAPS
from organ_peers import readings
from phase import DEVELOPMENT
from tqdm import tqdm

from inference.errors import CannotJudge
from inference.evidence import measure
from inference.findings import OrganVote
from inference.judge import answer_slices, explain_slices, judge
from inference.models import CARD_FILE, Bundle, default_bundle_path, load_bundle
from inference.organ_findings import SURE, heard, look
from inference.organ_vote import vote
from inference.organ_words import spoken
from inference.phantom.generate import random_study
from inference.phases import PHASES, Phase
from inference.rendering.caption import Caption
from inference.segment import ORGANS, OrganMasks
from inference.training.phantoms import HELD_OUT, TEXTBOOK_SECONDS
from inference.training.segmentation_data import class_table
from inference.volume import Volume

REACHED_HU = 70.0
"""An aorta below this holds too little contrast for the name of a phase."""


@dataclass(frozen=True)
class Case:
    """One synthetic series with its truth."""

    phase: Phase
    volume: Volume
    masks: OrganMasks


def cases(patients: int, seed: int = 9_700, slices: int = 20, size: int = 256) -> Iterator[Case]:
    """A series of each phase for each held-out patient, at textbook times; not where the contrast has not come yet."""
    table = class_table()
    for number in tqdm(range(patients), unit="patient"):
        rng = np.random.default_rng([seed, number])
        region = str(rng.choice(["abdomen", "abdomen", "trunk", "thorax"]))
        windows = [TEXTBOOK_SECONDS.get(phase) for phase in PHASES]
        times = [None if window is None else float(rng.uniform(*window)) for window in windows]
        for phase, made in zip(PHASES, random_study(seed + number, times, slices, size, region, HELD_OUT), strict=True):
            masks = OrganMasks(ORGANS, table[made.labels], tuple(range(slices)))
            aorta = next((o.median_hu for o in measure(made.volume, masks) if o.organ == "aorta"), None)
            if phase is Phase.UNENHANCED or aorta is None or aorta > REACHED_HU:
                yield Case(phase, made.volume, masks)


def organs_bundle(folder: Path) -> Bundle | None:
    """The organ model in a folder, if there is one."""
    return load_bundle(folder) if (folder / CARD_FILE).exists() else None


def synthetic(patients: int, bundle: Bundle | None, wheels: Path, python: Path) -> None:
    """Prints a line for each reader of the organs."""
    made = list(cases(patients))
    truth = [case.phase for case in made]
    print(f"SYNTHETIC, {patients} held-out patients, {len(made)} series")
    by_truth = [vote(measure(case.volume, case.masks)) for case in made]
    _say("organs' vote, true masks", truth, by_truth)
    if bundle is None:
        print("organs' vote, segmented masks: skipped, no organ model is installed")
    else:
        seen = [look(case.volume, bundle, with_map=False) for case in tqdm(made, unit="series")]
        _say("organs' vote, segmented masks", truth, [None if found is None else found.vote for found in seen])
    for name, said in readings([(case.volume, case.masks) for case in made], wheels, python):
        if isinstance(said, str):
            print(f"{name}, true masks: {said}")
        else:
            right = np.mean([a is b for a, b in zip(said, truth, strict=True)])
            print(f"{name + ', true masks':32s} right {right:.3f}, F1 {_f1(truth, said)}")


def _say(name: str, truth: Sequence[Phase], votes: Sequence[OrganVote | None]) -> None:
    heard = [(t, v) for t, v in zip(truth, votes, strict=True) if v is not None]
    right = float(np.mean([v.phase is t for t, v in heard])) if heard else float("nan")
    sure = [(t, v) for t, v in heard if v.confidence >= SURE]
    wrong = sum(v.phase is not t for t, v in sure)
    scores = _f1([t for t, _ in heard], [v.phase for _, v in heard])
    print(
        f"{name:32s} right {right:.3f} of {len(heard)} votes, F1 {scores}"
        f"; sure (>= {SURE}) {len(sure)}, of these wrong {wrong}; no vote {len(truth) - len(heard)}"
    )


def _f1(truth: Sequence[Phase], said: Sequence[Phase]) -> str:
    """F1 of each phase, in their order."""
    found = []
    for phase in PHASES:
        hit = sum(t is phase and s is phase for t, s in zip(truth, said, strict=True))
        total = sum(t is phase for t in truth) + sum(s is phase for s in said)
        found.append(f"{2 * hit / total:.2f}" if total else "-")
    return "/".join(found)


def threshold(patients: int, bundle: Bundle | None) -> None:
    """Prints how many answers the organs withhold, by how sure they must be."""
    phase = load_bundle(default_bundle_path("phase"))
    answers: list[tuple[bool, Phase, dict[str, OrganVote | None]]] = []
    for case in cases(patients):
        try:
            said = judge(case.volume, phase, maps=())
        except CannotJudge:
            continue
        if said.phase is not None:
            found = None if bundle is None else look(case.volume, bundle, with_map=False)
            votes = {"true masks": vote(measure(case.volume, case.masks)), "segmented": found.vote if found else None}
            answers.append((said.phase is case.phase, said.phase, votes))
    right = sum(ok for ok, _, _ in answers)
    print(f"SYNTHETIC: {right} right and {len(answers) - right} wrong answers of the network")
    for masks in ("true masks", "segmented"):
        for sure in (0.8, 0.9, 0.95, SURE, 0.99):
            lost = [ok for ok, phase, votes in answers if _withheld(phase, votes[masks], sure)]
            print(f"{masks:12s} sure from {sure:.2f}: withheld {sum(lost)} right, {len(lost) - sum(lost)} wrong")


def _withheld(phase: Phase, said: OrganVote | None, sure: float) -> bool:
    return said is not None and said.phase is not phase and said.confidence >= sure


def real(root: Path, bundle: Bundle | None) -> None:
    """Prints the answer with and without organs, and what the organs said."""
    phase = load_bundle(default_bundle_path("phase"))
    if bundle is None:
        print("no organ model is installed")
        return
    for folder, truth in DEVELOPMENT.items():
        for volume in _volumes(root / folder):
            try:
                without = judge(volume, phase, maps=())
            except CannotJudge as error:
                print(f"{folder:14s} {truth or '-':14s} declined: {error.reason}")
                continue
            seen = look(volume, bundle, without.key_slices, with_map=False)
            found = without if seen is None else heard(without, seen)
            said = "no vote" if found.organ_vote is None else spoken(found.organ_vote, found.organs)
            before, after = (f.phase.value if f.phase else "indeterminate" for f in (without, found))
            print(f"{folder:14s} {truth or '-':14s} without {before} {without.confidence:.2f}, with {after}; {said}")
            print(" " * 30 + ", ".join(f"{o.organ} {o.median_hu:.0f} HU {o.volume_ml:.0f} ml" for o in found.organs))


def _volumes(folder: Path) -> Iterator[Volume]:
    from dicomnode.series.volume import Unjudgeable, load

    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for part in load(paths) if paths else ():
        if not isinstance(part, Unjudgeable):
            yield part.volume


def masks(root: Path, wheels: Path, python: Path) -> None:
    """Prints the vote, and what the peers say, on ircad17's masks, TotalSegmentator's example, outlines of crlm1006."""
    made = dict(_outlined_by_others(root))
    for name, (volume, found) in made.items():
        _vote_line(name, volume, found)
    for name, said in readings(list(made.values()), wheels, python):
        words = said if isinstance(said, str) else ", ".join(f"{n}: {p.value}" for n, p in zip(made, said, strict=True))
        print(f"{name}: {words}")


def _outlined_by_others(root: Path) -> Iterator[tuple[str, tuple[Volume, OrganMasks]]]:
    from segmentation import ircad, totalseg

    for name, read in (("ircad17", ircad), ("totalseg-ct", totalseg)):
        volume, rows = read(root)
        labels = np.zeros((len(volume), *volume.shape), np.uint8)
        for row in sorted(rows, key=lambda row: row.name != "liver"):
            labels[row.truth] = ORGANS.index(row.organs[0]) + 1
        yield name, (volume, OrganMasks(ORGANS, labels, tuple(range(len(volume)))))
    sys.path.insert(0, str(Path(__file__).parent / "phase_model"))
    from abdomen import crlm1006

    (volume,) = _volumes(root / "crlm1006")
    classes = class_table()[crlm1006(root).labels]
    upright = volume.upright(classes)  # type: ignore[arg-type]
    yield "crlm1006", (volume, OrganMasks(ORGANS, upright, tuple(range(len(volume)))))  # type: ignore[arg-type]


def _vote_line(name: str, volume: Volume, found: OrganMasks) -> None:
    measured = measure(volume, found)
    said = vote(measured)
    print(f"{name:14s} {'no vote' if said is None else spoken(said, measured)}")
    print(" " * 15 + ", ".join(f"{o.organ} {o.median_hu:.0f} HU {o.volume_ml:.0f} ml" for o in measured))


def timing(slices: int, bundle: Bundle | None, rounds: int) -> int:
    """Prints seconds of the phase, of its maps and of the organs; 1 when the organs cost more than both together."""
    stack, phase = _long_volume(slices), load_bundle(default_bundle_path("phase"))
    if bundle is None:
        print("no organ model is installed")
        return 1
    keys = tuple(np.linspace(0, slices - 1, KEY_SLICES).round().astype(int).tolist())
    steps: dict[str, Callable[[], object]] = {
        "phase": lambda: answer_slices(stack, phase),
        "maps and their scores": lambda: explain_slices(stack, phase, keys, Phase.PORTAL_VENOUS, MAPS),
        "organs": lambda: look(stack, bundle, keys),
    }
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            spent[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(values) for name, values in spent.items()}
    for name, seconds in middle.items():
        print(f"{seconds:8.2f} s  {name}, {slices} slices of 512 x 512")
    ratio = middle["organs"] / (middle["phase"] + middle["maps and their scores"])
    print(f"{ratio:8.2f}    organs beside phase and maps (aim: at most 1)")
    return 0 if ratio <= 1 else 1


def page(path: Path, bundle: Bundle | None) -> int:
    """Writes the organs' page of a synthetic series in the portal venous phase."""
    from PIL import Image

    from inference.rendering.organ_page import organ_page

    (made,) = random_study(9_710, [75.0], 40, 384, "abdomen", HELD_OUT)
    found = judge(made.volume, load_bundle(default_bundle_path("phase")), organs=bundle)
    caption = Caption("4", "PHANTOM, NOT A PATIENT", datetime.now(UTC))
    Image.fromarray(organ_page(found, made.volume, caption)).save(path, optimize=True)
    return 0


def _long_volume(slices: int) -> Volume:
    """A phantom's twelve slices again and again, 512 x 512."""
    (made,) = random_study(7, [75.0], 12, 512)
    one = made.volume
    ids, positions = tuple(map(str, range(slices))), tuple(float(i) for i in range(slices))
    return Volume(ids, positions, one.shape, one.pixel_spacing_mm, lambda index: one.read(index % len(one)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organs", type=Path, default=default_bundle_path("organs"), help="bundle of the organ model")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("synthetic", "threshold"):
        commands.add_parser(name).add_argument("--patients", type=int, default=12)
    for name in ("real", "masks"):
        commands.add_parser(name).add_argument("root", type=Path)
    for name in ("synthetic", "masks"):
        command = commands.choices[name]
        command.add_argument("--wheels", type=Path, default=Path("wheels"), help="the peers' unpacked wheels")
        command.add_argument("--peer-python", type=Path, default=Path(sys.executable), help="interpreter of the peers")
    timed = commands.add_parser("time")
    timed.add_argument("--slices", type=int, default=300)
    timed.add_argument("--rounds", type=int, default=3)
    commands.add_parser("page").add_argument("out", type=Path)
    asked = parser.parse_args(arguments)
    bundle = organs_bundle(asked.organs)
    if asked.command == "synthetic":
        synthetic(asked.patients, bundle, asked.wheels, asked.peer_python)
    elif asked.command == "threshold":
        threshold(asked.patients, bundle)
    elif asked.command == "page":
        return page(asked.out, bundle)
    elif asked.command == "time":
        return timing(asked.slices, bundle, asked.rounds)
    elif asked.command == "masks":
        masks(asked.root, asked.wheels, asked.peer_python)
    else:
        real(asked.root, bundle)
    return 0


if __name__ == "__main__":
    sys.exit(main())
