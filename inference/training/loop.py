"""The training loop: batches in, weights out, stopped and resumed at will.

The learning rate follows the share of the time budget that is used, so a run of an hour and one of a day both end
with a rate of zero. What is kept for use is a running mean of the weights, which is steadier than the last step.
"""

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from inference.networks.classifier import SliceOutputs
from inference.preprocessing import Grid
from inference.training.augmentation import Augmentation
from inference.training.datasets import Batch, ShardPool, phase_share


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    hours: float = 1.0
    batch: int = 64
    peak_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 200
    averaging: float = 0.998
    """Share of the running mean that one step keeps."""
    checkpoint_seconds: float = 120.0
    look_seconds: float = 20.0
    smoothing: float = 0.02
    """Label smoothing: even a phantom's truth is a convention near the border of two phases."""
    most_steps: int | None = None
    """Stops earlier than the hours say; for tests."""


@dataclass
class Progress:
    """Where a run is; the only thing here that changes."""

    step: int = 0
    seconds: float = 0.0
    """Time learned so far, over all runs of this checkpoint."""
    losses: dict[str, float] = field(default_factory=dict)
    """Running means, by part of the loss."""


class Trainer:
    """A network, its running mean and its optimiser: one object that a checkpoint restores."""

    def __init__(self, network: nn.Module, grid: Grid, schedule: Schedule, seed: int) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(network).requires_grad_(False)
        self.grid, self.schedule, self.seed = grid, schedule, seed
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=schedule.weight_decay)
        self.augment = self.augmentation(seed)
        self.progress = Progress()

    def learn(self, pool: ShardPool, save: Callable[["Trainer"], None], progress: bool = True) -> Progress:
        """Learn until the time or the steps are spent; `save` is called now and then and at the end."""
        budget = self.schedule.hours * 3600.0
        looked = saved = time.monotonic()
        with tqdm(total=round(budget), unit="s", disable=not progress, mininterval=5.0) as bar:
            bar.update(round(self.progress.seconds))
            while not self._spent():
                start = time.monotonic()
                self.step(pool.draw(self.schedule.batch))
                now = time.monotonic()
                self.progress.seconds += now - start
                if now - looked > self.schedule.look_seconds:
                    looked = now
                    pool.look()
                    bar.n = round(self.progress.seconds)
                    bar.set_postfix(
                        {"step": self.progress.step, **{k: f"{v:.3f}" for k, v in self.progress.losses.items()}}
                    )
                if now - saved > self.schedule.checkpoint_seconds:
                    saved = now
                    save(self)
        save(self)
        return self.progress

    def step(self, batch: Batch) -> None:
        """One step of AdamW on one batch."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.network.train()
        losses = self.losses(batch)
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self._average()
        self._note(losses)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """What is learned from: the parts of the loss on one batch, changed at random."""
        inputs = windowed(self.augment(torch.from_numpy(batch.hounsfield)), self.grid)
        with torch.autocast("cpu", torch.bfloat16, enabled=inputs.device.type == "cpu"):
            ordered = inputs.contiguous(memory_format=torch.channels_last)
            outputs = self.network.answer(ordered, dropout=0.2)
        return slice_losses(outputs, batch, self.schedule.smoothing)

    def augmentation(self, seed: int) -> Augmentation:
        """How batches are changed, from a seed."""
        return Augmentation(self.grid.size, seed)

    def state(self) -> dict[str, Any]:
        """Everything that a later run needs to go on."""
        return {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.progress.step,
            "seconds": self.progress.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; the random stream goes on from the step, not from the start."""
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(state["step"], state["seconds"])
        self.augment = self.augmentation(self.seed + self.progress.step)

    def _spent(self) -> bool:
        most = self.schedule.most_steps
        return self.progress.seconds >= self.schedule.hours * 3600.0 or (
            most is not None and self.progress.step >= most
        )

    def _rate(self) -> float:
        spent = min(1.0, self.progress.seconds / (self.schedule.hours * 3600.0))
        warm = min(1.0, (self.progress.step + 1) / self.schedule.warmup_steps)
        return self.schedule.peak_rate * warm * 0.5 * (1.0 + float(np.cos(np.pi * spent)))

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.schedule.averaging, (self.progress.step + 1) / (self.progress.step + 20))
        for mean, value in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
            if value.is_floating_point():
                mean.lerp_(value, 1.0 - keep)
            else:
                mean.copy_(value)

    def _note(self, losses: dict[str, Tensor]) -> None:
        self.progress.step += 1
        for name, loss in losses.items():
            before = self.progress.losses.get(name, float(loss.detach()))
            self.progress.losses[name] = 0.98 * before + 0.02 * float(loss.detach())


def windowed(hounsfield: Tensor, grid: Grid) -> Tensor:
    """hounsfield[slice, row, column] -> [slice, window, row, column] in -1..1, like preprocessing.channels."""
    layers = [((hounsfield - low) / (high - low)).clamp(0.0, 1.0) * 2.0 - 1.0 for low, high in grid.windows]
    return torch.stack(layers, dim=1)


def slice_losses(outputs: SliceOutputs, batch: Batch, smoothing: float) -> dict[str, Tensor]:
    """Cross-entropy of the phase, Gaussian likelihood of ln(seconds), cross-entropy of the scope; each where known."""
    target, known = (torch.from_numpy(values) for values in phase_targets(batch))
    scope = torch.from_numpy(batch.scope.astype(np.float32))
    seconds = torch.from_numpy(np.array(batch.seconds))
    timed = torch.isfinite(seconds) & (seconds > 0)
    zero = outputs.logits.float().sum() * 0.0
    losses = {"scope": 0.5 * F.binary_cross_entropy_with_logits(outputs.scope.float(), scope)}
    losses["phase"] = zero
    if known.any():
        losses["phase"] = F.cross_entropy(outputs.logits[known].float(), target[known], label_smoothing=smoothing)
    mean, spread = outputs.timing[timed].float().unbind(dim=1)
    spread = spread.clamp(-3.0, 2.0)
    error = (seconds[timed].clamp(min=5.0).log() - mean - 4.0) * torch.exp(-spread)
    losses["timing"] = 0.2 * (0.5 * error.clamp(-6.0, 6.0) ** 2 + spread).mean() if timed.any() else zero
    return losses


def phase_targets(batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """target[slice, phase] and known[slice]: what lies between two phases is taught as lying between them."""
    pairs = zip(batch.phase, batch.seconds, strict=True)
    target = np.stack([phase_share(int(phase), float(seconds)) for phase, seconds in pairs])
    return target, target.any(axis=1) & (batch.scope == 1)


def write_checkpoint(trainer: Trainer, path: Path) -> None:
    """Keep the whole state; the old checkpoint stands until the new one is written."""
    write_state(trainer.state(), path)


def write_state(state: dict[str, Any], path: Path) -> None:
    """The same for any trainer's state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".part")
    torch.save(state, fresh)
    os.replace(fresh, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `write_checkpoint` kept."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
