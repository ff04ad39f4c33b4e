"""Every map from one shared pass beside captum, pytorch-grad-cam and torchcam, interleaved in one run.

    python benchmarks/maps.py [--size 224] [--batch 3] [--rounds 9] [--device cpu]

Each peer computes the maps that it can; beside it stands this project computing exactly those. "floor" is one plain
forward and two plain backwards to the input. Times are medians over interleaved rounds. Peak memory is that of a fresh
process above what it held before the first call (CPU only). The network is the phase classifier with random weights.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.explain import METHODS, explain
from inference.networks.classifier import PhaseClassifier

TARGET = 2
LEAST_AGAINST_CAPTUM, MOST_AGAINST_FLOOR = 5.0, 1.5
_PICTURE_LIBRARIES = ("cv2", "ttach", "torchvision", "torchvision.transforms", "torchvision.transforms.functional")
Maps = list[np.ndarray]


@dataclass(frozen=True)
class Contender:
    """Something to be timed."""

    name: str
    maps: int
    """How many maps a run gives."""
    run: Callable[[], Maps]
    beside: str | None = None
    """The contender that gives the same maps."""


class Bench:
    """One network, one batch, four layers."""

    def __init__(self, size: int, batch: int, device: str) -> None:
        torch.manual_seed(0)
        self.network = PhaseClassifier(3, width=32).eval().to(device)
        with torch.no_grad():
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                    module.running_var.uniform_(0.5, 1.5)
                    module.weight.uniform_(0.8, 1.2)
        self.network.requires_grad_(False)  # nobody is asked for gradients of weights
        self.x = torch.randn(batch, 3, size, size, device=device)
        names = [name for name, part in self.network.named_children() if name.startswith("stage")]
        self.layers = names
        self.modules = [getattr(self.network, name) for name in names]

    def ours(self, maps: Sequence[str], layers: Sequence[str] | None = None) -> Maps:
        found = explain(self.network, self.x, target=TARGET, layers=layers or self.layers, maps=maps)
        return [m.values for m in found]

    def floor(self) -> Maps:
        x = self.x.clone().requires_grad_()
        score = self.network(x)[:, TARGET].sum()
        torch.autograd.grad(score, x, retain_graph=True)
        (gradient,) = torch.autograd.grad(score, x)
        return [gradient.cpu().numpy()]

    def captum(self) -> Maps:
        """Saliency, guided backprop, and Grad-CAM, HiResCAM and guided Grad-CAM at every layer."""
        attr = importlib.import_module("captum.attr")
        x, up = self.x.clone().requires_grad_(), attr.LayerAttribution.interpolate
        size = tuple(self.x.shape[2:])
        found = [attr.Saliency(self.network).attribute(x, target=TARGET).amax(1)]
        found.append(attr.GuidedBackprop(self.network).attribute(x, target=TARGET).abs().amax(1))
        for module in self.modules:
            raw = attr.LayerGradCam(self.network, module).attribute(x, target=TARGET, relu_attributions=True)
            found.append(up(raw, size, interpolate_mode="bilinear")[:, 0])
        for module in self.modules:
            raw = attr.LayerGradientXActivation(self.network, module).attribute(x, target=TARGET)
            found.append(up(raw.sum(1, keepdim=True).relu(), size, interpolate_mode="bilinear")[:, 0])
        for module in self.modules:
            guided = attr.GuidedGradCam(self.network, module)
            found.append(guided.attribute(x, target=TARGET, interpolate_mode="bilinear").abs().amax(1))
        return _numbers(found)

    def torchcam(self) -> Maps:
        """CAM at the last layer, Grad-CAM at all four in one pass."""
        methods = importlib.import_module("torchcam.methods")
        found = []
        with methods.CAM(self.network, self.layers[-1], fc_layer="head") as peer:
            with torch.no_grad():
                self.network(self.x)
            found += peer(TARGET, normalized=False)
        with methods.GradCAM(self.network, list(self.layers)) as peer:
            found += peer(TARGET, self.network(self.x.clone().requires_grad_()), normalized=False)
        return _numbers([self._raised(values) for values in found])

    def pytorch_grad_cam(self) -> Maps:
        """Grad-CAM and HiResCAM, one object a layer, as its interface has it; unscaled."""
        library = importlib.import_module("pytorch_grad_cam")
        found = []
        for kind in (library.GradCAM, library.HiResCAM):
            for module in self.modules:
                with kind(self.network, [module]) as peer:
                    x = self.x.clone().requires_grad_()
                    peer.activations_and_grads(x)[:, TARGET].sum().backward()
                    seen = peer.activations_and_grads
                    raw = peer.get_cam_image(
                        x, module, [], seen.activations[0].numpy(), seen.gradients[0].numpy(), False
                    )
                found.append(self._raised(torch.from_numpy(np.maximum(raw, 0))))
        return _numbers(found)

    def _raised(self, values: Tensor) -> Tensor:
        size = tuple(self.x.shape[2:])
        return functional.interpolate(values[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


CAPTUM_MAPS = ("saliency", "guided-backprop", "grad-cam", "hirescam", "guided-grad-cam")


def contenders(bench: Bench) -> list[Contender]:
    """Everything that can be run here."""
    count = len(bench.layers)
    found = [
        Contender("floor: 1 forward, 2 backwards", 0, bench.floor),
        Contender(
            "ours, all seven maps", 2 + 1 + 4 * count, lambda: bench.ours(METHODS), "floor: 1 forward, 2 backwards"
        ),
    ]
    peers = [
        ("captum", bench.captum, CAPTUM_MAPS, 2 + 3 * count),
        ("torchcam", bench.torchcam, ("cam", "grad-cam"), 1 + count),
        ("pytorch-grad-cam", bench.pytorch_grad_cam, ("grad-cam", "hirescam"), 2 * count),
    ]
    for name, run, maps, number in peers:
        if _there(name.replace("-", "_")):
            found.append(Contender(name, number, run))
            found.append(Contender(f"ours, {name}'s maps", number, partial(bench.ours, maps), name))
    return found


def _there(module: str) -> bool:
    if module == "pytorch_grad_cam":
        for name in (*_PICTURE_LIBRARIES, "sklearn", "sklearn.decomposition"):
            try:
                importlib.import_module(name)
            except ImportError:
                sys.modules[name] = MagicMock()  # picture libraries that its maps do not need
    try:
        importlib.import_module(module)
    except ImportError:
        print(f"{module} is not installed: left out", file=sys.stderr)
        return False
    return True


def _numbers(found: Sequence[Tensor]) -> Maps:
    return [values.detach().float().cpu().numpy() for values in found]


def timed(found: Sequence[Contender], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of each, interleaved."""
    seconds: dict[str, list[float]] = {c.name: [] for c in found}
    for turn in range(rounds + 1):
        for contender in found:
            start = time.perf_counter()
            contender.run()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:  # the first turn warms up
                seconds[contender.name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def differences(found: Sequence[Contender]) -> dict[str, list[float]]:
    """For each peer, how far each of its maps is from ours, relative to ours' largest value."""
    by_name = {c.name: c for c in found}
    told = {}
    for contender in found:
        if contender.beside and contender.beside in by_name and "floor" not in contender.beside:
            pairs = zip(contender.run(), by_name[contender.beside].run(), strict=True)
            told[contender.beside] = [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs]
    return told


def peak_mb(name: str, arguments: argparse.Namespace) -> float:
    """Peak memory of one contender in a process of its own, in MB above what it held before."""
    command = [
        sys.executable,
        __file__,
        "--memory",
        name,
        "--size",
        str(arguments.size),
        "--batch",
        str(arguments.batch),
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout.splitlines()[-1]))


