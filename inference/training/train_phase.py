"""train_phase(): phantoms, and a hospital's own series where there are any -> a bundle that the node loads.

The work folder keeps shards and the checkpoint: the same call goes on where it was stopped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from inference.explain.randomisation import cascade
from inference.judge import answer_slices
from inference.models import Bundle, ModelCard, save_bundle
from inference.networks.classifier import PhaseClassifier
from inference.phases import PHASES, Calibration, SliceAnswers
from inference.preprocessing import Grid, prepare
from inference.training.calibration import Truth, calibrate
from inference.training.datasets import ShardPool, shares_beside
from inference.training.evaluation import EvaluationReport, evaluate
from inference.training.loop import Schedule, Trainer, read_checkpoint, write_checkpoint
from inference.training.own_data import Labelled, own_share, write_own
from inference.training.phantoms import OUTLIERS, SLICES, Order, Study, Workers, studies

NAME = "dicomnode-phase"
INTENDED_USE = (
    "Tells the contrast phase (unenhanced, arterial, portal venous, delayed) of axial CT series of the adult abdomen "
    "or thorax, to sort series and to check their labels. Not for diagnostic use."
)
LIMITS = (
    "Whole axial slices of adults. Not for children, single organs, dual-energy or subtracted images. Between two "
    "phases and on series without heart, large vessels, liver, spleen or kidneys it answers indeterminate."
)
RANDOMISED = 12
"""Slices on which the maps are tried with random weights."""
SYNTHETIC = "Synthetic CT from inference.phantom with known phase"


@dataclass(frozen=True)
class Training:
    """How a model is trained."""

    schedule: Schedule = field(default_factory=Schedule)
    grid: Grid = field(default_factory=Grid)
    width: int = 24
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    seed: int = 0
    workers: int = 1
    """Processes that make phantoms while training goes on; 0 when the shards are there already."""
    phantom_shards: int = 80
    """Of 256 slices."""
    outlier_shards: int = 12
    outlier_share: float = 0.12
    """Share of every batch that must be declined."""
    own_share: float = 0.3
    """Share of every batch that comes from the hospital's own series, where there are any."""
    validation_share: float = 0.2
    """Share of the hospital's patients that are only checked with."""
    calibration_studies: int = 12
    """Synthetic patients, each with five series, that calibrate the answer."""
    version: str = "1"
    data: str = SYNTHETIC
    """What the card says that it was trained on."""


@dataclass(frozen=True)
class Trained:
    """What came out."""

    card: ModelCard
    validation: EvaluationReport | None
    """On the hospital's validation patients; None without own data."""


def train_phase(
    out: Path,
    work: Path,
    training: Training | None = None,
    *,
    own: Iterable[Labelled] = (),
    sources: Mapping[Path, float] | None = None,
    start: Bundle | None = None,
    resume: bool = True,
    progress: bool = True,
    note: Callable[[str], None] | None = None,
) -> Trained:
    """Train and write the bundle to `out`; `work` keeps what is needed to go on later.

    `own`: labelled series; a fifth of their patients is kept for validation. `sources`: further folders of shards and
    their shares. `start`: a bundle whose weights are the first ones. `note` hears in a sentence what is being done.
    """
    training, say = training or Training(), note or (lambda _: None)
    say("Reading the labelled series")
    kept = write_own(work / "own", own, training.grid, validation_share=training.validation_share, seed=training.seed)
    trainer = new_trainer(training, start)
    checkpoint = work / "checkpoint.pt"
    if resume and checkpoint.exists():
        trainer.restore(read_checkpoint(checkpoint))
        say(f"Going on from step {trainer.progress.step}")
    pool = ShardPool(_shares(work, training, sources or {}), training.seed + trainer.progress.step)
    with Workers(_orders(work, training), training.grid, training.workers):
        say("Waiting for the first training slices")
        pool.wait()
        say("Training")
        trainer.learn(pool, lambda state: write_checkpoint(state, checkpoint), progress)
    say("Calibrating on synthetic series")
    made = studies(training.calibration_studies, seed=training.seed + 7_000, textbook=True, between=True)
    trained = export(out, trainer, training, made)
    validation = _validated(trained, kept) if kept else None
    if validation is not None:
        trained = write_metrics(out, trained, {"validation": validation.summary()})
    return Trained(trained.card, validation)


