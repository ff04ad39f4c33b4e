"""What the paper claims of its maps, tried on phantoms with known truth.

    python benchmarks/claims.py [--seeds 5] [--patients 30] [--epochs 16] [--cache FOLDER] [--figure docs/maps.png]

Philbrick et al., AJR 2018;211:1184, from its abstract:
    C1  every map identifies voxels that the classifier used
    C2  SAM is more specific than guided backpropagation, CAM and Grad-CAM
    C3  at shallow layers SAM is more specific than Grad-CAM

SAM here is a reconstruction (see inference.explain.formulas), so this is a trial of the reconstruction.

For each seed: phantom abdomens of its own to train and to test on, each slice of each in all four phases, so that only
contrast tells them apart; a network of its own (the phase classifier, small); and on the test slices that it classifies
rightly every map at every layer, of the true phase. Truth is the mask of
phase-bearing organs and vessels. Measures are by rank: average precision (AP), and specificity at as many voxels as the
mask has. Squaring a map changes neither, but doubles what a share of mass says: that column is the control. Intervals
are 95 % of Student's t over seeds; "wins" counts seeds. All accuracy here is synthetic.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from inference.explain import INPUT_METHODS, METHODS, MapSet, explain
from inference.explain.ranking import average_precision, share_inside, specificity_at_matched_count
from inference.explain.scores import faithfulness
from inference.networks.classifier import PhaseClassifier
from inference.phantom.generate import random_study
from inference.phantom.organs import PHASE_BEARING
from inference.phantom.slices import PhantomVolume
from inference.phases import PHASES
from inference.preprocessing import Grid, channels
from inference.rendering.contact_sheet import Cell, Sheet, contact_sheet

SIZE, SLICES, TESTED_ON, BATCH = 96, 6, 6, 12
"""Pixels; slices of each patient; patients to test on; slices trained on at a time."""
LEAST_SEEDS = 5
DELETED = 12
"""Slices of each phase on which deletion and insertion are measured."""
LAYERS = ("stage2", "stage4", "stage8", "stage16")
SHALLOW = LAYERS[:2]
LEAST_MASK = 0.005
"""Slices of which less is phase-bearing are not used to test."""
T_95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t by number of seeds."""

Row = dict[str, float]


@dataclass(frozen=True)
class Effort:
    """How much each seed's network is trained, and where results are kept."""

    patients: int
    epochs: int
    cache: Path

    def of(self, seed: int) -> Path:
        """Where the seed's network and results are kept."""
        return self.cache / f"{self.patients}-patients-{self.epochs}-epochs-seed-{seed}"


@dataclass(frozen=True)
class Phantoms:
    """Labelled slices of phantom patients."""

    hounsfield: NDArray[np.float32]
    """[slice, row, column]."""
    mask: NDArray[np.bool_]
    """[slice, row, column]: phase-bearing."""
    phase: NDArray[np.int64]
    """Index into PHASES."""

    def inputs(self) -> Tensor:
        return torch.from_numpy(channels(self.hounsfield, Grid().windows))


def phantoms(seed: int, patients: int, cache: Path) -> Phantoms:
    """SLICES slices of each patient in all four phases, made once."""
    path = cache / f"phantoms-{seed}-{patients}-{SIZE}.npz"
    if not path.exists():
        made = [v for i in range(patients) for v in _patient(1000 * seed + i)]
        bearing = [int(organ) for organ in PHASE_BEARING]
        np.savez(
            path,
            hounsfield=np.concatenate([[v.volume.slice(i) for i in range(SLICES)] for v in made]),
            mask=np.concatenate([np.isin(v.labels, bearing) for v in made]),
            phase=np.repeat([PHASES.index(v.phase) for v in made if v.phase is not None], SLICES),
        )
    with np.load(path) as stored:
        return Phantoms(stored["hounsfield"], stored["mask"], stored["phase"])


def _patient(seed: int) -> list[PhantomVolume]:
    """One abdomen without contrast and at a random time of each phase."""
    rng = np.random.default_rng(seed)
    seconds = [None, rng.uniform(22, 38), rng.uniform(62, 88), rng.uniform(200, 500)]
    return [v for v in random_study(seed, seconds, SLICES, SIZE, "abdomen") if v.phase is not None]


