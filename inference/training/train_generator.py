"""train_generator(): phantoms, and series where there are any -> a bundle that shows counterfactuals of a model.

The work folder keeps shards, checkpoint, sample sheets and a line a minute of how the losses stand: the same call goes
on where it was stopped. A GPU is used where `device` names one.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from inference.counterfactual.fitting import Fitting, fit, regions_for
from inference.counterfactual.view import View
from inference.models import Bundle, ModelCard, save_bundle
from inference.networks.inverter import CounterfactualNetwork, Encoder
from inference.networks.stylegan2 import Shape
from inference.phantom.tissues import Tissue
from inference.training.datasets import ShardPool, shares_beside
from inference.training.generator_data import PairBatch, drawn_images, middle_images, pack_alone
from inference.training.generator_loop import GeneratorTrainer, Weights
from inference.training.generator_sheet import write_reconstructions, write_samples
from inference.training.loop import read_checkpoint, write_state
from inference.training.own_data import Labelled, own_share, write_own
from inference.training.phantoms import PAIRS, Order, Workers

NAME = "dicomnode-counterfactual"
INTENDED_USE = (
    "Draws how a CT slice would have to change for the phase model to answer otherwise, to show what that model goes "
    "by. Every image is synthetic and shows no patient. Not for diagnostic use."
)
LIMITS = (
    "Coarse images of axial slices of the adult abdomen or thorax. Where the image is not reconstructed well enough "
    "for the model to give the same answer, nothing is shown."
)
SYNTHETIC = "Synthetic CT from inference.phantom"
SHEET_PICTURES, SHEET_SAMPLES, SETTLED_AT_ONCE = 32, 64, 250


@dataclass(frozen=True)
class GeneratorTraining:
    """How a generator is trained."""

    hours: float = 1.0
    batch: int = 8
    view: View = field(default_factory=View)
    shape: Shape = field(default_factory=lambda: Shape(most=96, anatomy=32, tissues=len(Tissue), tissue_size=128))
    weights: Weights = field(default_factory=lambda: Weights(alone=30_000))
    fitting: Fitting = field(default_factory=Fitting)
    seed: int = 0
    workers: int = 1
    """Processes that make phantoms while training goes on; 0 when the shards are there already."""
    phantom_shards: int = 60
    """Of 256 slices."""
    own_share: float = 0.3
    """Share of every batch that comes from handed-in series, where there are any."""
    checkpoint_seconds: float = 180.0
    sheet_seconds: float = 300.0
    most_steps: int | None = None
    """Stops earlier than the hours say; for tests."""
    version: str = "1"
    data: str = SYNTHETIC
    """What the card says that it was trained on."""

    @classmethod
    def fitting_to(cls, device: str, **values: Any) -> "GeneratorTraining":
        """What a device can do: on a GPU the explained model's own pixels, wider layers and larger batches."""
        if device == "cpu":
            return cls(**values)
        large = Shape(
            size=160,
            base=5,
            latent=64,
            width=5120,
            most=256,
            anatomy=48,
            tissues=len(Tissue),
            anatomy_size=80,
            tissue_size=160,
        )
        return cls(**{"view": View(size=160, pixel_mm=2.5), "shape": large, "batch": 32, **values})


def train_generator(
    out: Path,
    work: Path,
    explained: Bundle,
    training: GeneratorTraining | None = None,
    *,
    own: Iterable[Labelled] = (),
    sources: Mapping[Path, float] | None = None,
    device: str = "cpu",
    resume: bool = True,
    progress: bool = True,
    note: Callable[[str], None] | None = None,
) -> ModelCard:
    """Train, find the directions along which `explained` changes its answer, and write the bundle to `out`.

    `own`: series, their labels are not used. `sources`: further folders of shards and their shares of every batch.
    """
    training, say = training or GeneratorTraining(), note or (lambda _: None)
    write_own(work / "own", own, training.view.grid, validation_share=0.0, seed=training.seed, packed=pack_alone)
    trainer = GeneratorTrainer(training.shape, training.weights, training.seed, device)
    checkpoint = work / "generator.pt"
    if resume and checkpoint.exists():
        trainer.restore(read_checkpoint(checkpoint))
        say(f"Going on from step {trainer.progress.step}")
    pool = ShardPool(_shares(work, training, sources or {}), training.seed, PairBatch)
    order = Order(work / "phantoms", PAIRS, training.phantom_shards, training.seed)
    with Workers([order], training.view.grid, training.workers):
        say("Waiting for the first training slices")
        pool.wait()
        say("Training")
        learn(trainer, pool, training, work, progress)
    say("Fitting the directions")
    return export(out, trainer, training, explained, pool)