def new_trainer(training: Training, start: Bundle | None = None) -> Trainer:
    """A trainer with random weights, or with those of a bundle of the same shape."""
    torch.manual_seed(training.seed)
    network = PhaseClassifier(len(training.grid.windows), training.width, training.blocks)
    if start is not None:
        network.load_state_dict(start.module.state_dict())
    return Trainer(network, training.grid, training.schedule, training.seed)


def export(
    out: Path, trainer: Trainer, training: Training, made: Iterable[Study], metrics: Mapping[str, Any] | None = None
) -> Bundle:
    """Calibrate the averaged weights on synthetic series and write the bundle."""
    bundle = Bundle(_card(training, trainer, Calibration(), {}), _frozen(trainer))
    answers, truths, seconds, pictures = list[SliceAnswers](), list[Truth](), list[float | None](), list[torch.Tensor]()
    for study in made:
        answers.append(answer_slices(study.volume, bundle))
        truths.append(study.truth)
        seconds.append(study.seconds)
        pictures.append(_middle(study, training.grid))
    calibration = calibrate(list(zip(answers, truths, strict=True)), seconds=seconds)
    known = {"randomisation": randomisation(bundle, torch.cat(pictures[:RANDOMISED])), **(metrics or {})}
    card = save_bundle(out, _card(training, trainer, calibration, known), bundle.module)
    return Bundle(card, bundle.module)


def randomisation(bundle: Bundle, inputs: torch.Tensor) -> dict[str, float]:
    """Map -> how much of its order survives when the weights are made random: what a map's score is judged by."""
    layers: Mapping[str, str] = bundle.card.options["layers"]
    with torch.inference_mode():
        target = bundle.module(inputs).argmax(dim=1).tolist()
    found = {m: cascade(bundle.module, inputs, target, [layers[m]], [m]).summary()[m] for m in layers if m != "cam"}
    return {method: round(rho, 3) for method, rho in found.items()}


def _middle(study: Study, grid: Grid) -> torch.Tensor:
    """The middle slice as the network sees it: [1, window, row, column]."""
    middle = study.volume.slice(len(study.volume) // 2)
    return torch.from_numpy(prepare(middle[None], study.volume.pixel_spacing_mm, grid)[0])


def write_metrics(out: Path, bundle: Bundle, metrics: Mapping[str, Any]) -> Bundle:
    """The same bundle with more figures on its card."""
    card = replace(bundle.card, metrics={**bundle.card.metrics, **metrics})
    return Bundle(save_bundle(out, card, bundle.module), bundle.module)


def _frozen(trainer: Trainer) -> torch.nn.Module:
    """The averaged weights as a bundle would load them: rounded to half precision."""
    network = trainer.mean.half().float()
    network.eval()
    return network.requires_grad_(False)


def _card(training: Training, trainer: Trainer, calibration: Calibration, metrics: Mapping[str, Any]) -> ModelCard:
    options = {
        **training.grid.as_options(),
        "width": training.width,
        "blocks": list(training.blocks),
        "phases": [phase.value for phase in PHASES],
        "layers": {"sam": "stage2", "grad-cam": "stage16", "cam": "stage16"},
        "calibration": calibration.as_options(),
        "steps": trainer.progress.step,
    }
    return ModelCard(
        name=NAME,
        version=training.version,
        task="phase",
        network="phase-classifier",
        weights_sha256="",
        intended_use=INTENDED_USE,
        limits=LIMITS,
        data=training.data,
        metrics=dict(metrics),
        options=options,
    )


def _shares(work: Path, training: Training, sources: Mapping[Path, float]) -> dict[Path, float]:
    own = own_share(work / "own", training.own_share)
    return shares_beside(work / "phantoms", {work / "outliers": training.outlier_share, work / "own": own, **sources})


def _orders(work: Path, training: Training) -> Sequence[Order]:
    return (
        Order(work / "phantoms", SLICES, training.phantom_shards, training.seed),
        Order(work / "outliers", OUTLIERS, training.outlier_shards, training.seed),
    )


def _validated(bundle: Bundle, kept: Sequence[Labelled]) -> EvaluationReport:
    """The hospital's own validation patients; series are numbered, for names may be patients'."""
    rows = [(f"series {i}", series.volume, series.phase) for i, series in enumerate(kept, start=1)]
    patients = {f"series {i}": series.patient for i, series in enumerate(kept, start=1)}
    return evaluate(bundle, rows, patients=patients)