def measure_memory(contender: Contender, bench: Bench) -> float:
    """VmHWM after a run less VmRSS before it, in MB; libraries are loaded by a run on a tiny picture first."""
    x, bench.x = bench.x, bench.x[:1, :, :32, :32].clone()
    contender.run()
    bench.x = x
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    contender.run()
    return _status("VmHWM") - before


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return float(line.split()[1]) / 1024
    raise LookupError(field)


def flatness(bench: Bench, rounds: int) -> list[tuple[int, float, float]]:
    """(layers, seconds for all maps, milliseconds for each map) as the number of layers grows."""
    blocks = [name for name, _ in bench.network.named_modules() if name.count(".") == 1 and name.startswith("stage")]
    told = []
    for count in (1, 2, 4, len(blocks)):
        chosen = [blocks[round(i)] for i in np.linspace(0, len(blocks) - 1, count)]
        maps = [m for m in METHODS if m != "cam"]
        bench.ours(maps, chosen)
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            number = len(bench.ours(maps, chosen))
            seconds.append(time.perf_counter() - start)
        told.append((count, statistics.median(seconds), 1000 * statistics.median(seconds) / number))
    return told


def report(found: Sequence[Contender], seconds: dict[str, float], memory: dict[str, float]) -> bool:
    """Prints the table; True when the aims are met."""
    print(f"{'':32}{'maps':>5}{'ms':>9}{'ms/map':>8}{'peak MB':>9}   ratio")
    for c in found:
        each = f"{1000 * seconds[c.name] / c.maps:8.1f}" if c.maps else " " * 8
        ratio = ""
        if c.beside == found[0].name:
            ratio = f"{seconds[c.name] / seconds[c.beside]:.2f} x the floor (aim: at most {MOST_AGAINST_FLOOR})"
        elif c.beside:
            ratio = f"{seconds[c.beside] / seconds[c.name]:.1f} x faster than {c.beside}"
        peak = f"{memory[c.name]:9.0f}" if c.name in memory else " " * 9
        print(f"{c.name:32}{c.maps:5}{1000 * seconds[c.name]:9.1f}{each}{peak}   {ratio}")
    reached = seconds["ours, all seven maps"] <= MOST_AGAINST_FLOOR * seconds[found[0].name]
    if "captum" in seconds:
        reached &= seconds["captum"] >= LEAST_AGAINST_CAPTUM * seconds["ours, captum's maps"]
    return reached


def main() -> int:
    """Prints the table and returns 0 when the aims are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    bench = Bench(arguments.size, arguments.batch, arguments.device)
    found = contenders(bench)
    if arguments.memory:
        print(json.dumps(measure_memory({c.name: c for c in found}[arguments.memory], bench)))
        return 0
    print(
        f"{arguments.batch} x 3 x {arguments.size} x {arguments.size}, layers {', '.join(bench.layers)}, "
        f"{arguments.device}, {arguments.threads} threads, median of {arguments.rounds} interleaved rounds"
    )
    for peer, values in differences(found).items():
        print(f"{peer}: largest difference {max(values):.0e}; {sum(v > 1e-4 for v in values)} of {len(values)} differ")
    seconds = timed(found, arguments.rounds, arguments.device)
    memory = {c.name: peak_mb(c.name, arguments) for c in found} if arguments.device == "cpu" else {}
    reached = report(found, seconds, memory)
    for count, total, each in flatness(bench, arguments.rounds):
        print(f"{count:2} layers: {1000 * total:7.1f} ms in all, {each:5.1f} ms a map")
    print("aims met" if reached else "AIMS NOT MET")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