def learn(
    trainer: GeneratorTrainer, pool: ShardPool, training: GeneratorTraining, work: Path, progress: bool = True
) -> None:
    """Learn until the time or the steps are spent; checkpoint, sheets and log are written on the way."""
    due = _Due(training)
    with tqdm(total=round(training.hours * 3600), unit="s", disable=not progress, mininterval=5.0) as bar:
        bar.update(round(trainer.progress.seconds))
        while (spent := _spent(trainer, training)) < 1.0:
            start = time.monotonic()
            images = drawn_images(pool, training.view, training.batch, training.seed, trainer.progress.step)
            trainer.step(images, spent)
            trainer.progress.seconds += time.monotonic() - start
            bar.update(round(trainer.progress.seconds) - bar.n)
            if due("log", 60.0):
                pool.look()
                _log(trainer, work)
            if due("checkpoint", training.checkpoint_seconds):
                write_state(trainer.state(), work / "generator.pt")
            if due("sheet", training.sheet_seconds):
                write_sheets(trainer, pool, training, work)
    write_state(trainer.state(), work / "generator.pt")
    write_sheets(trainer, pool, training, work)


def write_sheets(trainer: GeneratorTrainer, pool: ShardPool, training: GeneratorTraining, work: Path) -> None:
    """64 samples, and slices with their reconstructions, below `work`/sheets."""
    step = trainer.progress.step
    images = middle_images(pool, training.view, SHEET_SAMPLES, training.seed)
    players = (trainer.mean_generator, trainer.mean_encoder)
    write_samples(work / "sheets" / f"{step:06d}-samples.png", *players, images)
    write_reconstructions(work / "sheets" / f"{step:06d}-again.png", *players, images[:SHEET_PICTURES])


def export(
    out: Path,
    trainer: GeneratorTrainer,
    training: GeneratorTraining,
    explained: Bundle,
    pool: ShardPool,
    metrics: Mapping[str, Any] | None = None,
) -> ModelCard:
    """The running means of the weights with the directions of `explained`, as a bundle."""
    network = CounterfactualNetwork(training.shape, len(training.fitting.names), len(regions_for(training.shape)))
    network.generator.load_state_dict(trainer.mean_generator.state_dict())
    network.encoder.load_state_dict(trainer.mean_encoder.state_dict())
    network = network.half().float().eval().requires_grad_(False)
    images = middle_images(pool, training.view, training.fitting.images, training.seed)
    settle(network.encoder, images)
    found = fit(network, training.view, explained, images, training.fitting)
    card = _card(training, trainer, found | dict(metrics or {}), explained)
    return save_bundle(out, card, network)


@torch.no_grad()
def settle(encoder: Encoder, images: Tensor) -> None:
    """Mean and variance of w over images[slice, 1, row, column], for the encoder of averaged weights."""
    encoder.unit.reset_running_stats()
    encoder.unit.momentum = None
    encoder.unit.train()
    for start in range(0, len(images), SETTLED_AT_ONCE):
        encoder(images[start : start + SETTLED_AT_ONCE])
    encoder.unit.eval()


def _card(
    training: GeneratorTraining, trainer: GeneratorTrainer, metrics: Mapping[str, Any], explained: Bundle
) -> ModelCard:
    options = {
        **training.view.as_options(),
        "shape": training.shape.as_options(),
        "directions": list(training.fitting.names),
        "regions": [region.value for region in regions_for(training.shape)],
        "explains": explained.card.weights_sha256,
        "steps": trainer.progress.step,
        "images": trainer.progress.images,
    }
    return ModelCard(
        name=NAME,
        version=training.version,
        task="generator",
        network="counterfactual",
        weights_sha256="",
        intended_use=INTENDED_USE,
        limits=LIMITS,
        data=training.data,
        metrics=dict(metrics),
        options=options,
    )


def _shares(work: Path, training: GeneratorTraining, sources: Mapping[Path, float]) -> dict[Path, float]:
    own = own_share(work / "own", training.own_share)
    return shares_beside(work / "phantoms", {work / "own": own, **sources})


def _spent(trainer: GeneratorTrainer, training: GeneratorTraining) -> float:
    """Share of the run that is over."""
    by_time = trainer.progress.seconds / (training.hours * 3600.0)
    by_steps = trainer.progress.step / training.most_steps if training.most_steps else 0.0
    return max(by_time, by_steps)


def _log(trainer: GeneratorTrainer, work: Path) -> None:
    now = trainer.progress
    losses = {name: round(value, 4) for name, value in now.losses.items()}
    row = {"step": now.step, "images": now.images, "seconds": round(now.seconds), **losses}
    with (work / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**row, "augmentation": round(trainer.adaptation.probability, 3)}) + "\n")


class _Due:
    """due(name, seconds): True once in so many seconds, for each name."""

    def __init__(self, training: GeneratorTraining) -> None:
        start = time.monotonic()
        self.last = {"log": start - 1e9, "checkpoint": start, "sheet": start}

    def __call__(self, name: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self.last[name] < seconds:
            return False
        self.last[name] = now
        return True
