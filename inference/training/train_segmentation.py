"""train_segmentation(): phantoms, and shards of repainted volumes where there are any -> an organ bundle.

The work folder keeps shards and the checkpoint: the same call goes on where it was stopped.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference.models import NETWORKS, Bundle, ModelCard, save_bundle, stored
from inference.networks.double_unet import DoubleUNet
from inference.preprocessing import Grid
from inference.segment import ORGANS
from inference.training.datasets import ShardPool, shares_beside
from inference.training.loop import Schedule, read_checkpoint, write_checkpoint
from inference.training.phantoms import MASKS, Order, Workers
from inference.training.segmentation_data import MaskBatch
from inference.training.segmentation_loop import SegmentationTrainer
from inference.training.segmentation_scores import LabelledVolume, held_out_volumes, mean_dice

NAME = "dicomnode-organs"
INTENDED_USE = (
    "Finds the organs whose attenuation tells the contrast phase on axial CT slices of the adult abdomen or thorax, "
    "so that their HU can be measured. Not for diagnostic use, not for volumetry."
)
LIMITS = (
    "Learned from phantoms and repainted volumes. Small and thin structures (portal vein, renal pelvis, cortex) are "
    "found roughly; diseased and operated organs may be missed."
)
SYNTHETIC = "Synthetic CT from inference.phantom with the organ of every pixel"
WIDTHS: Mapping[str, int] = {"double-unet": 16, "r2unet": 8, "mcgunet": 8}
"""Network -> width at which a step takes about as long on a CPU as with the others; 64 as published."""
LAYERS: Mapping[str, Mapping[str, str]] = {
    "double-unet": {"sam": "decoder2.2", "grad-cam": "aspp2"},
    "r2unet": {"sam": "decoder.2", "grad-cam": "encoder.4"},
    "mcgunet": {"sam": "decoder.1", "grad-cam": "dense.1"},
}
"""Network -> map -> its default layer: half of the resolution for SAM, the bottleneck for Grad-CAM."""


@dataclass(frozen=True)
class SegmentationTraining:
    """How an organ model is trained."""

    network: str = "double-unet"
    """Name in WIDTHS."""
    width: int | None = None
    """Channels of the first stage; None for the network's own in WIDTHS."""
    grid: Grid = field(default_factory=lambda: Grid(size=128, pixel_mm=3.0))
    schedule: Schedule = field(
        default_factory=lambda: Schedule(batch=8, peak_rate=2e-3, weight_decay=0.01, warmup_steps=50, averaging=0.99)
    )
    rarity: float = 1.0 / 3.0
    """How much more a pixel of a rare organ counts (see SegmentationTrainer.weigh); 0.0 for no more."""
    seed: int = 0
    workers: int = 1
    """Processes that make phantoms while training goes on; 0 when the shards are there already."""
    phantom_shards: int = 20
    """Of 256 slices."""
    checked_patients: int = 8
    """Held-out synthetic patients whose Dice goes onto the card."""
    version: str = "1"
    data: str = SYNTHETIC
    """What the card says that it was trained on."""

    def lasting(self, hours: float) -> "SegmentationTraining":
        """The same with another time to learn."""
        return replace(self, schedule=replace(self.schedule, hours=hours))

    @property
    def options(self) -> dict[str, Any]:
        """What a card keeps of it: all that is needed to build the network and its input."""
        width = WIDTHS[self.network] if self.width is None else self.width
        organs = [organ.name for organ in ORGANS]
        layers = dict(LAYERS[self.network])
        return {**self.grid.as_options(), "width": width, "organs": organs, "layers": layers}


def train_segmentation(
    out: Path,
    work: Path,
    training: SegmentationTraining | None = None,
    *,
    sources: Mapping[Path, float] | None = None,
    resume: bool = True,
    progress: bool = True,
    note: Callable[[str], None] | None = None,
) -> Bundle:
    """Train and write the bundle to `out`; `work` keeps what is needed to go on later.

    `sources`: further folders of shards (`pack_masks`) and their shares of every batch; phantoms are the rest.
    `note` hears in a sentence what is being done.
    """
    training, say, sources = training or SegmentationTraining(), note or (lambda _: None), dict(sources or {})
    trainer, checkpoint = new_trainer(training), work / "checkpoint.pt"
    if resume and checkpoint.exists():
        trainer.restore(read_checkpoint(checkpoint))
        say(f"Going on from step {trainer.progress.step}")
    order = Order(work / "phantoms", MASKS, training.phantom_shards, training.seed)
    pool = ShardPool(shares_beside(order.folder, sources), _draws(trainer), MaskBatch)
    with Workers([order], training.grid, training.workers):
        say("Waiting for the first training slices")
        pool.wait()
        trainer.weigh(pool, training.rarity)
        say("Training")
        trainer.learn(pool, lambda state: write_checkpoint(state, checkpoint), progress)
    say("Checking on held-out phantoms")
    return export(out, trainer, training, held_out_volumes(training.checked_patients, seed=9_000))


def _draws(trainer: SegmentationTrainer) -> int:
    """Seed of what is drawn from here on: another one after each interruption."""
    return trainer.seed + trainer.progress.step


def new_trainer(training: SegmentationTraining) -> SegmentationTrainer:
    """A trainer with random weights. Raises ValueError for a network that is not one for segmentation."""
    if training.network not in WIDTHS:
        raise ValueError(f"network is {training.network!r}, not one of {', '.join(WIDTHS)}")
    torch.manual_seed(training.seed)
    network = NETWORKS[training.network](training.options)
    learning = network.showing("both") if isinstance(network, DoubleUNet) else network
    return SegmentationTrainer(learning, training.grid, training.schedule, training.seed)


def export(
    out: Path, trainer: SegmentationTrainer, training: SegmentationTraining, checked: Iterable[LabelledVolume] = ()
) -> Bundle:
    """Write the averaged weights as a bundle, with their Dice on `checked` (synthetic) on the card."""
    bundle = Bundle(_card(training, trainer, {}), frozen(trainer.mean))
    found = {organ: round(value, 3) for organ, value in mean_dice(bundle, checked).items()}
    metrics = {"synthetic held-out": {"dice": found}} if found else {}
    return Bundle(save_bundle(out, _card(training, trainer, metrics), bundle.module), bundle.module)


def write_metrics(out: Path, bundle: Bundle, metrics: Mapping[str, Any]) -> Bundle:
    """The same bundle with more figures on its card."""
    card = replace(bundle.card, metrics={**bundle.card.metrics, **metrics})
    return Bundle(save_bundle(out, card, bundle.module), bundle.module)


def frozen(network: nn.Module) -> nn.Module:
    """The weights as a bundle would load them: rounded to half precision, one mask, in evaluation mode."""
    rounded = copy.deepcopy(network)
    rounded.load_state_dict({name: stored(value) for name, value in network.state_dict().items()})
    shown = rounded.showing("second") if isinstance(rounded, DoubleUNet) else rounded
    shown.eval()
    return shown.requires_grad_(False)


def _card(training: SegmentationTraining, trainer: SegmentationTrainer, metrics: Mapping[str, Any]) -> ModelCard:
    return ModelCard(
        name=NAME,
        version=training.version,
        task="segmentation",
        network=training.network,
        weights_sha256="",
        intended_use=INTENDED_USE,
        limits=LIMITS,
        data=training.data,
        metrics=metrics,
        options={**training.options, "rarity": round(training.rarity, 3), "steps": trainer.progress.step},
    )