def train(data: Phantoms, seed: int, epochs: int) -> PhaseClassifier:
    """A small phase classifier."""
    torch.manual_seed(seed)
    network, inputs = PhaseClassifier(3, width=16, blocks=(1, 1, 1, 1)), data.inputs()
    phase = torch.from_numpy(data.phase)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.02)
    steps = epochs * (len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in tqdm(range(epochs), desc=f"seed {seed}: training", leave=False):
        for chosen in torch.split(torch.randperm(len(inputs)), BATCH):
            if len(chosen) == BATCH:
                loss = functional.cross_entropy(network(_varied(inputs[chosen])), phase[chosen], label_smoothing=0.05)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    return network.eval()


def _varied(x: Tensor) -> Tensor:
    """Mirrored half of the time, moved by a few pixels, a little noise."""
    if torch.rand(()) < 0.5:
        x = x.flip(-1)
    moves = torch.randint(-6, 7, (2,)).tolist()
    return x.roll(moves, (-2, -1)) + 0.02 * torch.randn_like(x)


def trial(seed: int, effort: Effort) -> dict[str, Row]:
    """ "method@layer" -> its measures, means over the test slices; computed once a seed."""
    path = effort.of(seed).with_suffix(".json")
    if not path.exists():
        network = trained(seed, effort)
        path.write_text(json.dumps(_measured(network, phantoms(9000 + seed, TESTED_ON, effort.cache))))
    found: dict[str, Row] = json.loads(path.read_text())
    return found


def trained(seed: int, effort: Effort) -> PhaseClassifier:
    """The seed's network, trained once."""
    path = effort.of(seed).with_suffix(".pt")
    if not path.exists():
        data = phantoms(seed, effort.patients, effort.cache)
        torch.save(train(data, seed, effort.epochs).state_dict(), path)
    network = PhaseClassifier(3, width=16, blocks=(1, 1, 1, 1))
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def _measured(network: PhaseClassifier, data: Phantoms) -> dict[str, Row]:
    inputs, phase = data.inputs(), torch.from_numpy(data.phase)
    with torch.inference_mode():
        right = (network(inputs).argmax(1) == phase).numpy()
    chosen = right & (data.mask.mean((1, 2)) >= LEAST_MASK)
    table: dict[str, Row] = {"network": {"accuracy": float(right.mean()), "slices": float(chosen.sum())}}
    picked = {c: chosen & (data.phase == c) for c in range(len(PHASES))}
    rows: dict[str, list[Row]] = {}
    for c, of_class in picked.items():
        if of_class.any():
            for key, row in _of_class(network, inputs[torch.from_numpy(of_class)], data.mask[of_class], c):
                rows.setdefault(key, []).append(row)
    return table | {
        key: {name: float(np.nanmean([r[name] for r in found])) for name in found[0]} for key, found in rows.items()
    }


def _of_class(network: PhaseClassifier, x: Tensor, mask: NDArray[np.bool_], target: int) -> Iterator[tuple[str, Row]]:
    """(map, measures) for each slice of one phase."""
    made = explain(network, x, target=target, layers=LAYERS, maps=METHODS)
    controls = {"control: brightness": x[:, 0].numpy(), "control: edges": _edges(x)}
    values = {f"{m.method}@{m.layer}" if m.layer else m.method: m.values for m in made} | controls
    areas = faithfulness(network, x[:DELETED], [found[:DELETED] for found in values.values()], target, steps=7)
    for (key, found), area in zip(values.items(), areas, strict=True):
        gains = np.full(len(found), np.nan)
        gains[:DELETED] = area.insertion - area.deletion
        for one, its_mask, gain in zip(found, mask, gains, strict=True):
            yield key, _row(one, its_mask) | {"gain": float(gain)}


def _row(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> Row:
    positive = np.clip(values, 0, None)
    share, squared = share_inside(positive, mask), share_inside(positive.astype(np.float64) ** 2, mask)
    return {
        "ap": average_precision(values, mask),
        "ap over chance": average_precision(values, mask) - float(mask.mean()),
        "specificity": specificity_at_matched_count(values, mask),
        "share": math.nan if share is None else share,
        "share squared": math.nan if squared is None else squared,
    }


def _edges(x: Tensor) -> NDArray[np.float32]:
    """Gradient magnitude of the first window: what a map knows that only knows the image."""
    down, across = np.gradient(x[:, 0].numpy(), axis=(1, 2))
    edges: NDArray[np.float32] = np.hypot(down, across)
    return edges


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and half its 95 % interval."""

    mean: float
    half: float
    wins: int
    seeds: int

    @classmethod
    def over(cls, values: list[float]) -> "Interval":
        count = len(values)
        half = T_95.get(count, 2.0) * float(np.std(values, ddof=1)) / math.sqrt(count) if count > 1 else math.inf
        return cls(float(np.mean(values)), half, sum(v > 0 for v in values), count)

    @property
    def holds(self) -> bool:
        """Above zero in every seed, and the interval excludes zero."""
        return self.wins == self.seeds and self.mean - self.half > 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.half:.3f}"


def print_table(trials: list[dict[str, Row]]) -> None:
    """Every map's measures, over seeds."""
    accuracy = [t["network"]["accuracy"] for t in trials]
    slices = [int(t["network"]["slices"]) for t in trials]
    print(f"synthetic accuracy by seed {', '.join(f'{a:.2f}' for a in accuracy)}; test slices used {slices}\n")
    print(f"{'map':26}{'AP':>16}{'specificity':>17}{'insertion-deletion':>20}{'mass':>7}{'squared':>9}")
    for key in (k for k in trials[0] if k != "network"):
        ap, spec, gain = (Interval.over([t[key][name] for t in trials]) for name in ("ap", "specificity", "gain"))
        share, squared = (float(np.mean([t[key][name] for t in trials])) for name in ("share", "share squared"))
        print(f"{key:26}{ap!s:>16}{spec!s:>17}{gain!s:>20}{share:7.2f}{squared:9.2f}")


def claims(trials: list[dict[str, Row]]) -> Mapping[str, Interval]:
    """Each part of each claim as a difference that should be above zero."""
    found: dict[str, Interval] = {}
    for key in (k for k in trials[0] if k != "network" and not k.startswith("control")):
        found[f"C1 {key}: AP over chance"] = Interval.over([t[key]["ap over chance"] for t in trials])
        found[f"C1 {key}: insertion over deletion"] = Interval.over([t[key]["gain"] for t in trials])
    for layer in LAYERS:
        rivals = {"guided-backprop": "guided-backprop", "CAM": "cam@stage16", "Grad-CAM": f"grad-cam@{layer}"}
        for rival, key in rivals.items():
            claim = "C3" if rival == "Grad-CAM" and layer in SHALLOW else "C2"
            for measure in ("specificity", "ap"):
                values = [t[f"sam@{layer}"][measure] - t[key][measure] for t in trials]
                found[f"{claim} SAM@{layer} over {rival}: {measure}"] = Interval.over(values)
    return found


def print_claims(found: Mapping[str, Interval]) -> None:
    """Holds, or not, with numbers."""
    print(f"\n{'claim':52}{'difference':>17}  wins")
    for name, interval in found.items():
        verdict = "holds" if interval.holds else "not established"
        if "guided-backprop" in name and name.startswith("C2"):
            verdict += ", never claimed"
        print(f"{name:52}{interval!s:>17}  {interval.wins}/{interval.seeds}  {verdict}")


def figure(seed: int, effort: Effort, path: Path) -> None:
    """One phantom slice with every map at every layer."""
    network, data = trained(seed, effort), phantoms(9000 + seed, TESTED_ON, effort.cache)
    x, phase = data.inputs(), torch.from_numpy(data.phase)
    with torch.inference_mode():
        sure = torch.softmax(network(x), 1).gather(1, phase[:, None])[:, 0].numpy()
    index = int(np.argmax(sure * data.mask.mean((1, 2))))
    target = int(data.phase[index])
    made = explain(network, x[index : index + 1], target=target, layers=LAYERS, maps=METHODS)
    image = data.hounsfield[index]
    columns = ("slice and truth", *METHODS)
    cells = tuple(tuple(_cell(image, data.mask[index], made, m, layer) for m in columns) for layer in LAYERS)
    name = f"Phantom slice (synthetic), every map of what spoke for {PHASES[target].value}"
    footer = f"SAM is a reconstruction: {made.sam_kind} · each map at its own scale"
    sheet = Sheet(name, tuple(m.replace(" and ", "\n") for m in columns), LAYERS, cells, footer)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(contact_sheet(sheet, size=168)).save(path, optimize=True)


def _cell(image: NDArray[np.float32], mask: NDArray[np.bool_], made: MapSet, method: str, layer: str) -> Cell | None:
    if method == "slice and truth":
        first, second = layer == LAYERS[0], layer == LAYERS[1]
        return Cell(image) if first else Cell(image, mask.astype(np.float32)) if second else None
    if method in INPUT_METHODS and layer != LAYERS[0]:
        return None
    try:
        found = made.get(method, None if method in INPUT_METHODS else layer)
    except KeyError:
        return None
    return Cell(image, np.maximum(found.values[0], 0), found.scale)


def main() -> int:
    """Prints the tables; 0 when what is asserted holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--patients", type=int, default=30, help="phantom patients to train each network on")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--cache", type=Path, help="keeps phantoms, networks and results between runs")
    parser.add_argument("--figure", type=Path, help="also draws one slice with every map")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        effort = Effort(arguments.patients, arguments.epochs, cache)
        trials = [trial(seed, effort) for seed in tqdm(range(arguments.seeds), desc="seeds")]
        if arguments.figure:
            figure(0, effort, arguments.figure)
    print_table(trials)
    found = claims(trials)
    print_claims(found)
    broken = [name for name, interval in found.items() if _asserted(name) and not interval.holds]
    if arguments.seeds < LEAST_SEEDS:
        print(f"\nnothing is asserted of fewer than {LEAST_SEEDS} seeds")
        return 0
    print("\nasserted (SAM over CAM, AP over chance): " + ("holds" if not broken else f"BROKEN: {broken}"))
    return 1 if broken else 0


def _asserted(name: str) -> bool:
    """What held in every seed when it was first measured; the rest is reported as it is."""
    return "over CAM" in name or (name.startswith("C1") and "AP over chance" in name)


if __name__ == "__main__":
    sys.exit(main())
